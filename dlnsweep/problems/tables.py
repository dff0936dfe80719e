"""Inputs and targets of a user's own files, checked: rows that fit, numbers, classes. No JAX."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from dlnsweep.problems import arrays
from dlnsweep.settings.sentences import show
from dlnsweep.settings.sizes import SIZES

if TYPE_CHECKING:
    import numpy as np

_MOST_CLASSES = 10_000
# By how much a feature may vary that is standardised: the mean of squares of some 10^8 rows must
# neither overflow nor fall among the numbers that processors take for zero.
_VARIES = (1e-140, 1e150)


class Table(NamedTuple):
    """The samples of a file, a row each, as numbers of the file's own types.

    Attributes:
        inputs: The inputs.
        targets: The targets; where there are classes these, in one column, from 0.
        num_classes: One more than the largest class; 0 where there are none.
    """

    inputs: np.ndarray
    targets: np.ndarray
    num_classes: int


@lru_cache(maxsize=4)
def read_table(data_file: str, targets_file: str, inputs: str, targets: str, labels: str) -> Table:
    """Return the samples of resolved files.

    Raises:
        ValueError: If there are none; a sentence.
    """
    place, (first, second) = _arrays(data_file, targets_file, inputs, targets)
    for where, array in zip(place, (first, second), strict=True):
        try:
            arrays.check_numbers(array)
        except ValueError as error:
            raise ValueError(f"{where}; {error}") from None
    if len(first) != len(second):
        raise ValueError(
            f"{place[0]}, of {len(first)} rows; {place[1]}, of {len(second)}: both must have a row "
            "a sample."
        )
    if labels == "none":
        if second.ndim > 2:
            raise ValueError(f"{place[1]}, of shape {second.shape}; it must be (N, d) or (N,).")
        return Table(_flat(first), _flat(second), 0)
    return Table(_flat(first), *_classes(second, labels, place[1]))


@lru_cache(maxsize=8)
def why_not_standardised(which: str, *place: str) -> str:
    """Return what forbids to standardise arrays that are right, a sentence; empty if nothing does.

    Args:
        which: What is standardised, as problem.standardise has it.
        place: What `read_table` takes.
    """
    import numpy as np

    table = read_table(*place)
    arrays_of = {"none": (), "inputs": ("inputs",), "both": ("inputs", "targets")}
    for name in arrays_of[which]:
        rows = getattr(table, name)
        with np.errstate(over="ignore"):
            varies = rows.max(axis=0).astype(float) - rows.min(axis=0).astype(float)
        wrong = np.flatnonzero((varies != 0) & ~((varies >= _VARIES[0]) & (varies <= _VARIES[1])))
        if len(wrong):
            return (
                f"problem.standardise is {show(which)}; column {wrong[0]} of the {name} varies by "
                f"{varies[wrong[0]]:.3g}, whose square float64 does not hold: it must vary by "
                f"{_VARIES[0]:g} to {_VARIES[1]:g}, or not at all; multiply it by a factor before "
                "it is saved."
            )
    return ""


@lru_cache(maxsize=64)
def why_no_size(
    precision: str, standardise: str, split: str, count: int, squared: bool, *place: str
) -> str:
    """Return why every run on arrays that are right would end at step 0; empty if not for sure.

    Args:
        precision: As sweep.precision has it.
        standardise: As problem.standardise has it; what is standardised is too small only where
            all rows are the same.
        split: As problem.split has it; of rows drawn by a seed those of all rows are an upper end.
        count: How many rows train.
        squared: Whether targets of zero leave nothing to learn.
        place: What `read_table` takes.
    """
    import numpy as np

    table, (least, most) = read_table(*place), SIZES[precision]
    given = [("inputs", table.inputs, standardise != "none")]
    if squared and not table.num_classes:
        given.append(("targets", table.targets, standardise == "both"))
    for name, rows, moved in given:
        train = np.asarray(rows[:count] if split == "first" else rows, dtype=float)
        with np.errstate(over="ignore"):
            size = float(np.linalg.norm(train - train[0] if moved else train))
        # Whatever norm a kernel measures by, it is no larger and no smaller than so.
        room = min(train.shape) ** 0.5
        if size < least if not moved else size == 0:
            found = "the same in all rows that train" if moved else f"of norm {size:.3g}"
        elif not moved and split == "first" and size > most * room:
            found = f"of norm {size:.3g}"
        else:
            continue
        return (
            f"problem.data_file is {show(arrays.stem(place[0]))}, whose training {name} are "
            f"{found}; every run would end at step 0 as diverged: in {precision} norms must lie "
            f"between {least:g} and {most:g}."
        )
    return ""


def _arrays(
    data_file: str, targets_file: str, inputs: str, targets: str
) -> tuple[tuple[str, str], tuple[Any, Any]]:
    """Return how a sentence names inputs and targets, and what they are."""
    at = f"problem.data_file is {show(arrays.stem(data_file))}"
    found = arrays.read_arrays(data_file)
    if arrays.ALONE in found:
        if not targets_file:
            raise ValueError(
                f"{at}, which holds one array: name the .npy file of the targets, "
                "problem.targets_file, or put both arrays into a .npz file."
            )
        other = arrays.read_arrays(targets_file)
        where = f"problem.targets_file is {show(arrays.stem(targets_file))}"
        if arrays.ALONE not in other:
            raise ValueError(f"{where}; beside a .npy file of inputs it must be a .npy file.")
        return (at, where), (found[arrays.ALONE], other[arrays.ALONE])
    if targets_file:
        raise ValueError(
            f"problem.targets_file is {show(arrays.stem(targets_file))}, and {at}, a .npz file, "
            "which holds the targets, too: leave one out."
        )
    named = ", ".join(map(show, sorted(found)[:20])) or "none"
    for key, name in (("inputs", inputs), ("targets", targets)):
        if name not in found:
            raise ValueError(
                f"problem.{key} is {show(name)}; {show(arrays.stem(data_file))} has no such "
                f"array. It has: {named}."
            )
    places = f"{at}, array {show(inputs)}", f"{at}, array {show(targets)}"
    return places, (found[inputs], found[targets])


def _flat(array: Any) -> Any:
    return array.reshape(len(array), -1)


def _classes(found: Any, labels: str, place: str) -> tuple[Any, int]:
    """Return classes from 0 in one column, and how many there are."""
    asked = f"for problem.labels = {show(labels)} it must hold a class, an integer, a row"
    if found.dtype.kind not in "iu":
        raise ValueError(f"{place}, of dtype {found.dtype}; {asked}: save it with .astype(int).")
    if found.size != len(found):
        raise ValueError(
            f"{place}, of shape {found.shape}; {asked}. (Targets that are numbers: "
            'problem.labels = "none".)'
        )
    column = _flat(found)
    low, high = int(column.min()), int(column.max())
    if labels == "signs" and (low, high) == (-1, 1) and not (column == 0).any():
        return (column > 0).astype("int8"), 2
    if low < 0 or high >= _MOST_CLASSES:
        raise ValueError(
            f"{place}, with classes from {low} to {high}; they must be 0, 1, ..., below "
            f'{_MOST_CLASSES} (or -1 and 1 for "signs").'
        )
    # One class alone is the first of two.
    return column, max(2, high + 1)
