"""How far a sweep is, told where it runs: on a terminal, in a notebook, in lines of a file."""
