"""Why something is not done, or so: a word for code, a clause for people, and what helps."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Reason:
    """Why something is not done, or done so.

    Attributes:
        code: A word for it, the same whatever it is said of.
        sentence: A clause that says it, without a full stop.
        remedy: What to set so that it is otherwise, by dotted key; None where the key is to be
            left out. Empty where nothing helps.
    """

    code: str
    sentence: str
    remedy: Mapping[str, Any] = field(default_factory=dict)

    @property
    def in_file(self) -> str:
        """What to do in a sweep file, as a clause; empty where nothing helps."""
        return " and ".join(
            f"leave {key} out" if value is None else f"set {key} = {_toml(value)}"
            for key, value in self.remedy.items()
        )

    @property
    def on_command_line(self) -> str:
        """The arguments that do it for one command; empty where nothing helps."""
        return " ".join(
            f"--set {shlex.quote(f'{key}={_bare(value)}')}" for key, value in self.remedy.items()
        )


def _toml(value: Any) -> str:
    # Texts, numbers and lists of such, which JSON and TOML write alike.
    return json.dumps(value)


def _bare(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else _toml(value)
