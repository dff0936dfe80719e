"""Factorizations of a matrix, and the end-to-end update beside them."""
