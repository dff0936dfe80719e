"""Where a pilot went: its steps, what it visited, and another path beside its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from dlnsweep.reduced.chain import Descent, Matrix
from dlnsweep.reduced.tableau import stages_for


class Advance(NamedTuple):
    """A part of a schedule.

    Attributes:
        steps: How many steps of gradient descent it covers.
        stages: See `Chain.advance`.
        stiffness: The largest eigenvalue of a step there.
        checked: Whether a checkpoint follows.
    """

    steps: float
    stages: int
    stiffness: float
    checked: bool = False


@dataclass(frozen=True)
class Sample:
    """What the pilot visits at a checkpoint: coordinates, which later bases extend by zeros.

    Attributes:
        weight: Square root of the number of steps that it stands for.
        activations: f_1, ..., f_{L-1}.
        signals: b_1, ..., b_L.
    """

    weight: float
    activations: list[Matrix]
    signals: list[Matrix]


# What a step of more stages leaves in the residual is told from truncation only after short steps:
# for five layers of Figure 3 it was up to a hundred times as much as truncation.
_FORGOTTEN = 8


def grouped(schedule: list[Advance]) -> Iterator[tuple[Advance, int]]:
    """Yield the parts of a schedule, and how often: equal ones of one stage at most come together.

    A part that a checkpoint follows is the last of its kind.
    """
    times = 0
    for i, part in enumerate(schedule, 1):
        times += 1
        alike = i < len(schedule) and part.stages <= 1 and schedule[i][:2] == part[:2]
        if part.checked or not alike:
            yield part, times
            times = 0


def coarser(schedule: list[Advance], descent: Descent, kept: int | None = None) -> list[Advance]:
    """Return a schedule of about twice as long steps, with half as many exact ones.

    Its path is off the pilot's by about as much as the pilot's is off that of gradient descent, or
    by more.

    Args:
        schedule: The pilot's.
        descent: The run's numbers.
        kept: So many parts of it stay as they are; by default half of the exact ones.
    """
    exact = next((i for i, part in enumerate(schedule) if part.stages), len(schedule))
    unstable = [i for i, part in enumerate(schedule[:exact]) if descent.unstable(part.stiffness)]
    last = max(unstable, default=0)
    exact = last + (exact - last) // 2 if kept is None else kept
    made, group = schedule[:exact], list[Advance]()
    for i, part in enumerate(schedule[exact:], exact + 1):
        group.append(part)
        relaxing = i < len(schedule) and schedule[i].stages == 1
        few = relaxing or sum(one.stages != 1 for one in group) < 2
        if i < len(schedule) and few:
            continue
        last = next((k for k in range(len(group), 0, -1) if group[k - 1].stages == 1), 0)
        first = next((k for k in range(last, 0, -1) if group[k - 1].stages != 1), 0)
        steps = sum(one.steps for one in group[:first] + group[last:])
        stiffness = max(one.stiffness for one in group)
        stages = stages_for(steps / (1 - descent.momentum) * stiffness)
        short = group[first:last]
        if last < len(group) and stages <= _FORGOTTEN:
            # Short steps before an earlier checkpoint are passed over.
            steps = sum(one.steps for one in group)
            stages = stages_for(steps / (1 - descent.momentum) * stiffness)
            short = []
        checked = any(one.checked for one in group)
        made += [
            Advance(steps, stages, stiffness),
            *(one._replace(checked=False) for one in short),
        ]
        made[-1] = made[-1]._replace(checked=checked)
        group = []
    return made
