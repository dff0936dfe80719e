"""A user's own arrays: one row a sample in the file, one column a sample in X and Y.

inputs     (N, m), (N,) for m = 1, or images (N, ...), each flattened row by row (C order)
targets    (N, d) or (N,), numbers; or classes, one integer a row, made targets as labels.py says
split      first: rows 0 to n - 1 train, in their order, for every seed; the others test
           seed: n rows drawn by the run's seed, without replacement, train; the others test
standardise   each feature j becomes (y_j - mean_j) / std_j with mean and standard deviation over
           the n training rows (division by n), for test rows, too. A feature that is constant over
           them is shifted by its mean and not scaled. "both" does so with targets, too

The numbers are used in float64 whatever the file holds. A file is known by its content, of which a
digest is part of the runs' identity: one that changes is another sweep's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from dlnsweep.errors import SpecError
from dlnsweep.numerics.lazy import jnp, lax
from dlnsweep.problems import arrays
from dlnsweep.problems.labels import LOSS_FITS, num_outputs, targets_of
from dlnsweep.problems.operators import Dimension
from dlnsweep.problems.tables import Table, read_table, why_no_size, why_not_standardised
from dlnsweep.settings.base import Constraint, Describe, Follows, Settings
from dlnsweep.settings.training import OF_NETWORK, OWN_SQUARED

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Array, Float

    from dlnsweep.numerics.streams import Keys

# What the arrays of a run are found by.
_PLACE = ("data_file", "targets_file", "inputs", "targets", "labels")
_PLACES = tuple(f"problem.{key}" for key in _PLACE)
# What decides whether their size can be trained on.
_SIZED = (
    "sweep.precision",
    "problem.standardise",
    "problem.split",
    "problem.num_samples",
    "training.loss",
    "network.kind",
)
# The losses that are zero of targets and outputs of zero.
_SQUARED = ("squared", "mean_squared")
# Of what cannot be read something else is said.
_NO_LIMIT = 2**31


def _why_not(*place: str) -> str:
    """Return what is wrong with the arrays, a sentence; empty if nothing is."""
    try:
        read_table(*place)
    except ValueError as error:
        return str(error)
    return ""


def _why_not_standardised(which: str, *place: str) -> str:
    return "" if _why_not(*place) else why_not_standardised(which, *place)


def _why_no_size(
    precision: str, standardise: str, split: str, count: int, loss: str, kind: str, *place: str
) -> str:
    if _why_not(*place) or count < 1 or _why_not_standardised(standardise, *place):
        return ""
    squared = loss in _SQUARED or (loss == OF_NETWORK and kind in OWN_SQUARED)
    return why_no_size(precision, standardise, split, count, squared, *place)


def _sizes(*place: str) -> tuple[int, int, int] | None:
    """Return N, m and d; None where something is wrong with the arrays."""
    if _why_not(*place):
        return None
    table = read_table(*place)
    labels = place[-1]
    outputs = num_outputs(table.num_classes, labels) if table.num_classes else 0
    return *table.inputs.shape, outputs or table.targets.shape[1]


def _of_size(index: int) -> Any:
    def value(*place: str) -> int | None:
        sizes = _sizes(*place)
        return sizes[index] if sizes else None

    return value


def _fits(index: int) -> Any:
    def holds(given: int, *place: str) -> bool:
        sizes = _sizes(*place)
        more = index == 2 and place[-1] != "none"
        return sizes is None or given == sizes[index] or (more and given > sizes[index])

    return holds


def _num_test(samples: int, *place: str) -> int:
    sizes = _sizes(*place)
    return sizes[0] - samples if sizes else _NO_LIMIT


class FromFileSettings(Settings):
    """[problem] kind = "from_file"."""

    kind: Annotated[Literal["from_file"], Describe("static", "which problem", axis=False)] = (
        "from_file"
    )
    data_file: Annotated[
        str,
        Describe(
            "static",
            "a .npz file with inputs and targets, or a .npy file with inputs, a row a sample; its "
            "content counts",
        ),
    ]
    targets_file: Annotated[
        str, Describe("static", "the .npy file with the targets beside a .npy file of inputs")
    ] = ""
    inputs: Annotated[str, Describe("static", "name of the inputs in a .npz file")] = "inputs"
    targets: Annotated[str, Describe("static", "name of the targets in a .npz file")] = "targets"
    labels: Annotated[
        Literal["none", "one_hot", "signs"],
        Describe(
            "static",
            "none: targets are numbers; else they are classes 0, 1, ..., made 1 and 0 (one_hot) or "
            "1 and -1 (signs; one target for two classes), a target a class",
        ),
    ] = "none"
    standardise: Annotated[
        Literal["none", "inputs", "both"],
        Describe(
            "static",
            "what is shifted and scaled, feature by feature, to mean 0 and standard deviation 1 "
            "over the training rows; constant features are only shifted",
        ),
    ] = "none"
    split: Annotated[
        Literal["first", "seed"],
        Describe(
            "static",
            "which num_samples rows train: the first, or some drawn by the seed; the others test",
        ),
    ] = "first"
    num_samples: Annotated[Dimension, Describe("static", "number of training samples", "n")]
    signal_dim: Annotated[Dimension, Describe("static", "number of targets of a sample", "d")]
    measurement_dim: Annotated[Dimension, Describe("static", "number of inputs of a sample", "m")]

    resolvers: ClassVar[Mapping[str, Any]] = {
        "data_file": arrays.resolve_file,
        "targets_file": lambda name: arrays.resolve_file(name) if name else "",
    }
    follows: ClassVar[Mapping[str, Follows]] = {
        key: Follows(_PLACE, _of_size(index), exact=False)
        for index, key in enumerate(("num_samples", "measurement_dim", "signal_dim"))
    }
    constraints: ClassVar[tuple[Constraint, ...]] = (
        LOSS_FITS,
        Constraint(_PLACES, lambda *place: not _why_not(*place), _why_not),
        Constraint(
            ("problem.standardise", "problem.labels"),
            lambda standardise, labels: standardise != "both" or labels == "none",
            "problem.standardise is {0} and problem.labels is {1}; classes are not standardised: "
            "take 'inputs'.",
        ),
        Constraint(
            ("problem.standardise", *_PLACES),
            lambda which, *place: not _why_not_standardised(which, *place),
            _why_not_standardised,
        ),
        Constraint(
            (*_SIZED, *_PLACES),
            lambda *values: not _why_no_size(*values),
            _why_no_size,
        ),
        Constraint(
            ("problem.measurement_dim", *_PLACES),
            _fits(1),
            lambda m, *place: (
                f"problem.measurement_dim is {m}; the inputs have {_of_size(1)(*place)} features: "
                "leave it out."
            ),
        ),
        Constraint(
            ("problem.signal_dim", *_PLACES),
            _fits(2),
            lambda d, *place: (
                f"problem.signal_dim is {d}; "
                + (
                    f"a sample has {_of_size(2)(*place)} targets: leave it out."
                    if place[-1] == "none"
                    else f"there are classes up to {read_table(*place).num_classes - 1}, which "
                    f"need {_of_size(2)(*place)} targets: leave it out, or give more."
                )
            ),
        ),
        Constraint(
            ("problem.num_samples", *_PLACES),
            lambda n, *place: _num_test(n, *place) >= 0,
            lambda n, *place: (
                f"problem.num_samples is {n}; the file has {_of_size(0)(*place)} rows. Left out, "
                "all of them train."
            ),
        ),
    )


def num_test_rows(settings: FromFileSettings) -> int:
    """Return the number of rows that do not train."""
    return _num_test(settings.num_samples, *(getattr(settings, key) for key in _PLACE))


def draw(settings: FromFileSettings, key: Keys) -> tuple[Float[Array, "d n"], Float[Array, "m n"]]:
    """Return the training targets X and inputs Y.

    Args:
        settings: The settings.
        key: The run's PRNG key for a named purpose.
    """
    return _rows(settings, key, 0, settings.num_samples)


def draw_test(
    settings: FromFileSettings, key: Keys, count: int
) -> tuple[Float[Array, "d k"], Float[Array, "m k"]]:
    """Return targets and inputs of the first `count` rows that do not train."""
    return _rows(settings, key, settings.num_samples, count)


def _rows(
    settings: FromFileSettings, key: Keys, start: int, count: int
) -> tuple[Float[Array, "d k"], Float[Array, "m k"]]:
    """Return targets and inputs of some rows in the order of the split."""
    from dlnsweep.numerics.streams import gaussian

    table = _table(settings)
    order = jnp.arange(len(table.inputs))
    if settings.split == "seed":
        # The places of sorted independent numbers are a uniformly random order.
        order = jnp.argsort(gaussian(key("data/rows"), len(table.inputs), 1)[:, 0])
    training, chosen = order[: settings.num_samples], order[start : start + count]
    inputs = _columns(table.inputs, training, chosen, settings.standardise != "none")
    if table.num_classes:
        classes = jnp.asarray(table.targets[:, 0])[chosen]
        return targets_of(classes, settings.signal_dim, settings.labels), inputs
    return _columns(table.targets, training, chosen, settings.standardise == "both"), inputs


def _table(settings: FromFileSettings) -> Table:
    try:
        return read_table(*(getattr(settings, key) for key in _PLACE))
    except ValueError as error:
        raise SpecError(
            f"problem.data_file is '{settings.data_file}'; {error} Restore the file, or run the "
            "changed one into another folder with --out DIR."
        ) from None


def _columns(
    rows: np.ndarray, training: Any, chosen: Any, standardise: bool
) -> Float[Array, "p k"]:
    """Return some rows as columns, float64, standardised over the training rows if asked."""
    # XLA would otherwise work on large constants while it compiles.
    known = lax.optimization_barrier(jnp.asarray(rows))
    found = known[chosen].astype(jnp.float64)
    if standardise:
        seen = known[training].astype(jnp.float64)
        first = seen[0]
        # Exactly zero for a constant feature, as its own mean may not be.
        moved = seen - first
        mean = jnp.mean(moved, axis=0)
        deviation = jnp.sqrt(jnp.mean((moved - mean) ** 2, axis=0))
        found = (found - first - mean) / jnp.where(deviation > 0, deviation, 1.0)
    return found.T
