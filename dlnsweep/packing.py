"""Nested values become one file of plain arrays and come back from it: no code, no pickle.

The file is NumPy's .npz: arrays `a0`, `a1`, ... and `outline`, a JSON text that says how they are
nested. Its comment holds the SHA-256 of everything before, so that any changed byte is noticed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zipfile
from collections.abc import Iterable
from typing import Any

import numpy as np

_DIGITS = 64


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
        file.comment = bytes(_DIGITS)
    with sink.getbuffer() as whole:
        whole[-_DIGITS:] = hashlib.sha256(whole[:-_DIGITS]).hexdigest().encode()
    return sink.getvalue()


def is_intact(data: bytes | memoryview) -> bool:
    """Tell whether every byte is as `pack` wrote it."""
    whole = memoryview(data)
    found = hashlib.sha256(whole[:-_DIGITS]).hexdigest()
    return len(whole) > _DIGITS and bytes(whole[-_DIGITS:]) == found.encode()


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
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            outline = json.loads(arrays["outline"].tobytes())
            return _Unpacker(kinds, arrays).value(outline)
    except (ValueError, KeyError, TypeError, IndexError, zipfile.BadZipFile) as error:
        raise PackError(f"another version of dlnsweep wrote it ({error})") from error


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
            if array.dtype.kind not in "biufc":
                raise TypeError(f"cannot keep {type(value).__name__}")
            self._places[id(value)] = len(self.arrays)
            self._seen.append(value)
            self.arrays.append(array)
        return self._places[id(value)]


class _Unpacker:
    """Turns an outline and arrays into the value."""

    def __init__(self, kinds: Iterable[type], arrays: Any) -> None:
        self._kinds = {kind.__name__: kind for kind in kinds}
        self._arrays = arrays
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
            self._read[place] = self._arrays[f"a{place}"]
        return self._read[place]


def _fields(kind: type) -> list[str]:
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    names: Any = kind
    return list(names._fields)
