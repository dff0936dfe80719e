"""When a run counts as a success."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, SerializerFunctionWrapHandler, WrapSerializer

from dlnsweep.settings.base import Describe, Settings


class Success(Settings):
    """When a run counts as a success: an observable below a value."""

    observable: Annotated[str, Describe("outside", "the observable that decides", axis=False)]
    below: Annotated[
        float, Describe("outside", "a run succeeds when the observable is below this", axis=False)
    ]


def read_conditions(value: Any) -> Any:
    """Return conditions on a run's end as a tuple; none of "finished"; None where none is given."""
    if value is None:
        return None
    if value == "finished":
        return ()
    # An empty list says nothing of what success is.
    if isinstance(value, str) or value == []:
        raise ValueError(
            "it must be 'finished', { observable = ..., below = ... }, or a list of them"
        )
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def kept_conditions(record: Any) -> Any:
    """Return what a folder says of [sweep.refine] or [sweep.until] as a file would say it.

    There "finished" is kept as a list of no condition.
    """
    if isinstance(record, dict) and record.get("success") == []:
        return {**record, "success": "finished"}
    return record


def _read_successes(value: Any) -> Any:
    # Folders of before keep a list of no condition where none was given.
    return None if value == [] else read_conditions(value)


def _write_successes(value: Any, write: SerializerFunctionWrapHandler) -> Any:
    # Kept figures are read again, where an empty list is none given.
    return "finished" if value == () else write(value)


# One condition, or several that a run must meet together; none of "finished"; None if not given.
Successes = Annotated[
    tuple[Success, ...] | None, BeforeValidator(_read_successes), WrapSerializer(_write_successes)
]
