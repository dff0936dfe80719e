"""A pilot run that finds the spaces which gradient descent visits, for one network.

The pilot follows the flow of gradient descent with ever longer steps (a few hundred in all) in
coordinates of bases that grow as it goes: at checkpoints it forms the activations and signals in
full, and where they leave the span of the basis by more than a tolerance it adds the direction and
multiplies the initial weights onto it, once. So each large matrix is read a few hundred times in
all, however many steps the run has.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np

from dlnsweep.reduced.arrival import Place, has_arrived
from dlnsweep.reduced.bases import Bases
from dlnsweep.reduced.chain import SETTLED, Matrix
from dlnsweep.reduced.path import Advance, Sample
from dlnsweep.reduced.start import Network
from dlnsweep.reduced.tableau import stages_for

# Gradient descent may begin where it is unstable and leave for where it is not. Where it stays
# until differences have grown by e to this power it is chaotic, and no truncation follows it.
_MOST_GROWTH = 7.0
# No step is longer than the time in which the residual decays by this share, until it is rounding.
_DECAY = 0.15
# Between two checkpoints the residual decays by more than this only on its way to nothing, or to
# where weight decay holds it.
_DECAYING = 0.02
_ROUNDING = 1e-12
# A residual below this share of the targets makes the tolerance finer, down to the last number.
_TINY, _TINY_WITHOUT_DECAY = 1e-3, 0.1
_FINEST = 1e-13
# The logarithm of what is left of oscillations where steps along the flow may begin, and of how
# slowly they fade at most in a forecast.
_STILL, _SLOWEST = float(np.log(SETTLED)), float(np.log(0.99))
# So many short steps come before a checkpoint; see `_relax`.
_RELAXING = 12


@dataclass(frozen=True)
class Pace:
    """How closely a pilot follows the run.

    Attributes:
        tolerance: Largest relative part of an activation or signal that may leave the bases.
        exact: So many steps are made one by one (more with momentum).
        stride: After that a step is this share of the steps made since.
        checks: Between checkpoints the number of steps grows by this factor.
        shrink: No step is longer than the time in which weight decay takes this share.
    """

    tolerance: float
    exact: int
    stride: float
    checks: float
    shrink: float = np.inf


class Pilot:
    """The pilot's bases and its chain.

    Args:
        network: The network.
        num_steps: Steps of gradient descent to cover.
        pace: How closely to follow them.
        largest_share: The pilot gives up once its bases hold more than this share of a layer.
        largest_work: The pilot gives up once it has done more floating-point operations.

    Attributes:
        chain: The chain in the pilot's own bases; its output basis is the identity.
        forward_bases: F_1, ..., F_{L-1}.
        backward_bases: B_1, ..., B_L.
        samples: What was visited at the checkpoints.
        schedule: What it did.
        refusal: Why the pilot gave up; empty if it did not.
        strayed: Whether it gave up because a step along the flow diverged, as the run itself need
            not.
        residual_norm: ||Phi|| at the last checkpoint.
        arrived: The step from which on nothing moves (`arrival.py`), where the pilot has ended;
            infinite where it has followed all steps.
        leak: Largest relative part that checkpoints have left outside the bases.
        largest_activations: How large f_1, ..., f_{L-1} count for at most. They begin at about
            sqrt(d_w / m) times what training adds, which is all that weight decay leaves.
        streams: How many times a large matrix was read.
        work: Floating-point operations of its steps.
    """

    def __init__(
        self,
        network: Network,
        num_steps: int,
        pace: Pace,
        largest_share: float = 1.0,
        largest_work: float = np.inf,
    ) -> None:
        self.network = network
        self.largest_share = largest_share
        self.largest_work = largest_work
        self.pace = pace
        bases = self._bases = Bases(network)
        self.chain, self.weights = bases.chain, bases.weights
        self.refusal = ""
        self.samples: list[Sample] = []
        self.schedule: list[Advance] = []
        # The largest eigenvalue of a step of gradient descent, at the last checkpoint.
        self._now_stiffness = 0.0
        self.residual_norm = np.nan
        self.arrived = np.inf
        self.strayed = False
        self._place: Place | None = None
        self.work = 0
        with np.errstate(over="ignore", invalid="ignore"):
            self._run(num_steps)
            bases.close()
        # Vectors are columns for those who read them.
        self.forward_bases = [basis.rows.T for basis in bases.forward]
        self.backward_bases = [basis.rows.T for basis in bases.backward]
        self.images = [image.rows.T for image in bases.images]
        self.preimages = [preimage.rows.T for preimage in bases.preimages]
        self.largest_activations = bases.largest_activations
        self.leak = pace.tolerance * bases.leak
        self.streams = bases.streams

    @classmethod
    def complete(cls, network: Network) -> Pilot:
        """Return bases that hold everything: no pilot is run, and nothing is left out."""
        pilot = cls(network, 0, Pace(np.inf, 0, 0.0, 0.0))
        for j in range(network.depth - 1):
            size = network.rest[j].shape[1]
            pilot.forward_bases[j] = np.eye(size)
            pilot.backward_bases[j] = np.eye(size)
            pilot.images[j + 1] = network.rest[j]
        weights = pilot.weights
        pilot.preimages = [w.T for w in weights]
        pilot.chain = replace(
            pilot.chain,
            forward=list(weights),
            mixed=[np.eye(w.shape[0]) for w in weights[:-1]],
            backward=[np.zeros((weights[0].shape[0], 0)), *network.rest],
            corrections=[np.zeros_like(w) for w in weights],
            scales=np.ones(network.depth),
        )
        pilot.samples, pilot.schedule, pilot.leak = [], [], 0.0
        return pilot

    def within(self, sizes: tuple[int, ...]) -> Pilot:
        """Return the same bases for a network that has only the leading neurons of each layer.

        Args:
            sizes: How many neurons of each hidden layer are left; the others get no weights.
        """
        other = copy.copy(self)
        other.network = self.network.leading(sizes)
        other.weights = weights = [other.network.first, *other.network.rest]
        other.images = [weights[0]]
        for basis, weight in zip(self.forward_bases, weights[1:], strict=True):
            other.images.append(weight @ basis)
        other.preimages = [
            weight.T @ basis for basis, weight in zip(self.backward_bases, weights, strict=True)
        ]
        above = [*self.forward_bases, self.backward_bases[-1]]
        other.chain = replace(
            self.chain,
            forward=[a.T @ image for a, image in zip(above, other.images, strict=True)],
            backward=[
                self.chain.backward[0],
                *[
                    preimage.T @ below
                    for preimage, below in zip(
                        other.preimages[1:], self.backward_bases, strict=False
                    )
                ],
            ],
        )
        return other

    def _run(self, num_steps: int) -> None:
        descent = self.network.descent
        speed = 1 / (1 - descent.momentum)
        loss = float(np.max(descent.rates)) * descent.weight_decay * speed
        exact = self.pace.exact * speed
        growth = worst = ringing = 0.0
        now, check, since, decay, relaxing = 0.0, 0.0, 1.0, 0.0, 0.0
        while True:
            checking = now >= check or now >= num_steps
            if checking:
                before, stiffer = self.residual_norm, self._now_stiffness
                residual = self._check(max(since, 1.0))
                if self.refusal:
                    return
                if now > exact and self._arrives(now, residual):
                    self.schedule[-1] = self.schedule[-1]._replace(checked=True)
                    self.arrived = now
                    return
                decay = self._decay(before, since, relaxing)
                ringing += since * descent.fading(max(stiffer, self._now_stiffness))
                ringing = max(ringing, _STILL)
                if descent.unstable(self._now_stiffness):
                    ringing = max(ringing, 0.0)
                    growth += since * descent.growth(self._now_stiffness)
                    # Along the flow no time is short enough.
                    growth = np.inf if now > exact else growth
                    worst = max(worst, self._now_stiffness)
                # A run that diverges does so in the first steps, and then that is what is said.
                if growth > _MOST_GROWTH and now >= min(self.pace.exact * speed, num_steps):
                    limit = descent.stable_below
                    self.refusal = f"a step is near instability ({worst:.3f} of {limit:.3f})"
                    return
                check, since = max(now + 1, now * (1 + self.pace.checks)), 0.0
                if now <= exact:
                    fading = min(descent.fading(self._now_stiffness), _SLOWEST)
                    least = self.pace.exact * speed
                    exact = max(least, now + (_STILL - ringing) / fading)
            if self.schedule:
                self.schedule[-1] = self.schedule[-1]._replace(checked=checking)
            if now >= num_steps:
                return
            longest = self.pace.stride * (now - exact)
            if decay > 0:
                longest = min(longest, _DECAY / decay)
            if loss > 0:
                longest = min(longest, self.pace.shrink / loss)
            left = num_steps - now
            relaxation = _RELAXING * self._shortest()
            steps = min(max(1.0, longest), left)
            exactly = now < exact or (steps == 1 and left > relaxation)
            if not exactly:
                # The last short steps end with the run.
                steps = min(steps, max(left - relaxation, 0.0))
            stages = 0 if exactly else stages_for(steps * speed * self._now_stiffness)
            if now < exact:
                # One by one up to the next checkpoint.
                times = int(np.ceil(min(check, exact, num_steps) - now))
                self._advance(steps, 0, times)
                steps *= times
            elif steps > 0:
                self._advance(steps, stages)
            now, since, relaxing = now + steps, since + steps, 0.0
            if stages and now >= min(check, num_steps - relaxation):
                relaxed = min(relaxation, num_steps - now)
                relaxing = self._relax(relaxed / _RELAXING)
                # To the last digit, or a step of rounding would follow.
                now = num_steps if left <= steps + relaxation else now + relaxed
                since += relaxed

    def _advance(self, steps: float, stages: int, times: int = 1) -> list[float]:
        norms = self.chain.advance(steps, stages, times)
        self.schedule += times * [Advance(steps, stages, self._now_stiffness)]
        self.work += times * max(stages, 1) * self._bases.flops
        return norms

    def _decay(self, before: float, steps: float, relaxing: float) -> float:
        """Return how fast the residual decays, a step, where it is not yet rounding.

        Args:
            before: The norm of the residual at the last checkpoint.
            steps: So many steps ago.
            relaxing: How fast it has decayed in the short steps before this checkpoint.
        """
        now = self.residual_norm
        if not now > _ROUNDING * float(np.linalg.norm(self.network.descent.targets)):
            return 0.0
        if not before > now:
            return 0.0
        decay = float(np.log(before / now))
        # A long step adds to a residual that is decaying to nothing, so that it seems to decay
        # slowly; the short steps show how fast it would.
        return max(decay / steps, relaxing) if decay > _DECAYING else decay / steps

    def _shortest(self) -> float:
        """Return the length of a step after which the stiffest mode is gone."""
        return min(1.0, 1 / max(self._now_stiffness, 1e-300)) * (1 - self.network.descent.momentum)

    def _relax(self, steps: float) -> float:
        """Take a few short steps, after which the residual has forgotten the last long one.

        The residual is a small difference, and a long step leaves an error in it that is none of
        the run's own.

        Args:
            steps: The length of each.

        Returns:
            How fast the residual decayed in the last of them.
        """
        norms = self._advance(steps, 1, _RELAXING)
        rest = len(norms) // 2
        decay = float(np.log(norms[rest - 1] / norms[-1])) if norms[-1] > 0 else 0.0
        return decay / (rest * steps)

    def _arrives(self, now: float, residual: Matrix) -> bool:
        """Return whether nothing moves any more."""
        place = Place(now, [np.array(d) for d in self.chain.corrections], self.residual_norm)
        before, self._place = self._place, place
        return before is not None and has_arrived(self.network.descent, before, place, residual)

    def _check(self, steps: float) -> Matrix:
        """Form activations and signals in full, extend the bases, and keep what was visited.

        Returns:
            The residual.
        """
        chain = self.chain
        sample, output = self._bases.visit(self._tolerance(), np.sqrt(steps))
        if not sample.signals:
            # Gradient descent itself, or what is to follow it: where a saddle is left a step along
            # the flow may be too long for what rises within it.
            self.strayed = any(part.stages for part in self.schedule)
            what = "a long step of the pilot" if self.strayed else "the pilot run"
            self.refusal = f"{what} diverged"
            return output
        residual = output - chain.descent.targets
        self.residual_norm = float(np.linalg.norm(residual))
        self.samples.append(sample)
        inputs = np.diag(chain.descent.inputs)
        self._now_stiffness = chain.sharpness([inputs, *sample.activations, output])
        shares = [basis.share for basis in self._bases.backward[:-1]]
        if max(shares, default=0.0) > self.largest_share:
            self.refusal = "the run visits too large a part of the hidden layers"
        elif self.work > self.largest_work:
            self.refusal = "finding its bases takes too large a part of the run's own arithmetic"
        elif self._bases.outgrown:
            self._bases.open_up()
            self._place = None
        return residual

    def _tolerance(self) -> float:
        """Return the tolerance at the residual's present size.

        What is left out acts on the residual; once that is tiny (without weight decay it decays
        to nothing) less may be left out, down to rounding.
        """
        share = self.chain.residual_norm / float(np.linalg.norm(self.network.descent.targets))
        if not np.isfinite(share):
            return self.pace.tolerance
        tiny = _TINY if self.network.descent.weight_decay else _TINY_WITHOUT_DECAY
        return max(self.pace.tolerance * min(1.0, share / tiny), _FINEST)
