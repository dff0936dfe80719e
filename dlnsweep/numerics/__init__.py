"""JAX as this house uses it: flags, exact products, random streams, lanes, compiled programs."""
