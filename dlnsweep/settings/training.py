"""The settings of the sweep file's section [training]."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field

from dlnsweep.settings.base import Constraint, Describe, Settings, UsedBy
from dlnsweep.settings.by_layer import ByLayer
from dlnsweep.settings.flow import FLOW
from dlnsweep.settings.layer_factors import BY_LAYER
from dlnsweep.settings.optimizers import CHOICES, HYPERPARAMETERS, OPTIMIZER_WORDS
from dlnsweep.settings.stop_when import StopWhen
from dlnsweep.settings.training_constraints import CONSTRAINTS
from dlnsweep.settings.words import Words

# The most steps that a run may have: where two such counts are added, int64 holds the sum.
MOST_STEPS = 2**62
Steps = Annotated[int, Field(ge=1, le=MOST_STEPS)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]

# What the loss is if nothing else is said: what the network trains by.
OF_NETWORK = "network"
# The step rule that every network has; others are those of kinds of networks, which say them.
UNIFORM = "uniform"
STEP_RULE_WORDS = Words(UNIFORM)
STEP_RULE_WORDS.texts[UNIFORM] = "one η for all parameters"
LOSS_WORDS = Words(
    OF_NETWORK, "squared", "mean_squared", "logistic", "exponential", "cross_entropy"
)
# The kinds of networks on samples whose own loss is half the squared error, as they are registered.
OWN_SQUARED: set[str] = set()

Schedule = Literal["constant", "linear", "cosine", "exponential", "steps"]
# What of [training] turns something on, and the values that turn it off. What is off costs nothing:
# runs with it and runs without are trained by two programs.
SWITCHES: dict[str, Any] = {
    **dict.fromkeys(("warmup_steps", "label_noise", "sam_radius", "clip_norm", "ema_decay"), 0),
    FLOW: 0,
    **dict.fromkeys(BY_LAYER, ""),
}
# What the generic way alone carries out: keys of [training], and the values that ask for nothing.
GENERIC_ONLY: dict[str, Any] = {
    "schedule": "constant",
    "minibatch_order": "replacement",
    **SWITCHES,
}


def used_by() -> dict[str, UsedBy]:
    """Return which choices read which key of [training]."""
    _, *falling = get_args(Schedule)
    return {
        **{key: UsedBy("optimizer", users) for key, users in (HYPERPARAMETERS | CHOICES).items()},
        "schedule_steps": UsedBy("schedule", falling, needed=True),
        "schedule_end": UsedBy("schedule", falling, needed=True),
        "schedule_stages": UsedBy("schedule", ("steps",), needed=True),
    }


class TrainingSettings(Settings):
    """[training]: the optimizer and its numbers."""

    optimizer: Annotated[
        str, OPTIMIZER_WORDS, Describe("static", "how the weights are updated")
    ] = "gradient_descent"
    learning_rate: Annotated[Positive, Describe("traced", "learning rate", "η")]
    weight_decay: Annotated[
        NonNegative, Describe("traced", "weight decay; multiplies half the squared norms", "λ")
    ] = 0.0
    learning_rate_factors: Annotated[
        str,
        ByLayer(),
        Describe(
            "traced",
            'factors on the learning rate, one a layer, the first layer\'s first: "1, 0.1"',
            "η_l/η",
            zero="all 1",
        ),
    ] = ""
    weight_decay_factors: Annotated[
        str,
        ByLayer(),
        Describe(
            "traced",
            "factors on the weight decay, one a layer; parameters of no layer have 1 of both",
            "λ_l/λ",
            zero="all 1",
        ),
    ] = ""
    loss: Annotated[
        str,
        LOSS_WORDS,
        Describe(
            "static",
            "network: the network's own, which is half the squared error unless it says otherwise; "
            "another one for networks on samples that have none: logistic and exponential for "
            "targets 1 and -1, cross_entropy (of a softmax) for probabilities",
        ),
    ] = OF_NETWORK
    step_rule: Annotated[
        str,
        STEP_RULE_WORDS,
        Describe("static", "what of the learning rate η each layer, or the whole step, takes"),
    ] = UNIFORM
    minibatch_size: Annotated[
        Annotated[int, Field(ge=0, le=2**31 - 1)],
        Describe(
            "static",
            "samples of a step's gradient, drawn with replacement and weighted so that its mean is "
            "the full gradient; 0: all samples",
            zero="all samples",
        ),
    ] = 0
    minibatch_order: Annotated[
        Literal["replacement", "epochs", "one_pass"],
        Describe(
            "static",
            "epochs: minibatches without replacement, each sample once in floor(n / b) steps, but "
            "for the n mod b that a new permutation leaves out; one_pass: fresh samples at each "
            "step, of which none is among the n that are recorded",
        ),
    ] = "replacement"
    data_fit_scale: Annotated[
        Positive, Describe("traced", "factor on half the squared error", "c")
    ] = 1.0
    num_steps: Annotated[Steps, Describe("traced", "number of steps", "T", "steps")]
    schedule: Annotated[
        Schedule,
        Describe(
            "static",
            "how the learning rate falls from η to schedule_end · η at step schedule_steps, where "
            "it stays; steps: in schedule_stages equal factors",
        ),
    ] = "constant"
    schedule_steps: Annotated[
        Annotated[float, Field(ge=1, le=2**53)],
        Describe("traced", "the step at which a schedule ends, warm-up included", "", "steps"),
    ] = 1.0
    schedule_end: Annotated[
        Annotated[float, Field(ge=0)],
        Describe("traced", "the learning rate at the end of a schedule, over η"),
    ] = 0.0
    schedule_stages: Annotated[
        Annotated[float, Field(ge=1, le=1e6)],
        Describe("traced", "number of equal factors of the schedule steps"),
    ] = 2.0
    warmup_steps: Annotated[
        Annotated[float, Field(ge=0, le=2**53)],
        Describe(
            "traced",
            "steps t = 0, 1, ... of warm-up, at η t / warmup_steps; a schedule begins after them",
            "",
            "steps",
            zero="none",
        ),
    ] = 0.0
    label_noise: Annotated[
        NonNegative,
        Describe(
            "traced",
            "standard deviation of fresh Gaussian noise on the targets of each step's gradient",
            "σ",
            zero="none",
        ),
    ] = 0.0
    sam_radius: Annotated[
        NonNegative,
        Describe(
            "traced",
            "sharpness-aware minimization: the loss's gradient is taken at θ + ρ ∇L/‖∇L‖",
            "ρ",
            zero="none",
        ),
    ] = 0.0
    clip_norm: Annotated[
        NonNegative,
        Describe(
            "traced",
            "the loss's gradient over all parameters is scaled to this norm where it is longer; "
            "0: no clipping",
            zero="none",
        ),
    ] = 0.0
    ema_decay: Annotated[
        Fraction,
        Describe(
            "traced",
            "decay of an exponential moving average of the weights, θ̄ ← β θ̄ + (1 − β) θ after "
            "each step, θ̄ = θ at step 0: all that is recorded and kept is of θ̄; training does "
            "not see it",
            "β",
            zero="none",
        ),
    ] = 0.0
    flow_tolerance: Annotated[
        Fraction,
        Describe(
            "traced",
            "gradient flow in place of gradient descent: weights of step t are those of time η t, "
            "integrated with a local error of at most this share of their root mean square",
            "ε",
            zero="gradient descent",
        ),
    ] = 0.0
    divergence_factor: Annotated[
        Annotated[float, Field(gt=1)],
        Describe(
            "traced",
            "a run has diverged at the first step at which its error ‖Φ‖ (regression: ‖W Y − X‖) "
            "is not finite or exceeds this times the larger of its value at step 0 and of the zero "
            "network's (‖X‖); 1e300: only where it is not finite",
        ),
    ] = 1e6
    momentum: Annotated[
        Fraction, Describe("traced", "momentum (momentum, nesterov, lars)", "μ")
    ] = 0.9
    beta1: Annotated[
        Fraction, Describe("traced", "first-moment decay (adam and its like)", "β₁")
    ] = 0.9
    beta2: Annotated[
        Fraction, Describe("traced", "second-moment decay (adam and its like)", "β₂")
    ] = 0.999
    epsilon: Annotated[
        Positive, Describe("traced", "added to the root (adam and its like, rmsprop)", "ε")
    ] = 1e-8
    rmsprop_decay: Annotated[
        Fraction, Describe("traced", "squared-gradient decay (rmsprop)", "α")
    ] = 0.9
    group_rmsprop_decay: Annotated[
        Fraction, Describe("traced", "decay of the squared norm (group_rmsprop)", "α")
    ] = 0.99
    group_rmsprop_epsilon: Annotated[
        Positive, Describe("traced", "added to the root (group_rmsprop)", "ε")
    ] = 1e-4
    adadelta_decay: Annotated[
        Fraction, Describe("traced", "decay of both averages (adadelta)", "ρ")
    ] = 0.95
    adadelta_epsilon: Annotated[
        Positive, Describe("traced", "added under both roots (adadelta)", "ε")
    ] = 1e-6
    lion_beta2: Annotated[
        Fraction, Describe("traced", "decay of the average that is kept (lion)", "β₂")
    ] = 0.99
    adabelief_epsilon: Annotated[
        Positive, Describe("traced", "added to the second moment and its root (adabelief)", "ε")
    ] = 1e-16
    yogi_epsilon: Annotated[Positive, Describe("traced", "added to the root (yogi)", "ε")] = 1e-3
    novograd_beta2: Annotated[
        Fraction, Describe("traced", "decay of each layer's squared norm (novograd)", "β₂")
    ] = 0.25
    adan_beta1: Annotated[
        Fraction, Describe("traced", "decay of the average of gradients (adan)", "β₁")
    ] = 0.98
    adan_beta2: Annotated[
        Fraction, Describe("traced", "decay of the average of their differences (adan)", "β₂")
    ] = 0.92
    adan_beta3: Annotated[
        Fraction, Describe("traced", "decay of the second moment (adan)", "β₃")
    ] = 0.99
    muon_beta: Annotated[
        Fraction,
        Describe(
            "traced",
            "decay of the average of a matrix's gradients (muon; biases and all else that is no "
            "matrix move as by nadam, with beta1 and beta2)",
            "β",
        ),
    ] = 0.95
    optimism: Annotated[
        NonNegative,
        Describe("traced", "how far a step looks ahead (optimistic_gradient_descent and _adam)"),
    ] = 1.0
    trust_coefficient: Annotated[
        Positive,
        Describe("traced", "a layer's step over its norm, before the learning rate (lars)"),
    ] = 1e-3
    rprop_shrink: Annotated[
        Annotated[float, Field(gt=0, lt=1)],
        Describe("traced", "factor on an entry's step where its gradient changes sign (rprop)"),
    ] = 0.5
    rprop_grow: Annotated[
        Annotated[float, Field(gt=1)],
        Describe("traced", "factor on an entry's step where its gradient keeps its sign (rprop)"),
    ] = 1.2
    rprop_least: Annotated[
        Annotated[float, Field(gt=0, le=1)],
        Describe("traced", "an entry's least step over the learning rate, its first one (rprop)"),
    ] = 1e-6
    rprop_most: Annotated[
        Annotated[float, Field(ge=1)],
        Describe("traced", "an entry's largest step over the learning rate, its first one (rprop)"),
    ] = 50.0
    adafactor_decay: Annotated[
        Annotated[float, Field(gt=0, le=1)],
        Describe("traced", "c of the second moment's decay 1 - t^-c at step t = 1, 2, ..."),
    ] = 0.8
    adafactor_epsilon: Annotated[
        Positive, Describe("traced", "added to squares of gradients (adafactor)", "ε₁")
    ] = 1e-30
    adafactor_clipping: Annotated[
        Positive,
        Describe("traced", "largest root mean square of a layer's direction (adafactor)", "d"),
    ] = 1.0
    adafactor_least_scale: Annotated[
        Positive,
        Describe("traced", "least root mean square that a layer is taken to have (adafactor)"),
    ] = 1e-3
    adafactor_steps: Annotated[
        Literal["relative", "absolute"],
        Describe("static", "relative: a layer's go with its root mean square (adafactor)"),
    ] = "relative"
    adafactor_factored_from: Annotated[
        Annotated[int, Field(ge=1)],
        Describe(
            "static",
            "second moments of matrices with this many rows and columns or more are factored, of "
            "others kept whole (adafactor)",
        ),
    ] = 128
    noisy_sgd_variance: Annotated[
        NonNegative, Describe("traced", "variance of the first step's noise (noisy_sgd)")
    ] = 0.01
    noisy_sgd_decay: Annotated[
        NonNegative,
        Describe("traced", "γ of the noise's variance, which falls as (1 + t)^-γ (noisy_sgd)", "γ"),
    ] = 0.55
    polyak_least_loss: Annotated[
        float, Describe("traced", "the loss that is aimed at (polyak_sgd)", "f*")
    ] = 0.0
    polyak_largest_rate: Annotated[
        Positive, Describe("traced", "largest step, before the learning rate (polyak_sgd)", "γ_b")
    ] = 1.0
    polyak_epsilon: Annotated[
        NonNegative, Describe("traced", "added to the gradient's squared norm (polyak_sgd)", "ε")
    ] = 0.0
    prescription: Annotated[
        Literal["none", "theorem_2_3"],
        Describe(
            "outside",
            "theorem_2_3: learning rate, weight decay and number of steps of each run by (8) and "
            "(9b) of arXiv:2502.15522, from gamma and the run's sizes",
            axis=False,
        ),
    ] = "none"
    gamma: Annotated[
        Annotated[float, Field(gt=0, le=1)],
        Describe("outside", "weight decay over the largest that Theorem 2.3 allows, (8)", "γ"),
    ] = 1.0
    stop_when: Annotated[
        StopWhen | None,
        Describe(
            "static",
            "{ observable = ..., below = ... }: end a run at the first record below a value; or, "
            "with patience = 5 (threshold = 0.01, direction = 'maximise'), at the fifth record in "
            "a row without an improvement (by more than a hundredth of the best value; of values "
            "that shall grow)",
            axis=False,
        ),
    ] = None

    constraints: ClassVar[tuple[Constraint, ...]] = CONSTRAINTS
    used_by: ClassVar[Mapping[str, UsedBy]] = used_by()
