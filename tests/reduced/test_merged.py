"""Steps along the flow, as factors and as sums, against the method as its authors write it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dlnsweep.reduced import compiled as module
from dlnsweep.reduced import long_steps, tableau
from dlnsweep.reduced.chain import Chain, Descent
from dlnsweep.reduced.path import Advance, grouped
from dlnsweep.simd.llvm import is_usable

# Identities of exact arithmetic, over some hundred stages of rounding at 1.1e-16 each.
EXACT = 1e-12


# Steps by NumPy, and by machine code where LLVM is there.
WAYS = [
    pytest.param(False, id="numpy"),
    pytest.param(True, id="llvm", marks=pytest.mark.skipif(not is_usable(), reason="no llvmlite")),
]


def chain_of(
    rank: int,
    sizes: tuple[tuple[int, int], ...],
    decay: float,
    compiled: bool,
    *,
    diagonal: bool = False,
) -> Chain:
    """A chain of random matrices; `sizes` are (columns of F_j, columns of B_{j+1})."""
    rng = np.random.default_rng(0)
    inner = [rank, *(n for n, _ in sizes[:-1])]
    outer = [n for _, n in sizes]
    above = [*inner[1:], outer[-1]]
    descent = Descent(
        inputs=np.linspace(1.0, 0.4, rank),
        targets=rng.normal(size=(outer[-1], rank)),
        rates=np.linspace(0.02, 0.01, len(sizes)),
        weight_decay=decay,
        data_fit_scale=0.8,
    )

    def drawn(rows: int, columns: int) -> np.ndarray:
        return rng.normal(size=(rows, columns)) / np.sqrt(max(rows, columns, 1))

    def met(rows: int, columns: int) -> np.ndarray:
        matrix = drawn(rows, columns)
        return np.eye(rows, columns) * matrix if diagonal else matrix

    return Chain(
        descent,
        forward=[drawn(a, n) for a, n in zip(above, inner, strict=True)],
        mixed=[met(n, b) for n, b in zip(inner[1:], outer, strict=False)],
        backward=[drawn(b, a) for a, b in zip([0, *outer], outer, strict=False)],
        corrections=[drawn(b, n) / 10 for b, n in zip(outer, inner, strict=True)],
        scales=np.linspace(0.9, 0.7, len(sizes)),
        compiled=compiled,
    )


def by_recurrence(chain: Chain, steps: float, stages: int) -> list[np.ndarray]:
    """Return the state after a step of Sommeijer, Shampine and Verwer's method, (2.1) to (2.6)."""
    w0 = 1 + 2 / 13 / stages**2
    t = np.polynomial.chebyshev.Chebyshev.basis(stages)

    def b_of(j: int) -> float:
        own = np.polynomial.chebyshev.Chebyshev.basis(max(j, 2))
        return own.deriv(2)(w0) / own.deriv()(w0) ** 2

    w1 = t.deriv()(w0) / t.deriv(2)(w0)
    start = [*chain.corrections, chain.scales]

    def velocity(state: list[np.ndarray]) -> list[np.ndarray]:
        *chain.corrections, chain.scales = state
        speeds = [*chain.descent.speeds, chain.descent.speeds]
        return [speed * v for speed, v in zip(speeds, chain.velocity(), strict=True)]

    first = velocity(start)
    before, now = start, [y + b_of(1) * w1 * steps * v for y, v in zip(start, first, strict=True)]
    for j in range(2, stages + 1):
        mu, nu = 2 * b_of(j) / b_of(j - 1) * w0, -b_of(j) / b_of(j - 2)
        rate = 2 * b_of(j) / b_of(j - 1) * w1
        last = np.polynomial.chebyshev.Chebyshev.basis(j - 1)(w0) * b_of(j - 1) - 1
        terms = zip(start, now, before, velocity(now), first, strict=True)
        before, now = now, [
            (1 - mu - nu) * y0 + mu * y + nu * y2 + rate * steps * v + last * rate * steps * v0
            for y0, y, y2, v, v0 in terms
        ]  # fmt: skip
    return now


SIZES = ((7, 9), (12, 8), (10, 11), (6, 5))


@pytest.mark.parametrize("compiled", WAYS)
@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize(
    ("kept", "tabled"),
    [(np.inf, 20), (0.0, 20), (np.inf, 1)],
    ids=["factors", "sums", "recurrence"],
)
def test_a_step_is_that_of_the_method(
    kept: float,
    tabled: int,
    depth: int,
    decay: float,
    diagonal: bool,
    compiled: bool,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("dlnsweep.reduced.chain._MERGED", kept)
    monkeypatch.setattr("dlnsweep.reduced.chain.MOST_TABLED", tabled)
    for stages, rank in ((2, 3), (3, 5), (20, 3)):
        chain = chain_of(rank, SIZES[4 - depth :], decay, compiled, diagonal=diagonal)
        for steps in (1.5, 0.7):
            # A second one goes on with what the first has merged.
            other = replace(chain, corrections=list(chain.corrections))
            expected = by_recurrence(other, steps, stages)
            chain.velocity()
            before = chain.residual_norm
            norms = chain.advance(steps, stages)
            assert len(norms) == stages
            assert abs(norms[0] / before - 1) <= EXACT
            for found, true in zip([*chain.corrections, chain.scales], expected, strict=True):
                assert np.max(np.abs(found - true)) <= EXACT * np.max(np.abs(true))


def test_of_very_many_stages_nothing_is_made_that_grows_with_their_square(
    monkeypatch: pytest.MonkeyPatch,
):
    # As of a chain whose outputs times samples are too many for an implicit step.
    monkeypatch.setattr(long_steps, "LARGEST", 0)
    chain = chain_of(3, SIZES, 0.0, compiled=False)
    tableau.chebyshev.cache_clear()
    # As many as a step of a run of 10^10 steps may have: a table of them takes 3 GB.
    norms = chain.advance(1e-3, 20_000)
    assert len(norms) == 20_000
    assert np.isfinite(norms[-1])
    assert not tableau.chebyshev.cache_info().currsize


@pytest.mark.parametrize("compiled", WAYS)
@pytest.mark.parametrize("kept", [np.inf, 0.0], ids=["factors", "sums"])
def test_short_steps_together_are_those_one_by_one(
    kept: float, compiled: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("dlnsweep.reduced.chain._MERGED", kept)
    together, single = (chain_of(2, SIZES, 0.2, compiled) for _ in range(2))
    # Of many steps of gradient descent some are made together, each exactly.
    for stages, times in ((0, 7), (1, 7), (0, 37), (0, 3)):
        norms = together.advance(0.5 if stages else 1.0, stages, times)
        assert len(norms) == times
        expected = []
        for _ in range(times):
            changes = single.velocity()
            expected.append(single.residual_norm)
            speeds = [*single.descent.speeds, single.descent.speeds]
            state = [*single.corrections, single.scales]
            *single.corrections, single.scales = (
                y + (0.5 * speed * v if stages else v)
                for y, speed, v in zip(state, speeds, changes, strict=True)
            )
        assert np.max(np.abs(np.array(norms) / expected - 1)) <= EXACT
        for found, true in zip(together.corrections, single.corrections, strict=True):
            assert np.max(np.abs(found - true)) <= EXACT * np.max(np.abs(true))
        assert np.max(np.abs(together.scales - single.scales)) <= EXACT


@pytest.mark.parametrize("compiled", WAYS)
def test_bases_may_grow_between_steps(compiled: bool):
    grown, fresh = (chain_of(2, SIZES, 0.1, compiled) for _ in range(2))
    grown.advance(1.0, 5)
    for chain in (grown, fresh):
        chain.grow(1, columns=2)
        chain.forward[0] = np.vstack([chain.forward[0], np.ones((2, 2))])
        chain.mixed[0] = np.vstack([chain.mixed[0], np.ones((2, 9))])
        chain.forward[1] = np.hstack([chain.forward[1], np.ones((12, 2))])
    fresh.corrections = [d.copy() for d in grown.corrections]
    fresh.scales = grown.scales.copy()
    expected = by_recurrence(fresh, 1.0, 5)
    grown.advance(1.0, 5)
    for found, true in zip([*grown.corrections, grown.scales], expected, strict=True):
        assert found.shape == true.shape
        assert np.max(np.abs(found - true)) <= EXACT * np.max(np.abs(true))


@pytest.mark.skipif(not is_usable(), reason="no llvmlite")
@pytest.mark.parametrize("diagonal", [False, True])
def test_rows_that_are_padded_by_a_vector_more_give_the_same(
    monkeypatch: pytest.MonkeyPatch, diagonal: bool
):
    found = []
    # By default none of these; all, and those of 8 and of 16 numbers.
    for alike in (module._ALIKE, 8, 16):
        monkeypatch.setattr(module, "_ALIKE", alike)
        chain = chain_of(3, ((16, 8), (11, 19), (13, 16)), 0.3, True, diagonal=diagonal)
        chain.advance(4.0, 5)
        chain.advance(1.0, 0, 20)
        found.append([*chain.corrections, chain.scales])
    for other in found[1:]:
        for own, same in zip(other, found[0], strict=True):
            np.testing.assert_array_equal(own, same)


def test_equal_short_parts_come_together():
    parts = [
        Advance(1.0, 0, 0.3), Advance(1.0, 0, 0.3, checked=True), Advance(1.0, 0, 0.3),
        Advance(9.0, 4, 0.3), Advance(9.0, 4, 0.3), Advance(0.5, 1, 0.3), Advance(0.5, 1, 0.3),
        Advance(0.4, 1, 0.3, checked=True),
    ]  # fmt: skip
    found = list(grouped(parts))
    assert [times for _, times in found] == [2, 1, 1, 1, 2, 1]
    assert [part.checked for part, _ in found] == [True, False, False, False, False, True]
    assert sum(part.steps * times for part, times in found) == sum(part.steps for part in parts)
