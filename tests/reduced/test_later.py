"""Smaller bases for later steps: against projections in NumPy, wherever runs are cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from batch_samples import plan_of, train_rows

from dlnsweep.contracts.network import WHOLE_BASES
from dlnsweep.engine import descent
from dlnsweep.engine.programs import Programs
from dlnsweep.numerics.runtime import numerics
from dlnsweep.reduced import later as module
from dlnsweep.reduced import program as reducing
from dlnsweep.reduced import stepped
from dlnsweep.reduced.alignment import aligned
from dlnsweep.reduced.compact_descent import Constants, State
from dlnsweep.reduced.later import Later
from dlnsweep.reduced.stepped import Descending
from dlnsweep.simd.llvm import is_usable

pytestmark = pytest.mark.skipif(not is_usable(), reason="no llvmlite")

# Some tens of steps of sums of some tens of terms, rounded at 1.1e-16 each.
ROUNDING = 1e-12
# Sizes of F_1, F_2 and B_1, B_2, B_3, and those of the later steps; not multiples of a vector.
FORWARD, BACKWARD = (11, 18), (9, 20, 13)
LATER_FORWARD, LATER_BACKWARD = (7, 10), (5, 12, 6)
RANK, BEGINS = 3, 21


def constants() -> Any:
    """A random chain, as NumPy arrays."""
    rng = np.random.default_rng(3)
    inner, above = (RANK, *FORWARD), (*FORWARD, BACKWARD[-1])
    data: Any = type("Data", (), {"inputs": np.linspace(1.0, 0.4, RANK)})
    made: Any = Constants
    return made(
        data=data,
        targets=rng.normal(size=(BACKWARD[-1], RANK)),
        forward=tuple(
            rng.normal(size=(a, i)) / np.sqrt(max(a, i)) for a, i in zip(above, inner, strict=True)
        ),
        mixed=tuple(
            rng.uniform(0.1, 1.0, min(f, b)) for f, b in zip(FORWARD, BACKWARD, strict=False)
        ),
        backward=tuple(
            rng.normal(size=(b, a)) / np.sqrt(b)
            for b, a in zip(BACKWARD[1:], BACKWARD, strict=False)
        ),
        rates=np.array([0.05, 0.03, 0.02]),
        weight_decay=np.float64(0.3),
        data_fit_scale=np.float64(0.8),
        momentum=np.float64(0.0),
        blocks=None,
        limit=np.asarray(np.inf),
    )


def shared(own: Any) -> list[np.ndarray]:
    """The G_j."""
    found = []
    for diagonal, f, b in zip(own.mixed, FORWARD, BACKWARD, strict=False):
        found.append(np.zeros((f, b)))
        np.fill_diagonal(found[-1], diagonal)
    return found


def bases(own: Any, forward: Any = LATER_FORWARD, backward: Any = LATER_BACKWARD) -> Later:
    """Random bases for later steps."""
    rng = np.random.default_rng(5)
    inner = [np.eye(RANK), *(drawn(rng, *pair) for pair in zip(FORWARD, forward, strict=True))]
    outer = [drawn(rng, *pair) for pair in zip(BACKWARD, backward, strict=True)]
    mixed = [inner[j + 1].T @ g @ outer[j] for j, g in enumerate(shared(own))]
    inner, outer, mixed = aligned(inner, outer, mixed)
    return Later(np.int64(BEGINS), tuple(inner[1:]), tuple(outer), tuple(mixed))


def drawn(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    return np.linalg.qr(rng.normal(size=(rows, columns)))[0]


def begun() -> State:
    shapes = zip(BACKWARD, (RANK, *FORWARD), strict=True)
    corrections: Any = tuple(np.zeros(shape) for shape in shapes)
    flag: Any = np.asarray(True)
    scales: Any = np.ones(3)
    return State(corrections, scales, (), flag, flag - 2)


def one_by_one(own: Any, later: Later, count: int) -> list[Any]:
    """Return the D_i and c_i after so many steps of chain.py's recursion.

    From the step on at which the later ones begin, what goes through a layer is projected onto
    their bases.
    """
    state = begun()
    d, c, g = [*state.corrections], np.ones(3), shared(own)
    for step in range(count):
        on_f = [np.eye(RANK), *(np.eye(n) for n in FORWARD)]
        on_b = [np.eye(n) for n in BACKWARD]
        if step >= BEGINS:
            on_f[1:] = [basis @ basis.T for basis in later.inner]
            on_b = [basis @ basis.T for basis in later.outer]
        f = [np.diag(own.data.inputs)]
        for j in range(2):
            f.append(on_f[j + 1] @ (c[j] * own.forward[j] @ f[j] + g[j] @ d[j] @ f[j]))
        phi = c[2] * own.forward[2] @ f[2] + d[2] @ f[2] - own.targets
        b = [on_b[2] @ (own.data_fit_scale * phi)]
        for j in (2, 1):
            below = c[j] * own.backward[j - 1].T @ b[0] + g[j - 1].T @ d[j].T @ b[0]
            b.insert(0, on_b[j - 1] @ below)
        keep = 1 - own.rates * own.weight_decay
        d = [keep[j] * d[j] - own.rates[j] * b[j] @ f[j].T for j in range(3)]
        c = keep * c
    return [*d, c]


def assert_alike(state: Any, expected: list[Any]) -> None:
    for found, true in zip([*state.corrections, state.scales], expected, strict=True):
        assert np.max(np.abs(found - true)) <= ROUNDING * np.max(np.abs(true))


@pytest.mark.parametrize("stop", [BEGINS - 2, BEGINS, BEGINS + 1, BEGINS + 60])
def test_later_steps_are_projected_onto_their_bases(stop: int):
    own = constants()
    later = bases(own)
    expected = one_by_one(own, later, stop)
    assert_alike(Descending(own, later).take(begun(), 0, stop), expected)
    # Whatever else they have done, and wherever they were stopped.
    steps, state, now = Descending(own, later), begun(), 0
    for end in (*range(5, stop, 13), stop):
        state, now = steps.take(state, now, end), end
    assert_alike(state, expected)
    # It does make a difference.
    if stop > BEGINS:
        plain = Descending(own).take(begun(), 0, stop)
        assert np.max(np.abs(plain.corrections[1] - expected[1])) > 1e-3


def test_a_run_that_is_gone_on_with_has_the_same_bits():
    own = constants()
    later = bases(own)
    steps = Descending(own, later)
    middle = steps.take(begun(), 0, BEGINS + 30)
    whole = steps.take(middle, BEGINS + 30, BEGINS + 77)
    again = Descending(own, later).take(middle, BEGINS + 30, BEGINS + 77)
    for found, true in zip(again.corrections, whole.corrections, strict=True):
        assert np.array_equal(found, true)
    assert np.array_equal(again.scales, whole.scales)


def test_bases_of_everything_change_nothing():
    own = constants()
    later = bases(own, FORWARD, BACKWARD)
    plain = Descending(own).take(begun(), 0, BEGINS + 60)
    found = Descending(own, later).take(begun(), 0, BEGINS + 60)
    assert_alike(found, [*map(np.asarray, plain.corrections), np.asarray(plain.scales)])


def test_a_run_stays_where_it_diverges():
    own = constants()
    own = own._replace(rates=60 * own.rates, limit=np.asarray(1e6))
    state = Descending(own, bases(own)).take(begun(), 0, BEGINS + 60)
    assert not bool(state.active)
    assert 0 < int(state.diverged_step) < BEGINS + 60
    assert all(np.all(np.isfinite(d)) for d in state.corrections)


def plan(**training: Any) -> Any:
    return plan_of(
        network={"depth": 3, "width": 60},
        training={"learning_rate": 0.03, "weight_decay": 0.05, "num_steps": 1500} | training,
        record={"count": 12, "observables": ["regression_error", "off_subspace_error"]},
        sweep={"seeds": 2, "tolerance": 1e-4, "kernel": "reduced"},
    )


@pytest.fixture
def however_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stepped, "_LEAST_FLOPS", 0.0)
    monkeypatch.setattr(module, "_LEAST_FLOPS", 0.0)
    monkeypatch.setattr(module, "_PAYS", 0.0)


@pytest.mark.usefixtures("however_small")
def test_runs_have_them_unless_their_folder_says_otherwise():
    made = plan()
    row = made.row(0) | made.shared
    with numerics():
        draw = Programs().draw
        found = draw(row, 60).lane(row).prepared.later
        assert found is not None
        assert found.begins >= 200
        assert draw(row | {WHOLE_BASES: True}, 60).lane(row).prepared.later is None
        momentum = row | {"training.optimizer": "momentum", "training.momentum": 0.5}
        assert draw(momentum, 60).lane(momentum).prepared.later is None


@pytest.mark.usefixtures("however_small")
def test_runs_are_those_of_whole_bases_to_their_estimate(monkeypatch: pytest.MonkeyPatch):
    found = train_rows(plan(), programs=Programs())
    monkeypatch.setattr(reducing, "narrows", lambda row: False)
    whole = train_rows(plan(), programs=Programs())
    assert found.status == whole.status == ["finished"] * 2
    for name, values in whole.observables.items():
        apart = np.max(np.abs(found.observables[name] / values - 1), axis=1)
        allowed = np.maximum(found.truncation_error, whole.truncation_error)
        assert np.all((apart > 0) & (apart <= 2 * allowed)), name


@pytest.mark.usefixtures("however_small")
def test_where_segments_are_cut_does_not_change_their_bits(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reducing, "_STOP_FLOPS", 1.0)
    monkeypatch.setattr(stepped, "_RARER", 1)
    whole = None
    for first, seconds in [(10**6, 1e3), (1, 1e-12), (37, 1e-12)]:
        monkeypatch.setattr(descent, "_FIRST_SEGMENT_STEPS", first)
        monkeypatch.setattr(descent, "_SEGMENT_SECONDS", seconds)
        found = train_rows(plan(num_steps=600), programs=Programs())
        whole = whole or found
        for name, values in whole.observables.items():
            assert np.array_equal(found.observables[name], values), name
