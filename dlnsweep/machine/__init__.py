"""What a process finds around it: memory, cores, streams, signals, variables, folders. No JAX."""
