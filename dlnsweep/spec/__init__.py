"""A sweep file becomes a checked value, with every mistake at once. No JAX."""
