"""A statement about runs that a run can break, and the table of all of them. No JAX.

`dlnsweep claims` judges the runs of a results folder by those that are about them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dlnsweep.contracts.registry import must_be

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Records:
    """What a run left, as a claim sees it.

    Attributes:
        settings: Its settings by dotted name.
        steps: The recorded steps, ascending.
        values: The observables that the claim names: a number a step.
    """

    settings: Mapping[str, Any]
    steps: np.ndarray
    values: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Claim:
    """A statement about the records of single runs.

    Attributes:
        name: What it says, its numbers among it.
        source: Where it stands.
        observables: The scalar observables that it is about.
        judge: From a run's records to its margin, the bound over what was measured at the worst of
            the steps: 1 and more where the run satisfies it, less where it breaks it, NaN where
            nothing was recorded that it is about.
        needs: Settings with the values that it is about.
    """

    name: str
    source: str
    observables: tuple[str, ...]
    judge: Callable[[Records], float]
    needs: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


CLAIMS: dict[str, Claim] = {}


def register_claim(claim: Claim) -> Claim:
    """Make a claim known under its name.

    Raises:
        ValueError: If the name is taken, or it is about no observable.
    """
    must_be(claim, Claim, "register_claim")
    if claim.name in CLAIMS:
        raise ValueError(f"a claim named {claim.name!r} is registered already")
    if not claim.observables:
        raise ValueError(f"claim {claim.name!r}: it must name the observables that it is about")
    CLAIMS[claim.name] = claim
    return claim
