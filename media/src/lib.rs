//! Hostile bytes -> decoded image, sound and frames, within limits; and the encoders the world writes its files with.
