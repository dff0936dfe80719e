"""Sweeps that go on from what they have found: each round is the one before it, and more runs."""
