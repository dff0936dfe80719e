"""A deep linear network in coordinates: what gradient descent on it needs, and nothing else.

Training changes layer i by Delta_i = B_i D_i F_{i-1}^T, with orthonormal bases F_j of the forward
activations f_j = W_{j:1} Y and B_j of the backward signals b_j = W_{L:j+1}^T Phi that the run
visits. In coordinates of these bases gradient descent on half the squared error is

    f_j = c_j A_j f_{j-1} + G_j D_j f_{j-1},        A_j = F_j^T W_j(0) F_{j-1},   G_j = F_j^T B_j
    b_{j-1} = c_j N_j^T b_j + G_{j-1}^T D_j^T b_j,  N_j = B_j^T W_j(0) B_{j-1}
    D_j <- rho_j D_j - eta_j b_j f_{j-1}^T,         c_j <- rho_j c_j,   rho_j = 1 - eta_j lambda

with f_0 = S and b_L = c Phi = c (f_L - X). Here it is written in NumPy, for the pilot that finds
the bases and for the rehearsal that measures what they leave out; `compact_descent.py` has the same
for JAX. Lists run over the layers, so entry j belongs to layer j + 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float

from dlnsweep.machine.stopping import end_if_wished
from dlnsweep.reduced.compiled import Compiled
from dlnsweep.reduced.layers import Layers, Matrix
from dlnsweep.reduced.long_steps import long_step
from dlnsweep.reduced.merged import Merged
from dlnsweep.reduced.stiffness import first_mode, largest
from dlnsweep.reduced.tableau import MOST_TABLED, Tableau, chebyshev, decaying, euler

# Share of the limit of stability beyond which a run may not follow its flow, as the pilot does.
_STABLE_SHARE = 0.995
# Above an eigenvalue of 1 a mode of gradient descent oscillates, which its flow does not: all
# steps are made one by one until it has fallen to this share.
SETTLED = 1e-7
# Stages that there is room for at first, and steps of gradient descent that are one step of a
# method: its Euler steps.
_ROOM = 16
# Changes are kept as factors where r^2 times the stages is at most so many times the layers' mean
# size: what is done with factors grows with r^2, what is done with sums with the sizes.
_MERGED = 25.0
# By machine code so many times: its factors wait for no calls.
_CHEAPER = 4.0


@dataclass(frozen=True)
class Descent:
    """The numbers of a run of gradient descent.

    Attributes:
        inputs: S, the singular values of Y.
        targets: X V, in the basis of the output layer.
        rates: eta_i of each layer.
        weight_decay: lambda.
        data_fit_scale: c.
        momentum: The momentum, 0 for plain gradient descent.
        nesterov: Whether the momentum is Nesterov's.
        divergence_factor: See `divergence.py`.
    """

    inputs: Float[np.ndarray, " r"]
    targets: Matrix
    rates: Float[np.ndarray, " L"]
    weight_decay: float
    data_fit_scale: float
    momentum: float = 0.0
    nesterov: bool = False
    divergence_factor: float = 1e6

    @property
    def stable_below(self) -> float:
        """The eigenvalue of a plain step beyond which the run is unstable."""
        beta = self.momentum
        return 2 * (1 + beta) / (1 + 2 * beta) if self.nesterov else 2 * (1 + beta)

    def unstable(self, stiffness: float) -> bool:
        """Whether a step is at the limit of stability, given its largest eigenvalue."""
        return stiffness > _STABLE_SHARE * self.stable_below

    def growth(self, stiffness: float) -> float:
        """Return about the logarithm by which an unstable mode grows in a step."""
        return float(np.log(max(2 * stiffness / self.stable_below - 1, 1.0)))

    def fading(self, stiffness: float) -> float:
        """Return the logarithm by which what alternates changes in a step, -inf if nothing does.

        A mode of eigenvalue s goes by the roots of r^2 - (1 + beta - s) r + beta = 0, with
        Nesterov's momentum of r^2 - (1 - s) ((1 + beta) r - beta) = 0, without momentum by 1 - s.
        What its flow has not is the lesser of them or both; of modes below s it fades as fast, or
        by the root of beta at least.
        """
        beta = self.momentum
        if self.nesterov:
            half, product = (1 - stiffness) * (1 + beta) / 2, (1 - stiffness) * beta
        else:
            half, product = (1 + beta - stiffness) / 2, beta
        square = half**2 - product
        root = abs(half - np.sqrt(square)) if square >= 0 else np.sqrt(product)
        size = max(float(root), float(np.sqrt(beta)))
        return float(np.log(size)) if size > 0 else -np.inf

    @cached_property
    def speeds(self) -> Float[np.ndarray, " L"]:
        """The time along the flow that a step takes in each layer, near 1 / (1 - momentum).

        With it the flow decays as the run does: by r a step, the larger root of
        r^2 - (1 + beta - eta lambda) r + beta = 0, with Nesterov's momentum of
        r^2 - (1 - eta lambda) ((1 + beta) r - beta) = 0; without momentum r = 1 - eta lambda. What
        is forced slowly then follows the run too, not only what decays freely.
        """
        beta, decay = self.momentum, self.rates * self.weight_decay
        keep = 1 - decay
        half = (keep * (1 + beta) if self.nesterov else keep + beta) / 2
        product = keep * beta if self.nesterov else beta * np.ones_like(keep)
        # Oscillating decay is no flow's: such a run is refused for its stiffness, or has steps
        # that are all made one by one.
        root = half + np.sqrt(np.maximum(half**2 - product, 0.0))
        slow = (decay > 1e-9) & (root > 0)
        exact = -np.log(np.where(slow, root, 1.0)) / np.where(slow, decay, 1.0)
        return np.where(slow, exact, 1 / (1 - beta))


@dataclass
class Chain:
    """The matrices of the coordinates, and the state of a run.

    Attributes:
        forward: A_1, ..., A_L (A_L = B_L^T W_L(0) F_{L-1}).
        mixed: G_1, ..., G_{L-1}.
        backward: N_1, ..., N_L, of which N_1 is empty.
        corrections: D_1, ..., D_L.
        scales: c_i.
        memory: What momentum keeps of earlier changes; None where there is none yet.
        residual_norm: ||Phi|| where `velocity` was last asked for.
        compiled: Whether machine code of LLVM's makes its steps along the flow.
    """

    descent: Descent
    forward: list[Matrix]
    mixed: list[Matrix]
    backward: list[Matrix]
    corrections: list[Matrix]
    scales: Float[np.ndarray, " L"]
    memory: list[np.ndarray] | None = None
    residual_norm: float = np.nan
    compiled: bool = False
    _mode: np.ndarray | None = None
    _merged: Merged | Compiled | None = field(default=None, init=False)
    _layers: Layers | None = field(default=None, init=False)

    @property
    def depth(self) -> int:
        """L."""
        return len(self.corrections)

    @property
    def flops(self) -> int:
        """Floating-point operations of one evaluation of `velocity`."""
        thrice = 3 * sum(matrix.size for matrix in self.corrections)
        twice = 2 * sum(matrix.size for matrix in self.mixed)
        once = sum(matrix.size for matrix in (*self.forward, *self.backward))
        return 2 * len(self.descent.inputs) * (thrice + twice + once)

    def activations(self) -> list[Matrix]:
        """Return f_0, ..., f_L."""
        values = [np.diag(self.descent.inputs)]
        for j in range(self.depth):
            change = self.corrections[j] @ values[-1]
            if j < self.depth - 1:
                change = self.mixed[j] @ change
            values.append(self.scales[j] * (self.forward[j] @ values[-1]) + change)
        return values

    def signals(self, residual: Matrix) -> list[Matrix]:
        """Return b_1, ..., b_L for the residual Phi."""
        values = [self.descent.data_fit_scale * residual]
        for j in range(self.depth - 1, 0, -1):
            change = self.mixed[j - 1].T @ (self.corrections[j].T @ values[0])
            values.insert(0, self.scales[j] * (self.backward[j].T @ values[0]) + change)
        return values

    def velocity(self) -> list[np.ndarray]:
        """Return the change of D_1, ..., D_L and of the c_i by one step."""
        activations = self.activations()
        residual = activations[-1] - self.descent.targets
        self.residual_norm = float(np.linalg.norm(residual))
        signals = self.signals(residual)
        rates, decay = self.descent.rates, self.descent.rates * self.descent.weight_decay
        changes = [
            -decay[j] * self.corrections[j] - (rates[j] * signals[j]) @ activations[j].T
            for j in range(self.depth)
        ]
        return [*changes, -decay * self.scales]

    def advance(self, steps: float, stages: int, times: int = 1) -> list[float]:
        """Advance by `steps` steps of gradient descent, or along its flow; return ||Phi|| before.

        No stage: one step of gradient descent itself, with its momentum. One stage: a step of
        Euler's method along the flow. More: one of the method of `tableau.chebyshev`, of more than
        there are tables for one of `long_steps.py`.

        Args:
            steps: The length of the advance.
            stages: See above.
            times: So many such advances, one after the other; only of one stage at most.

        Raises:
            Interrupted: If that was wished (`stopping.asking`).
        """
        end_if_wished()
        rates, norms = self.descent.rates, list[float]()
        if stages > MOST_TABLED:
            return long_step(self, steps, stages)
        if stages > 1:
            tables = [chebyshev(stages)]
        else:
            parts = [_ROOM] * (times // _ROOM)
            tables = [euler(part) for part in [*parts, times % _ROOM] if part]
        if stages:
            rates = self.descent.speeds * rates
        elif self.descent.momentum or (self._merged is None and times < _ROOM):
            # Few steps are made sooner than layers are merged.
            for _ in range(times):
                self._step()
                norms.append(self.residual_norm)
            return norms
        for tableau in tables:
            norms += self._along(tableau, steps, rates)
        self.residual_norm = norms[-1]
        return norms

    def _along(
        self, tableau: Tableau, length: float, rates: Float[np.ndarray, " L"]
    ) -> list[float]:
        losses = rates * self.descent.weight_decay
        most = _MERGED * (_CHEAPER if self.compiled else 1) * np.mean(self._sizes)
        if tableau.stages * len(self.descent.inputs) ** 2 > most:
            return self._add_up(tableau, length, rates, losses)
        merged = self._merge(tableau.stages)
        faded, norms = merged.step(tableau, length, rates, losses, self.descent.data_fit_scale)
        self.scales = faded * self.scales
        self.corrections, self._layers = merged.corrections, None
        return norms

    @property
    def _sizes(self) -> list[int]:
        return [n for matrix in self.corrections for n in matrix.shape]

    def _add_up(
        self,
        tableau: Tableau,
        length: float,
        rates: Float[np.ndarray, " L"],
        losses: Float[np.ndarray, " L"],
    ) -> list[float]:
        """Make a step as `Merged.step` does, with all changes in full."""
        count, norms = tableau.stages, list[float]()
        tables = [decaying(tableau, length, loss) for loss in losses.tolist()]
        start, scales = self.corrections, self.scales
        found = [np.empty((count, d.size)) for d in start]
        for k in range(1, count + 1):
            activations = self.activations()
            residual = activations[-1] - self.descent.targets
            norms.append(float(np.linalg.norm(residual)))
            state = []
            layers = zip(
                start, tables, rates, activations, self.signals(residual), found, strict=False
            )
            for d, (left, weights), rate, f, b, changes in layers:
                np.matmul(-rate * b, f.T, out=changes[k - 1].reshape(d.shape))
                state.append(left[k] * d + (weights[k, :k] @ changes[:k]).reshape(d.shape))
            left = np.array([table[0][k] for table in tables])
            self._set([*state, left * scales])
        return norms

    def merge(self) -> None:
        """Merge layers now, before steps of a chain that stays as large as it is."""
        if self.compiled and not self.descent.momentum:
            self._merge(_ROOM)

    def _merge(self, stages: int) -> Merged | Compiled:
        """Return the layers merged, with room for so many stages at least."""
        if self._merged is None or self._merged.stages < stages:
            made = Compiled if self.compiled else Merged
            # Stages become more and more: there is room for the next ones, too.
            room = _ROOM
            while room < stages:
                room *= 2
            self._merged = made(self.layers, room)
        return self._merged

    @property
    def layers(self) -> Layers:
        """What steps begin with now."""
        if self._layers is None:
            self._layers = Layers(
                self.descent.inputs,
                self.descent.targets,
                self.forward,
                self.mixed,
                self.backward,
                self.corrections,
                self.scales,
            )
        return self._layers

    def grow(self, layer: int, rows: int = 0, columns: int = 0) -> None:
        """Give the corrections of a layer, counted from 0, more rows or columns of zeros."""
        self._merged = self._layers = None
        before = self.corrections[layer].shape
        shape = before[0] + rows, before[1] + columns
        self.corrections[layer] = padded(self.corrections[layer], *shape)
        if self.memory is not None:
            self.memory[layer] = padded(self.memory[layer], *shape)

    def _step(self) -> None:
        changes, beta = self.velocity(), self.descent.momentum
        if self.memory is not None and beta:
            changes = [c + beta * m for c, m in zip(changes, self.memory, strict=True)]
        state = [y + c for y, c in zip([*self.corrections, self.scales], changes, strict=True)]
        if beta and self.descent.nesterov:
            # changes = v + beta m here; Nesterov's step is v + beta (v + beta m).
            before = self.memory or [np.zeros_like(c) for c in changes]
            state = [y + beta * (c - m) for y, c, m in zip(state, changes, before, strict=True)]
        self.memory = changes if beta else None
        self._set(state)

    def go_to(self, corrections: list[Matrix], scales: Float[np.ndarray, " L"]) -> None:
        """Go on from these D_j and c_j."""
        self._set([*corrections, scales])

    def _set(self, state: list[np.ndarray]) -> None:
        self._merged = self._layers = None
        *self.corrections, self.scales = state

    def sharpness(self, activations: list[Matrix]) -> float:
        """Return the largest eigenvalue of a step on the residuals; see `stiffness.py`."""
        backs = self._merged.backs if self._merged else self.layers.backs
        rank, outputs = len(self.descent.inputs), self.corrections[-1].shape[0]
        # It starts where the last call has ended: the operator changes slowly, so a few iterations
        # a call are enough.
        mode, times = self._mode, 8
        if mode is None or mode.shape != (rank, outputs):
            mode, times = first_mode(rank, outputs), 20
        rates = self.descent.rates * self.descent.data_fit_scale
        value, mode = largest(rates, activations[:-1], backs, mode, times)
        # Zero says nothing of what is to come.
        self._mode = mode if value else None
        return value


def padded(matrix: Matrix, rows: int, columns: int) -> Matrix:
    """Return a matrix with zeros up to a size; `np.pad` takes many times as long."""
    made = np.zeros((rows, columns))
    made[: matrix.shape[0], : matrix.shape[1]] = matrix
    return made


def settling_steps(stiffness: float) -> float:
    """Return after how many steps the oscillation of a stiff mode has died out."""
    factor = min(abs(1 - stiffness), 0.99)
    return np.log(SETTLED) / np.log(factor) if stiffness > 1 else 0.0
