"""The tables of `[figure]`, read and checked before anything runs."""
