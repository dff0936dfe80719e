"""Arrays in a user's own .npy and .npz files: read as numbers, never unpickled. No JAX."""

from __future__ import annotations

import hashlib
import lzma
import math
import tokenize
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from dlnsweep.errors import SpecError
from dlnsweep.machine.paths import user_path
from dlnsweep.settings.sentences import show

if TYPE_CHECKING:
    import numpy as np

# Between a file's name and the digest of its content, as in operators.py.
MARK = "#sha256="
# The name of the one array of a .npy file.
ALONE = ""
_DIGITS = 16
_LARGEST_BYTES = 2**31
_LARGEST_INTEGER = 2**53
_FLOATS = ("float16", "float32", "float64")
_PICKLED = "it holds Python objects, which are never unpickled; save plain numbers."
# What reading a damaged or foreign file raises.
# What is said where Python cannot read a header: its own words differ from version to version.
HEADLESS = "its header is none that numpy.save writes"
_ERRORS = (
    OSError, ValueError, EOFError, RuntimeError, ArithmeticError, zipfile.BadZipFile, zlib.error,
    lzma.LZMAError, tokenize.TokenError, SyntaxError,
)  # fmt: skip


def resolve_file(name: str) -> str:
    """Return a file's name with a digest of its arrays: "data.npz#sha256=0123456789abcdef".

    So other content is another run, whatever the file is called. The digest is of names, types,
    shapes and values. A name that has a digest already must have that of the content.

    Raises:
        ValueError: If the file is none that can be used; the end of a sentence.
    """
    return _resolved(name)[0]


@lru_cache(maxsize=4)
def read_arrays(resolved: str) -> dict[str, Any]:
    """Return the arrays of a resolved name; for one that cannot be read, the reason as a text.

    Raises:
        ValueError: If the file cannot be read any more, or holds other arrays by now.
    """
    return _resolved(resolved)[1]


def stem(resolved: str) -> str:
    """Return the name of a resolved file as the user gave it."""
    path, mark, _ = resolved.rpartition(MARK)
    return path if mark else resolved


def check_numbers(array: Any) -> None:
    """Check that an array, or the reason why there is none, holds finite numbers.

    Raises:
        ValueError: If it does not; the end of a sentence.
    """
    import numpy as np

    if isinstance(array, str):
        raise ValueError(array)
    if array.dtype.kind not in "iu" and array.dtype.name not in _FLOATS:
        cast = {"b": "int", "f": "float"}.get(array.dtype.kind)
        how = f": save it with .astype({cast})." if cast else "."
        raise ValueError(
            f"it has dtype {array.dtype}; it must hold integers, or floats of at most 64 bits{how}"
        )
    if not array.ndim or not array.size:
        raise ValueError(f"it has shape {array.shape}; it must have a row a sample, not be empty.")
    rows = array.reshape(len(array), -1)
    if array.dtype.kind in "iu":
        if max(abs(int(array.min())), int(array.max())) > _LARGEST_INTEGER:
            raise ValueError("it holds integers above 2^53, which float64 does not hold exactly.")
    elif not np.all(np.isfinite(rows)):
        place = int(np.argmin(np.isfinite(rows).all(axis=1)))
        raise ValueError(f"it holds values that are not finite, the first in row {place}.")


def _resolved(name: str) -> tuple[str, dict[str, Any]]:
    path = stem(name)
    found = _load(path)
    digits = _digest(found)
    if path != name and name != f"{path}{MARK}{digits}":
        raise ValueError(f"but the arrays in the file have the digest {digits}: it was changed.")
    return f"{path}{MARK}{digits}", found


def _digest(arrays: dict[str, Any]) -> str:
    import numpy as np

    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        if isinstance(array, str):
            digest.update(repr((name, array)).encode())
        else:
            digest.update(repr((name, array.dtype.str, array.shape)).encode())
            # Times have no buffer, but as integers they have.
            plain = array.view("i8") if array.dtype.kind in "mM" else array
            digest.update(np.ascontiguousarray(plain).data.cast("B") if array.size else b"")
    return digest.hexdigest()[:_DIGITS]


def _load(name: str) -> dict[str, Any]:
    try:
        # The setting keeps its `~`: it is part of a run's identity, wherever homes stand.
        path = user_path(name, "it") if name.startswith("~") else Path(name)
    except SpecError as error:
        raise ValueError(str(error)) from None
    try:
        known = bool(name) and path.is_file()
        what = "it is no regular file" if name and path.exists() else "there is no such file"
    except OSError as error:
        raise ValueError(f"it cannot be read: {error.strerror or error}.") from None
    if not known:
        raise ValueError(f"{what}; name a .npy or .npz file, relative to this folder.")
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            head = file.read(6)
            file.seek(0)
            if head == b"\x93NUMPY":
                _check_size(size)
                return {ALONE: _array(file, size)}
            if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
                return dict(_members(file))
    except _ERRORS as error:
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        if isinstance(error, tokenize.TokenError | SyntaxError):
            text = HEADLESS
        raise ValueError(f"it cannot be read: {text.rstrip('.')}.") from None
    raise ValueError("it is no .npy or .npz file; write one with numpy.save or numpy.savez.")


def _check_size(size: int) -> None:
    if size > _LARGEST_BYTES:
        raise ValueError(f"it holds more than {_LARGEST_BYTES // 2**30} GiB, which is the most")


def _members(file: IO[bytes]) -> Iterator[tuple[str, Any]]:
    with zipfile.ZipFile(file) as archive:
        members = [each for each in archive.infolist() if each.filename.endswith(".npy")]
        # What a member says of its size bounds what is read of it.
        _check_size(sum(each.file_size for each in members))
        for name, count in Counter(each.filename for each in members).items():
            if count > 1:
                raise ValueError(f"it holds several arrays named {show(name[:-4])}")
        for each in members:
            with archive.open(each) as member:
                yield each.filename[:-4], _array(member, each.file_size)


def _array(file: Any, size: int) -> np.ndarray | str:
    """Return the array of an open .npy file of `size` bytes in native byte order, or a reason."""
    import numpy as np

    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        return "its .npy format is of a version that is not known; save it with numpy.save."
    two = version == (2, 0)
    read = np.lib.format.read_array_header_2_0 if two else np.lib.format.read_array_header_1_0
    shape, _, dtype = read(file)
    if dtype.hasobject:
        return _PICKLED
    promised, held = math.prod(shape) * dtype.itemsize, size - file.tell()
    # Refused, not allocated.
    if promised != held:
        raise ValueError(f"its header says {promised} bytes of numbers, and it holds {held}")
    file.seek(0)
    array = np.lib.format.read_array(file, allow_pickle=False)
    return np.asarray(array, dtype.newbyteorder("="), order="C")
