"""The dotted settings of one run, as a plan or a folder has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from dlnsweep.errors import StoreError
from dlnsweep.settings.base import Settings
from dlnsweep.settings.sentences import sentences

Own = TypeVar("Own", bound=Settings)


# What the table of runs of every sweep has, of whichever kinds and version. Other settings were
# added later: where a folder lacks one, it was begun before, and its runs have the default.
ALWAYS = (
    "seed", "problem.kind", "network.kind", "training.optimizer", "training.learning_rate",
    "training.weight_decay", "training.step_rule", "training.data_fit_scale", "training.num_steps",
    "record.spacing", "record.count", "sweep.precision", "sweep.kernel", "sweep.tolerance",
)  # fmt: skip


class Columns(dict[str, Any]):
    """Columns of dotted settings as a results folder has them.

    A folder may be damaged: who reads what every sweep has, and finds it missing, says so.
    """

    def __missing__(self, name: str) -> Any:
        raise no_column(name)


class RunSettings(dict[str, Any]):
    """The settings of one run by their dotted keys.

    What the run does not use is None, which tables write as NaN, null or an empty text; what was
    planned by a version that had no such setting is missing, and `get` takes it for None, too.

    Args:
        values: The settings, as Python's values or NumPy's.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__({key: _value(value) for key, value in values.items()})

    def __missing__(self, name: str) -> Any:
        raise no_column(name)

    def __or__(self, other: Mapping[str, Any]) -> RunSettings:  # type: ignore[override]
        """Return the settings of a run that differs in some."""
        return RunSettings({**self, **other})

    @classmethod
    def at(
        cls, columns: Mapping[str, Any], index: int, shared: Mapping[str, Any] | None = None
    ) -> RunSettings:
        """Return the settings of one run of a table.

        Args:
            columns: The columns of the table.
            index: The run's place in them.
            shared: The settings that are no column, which all runs have in common.
        """
        return cls({key: column[index] for key, column in columns.items()} | dict(shared or {}))

    def number(self, key: str, default: float) -> float:
        """Return a number, or another one if the run does not use it."""
        value = self.get(key)
        return default if value is None else value

    def section(self, name: str, settings: type[Own]) -> Own:
        """Return the settings of one section.

        Args:
            name: The section's name, such as "training".
            settings: Its settings class.

        Raises:
            StoreError: If they are none that a sweep can have, as of a folder that is damaged.
        """
        fields = {key: self.get(f"{name}.{key}") for key in settings.model_fields}
        try:
            return settings.model_validate({k: v for k, v in fields.items() if v is not None})
        except ValidationError as error:
            (first, *_) = sentences(error, name, settings)
            raise StoreError(
                f"a run has settings that no sweep can have: {first} Its results folder is "
                "damaged, or of another version of a plug-in: `dlnsweep verify` tells damage."
            ) from error


def _value(value: Any) -> Any:
    plain = value.item() if getattr(value, "ndim", None) == 0 else value
    unused = (isinstance(plain, str) and not plain) or (isinstance(plain, float) and plain != plain)
    return None if unused else plain


def no_column(name: str) -> StoreError:
    """Return what is said of a folder whose runs lack a setting that all runs have."""
    return StoreError(
        f"its table of runs, runs.parquet, has no column {name!r}, which every sweep writes: the "
        "results folder is damaged; restore it from a copy, or move it away and run the sweep "
        "again (`dlnsweep verify` tells all damage)."
    )
