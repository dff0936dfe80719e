"""In what two sweeps differ: long lists of values."""

from __future__ import annotations

from dlnsweep.execution.differences import _apart


def test_short_lists_are_shown_whole():
    assert _apart([1, 2], [1]) == ("[1, 2]", "1")


def test_of_long_lists_what_each_has_alone_is_shown():
    """Their first values were shown, which may be the same."""
    assert _apart(list(range(8)), [*range(7), 70]) == (
        "8 values, of which 7 here alone",
        "8 values, of which 70 here alone",
    )
    # "1 values" was said of one value beside many.
    assert _apart([1.0], list(range(8))) == (
        "1.0",
        "8 values, of which [0, 2, 3, 4, ... 3 more] here alone",
    )
    assert _apart(list(range(8)), list(range(7))) == ("8 values, of which 7 here alone", "7 values")
