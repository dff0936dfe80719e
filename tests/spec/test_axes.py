# ruff: noqa: E501  (a mistake and its sentence stand in one line of a table)

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spec_samples import problems, sweep

from dlnsweep.spec.axes import Range, num_values, range_values

PLUGIN_WORD = ", or one of a plug-in that is named, --plugin FILE."


def values(start: float, to: float, count: int, spacing: str = "linear") -> list[Any]:
    raw = {"from": start, "to": to, "count": count, "spacing": spacing}
    return list(range_values(Range.model_validate(raw)))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ((1e-6, 1e-1, 6, "log"), [1e-06, 1e-05, 1e-04, 1e-03, 1e-02, 1e-01]),
        ((1e-1, 1e-3, 3, "log"), [0.1, 0.01, 0.001]),
        ((1, 1024, 11, "log"), [2**i for i in range(11)]),
        ((3e-4, 3, 5, "log"), [3e-4, 3e-3, 3e-2, 3e-1, 3.0]),
        ((0, 0.3, 4), [0, 0.1, 0.2, 0.3]),
        ((0, 1, 11), [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]),
        ((-0.3, 0.3, 7), [-0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.3]),
        ((1, 10, 4), [1, 4, 7, 10]),
        ((10, 1, 4), [10, 7, 4, 1]),
        ((2**53 - 4, 2**53, 5), [2**53 - 4, 2**53 - 3, 2**53 - 2, 2**53 - 1, 2**53]),
        ((1, 8, 4, "integer"), [1, 3, 6, 8]),
        ((1, 5, 100, "integer"), [1, 2, 3, 4, 5]),
        ((5, 1, 100, "integer"), [5, 4, 3, 2, 1]),
        ((7, 7, 1), [7]),
    ],
)
def test_ranges_are_exact_at_the_ends_and_clean_between(wanted: Any, expected: list[float]):
    assert values(*wanted) == expected


ends = st.floats(1e-300, 1e300)


@given(ends, ends, st.integers(2, 50), st.sampled_from(["linear", "log"]))
def test_any_range_has_its_ends_and_stays_between_them(a, b, count, spacing):
    found = values(a, b, count, spacing)
    assert len(found) == count
    assert (found[0], found[-1]) == (a, b)
    slack = 1e-12 * max(a, b)
    assert all(min(a, b) - slack <= v <= max(a, b) + slack for v in found)
    steps = [y - x for x, y in pairwise(found)]
    if min(a, b) < 0.999 * max(a, b):
        assert all((step > 0) == (b > a) for step in steps)


@given(st.integers(-1000, 1000), st.integers(-1000, 1000), st.integers(1, 3000))
def test_the_number_of_values_is_known_before_they_are_made(a: int, b: int, count: int):
    raw = {"from": a, "to": b, "count": count if a != b else 1, "spacing": "integer"}
    found = range_values(Range.model_validate(raw))
    if count > 1 or a == b:
        assert num_values(raw) == len(found) == len(set(found))
    assert num_values([1] * count) == count


@pytest.mark.parametrize("raw", [3, "x", [], {}, {"count": 0}, {"count": "x"}, {"count": 2.5}])
def test_what_is_no_axis_counts_once(raw: Any):
    assert num_values(raw) == 1


def test_lists_and_ranges_give_the_settings_own_type():
    found = sweep(
        network__width={"from": 16, "to": 64, "count": 4},
        training__weight_decay=[1, 0, -0.0 + 0.5],
        training__num_steps={"from": 10, "to": 1000, "count": 3, "spacing": "log"},
        network__depth={"from": 1, "to": 3, "count": 3, "spacing": "integer"},
    ).values
    assert found["network.width"] == (16, 32, 48, 64)
    assert found["training.num_steps"] == (10, 100, 1000)
    assert found["network.depth"] == (1, 2, 3)
    assert {type(v) for v in found["network.width"]} == {int}
    assert {type(v) for v in found["training.weight_decay"]} == {float}


def test_minus_zero_is_zero():
    (zero,) = sweep(training__weight_decay=-0.0).values["training.weight_decay"]
    assert math.copysign(1, zero) == 1
    assert "training.weight_decay[1] is 0.0, as is" in problems(training__weight_decay=[0, -0.0])[0]


W = "network.width"
N = "training.num_steps"


@pytest.mark.parametrize(
    ("key", "raw", "expected"),
    [
        (W, [], [f"{W} is an empty list; give at least one value, or leave it out."]),
        (W, [4, 8, 4], [f"{W}[2] is 4, as is {W}[0]; give each value once."]),
        (W, [4, 4.5, 0], [f"{W}[1] is 4.5; it must be an integer.", f"{W}[2] is 0; it must be at least 1."]),
        (W, [[4]], [f"{W}[0] is [4]; it must be an integer."]),
        (W, {"from": 1, "to": 10, "count": 3}, [f'{W} is a range with the value 5.5, which is not an integer; choose another count, or spacing = "integer".']),
        (W, {"from": 1, "to": 2, "count": 1}, [f"{W} is a range from 1 to 2 with count 1; it must be 2 or more, to hold both ends."]),
        (W, {"from": 1.5, "to": 4, "count": 2, "spacing": "integer"}, [f"{W} is a range from 1.5 to 4 with spacing 'integer'; both ends must be integers."]),
        (W, {"from": 4, "to": 4, "count": 3}, [f"{W} is a range whose values coincide; lower its count."]),
        (W, {"from": 0, "to": 3, "count": 4}, [f"{W}[0] is 0; it must be at least 1."]),
        (W, {"from": -9, "to": 0, "count": 10}, [f"{W}[{i}] is {i - 9}; it must be at least 1." for i in range(3)] + [f"{W} has 7 more such values."]),
        (W, {"from": 1, "to": 3}, [f"{W}.count is missing; it has no default."]),
        (W, {"form": 1, "to": 3, "count": 3}, [f"{W}.from is missing; it has no default.", f"{W}.form is not a key of a range; did you mean 'from'?"]),
        (W, {"from": 1, "to": 3, "count": 2.5}, [f"{W}.count is 2.5; it must be an integer."]),
        (W, {"from": 1, "to": 100, "count": 3}, [f'{W} is a range from 1 to 100, over two decades or more, without a spacing; say whether its values are a constant factor apart, spacing = "log", or a constant difference, spacing = "linear".']),
        (W, [4] * 9, [f"{W}[{i}] is 4, as is {W}[0]; give each value once." for i in (1, 2, 3)] + [f"{W} has 5 more such values."]),
        (W, {"from": 1, "to": 3, "count": 0}, [f"{W}.count is 0; it must be at least 1."]),
        (W, {"from": 1, "to": 3, "count": 2, "spacing": "geometric"}, [f"{W}.spacing is 'geometric'; it must be 'linear', 'log' or 'integer'."]),
        (W, {"from": math.nan, "to": math.inf, "count": 2}, [f"{W}.from is nan; it must be finite.", f"{W}.to is inf; it must be finite."]),
        (W, {"from": -1e308, "to": 1.7e308, "count": 9, "spacing": "integer"}, [f"{W} is a range from -1e+308 to 1.7e+308 with count 9; its ends are too large."]),
        (W, {"from": 1, "to": 10**400, "count": 2}, [f"{W}.to is 1{'0' * 56}...; it must be a number below 1.8e308."]),
        ("training.learning_rate", {"from": 0, "to": 1, "count": 3, "spacing": "log"}, ["training.learning_rate is a range from 0 to 1 with spacing 'log'; both ends must be positive."]),
        ("training.learning_rate", {"from": 0, "to": 1, "count": 3}, ["training.learning_rate[0] is 0.0; it must be positive."]),
        ("network.initializer", ["balanced", "x"], [f"network.initializer[1] is 'x'; it must be 'fan_in_normal', 'orthogonal', 'balanced', 'identity' or 'zero_last'{PLUGIN_WORD}"]),
        ("sweep.precision", ["float32", "float64"], ["sweep.precision is ['float32', 'float64']; it must be 'float64' or 'float32', one value for all runs of the file."]),
        (N, {"from": 2, "to": 4e18, "count": 2}, [f"{N} is a range of integers; its ends may be 2^53 at most: list the values, with all their digits."]),
        (N, [4e18, 2**62 + 1], [f"{N}[0] is 4e+18; it must be an integer, which beyond 2^53 is written with all its digits.", f"{N}[1] is {2**62 + 1}; it must be at most {2**62}."]),
        ("record.count", {"from": 2, "to": 3, "count": 2}, ["record.count is {'from': 2, 'to': 3, 'count': 2}; it must be an integer, one value for all runs of the file."]),
    ],
)  # fmt: skip
def test_wrong_axes_are_refused(key: str, raw: Any, expected: list[str]):
    assert problems(**{key.replace(".", "__"): raw}) == expected


def test_the_largest_range_still_has_its_end():
    big = 1.7976931348623157e308
    found = values(1e-6, big, 6, "log")
    assert found[-1] == big
    assert all(map(math.isfinite, found))
