"""The UCI gas-sensor data in their own text format, read as numbers and nothing else.

"Gas Sensor Array Drift Dataset at Different Concentrations" (UCI Machine Learning Repository,
A. Vergara, J. Fonollosa; not shipped): files batch1.dat to batch10.dat with a line a measurement,

    CLASS;CONCENTRATION 1:VALUE 2:VALUE ... 128:VALUE

class 1 is ethanol. Concatenate the files into one (2 565 measurements of ethanol). How the data
were scaled is not stated in arXiv:1802.06509, so the choice is ours: each of the 128 features and
the concentration are shifted to mean 0 and scaled to standard deviation 1.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dlnsweep.errors import SpecError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

NUM_FEATURES = 128
ETHANOL = 1
# Between a file's name and the digest of its content, as in operators.py.
_MARK = "#sha256="
_DIGITS = 16
_LARGEST_BYTES = 2**28
_LONGEST_SHOWN = 60


class GasSensor(NamedTuple):
    """Measurements of one gas.

    Attributes:
        features: A row a measurement.
        concentrations: One a measurement.
    """

    features: Float[np.ndarray, "n 128"]
    concentrations: Float[np.ndarray, " n"]


def resolve_file(name: str) -> str:
    """Return a file's name with a digest of the numbers in it: "gas.dat#sha256=0123456789abcdef".

    So other content is another run, whatever the file is called. A name that has a digest already
    must have that of the content.

    Raises:
        ValueError: If the file is none that can be used; the end of a sentence.
    """
    return _resolved(name)[0]


@lru_cache(maxsize=4)
def read_file(resolved: str) -> GasSensor:
    """Return the measurements of ethanol in a resolved file, standardised.

    Raises:
        SpecError: If the file cannot be read any more, or holds other numbers by now.
    """
    import numpy as np

    try:
        features, concentrations = _resolved(resolved)[1]
    except ValueError as error:
        raise SpecError(
            f"problem.data_file is '{resolved}'; {error} Restore the file, or run the changed one "
            "into another folder with --out DIR."
        ) from None
    whole = np.column_stack([features, concentrations])
    standard = (whole - whole.mean(axis=0)) / whole.std(axis=0)
    return GasSensor(standard[:, :-1], standard[:, -1])


def _resolved(name: str) -> tuple[str, GasSensor]:
    """Return a file's name with its digest, and the measurements that have it."""
    path, mark, wanted = name.rpartition(_MARK)
    path = path if mark else name
    found = parse(Path(path))
    digest = hashlib.sha256(f"{found.features.shape}".encode())
    for array in found:
        digest.update((array + 0.0).astype("<f8").tobytes())
    digits = digest.hexdigest()[:_DIGITS]
    if mark and wanted != digits:
        raise ValueError(f"but the data in the file have the digest {digits}: they were changed.")
    return f"{path}{_MARK}{digits}", found


def parse(path: Path) -> GasSensor:
    """Read the measurements of ethanol from a file.

    Raises:
        ValueError: If it is no such file; the end of a sentence, with the number of the line.
    """
    import numpy as np

    if not path.is_file():
        raise ValueError("there is no such file; name one, relative to this folder.")
    if path.stat().st_size > _LARGEST_BYTES:
        raise ValueError(f"it must not be larger than {_LARGEST_BYTES // 2**20} MiB.")
    rows = []
    try:
        with path.open(encoding="ascii") as lines:
            for number, line in enumerate(lines, start=1):
                gas, numbers = _parse_line(line, number)
                if gas == ETHANOL:
                    rows.append(numbers)
    except UnicodeDecodeError:
        raise ValueError("it is no text file in ASCII.") from None
    except OSError as error:
        raise ValueError(f"it cannot be read: {error.strerror or error}.") from None
    if len(rows) < 2:
        raise ValueError(f"it has {len(rows)} measurements of ethanol (class 1); two are needed.")
    table = np.array(rows)
    constant = np.flatnonzero(np.ptp(table, axis=0) == 0)
    if len(constant):
        column = int(constant[0])
        what = "the concentration" if column == 0 else f"feature {column}"
        raise ValueError(f"{what} is the same in all measurements, and cannot be standardised.")
    return GasSensor(table[:, 1:], table[:, 0])


def _parse_line(line: str, number: int) -> tuple[int, list[float]]:
    """Return the class of a line, and its concentration and features."""
    fields = line.split()
    head = fields[0].split(";") if fields else []
    if len(head) != 2 or not head[0].isdecimal():
        raise ValueError(
            f"line {number} begins with '{line.strip()[:_LONGEST_SHOWN]}'; it must be "
            f"CLASS;CONCENTRATION 1:VALUE ... {NUM_FEATURES}:VALUE."
        )
    if len(fields) != NUM_FEATURES + 1:
        raise ValueError(
            f"line {number} has {len(fields) - 1} features; it must have {NUM_FEATURES}."
        )
    numbers = [_number(head[1], f"line {number}: the concentration")]
    for place, field in enumerate(fields[1:], start=1):
        index, colon, value = field.partition(":")
        if not colon or index != str(place):
            raise ValueError(
                f"line {number}: feature {place} is '{field[:_LONGEST_SHOWN]}'; it must be "
                f"{place}:VALUE."
            )
        numbers.append(_number(value, f"line {number}: feature {place}"))
    return int(head[0]), numbers


def _number(text: str, what: str) -> float:
    """Return a finite number."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if value - value != 0:
        raise ValueError(f"{what} is '{text[:_LONGEST_SHOWN]}'; it must be a finite number.")
    return value
