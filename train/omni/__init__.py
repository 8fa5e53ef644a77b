"""The tiny Qwen2.5-Omni Thinker and how it is trained."""
