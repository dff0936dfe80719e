"""Tables become pictures. Importing this package loads no matplotlib; drawing does."""
