"""The kinds of networks: one file each, with its keys and costs; see `registry.py`."""

from __future__ import annotations

# Imported for what they register; the first of a task is its default.
from dlnsweep.networks import deep_prior as deep_prior
from dlnsweep.networks import layered as layered
from dlnsweep.networks.registry import (
    NETWORKS,
    NetworkKind,
    StepCost,
    find_network,
    network_of,
    register,
)

__all__ = [
    "NETWORKS",
    "NetworkKind",
    "StepCost",
    "find_network",
    "network_of",
    "register",
]
