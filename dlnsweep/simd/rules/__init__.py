"""What each of JAX's primitives becomes."""
