"""The pandas face of a results folder."""

from dlnsweep.results.results import Results, open_results

__all__ = ["Results", "open_results"]
