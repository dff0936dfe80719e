"""From the dotted settings of a run, as a plan or a folder has them, back to those of a section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from dlnsweep.errors import StoreError
from dlnsweep.settings.base import Settings
from dlnsweep.settings.sentences import sentences

Own = TypeVar("Own", bound=Settings)


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
