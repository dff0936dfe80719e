"""The kinds of networks: one file each, with its keys and costs; see `registry.py`."""

from __future__ import annotations

# Imported for what they register.
from dlnsweep.networks import factorized as factorized
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
