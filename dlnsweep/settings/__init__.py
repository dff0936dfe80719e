"""What a setting says of itself, the sections that every sweep has, and sentences. No JAX."""

from dlnsweep.settings.base import (
    Constraint,
    Describe,
    Settings,
    UsedBy,
    description,
    static_text,
    traced_numbers,
    with_numbers,
)

__all__ = [
    "Constraint",
    "Describe",
    "Settings",
    "UsedBy",
    "description",
    "static_text",
    "traced_numbers",
    "with_numbers",
]
