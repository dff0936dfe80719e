"""Compiled programs: how long a call of one is, and what it takes."""

from __future__ import annotations

from typing import Any

# Stops a call: enough that dispatch is nothing beside the records, few enough that a short
# schedule wastes little.
STOPS_A_SEGMENT = 16


def bytes_of(compiled: Any) -> int:
    """Return the bytes that a call of a compiled program takes, as the compiler measured them."""
    memory = compiled.memory_analysis()
    if memory is None:
        return 0
    return (
        memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        + memory.temp_size_in_bytes
        - memory.alias_size_in_bytes
    )
