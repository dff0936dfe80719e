"""Whether an initializer of a stranger's draws what it must, tried before anything is written."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from dlnsweep.networks.layered.initializers import INITIALIZER_WORDS, INITIALIZERS, Shape
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.streams import keys_of
from dlnsweep.settings.sentences import raised

# Hidden layers of so many neurons, of which the narrow ones use fewer.
_TRIED, _NARROW = 5, 3


def why_not_initializer(name: str, dims: tuple[int, ...]) -> str:
    """Return what is wrong with an initializer, as a sentence; empty if nothing is.

    Args:
        name: Its name.
        dims: The layer sizes of a run.
    """
    if name not in INITIALIZERS or not INITIALIZER_WORDS.version(name):
        return ""
    with numerics():
        wrong = _why_not(name, dims)
    return f"network.initializer '{name}' cannot be drawn: {wrong}" if wrong else ""


def _why_not(name: str, dims: tuple[int, ...]) -> str:
    initializer = INITIALIZERS[name]
    seed = jnp.zeros((), jnp.int64)
    small = (dims[0], *[_TRIED] * (len(dims) - 2), dims[-1])

    def drawn(dims: tuple[int, ...], width: Any) -> Any:
        return list(initializer.draw(Shape(dims, width), keys_of(seed, len(dims) - 1)))

    try:
        # At its own sizes only the shapes; numbers at small ones.
        shapes = jax.eval_shape(lambda: drawn(dims, max(dims[1:-1] or (1,))))
        weights = [np.asarray(w) for w in drawn(small, _TRIED)]
    # Whatever a stranger's function raises.
    except Exception as error:
        return f"its draw fails ({raised(error)})."
    wanted = [(rows, columns) for columns, rows in itertools.pairwise(dims)]
    if [w.shape for w in shapes] != wanted:
        return (
            f"its draw returns arrays of shapes {_said([w.shape for w in shapes])}; for the layer "
            f"sizes {_said(dims)} they must be {_said(wanted)}."
        )
    for found in shapes:
        if found.dtype != jnp.float64:
            return f"its draw returns an array of {found.dtype}; all must be float64."
    if not all(np.isfinite(w).all() for w in weights):
        return "its draw returns numbers that are not finite."
    if initializer.paddable and len(dims) > 2:
        return _why_not_padded(drawn, small)
    return ""


def _why_not_padded(drawn: Any, small: tuple[int, ...]) -> str:
    """Draw a narrow network inside wider arrays, which must be zero beyond it."""
    narrow = jax.jit(lambda width: drawn(small, width))
    try:
        weights = [np.asarray(w) for w in narrow(jnp.asarray(_NARROW))]
    except Exception as error:
        return (
            f"it says that it is paddable, and its draw fails at a traced width ({raised(error)})."
        )
    last = len(weights) - 1
    for i, weight in enumerate(weights):
        beyond = [weight[:, _NARROW:]] if i else []
        beyond += [weight[_NARROW:]] if i < last else []
        if any(np.any(part != 0) for part in beyond):
            return (
                "it says that it is paddable, and draws numbers beyond a width smaller than the "
                "arrays; leave zeros there (shape.width), or do not say so."
            )
    return ""


def _said(values: Sequence[Any]) -> str:
    return ", ".join(str(tuple(v)) if isinstance(v, tuple) else str(v) for v in values)
