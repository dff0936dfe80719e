"""Multilayer perceptrons on samples: parametrizations, richness, lazy and random features."""
