"""Nested values become one file of plain arrays and come back from it: no code, no pickle.

The file is NumPy's .npz: arrays `a0`, `a1`, ... and `outline`, a JSON text that says how they are
nested. Its comment holds the SHA-256 of everything before, so that any changed byte is noticed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
import struct
import zipfile
from collections.abc import Iterable
from tokenize import TokenError
from typing import Any

import numpy as np

# The length of the checksum, and of a zip file's first mark.
DIGITS = 64
HEAD = 4
_KINDS = "biufc"
# A batch of thousands of runs has an outline of some megabytes.
_MAX_OUTLINE_BYTES = 32 * 2**20
_MAX_HEADER_BYTES = 10_000
_LOCAL_HEADER = 30
# Whatever a file can be made to raise that is sealed and yet none of ours.
_MALFORMED = (
    *(ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, OverflowError),
    *(zipfile.BadZipFile, NotImplementedError, EOFError, struct.error, MemoryError, SyntaxError),
    # Of NumPy, where a header is no Python: it looks for what Python 2 wrote.
    TokenError,
)


class PackError(ValueError):
    """A file is not, to the byte, what `pack` once returned, or holds what is not known here."""


def pack(value: Any, kinds: Iterable[type]) -> bytes:
    """Return a nested value as the content of a file.

    Args:
        value: Arrays, numbers, texts and None, nested in lists, tuples, dicts and records.
        kinds: The classes of the records: named tuples and dataclasses.
    """
    packer = _Packer(kinds)
    outline = json.dumps(packer.outline(value)).encode()
    arrays = {"outline": np.frombuffer(outline, np.uint8)}
    arrays |= {f"a{i}": array for i, array in enumerate(packer.arrays)}
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as file:
        for name, array in arrays.items():
            with file.open(f"{name}.npy", "w", force_zip64=True) as part:
                np.lib.format.write_array(part, array, allow_pickle=False)
        file.comment = bytes(DIGITS)
    with sink.getbuffer() as whole:
        whole[-DIGITS:] = hashlib.sha256(whole[:-DIGITS]).hexdigest().encode()
    return sink.getvalue()


def is_intact(data: bytes | memoryview) -> bool:
    """Tell whether every byte is as `pack` wrote it."""
    whole = memoryview(data)
    found = hashlib.sha256(whole[:-DIGITS]).hexdigest()
    return len(whole) > DIGITS and bytes(whole[-DIGITS:]) == found.encode()


def unpack(data: bytes, kinds: Iterable[type]) -> Any:
    """Return the value that `pack` was given.

    Args:
        data: The content of the file.
        kinds: As for `pack`.

    Raises:
        PackError: If a byte was changed, or it holds a record of another kind.
    """
    if not is_intact(data):
        raise PackError("its checksum is wrong")
    try:
        parts = _parts(data)
        if len(parts.get("outline", b"")) > _MAX_OUTLINE_BYTES:
            raise PackError("its outline is larger than any of ours")
        outline = json.loads(_array(parts["outline"]).tobytes())
        return _Unpacker(kinds, parts).value(outline)
    except _MALFORMED as error:
        found = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise PackError(f"another version of dlnsweep wrote it ({found})") from error


def looks_intact(head: bytes, tail: bytes) -> bool:
    """Tell from a file's ends whether it may be one of ours, before it is read.

    Args:
        head: Its first `HEAD` bytes.
        tail: Its last `DIGITS` bytes.
    """
    digits = len(tail) == DIGITS and all(byte in b"0123456789abcdef" for byte in tail)
    return digits and head == b"PK\x03\x04"


def _parts(data: bytes) -> dict[str, memoryview]:
    """Return the parts of the file: stored as they are, so that they take no more than it does."""
    whole, parts = memoryview(data), {}
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        for item in file.infolist():
            name = item.filename.removesuffix(".npy")
            stored = item.compress_type == zipfile.ZIP_STORED and not item.flag_bits & 1
            if not stored or item.file_size != item.compress_size or name in parts:
                raise PackError(f"its part {name[:80]!r} is not stored as ours are")
            header = whole[item.header_offset : item.header_offset + _LOCAL_HEADER]
            names = int.from_bytes(header[26:28], "little")
            extra = int.from_bytes(header[28:30], "little")
            first = item.header_offset + _LOCAL_HEADER + names + extra
            if first + item.file_size > len(whole):
                raise PackError(f"its part {name[:80]!r} lies outside of it")
            parts[name] = whole[first : first + item.file_size]
    return parts


def _array(part: memoryview) -> np.ndarray:
    """Return the array of a part in NumPy's format, which must be as large as it says."""
    source = io.BytesIO(part[:_MAX_HEADER_BYTES])
    version = np.lib.format.read_magic(source)
    if version == (1, 0):
        shape, by_columns, kind = np.lib.format.read_array_header_1_0(source)
    else:
        shape, by_columns, kind = np.lib.format.read_array_header_2_0(source)
    body = part[source.tell() :]
    if kind.hasobject or kind.kind not in _KINDS or kind.subdtype or min(shape, default=0) < 0:
        raise PackError(f"it holds an array of {kind}")
    if math.prod(shape) * kind.itemsize != len(body):
        raise PackError(f"an array of shape {shape} has {len(body)} bytes"[:200])
    # A copy: the caller may write to it, and the file's memory is free again.
    return np.frombuffer(body, kind).reshape(shape, order="F" if by_columns else "C").copy("K")


class _Packer:
    """Turns a value into an outline, and collects its arrays, each object once."""

    def __init__(self, kinds: Iterable[type]) -> None:
        self.arrays: list[np.ndarray] = []
        self._kinds = set(kinds)
        self._places: dict[int, int] = {}
        # An object that is freed would leave its id to another one.
        self._seen: list[Any] = []

    def outline(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float | str):
            # NumPy's float64 is a float, too.
            return value.item() if isinstance(value, np.generic) else value
        if type(value) in self._kinds:
            fields = {name: self.outline(getattr(value, name)) for name in _fields(type(value))}
            return {"kind": type(value).__name__, "fields": fields}
        if isinstance(value, list):
            return [self.outline(item) for item in value]
        if type(value) is tuple:
            return {"tuple": [self.outline(item) for item in value]}
        if isinstance(value, dict):
            return {"dict": [[key, self.outline(item)] for key, item in value.items()]}
        return {"array": self._place(value)}

    def _place(self, value: Any) -> int:
        if id(value) not in self._places:
            array = np.asarray(value)
            if array.dtype.kind not in _KINDS:
                raise TypeError(f"cannot keep {type(value).__name__}")
            self._places[id(value)] = len(self.arrays)
            self._seen.append(value)
            self.arrays.append(array)
        return self._places[id(value)]


class _Unpacker:
    """Turns an outline and arrays into the value."""

    def __init__(self, kinds: Iterable[type], parts: dict[str, memoryview]) -> None:
        self._kinds = {kind.__name__: kind for kind in kinds}
        self._parts = parts
        self._read: dict[int, np.ndarray] = {}

    def value(self, outline: Any) -> Any:
        if isinstance(outline, list):
            return [self.value(item) for item in outline]
        if not isinstance(outline, dict):
            return outline
        if "array" in outline:
            return self._array(outline["array"])
        if "tuple" in outline:
            return tuple(self.value(item) for item in outline["tuple"])
        if "dict" in outline:
            return {key: self.value(item) for key, item in outline["dict"]}
        kind = self._kinds[outline["kind"]]
        if list(outline["fields"]) != _fields(kind):
            raise PackError(f"a {kind.__name__} has other fields here")
        return kind(**{name: self.value(item) for name, item in outline["fields"].items()})

    def _array(self, place: int) -> np.ndarray:
        if place not in self._read:
            self._read[place] = _array(self._parts[f"a{place}"])
        return self._read[place]


def _fields(kind: type) -> list[str]:
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    names: Any = kind
    return list(names._fields)
