"""The network "committee", sum_k a_k s(w_k . x), on the expected loss: costs and sizes. No JAX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlnsweep.contracts.network import NetworkKind, StepCost
from dlnsweep.contracts.observable import Dimensions
from dlnsweep.contracts.optimizer import OPTIMIZERS
from dlnsweep.networks.population.settings import CommitteeSettings
from dlnsweep.problems.population import TASK
from dlnsweep.settings.reasons import Reason
from dlnsweep.settings.run_settings import RunSettings

# One core: the dispatch of a step's operations, and a moment of a pair with its derivatives.
_STEP_SECONDS = 6e-6
_PAIR_SECONDS = 3e-8
_FLOPS_A_SECOND = 5e9


class Committee(NetworkKind):
    """Two layers on Gaussian inputs without end, exactly, at any input dimension."""

    kind = "committee"
    task = TASK
    settings = CommitteeSettings
    views = ("population",)
    observables = ("loss", "generalization_error")
    drawing = generic = "dlnsweep.networks.population.definition:CommitteeDrawing"
    one_pass = True

    @property
    def honoured(self) -> Mapping[str, tuple[Any, ...]]:  # pyright: ignore
        """The only values of some settings: optimizers that know of no basis, a stranger's too.

        What acts on each coordinate by itself depends on the basis, which is not that of x.
        """
        return {
            "training.optimizer": tuple(n for n, each in OPTIMIZERS.items() if each.isotropic),
            "training.prescription": ("none",),
        }

    @property
    def kernels(self) -> tuple[str, ...]:
        """The values of sweep.kernel: there are no outputs on samples, which jumps need."""
        return ("auto", "generic", "simd")

    def step_cost(self, row: RunSettings, width: int) -> StepCost:
        """Estimate a step: moments of K (K + M) pairs of vectors of K + M coordinates."""
        teachers = row["problem.num_teacher_neurons"]
        pairs, size = width * (width + teachers), width + teachers
        flops = 6 * pairs * size
        seconds = _STEP_SECONDS + pairs * _PAIR_SECONDS + flops / _FLOPS_A_SECOND
        return StepCost(flops, 8 * (3 * width * size + 10 * pairs), seconds)

    def dimensions(self, row: RunSettings) -> Dimensions:
        """Return the sizes that the length of an observable can depend on: M and K."""
        return Dimensions(row["problem.num_teacher_neurons"], row["network.width"], 2)

    def why_not_reducible(self, row: RunSettings, width: int) -> Reason:
        """Return why a run gets its way: there is no other."""
        return Reason("exact", "trained in the span of student and teacher, exactly")

    def label(self, name: str, label: str) -> str:
        """Return the label of an observable that all networks have, in the symbols of this one."""
        if name != "loss":
            return label
        return r"loss $\frac{c}{2}\mathrm{E}(y-f(x))^2+\frac{\lambda}{2}\|\theta\|^2$"
