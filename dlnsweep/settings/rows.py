"""From the dotted settings of a run, as a plan or a folder has them, back to those of a section."""

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


class Stored(dict[str, Any]):
    """Dotted settings as a results folder has them, or columns of such.

    A folder may be damaged: who reads what every sweep has, and finds it missing, says so.
    """

    def __missing__(self, name: str) -> Any:
        raise no_column(name)


def no_column(name: str) -> StoreError:
    """Return what is said of a folder whose runs lack a setting that all runs have."""
    return StoreError(
        f"its table of runs, runs.parquet, has no column {name!r}, which every sweep writes: the "
        "results folder is damaged; restore it from a copy, or move it away and run the sweep "
        "again (`dlnsweep verify` tells all damage)."
    )


def section_of(settings: type[Own], section: str, row: Mapping[str, Any]) -> Own:
    """Return the settings of one section of a run.

    NaN, None and an empty text stand for "not used by this run".

    Args:
        settings: The settings class of the section.
        section: Its name, such as "training".
        row: The run's dotted settings.

    Raises:
        StoreError: If they are none that a sweep can have, as of a folder that is damaged.
    """
    fields = {key: row.get(f"{section}.{key}") for key in settings.model_fields}
    used = {k: v for k, v in fields.items() if v is not None and v == v and v != ""}
    try:
        return settings.model_validate(used)
    except ValidationError as error:
        (first, *_) = sentences(error, section, settings)
        raise StoreError(
            f"a run has settings that no sweep can have: {first} Its results folder is damaged, or "
            "of another version of a plug-in: `dlnsweep verify` tells damage."
        ) from error
