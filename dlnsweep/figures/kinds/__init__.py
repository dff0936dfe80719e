"""One file a kind of figure."""
