"""The problems: one file each, with its settings (which are its keys) and how its data is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dlnsweep.problems import subspace
from dlnsweep.settings import Settings

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@dataclass(frozen=True)
class Problem:
    """A kind of problem.

    Attributes:
        kind: Its name in sweep files.
        settings: Its settings class; must have signal_dim and measurement_dim.
        draw: Takes the settings and a function from purpose to PRNG key; returns signals (d, n)
            and measurements (m, n), float64.
        draw_test: Takes the same and a number of samples; returns fresh signals and measurements.
        rank: The rank of the measurements, from the static settings.
        isometry: Takes the settings and the keys; returns the smallest and the largest singular
            value of the operator on the signals' subspace, and a lower estimate of a restricted
            isometry constant; None where signals have no single subspace.
    """

    kind: str
    settings: type[Settings]
    draw: Callable[..., tuple[Float[Array, "d n"], Float[Array, "m n"]]]
    draw_test: Callable[..., tuple[Float[Array, "d k"], Float[Array, "m k"]]]
    rank: Callable[[Any], int]
    isometry: Callable[..., Float[Array, " 3"]] | None = None


PROBLEMS: dict[str, Problem] = {}


def register(problem: Problem) -> Problem:
    """Make a problem known under its kind.

    Raises:
        ValueError: If the kind is taken.
    """
    if problem.kind in PROBLEMS:
        raise ValueError(f"a problem of kind {problem.kind!r} is registered already")
    PROBLEMS[problem.kind] = problem
    return problem


register(
    Problem(
        "subspace",
        subspace.SubspaceSettings,
        subspace.draw,
        subspace.draw_test,
        subspace.rank,
        subspace.isometry,
    )
)
