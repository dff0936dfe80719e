"""Steps that no number of stages reaches, held beside the flow of whole layers in NumPy."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest

from dlnsweep.reduced import long_steps
from dlnsweep.reduced.chain import Chain, Descent
from dlnsweep.reduced.implicit import advanced
from dlnsweep.reduced.pilot import Pilot
from dlnsweep.reduced.start import Network
from dlnsweep.reduced.tableau import MOST_TABLED

RATES = 0.05 * np.array([1.0, 0.9, 0.8])


def network(decay: float, **numbers) -> Network:
    rng = np.random.default_rng(3)
    sizes = (4, 12, 11, 5)
    weights = [rng.normal(size=(b, a)) / np.sqrt(a) for a, b in itertools.pairwise(sizes)]
    descent = Descent(
        np.array([1.0, 0.6]), rng.normal(size=(5, 2)) / 2, RATES, decay, 0.9, **numbers
    )
    first, off = weights[0][:, :2], weights[0][:, 2:]
    norms = np.array([np.sum(w**2) for w in (first, *weights[1:])])
    return Network(first, off, tuple(weights[1:]), norms, descent)


def begun(decay: float, steps: int, **numbers) -> Chain:
    """A chain of all directions after some steps of gradient descent."""
    chain = Pilot.complete(network(decay, **numbers)).chain
    chain.advance(1.0, 0, steps)
    return chain


def layers_of(chain: Chain, decay: float) -> list[np.ndarray]:
    """W_i: of whole bases c_i W_i(0) + B_i D_i F_{i-1}^T, the B_i and F_i of `Pilot.complete`."""
    own = network(decay)
    pilot = Pilot.complete(own)
    inner = [np.eye(2), *pilot.forward_bases]
    return [
        scale * w + b @ d @ f.T
        for scale, w, b, d, f in zip(
            chain.scales, [own.first, *own.rest], pilot.backward_bases, chain.corrections, inner,
            strict=True,
        )
    ]  # fmt: skip


def velocity(layers: list[np.ndarray], descent: Descent) -> list[np.ndarray]:
    """The flow of whole layers, without a word of the kernel's."""
    above, below = [np.eye(len(layers[-1]))], [np.diag(descent.inputs)]
    for w in layers[:0:-1]:
        above.insert(0, above[0] @ w)
    for w in layers:
        below.append(w @ below[-1])
    residual = descent.data_fit_scale * (below[-1] - descent.targets)
    return [
        speed * (-rate * (a.T @ residual @ b.T) - rate * descent.weight_decay * w)
        for speed, rate, a, b, w in zip(
            descent.speeds, descent.rates, above, below, layers, strict=False
        )
    ]


def flowed(layers: list[np.ndarray], descent: Descent, time: float, parts: int):
    """Classical Runge-Kutta; its steps of two or so are right to nine digits on what is slow."""
    h = time / parts
    for _ in range(parts):
        one = velocity(layers, descent)
        two = velocity([w + h / 2 * v for w, v in zip(layers, one, strict=True)], descent)
        three = velocity([w + h / 2 * v for w, v in zip(layers, two, strict=True)], descent)
        four = velocity([w + h * v for w, v in zip(layers, three, strict=True)], descent)
        rows = zip(layers, one, two, three, four, strict=True)
        layers = [w + h / 6 * (a + 2 * b + 2 * c + d) for w, a, b, c, d in rows]
    return layers


def apart(found: list[np.ndarray], truth: list[np.ndarray]) -> float:
    return max(
        float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in zip(found, truth, strict=True)
    )


def residual_of(layers: list[np.ndarray], descent: Descent) -> np.ndarray:
    product = layers[2] @ layers[1] @ layers[0]
    return product * descent.inputs - descent.targets


@pytest.mark.parametrize("options", [{}, {"momentum": 0.8}], ids=["plain", "momentum"])
def test_an_implicit_step_follows_the_flow_by_the_fourth_power_of_its_share(options):
    decay, found = 1e-3, []
    chain = begun(decay, 2000, **options)
    descent, start = chain.descent, layers_of(chain, decay)
    for share in (0.05, 0.1, 0.2):
        length = share / (RATES[0] * decay * descent.speeds[0])
        own = copy.copy(chain)
        made = advanced(own.layers, length, descent.speeds * descent.rates, decay, 0.9)
        assert made is not None
        own.go_to(*made)
        truth = flowed(start, descent, length, int(length))
        moved = apart(start, truth)
        found.append(apart(layers_of(own, decay), truth) / moved)
        # A residual is a small difference, and known as well as what moves slowly is.
        small, true = (residual_of(w, descent) for w in (layers_of(own, decay), truth))
        assert np.linalg.norm(true) < 0.02 * np.linalg.norm(descent.targets)
        assert np.linalg.norm(small - true) < 1e-3 * np.linalg.norm(true)
    assert found[0] < 1e-6
    # The error of the whole step is of fourth order, that over the movement of third.
    assert 2**2 < found[1] / found[0] < 2**4.5
    assert 2**2 < found[2] / found[1] < 2**4.5


def test_steps_of_more_stages_than_tables_are_implicit(monkeypatch):
    decay = 1e-3
    monkeypatch.setattr(long_steps, "_recur", None)
    chain = begun(decay, 2000)
    truth = flowed(layers_of(chain, decay), chain.descent, 4000.0, 4000)
    chain.advance(4000.0, MOST_TABLED + 1)
    assert apart(layers_of(chain, decay), truth) < 1e-4


def test_a_step_that_does_not_converge_is_two(monkeypatch):
    decay, lengths = 1e-3, []
    chain = begun(decay, 300)

    def counted(layers, length, *numbers):
        made = advanced(layers, length, *numbers) if length < 4000 else None
        lengths.append(length)
        return made

    monkeypatch.setattr(long_steps, "advanced", counted)
    truth = flowed(layers_of(chain, decay), chain.descent, 8000.0, 8000)
    chain.advance(8000.0, 4 * MOST_TABLED)
    assert lengths == [8000.0, 4000.0, 2000.0, 2000.0, 4000.0, 2000.0, 2000.0]
    assert apart(layers_of(chain, decay), truth) < 1e-4


def test_what_has_diverged_is_not_halved(monkeypatch):
    chain = begun(1e-3, 300)
    monkeypatch.setattr(long_steps, "advanced", None)
    chain.go_to([np.full_like(d, np.nan) for d in chain.corrections], chain.scales)
    with np.errstate(invalid="ignore"):
        (norm,) = chain.advance(1e9, 1000 * MOST_TABLED)
    assert not np.isfinite(norm)


def test_what_no_iteration_solves_is_said():
    # From the initial weights on, by many times what they take to fit and to decay.
    chain = begun(1e-3, 0)
    assert advanced(chain.layers, 1e6, chain.descent.rates, 1e-3, 0.9) is None


def test_of_very_many_outputs_stages_are_taken_one_by_one(monkeypatch):
    chain = begun(1e-3, 300)
    monkeypatch.setattr(long_steps, "LARGEST", chain.descent.targets.size - 1)
    monkeypatch.setattr(long_steps, "advanced", None)
    truth = flowed(layers_of(chain, 1e-3), chain.descent, 2000.0, 2000)
    assert len(chain.advance(2000.0, MOST_TABLED + 1)) == MOST_TABLED + 1
    assert apart(layers_of(chain, 1e-3), truth) < 1e-4
