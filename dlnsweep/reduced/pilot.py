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

from dlnsweep.reduced.chain import Chain, Matrix, settling_steps
from dlnsweep.reduced.path import Advance, Sample
from dlnsweep.reduced.start import Network
from dlnsweep.reduced.tableau import stages_for

# Once a direction must be added, all are that leave the span by more than this share of the
# tolerance, so that the next checkpoint does not read the matrices for the rest.
_HYSTERESIS = 0.25
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
# So many short steps come before a checkpoint; see `_relax`.
_RELAXING = 12
# An activation counts for at most this many times what the later layers make the targets of, which
# is more up to widths of a thousand times the input's; see `Pilot.largest_activations`.
_LARGEST_BESIDE_TARGETS = 30.0


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
        residual_norm: ||Phi|| at the last checkpoint.
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
        depth = network.depth
        outputs = network.descent.targets.shape[0]
        sizes = [network.first.shape[0], *[w.shape[0] for w in network.rest]]
        self.weights = [network.first, *network.rest]
        rank = network.first.shape[1]
        self.forward_bases = [np.zeros((n, 0)) for n in sizes[:-1]]
        self.backward_bases = [*[np.zeros((n, 0)) for n in sizes[:-1]], np.eye(outputs)]
        # W_{j+1} F_j with F_0 the identity, and W_j^T B_j.
        self.images = [network.first, *[np.zeros((n, 0)) for n in sizes[1:]]]
        self.preimages: list[Matrix] = [np.zeros((n, 0)) for n in [0, *sizes[:-1]]]
        if depth > 1:
            self.preimages[-1] = network.rest[-1].T.copy()
        inner = [rank, *[0] * (depth - 1)]
        outer = [*[0] * (depth - 1), outputs]
        self.chain = Chain(
            network.descent,
            forward=[np.zeros((o, i)) for o, i in zip([*inner[1:], outputs], inner, strict=True)],
            mixed=[np.zeros((0, 0)) for _ in range(depth - 1)],
            backward=[np.zeros((outer[j], outer[j - 1] if j else 0)) for j in range(depth)],
            corrections=[np.zeros((o, i)) for o, i in zip(outer, inner, strict=True)],
            scales=np.ones(depth),
        )
        if depth == 1:
            self.chain.forward[0] = network.first
        self._largest = np.zeros(depth)
        self.largest_activations = np.full(depth - 1, np.inf)
        self.refusal = ""
        self.samples: list[Sample] = []
        self.schedule: list[Advance] = []
        # The largest eigenvalue of a step of gradient descent, at the last checkpoint.
        self._now_stiffness = 0.0
        self.residual_norm = np.nan
        self.leak = 0.0
        self.streams = self.work = 0
        with np.errstate(over="ignore", invalid="ignore"):
            self._run(num_steps)

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
        chain = pilot.chain
        chain.forward = list(weights)
        chain.mixed = [np.eye(w.shape[0]) for w in weights[:-1]]
        chain.backward = [np.zeros((weights[0].shape[0], 0)), *network.rest]
        chain.corrections = [np.zeros_like(w) for w in weights]
        chain.scales = np.ones(network.depth)
        pilot.samples, pilot.schedule = [], []
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
        unstable = growth = worst = 0.0
        now, check, since, decay, relaxing = 0.0, 0.0, 1.0, 0.0, 0.0
        while True:
            checking = now >= check or now >= num_steps
            if checking:
                before = self.residual_norm
                self._check(max(since, 1.0))
                if self.refusal:
                    return
                decay = self._decay(before, since, relaxing)
                if descent.unstable(self._now_stiffness):
                    unstable = now
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
                    exact = max(exact, unstable + speed * settling_steps(self._now_stiffness))
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
            if steps > 0:
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
        self.work += times * max(stages, 1) * self.chain.flops
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

    def _check(self, steps: float) -> None:
        """Form activations and signals in full, extend the bases, and keep what was visited."""
        chain, depth = self.chain, self.network.depth
        tolerance = self._tolerance()
        activations = [np.diag(self.network.descent.inputs)]
        for j in range(depth - 1):
            full = chain.scales[j] * (self.images[j] @ activations[-1])
            full += self.backward_bases[j] @ (chain.corrections[j] @ activations[-1])
            size = min(float(np.linalg.norm(full)), float(self.largest_activations[j]))
            self._extend_forward(j, full, tolerance * size)
            activations.append(self.forward_bases[j].T @ full)
        output = chain.scales[-1] * (self.images[-1] @ activations[-1])
        output += chain.corrections[-1] @ activations[-1]
        if not np.all(np.isfinite(output)):
            self.refusal = "the pilot run diverged"
            return
        residual = output - chain.descent.targets
        self.residual_norm = float(np.linalg.norm(residual))
        full = chain.descent.data_fit_scale * residual
        weight = np.sqrt(steps)
        signals = [full]
        self._largest[-1] = max(self._largest[-1], weight * np.linalg.norm(full))
        for j in range(depth - 1, 0, -1):
            below = chain.scales[j] * (self.preimages[j] @ signals[0])
            below += self.forward_bases[j - 1] @ (chain.corrections[j].T @ signals[0])
            self._largest[j - 1] = max(self._largest[j - 1], weight * np.linalg.norm(below))
            self._extend_backward(j - 1, below, tolerance * self._largest[j - 1] / weight)
            signals.insert(0, self.backward_bases[j - 1].T @ below)
            # Squares of what is nearly nothing are nothing, and then it bounds nothing.
            if norm := np.linalg.norm(below):
                most = _LARGEST_BESIDE_TARGETS * np.linalg.norm(chain.descent.targets)
                most *= np.linalg.norm(signals[-1]) / norm
                self.largest_activations[j - 1] = min(self.largest_activations[j - 1], most)
        self.samples.append(Sample(weight, activations[1:], signals))
        self._now_stiffness = chain.sharpness([*activations, output])
        shares = [basis.shape[1] / basis.shape[0] for basis in self.backward_bases[:-1]]
        if max(shares, default=0.0) > self.largest_share:
            self.refusal = "the run visits too large a part of the hidden layers"
        elif self.work > self.largest_work:
            self.refusal = "finding its bases takes too large a part of the run's own arithmetic"

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

    def _extend_forward(self, j: int, full: Matrix, allowed: float) -> None:
        """Let F_{j+1} hold `full` up to `allowed`."""
        new = self._beyond(self.forward_bases[j], full, allowed)
        if not new.shape[1]:
            return
        chain = self.chain
        self.streams += 1
        image = self.weights[j + 1] @ new
        chain.forward[j] = np.vstack([chain.forward[j], new.T @ self.images[j]])
        chain.mixed[j] = np.vstack([chain.mixed[j], new.T @ self.backward_bases[j]])
        above = image if j + 2 == chain.depth else self.forward_bases[j + 1].T @ image
        chain.forward[j + 1] = np.hstack([chain.forward[j + 1], above])
        chain.grow(j + 1, columns=new.shape[1])
        self.forward_bases[j] = np.hstack([self.forward_bases[j], new])
        self.images[j + 1] = np.hstack([self.images[j + 1], image])

    def _extend_backward(self, j: int, full: Matrix, allowed: float) -> None:
        """Let B_{j+1} hold `full` up to `allowed`."""
        new = self._beyond(self.backward_bases[j], full, allowed)
        if not new.shape[1]:
            return
        chain = self.chain
        chain.mixed[j] = np.hstack([chain.mixed[j], self.forward_bases[j].T @ new])
        above = self.preimages[j + 1].T @ new
        chain.backward[j + 1] = np.hstack([chain.backward[j + 1], above])
        if j:
            self.streams += 1
            preimage = self.weights[j].T @ new
            below = preimage.T @ self.backward_bases[j - 1]
            chain.backward[j] = np.vstack([chain.backward[j], below])
            self.preimages[j] = np.hstack([self.preimages[j], preimage])
        chain.grow(j, rows=new.shape[1])
        self.backward_bases[j] = np.hstack([self.backward_bases[j], new])

    def _beyond(self, basis: Matrix, vectors: Matrix, allowed: float) -> Matrix:
        """Return orthonormal directions of `vectors` outside `basis`, if they exceed `allowed`."""
        outside = vectors - basis @ (basis.T @ vectors)
        length = float(np.linalg.norm(outside))
        if not length > allowed:
            if allowed > 0:
                self.leak = max(self.leak, self.pace.tolerance * length / allowed)
            return np.zeros((basis.shape[0], 0))
        left, values, _ = np.linalg.svd(outside, full_matrices=False)
        left = left[:, values > _HYSTERESIS * allowed]
        left = left[:, : basis.shape[0] - basis.shape[1]]
        # Once more: a small remainder is not orthogonal to the basis to the last digit.
        left = left - basis @ (basis.T @ left)
        return np.linalg.qr(left)[0]
