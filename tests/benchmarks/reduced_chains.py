"""Jumps of whole networks beside steps: `python -m tests.benchmarks.reduced_chains [--csv FILE]`.

The certificate of `reduced_jumps.py` trains networks as sweeps do, of which most of the time goes
into their bases. Here a network is so small that its bases are whole: the reduced kernel's steps
and jumps are those of gradient descent itself, its rehearsal is the run by all steps, and random
networks of depth 2 to 6, weight decays and rates up to instability cost less than a second each.
With `--momentum` their steps are heavy ball's and Nesterov's by turns.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from dlnsweep.contracts.descent import Inputs
from dlnsweep.engine.deviations import deviations_of
from dlnsweep.numerics.lanes import ONE_FUNCTION_OPTIONS
from dlnsweep.numerics.lazy import jax, jnp, lax
from dlnsweep.numerics.products import multiply
from dlnsweep.numerics.runtime import numerics
from dlnsweep.reduced import compact_descent
from dlnsweep.reduced.chain import Descent
from dlnsweep.reduced.jumping import jumps, pacing
from dlnsweep.reduced.jumping.slow import limit_of
from dlnsweep.reduced.kernel import ReducedKernel
from dlnsweep.reduced.reduction import Rehearsal
from tests.benchmarks.tables import Table, machine

_WIDTH, _OUTPUTS, _RANK, _OFF = 10, 5, 3, 2
_STEPS, _RECORDS = 200_000, 60
# Of what a step takes away of the steepest part at the start.
_STEEP = 0.05, 1.95
# So many e-foldings of a layer's decay has a run.
_FOLDS = 0.1, 30.0
_TOLERANCES = 1e-6, 1e-3
# Of these networks and all later ones decays are over six decades, and tolerances over five.
_FIRST_FAR = 500
_FAR_FOLDS, _FAR_TOLERANCES = (1e-4, 100.0), (1e-8, 1e-3)
# Real steps before a jump, as a pilot makes them.
_EXACT = 215.0
_NAMES = ("regression_error", "off_subspace_error", "on_range", "weight_norms")


class _Data(NamedTuple):
    """What a step reads of the samples."""

    inputs: Any


class _Drawn(NamedTuple):
    """A random network and how it is trained."""

    weights: list[np.ndarray]
    off: np.ndarray
    descent: Descent
    tolerance: float
    steps: np.ndarray


def drawn(number: int, *, momentum: bool) -> _Drawn:
    """Return a random network."""
    rng = np.random.default_rng([23, number])

    def log(ends: tuple[float, float]) -> float:
        return float(np.exp(rng.uniform(*np.log(ends))))

    depth = 2 + number % 5
    sizes = [_RANK, *[_WIDTH] * (depth - 1), _OUTPUTS]
    weights = [
        rng.normal(size=(b, a)) / np.sqrt(a) * rng.uniform(0.4, 1.1)
        for a, b in itertools.pairwise(sizes)
    ]
    off = rng.normal(size=(_WIDTH, _OFF)) / np.sqrt(_RANK)
    inputs = np.sort(np.exp(rng.uniform(-rng.uniform(0, 2), 0, _RANK)))[::-1].copy()
    targets = rng.normal(size=(_OUTPUTS, _RANK)) * inputs
    targets *= rng.uniform(0.5, 2) / np.linalg.norm(targets)
    rates = np.exp(rng.uniform(-0.5, 0.5, depth)) if number % 3 == 0 else np.ones(depth)
    kernel = np.zeros((_OUTPUTS * _RANK,) * 2)
    for j in range(depth):
        below, above = np.diag(inputs), np.eye(_OUTPUTS)
        for weight in weights[:j]:
            below = weight @ below
        for weight in weights[:j:-1]:
            above = above @ weight
        kernel += rates[j] * np.kron(below.T @ below, above @ above.T)
    rates *= rng.uniform(*_STEEP) / np.linalg.eigvalsh(kernel)[-1]
    far = number >= _FIRST_FAR
    folds = log(_FAR_FOLDS if far else _FOLDS) if number % 7 else 0.0
    beta, nesterov = 0.0, number % 2 == 1
    if momentum:
        # From 0.5 to 0.99.
        beta = 1 - log((0.01, 0.5))
        rates *= limit_of(beta, nesterov=nesterov) / 2
    decay = folds / _STEPS / float(np.max(rates)) * (1 - beta)
    descent = Descent(inputs, targets, rates, decay, 1.0, beta, nesterov and momentum)
    space = np.linspace if number % 4 == 3 else np.geomspace
    steps = np.unique(space(1, _STEPS, _RECORDS).round().astype(np.int64))
    # Of one length, whatever was there twice.
    steps = np.concatenate([np.zeros(1 + _RECORDS - len(steps), np.int64), steps])
    return _Drawn(weights, off, descent, log(_FAR_TOLERANCES if far else _TOLERANCES), steps)


@cache
def _program(depth: int, optimizer: str) -> Any:
    """Return what trains a network of a depth."""
    training: Any = SimpleNamespace(optimizer=optimizer)
    nothing: Any = None
    kernel = ReducedKernel(
        training, nothing, early_exit=True, precision="float64", fused=True, jumps=True
    )

    def run(constants: Any, off: Any, steps: Any) -> Any:
        state = compact_descent.start(constants, momentum=optimizer != "gradient_descent")
        inputs = Inputs(constants, constants.weight_decay, nothing, nothing)
        state = state._replace(counts=jnp.zeros(2, jnp.int64))

        def record(carry: Any, stop: Any) -> Any:
            state, step = carry
            state = kernel.advance(inputs, state, step, stop)
            layers = [
                c * w + d
                for c, w, d in zip(state.scales, constants.forward, state.corrections, strict=True)
            ]
            beyond, norms = state.scales[0] * off, [jnp.sum(layers[0] ** 2)]
            for layer in layers[1:]:
                beyond = multiply(layer, beyond)
                norms.append(jnp.sum(layer**2))
            output = compact_descent.activations(constants, state)[-1]
            found = (
                jnp.linalg.norm(output - constants.targets),
                jnp.linalg.norm(beyond, 2),
                output.reshape(-1),
                jnp.sqrt(jnp.stack(norms)),
            )
            rate = jumps.steepest(jumps.chained(constants), state.scales, state.corrections)
            return (state, stop), (found, rate)

        (state, _), found = lax.scan(record, (state, jnp.int64(0)), steps)
        return found, state.counts, state.active

    return jax.jit(run, compiler_options=ONE_FUNCTION_OPTIONS)


def trained(own: _Drawn, pace: jumps.Pace) -> Any:
    """Return the records of a network, its rates, what it jumped over, and whether it lives."""
    descent, nothing = own.descent, None
    made: Any = compact_descent.Constants
    with numerics():
        constants = made(
            data=_Data(jnp.asarray(descent.inputs)),
            targets=jnp.asarray(descent.targets),
            forward=tuple(map(jnp.asarray, own.weights)),
            mixed=tuple(jnp.ones(_WIDTH) for _ in own.weights[1:]),
            backward=tuple(map(jnp.asarray, own.weights[1:])),
            rates=jnp.asarray(descent.rates),
            weight_decay=jnp.float64(descent.weight_decay),
            data_fit_scale=jnp.float64(1.0),
            momentum=jnp.float64(descent.momentum),
            blocks=nothing,
            limit=jnp.float64(1e12),
            pace=jumps.Pace(*map(jnp.float64, pace)),
        )
        optimizer = "nesterov" if descent.nesterov else "momentum"
        program = _program(len(own.weights), optimizer if descent.momentum else "gradient_descent")
        return jax.tree.map(
            np.asarray, program(constants, jnp.asarray(own.off), jnp.asarray(own.steps))
        )


def apart(found: Any, judged: Any) -> float:
    """Return the largest deviation of two runs' records."""
    pairs = zip(_NAMES, found, judged, strict=True)
    return max(float(np.max(deviations_of(name, a, b)[1:])) for name, a, b in pairs)


def measure(table: Table, number: int, *, momentum: bool) -> float:
    """Add the row of a network; return its error beside what is allowed, -1 where none jumps."""
    own = drawn(number, momentum=momentum)
    exact = _EXACT / (1 - own.descent.momentum)
    (truth, rates), _, alive = trained(own, jumps.STEP_BY_STEP)
    if not alive or np.max(rates[own.steps > exact]) > 0.995 * own.descent.stable_below:
        # No run of the reduced kernel: unstable after its pilot's own steps.
        return -1.0
    first = int(np.argmax(own.steps > 0)) - 1
    stiffness = np.concatenate([[np.inf], rates[first + 1 :]])
    times = own.steps[first:].astype(float)
    path = Rehearsal(times, np.ones(len(times)), exact, stiffness)
    paces = pacing.paces(own.descent, path, own.tolerance, own.steps[first:])
    estimate = error = np.inf
    before, counts, trials = None, np.zeros(2), 0
    for trial, pace in enumerate(paces, start=1):
        (found, _), counts, alive = trained(own, pace)
        trials = trial
        if before is not None:
            estimate = apart(before, found)
        if estimate <= pacing.SHARE * own.tolerance:
            error = apart(found, truth)
            break
        before = found
    held = np.isfinite(error)
    table.add(
        number, len(own.weights), rates[first + 1], np.max(rates[own.steps > exact]),
        own.tolerance, trials if held else 0, int(counts[1]), int(counts[0]),
        estimate if held else 0.0, error if held else 0.0,
        *([own.descent.momentum, "nesterov" if own.descent.nesterov else "momentum"] * momentum),
    )  # fmt: skip
    return error / max(pacing.SHARE * own.tolerance, 3 * estimate) if held else -1.0


def main() -> int:
    """Print the worst, and write all runs if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--networks", type=int, default=300)
    parser.add_argument("--momentum", action="store_true")
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    where = machine()
    table = Table(
        "Jumps of small whole networks beside their steps; trials 0 where all steps are taken",
        ["network", "depth", "steepest at first", "steepest later", "tolerance", "trials", "jumps",
         "jumped over", "estimate", "error", *(["momentum", "optimizer"] * arguments.momentum)],
    )  # fmt: skip
    found = []
    for number in range(arguments.first, arguments.first + arguments.networks):
        found.append(measure(table, number, momentum=arguments.momentum))
        if found[-1] > 1 or number % 20 == 19:
            jumping = [one for one in found if one >= 0]
            worst = max(jumping, default=0.0)
            print(f"{number}: {len(jumping)} jump, worst {worst:.3g} of allowed", flush=True)
            if arguments.csv:
                table.write_csv(arguments.csv, where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
