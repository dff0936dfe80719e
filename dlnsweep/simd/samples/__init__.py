"""A step with samples of one run in the lanes."""
