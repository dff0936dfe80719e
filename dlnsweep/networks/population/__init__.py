"""Two-layer networks on Gaussian inputs without end: "committee"."""
