"""Random numbers by purpose, for problems of one's own; see `numerics/streams.py`."""

from dlnsweep.numerics.streams import gaussian, jax_key, purpose_key

__all__ = ["gaussian", "jax_key", "purpose_key"]
