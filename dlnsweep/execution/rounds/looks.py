"""What rounds are made of: a look at what is done says what it shows, and which sweep follows."""

from __future__ import annotations

from dataclasses import dataclass

from dlnsweep.spec.sweep import Sweep


@dataclass(frozen=True)
class Look:
    """What is known after a round.

    Attributes:
        told: What is known, as a part of a sentence; also why the rounds end, where they do.
        following: The sweep of the next round, this one's runs and more; None where rounds end.
        most: How many rounds there are at most.
    """

    told: str
    following: Sweep | None
    most: int
