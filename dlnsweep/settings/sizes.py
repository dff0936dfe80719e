"""The sizes of data that each precision can train on. No JAX: sweep files are checked by it."""

from __future__ import annotations

# Norms. A gradient is a product of two sizes of data, and its square must stand above the smallest
# number also where it has fallen to rounding: (a^2 eps)^2 >= tiny. Upwards there must be room for a
# run to blow up in.
SIZES = {"float32": (1e-6, 1e9), "float64": (1e-69, 1e76)}
