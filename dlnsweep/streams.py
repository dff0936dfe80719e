"""Random numbers by purpose, for problems of one's own; see `numerics/streams.py`."""

from dlnsweep.numerics.streams import gaussian, purpose_key

__all__ = ["gaussian", "purpose_key"]
