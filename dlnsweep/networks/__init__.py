"""The kinds of networks: one folder each, with its keys, draw, ways of descent and observables."""
