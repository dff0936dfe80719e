"""Whether a network begins as its `Structure.input_law` says, tried before any run is written.

Parameters are drawn for many seeds at two numbers m of inputs. With z the entries of a part of the
first layer, of 8 different rows at most and 8 columns, over the standard deviation s(m) that is
claimed, these are tried:

    z, its sums over rows, columns and both, over the roots of how many     all are N(0, 1): by the
        largest distance of distribution functions, and by E z, E z^2 and E z^4
    products of two of z and z^2 - 1, of different entries                  mean 0
    those of z and z^2 - 1 with an entry of every other leaf                mean 0
    that entry of every other leaf at one m and at the other                one law

and the training inputs must not matter. All limits are such that a true claim is refused with a
probability of some 1e-8 or less; a correlation of two entries is seen from 7 / sqrt(seeds), as from
0.22 of a thousand.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from dlnsweep.networks.generic.state import Samples
from dlnsweep.networks.reduced_inputs.draw import SpanDrawing
from dlnsweep.networks.reduced_inputs.network import axes_of
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.streams import gaussian, keys_of
from dlnsweep.settings.sentences import raised

Numbers = NDArray[np.float64]

_SIZES = (8, 64)
_GRID = 8
# Drawn seeds: as many as make this many numbers, within bounds.
_NUMBERS, _FEWEST, _MOST = 4 * 10**7, 100, 1000
# The probability that one distance of distribution functions is larger (Massart 1990: 2 exp(-2 n
# D^2); of two samples of n each 2 exp(-n D^2)), and means in standard errors, of products of
# squares, whose tails are longer, too.
_ERROR, _FAR, _FARTHER = 1e-10, 7.0, 10.0
_SEED = 2**31


class WrongLaw(Exception):  # noqa: N818 - a sentence
    """What is wrong with the claim."""


def try_law(drawing: SpanDrawing) -> None:
    """Refuse a network that does not begin as it says.

    Args:
        drawing: How its runs are drawn.

    Raises:
        WrongLaw: If it does not.
    """
    with numerics():
        first, last = (_Draws(drawing, size, place) for place, size in enumerate(_SIZES))
    for each in (first, last):
        _check_entries(each)
        _check_independence(each)
    limit = np.sqrt(np.log(2 / _ERROR) / len(first.others))
    for one, other in zip(first.others.T, last.others.T, strict=True):
        found: Any = stats.ks_2samp(one, other, method="asymp")
        if found.statistic > limit:
            raise WrongLaw(
                f"another leaf has another law at {first.size} inputs and at {last.size}."
            )


class _Draws:
    """What a network begins with at one number of inputs, for many seeds.

    Attributes:
        size: m.
        entries: z (seeds, rows, columns).
        others: An entry of each other leaf (seeds, leaves).
    """

    def __init__(self, drawing: SpanDrawing, size: int, place: int) -> None:
        self.size = size
        network, problem = drawing.network, drawing.sections.problem
        numbers = {k: jnp.asarray(v) for k, v in drawing.example_arguments().items() if k != "seed"}
        settings = drawing.sections.with_numbers(numbers, drawing.width).network
        deviation, copies = self._claimed(drawing, settings)
        shape = (size, problem.num_samples)
        key = keys_of(jnp.asarray(_SEED))
        targets = gaussian(key("data/signals"), problem.signal_dim, problem.num_samples)

        def begun(seed: Any, inputs: Any) -> Any:
            data = Samples(inputs, targets)
            return jax.tree.map(jnp.asarray, network.init(settings, data, keys_of(seed)))

        seed, nothing = jnp.asarray(_SEED), jnp.zeros(shape)
        try:
            start = jax.jit(begun)
            one, other = start(seed, nothing), start(seed, gaussian(key("data/noise"), *shape))
        # Whatever a stranger's function raises.
        except Exception as error:
            raise WrongLaw(f"init fails at {size} inputs ({raised(error)}).") from error
        if not all(map(np.array_equal, *map(jax.tree.leaves, (one, other)))):
            raise WrongLaw("init depends on the training inputs, which are not drawn.")
        axes = axes_of(network, one)

        def rows_of(params: Any) -> list[Any]:
            """Return each leaf that meets inputs as a matrix with these last."""
            pairs = zip(jax.tree.leaves(params), axes, strict=True)
            return [jnp.moveaxis(v, axis, -1).reshape(-1, size) for v, axis in pairs if axis >= 0]

        firsts = [np.asarray(each) for each in rows_of(one)]
        if not all(np.array_equal(each, firsts[0]) for each in firsts):
            raise WrongLaw("the leaves that meet inputs do not begin as one matrix.")
        rows = _different(firsts[0], copies)[:_GRID]
        columns = np.linspace(0, size - 1, _GRID).round().astype(int)
        leaves = jax.tree.leaves(one)
        count = sum(leaf.size for leaf in leaves)
        self.count = int(np.clip(_NUMBERS // count, _FEWEST, _MOST))

        def chosen(seed: Any) -> tuple[Any, Any]:
            params = begun(seed, nothing)
            rest = [
                leaf.ravel()[leaf.size // 2]
                for leaf, axis in zip(jax.tree.leaves(params), axes, strict=True)
                if axis < 0 and leaf.size
            ]
            grid = rows_of(params)[0][rows][:, columns]
            return grid, jnp.stack(rest) if rest else jnp.zeros(0)

        seeds = _SEED + self.count * (1 + place) + jnp.arange(self.count)
        entries, others = jax.jit(lambda seeds: jax.lax.map(chosen, seeds))(seeds)
        self.entries: Numbers = np.asarray(entries) / deviation
        self.others: Numbers = np.asarray(others)

    def _claimed(self, drawing: SpanDrawing, settings: Any) -> tuple[float, int]:
        law: Any = drawing.network.structure.input_law
        try:
            # As training asks, which knows m as a tracer.
            jax.eval_shape(lambda m: law(settings, m)[0] + 0.0, jnp.asarray(float(self.size)))
            deviation, copies = law(settings, float(self.size))
            deviation = float(deviation)
        except Exception as error:
            raise WrongLaw(
                f"it does not return a number and how often rows come ({raised(error)})."
            ) from error
        if isinstance(copies, bool) or not isinstance(copies, int) or copies < 1:
            raise WrongLaw(f"it returns {copies!r} for how often rows come; it must be 1 or more.")
        if not 0 < deviation < np.inf:
            raise WrongLaw(f"it returns {deviation:g} for the standard deviation.")
        return deviation, copies


def _different(rows: Numbers, copies: int) -> NDArray[np.int64]:
    """Return the places of the different ones of rows that come so many times each."""
    _, places, counts = np.unique(rows, axis=0, return_index=True, return_counts=True)
    if set(counts.tolist()) != {copies}:
        found = ", ".join(map(str, sorted(set(counts.tolist()))))
        raise WrongLaw(f"rows come {found} times each, and not {copies}.")
    return np.sort(places)


def _check_entries(drawn: _Draws) -> None:
    """Refuse entries, or sums of them, that are not standard Gaussian."""
    z = drawn.entries
    rows, columns = z.shape[1:]
    sums = {
        "entries": z,
        "sums over rows of entries": z.sum(axis=1) / rows**0.5,
        "sums over inputs of entries": z.sum(axis=2) / columns**0.5,
        "sums of all entries": z.sum(axis=(1, 2)) / (rows * columns) ** 0.5,
    }
    for name, values in sums.items():
        flat = values.ravel()
        count = len(flat)
        # Means of z, z^2 and z^4, their values and variances of a Gaussian.
        for power, mean, variance in ((1, 0.0, 1.0), (2, 1.0, 2.0), (4, 3.0, 96.0)):
            found = float(np.mean(flat**power))
            # Of fourth powers errors have long tails.
            limit = (_FARTHER if power == 4 else _FAR) * (variance / count) ** 0.5
            # NaN is far.
            if not abs(found - mean) <= limit:
                raise WrongLaw(
                    f"at {drawn.size} inputs the mean of power {power} of {name} over it is "
                    f"{found:.3g}, and not {mean:g}, in {drawn.count} draws."
                )
        distance: Any = stats.kstest(flat, "norm", method="asymp")
        if distance.statistic > np.sqrt(np.log(2 / _ERROR) / (2 * count)):
            raise WrongLaw(f"at {drawn.size} inputs {name} are not Gaussian.")


def _check_independence(drawn: _Draws) -> None:
    """Refuse entries that depend on each other, or on the other leaves."""
    count = drawn.count
    z = drawn.entries.reshape(count, -1)
    squares = (z**2 - 1) / 2**0.5
    for values, limit in ((z, _FAR), (squares, _FARTHER)):
        products = values.T @ values / count
        np.fill_diagonal(products, 0.0)
        if np.max(np.abs(products)) > limit / count**0.5:
            raise WrongLaw(f"at {drawn.size} inputs entries depend on each other.")
    spread = drawn.others.std(axis=0)
    # A leaf that is the same in all draws depends on nothing.
    others = (drawn.others - drawn.others.mean(axis=0))[:, spread > 0] / spread[spread > 0]
    for values, limit in ((z, _FAR), (squares, _FARTHER)):
        for each in (others, np.abs(others) - np.abs(others).mean(axis=0)):
            if np.max(np.abs(values.T @ each), initial=0.0) > limit * count**0.5:
                raise WrongLaw(f"at {drawn.size} inputs entries depend on another leaf.")
