"""Where a function leaves the precision of training in between, though it begins and ends in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dlnsweep.numerics.lazy import jax, jnp, lax

_OURS = Path(__file__).parents[2]
_FLOAT32_DIGITS = 23
# Algorithms of products that keep all digits of float32, and of float64.
_FULL = {False: ("F32_F32_F32", "F64_F64_F64", "BF16_BF16_F32_X9"), True: ("F64_F64_F64",)}


def rounding_of(jaxpr: Any, dtype: Any) -> str:
    """Return the first operation that makes fewer digits of floats than the run has, as words.

    Integers, truth values and random bits that are made floats are none: nothing of the run's
    digits is in them. Nor are constants: only what takes floats of the run's precision, or of a
    higher one, and returns such of a lower one, or multiplies them in a lower one.

    Args:
        jaxpr: The function, as `jax.make_jaxpr` has it.
        dtype: The precision of training.

    Returns:
        Such as "float16 (convert_element_type, at net.py:12)"; empty if there is none.
    """
    for equation in _equations(jaxpr.jaxpr):
        digits = jnp.finfo(dtype).nmant
        taken = [_digits(each) for each in equation.invars]
        if max(taken, default=0) < digits:
            continue
        made = [each.aval.dtype for each in equation.outvars if 0 < _digits(each) < digits]
        kept = equation.params.get("mantissa_bits", digits)
        rough = _rough(equation.params.get("precision"), digits)
        if made or kept < digits or rough:
            what = str(made[0]) if made else rough or f"{kept} bits of a mantissa"
            return f"{what} ({equation.primitive.name}{_place(equation)})"
    return ""


def _rough(precision: Any, digits: int) -> str:
    """Return a product's precision that is below the run's, as words; empty if none is.

    None is the default, which is the highest while we compute. What float64 is multiplied in no
    level changes (on no device), but an algorithm does.
    """
    levels = precision if isinstance(precision, tuple) else [precision]
    for level in levels:
        if level is None or level == lax.Precision.HIGHEST:
            continue
        name, wide = str(getattr(level, "name", level)), digits > _FLOAT32_DIGITS
        if not (wide if isinstance(level, lax.Precision) else name in _FULL[wide]):
            return f"precision {name}"
    return ""


def _digits(variable: Any) -> int:
    dtype = getattr(variable.aval, "dtype", None)
    floats = dtype is not None and jnp.issubdtype(dtype, jnp.inexact)
    return jnp.finfo(dtype).nmant if floats else 0


def _equations(jaxpr: Any) -> Iterator[Any]:
    """Yield all equations that make something, those of functions before what calls them."""
    for equation in jaxpr.eqns:
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_function):
            if _is_function(inner):
                yield from _equations(getattr(inner, "jaxpr", inner))
        yield equation


def _is_function(value: Any) -> bool:
    return hasattr(value, "eqns")


def _place(equation: Any) -> str:
    """Return the innermost line that an equation is of, of what is neither ours nor installed."""
    others = _OURS, Path(jax.__file__).parents[1]
    traceback = getattr(equation.source_info, "traceback", None)
    for frame in getattr(traceback, "frames", ()):
        path = Path(frame.file_name)
        if not any(path.is_relative_to(each) for each in others) and path.is_file():
            return f", at {path.name}:{frame.line_num}"
    return ""
