"""A run as the formulas see it, and which settings they are about. Imports no NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dlnsweep.contracts.optimizer import OPTIMIZERS
from dlnsweep.settings.run_settings import no_column
from dlnsweep.settings.training import BY_LAYER, SWITCHES
from dlnsweep.settings.warm_start import WARM_START

# The moments of A R are those of Gaussian measurements.
SUBSPACE = {"problem.kind": ("subspace",), "problem.operator": ("gaussian",)}
# One learning rate and one weight decay of all layers, the step rule apart.
LINEAR = {"network.kind": ("deep_linear",), **{f"training.{key}": ("",) for key in BY_LAYER}}
# Products of layers that are trained on a loss of the product.
FACTORS = {"network.kind": ("deep_linear", "end_to_end")}
# Every step is the same, and what is recorded is the weights themselves.
STEADY = {
    "training.schedule": ("constant",),
    **{f"training.{key}": (off,) for key, off in SWITCHES.items()},
}
PLAIN = {**LINEAR, **STEADY, "training.optimizer": ("gradient_descent",)}
# Noise in the measurements trains the first layer on all of them.
DECAYING = {**PLAIN, "problem.kind": ("subspace", "union_of_subspaces")}
# Entries of variance 1 / fan_in.
GAUSSIAN = {
    "network.initializer": ("fan_in_normal",),
    "network.layer_init_scale": (1.0,),
    "network.product_init_scale": (1.0,),
    "network.relative_init_scale": (1.0,),
    # No weights that are given.
    WARM_START: ("",),
}
# What Theorem 2.3 is about; see the head of theory.py.
THEOREM = {
    **SUBSPACE,
    **PLAIN,
    "training.step_rule": ("fan_in",),
    "training.data_fit_scale": (1.0,),
    "training.minibatch_size": (0,),
    **GAUSSIAN,
}

# One layer on free features; cross-entropy has no other scale.
COLLAPSE = {
    "problem.kind": ("unconstrained_features",),
    "network.kind": ("mlp",),
    "network.depth": (2,),
    "network.activation": ("linear",),
    "network.biases": (False,),
    "network.parametrization": ("standard",),
    "network.richness": (1.0,),
    "network.output": ("plain",),
    "network.trained_layers": ("all",),
    "training.loss": ("squared", "cross_entropy"),
    "training.optimizer": ("gradient_descent",),
    "training.data_fit_scale": (1.0,),
    # Minibatches keep a class apart by their noise.
    "training.minibatch_size": (0,),
    **STEADY,
}
# Neurons with readouts 1 that stay so, and a teacher alike.
PLATEAU = {
    "network.kind": ("committee",),
    "network.activation": ("erf", "relu", "quadratic"),
    "network.trained_layers": ("first",),
    "network.readouts": ("equal",),
    "network.readout_scale": (1.0,),
    "problem.teacher_directions": ("orthonormal",),
    "problem.teacher_scale": (1.0,),
    "training.weight_decay": (0.0,),
    "training.data_fit_scale": (1.0,),
    **STEADY,
}
PAIR = {"problem.kind": ("separable",), "problem.support": ("pair",)}
# The same n samples at all steps.
SPARSE = {
    "problem.kind": ("sparse_regression",),
    "training.minibatch_order": ("replacement", "epochs"),
}
# Which leave the truth open, and nothing else.
NOISELESS = {**SPARSE, "problem.noise": (0.0,)}
# Linear regression on fresh samples.
ONE_PASS = {
    "problem.kind": ("power_law",),
    "network.kind": ("mlp",),
    "network.depth": (1,),
    "network.biases": (False,),
    "network.initializer": ("fan_in_normal",),
    "network.parametrization": ("standard",),
    "network.richness": (1.0,),
    "network.output": ("plain",),
    "network.trained_layers": ("all",),
    "training.loss": ("mean_squared",),
    "training.optimizer": ("gradient_descent",),
    "training.weight_decay": (0.0,),
    "training.minibatch_order": ("one_pass",),
    **STEADY,
}


@dataclass(frozen=True)
class Setup:
    """One run as a formula sees it.

    Attributes:
        settings: Its settings by dotted name.
        start: The observable at step 0.
    """

    settings: Mapping[str, Any]
    start: float

    def __getitem__(self, name: str) -> Any:
        try:
            return self.settings[name]
        except KeyError:
            raise no_column(name) from None

    @property
    def sizes(self) -> tuple[int, int, int]:
        """d, m, s."""
        names = ("signal_dim", "measurement_dim", "subspace_dim")
        d, m, s = (int(self[f"problem.{name}"]) for name in names)
        return d, m, s

    @property
    def smallest(self) -> float:
        """sigma_min(X) = 1 / kappa."""
        return 1 / float(self["problem.condition_number"])

    @property
    def rank(self) -> int:
        """That of X: s, or the number of samples if they are fewer."""
        return min(self.sizes[2], int(self["problem.num_samples"]))

    @property
    def norm(self) -> float:
        """||X||_F."""
        from dlnsweep.theory import formulas as theory

        values = theory.signal_values(float(self["problem.condition_number"]), self.rank)
        return float((values @ values) ** 0.5)

    @property
    def rates(self) -> list[float]:
        """eta_i of the layers."""
        depth, rate = int(self["network.depth"]), float(self["training.learning_rate"])
        if self["training.step_rule"] == "uniform":
            return [rate] * depth
        return [rate / self.sizes[1], *[rate / float(self["network.width"])] * (depth - 1)]

    @property
    def keeps(self) -> list[float]:
        """rho_i = 1 - eta_i lambda."""
        return [1 - rate * float(self["training.weight_decay"]) for rate in self.rates]


def is_met(value: Any, allowed: Sequence[Any]) -> bool:
    """Return whether a run's setting is one of those allowed.

    None and NaN are: the run is older than the setting, and was what its default says.
    """
    return value is None or value != value or value in allowed


def is_decoupled(optimizer: Any) -> bool:
    """Return whether an optimizer decays weights beside the gradient: its fixed points are others.

    Not of an older run, which names none, nor of a plug-in's that is not loaded.
    """
    return optimizer in OPTIMIZERS and OPTIMIZERS[optimizer].decoupled_decay
