"""Random runs that begin where time jumps have it hard, in the way of jump_samples.py.

Of each kind a number names a program: deep linear networks of depth 2 to 6 by either step rule.
`wide` has widths of 24 to 128; `edge` learning rates of 1.5 to 1.99 over the curvature at the
start, where 2 is unstable; `escape` starts so near the saddle at 0 that the loss rests for a while.
`deep_prior` are deep-image-prior networks with each activation in turn. `with_memory` has the same
by momentum and Nesterov's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jump_samples as samples
import numpy as np

# Runs of a program: as many settings, of as many networks as it has seeds.
RUNS, PRIOR_RUNS, PRIOR_SEEDS = 9, 5, 3
# What a step takes away of the steepest part at the start; a step of more than 2 is unstable.
SHARES = {"wide": (0.05, 1.4), "edge": (1.5, 1.99)}
WIDTHS = 24, 32, 48, 64, 96, 128
_ACTIVATIONS = "tanh", "sigmoid", "arctan"
# Between them `escape` has the last but one power of a layer's size: about the rate, over the
# learning rate, at which a network leaves the saddle.
_SMALL = 3e-3, 3e-2
# Of a momentum b, 1 - b lies between them.
_LESS = 0.02, 0.5


def _log(random: np.random.Generator, ends: tuple[float, float], count: int) -> np.ndarray:
    low, high = np.log(ends)
    return np.exp(random.uniform(low, high, count))


def _program(number: int, kind: str, random: np.random.Generator) -> dict[str, Any]:
    """Return a program of deep linear networks, one run a setting, of one network each."""
    depth, rule = 2 + number % 5, ("uniform", "fan_in")[(number // 5) % 2]
    d = int(random.integers(4, 7))
    m = int(random.integers(3, d + 1))
    width = int(random.choice(WIDTHS if kind == "wide" else (8, 12, 16)))
    steps = {"wide": (2000, 3000), "edge": (6000, 9000), "escape": (20_000, 25_000)}[kind]
    decays = np.where(random.random(RUNS) < 0.15, 0.0, _log(random, (1e-7, 0.03), RUNS))
    axes = ["training.learning_rate", "training.weight_decay", "network.layer_init_scale",
            "problem.condition_number"]  # fmt: skip
    return {
        "name": "jumps",
        "problem": {"kind": "subspace", "signal_dim": d, "measurement_dim": m,
                    "subspace_dim": int(random.integers(1, m)), "num_samples": 12,
                    "condition_number": _log(random, (1.0, 10.0), RUNS).tolist()},
        "network": {"kind": "deep_linear", "depth": depth, "width": width,
                    "layer_init_scale": _log(random, (0.4, 1.3), RUNS).tolist()},
        "training": {"learning_rate": [1.0 + k for k in range(RUNS)],
                     "weight_decay": decays.tolist(), "step_rule": rule,
                     "num_steps": int(_log(random, steps, 1)[0])},
        "record": {"count": 40, "observables": ["regression_error", "off_subspace_error", "loss",
                                                "weight_norms"]},
        # Of a seed of its own: networks that nobody else has.
        "sweep": {"seeds": [1000 + number], "tolerance": samples.TOLERANCE, "zip": [axes]},
    }  # fmt: skip


def _by_curvature(number: int, kind: str) -> dict[str, Any]:
    random = np.random.default_rng([23, number])
    document = _program(number, kind, random)
    low, high = SHARES[kind]
    wanted = _log(random, (low, high), RUNS) if kind == "wide" else random.uniform(low, high, RUNS)
    rates = np.array(document["training"]["learning_rate"])
    # A sharpness is that of the layers' own rates over the learning rate, whatever that is.
    found = samples.steepness(document) / rates
    document["training"]["learning_rate"] = (wanted / found).tolist()
    return document


def wide(number: int) -> dict[str, Any]:
    """Return a sweep of wide networks."""
    return _by_curvature(number, "wide")


def edge(number: int) -> dict[str, Any]:
    """Return a sweep of networks that start at the edge of stability."""
    return _by_curvature(number, "edge")


def escape(number: int) -> dict[str, Any]:
    """Return a sweep of networks that leave a saddle."""
    random = np.random.default_rng([24, number])
    document = _program(number, "escape", random)
    network, training = document["network"], document["training"]
    power = 1 / max(network["depth"] - 2, 1)
    network["layer_init_scale"] = (_log(random, _SMALL, RUNS) ** power).tolist()
    # What is small decays where its weight decay is more than its growth.
    decays = np.where(random.random(RUNS) < 0.15, 0.0, _log(random, (1e-7, 3e-4), RUNS))
    training["weight_decay"] = decays.tolist()
    fan_in = network["width"] if training["step_rule"] == "fan_in" else 1
    training["learning_rate"] = (fan_in * random.uniform(0.02, 0.12, RUNS)).tolist()
    return document


def deep_prior(number: int) -> dict[str, Any]:
    """Return a sweep of deep-image-prior networks."""
    random = np.random.default_rng([25, number])
    return {
        "name": "jumps",
        "problem": {"kind": "deep_prior", "signal_dim": 5, "measurement_dim": 3},
        "network": {"kind": "deep_prior", "width": int(random.choice([8, 16, 32])),
                    "activation": _ACTIVATIONS[number % 3]},
        "training": {"learning_rate": _log(random, (0.005, 0.5), PRIOR_RUNS).tolist(),
                     "num_steps": int(_log(random, (10_000, 30_000), 1)[0])},
        "record": {"count": 40, "observables": ["loss", "signal_error"]},
        "sweep": {"seeds": PRIOR_SEEDS, "tolerance": samples.TOLERANCE},
    }  # fmt: skip


KINDS: dict[str, Callable[[int], dict[str, Any]]] = {
    "wide": wide, "edge": edge, "escape": escape, "deep_prior": deep_prior,
}  # fmt: skip


def with_memory(kind: str) -> Callable[[int], dict[str, Any]]:
    """Return what names programs of a kind by momentum, and by Nesterov's in each second number.

    Depths and step rules have other periods, so that each depth has both. Rates are such that runs
    begin where the kind has them: over the curvature at the start they have the same share of what
    is stable, 2 (1 + b) or Nesterov's 2 (1 + b) / (1 + 2 b) where gradient descent has 2; escapes
    grow as fast, by rates 1 - b times those. Deep priors have gradient descent alone.
    """

    def memory(number: int) -> dict[str, Any]:
        random = np.random.default_rng([26, number])
        document = KINDS[kind](number)
        training = document["training"]
        less = _log(random, _LESS, len(training["learning_rate"]))
        nesterov = number % 2 == 1
        factors = (2 - less) / (3 - 2 * less) if nesterov else 2 - less
        if kind == "escape":
            factors = less
        own = {
            "optimizer": "nesterov" if nesterov else "momentum",
            "momentum": (1 - less).tolist(),
            "learning_rate": (factors * np.array(training["learning_rate"])).tolist(),
        }
        (axes,) = document["sweep"]["zip"]
        sweep = document["sweep"] | {"zip": [[*axes, "training.momentum"]]}
        return document | {"training": training | own, "sweep": sweep}

    return memory
