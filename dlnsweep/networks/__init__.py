"""The kinds of networks, with their keys, costs, draws and ways of descent."""
