"""Jumps over steps of reduced runs: their flow, how far they go, and which runs may."""
