"""Smaller bases for a run's later steps, in which it moves along few directions.

A run's bases hold all that it visits from its first step on, most of it in the first hundreds. What
it visits after them is found by looking ahead: from where its first steps have led, its own chain
follows the rest of the pilot's schedule. With F'_j and B'_j for what activations and signals are
seen there, in coordinates of F_j and B_j, and the layers as they are at any later step t_0,

    W_j(t) = c_j(t) / c_j(t_0) W_j(t_0) + B_j B'_j D'_j (F_{j-1} F'_{j-1})^T,

which is a chain as that of `chain.py` is, of the layers at t_0 in place of those at step 0: its A_j
are F'_j^T M_j F'_{j-1}, with M_j as in `compact_descent.py`, its N_j likewise, its G_j are
F'_j^T G_j B'_j. So D_j is c_j(t) / c_j(t_0) D_j(t_0) + B'_j D'_j F'_{j-1}^T, and nothing else of
the run is different. It must be its own path that is looked along: what a truncated chain's
activations are wrong by does no harm only as long as it stays, and other paths have other
residuals.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from dlnsweep.reduced.alignment import aligned
from dlnsweep.reduced.chain import Chain, Matrix
from dlnsweep.reduced.layers import Layers
from dlnsweep.reduced.path import Advance, Sample, grouped
from dlnsweep.reduced.spaces import CHANGE_SHARE, principal

# Where a step of the whole bases has fewer floating-point operations it takes little beside what is
# looked ahead and rehearsed: Figure 2 with s = 4 (2.5e6) took as long with and without, with s = 8
# (7e6) four fifths.
_LEAST_FLOPS = 4e6
# What is looked ahead takes about as long as so many steps for each velocity that it evaluates,
# with the rehearsal's; the steps that are then smaller shall be this many times as many.
_PAYS = 5.0
# Directions of activations and of signals are left out below these shares of the tolerance, the
# former relative to the first ones, the latter each relative to itself.
_ACTIVATIONS, _SIGNALS = 0.01, 0.1


class Later(NamedTuple):
    """Bases for the steps from a step on, in coordinates of a chain's own.

    Attributes:
        begins: The step.
        inner: F'_1, ..., F'_{L-1}.
        outer: B'_1, ..., B'_L.
        mixed: The G_j between them, which are diagonal.
    """

    begins: np.int64
    inner: tuple[Matrix, ...]
    outer: tuple[Matrix, ...]
    mixed: tuple[Matrix, ...]

    def padded(self, above: Sequence[int], outer: Sequence[int]) -> Later:
        """Return the same for bases that have further directions, which are not among them.

        Args:
            above: How many F_1, ..., F_{L-1} then have.
            outer: How many B_1, ..., B_L then have.
        """

        def rows(matrix: Matrix, count: int) -> Matrix:
            return np.vstack([matrix, np.zeros((count - len(matrix), matrix.shape[1]))])

        return self._replace(
            inner=tuple(map(rows, self.inner, above)), outer=tuple(map(rows, self.outer, outer))
        )


def rest_of(schedule: list[Advance]) -> tuple[int, int]:
    """Return with which part of a pilot's schedule it follows the flow, and from which step on."""
    first = next((i for i, part in enumerate(schedule) if part.stages), len(schedule))
    return first, round(sum(part.steps for part in schedule[:first]))


def pays(schedule: list[Advance], flops: float) -> bool:
    """Return whether later steps are so many that looking ahead takes little beside them.

    Args:
        schedule: The pilot's.
        flops: Floating-point operations of a step in the whole bases.
    """
    rest = schedule[rest_of(schedule)[0] :]
    steps, evaluated = sum(part.steps for part in rest), sum(part.stages for part in rest)
    return flops >= _LEAST_FLOPS and steps > _PAYS * evaluated


def ahead(chain: Chain, schedule: list[Advance], tolerance: float) -> Later:
    """Return the bases for what a chain visits from where it is.

    Args:
        chain: The chain after the first steps; it stays there.
        schedule: The pilot's.
        tolerance: That of the run.
    """
    first, begins = rest_of(schedule)
    # After each part, not at checkpoints alone: what a long step leaves in the residual is what
    # other paths have there. Without it rehearsals found ten times as much that was missing.
    going = replace(chain, corrections=[*chain.corrections])
    samples = [_visited(going)]
    for part, times in grouped(schedule[first:]):
        going.advance(part.steps, part.stages, times)
        samples.append(_visited(going))
    depth, rank = chain.depth, len(chain.descent.inputs)
    inner = [np.eye(rank)]
    for j in range(depth - 1):
        blocks = [sample.activations[j] for sample in samples]
        inner.append(_changing(blocks, _ACTIVATIONS * tolerance))
    outer = []
    for j in range(depth):
        signals = [_of_size_one(sample.signals[j]) for sample in samples]
        outer.append(_leading(np.hstack(signals), _SIGNALS * tolerance))
    mixed = [inner[j + 1].T @ g @ outer[j] for j, g in enumerate(chain.mixed)]
    inner, outer, mixed = aligned(inner, outer, mixed)
    return Later(np.int64(begins), tuple(inner[1:]), tuple(outer), tuple(mixed))


def _visited(chain: Chain) -> Sample:
    values = chain.activations()
    return Sample(1.0, values[1:-1], chain.signals(values[-1] - chain.descent.targets))


def _changing(blocks: list[Matrix], least: float) -> Matrix:
    """Return the space of the first activations, in full, and of how they change."""
    first = blocks[0]
    size = float(np.linalg.norm(first)) or 1.0
    scaled = [(block - first) / size for block in blocks[1:]]
    for before, after in itertools.pairwise(blocks):
        scaled.append(CHANGE_SHARE * _of_size_one(after - before))
    begun = np.linalg.qr(first)[0]
    rest = np.hstack([np.zeros((len(first), 0)), *scaled])
    return np.hstack([begun, _leading(rest - begun @ (begun.T @ rest), least)])


def _of_size_one(matrix: Matrix) -> Matrix:
    return matrix / (float(np.linalg.norm(matrix)) or 1.0)


def _leading(matrix: Matrix, least: float) -> Matrix:
    left, values = principal([matrix])
    return left[:, values > least]


def narrowed(layers: Layers, later: Later) -> Layers:
    """Return a chain at the beginning of later steps in their bases.

    Args:
        layers: The chain, in its own.
        later: Theirs.
    """
    rank = len(layers.inputs)
    inner, outer = [np.eye(rank), *later.inner], later.outer
    above = [*later.inner, outer[-1]]
    return Layers(
        inputs=layers.inputs,
        targets=outer[-1].T @ layers.targets,
        forward=[
            left.T @ (layers.straight(j).T @ right)
            for j, (left, right) in enumerate(zip(above, inner, strict=True))
        ],
        mixed=later.mixed,
        backward=[
            np.zeros((outer[0].shape[1], 0)),
            *(
                outer[j].T @ (layers.backs[j - 1] @ outer[j - 1])
                for j in range(1, len(outer))
            ),
        ],
        corrections=[
            np.zeros((left.shape[1], right.shape[1]))
            for left, right in zip(outer, inner, strict=True)
        ],
        scales=np.ones(len(outer)),
    )  # fmt: skip


def widened(
    later: Later, begun: Sequence[Matrix], corrections: Sequence[Matrix], scales: np.ndarray
) -> list[Matrix]:
    """Return the D_j in a chain's own bases.

    Args:
        later: Those of the later steps.
        begun: The D_j where these begin.
        corrections: The D'_j.
        scales: c_j over what it was there.
    """
    made = []
    for j, (before, change) in enumerate(zip(begun, corrections, strict=True)):
        right = change @ later.inner[j - 1].T if j else change
        made.append(scales[j] * before + later.outer[j] @ right)
    return made


class Narrow:
    """A chain that takes its later steps in their bases.

    Args:
        chain: The chain where they begin.
        later: Their bases.
    """

    def __init__(self, chain: Chain, later: Later) -> None:
        self._later, self._scales, self._begun = later, chain.scales, [*chain.corrections]
        own = narrowed(chain.layers, later)
        self.chain = Chain(
            replace(chain.descent, targets=own.targets),
            list(own.forward),
            list(own.mixed),
            list(own.backward),
            list(own.corrections),
            own.scales,
            compiled=chain.compiled,
        )

    def put_into(self, chain: Chain) -> None:
        """Have a chain of the whole bases be where this one is."""
        own = self.chain
        chain.go_to(
            widened(self._later, self._begun, own.corrections, own.scales),
            self._scales * own.scales,
        )
