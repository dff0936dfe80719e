"""The kinds of networks: one file each, with its keys and costs; see `registry.py`."""

from __future__ import annotations

from dlnsweep.networks.deep_prior import DeepPrior
from dlnsweep.networks.factorized import EndToEnd, Factorization
from dlnsweep.networks.layered import DeepLinear, LinearThenRelu
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

# The first of a task is its default.
register(DeepLinear())
register(LinearThenRelu())
register(DeepPrior())
register(Factorization())
register(EndToEnd())
