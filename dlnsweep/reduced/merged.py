"""Explicit Runge-Kutta steps of a chain, its layers merged and what changes kept as factors.

With c_j and D_j those at the beginning of a step let (rows stand for columns in what follows, as in
`compact_descent.py`)

    M_j = F_j^T W_j F_{j-1} = c_j A_j + G_j D_j,
    N_j = B_j^T W_j B_{j-1} = c_j N_j(0) + D_j G_{j-1}.

Weight decay makes r_j times as much of them by the time of a stage, and earlier stages i have added
w_i s_i f_i^T to D_j, where f_i and s_i are f_{j-1} and -eta_j b_j of stage i. That is of low rank,
so it is added up only when the step ends:

    f_j = r_j M_j f_{j-1} + sum_i w_i g_i f_i^T f_{j-1},      g_i = G_j s_i
    b_{j-1} = r_j N_j^T b_j + sum_i w_i h_i s_i^T b_j,        h_i = G_{j-1}^T f_i.

One product with M_j and the rows below it, which are the g_i, makes both terms. So a stage reads
each matrix once, and writes none.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from dlnsweep.reduced.layers import Layers, Matrix, diagonal_of
from dlnsweep.reduced.tableau import Tableau, decaying


class _Layer(NamedTuple):
    """What a stage reads and writes of one layer and direction: views, made once for each stage.

    Attributes:
        scaled: Room for what goes in (f_{j-1} or b_j) times r_j, beside it
        overlaps: for its products with what earlier stages had there, and
        both: for both.
        earlier: What goes in at this layer (f_{j-1}, or s of it) of the earlier stages.
        kept: Room for that of this stage.
        matrix: M_j or N_j, and below it g_i or h_i of the earlier stages.
        result: Room for what comes out (f_j or b_{j-1}).
        factor: Room for g or h of this stage.
    """

    scaled: Matrix
    overlaps: Matrix
    both: Matrix
    earlier: Matrix
    kept: Matrix
    matrix: Matrix
    result: Matrix
    factor: Matrix


class Merged:
    """A chain's matrices for steps along the flow, with room for so many stages.

    Args:
        layers: The chain where the first step begins.
        stages: The most stages of a step.
    """

    def __init__(self, layers: Layers, stages: int) -> None:
        rank, depth = len(layers.inputs), len(layers.corrections)
        inner, outer, above, below = layers.inner, layers.outer, layers.above, layers.below
        self.stages = stages
        self._rank, self._depth, room = rank, depth, rank * stages
        self._targets = np.ascontiguousarray(layers.targets.T)
        self._residual = np.empty_like(self._targets)
        self._mixed = list(layers.mixed)
        self._shared = [diagonal_of(g) for g in layers.mixed]
        self._corrections = [np.array(d.T, order="C") for d in layers.corrections]
        # Matrices, and below them room for g_i and h_i.
        self._straight = [np.zeros((n + room, a)) for n, a in zip(inner, above, strict=True)]
        self._back = [np.zeros((n + room, b)) for n, b in zip(outer, below, strict=True)]
        for j in range(depth):
            self._straight[j][: inner[j]] = layers.straight(j)
            if j:
                self._back[j][: outer[j]] = layers.backs[j - 1]
        self._values = [np.empty((room, n)) for n in inner]
        self._signals = [np.empty((room, n)) for n in outer]
        self._scaled = [np.empty((rank, n + room)) for n in inner]
        self._back_scaled = [np.empty((rank, n + room)) for n in outer]
        self._results = [np.empty((rank, n)) for n in below]
        self._values[0].reshape(stages, rank, rank)[:] = np.diag(layers.inputs)
        sizes = [*map(np.size, self._corrections)]
        sizes += [n * a for n, a in zip(inner, above, strict=True)]
        sizes += [n * b for n, b in zip(outer, below, strict=True)]
        self._sum = np.empty(max(sizes))
        self._views: list[tuple[list[_Layer], list[_Layer]]] = []

    @property
    def backs(self) -> list[Matrix]:
        """N_2, ..., N_L."""
        outer = [d.shape[1] for d in self._corrections]
        return [n[:size] for n, size in zip(self._back[1:], outer[1:], strict=True)]

    @property
    def corrections(self) -> list[Matrix]:
        """D_1, ..., D_L."""
        return [d.T for d in self._corrections]

    def step(
        self,
        tableau: Tableau,
        length: float,
        rates: Float[np.ndarray, " L"],
        losses: Float[np.ndarray, " L"],
        data_fit_scale: float,
    ) -> tuple[Float[np.ndarray, " L"], list[float]]:
        """Make a step; return by what the c_j have decayed, and ||Phi|| at the stages.

        Args:
            tableau: The method, of at most `stages` stages.
            length: The time that it takes.
            rates: eta_j.
            losses: How fast the c_j decay.
            data_fit_scale: c.
        """
        rank, count = self._rank, tableau.stages
        tables = {x: decaying(tableau, length, x) for x in set(losses.tolist())}
        decays = np.array([tables[x][0] for x in losses.tolist()])
        wide = {x: np.repeat(w, rank, axis=1) for x, (_, w) in tables.items()}
        weights = [wide[x] for x in losses.tolist()]
        norms = []
        for k in range(count):
            own = [w[k, : k * rank] for w in weights]
            norms.append(self._stage(k, own, decays[:, k], -rates, data_fit_scale))
        self._add([w[count] for w in weights], decays[:, count])
        return decays[:, count], norms

    def _stage(
        self,
        k: int,
        weights: list[Float[np.ndarray, " k"]],
        decays: Float[np.ndarray, " L"],
        factors: Float[np.ndarray, " L"],
        data_fit_scale: float,
    ) -> float:
        if k == len(self._views):
            self._views.append(self._view(k))
        (forward, backward), last = self._views[k], self._depth - 1
        for j, layer in enumerate(forward):
            self._through(layer, layer.kept, weights[j], decays[j])
        signal = self._residual
        np.subtract(signal, self._targets, out=signal)
        norm = float(np.sqrt(np.vdot(signal, signal)))
        np.multiply(signal, data_fit_scale, out=signal)
        for j in range(last, -1, -1):
            layer = backward[j]
            np.multiply(signal, factors[j], out=layer.kept)
            if j < last:
                self._cross(j, layer.kept, forward[j], backward[j + 1])
            else:
                forward[j].factor[:] = layer.kept
            if j:
                self._through(layer, signal, weights[j], decays[j])
                signal = layer.result
        return norm

    def _cross(self, j: int, kept: Matrix, forward: _Layer, backward: _Layer) -> None:
        shared, matrix = self._shared[j], self._mixed[j]
        if shared is None:
            # Both read G_j, which is in the cache the second time.
            np.matmul(kept, matrix.T, out=forward.factor)
            np.matmul(forward.result, matrix, out=backward.factor)
        else:
            size = len(shared)
            np.multiply(kept[:, :size], shared, out=forward.factor[:, :size])
            np.multiply(forward.result[:, :size], shared, out=backward.factor[:, :size])

    def _through(
        self, layer: _Layer, values: Matrix, weights: Float[np.ndarray, " k"], decay: float
    ) -> None:
        np.multiply(values, decay, out=layer.scaled)
        if len(weights):
            np.matmul(values, layer.earlier, out=layer.overlaps)
            np.multiply(layer.overlaps, weights, out=layer.overlaps)
        np.matmul(layer.both, layer.matrix, out=layer.result)

    def _view(self, k: int) -> tuple[list[_Layer], list[_Layer]]:
        """Return what stage k reads and writes, forward and backward."""
        made, end = k * self._rank, (k + 1) * self._rank

        def layer(room: Matrix, kept: Matrix, matrix: Matrix, size: int, result: Matrix) -> _Layer:
            here = size + made
            return _Layer(
                room[:, :size], room[:, size:here], room[:, :here], kept[:made].T, kept[made:end],
                matrix[:here], result, matrix[here : size + end],
            )  # fmt: skip

        results = [*(values[made:end] for values in self._values[1:]), self._residual]
        inner, outer = zip(*(d.shape for d in self._corrections), strict=True)
        forward = zip(self._scaled, self._values, self._straight, inner, results, strict=True)
        backward = zip(
            self._back_scaled, self._signals, self._back, outer, self._results, strict=True
        )
        return [layer(*parts) for parts in forward], [layer(*parts) for parts in backward]

    def _add(self, weights: list[Float[np.ndarray, " k"]], decays: Float[np.ndarray, " L"]) -> None:
        """Add up what the stages have kept."""
        for j, corrections in enumerate(self._corrections):
            count = len(weights[j])
            inner, outer = corrections.shape
            signals, own = self._signals[j][:count], weights[j][:, None]
            weighted = (own * self._values[j][:count]).T
            self._grow(corrections, weighted, signals, decays[j])
            straight, end = self._straight[j], inner + count
            self._grow(straight[:inner], weighted, straight[inner:end], decays[j])
            if j:
                back, end = self._back[j], outer + count
                self._grow(back[:outer], (own * signals).T, back[outer:end], decays[j])

    def _grow(self, matrix: Matrix, left: Matrix, right: Matrix, decay: float) -> None:
        # In place: arrays of this size are mapped anew, page by page, each time they are made.
        change = self._sum[: matrix.size].reshape(matrix.shape)
        np.matmul(left, right, out=change)
        matrix *= decay
        matrix += change
