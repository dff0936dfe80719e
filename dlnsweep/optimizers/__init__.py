"""The optimizers, as directions that optax gives."""
