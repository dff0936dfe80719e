"""What gradient flow needs of the other settings, as conditions. No JAX."""

from __future__ import annotations

from typing import Any

from dlnsweep.settings.base import Constraint

FLOW = "flow_tolerance"
# Below it roundings of float64 are taken for errors of a step, and none is small enough.
LEAST_TOLERANCE = 1e-13
# The only value of some settings with which there is a flow, and time goes with the steps.
_NEEDED: dict[str, Any] = {
    "training.optimizer": "gradient_descent",
    "training.minibatch_size": 0,
    "training.schedule": "constant",
    "training.warmup_steps": 0,
    "training.label_noise": 0,
    "training.sam_radius": 0,
    "training.clip_norm": 0,
    "sweep.precision": "float64",
}


def _needs(key: str, wanted: Any) -> Constraint:
    shown = f'"{wanted}"' if isinstance(wanted, str) else wanted
    return Constraint(
        (f"training.{FLOW}", key),
        lambda tolerance, value: not tolerance or value == wanted,
        f"training.{FLOW} is {{0}}, by which runs follow the gradient flow of their loss, and "
        f"{key} is {{1}}; set {key} to {shown}, or leave the tolerance out.",
    )


NEEDS_OF_FLOW: tuple[Constraint, ...] = (
    Constraint(
        (f"training.{FLOW}",),
        lambda tolerance: not tolerance or tolerance >= LEAST_TOLERANCE,
        f"training.{FLOW} is {{0}}; float64 resolves no less than {LEAST_TOLERANCE}: take that or "
        "more, or 0 for gradient descent.",
    ),
    *(_needs(key, wanted) for key, wanted in _NEEDED.items()),
)
