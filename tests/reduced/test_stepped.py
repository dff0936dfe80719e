"""Steps of reduced runs as machine code: against NumPy, against XLA's, wherever they are cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from batch_samples import plan_of, train_rows

from dlnsweep.contracts.network import STEPS_BY_XLA
from dlnsweep.engine import descent
from dlnsweep.engine.programs import PROGRAMS, Programs
from dlnsweep.numerics.runtime import numerics
from dlnsweep.reduced import program as reducing
from dlnsweep.reduced import stepped
from dlnsweep.reduced.compact_descent import Constants, State
from dlnsweep.reduced.stepped import Descending, SteppedProgram, block_for
from dlnsweep.simd.llvm import is_usable

pytestmark = pytest.mark.skipif(not is_usable(), reason="no llvmlite")

# Some tens of steps of sums of some tens of terms, rounded at 1.1e-16 each.
ROUNDING = 1e-12
# Some hundreds of steps at half the rate of stability, of two codes.
SAME = 1e-9
# Unstable steps magnify what is rounded: by 10^9 in 44 of them, so that it comes to 1e-7. One step
# more or less is a difference of the size of the numbers.
GROWN = 1e-5
# Sizes of F_1, ..., F_{L-1} and B_1, ..., B_L; not multiples of a vector.
SHAPES = [((), (5,)), ((7,), (9, 4)), ((11, 18), (6, 20, 13))]


def constants_of(rank: int, shape: Any, limit: float = np.inf) -> Any:
    """A random chain, as NumPy arrays."""
    forward, backward = shape
    rng = np.random.default_rng(rank)
    inner, above = (rank, *forward), (*forward, backward[-1])

    def drawn(rows: int, columns: int) -> np.ndarray:
        return rng.normal(size=(rows, columns)) / np.sqrt(max(rows, columns))

    data: Any = type("Data", (), {"inputs": np.linspace(1.0, 0.4, rank)})
    made: Any = Constants
    return made(
        data=data,
        targets=rng.normal(size=(backward[-1], rank)),
        forward=tuple(drawn(a, i) for a, i in zip(above, inner, strict=True)),
        mixed=tuple(
            rng.uniform(0.1, 1.0, min(f, b)) for f, b in zip(forward, backward, strict=False)
        ),
        backward=tuple(drawn(b, a) for b, a in zip(backward[1:], backward, strict=False)),
        rates=np.linspace(0.05, 0.02, len(backward)),
        weight_decay=np.float64(0.3),
        data_fit_scale=np.float64(0.8),
        momentum=np.float64(0.0),
        blocks=None,
        limit=np.asarray(limit),
    )


def begun(constants: Any) -> State:
    rng = np.random.default_rng(7)
    inner = [len(constants.data.inputs), *(a.shape[0] for a in constants.forward[:-1])]
    outer = [*(n.shape[1] for n in constants.backward), len(constants.targets)]
    pairs = zip(outer, inner, strict=True)
    corrections: Any = tuple(rng.normal(size=pair) / 10 for pair in pairs)
    scales: Any = np.linspace(0.9, 0.7, len(outer))
    flag: Any = np.asarray(True)
    return State(corrections, scales, (), flag, flag - 2)


def one_by_one(constants: Any, state: Any, count: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the D_i and c_i after so many steps of chain.py's recursion, and ||Phi||^2 before."""
    depth, d, c = len(constants.rates), list(state.corrections), np.array(state.scales)
    squares = []
    for _ in range(count):
        f = [np.diag(constants.data.inputs)]
        for j in range(depth):
            change = d[j] @ f[j]
            if j < depth - 1:
                shared = np.zeros((constants.forward[j].shape[0], len(change)))
                np.fill_diagonal(shared, constants.mixed[j])
                change = shared @ change
            f.append(c[j] * (constants.forward[j] @ f[j]) + change)
        phi = f[-1] - constants.targets
        squares.append(float(np.sum(phi**2)))
        b = [constants.data_fit_scale * phi]
        for j in range(depth - 1, 0, -1):
            shared = np.zeros((constants.forward[j - 1].shape[0], d[j - 1].shape[0]))
            np.fill_diagonal(shared, constants.mixed[j - 1])
            below = c[j] * (constants.backward[j - 1].T @ b[0]) + shared.T @ (d[j].T @ b[0])
            b.insert(0, below)
        keep = 1 - constants.rates * constants.weight_decay
        d = [
            keep[j] * d[j] - constants.rates[j] * b[j] @ f[j].T
            for j in range(depth)
        ]  # fmt: skip
        c = keep * c
    return [*d, c], np.array(squares)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rank", [1, 3, 8, 40])
def test_steps_are_those_of_the_recursion_wherever_they_are_cut(rank: int, shape: Any):
    constants = constants_of(rank, shape)
    state, block = begun(constants), block_for(rank)
    expected, _ = one_by_one(constants, state, 3 * block + 3)
    steps = Descending(constants)
    whole = steps.take(state, 5, 5 + 3 * block + 3)
    for found, true in zip([*whole.corrections, whole.scales], expected, strict=True):
        assert np.max(np.abs(found - true)) <= ROUNDING * np.max(np.abs(true))
    assert bool(whole.active)
    assert int(whole.diverged_step) == -1
    there = steps.take(state, 5, 5 + 2 * block)
    # Something else in between, as another process has.
    Descending(constants).take(state, 0, 7)
    again = Descending(constants).take(there, 5 + 2 * block, 5 + 3 * block + 3)
    for found, true in zip(again.corrections, whole.corrections, strict=True):
        assert np.array_equal(found, true)
    assert np.array_equal(again.scales, whole.scales)
    assert steps.take(whole, 9, 9) is whole


# Rates, as multiples, at which the error comes to the limit within the first steps of a block, in
# the third block, and before the first step.
@pytest.mark.parametrize(("more", "limit", "expected"), [(6.6, 60, 4), (5.8, 60, 44), (1, 1, 0)])
def test_a_run_stays_where_its_error_is_first_beyond_the_limit(
    more: float, limit: float, expected: int
):
    constants = constants_of(3, SHAPES[2], limit)
    constants = constants._replace(rates=more * constants.rates)
    state = begun(constants)
    with np.errstate(all="ignore"):
        squares = one_by_one(constants, state, 60)[1]
    assert int(np.flatnonzero(~(squares <= limit))[0]) == expected
    true, _ = one_by_one(constants, state, expected)
    found = Descending(constants).take(state, 100, 160)
    assert not bool(found.active)
    assert int(found.diverged_step) == 100 + expected
    for own, other in zip([*found.corrections, found.scales], true, strict=True):
        assert np.max(np.abs(own - other)) <= GROWN * np.max(np.abs(other))
    # There it stays.
    assert Descending(constants).take(found, 160, 200) is found


def plan(**sections: Any) -> Any:
    defaults: dict[str, dict[str, Any]] = {
        "network": {"depth": 3, "width": 60},
        "training": {"learning_rate": 0.03, "weight_decay": [0.05, 0.2], "num_steps": 300},
        "record": {"count": 12, "observables": ["regression_error", "off_subspace_error"]},
        "sweep": {"seeds": 1, "tolerance": 1e-4, "kernel": "reduced"},
    }
    return plan_of(**{name: own | sections.get(name, {}) for name, own in defaults.items()})


@pytest.fixture
def by_machine_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stepped, "_LEAST_FLOPS", 0.0)


def trained(made: Any) -> tuple[Any, set[bool]]:
    """Return what runs came to, and whether machine code took their steps."""
    programs = Programs()
    found = train_rows(made, programs=programs)
    kinds = [each for each in programs._made.values() if isinstance(each, reducing.ReducedProgram)]
    return found, {isinstance(each, SteppedProgram) for each in kinds}


@pytest.mark.usefixtures("by_machine_code")
@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"training": {"stop_when": {"observable": "regression_error", "below": 0.5}}},
        {"training": {"learning_rate": [0.03, 40.0], "weight_decay": 0.01}},
    ],
    ids=["finished", "stopped", "diverged"],
)
def test_runs_are_those_of_the_other_program(sections: Any, monkeypatch: pytest.MonkeyPatch):
    made = plan(**sections)
    found, kinds = trained(made)
    assert kinds == {True}
    monkeypatch.setattr(stepped, "_LEAST_FLOPS", np.inf)
    other, kinds = trained(made)
    assert kinds == {False}
    assert found.status == other.status
    assert found.num_rows.tolist() == other.num_rows.tolist()
    assert found.diverged_step.tolist() == other.diverged_step.tolist()
    assert found.stopped_step.tolist() == other.stopped_step.tolist()
    for name, values in other.observables.items():
        for lane, rows in enumerate(other.num_rows.tolist()):
            apart = np.abs(found.observables[name][lane, :rows] / values[lane, :rows] - 1)
            assert np.max(apart, initial=0.0) <= SAME, name


@pytest.mark.usefixtures("by_machine_code")
def test_where_segments_are_cut_does_not_change_their_bits(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reducing, "_STOP_FLOPS", 1.0)
    monkeypatch.setattr(stepped, "_RARER", 1)
    made = plan(training={"weight_decay": 0.05})
    whole = None
    for first, seconds in [(10**6, 1e3), (1, 1e-12), (37, 1e-12)]:
        monkeypatch.setattr(descent, "_FIRST_SEGMENT_STEPS", first)
        monkeypatch.setattr(descent, "_SEGMENT_SECONDS", seconds)
        found, kinds = trained(made)
        assert kinds == {True}
        whole = whole or found
        for name, values in whole.observables.items():
            assert np.array_equal(found.observables[name], values), name


def test_large_steps_are_machine_code_unless_the_folder_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
):
    made = plan(training={"weight_decay": 0.05})
    row = made.row(0) | made.shared
    with numerics():
        lane = PROGRAMS.draw(row, 60).lane(row)
        flops = reducing.common_sizes([lane]).step_flops(len(lane.start.data.inputs))

        def kind(more: dict[str, Any]) -> bool:
            program = Programs().reduced(row | more, PROGRAMS.draw(row, 60), [lane])
            return isinstance(program, SteppedProgram)

        monkeypatch.setattr(stepped, "_LEAST_FLOPS", float(flops))
        assert kind({})
        assert not kind({STEPS_BY_XLA: True})
        # Runs that may jump have a program of their own.
        assert not kind({"training.num_steps": 10**6})
        monkeypatch.setattr(stepped, "_LEAST_FLOPS", flops + 1.0)
        assert not kind({})
        monkeypatch.setattr(stepped, "_LEAST_FLOPS", 0.0)
        monkeypatch.setattr(stepped, "is_usable", lambda: False)
        assert not kind({})
