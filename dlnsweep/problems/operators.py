"""Measurement operators A (m, d), which the problems share: their settings, and how one is drawn.

gaussian       entries N(0, 1/m), independent
random_signs   entries +1/sqrt(m) or -1/sqrt(m), independent
dct            m rows of the orthonormal DCT-II, without replacement, times sqrt(d/m)
blur           periodic convolution with a Gaussian, then m evenly spaced samples; the same for
               every seed
file           the matrix of a .npy file, as it is; the same for every seed

The rows of dct, random_signs and blur have the norm sqrt(d/m), those of gaussian have it on
average. So E||A x||^2 = ||x||^2 over the draw of A (all but blur and file), or over signals x of
random direction (all but file): learning rates mean the same for all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from dlnsweep.errors import SpecError
from dlnsweep.machine.paths import user_path
from dlnsweep.numerics.lazy import jnp
from dlnsweep.problems.arrays import HEADLESS
from dlnsweep.settings.base import Constraint, Describe, Settings, UsedBy

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Array, Float

    from dlnsweep.numerics.streams import Keys

Dimension = Annotated[int, Field(ge=1, le=2**31 - 1)]
OperatorName = Literal["gaussian", "dct", "random_signs", "blur", "file"]

# Between a file's name and the digest of its content, in settings of resolved sweeps.
_MARK = "#sha256="
_DIGITS = 16
_LARGEST_BYTES = 2**31
# Integers up to here are exact in float64.
_LARGEST_INTEGER = 2**53
_FLOATS = ("float16", "float32", "float64")


def resolve_file(name: str) -> str:
    """Return a file's name with a digest of the matrix in it: "mask.npy#sha256=0123456789abcdef".

    So another content is another run, whatever the file is called. A name that has a digest
    already must have that of the content.

    Raises:
        ValueError: If the file is none that can be used; the end of a sentence.
    """
    return _resolved(name)[0]


@lru_cache(maxsize=16)
def read_file(resolved: str) -> Float[np.ndarray, "m d"]:
    """Return the matrix of a resolved name, float64.

    Raises:
        SpecError: If the file cannot be read any more, or holds another matrix by now.
    """
    try:
        return _resolved(resolved)[1]
    except ValueError as error:
        raise SpecError(
            f"problem.operator_file is '{resolved}'; {error} Restore the file, or run the changed "
            "one into another folder with --out DIR."
        ) from None


def _resolved(name: str) -> tuple[str, Float[np.ndarray, "m d"]]:
    """Return a file's name with its digest, and the matrix that has it."""
    path, mark, wanted = name.rpartition(_MARK)
    path = path if mark else name
    matrix = _load(path)
    found = _digest(matrix)
    if mark and wanted != found:
        raise ValueError(f"but the matrix in the file has the digest {found}: it was changed.")
    return f"{path}{_MARK}{found}", matrix


def _load(name: str) -> Float[np.ndarray, "m d"]:
    """Return the matrix of a file, float64; raise a ValueError for what is none."""
    import numpy as np

    try:
        # The setting keeps its `~`: it is part of a run's identity, wherever homes stand.
        array = _mapped(user_path(name, "it") if name.startswith("~") else Path(name))
    except SpecError as error:
        raise ValueError(str(error)) from None
    except OSError as error:
        raise ValueError(f"it cannot be read: {error.strerror or error}.") from None
    _check(array)
    return np.ascontiguousarray(array, dtype=np.float64)


def _mapped(path: Path) -> Any:
    """Return the array of a file without reading its values."""
    import numpy as np

    if not path.is_file():
        raise ValueError("there is no such file; name a .npy file, relative to this folder.")
    if path.stat().st_size > _LARGEST_BYTES:
        raise ValueError(f"it must not be larger than {_LARGEST_BYTES // 2**30} GiB.")
    with path.open("rb") as file:
        if file.read(6) != b"\x93NUMPY":
            raise ValueError("it is no .npy file; write one with numpy.save.")
    try:
        # A header that promises more than the file holds is refused, not allocated.
        with np.errstate(over="raise"):
            return np.load(path, mmap_mode="r", allow_pickle=False)
    except (TokenError, SyntaxError):
        raise ValueError(f"it cannot be read: {HEADLESS}.") from None
    except (ValueError, ArithmeticError, EOFError) as error:
        raise ValueError(f"it cannot be read: {str(error).rstrip('.')}.") from None


def _check(array: Any) -> None:
    """Raise a ValueError for an array that is no operator."""
    import numpy as np

    if array.dtype.kind not in "iu" and array.dtype.name not in _FLOATS:
        raise ValueError(
            f"it has dtype {array.dtype}; it must hold integers, or floats of at most 64 bits."
        )
    if array.ndim != 2 or not array.size:
        raise ValueError(f"it has shape {array.shape}; it must be a matrix, not empty.")
    if not np.all(np.isfinite(array)):
        raise ValueError("it holds values that are not finite.")
    if array.dtype.kind in "iu" and max(abs(int(array.min())), int(array.max())) > _LARGEST_INTEGER:
        raise ValueError("it holds integers above 2^53, which float64 does not hold exactly.")
    if not np.any(array):
        raise ValueError("it holds zeros only.")


def _digest(matrix: Float[np.ndarray, "m d"]) -> str:
    """Return a digest of shape and values; -0.0 counts as 0.0, and the dtype does not count."""
    digest = hashlib.sha256(f"{matrix.shape}".encode())
    digest.update((matrix + 0.0).astype("<f8").tobytes())
    return digest.hexdigest()[:_DIGITS]


def _shape(resolved: str) -> tuple[int, ...]:
    return read_file(resolved).shape


class MeasurementSettings(Settings):
    """The settings of every problem that measures signals: Y = A X."""

    # Each problem has its own kind; here it only gets the first place among the keys.
    kind: Any
    signal_dim: Annotated[Dimension, Describe("static", "dimension of the signals", "d")]
    measurement_dim: Annotated[Dimension, Describe("static", "number of measurements", "m")]
    operator: Annotated[
        OperatorName, Describe("static", "which measurement operator, scaled to E|Ax|² = |x|²", "A")
    ] = "gaussian"
    blur_width: Annotated[
        Annotated[float, Field(gt=0)],
        Describe("traced", "standard deviation of the blur's Gaussian", "", "samples"),
    ] = 1.0
    operator_file: Annotated[
        str,
        Describe("static", "a .npy file with A, shape (m, d), used as it is; its content counts"),
    ] = ""

    used_by: ClassVar[Mapping[str, UsedBy]] = {
        "blur_width": UsedBy("operator", ("blur",), needed=True),
        "operator_file": UsedBy("operator", ("file",), needed=True),
    }
    resolvers: ClassVar[Mapping[str, Any]] = {"operator_file": resolve_file}
    constraints: ClassVar[tuple[Constraint, ...]] = (
        Constraint(
            ("problem.measurement_dim", "problem.signal_dim"),
            lambda m, d: m <= d,
            "problem.measurement_dim is {0}; it must not exceed problem.signal_dim, which is {1} "
            "(the problem is underdetermined: m <= d).",
        ),
        Constraint(
            (
                "problem.operator",
                "problem.operator_file",
                "problem.measurement_dim",
                "problem.signal_dim",
            ),
            lambda name, file, m, d: name != "file" or not file or _shape(file) == (m, d),
            lambda _, file, m, d: (
                f"problem.operator_file is '{file.rpartition(_MARK)[0]}', of shape {_shape(file)}; "
                f"with problem.measurement_dim {m} and problem.signal_dim {d} it must be "
                f"({m}, {d})."
            ),
        ),
    )


def has_full_rank(settings: MeasurementSettings) -> bool:
    """Return whether A has rank m with probability 1, whatever the settings' numbers.

    Signs may be singular by chance, a wide blur is so to rounding, and a file may hold anything.
    """
    return settings.operator in ("gaussian", "dct")


def draw_operator(settings: MeasurementSettings, key: Keys) -> Float[Array, "m d"]:
    """Draw A, float64.

    Args:
        settings: The settings; traced fields may be tracers.
        key: The run's PRNG key for a named purpose.
    """
    from dlnsweep.numerics.streams import gaussian

    m, d = settings.measurement_dim, settings.signal_dim
    if settings.operator == "gaussian":
        return gaussian(key("data/operator"), m, d) / jnp.sqrt(m)
    if settings.operator == "random_signs":
        return jnp.sign(gaussian(key("data/operator"), m, d)) / jnp.sqrt(m)
    if settings.operator == "dct":
        order = jnp.argsort(gaussian(key("data/operator"), d, 1)[:, 0])
        return jnp.sqrt(d / m) * _dct_rows(jnp.sort(order[:m]), d)
    if settings.operator == "blur":
        return _blur(m, d, settings.blur_width)
    return jnp.asarray(read_file(settings.operator_file))


def _dct_rows(rows: Array, d: int) -> Float[Array, "m d"]:
    """Return rows k of the orthonormal DCT-II.

    sqrt(2/d) cos(pi k (2j + 1) / (2d)) for j = 0, ..., d - 1; for k = 0 divided by sqrt(2).
    """
    # Modulo the period as integers: the angle would lose digits in large d.
    angles = rows[:, None].astype(jnp.int64) * (2 * jnp.arange(d, dtype=jnp.int64) + 1) % (4 * d)
    first = jnp.where(rows == 0, jnp.sqrt(0.5), 1.0)[:, None]
    return first * jnp.sqrt(2 / d) * jnp.cos(jnp.pi * angles / (2 * d))


def _blur(m: int, d: int, width: Float[Array, ""] | float) -> Float[Array, "m d"]:
    """Return sqrt(d/m) h(j - i_k) / ||h|| with i_k = floor(k d / m), k = 0, ..., m - 1.

    h(t) = exp(-|t|^2 / (2 width^2)) with |t| the distance round the circle of d samples. A kernel
    of sum 1 would shrink white signals by ||h||; so each row has the norm sqrt(d/m) instead.
    """
    kept = jnp.arange(m, dtype=jnp.int64) * d // m
    apart = jnp.abs(jnp.arange(d, dtype=jnp.int64) - kept[:, None])
    distance = jnp.minimum(apart, d - apart)
    kernel = jnp.exp(-0.5 * (distance / width) ** 2)
    return jnp.sqrt(d / m) * kernel / jnp.linalg.norm(kernel, axis=1, keepdims=True)
