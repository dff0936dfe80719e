"""The smallest chain that meets a tolerance: the pilot's spaces, truncated and rehearsed.

The spaces that the pilot has visited are truncated by weighted singular value decompositions,
separately for activations and signals. The truncated chain then repeats the pilot's schedule, as
the whole one does, and the largest deviation between their records is the estimate of what
truncation costs.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from dlnsweep.reduced.alignment import aligned as aligned_bases
from dlnsweep.reduced.chain import Chain, Matrix
from dlnsweep.reduced.later import Later, Narrow, ahead, pays, rest_of
from dlnsweep.reduced.off_range import OffRange, off_range_blocks
from dlnsweep.reduced.path import coarser, grouped
from dlnsweep.reduced.pilot import Pilot
from dlnsweep.reduced.spaces import backward_space, everything, forward_space, gain, with_targets

# The residual is a difference of numbers of the size of the targets, each rounded at 1.1e-16 in
# thousands of steps.
_ROUNDING = 1e-13


@dataclass(frozen=True)
class Sizes:
    """Numbers of basis vectors.

    Attributes:
        forward: Of F_1, ..., F_{L-1}.
        backward: Of B_1, ..., B_L.
    """

    forward: tuple[int, ...]
    backward: tuple[int, ...]

    def step_flops(self, rank: int) -> int:
        """Return the floating-point operations of a step of `chain.py`, a multiply-add being two.

        A step of `compact_descent.py` takes fewer, and reads as much.

        Args:
            rank: r, the number of reduced samples.
        """
        inner = (rank, *self.forward)
        depth = len(self.backward)
        entries = 0
        for j, outer in enumerate(self.backward):
            # D_j in both products and its update; A_j; G_j forward and back; N_j.
            entries += 3 * outer * inner[j]
            if j < depth - 1:
                entries += self.forward[j] * (inner[j] + 2 * outer)
            else:
                entries += outer * inner[j]
            if j:
                entries += outer * self.backward[j - 1]
        return 2 * rank * entries


@dataclass(frozen=True)
class Record:
    """What a rehearsal compares at a checkpoint.

    Attributes:
        error: ||Phi||.
        on_range: W_{L:1} U.
        off_norm: The off-subspace error.
        passed: ||Phi|| before each exact step since the last checkpoint: momentum makes it swing,
            and what is little beside it at both checkpoints may be much in a trough between them.
    """

    error: float
    on_range: Matrix
    off_norm: float
    passed: Float[np.ndarray, " k"]


class Rehearsal(NamedTuple):
    """The path that a finished run is compared with.

    Attributes:
        times: The checkpoints, in steps.
        errors: ||Phi|| there.
        exact: The steps before the pilot's first one along the flow, where the rehearsal is on
            its own path.
        stiffness: The largest eigenvalue of a step of gradient descent at each checkpoint.
        arrived: The step from which on nothing moves, where it has ended; else infinite.
    """

    times: Float[np.ndarray, " k"]
    errors: Float[np.ndarray, " k"]
    exact: float
    stiffness: Float[np.ndarray, " k"]
    arrived: float = np.inf

    def at(self, steps: np.ndarray) -> np.ndarray:
        """Return ||Phi|| at some steps, between the checkpoints; NaN where it is not to compare."""
        norms = np.maximum(self.errors, 1e-300)
        found = np.exp(np.interp(steps, self.times, np.log(norms)))
        return np.where(np.asarray(steps) > self.exact, found, np.nan)


class Reduction:
    """The pilot's spaces in order of importance, and the chains that they give.

    Args:
        pilot: A finished pilot, or one with complete bases.
        finest: Directions with values below this stay out of all chains, also of the whole one
            that truncated ones are compared with.
        narrows: Thresholds as of `sizes_for`; chains may take later steps in smaller bases where
            that pays for chains of the sizes that these give.

    Attributes:
        narrows: Whether they may.
        forward: (directions, values) of the activations of each hidden layer.
        backward: (directions, values) of the signals of each layer.
        everything: The sizes of all that the pilot visited.
        records: The records of the whole chain, one a checkpoint.
    """

    def __init__(
        self, pilot: Pilot, finest: float = -1.0, *, narrows: tuple[float, float] | None = None
    ) -> None:
        self.pilot = pilot
        self._turns: dict[Sizes, tuple[list[Matrix], list[Matrix], list[Matrix]]] = {}
        depth, samples = pilot.network.depth, pilot.samples
        if samples:
            self.forward = [
                forward_space(samples, j, pilot.forward_bases[j].shape[1], most)
                for j, most in enumerate(pilot.largest_activations.tolist())
            ]
            self.backward = [
                backward_space(samples, j, pilot.backward_bases[j].shape[1]) for j in range(depth)
            ]
            self.backward[-1] = with_targets(pilot.network.descent.targets, *self.backward[-1])
        else:
            self.forward = [everything(basis) for basis in pilot.forward_bases]
            self.backward = [everything(basis) for basis in pilot.backward_bases]
        self.off = off_range_blocks(pilot)
        first, self.later_from = rest_of(pilot.schedule)
        self.narrows = narrows is not None and pays(
            pilot.schedule, self.sizes_for(*narrows).step_flops(pilot.network.first.shape[1])
        )
        # With the run's own first steps, so that its later steps' bases are those rehearsed.
        kept = first if self.narrows else None
        self.schedule = coarser(pilot.schedule, pilot.network.descent, kept)
        self.everything = self.sizes_for(finest, finest)
        self.records = list(self._follow(self.everything))

    @property
    def evaluations(self) -> int:
        """How many velocities a rehearsal evaluates."""
        return sum(max(part.stages, 1) for part in self.schedule)

    def _follow(
        self, sizes: Sizes, tolerance: float | None = None, found: list[Later] | None = None
    ) -> Iterator[Record]:
        """Let the leading directions repeat the pilot's schedule; yield its records.

        Args:
            sizes: How many.
            tolerance: For which later steps are taken in smaller bases; by default none are.
            found: Gets their bases.
        """
        chain, off, left = self.truncated(sizes)
        chain.merge()
        norms, narrow, now = list[float](), None, 0.0
        yield self._observe(chain, off, left, norms)
        for part, times in grouped(self.schedule):
            if tolerance is not None and narrow is None and now >= self.later_from:
                later = ahead(chain, self.pilot.schedule, tolerance)
                narrow = Narrow(chain, later)
                if found is not None:
                    found.append(later)
            going = narrow.chain if narrow else chain
            made = going.advance(part.steps, part.stages, times)
            now += times * part.steps
            if not part.stages:
                norms += made
            if part.checked:
                if narrow:
                    narrow.put_into(chain)
                yield self._observe(chain, off, left, norms)
                norms = []

    def _observe(self, chain: Chain, off: OffRange, left: Matrix, norms: list[float]) -> Record:
        output = chain.activations()[-1]
        targets = self.pilot.network.descent.targets
        missing = np.linalg.norm(targets - left @ chain.descent.targets)
        off_range = off.product(chain.corrections, chain.scales)
        on_range = left @ output / chain.descent.inputs
        directions = self.pilot.network.off_directions
        if directions is not None:
            off_range = np.hstack([on_range, off_range]) @ directions
        return Record(
            float(np.hypot(np.linalg.norm(output - chain.descent.targets), missing)),
            on_range,
            gain(off_range),
            np.hypot(norms, missing),
        )

    def sizes_for(self, forward: float, backward: float) -> Sizes:
        """Return how many directions have values above a threshold, one for either kind."""
        return Sizes(
            tuple(int(np.sum(values > forward)) for _, values in self.forward),
            tuple(int(np.sum(values > backward)) for _, values in self.backward),
        )

    def truncated(self, sizes: Sizes) -> tuple[Chain, OffRange, Matrix]:
        """Return the chain of the leading directions at step 0, its blocks, its output basis.

        Its bases are aligned: every G_j is diagonal.

        Args:
            sizes: How many.
        """
        depth, source = self.pilot.network.depth, self.pilot.chain
        inner, b, mixed = self._turned(sizes)
        f = inner[1:]
        above = [*f, b[-1]]
        descent = source.descent
        chain = Chain(
            replace(descent, targets=b[-1].T @ descent.targets),
            forward=[above[j].T @ source.forward[j] @ inner[j] for j in range(depth)],
            mixed=mixed,
            backward=[
                b[j].T @ source.backward[j] @ b[j - 1] if j else source.backward[0]
                for j in range(depth)
            ],
            corrections=[np.zeros((b[j].shape[1], inner[j].shape[1])) for j in range(depth)],
            scales=np.ones(depth),
            compiled=self.pilot.network.compiled,
        )
        start, blocks = [], []
        for j in range(depth):
            left = f[j].T if j < depth - 1 else np.eye(b[-1].shape[0])
            start.append(left @ self.off.start[j])
            blocks.append([left @ block @ b[i] for i, block in enumerate(self.off.blocks[j], 1)])
        return chain, OffRange(start, blocks), b[-1]

    def _leading(self, sizes: Sizes) -> tuple[list[Matrix], list[Matrix], list[Matrix]]:
        """Return F_0 (the identity), ..., and B_1, ... in the pilot's bases, and the G_j."""
        f = [left[:, :k] for (left, _), k in zip(self.forward, sizes.forward, strict=True)]
        b = [left[:, :k] for (left, _), k in zip(self.backward, sizes.backward, strict=True)]
        triples = zip(f, self.pilot.chain.mixed, b, strict=False)
        mixed = [own.T @ overlap @ other for own, overlap, other in triples]
        return [np.eye(self.pilot.network.first.shape[1]), *f], b, mixed

    def _turned(self, sizes: Sizes) -> tuple[list[Matrix], list[Matrix], list[Matrix]]:
        """Return the same in aligned bases, by one decomposition for all that ask for them."""
        if sizes not in self._turns:
            self._turns[sizes] = aligned_bases(*self._leading(sizes))
        inner, outer, mixed = self._turns[sizes]
        return [*inner], [*outer], [*mixed]

    def overlaps(self, sizes: Sizes) -> list[Matrix]:
        """Return B_i^T W_i(0) F_{i-1} of each layer, for the leading directions, aligned."""
        inner, outer, _ = self._turned(sizes)
        layers = zip(outer, self.pilot.backward_bases, self.pilot.images, inner, strict=True)
        return [b.T @ (basis.T @ image) @ f for b, basis, image, f in layers]

    def bases(self, sizes: Sizes) -> tuple[list[Matrix], list[Matrix]]:
        """Return F_0 (the identity), ..., F_{L-1} and B_1, ..., B_L in full, aligned."""
        inner, outer, _ = self._turned(sizes)
        forward = [basis @ f for basis, f in zip(self.pilot.forward_bases, inner[1:], strict=True)]
        backward = [basis @ b for basis, b in zip(self.pilot.backward_bases, outer, strict=True)]
        return [inner[0], *forward], backward

    @property
    def rehearsal_times(self) -> list[float]:
        """The checkpoints, in steps, and that it begins at 0."""
        passed = itertools.accumulate(part.steps for part in self.schedule)
        pairs = zip(passed, self.schedule, strict=True)
        return [0.0, *(now for now, part in pairs if part.checked)]

    @property
    def rehearsal(self) -> Rehearsal:
        """The path of the whole chain."""
        times = self.rehearsal_times
        # None is known before the first checkpoint.
        stiffness = [np.inf, *(part.stiffness for part in self.schedule if part.checked)]
        exact = sum(part.steps for part in self.pilot.schedule if not part.stages)
        errors = [record.error for record in self.records]
        return Rehearsal(
            np.array(times),
            np.array(errors),
            float(exact),
            np.array(stiffness),
            self.pilot.arrived,
        )

    def rehearsed(self, steps: np.ndarray) -> np.ndarray:
        """Return ||Phi|| along the rehearsal at some steps; see `Rehearsal.at`."""
        return self.rehearsal.at(steps)

    def rehearse(self, sizes: Sizes, most: float = np.inf) -> float:
        """Return the largest relative deviation of the truncated chain along the schedule.

        Args:
            sizes: The numbers of directions.
            most: The rehearsal ends where the deviation is beyond this.
        """
        return max(self._deviations(self._follow(sizes), most))

    def rehearse_later(
        self, sizes: Sizes, tolerance: float, most: float = np.inf, safety: float = 1.0
    ) -> tuple[float, float, Later | None]:
        """Rehearse with smaller bases for later steps.

        Args:
            sizes: The numbers of directions of the first steps.
            tolerance: That of the run.
            most: See `rehearse`.
            safety: By how much a run may be further off in later steps than is found: so much less
                of a residual counts as rounding there.

        Returns:
            The largest deviation of the first steps, that of the later ones, and the bases of
            these, if it came to them.
        """
        found = list[Later]()
        records = self._follow(sizes, tolerance, found)
        first, rest = self._deviations(records, most, _ROUNDING / safety)
        return first, rest, found[0] if found else None

    def _deviations(
        self, records: Iterator[Record], most: float, rounding: float = _ROUNDING
    ) -> tuple[float, float]:
        """Return the largest relative deviations of the first steps and of the later ones.

        Args:
            records: Those of the truncated chain.
            most: See `rehearse`.
            rounding: What counts as rounding in later steps.
        """
        worst, times = [0.0, 0.0], self.rehearsal_times
        with np.errstate(over="ignore", invalid="ignore"):
            for found, true, time in zip(records, self.records, times, strict=True):
                part = int(time > self.later_from)
                counted = rounding if part else _ROUNDING
                worst[part] = max(worst[part], self.deviation(found, true, counted))
                if not worst[part] <= most or not np.isfinite(worst[part]):
                    break
        return worst[0], worst[1]

    def deviation_within(self, sizes: tuple[int, ...]) -> float:
        """Return how much the records change if only the leading neurons have weights.

        Args:
            sizes: How many neurons of each hidden layer are left.
        """
        other = copy.copy(self)
        other.pilot = self.pilot.within(sizes)
        other.off = off_range_blocks(other.pilot)
        return other.rehearse(self.everything)

    def deviation(self, found: Record, true: Record, rounding: float = _ROUNDING) -> float:
        """Return the largest relative deviation of a record from the whole chain's.

        Args:
            found: The record.
            true: The whole chain's.
            rounding: The share of the targets up to which residuals count as equal.
        """
        # Below this the numbers lose digits themselves, on the way to zero.
        tiny = 1e-200
        rounding *= float(np.linalg.norm(self.pilot.network.descent.targets))
        norms = np.append(true.passed, true.error)
        apart = np.abs(np.append(found.passed, found.error) - norms)
        errors = [
            np.max(np.maximum(apart - rounding, 0.0) / np.maximum(norms, tiny)),
            np.linalg.norm(found.on_range - true.on_range)
            / max(float(np.linalg.norm(true.on_range)), tiny),
            abs(found.off_norm - true.off_norm) / max(true.off_norm, tiny),
        ]
        return float(max(errors)) if np.all(np.isfinite(errors)) else np.inf
