"""The kinds of figures that this package brings: what each asks of a sweep. No matplotlib."""
