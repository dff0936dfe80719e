"""Benchmarks beside peers; scripts that print tables, not tests. See `engine.py`."""
