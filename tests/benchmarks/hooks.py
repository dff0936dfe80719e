"""Processor seconds of this process by what they go into: functions are told by name."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any


class Hooks:
    """Seconds of functions, each without the parts inside it that are told by themselves.

    Args:
        parts: What is told by itself, and the functions that stand for it: "module:function", or
            "module:Class.method", within the package.

    Attributes:
        seconds: By part.
        inside: The parts that are under way, the innermost last.
    """

    def __init__(self, parts: Mapping[str, Sequence[str]]) -> None:
        self.seconds = dict.fromkeys(parts, 0.0)
        self.inside: list[str] = []
        self._within: list[float] = []
        for name, places in parts.items():
            for place in places:
                wrap(place, lambda function, name=name: self._told(name, function))

    def _told(self, name: str, function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            self._within.append(0.0)
            self.inside.append(name)
            before = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                whole = time.process_time() - before
                self.inside.pop()
                self.seconds[name] += whole - self._within.pop()
                if self._within:
                    self._within[-1] += whole

        return call


def wrap(place: str, made: Callable[[Any], Any]) -> None:
    """Put in place of a function of the package what is made of it."""
    module, _, path = place.partition(":")
    owner: Any = importlib.import_module(f"dlnsweep.{module}")
    *classes, function = path.split(".")
    for each in classes:
        owner = getattr(owner, each)
    setattr(owner, function, made(getattr(owner, function)))
