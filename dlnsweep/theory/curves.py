"""The curves from formulas that a figure can draw beside measured ones: `theory = [...]`.

Imports no NumPy, so that a sweep file can be checked without it; evaluating a curve does.
"""

from __future__ import annotations

from functools import partial

# Not `from dlnsweep.theory import`: that would look the name up among the formulas, and load NumPy.
import dlnsweep.theory.values as values
from dlnsweep.theory.curve import TheoryCurve
from dlnsweep.theory.setup import (
    COLLAPSE,
    DECAYING,
    FACTORS,
    GAUSSIAN,
    LINEAR,
    ONE_PASS,
    PAIR,
    PLATEAU,
    STEADY,
    SUBSPACE,
    THEOREM,
)
from dlnsweep.theory.sparse_curves import SPARSE_CURVES

_BOTH = ("regression_error", "off_subspace_error")

THEORY_CURVES: dict[str, TheoryCurve] = {
    "plateau": TheoryCurve(
        ("regression_error",),
        "global minimum, first order in λ",
        "the regression error at the global minimum to first order in the weight decay, "
        "(λ/c) (E tr(BᵀB)^(-2/L)/s · Σσ⁻²/Σσ²)^(1/2) with B = A R (derived; any step rule)",
        values.plateau,
        {**SUBSPACE, **LINEAR},
        any_start=True,
        coupled=True,
    ),
    "phase_1": TheoryCurve(
        ("regression_error",),
        "phase 1, bound (59a)",
        "what (59a) of arXiv:2502.15522 leaves of the error at step 0, up to the bound on tau",
        values.phase_one,
        THEOREM,
    ),
    "phase_2": TheoryCurve(
        ("regression_error",),
        "phase 2, bound of Lemma A.26",
        "80 λ sqrt(d/m) / σ_min², Lemma A.26 of arXiv:2502.15522, between the bound on tau and T",
        values.phase_two,
        THEOREM,
    ),
    "tau": TheoryCurve(
        _BOTH,
        "bound on τ, Corollary A.18",
        "the step at which phase 1 is over, Corollary A.18 of arXiv:2502.15522",
        values.tau,
        THEOREM,
        vertical=True,
    ),
    "horizon": TheoryCurve(
        _BOTH,
        "T of Theorem 2.3",
        "T = 2 m log(d_w) / (η λ), equation (9b) of arXiv:2502.15522",
        values.horizon,
        THEOREM,
        vertical=True,
    ),
    "off_subspace_bound": TheoryCurve(
        ("off_subspace_error",),
        "bound (74)",
        "2 (1 - ηλ/m)^t ‖W_1(0) P_perp‖, (74) of arXiv:2502.15522, with the norm of a wide "
        "Gaussian W_1(0)",
        values.off_subspace,
        THEOREM,
    ),
    "gain_floor": TheoryCurve(
        ("upper_gain_min", "lower_gain_min"),
        "3/4, Theorem A.12",
        "the lower end of the events up to the bound on tau, (59b) in Theorem A.12 of "
        "arXiv:2502.15522",
        partial(values.band, end=0, late=False),
        THEOREM,
    ),
    "gain_ceiling": TheoryCurve(
        ("upper_gain_max", "lower_gain_max"),
        "5/4, Theorem A.12",
        "the upper end of these events",
        partial(values.band, end=1, late=False),
        THEOREM,
    ),
    "late_gain_floor": TheoryCurve(
        ("upper_gain_min",),
        "5/7, Theorem A.23",
        "the lower end of the events after it, (69b) in Theorem A.23",
        partial(values.band, end=0, late=True),
        THEOREM,
    ),
    "late_gain_ceiling": TheoryCurve(
        ("upper_gain_max", "lower_gain_max"),
        "9/7, Theorem A.23",
        "the upper end of these events",
        partial(values.band, end=1, late=True),
        THEOREM,
    ),
    "first_layer_decay": TheoryCurve(
        ("off_subspace_error",),
        "decay of W₁ alone",
        "the error at step 0 times (1 - η_1 λ)^t: as if only the first layer decayed (derived; "
        "W_1(t) P_perp itself decays exactly so)",
        values.first_layer,
        DECAYING,
        any_start=True,
    ),
    "all_layers_decay": TheoryCurve(
        ("off_subspace_error",),
        "decay of all layers",
        "the error at step 0 times the product of (1 - η_i λ)^t over all layers: as if they "
        "decayed untrained (derived)",
        values.all_layers,
        DECAYING,
        any_start=True,
    ),
    "oracle_noise": TheoryCurve(
        ("noisy_test_error", "noisy_test_errors"),
        "oracle X Y⁺",
        "σ sqrt(s m / (m - s - 1)): what X Y⁺ makes of test noise of σ (derived)",
        values.oracle_noise,
        SUBSPACE,
        any_start=True,
    ),
    "noise_without_decay": TheoryCurve(
        ("noisy_test_error", "noisy_test_errors"),
        "λ = 0, wide network",
        "σ sqrt(s m / (m - s - 1) + d (m - s) / m): a wide network that fits the data and keeps "
        "its initial values off range(Y) (derived; Corollary 2.6 of arXiv:2502.15522)",
        values.noise_without_decay,
        {**SUBSPACE, **LINEAR, **GAUSSIAN},
    ),
    "deficiency_envelope": TheoryCurve(
        ("loss",),
        "bound of Theorem 2",
        "l(0) exp(-2 δ^(2 - 2/L) η t), Theorem 2 of arXiv:2408.13767 for gradient flow, δ the "
        "deficiency margin",
        values.deficiency_envelope,
        {
            **FACTORS,
            "problem.kind": ("matrix_approximation",),
            "problem.loss": ("half_sum",),
            "network.initializer": ("near_target",),
            "training.weight_decay": (0.0,),
            "training.optimizer": ("gradient_descent",),
            # The flow moves all layers at one rate.
            "training.step_rule": ("uniform",),
            **STEADY,
        },
    ),
    "speed_exponent": TheoryCurve(
        ("speed_exponent",),
        "2 − 2/L, Theorem 3",
        "2 - 2/L, Theorem 3 of arXiv:2408.13767",
        values.speed_exponent,
        {
            **FACTORS,
            "problem.kind": ("matrix_approximation", "matrix_completion", "matrix_sensing"),
            # An average of balanced layers is not balanced, layers at rates of their own do not
            # stay so, and decay moves singular values beside the loss's gradient.
            "training.ema_decay": (0.0,),
            "training.step_rule": ("uniform",),
            "training.weight_decay": (0.0,),
        },
    ),
    "jacobian_limit": TheoryCurve(
        ("jacobian_min",),
        "limit √(E φ′(g)²)",
        "the root of E φ'(g)², g standard normal: what σ_min(J(0)) tends to as the width grows "
        "(arXiv:2403.05395)",
        values.jacobian_limit,
        {"network.kind": ("deep_prior",), "network.trained_layers": ("first",)},
    ),
    "stability_threshold": TheoryCurve(
        ("sharpness",),
        "stability threshold",
        "2/η; with momentum β (2 + 2 β)/η, Nesterov's (2 + 2 β)/((1 + 2 β) η): above it full "
        "batches diverge on a quadratic (arXiv:2103.00065)",
        values.stability_threshold,
        {
            "training.optimizer": ("gradient_descent", "momentum", "nesterov"),
            "training.minibatch_size": (0,),
            **STEADY,
        },
        any_start=True,
    ),
    "symmetric_plateau": TheoryCurve(
        ("generalization_error",),
        "symmetric plateau",
        "the error where all neurons of a student are one and the same, and as good as they can "
        "be: the plateau before they specialise (Saad and Solla 1995; derived for other sizes)",
        values.symmetric_plateau,
        PLATEAU,
    ),
    "spurious_minimum": TheoryCurve(
        ("generalization_error",),
        "minimum with one neuron away",
        "the error where all ReLU neurons but one have found a teacher each, and the last points "
        "away from its own: a minimum for K = M >= 6 (arXiv:1712.08968 found such; its value by "
        "symmetry: derived)",
        values.spurious_minimum,
        PLATEAU | {"network.activation": ("relu",)},
    ),
    "plateau_growth": TheoryCurve(
        ("steps_taken",),
        "derived slope",
        "ln(d) / (2 ln(1 + η γ)), by which plateaus grow with the dimension d, γ the largest rate "
        "at which differences among neurons grow on them; to be compared in slope, a number of "
        "steps that does not depend on d is left out (derived)",
        values.plateau_growth,
        PLATEAU
        | {
            "training.optimizer": ("gradient_descent",),
            # Single samples push neurons apart by more than their start does.
            "training.minibatch_size": (0,),
        },
    ),
    "least_sharpness": TheoryCurve(
        ("sharpness",),
        "least sharpness of a minimiser",
        "L σ_1^(2 - 2/L): no global minimum of ½‖W_L ... W_1 - X‖² is flatter (derived; for one "
        "output arXiv:2405.13456)",
        values.least_sharpness,
        {
            **LINEAR,
            "problem.kind": ("matrix_approximation",),
            "problem.loss": ("half_sum",),
            "training.weight_decay": (0.0,),
            "training.data_fit_scale": (1.0,),
            # Else what is recorded as the sharpness is that of other units.
            "training.step_rule": ("uniform",),
        },
        any_start=True,
    ),
    "least_loss_of_rank": TheoryCurve(
        ("loss",),
        "least loss of rank $d_w$",
        "½ Σ σ_i² over all but the d_w largest singular values of the target: no matrix of rank "
        "d_w has a smaller loss (Eckart and Young 1936)",
        values.least_loss_of_rank,
        {
            **LINEAR,
            "problem.kind": ("matrix_approximation",),
            "problem.loss": ("half_sum",),
            "training.weight_decay": (0.0,),
            "training.data_fit_scale": (1.0,),
        },
    ),
    "stability_limit": TheoryCurve(
        (),
        "$2/\\lambda_{\\max}$ at the flattest minimiser",
        "the learning rate from which on no minimiser of ½‖W_L ... W_1 - X‖² is stable: 2/L, as "
        "the flattest one has the sharpness L σ_1^(2 - 2/L), σ_1 = 1; of one layer 2/(1 + λ), "
        "from where on gradient descent diverges (derived; of several layers with decay, or "
        "narrower than the matrix, none is drawn)",
        values.stability_limit,
        {
            **LINEAR,
            "problem.kind": ("matrix_approximation",),
            "problem.loss": ("half_sum",),
            "training.data_fit_scale": (1.0,),
            "training.optimizer": ("gradient_descent",),
            "training.step_rule": ("uniform",),
            **STEADY,
        },
        any_start=True,
        setting="training.learning_rate",
    ),
    "largest_margin": TheoryCurve(
        ("l2_margin",),
        "largest margin",
        "γ, the largest l2_margin that any β has: exactly, of samples among which are γ u and -γ u "
        "(problem.support = 'pair')",
        values.largest_margin,
        PAIR,
        any_start=True,
    ),
    "largest_normalized_margin": TheoryCurve(
        ("margin",),
        "largest margin",
        "γ / L^(L/2), the largest margin over ‖θ‖^L of a deep linear network of such samples "
        "(derived: ‖θ‖² is at least L ‖β‖^(2/L))",
        values.largest_normalized_margin,
        {
            **PAIR,
            "network.kind": ("mlp",),
            "network.activation": ("linear",),
            "network.parametrization": ("standard",),
            "network.richness": (1.0,),
            "network.trained_layers": ("all",),
        },
        any_start=True,
    ),
    "inverse_log": TheoryCurve(
        ("margin_gap",),
        "1 / log t",
        "1 / log t, the rate at which the margin nears the largest one at a constant learning rate "
        "(arXiv:1710.10345, Theorem 5); its factor depends on the data and is left out",
        values.inverse_log,
        {
            "training.loss": ("logistic", "exponential"),
            "training.optimizer": ("gradient_descent",),
            "training.weight_decay": (0.0,),
            **STEADY,
        },
        any_start=True,
    ),
    **SPARSE_CURVES,
    "power_law_rate": TheoryCurve(
        ("loss",),
        "published slope",
        "the loss at step 0 times t^-e, e = min(1 + β/α, 2) - 1/(2α), F_pp and K_pp in Table 1 of "
        "arXiv:2405.15074, to be compared in slope: factors are left out; for 2 α > 1, until η t = "
        "m^((2α - max(0, 1 - 2β))/e), where they come to F_0, and from a start near zero (derived)",
        values.power_law_rate,
        ONE_PASS,
    ),
    **{
        f"nc{place + 1}_rate": TheoryCurve(
            (f"nc{place + 1}",),
            "derived rate",
            f"{words}, of one layer on unconstrained features with weight decay: the value at step "
            "0 times this, to be compared in slope (derived)",
            partial(values.collapse, place=place),
            COLLAPSE | ({} if place < 2 else {"training.loss": ("cross_entropy",)}),
        )
        for place, words in enumerate(
            (
                "exp(-min(6 λ, 2 ρ) η t), ρ how fast the loss itself draws a class together "
                "(c √N; cross-entropy λ (1 + z / C), z the logits' difference)",
                "exp(-r η t), r the least of 2 λ and what the loss pulls with (2 c √N - 2 λ; "
                "cross-entropy 2 λ z / C, and less for three classes)",
                "exp(-min(λ, 2 r) η t) on cross-entropy, r that of NC2",
            )
        )
    },
    "nc3_limit": TheoryCurve(
        ("nc3",),
        "derived limit",
        "sqrt(2 - 2 sqrt(1 - 1/C)): where NC3 ends on squared loss without biases (derived)",
        values.nc3_limit,
        COLLAPSE | {"training.loss": ("squared",)},
    ),
}
