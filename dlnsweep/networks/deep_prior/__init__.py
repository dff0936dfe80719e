"""Two-layer networks that represent one signal (arXiv:2403.05395)."""
