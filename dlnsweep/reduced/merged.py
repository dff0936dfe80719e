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

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from dlnsweep.reduced.tableau import Tableau

Matrix = Float[np.ndarray, "_ _"]


class _Layer(NamedTuple):
    """What a stage reads and writes of one layer: views, made once for each stage.

    Attributes:
        values: f_{j-1}.
        scaled: Room for it times r_j, beside it
        overlaps: for its products with what earlier stages had there.
        both: The room for both.
        earlier: f_{j-1} of earlier stages.
        matrix: M_j, and below it g_i of earlier stages.
        result: Room for f_j.
        mixed: G_j.
        pulled: Room for h of this stage, of the next layer.
        pushed: Room for g of this stage.
        signal: Room for s of this stage.
        back_scaled: The same for the signals: b_j times r_j,
        back_overlaps: its products with s of earlier stages,
        back_both: the room for both,
        back_earlier: s of earlier stages,
        back_matrix: N_j, and below it h_i of earlier stages,
        back_result: and room for b_{j-1}.
    """

    values: Matrix
    scaled: Matrix
    overlaps: Matrix
    both: Matrix
    earlier: Matrix
    matrix: Matrix
    result: Matrix
    mixed: Matrix
    pulled: Matrix
    pushed: Matrix
    signal: Matrix
    back_scaled: Matrix
    back_overlaps: Matrix
    back_both: Matrix
    back_earlier: Matrix
    back_matrix: Matrix
    back_result: Matrix


class Merged:
    """A chain's matrices for steps along the flow, with room for so many stages.

    Args:
        inputs: S.
        targets: X V, in the basis of the output layer.
        forward: A_1, ..., A_L.
        mixed: G_1, ..., G_{L-1}.
        backward: N_1(0), ..., N_L(0), of which the first is not read.
        corrections: D_1, ..., D_L.
        scales: c_j.
        stages: The most stages of a step.
    """

    def __init__(
        self,
        inputs: Float[np.ndarray, " r"],
        targets: Matrix,
        forward: Sequence[Matrix],
        mixed: Sequence[Matrix],
        backward: Sequence[Matrix],
        corrections: Sequence[Matrix],
        scales: Float[np.ndarray, " L"],
        stages: int,
    ) -> None:
        rank, depth = len(inputs), len(corrections)
        self.stages = stages
        self._rank, self._depth, room = rank, depth, rank * stages
        self._targets = np.ascontiguousarray(targets.T)
        self._residual = np.empty_like(self._targets)
        # The last layer's G is the identity, and is not used.
        self._mixed = [*mixed, np.zeros((0, 0))]
        outer = [d.shape[0] for d in corrections]
        inner = [d.shape[1] for d in corrections]
        above = [*inner[1:], outer[-1]]
        below = [0, *outer[:-1]]
        self._corrections = [np.array(d.T, order="C") for d in corrections]
        # Matrices, and below them room for g_i and h_i.
        self._straight = [np.empty((n + room, a)) for n, a in zip(inner, above, strict=True)]
        self._back = [np.empty((n + room, b)) for n, b in zip(outer, below, strict=True)]
        for j in range(depth):
            straight = self._straight[j][: inner[j]]
            if j < depth - 1:
                np.matmul(self._corrections[j], mixed[j].T, out=straight)
            else:
                straight[:] = self._corrections[j]
            straight += scales[j] * forward[j].T
            if j:
                back = self._back[j][: outer[j]]
                np.matmul(corrections[j], mixed[j - 1], out=back)
                back += scales[j] * backward[j]
        self._values = [np.empty((room, n)) for n in inner]
        self._signals = [np.empty((room, n)) for n in outer]
        self._scaled = [np.empty((rank, n + room)) for n in inner]
        self._back_scaled = [np.empty((rank, n + room)) for n in outer]
        self._results = [np.empty((rank, n)) for n in below]
        self._values[0].reshape(stages, rank, rank)[:] = np.diag(inputs)
        sizes = [*map(np.size, self._corrections)]
        sizes += [n * a for n, a in zip(inner, above, strict=True)]
        sizes += [n * b for n, b in zip(outer, below, strict=True)]
        self._sum = np.empty(max(sizes))
        self._views: list[list[_Layer]] = []

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
        tables = {x: tableau.decaying(length, x) for x in set(losses.tolist())}
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
            self._views.append([self._view(k, j) for j in range(self._depth)])
        layers, last = self._views[k], self._depth - 1
        for j, layer in enumerate(layers):
            np.multiply(layer.values, decays[j], out=layer.scaled)
            if k:
                np.matmul(layer.values, layer.earlier, out=layer.overlaps)
                np.multiply(layer.overlaps, weights[j], out=layer.overlaps)
            np.matmul(layer.both, layer.matrix, out=layer.result)
            if j < last:
                np.matmul(layer.result, layer.mixed, out=layer.pulled)
        signal = self._residual
        np.subtract(signal, self._targets, out=signal)
        norm = float(np.sqrt(np.vdot(signal, signal)))
        np.multiply(signal, data_fit_scale, out=signal)
        for j in range(last, -1, -1):
            layer = layers[j]
            np.multiply(signal, factors[j], out=layer.signal)
            if j < last:
                np.matmul(layer.signal, layer.mixed.T, out=layer.pushed)
            else:
                layer.pushed[:] = layer.signal
            if not j:
                break
            np.multiply(signal, decays[j], out=layer.back_scaled)
            if k:
                np.matmul(signal, layer.back_earlier, out=layer.back_overlaps)
                np.multiply(layer.back_overlaps, weights[j], out=layer.back_overlaps)
            np.matmul(layer.back_both, layer.back_matrix, out=layer.back_result)
            signal = layer.back_result
        return norm

    def _view(self, k: int, j: int) -> _Layer:
        """Return what stage k reads and writes of layer j."""
        rank, last = self._rank, self._depth - 1
        made, new = slice(0, k * rank), slice(k * rank, (k + 1) * rank)
        inner, outer = self._corrections[j].shape

        def below(matrix: Matrix, size: int, rows: slice) -> Matrix:
            return matrix[size + rows.start : size + rows.stop]

        scaled, back = self._scaled[j], self._back_scaled[j]
        nothing = np.zeros((0, 0))
        return _Layer(
            values=self._values[j][new],
            scaled=scaled[:, :inner],
            overlaps=scaled[:, inner : inner + made.stop],
            both=scaled[:, : inner + made.stop],
            earlier=self._values[j][made].T,
            matrix=self._straight[j][: inner + made.stop],
            result=self._values[j + 1][new] if j < last else self._residual,
            mixed=self._mixed[j],
            pulled=below(self._back[j + 1], len(self._signals[j + 1].T), new)
            if j < last
            else nothing,
            pushed=below(self._straight[j], inner, new),
            signal=self._signals[j][new],
            back_scaled=back[:, :outer],
            back_overlaps=back[:, outer : outer + made.stop],
            back_both=back[:, : outer + made.stop],
            back_earlier=self._signals[j][made].T,
            back_matrix=self._back[j][: outer + made.stop],
            back_result=self._results[j],
        )

    def _add(self, weights: list[Float[np.ndarray, " k"]], decays: Float[np.ndarray, " L"]) -> None:
        """Add up what the stages have kept."""
        for j, corrections in enumerate(self._corrections):
            count = len(weights[j])
            inner, outer = corrections.shape
            signals, own = self._signals[j][:count], weights[j][:, None]
            weighted = (own * self._values[j][:count]).T
            self._grow(corrections, weighted, signals, decays[j])
            straight, pushed = np.split(self._straight[j][: inner + count], [inner])
            self._grow(straight, weighted, pushed, decays[j])
            if j:
                back, pulled = np.split(self._back[j][: outer + count], [outer])
                self._grow(back, (own * signals).T, pulled, decays[j])

    def _grow(self, matrix: Matrix, left: Matrix, right: Matrix, decay: float) -> None:
        # In place: arrays of this size are mapped anew, page by page, each time they are made.
        change = self._sum[: matrix.size].reshape(matrix.shape)
        np.matmul(left, right, out=change)
        matrix *= decay
        matrix += change
