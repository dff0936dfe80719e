"""Compiled programs: how long a call of one is, and what it takes."""

from __future__ import annotations

from typing import Any

from dlnsweep.numerics.lazy import jax

# Stops a call: enough that dispatch is nothing beside the records, few enough that a short
# schedule wastes little.
STOPS_A_SEGMENT = 16

# Where a processor has vectors of 512 bits, XLA uses half of each unless it is told.
_WHOLE_VECTORS: dict[str, Any] = {"xla_cpu_prefer_vector_width": 512}


def with_whole_vectors(lowered: Any) -> Any:
    """Compile a program for vectors as long as the processor's.

    Functions of each entry take half the time then, or two thirds; products are a library's, which
    uses them anyway.
    """
    if jax.default_backend() != "cpu":
        return lowered.compile()
    try:
        return lowered.compile(compiler_options=_WHOLE_VECTORS)
    except jax.errors.JaxRuntimeError:
        # Another version of XLA knows other options.
        return lowered.compile()


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
