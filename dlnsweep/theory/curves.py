"""The curves from formulas that a figure can draw beside measured ones: `theory = [...]`.

Imports no NumPy, so that a sweep file can be checked without it; evaluating a curve does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any

from dlnsweep.theory.setup import DECAYING, GAUSSIAN, LINEAR, SUBSPACE, THEOREM, Setup, is_met

if TYPE_CHECKING:
    import numpy as np

Values = Callable[[Setup, "np.ndarray"], "np.ndarray"]


@dataclass(frozen=True)
class TheoryCurve:
    """A formula to be drawn.

    Attributes:
        observables: In the panels of which observables.
        label: What the legend says.
        text: What it is, with its source.
        values: From a run and steps to the formula's values; of a vertical line to its one step.
        needs: Settings with the values that the formula is for.
        vertical: Whether it is a step, drawn as a vertical line.
    """

    observables: tuple[str, ...]
    label: str
    text: str
    values: Values
    needs: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    vertical: bool = False

    def why_not(self, settings: Mapping[str, Sequence[Any]]) -> str:
        """Return which setting it needs and none of the values is; empty if there is none."""
        for name, allowed in self.needs.items():
            present = settings.get(name)
            if present is not None and not any(is_met(value, allowed) for value in present):
                wanted = " or ".join(_shown(value) for value in allowed)
                return f"is for {name} = {wanted}"
        return ""


def _shown(value: Any) -> str:
    return f"'{value}'" if isinstance(value, str) else f"{value:g}"


def _everywhere(value: float, steps: np.ndarray) -> np.ndarray:
    import numpy as np

    # Zero (no weight decay) has no place on a logarithmic axis, and says nothing on another.
    return np.full(len(steps), value if value > 0 else np.nan)


def _plateau(run: Setup, steps: np.ndarray) -> np.ndarray:
    from dlnsweep.theory import formulas as theory

    _, m, s = run.sizes
    # Fewer samples than dimensions are another law.
    known = int(run["problem.num_samples"]) >= s
    value = theory.plateau(
        float(run["training.weight_decay"]),
        m,
        s,
        int(run["network.depth"]),
        float(run["problem.condition_number"]),
        float(run["training.data_fit_scale"]),
    )
    return _everywhere(value if known else 0.0, steps)


def _tau(run: Setup, _steps: np.ndarray) -> np.ndarray:
    import numpy as np

    from dlnsweep.theory import formulas as theory

    decay = float(run["training.weight_decay"])
    if not decay:
        return np.array([np.nan])
    value = theory.phase_one_steps(
        float(run["training.learning_rate"]),
        decay,
        run.sizes[1],
        int(run["network.depth"]),
        run.smallest,
    )
    return np.array([value or np.nan])


def _horizon(run: Setup, _steps: np.ndarray) -> np.ndarray:
    import numpy as np

    from dlnsweep.theory import formulas as theory

    decay = float(run["training.weight_decay"])
    if not decay:
        return np.array([np.nan])
    width, rate = float(run["network.width"]), float(run["training.learning_rate"])
    return np.array([theory.prescribed_steps(run.sizes[1], width, rate, decay)])


def _phase_one(run: Setup, steps: np.ndarray) -> np.ndarray:
    import numpy as np

    from dlnsweep.theory import formulas as theory

    d, m, _ = run.sizes
    bound = theory.phase_one_bound(
        steps,
        run.start * run.norm,
        float(run["training.learning_rate"]),
        float(run["training.weight_decay"]),
        m,
        d,
        int(run["network.depth"]),
        run.smallest,
        run.norm,
    )
    last = _tau(run, steps)[0]
    return np.where((steps <= last) | np.isnan(last), bound / run.norm, np.nan)


def _phase_two(run: Setup, steps: np.ndarray) -> np.ndarray:
    import numpy as np

    from dlnsweep.theory import formulas as theory

    d, m, _ = run.sizes
    decay = float(run["training.weight_decay"])
    level = theory.phase_two_level(decay, m, d, run.smallest, run.norm) / run.norm
    first, last = _tau(run, steps)[0], _horizon(run, steps)[0]
    inside = (steps >= np.nan_to_num(first)) & (steps <= last)
    return np.where(inside, _everywhere(level, steps), np.nan)


def _off_subspace(run: Setup, steps: np.ndarray) -> np.ndarray:
    from dlnsweep.theory import formulas as theory

    _, m, s = run.sizes
    first = theory.first_layer_off_range(m, s, float(run["network.width"]))
    rate, decay = float(run["training.learning_rate"]), float(run["training.weight_decay"])
    return theory.off_subspace_bound(steps, rate, decay, m, first)


def _band(run: Setup, steps: np.ndarray, end: int, *, late: bool) -> np.ndarray:
    """Return an end of the events' band: that of Theorem A.12 up to the bound on tau, or A.23's."""
    import numpy as np

    from dlnsweep.theory import proof as theory_proof

    after = steps > _tau(run, steps)[0]
    ends = theory_proof.EVENTS_OF_THEOREM_A23 if late else theory_proof.EVENTS_OF_THEOREM_A12
    return np.where(after == late, ends[end], np.nan)


def _first_layer(run: Setup, steps: np.ndarray) -> np.ndarray:
    return run.start * run.keeps[0] ** steps


def _all_layers(run: Setup, steps: np.ndarray) -> np.ndarray:
    import numpy as np

    return run.start * np.prod(run.keeps) ** steps


def _oracle_noise(run: Setup, steps: np.ndarray) -> np.ndarray:
    from dlnsweep.theory import formulas as theory

    _, m, s = run.sizes
    noise = float(run["record.test_noise"])
    return _everywhere(theory.oracle_noise(noise, m, s) if m > s + 1 else 0.0, steps)


def _noise_without_decay(run: Setup, steps: np.ndarray) -> np.ndarray:
    from dlnsweep.theory import formulas as theory

    d, m, s = run.sizes
    noise = float(run["record.test_noise"])
    return _everywhere(theory.noise_without_decay(noise, m, d, s) if m > s + 1 else 0.0, steps)


def _deficiency_envelope(run: Setup, steps: np.ndarray) -> np.ndarray:
    from dlnsweep.theory import formulas as theory

    margin = float(run["network.deficiency_margin"]) / float(run["problem.condition_number"])
    rate = float(run["training.learning_rate"]) * float(run["training.data_fit_scale"])
    return run.start * theory.deficiency_decay(steps, rate, margin, int(run["network.depth"]))


def _speed_exponent(run: Setup, steps: np.ndarray) -> np.ndarray:
    from dlnsweep.theory import formulas as theory

    return _everywhere(theory.speed_exponent(int(run["network.depth"])), steps)


def _jacobian_limit(run: Setup, steps: np.ndarray) -> np.ndarray:
    from dlnsweep.theory import formulas as theory

    return _everywhere(theory.jacobian_limit(str(run["network.activation"])), steps)


_BOTH = ("regression_error", "off_subspace_error")

THEORY_CURVES: dict[str, TheoryCurve] = {
    "plateau": TheoryCurve(
        ("regression_error",),
        "global minimum, first order in λ",
        "the regression error at the global minimum to first order in the weight decay, "
        "(λ/c) (E tr(BᵀB)^(-2/L)/s · Σσ⁻²/Σσ²)^(1/2) with B = A R (derived; any step rule)",
        _plateau,
        {**SUBSPACE, **LINEAR},
    ),
    "phase_1": TheoryCurve(
        ("regression_error",),
        "phase 1, bound (59a)",
        "what (59a) of arXiv:2502.15522 leaves of the error at step 0, up to the bound on tau",
        _phase_one,
        THEOREM,
    ),
    "phase_2": TheoryCurve(
        ("regression_error",),
        "phase 2, bound of Lemma A.26",
        "80 λ sqrt(d/m) / σ_min², Lemma A.26 of arXiv:2502.15522, between the bound on tau and T",
        _phase_two,
        THEOREM,
    ),
    "tau": TheoryCurve(
        _BOTH,
        "bound on τ, Corollary A.18",
        "the step at which phase 1 is over, Corollary A.18 of arXiv:2502.15522",
        _tau,
        THEOREM,
        vertical=True,
    ),
    "horizon": TheoryCurve(
        _BOTH,
        "T of Theorem 2.3",
        "T = 2 m log(d_w) / (η λ), equation (9b) of arXiv:2502.15522",
        _horizon,
        THEOREM,
        vertical=True,
    ),
    "off_subspace_bound": TheoryCurve(
        ("off_subspace_error",),
        "bound (74)",
        "2 (1 - ηλ/m)^t ‖W_1(0) P_perp‖, (74) of arXiv:2502.15522, with the norm of a wide "
        "Gaussian W_1(0)",
        _off_subspace,
        THEOREM,
    ),
    "gain_floor": TheoryCurve(
        ("upper_gain_min", "lower_gain_min"),
        "3/4, Theorem A.12",
        "the lower end of the events up to the bound on tau, (59b) in Theorem A.12 of "
        "arXiv:2502.15522",
        partial(_band, end=0, late=False),
        THEOREM,
    ),
    "gain_ceiling": TheoryCurve(
        ("upper_gain_max", "lower_gain_max"),
        "5/4, Theorem A.12",
        "the upper end of these events",
        partial(_band, end=1, late=False),
        THEOREM,
    ),
    "late_gain_floor": TheoryCurve(
        ("upper_gain_min",),
        "5/7, Theorem A.23",
        "the lower end of the events after it, (69b) in Theorem A.23",
        partial(_band, end=0, late=True),
        THEOREM,
    ),
    "late_gain_ceiling": TheoryCurve(
        ("upper_gain_max", "lower_gain_max"),
        "9/7, Theorem A.23",
        "the upper end of these events",
        partial(_band, end=1, late=True),
        THEOREM,
    ),
    "first_layer_decay": TheoryCurve(
        ("off_subspace_error",),
        "decay of W₁ alone",
        "the error at step 0 times (1 - η_1 λ)^t: as if only the first layer decayed (derived; "
        "W_1(t) P_perp itself decays exactly so)",
        _first_layer,
        DECAYING,
    ),
    "all_layers_decay": TheoryCurve(
        ("off_subspace_error",),
        "decay of all layers",
        "the error at step 0 times the product of (1 - η_i λ)^t over all layers: as if they "
        "decayed untrained (derived)",
        _all_layers,
        DECAYING,
    ),
    "oracle_noise": TheoryCurve(
        ("noisy_test_error", "noisy_test_errors"),
        "oracle X Y⁺",
        "σ sqrt(s m / (m - s - 1)): what X Y⁺ makes of test noise of σ (derived)",
        _oracle_noise,
        SUBSPACE,
    ),
    "noise_without_decay": TheoryCurve(
        ("noisy_test_error", "noisy_test_errors"),
        "λ = 0, wide network",
        "σ sqrt(s m / (m - s - 1) + d (m - s) / m): a wide network that fits the data and keeps "
        "its initial values off range(Y) (derived; Corollary 2.6 of arXiv:2502.15522)",
        _noise_without_decay,
        {**SUBSPACE, **LINEAR, **GAUSSIAN},
    ),
    "deficiency_envelope": TheoryCurve(
        ("loss",),
        "bound of Theorem 2",
        "l(0) exp(-2 δ^(2 - 2/L) η t), Theorem 2 of arXiv:2408.13767 for gradient flow, δ the "
        "deficiency margin",
        _deficiency_envelope,
        {
            "problem.kind": ("matrix_approximation",),
            "problem.loss": ("half_sum",),
            "network.initializer": ("near_target",),
            "training.weight_decay": (0.0,),
            "training.optimizer": ("gradient_descent",),
        },
    ),
    "speed_exponent": TheoryCurve(
        ("speed_exponent",),
        "2 − 2/L, Theorem 3",
        "2 - 2/L, Theorem 3 of arXiv:2408.13767",
        _speed_exponent,
        {"problem.kind": ("matrix_approximation", "matrix_completion", "matrix_sensing")},
    ),
    "jacobian_limit": TheoryCurve(
        ("jacobian_min",),
        "limit √(E φ′(g)²)",
        "the root of E φ'(g)², g standard normal: what σ_min(J(0)) tends to as the width grows "
        "(arXiv:2403.05395)",
        _jacobian_limit,
        {"network.kind": ("deep_prior",), "network.trained_layers": ("first",)},
    ),
}


def check_theory(
    names: Sequence[str],
    kind: str,
    observables: Sequence[str],
    settings: Mapping[str, Sequence[Any]],
) -> Iterator[str]:
    """Yield the end of a sentence for each name that cannot be drawn, after "figure.".

    Args:
        names: What the figure asks for.
        kind: The figure's kind.
        observables: Those that the figure draws.
        settings: The values that settings have; what is not known is not checked.
    """
    for index, name in enumerate(names):
        place = f"theory[{index}] is '{name}'"
        curve = THEORY_CURVES.get(name)
        if curve is None:
            close = get_close_matches(name, THEORY_CURVES, n=1)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            yield f"{place}; it must be one of {', '.join(THEORY_CURVES)}.{hint}"
        elif not set(curve.observables) & set(observables):
            yield f"{place}, which stands beside {' or '.join(curve.observables)}; add it to y."
        elif curve.vertical and kind != "curves":
            yield f"{place}, which is a step; only kind = 'curves' has steps on its axis."
        elif curve.why_not(settings):
            yield f"{place}, which {curve.why_not(settings)}; no run of this sweep has that."
