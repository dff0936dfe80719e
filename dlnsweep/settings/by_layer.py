"""Numbers one a layer as the value of one setting: a text such as "1, 0.1".

In a sweep file a list is an axis, and in a column of a table a value must be one thing that can be
compared, hashed and named in a legend; so what has a number for each layer is written as a text.
Programs take its numbers as an argument.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pydantic_core import PydanticCustomError, core_schema

# Layers at most that can have numbers of their own.
_MOST = 100
_EXPECTED = (
    f"a text of at most {_MOST} numbers from 0 up, one a layer and with commas between them, such "
    'as "1, 0.1"'
)


class ByLayer:
    """Says of a field of texts that it holds numbers, one a layer, or none at all (empty)."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """Return pydantic's schema of such a text, which becomes the one way to write it."""
        del source, handler
        return core_schema.no_info_plain_validator_function(_check)


def numbers_of(text: str) -> tuple[float, ...]:
    """Return the numbers of a text.

    Raises:
        ValueError: If it is none.
    """
    return tuple(float(part) for part in text.split(",")) if text else ()


def is_by_layer(metadata: Sequence[Any]) -> bool:
    """Return whether a field holds numbers one a layer, from its metadata."""
    return any(isinstance(item, ByLayer) for item in metadata)


def _check(value: Any) -> str:
    try:
        numbers = numbers_of(value) if isinstance(value, str) else (-1.0,)
    except ValueError:
        numbers = (-1.0,)
    if len(numbers) > _MOST or not all(0 <= number < math.inf for number in numbers):
        # The error of a closed list of words, so that both are told alike.
        raise PydanticCustomError(
            "literal_error", "Input should be {expected}", {"expected": _EXPECTED}
        )
    # Minus zero is zero.
    return ", ".join(repr(number + 0.0).removesuffix(".0") for number in numbers)
