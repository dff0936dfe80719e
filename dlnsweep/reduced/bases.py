"""The bases of a pilot: what a network's activations and signals leave them by, and their growth.

Vectors are rows here, so that a basis grows without being copied and is read in one pass.
"""

from __future__ import annotations

import numpy as np

from dlnsweep.reduced.chain import Chain, Matrix
from dlnsweep.reduced.path import Sample
from dlnsweep.reduced.start import Network

# Once a direction must be added, all are that leave the span by more than this share of the
# tolerance, so that the next checkpoint does not read the matrices for the rest.
_HYSTERESIS = 0.25
# An activation counts for at most this many times what the later layers make the targets of, which
# is more up to widths of a thousand times the input's; see `Bases.largest_activations`.
_LARGEST_BESIDE_TARGETS = 30.0
# Rows that there is room for at first.
_ROOM = 32
# Steps take whole layers once the bases' matrices have this share of the entries of the layers:
# whole ones need no products from one kind of bases to the other, and do not grow. 0.85 and 1 were
# alike at Figure 2's s = 8, 0.7 took a fifth longer.
_OUTGROWN = 1.0


class Rows:
    """Vectors, to which others are added.

    Args:
        rows: The first ones.
    """

    def __init__(self, rows: Matrix) -> None:
        count, size = rows.shape
        self._room = np.empty((max(_ROOM, count), size))
        self._room[:count] = rows
        self._count = count

    @property
    def rows(self) -> Matrix:
        """All of them."""
        return self._room[: self._count]

    @property
    def share(self) -> float:
        """How many there are, over how many there can be."""
        return self._count / self._room.shape[1]

    def add(self, rows: Matrix) -> None:
        """Add some."""
        count = self._count + len(rows)
        if count > len(self._room):
            room = np.empty((2 * count, self._room.shape[1]))
            room[: self._count] = self.rows
            self._room = room
        self._room[self._count : count] = rows
        self._count = count


class Bases:
    """F_j and B_j as they grow, and the chain in their coordinates.

    Args:
        network: The network.

    Attributes:
        chain: The chain; its output basis is the identity.
        whole: Whether the chain is in coordinates of whole layers for now; see `open_up`.
        weights: W_1 U, W_2, ..., W_L.
        forward: F_1, ..., F_{L-1}.
        backward: B_1, ..., B_L.
        images: W_{j+1} F_j with F_0 the identity.
        preimages: W_j^T B_j, of which the first is empty.
        leak: Largest part that was left outside the bases, over what was allowed.
        largest_activations: How large f_1, ..., f_{L-1} count for at most. They begin at about
            sqrt(d_w / m) times what training adds, which is all that weight decay leaves.
        streams: How many times a large matrix was read.
    """

    def __init__(self, network: Network) -> None:
        depth, descent = network.depth, network.descent
        self.weights = [network.first, *network.rest]
        sizes = [w.shape[0] for w in self.weights]
        outputs, rank = sizes[-1], network.first.shape[1]
        self.forward = [Rows(np.zeros((0, n))) for n in sizes[:-1]]
        self.backward = [*(Rows(np.zeros((0, n))) for n in sizes[:-1]), Rows(np.eye(outputs))]
        self.images = [Rows(network.first.T), *(Rows(np.zeros((0, n))) for n in sizes[1:])]
        self.preimages = [Rows(np.zeros((0, n))) for n in [0, *sizes[:-1]]]
        if depth > 1:
            self.preimages[-1] = Rows(network.rest[-1])
        inner = [rank, *[0] * (depth - 1)]
        outer = [*[0] * (depth - 1), outputs]
        self.chain = Chain(
            descent,
            forward=[np.zeros((o, i)) for o, i in zip([*inner[1:], outputs], inner, strict=True)],
            mixed=[np.zeros((0, 0)) for _ in range(depth - 1)],
            backward=[np.zeros((outer[j], outer[j - 1] if j else 0)) for j in range(depth)],
            corrections=[np.zeros((o, i)) for o, i in zip(outer, inner, strict=True)],
            scales=np.ones(depth),
            compiled=network.compiled,
        )
        if depth == 1:
            self.chain.forward[0] = network.first
        self.whole = False
        self._largest = np.zeros(depth)
        self.largest_activations = np.full(depth - 1, np.inf)
        self.leak = 0.0
        self.streams = 0

    def visit(self, tolerance: float, weight: float) -> tuple[Sample, Matrix]:
        """Form activations and signals in full, and extend the bases to hold them.

        Args:
            tolerance: The relative part of each that may be left out.
            weight: See `Sample`.

        Returns:
            What was visited, and the network's output; no signals if that is not finite.
        """
        chain = self.chain
        targets, depth = chain.descent.targets, chain.depth
        values = [np.diag(chain.descent.inputs)]
        seen = chain.activations() if self.whole else []
        for j in range(depth - 1):
            if self.whole:
                own, outside = _split(self.forward[j], seen[j + 1])
            else:
                own, outside = self._activation(j, values[-1])
            left = _norm(outside)
            size = min(float(np.hypot(_norm(own), left)), float(self.largest_activations[j]))
            new = self._beyond(self.forward[j], outside, left, tolerance * size)
            if len(new):
                own = np.vstack([own, new @ outside.T])
                self._extend_forward(j, new)
            values.append(own)
        last = seen[-2] if self.whole else values[-1]
        output = chain.scales[-1] * (chain.forward[-1] @ last) + chain.corrections[-1] @ last
        if not np.all(np.isfinite(output)):
            return Sample(weight, values[1:], []), output
        signals = [chain.descent.data_fit_scale * (output - targets)]
        self._largest[-1] = max(self._largest[-1], weight * _norm(signals[0]))
        seen = chain.signals(output - targets) if self.whole else []
        for j in range(depth - 1, 0, -1):
            basis = self.backward[j - 1]
            if self.whole:
                own, outside = _split(basis, seen[j - 1])
            else:
                own, outside = self._signal(j, signals[0])
            left = _norm(outside)
            size = float(np.hypot(_norm(own), left))
            self._largest[j - 1] = max(self._largest[j - 1], weight * size)
            allowed = tolerance * self._largest[j - 1] / weight
            new = self._beyond(basis, outside, left, allowed)
            if len(new):
                own = np.vstack([own, new @ outside.T])
                self._extend_backward(j - 1, new)
            signals.insert(0, own)
            # Squares of what is nearly nothing are nothing, and then it bounds nothing.
            if size:
                most = _LARGEST_BESIDE_TARGETS * _norm(targets) * _norm(signals[-1]) / size
                self.largest_activations[j - 1] = min(self.largest_activations[j - 1], most)
        return Sample(weight, values[1:], signals), output

    def _activation(self, j: int, below: Matrix) -> tuple[Matrix, Matrix]:
        """Return f_{j+1} in its basis, and as rows what is outside of it."""
        chain = self.chain
        scaled, change = chain.scales[j] * below, chain.corrections[j] @ below
        own = chain.forward[j] @ scaled + chain.mixed[j] @ change
        parts = ((self.images[j], scaled), (self.backward[j], change), (self.forward[j], -own))
        return own, _added(parts)

    def _signal(self, j: int, above: Matrix) -> tuple[Matrix, Matrix]:
        """Return b_j in its basis, and as rows what is outside of it."""
        chain = self.chain
        scaled, change = chain.scales[j] * above, chain.corrections[j].T @ above
        own = chain.backward[j].T @ scaled + chain.mixed[j - 1].T @ change
        basis = self.backward[j - 1]
        parts = ((self.preimages[j], scaled), (self.forward[j - 1], change), (basis, -own))
        return own, _added(parts)

    @property
    def flops(self) -> int:
        """Floating-point operations of one evaluation of the chain's velocity."""
        rank = len(self.chain.descent.inputs)
        # Nothing goes from one kind of bases to the other where both are whole.
        none = 4 * rank * sum(matrix.size for matrix in self.chain.mixed) if self.whole else 0
        return self.chain.flops - none

    @property
    def outgrown(self) -> bool:
        """Whether steps take less in whole layers."""
        chain = self.chain
        own = sum(matrix.size for matrix in (*chain.forward, *chain.backward))
        own += 2 * sum(matrix.size for matrix in chain.mixed)
        layers = sum(weight.size for weight in self.weights)
        return not self.whole and own > _OUTGROWN * (2 * layers - self.weights[0].size)

    def open_up(self) -> None:
        """Let the chain go on in coordinates of whole layers, while the bases grow as before."""
        chain = self.chain
        inner, outer = self._seen()

        def opened(changes: list[Matrix]) -> list[Matrix]:
            triples = zip(outer, changes, inner, strict=True)
            return [above.T @ change @ below for above, change, below in triples]

        if chain.memory is not None:
            chain.memory = [*opened(chain.memory[:-1]), chain.memory[-1]]
        self._go_to(opened(chain.corrections), self.weights, self.weights[1:])
        chain.mixed[:] = [np.eye(weight.shape[0]) for weight in self.weights[:-1]]
        self.whole = True

    def close(self) -> None:
        """Have the chain in coordinates of the bases again, at the end."""
        if not self.whole:
            return
        inner, outer = self._seen()
        for j, weight in enumerate(self.weights[1:], 1):
            self.images[j] = Rows(inner[j] @ weight.T)
            self.preimages[j] = Rows(outer[j] @ weight)
        above = [*inner[1:], outer[-1]]
        forward = [left @ image.rows.T for left, image in zip(above, self.images, strict=True)]
        pairs = zip(self.preimages[1:], outer, strict=False)
        backward = [preimage.rows @ below.T for preimage, below in pairs]
        triples = zip(outer, self.chain.corrections, inner, strict=True)
        self._go_to([b @ change @ f.T for b, change, f in triples], forward, backward)
        pairs = zip(inner[1:], outer, strict=False)
        self.chain.mixed[:] = [f @ b.T for f, b in pairs]
        self.chain.memory, self.whole = None, False

    def _seen(self) -> tuple[list[Matrix], list[Matrix]]:
        """Return F_0 (the identity), ..., F_{L-1} and B_1, ..., B_L, as rows."""
        first = np.eye(self.weights[0].shape[1])
        return [first, *(f.rows for f in self.forward)], [b.rows for b in self.backward]

    def _go_to(
        self, corrections: list[Matrix], forward: list[Matrix], backward: list[Matrix]
    ) -> None:
        """Have the chain go on with these D_j, A_j and N_2, ..., N_L."""
        chain = self.chain
        chain.forward[:], chain.backward[1:] = forward, backward
        chain.backward[0] = np.zeros((len(corrections[0]), 0))
        chain.go_to(corrections, chain.scales)

    def _beyond(self, basis: Rows, outside: Matrix, left: float, allowed: float) -> Matrix:
        """Return orthonormal directions of what is outside a basis, if it exceeds `allowed`."""
        count, size = basis.rows.shape
        if not left > allowed:
            if allowed > 0:
                self.leak = max(self.leak, left / allowed)
            return np.zeros((0, size))
        vectors, values, _ = np.linalg.svd(outside.T, full_matrices=False)
        vectors = vectors[:, values > _HYSTERESIS * allowed][:, : size - count]
        # Once more: a small remainder is not orthogonal to the basis to the last digit.
        vectors = vectors - basis.rows.T @ (basis.rows @ vectors)
        return np.ascontiguousarray(np.linalg.qr(vectors)[0].T)

    def _extend_forward(self, j: int, new: Matrix) -> None:
        """Let F_{j+1} hold more directions."""
        if self.whole:
            self.forward[j].add(new)
            return
        chain = self.chain
        self.streams += 1
        image = new @ self.weights[j + 1].T
        chain.forward[j] = np.vstack([chain.forward[j], new @ self.images[j].rows.T])
        chain.mixed[j] = np.vstack([chain.mixed[j], new @ self.backward[j].rows.T])
        above = image if j + 2 == chain.depth else image @ self.forward[j + 1].rows.T
        chain.forward[j + 1] = np.hstack([chain.forward[j + 1], above.T])
        chain.grow(j + 1, columns=len(new))
        self.forward[j].add(new)
        self.images[j + 1].add(image)

    def _extend_backward(self, j: int, new: Matrix) -> None:
        """Let B_{j+1} hold more directions."""
        if self.whole:
            self.backward[j].add(new)
            return
        chain = self.chain
        chain.mixed[j] = np.hstack([chain.mixed[j], self.forward[j].rows @ new.T])
        above = self.preimages[j + 1].rows @ new.T
        chain.backward[j + 1] = np.hstack([chain.backward[j + 1], above])
        if j:
            self.streams += 1
            preimage = new @ self.weights[j]
            below = preimage @ self.backward[j - 1].rows.T
            chain.backward[j] = np.vstack([chain.backward[j], below])
            self.preimages[j].add(preimage)
        chain.grow(j, rows=len(new))
        self.backward[j].add(new)


def _added(parts: tuple[tuple[Rows, Matrix], ...]) -> Matrix:
    """Return a sum of vectors in coordinates, as rows."""
    (first, coordinates), *rest = parts
    total = coordinates.T @ first.rows
    for vectors, coordinates in rest:
        total += coordinates.T @ vectors.rows
    return total


def _split(basis: Rows, vectors: Matrix) -> tuple[Matrix, Matrix]:
    """Return vectors in a basis, and as rows what is outside of it."""
    own = basis.rows @ vectors
    return own, vectors.T - own.T @ basis.rows


def _norm(matrix: Matrix) -> float:
    return float(np.linalg.norm(matrix))
