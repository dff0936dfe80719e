"""Which of a run's records a figure or a summary takes: `at`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from dlnsweep.settings.base import Describe, Settings

# Steps are counted in 64 bits.
_LAST = 2**63 - 1
ALLOWED = "'final', 'min', 'argmin', { minimise = OBSERVABLE } or a recorded step"


class Minimise(Settings):
    """The record at which another observable is least, such as a validation error."""

    minimise: Annotated[str, Describe("outside", "the observable that is least there", axis=False)]


def read_at(value: Any) -> int | str | Minimise:
    """Return what `at` means.

    Raises:
        ValueError: If it means nothing; says what is allowed.
    """
    if isinstance(value, Minimise):
        return value
    if isinstance(value, dict) and [*value] == ["minimise"] and isinstance(value["minimise"], str):
        return Minimise(minimise=value["minimise"])
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LAST:
        return value
    if isinstance(value, str) and value in ("final", "min", "argmin"):
        return value
    raise ValueError(f"it must be {ALLOWED}")


At = Annotated[int | Literal["final", "min", "argmin"] | Minimise, BeforeValidator(read_at)]


def typed(text: str) -> int | str:
    """Return what was typed for `at`: the step that its digits say, or the text as it is."""
    return int(text) if text.isdecimal() and len(text) <= len(str(_LAST)) else text


def words(at: int | str | Minimise) -> str:
    """Return which record is taken, for a caption."""
    if isinstance(at, Minimise):
        least = at.minimise.replace("_", " ")
        return f"at the recorded step with the least {least} of each run"
    names = {
        "final": "at the end",
        "min": "smallest value over the steps",
        "argmin": "the recorded step with the smallest value of each run",
    }
    return names.get(str(at), f"at step {at}")
