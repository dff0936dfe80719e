"""Initial weights of a Gaussian network of any width, compressed, from their exact law.

The entries of W_i are independent N(0, sigma_i^2). Each hidden layer V_j (j = 1, ..., L-1, of
dimension d_w) gets a growing orthonormal basis, and a matrix is revealed only by multiplying it
with vectors of these bases: a vector b of V_{i-1} is *pushed*, W_i b, or a vector a of V_i is
*pulled*, W_i^T a. Then the entries of Q_i^T W_i Q_{i-1} in these bases are known without W_i.
When b is pushed while V_i has the vectors e_0, ..., e_{q-1},

    e_p^T W_i b = what pulling e_p has shown      if e_p was pulled (0 if b came after that)
                  N(0, sigma_i^2)                 otherwise, for p < q
                  sigma_i chi(d_w - q)            for p = q: the rest of W_i b has a uniform
                                                  direction in d_w - q dimensions, called e_q
                  0                               for all vectors that come later.

Pulling is the same with W_i^T. An entry that is never asked for is N(0, sigma_i^2). So the law is
bookkeeping on indices: which vector came when, and when it was pushed and pulled. That is fixed by
L, m, r, d and the level (a `Plan`, in NumPy); the width only enters the degrees of freedom, so it
may be traced. Where d_w is below the size of a basis, the vectors e_q with q >= d_w do not exist,
their rows and columns are zero, and the compressed network is the whole one, rotated. (Where b
does not exist but e_q would, e_q is just one more direction; the rules hold for it too.)

W_1 [U V_perp] has the law of W_1, so the m coordinates of the input are the r directions of
range(Y) and the m - r directions off it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt32

from dlnsweep.numerics.lazy import jnp
from dlnsweep.numerics.streams import chi_squared, gaussian

# A run's keys by purpose, as in streams.
Keys = Callable[[str], tuple[UInt32[Array, ""], UInt32[Array, ""]]]

# The time of what does not happen.
_NEVER = np.iinfo(np.int32).max
# The vectors of off-range directions enter the levels so many levels late. They never feed back
# into training, but what is pushed after them has components of relative size sqrt((m - r) / d_w)
# along them, so pulling them never would stop the error at 1e-6 (L = 3) or 1e-4 (L = 4, both
# d_w = 400). Two levels late costs a factor 3 to 7 of accuracy there and saves 28 to 56 dimensions
# of each layer, which bring more when spent on levels.
_OFF_RANGE_DELAY = 2


@dataclass(frozen=True, eq=False)
class Plan:
    """The bases of all layers and what is revealed when; lists run over V_0, ..., V_L.

    Attributes:
        sizes: m, k_1, ..., k_{L-1}, d.
        introduced: When each vector came: 0 for those of the input and the output.
        pushed: When each vector was multiplied by the layer above it.
        pulled: When each vector was multiplied by the transpose of the layer below it.
        diagonals: Of each layer, rows and columns of the entries that are chi distributed.
    """

    sizes: tuple[int, ...]
    introduced: tuple[Int[np.ndarray, " _"], ...]
    pushed: tuple[Int[np.ndarray, " _"], ...]
    pulled: tuple[Int[np.ndarray, " _"], ...]
    diagonals: tuple[Int[np.ndarray, "2 _"], ...]

    @property
    def depth(self) -> int:
        """L."""
        return len(self.diagonals)

    @cached_property
    def patterns(self) -> tuple[Bool[np.ndarray, "_ _"], ...]:
        """Where the compressed W_1, ..., W_L are not zero."""
        return tuple(
            (self.introduced[i + 1][:, None] <= self.pushed[i])
            & (self.introduced[i] <= self.pulled[i + 1][:, None])
            for i in range(self.depth)
        )

    @cached_property
    def complete_columns(self) -> tuple[Bool[np.ndarray, " _"], ...]:
        """Which columns of the compressed W_1, ..., W_L are images without a part outside."""
        last = self.depth - 1
        return tuple((self.pushed[i] < _NEVER) | (i == last) for i in range(self.depth))

    @cached_property
    def complete_rows(self) -> tuple[Bool[np.ndarray, " _"], ...]:
        """Which rows of the compressed W_1, ..., W_L are images under W_i^T without such a part."""
        return tuple((self.pulled[i + 1] < _NEVER) | (i == 0) for i in range(self.depth))


class _Process:
    """Bases under construction: each vector as a list [introduced, pushed, pulled, level due]."""

    def __init__(self, depth: int, input_dim: int, output_dim: int) -> None:
        self.depth = depth
        self.now = 0
        self.bases: list[list[list[int]]] = [[] for _ in range(depth + 1)]
        self.bases[0] = [[0, _NEVER, _NEVER, 0] for _ in range(input_dim)]
        self.bases[depth] = [[0, _NEVER, _NEVER, 0] for _ in range(output_dim)]
        self.diagonals: list[list[tuple[int, int]]] = [[] for _ in range(depth)]

    def reveal(self, space: int, index: int, due: int, *, push: bool) -> int:
        """Push or pull a vector; return the index of the vector that this adds."""
        self.now += 1
        self.bases[space][index][1 if push else 2] = self.now
        target = space + 1 if push else space - 1
        new = len(self.bases[target])
        self.bases[target].append([self.now, _NEVER, _NEVER, due])
        layer, entry = (space, (new, index)) if push else (target, (index, new))
        self.diagonals[layer].append(entry)
        return new

    def push_through(self, block: range, due: int) -> None:
        """Push input directions through all hidden layers."""
        vectors = list(block)
        for space in range(self.depth - 1):
            vectors = [self.reveal(space, v, due, push=True) for v in vectors]

    def pull_through(self, block: range, due: int) -> None:
        """Pull output directions back through all hidden layers."""
        vectors = list(block)
        for space in range(self.depth, 1, -1):
            vectors = [self.reveal(space, v, due, push=False) for v in vectors]

    def level(self, level: int) -> None:
        """Push and pull each vector that is due, and has not been, one layer."""
        sizes = [len(basis) for basis in self.bases]
        # Neither the input nor the output has room for more: what ends there adds nothing.
        pushes = [(space, True) for space in range(1, self.depth - 1)]
        pulls = [(space, False) for space in range(self.depth - 1, 1, -1)]
        for space, push in pushes + pulls:
            for index in range(sizes[space]):
                vector = self.bases[space][index]
                if vector[1 if push else 2] == _NEVER and vector[3] <= level:
                    self.reveal(space, index, level + 1, push=push)


@lru_cache(maxsize=64)
def level_plan(depth: int, input_dim: int, rank: int, output_dim: int, levels: int) -> Plan:
    """Return the plan of the two-sided block Krylov bases of a level.

    Level 0 pushes the `rank` directions of range(Y) through W_1, ..., W_{L-1}, pulls all output
    directions back through W_L, ..., W_2, and pushes the directions off range(Y). A further level
    pushes and pulls each vector that the last one has added by one layer; the vectors of the
    off-range directions wait two levels longer to be pulled. A deeper level extends a shallower
    one: its matrices contain those of the shallower, with the same numbers.

    Args:
        depth: L.
        input_dim: m.
        rank: r, the rank of Y.
        output_dim: d.
        levels: How many levels follow level 0.
    """
    process = _Process(depth, input_dim, output_dim)
    if depth > 1:
        process.push_through(range(rank), due=1)
        process.pull_through(range(output_dim), due=1)
        process.push_through(range(rank, input_dim), due=1 + _OFF_RANGE_DELAY)
    for level in range(1, levels + 1):
        process.level(level)
    tables = [np.array(basis, np.int32).reshape(-1, 4).T for basis in process.bases]
    return Plan(
        sizes=tuple(table.shape[1] for table in tables),
        introduced=tuple(table[0] for table in tables),
        pushed=tuple(table[1] for table in tables),
        pulled=tuple(table[2] for table in tables),
        diagonals=tuple(np.array(d, np.int32).reshape(-1, 2).T for d in process.diagonals),
    )


def _present(
    plan: Plan, width: Float[Array, ""]
) -> list[tuple[Float[Array, ""], Bool[Array, " _"]]]:
    """Return of V_0, ..., V_L the dimension and which vectors of the basis exist."""
    found = []
    for space, size in enumerate(plan.sizes):
        hidden = 0 < space < plan.depth
        dimension = width if hidden else jnp.float64(size)
        found.append((dimension, jnp.arange(size) < dimension))
    return found


def draw_compressed(
    plan: Plan, width: Int[Array, ""], sigmas: Float[Array, " L"], key: Keys
) -> tuple[Float[Array, "_ _"], ...]:
    """Draw Q_1^T W_1, Q_2^T W_2 Q_1, ..., W_L Q_{L-1} of a Gaussian network, float64.

    Args:
        plan: The bases.
        width: d_w, from 1 to 1e12; may be traced.
        sigmas: Standard deviations sigma_i of the entries of each layer.
        key: The run's keys; an entry depends on the key and its place alone.
    """
    spaces = _present(plan, width.astype(jnp.float64))
    diagonals = _draw_diagonals(plan, spaces, key)
    matrices = []
    for i, pattern in enumerate(plan.patterns):
        rows, columns = plan.diagonals[i]
        entries = gaussian(key(f"law/{i + 1}"), *pattern.shape)
        entries = entries.at[rows, columns].set(diagonals[i])
        exists = spaces[i + 1][1][:, None] & spaces[i][1]
        matrices.append(jnp.where(pattern & exists, sigmas[i] * entries, 0.0))
    return tuple(matrices)


def _draw_diagonals(
    plan: Plan, spaces: list[tuple[Float[Array, ""], Bool[Array, " _"]]], key: Keys
) -> list[Float[Array, " _"]]:
    """Draw the chi distributed entries of each layer, for sigma = 1."""
    degrees = []
    for i, (rows, columns) in enumerate(plan.diagonals):
        # The vector that an entry has introduced has as index the number of those before it.
        by_push = plan.introduced[i + 1][rows] == plan.pushed[i][columns]
        degrees.append(jnp.where(by_push, spaces[i + 1][0] - rows, spaces[i][0] - columns))
    # All in one call, which compiles once.
    counts = np.array([entries.shape[1] for entries in plan.diagonals])
    places = jnp.asarray(np.concatenate(plan.diagonals, axis=1), jnp.uint32)
    keys = _keys(plan, key, "chi", counts)
    squares = chi_squared(keys, (places[0], places[1]), jnp.concatenate(degrees))
    return jnp.split(jnp.sqrt(squares), np.cumsum(counts)[:-1])


def _keys(
    plan: Plan, key: Keys, purpose: str, counts: Int[np.ndarray, " L"]
) -> tuple[UInt32[Array, " n"], UInt32[Array, " n"]]:
    """Return the key of each layer for `purpose`, repeated `counts` times."""
    words = [key(f"law/{i + 1}/{purpose}") for i in range(plan.depth)]
    high, low = jnp.stack([w[0] for w in words]), jnp.stack([w[1] for w in words])
    return jnp.repeat(high, counts), jnp.repeat(low, counts)


def squared_norms(
    plan: Plan,
    matrices: tuple[Float[Array, "_ _"], ...],
    width: Int[Array, ""],
    sigmas: Float[Array, " L"],
    key: Keys,
) -> Float[Array, " L"]:
    """Draw ||W_i||_F^2 of the full matrices, given the compressed ones of `draw_compressed`.

    With W_i of n_i x n_{i-1} entries, k_i vectors in the basis of V_i, and P_{i-1} of V_{i-1}
    pushed and L_i of V_i pulled (outside the bases these have no part),

        ||W_i||_F^2 = ||compressed W_i||_F^2 + sigma_i^2 chi^2(f),
        f = (n_i - k_i) (n_{i-1} - P_{i-1}) + (n_{i-1} - k_{i-1}) (k_i - L_i).

    It is exact for the bases of this plan; with those of another level the same run gets other
    numbers of the same law.
    """
    spaces = _present(plan, width.astype(jnp.float64))
    degrees = []
    for i in range(plan.depth):
        (below, columns_exist), (above, rows_exist) = spaces[i : i + 2]
        pushed = jnp.sum(columns_exist & plan.complete_columns[i])
        pulled = jnp.sum(rows_exist & plan.complete_rows[i])
        rows, columns = jnp.sum(rows_exist), jnp.sum(columns_exist)
        degrees.append((above - rows) * (below - pushed) + (below - columns) * (rows - pulled))
    keys = _keys(plan, key, "rest", np.ones(plan.depth, int))
    place = jnp.zeros(plan.depth, jnp.uint32)
    rest = chi_squared(keys, (place, place), jnp.stack(degrees))
    return jnp.stack([jnp.sum(matrix**2) for matrix in matrices]) + sigmas**2 * rest
