"""Steps of a merged chain by machine code: what `merged.py` does, in one call a step.

The chains of most networks are so small that NumPy takes longer to be called than to multiply. Here
a step is a table of operations (`simd/products.py`), of which each stage is a round: from one to
the next their sizes and addresses grow by as much as a stage keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from dlnsweep.reduced.layers import Layers, Matrix, diagonal_of
from dlnsweep.reduced.tableau import Tableau, decaying
from dlnsweep.simd.memory import empty
from dlnsweep.simd.products import FIELDS, VECTOR, Kind, operation, ready

_BYTES = 8
# Rows of so many numbers, or of a multiple of it, all begin in the same few places of the caches:
# they are padded by one vector more.
_ALIKE = 256
# A number of a table, or what it is at first and what a round adds; where rows lie and how long
# they are.
_Number = int | tuple[int, int]
_Rows = tuple[_Number, int]
# A matrix, or a diagonal.
_Mixed = Float[np.ndarray, "..."]


class Compiled:
    """A chain's matrices for steps along the flow; see `merged.Merged`.

    Args:
        layers: The chain where the first step begins.
        stages: The most stages of a step.
    """

    def __init__(self, layers: Layers, stages: int) -> None:
        rank, depth = len(layers.inputs), len(layers.corrections)
        inner, outer, above, below = layers.inner, layers.outer, layers.above, layers.below
        self.stages, self._rank, self._depth = stages, rank, depth
        self._room = room = rank * stages
        self._outer, self._inner = outer, inner
        self._targets = _filled(layers.targets.T)
        self._residual = _zeros(rank, outer[-1])
        self._corrections = [_squared(d.T) for d in layers.corrections]
        # Matrices, and below them room for g_i and h_i.
        self._straight = [_zeros(_wide(n) + room, a) for n, a in zip(inner, above, strict=True)]
        self._back = [_zeros(_wide(n) + room, b) for n, b in zip(outer, below, strict=True)]
        # G_j and its transpose, or its diagonal.
        self._mixed = [_crossing(g) for g in layers.mixed]
        for j in range(depth):
            self._straight[j][: inner[j], : above[j]] = layers.straight(j)
            if j:
                self._back[j][: outer[j], : below[j]] = layers.backs[j - 1]
        self._values, self._weighted_values = ([_zeros(room, n) for n in inner] for _ in range(2))
        self._signals, self._weighted_signals = ([_zeros(room, n) for n in outer] for _ in range(2))
        self._values[0][:, :rank].reshape(stages, rank, rank)[:] = np.diag(layers.inputs)
        self._both = [_zeros(rank, _wide(n) + room) for n in inner]
        self._back_both = [_zeros(rank, _wide(n) + room) for n in outer]
        self._results = [_zeros(rank, n) for n in below]
        self._weights = [_zeros(stages + 1, room) for _ in range(depth)]
        self._decays = np.zeros((depth, stages + 1))
        self._squares = np.zeros(stages)
        # 1, c, and -eta_j.
        self._numbers = np.ones(2 + depth)
        self._tabled: object = None
        # Where every G_j is diagonal M_j and N_j are made of D_j anew when a step ends, which takes
        # less than to add to them what is added to D_j.
        self._aligned = all(straight.ndim == 1 for straight, _ in self._mixed)
        self._merging = np.zeros((0, 2 * len(FIELDS)), np.int64)
        if self._aligned:
            self._scales = np.array(layers.scales)
            self._forward = [_filled(a.T) for a in layers.forward]
            self._backward = [_filled(n) for n in layers.backward[1:]]
            self._ones = np.ones(_wide(outer[-1]))
            self._merging = np.array(self._put_together(), np.int64)
        self._merge = ready(self._merging)
        self._step = ready(np.array([row for part in self._rows() for row in part], np.int64))
        self._end = np.array(self._adding(), np.int64)
        # What ends a step of so many stages.
        self._ends: dict[int, Callable[[int], None]] = {}

    @property
    def backs(self) -> list[Matrix]:
        """N_2, ..., N_L."""
        sizes = zip(self._back[1:], self._outer[1:], self._outer[:-1], strict=True)
        return [n[:above, :below] for n, above, below in sizes]

    @property
    def corrections(self) -> list[Matrix]:
        """D_1, ..., D_L."""
        sizes = zip(self._corrections, self._inner, self._outer, strict=True)
        return [d[:n, :o].T for d, n, o in sizes]

    def step(
        self,
        tableau: Tableau,
        length: float,
        rates: Float[np.ndarray, " L"],
        losses: Float[np.ndarray, " L"],
        data_fit_scale: float,
    ) -> tuple[Float[np.ndarray, " L"], list[float]]:
        """Make a step; see `merged.Merged.step`."""
        count = tableau.stages
        self._tables(tableau, length, losses)
        self._numbers[1], self._numbers[2:] = data_fit_scale, -rates
        self._step(count)
        self._add(count)
        return self._decays[:, count].copy(), np.sqrt(self._squares[:count]).tolist()

    def begin(self, corrections: Sequence[Matrix], scales: Float[np.ndarray, " L"]) -> None:
        """Go on from these D_j and c_j; only where every G_j is diagonal."""
        for own, given in zip(self._corrections, corrections, strict=True):
            own[: given.shape[1], : given.shape[0]] = given.T
        self._scales[:] = scales
        self._merge(1)

    def begin_anew(self, layers: Layers) -> None:
        """Begin with other A_j and N_j of the same sizes; only where every G_j is diagonal."""
        for own, given in zip(self._forward, layers.forward, strict=True):
            own[: given.shape[1], : given.shape[0]] = given.T
        for own, given in zip(self._backward, layers.backward[1:], strict=True):
            own[: given.shape[0], : given.shape[1]] = given
        self._targets[:, : layers.targets.shape[0]] = layers.targets.T
        self.begin(layers.corrections, layers.scales)

    @property
    def scales(self) -> Float[np.ndarray, " L"]:
        """c_1, ..., c_L; only where every G_j is diagonal."""
        return self._scales

    def descend(
        self,
        tableau: Tableau,
        rates: Float[np.ndarray, " L"],
        losses: Float[np.ndarray, " L"],
        data_fit_scale: float,
        limit: float,
    ) -> int:
        """Take steps of gradient descent as long as ||Phi||^2 is within a limit; return how many.

        Only where every G_j is diagonal.

        Args:
            tableau: `tableau.euler` of the most steps.
            rates: eta_j.
            losses: eta_j lambda.
            data_fit_scale: c.
            limit: The limit.
        """
        count = tableau.stages
        self._tables(tableau, 1.0, losses)
        self._numbers[1], self._numbers[2:] = data_fit_scale, -rates
        self._step(count)
        # What is not a number is beyond it.
        within = self._squares[:count] <= limit
        taken = count if within.all() else int(np.argmin(within))
        if taken:
            # A stage of Euler's method is where the steps before it end.
            self._add(taken)
        return taken

    def _tables(self, tableau: Tableau, length: float, losses: Float[np.ndarray, " L"]) -> None:
        """Have the numbers of a method at hand."""
        if self._tabled == (tableau, length, losses.tolist()):
            return
        count, rank = tableau.stages, self._rank
        for j, loss in enumerate(losses.tolist()):
            decays, weights = decaying(tableau, length, loss)
            self._decays[j, : count + 1] = decays
            own = self._weights[j][: count + 1, : count * rank]
            own.reshape(count + 1, count, rank)[:] = weights[:, :, None]
        self._tabled = (tableau, length, losses.tolist())

    def _add(self, count: int) -> None:
        """Add up what so many stages have kept."""
        if count not in self._ends:
            end = self._end.copy()
            end[:, ::2] += count * end[:, 1::2]
            self._ends[count] = ready(np.vstack([end, self._merging]))
        if self._aligned:
            self._scales *= self._decays[:, count]
        self._ends[count](1)

    def _rows(self) -> list[list[list[int]]]:
        """Return what a stage does, layer by layer."""
        last, rank = self._depth - 1, self._rank
        one, fit, *factors = (_place(self._numbers[i:]) for i in range(2 + self._depth))
        found = []
        for j in range(self._depth):
            result = self._stage_of(self._values[j + 1]) if j < last else _rows_of(self._residual)
            found.append(
                self._through(
                    j, self._stage_of(self._values[j]), self._values[j], self._inner[j],
                    self._both[j], self._straight[j], result,
                )
            )  # fmt: skip
        signal = _rows_of(self._residual)
        found.append(
            [
                operation(
                    Kind.RESIDUAL, rows=rank, m=self._residual.shape[1], s=fit,
                    a=signal[0], a_row=signal[1], c=signal[0], c_row=signal[1],
                    b=_place(self._targets), b_row=self._targets.shape[1],
                    a_column=(_place(self._squares), _BYTES),
                )
            ]
        )  # fmt: skip
        for j in range(last, -1, -1):
            kept = self._stage_of(self._signals[j])
            rows = [self._copied(signal, kept, self._signals[j].shape[1], factors[j])]
            factor = self._factor_of(self._straight[j], self._inner[j])
            if j < last:
                straight, transposed = self._mixed[j]
                rows.append(self._across(kept, transposed, factor))
                other = self._factor_of(self._back[j + 1], self._outer[j + 1])
                rows.append(self._across(self._stage_of(self._values[j + 1]), straight, other))
            else:
                rows.append(self._copied(kept, factor, self._signals[j].shape[1], one))
            if j:
                result = _rows_of(self._results[j])
                rows += self._through(
                    j, signal, self._signals[j], self._outer[j],
                    self._back_both[j], self._back[j], result,
                )  # fmt: skip
                signal = result
            found.append(rows)
        return found

    def _stage_of(self, kept: Matrix) -> _Rows:
        """Return where a stage keeps something, and how long a row is."""
        width = kept.shape[1]
        return (_place(kept), _BYTES * self._rank * width), width

    def _factor_of(self, matrix: Matrix, size: int) -> _Rows:
        """Return where a stage keeps g or h, below a matrix."""
        return self._stage_of(matrix[_wide(size) :])

    def _copied(self, source: _Rows, target: _Rows, width: int, s: _Number) -> list[int]:
        a, c = {"a": source[0], "a_row": source[1]}, {"c": target[0], "c_row": target[1]}
        return operation(Kind.SCALE, rows=self._rank, m=width, s=s, **a, **c)

    def _across(self, source: _Rows, mixed: _Mixed, target: _Rows) -> list[int]:
        own: dict[str, _Number] = {"rows": self._rank, "a": source[0], "a_row": source[1]}
        own |= {"c": target[0], "c_row": target[1]}
        if mixed.ndim == 1:
            return operation(Kind.ACROSS, m=len(mixed), s=_place(mixed), **own)
        b = {"b": _place(mixed), "b_row": mixed.shape[1]}
        return operation(Kind.PRODUCT, n=mixed.shape[0], m=mixed.shape[1], a_column=1, **b, **own)

    def _through(
        self,
        j: int,
        values: _Rows,
        kept: Matrix,
        size: int,
        both: Matrix,
        matrix: Matrix,
        result: _Rows,
    ) -> list[list[int]]:
        """Return what makes f_j of f_{j-1}, or b_{j-1} of b_j."""
        rank, width = self._rank, _wide(size)
        scaled = _rows_of(both)
        weights = self._weights[j]
        return [
            self._copied(values, scaled, width, (_place(self._decays[j]), _BYTES)),
            operation(
                Kind.DOTS, rows=rank, n=width, m=(0, rank), a=values[0], a_row=values[1],
                b=_place(kept), b_row=width, c=_place(both[:, width:]), c_row=both.shape[1],
                s=(_place(weights), _BYTES * weights.shape[1]),
            ),
            operation(
                Kind.PRODUCT, rows=rank, n=(width, rank), m=matrix.shape[1],
                a=scaled[0], a_row=scaled[1], a_column=1, b=_place(matrix), b_row=matrix.shape[1],
                c=result[0], c_row=result[1],
            ),
        ]  # fmt: skip

    def _adding(self) -> list[list[int]]:
        """Return what adds up what the stages have kept; a round stands for a stage."""
        rank, rows = self._rank, []
        for j, corrections in enumerate(self._corrections):
            weights = self._weights[j]
            own = {"s": (_place(weights), _BYTES * weights.shape[1]), "rows": (0, rank), "n": 1}
            decay = (_place(self._decays[j]), _BYTES)
            values, signals = self._values[j], self._signals[j]
            left, right = self._weighted_values[j], self._weighted_signals[j]
            straight, back = self._straight[j], self._back[j]
            inner, outer = self._inner[j], self._outer[j]
            pairs = [(values, left)]
            if j and not self._aligned:
                pairs.append((signals, right))
            for source, target in pairs:
                a, c = _rows_of(source), _rows_of(target)
                rows.append(
                    operation(
                        Kind.SCALE, m=source.shape[1], a=a[0], a_row=a[1], c=c[0], c_row=c[1], **own
                    )
                )
            parts = [(corrections, inner, left, signals)]
            if not self._aligned:
                parts.append((straight, inner, left, straight[_wide(inner) :]))
            if j and not self._aligned:
                parts.append((back, outer, right, back[_wide(outer) :]))
            for target, size, weighted, kept in parts:
                width = target.shape[1]
                rows.append(
                    operation(
                        Kind.UPDATE, rows=size, n=(0, rank), m=width, s=decay,
                        a=_place(weighted), a_row=1, a_column=weighted.shape[1],
                        b=_place(kept), b_row=width, c=_place(target), c_row=width,
                    )
                )  # fmt: skip
        return rows

    def _put_together(self) -> list[list[int]]:
        """Return what makes M_j and N_j of D_j where every G_j is diagonal."""
        found = []
        for j, corrections in enumerate(self._corrections):
            scale = _place(self._scales[j:])
            shared = self._mixed[j][0] if j < self._depth - 1 else self._ones
            found += self._combined(
                Kind.MIXED, self._forward[j], corrections, shared, self._straight[j], scale
            )
            if j:
                shared = self._mixed[j - 1][0]
                found += self._combined(
                    Kind.TURNED, self._backward[j - 1], corrections, shared, self._back[j], scale
                )
        return found

    def _combined(
        self, kind: Kind, whole: Matrix, change: Matrix, shared: _Mixed, made: Matrix, scale: int
    ) -> list[list[int]]:
        """Return what adds a change to a matrix times c_j in the columns that G_j shares."""
        width = len(shared)
        own: dict[str, _Number] = {"rows": len(whole), "s": scale}
        own |= {"a_row": whole.shape[1], "c_row": made.shape[1]}
        rows = [
            operation(
                kind, m=width, a=_place(whole), b=_place(change), b_row=change.shape[1],
                c=_place(made), a_column=_place(shared), **own,
            )
        ]  # fmt: skip
        if width < made.shape[1]:
            a, c = _place(whole[:, width:]), _place(made[:, width:])
            rows.append(operation(Kind.SCALE, m=made.shape[1] - width, a=a, c=c, **own))
        return rows


def _wide(size: int) -> int:
    """Return a size with what is padded."""
    width = VECTOR * -(-size // VECTOR)
    return width + VECTOR * (width % _ALIKE == 0)


def _zeros(rows: int, columns: int) -> Matrix:
    """Return a matrix of whole vectors, from a place on where one may begin."""
    width = _wide(columns)
    return empty(_BYTES * rows * width).view(np.float64).reshape(rows, width)


def _filled(matrix: Matrix) -> Matrix:
    made = _zeros(*matrix.shape)
    made[:, : matrix.shape[1]] = matrix
    return made


def _crossing(mixed: Matrix) -> tuple[_Mixed, _Mixed]:
    """Return G_j and its transpose, or its diagonal twice."""
    shared = diagonal_of(mixed)
    if shared is None:
        return _squared(mixed), _squared(mixed.T)
    made = _filled(shared[None])[0]
    return made, made


def _squared(matrix: Matrix) -> Matrix:
    """Return a matrix of whole vectors whose columns are whole vectors, too."""
    made = _zeros(_wide(matrix.shape[0]), matrix.shape[1])
    made[: matrix.shape[0], : matrix.shape[1]] = matrix
    return made


def _place(array: np.ndarray) -> int:
    return array.ctypes.data


def _rows_of(matrix: Matrix) -> _Rows:
    return _place(matrix), matrix.shape[1]
