"""The table of a + b modulo p, learned from a part of it (grokking; as in arXiv:2301.02679).

inputs     the pair (a, b) as two unit vectors, one upon the other: e_a above e_b, (2 p)
targets    e_((a + b) mod p), (p)
split      all p^2 pairs in an order drawn by the seed; the first n train, the others test

The share of the table that trains is n / p^2. There is no scale and no noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from dlnsweep.numerics.lazy import jnp
from dlnsweep.problems.labels import loss_fits, targets_of
from dlnsweep.problems.operators import Dimension
from dlnsweep.settings.base import Constraint, Describe, Follows, Settings

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Int

    from dlnsweep.numerics.streams import Keys


class ModularAdditionSettings(Settings):
    """[problem] kind = "modular_addition": a + b modulo p."""

    kind: Annotated[
        Literal["modular_addition"], Describe("static", "which problem", axis=False)
    ] = "modular_addition"
    modulus: Annotated[Annotated[int, Field(ge=2, le=1000)], Describe("static", "the modulus", "p")]
    num_samples: Annotated[
        Dimension, Describe("static", "number of the p² pairs that train; the others test", "n")
    ]
    signal_dim: Annotated[Dimension, Describe("static", "number of targets, p", "d")]
    measurement_dim: Annotated[Dimension, Describe("static", "number of inputs, 2 p", "m")]

    follows: ClassVar[Mapping[str, Follows]] = {
        "signal_dim": Follows(("modulus",), lambda p: p),
        "measurement_dim": Follows(("modulus",), lambda p: 2 * p),
    }
    constraints: ClassVar[tuple[Constraint, ...]] = (
        loss_fits("one_hot"),
        Constraint(
            ("problem.num_samples", "problem.modulus"),
            lambda n, p: n <= p * p,
            lambda n, p: (
                f"problem.num_samples is {n}; problem.modulus = {p} has {p * p} pairs in all."
            ),
        ),
    )


def num_test(settings: ModularAdditionSettings) -> int:
    """Return the number of pairs that do not train."""
    return settings.modulus**2 - settings.num_samples


def draw(
    settings: ModularAdditionSettings, key: Keys
) -> tuple[Float[Array, "d n"], Float[Array, "m n"]]:
    """Return the targets X and inputs Y of the pairs that train.

    Args:
        settings: The settings.
        key: The run's PRNG key for a named purpose.
    """
    return _table(settings, _pairs(settings, key)[: settings.num_samples])


def draw_test(
    settings: ModularAdditionSettings, key: Keys, count: int
) -> tuple[Float[Array, "d k"], Float[Array, "m k"]]:
    """Return targets and inputs of the first `count` pairs that do not train."""
    n = settings.num_samples
    return _table(settings, _pairs(settings, key)[n : n + count])


def _pairs(settings: ModularAdditionSettings, key: Keys) -> Int[Array, " pp"]:
    """Draw the order of the pairs (a, b), each as a p + b."""
    from dlnsweep.numerics.streams import gaussian

    # The places of sorted independent numbers are a uniformly random order.
    return jnp.argsort(gaussian(key("data/rows"), settings.modulus**2, 1)[:, 0])


def _table(
    settings: ModularAdditionSettings, pairs: Int[Array, " k"]
) -> tuple[Float[Array, "d k"], Float[Array, "m k"]]:
    p = settings.modulus
    first, second = pairs // p, pairs % p
    inputs = [targets_of(term, p, "one_hot") for term in (first, second)]
    return targets_of((first + second) % p, p, "one_hot"), jnp.concatenate(inputs)
