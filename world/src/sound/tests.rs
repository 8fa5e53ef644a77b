//! Tests of the sounds.
