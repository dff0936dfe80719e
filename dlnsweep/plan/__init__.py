"""A sweep becomes runs with ids, programs, batches and costs. No JAX."""
