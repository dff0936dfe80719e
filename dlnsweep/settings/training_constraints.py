"""What settings of [training] need of each other, and of the problem, as conditions. No JAX."""

from __future__ import annotations

import struct
from functools import partial

from dlnsweep.settings.base import Constraint
from dlnsweep.settings.flow import NEEDS_OF_FLOW
from dlnsweep.settings.layer_factors import BY_LAYER, not_one_a_layer, one_a_layer

# Decays of averages that optimizers keep in the precision of training.
DECAYS = (
    "momentum", "beta1", "beta2", "rmsprop_decay", "group_rmsprop_decay", "adadelta_decay",
    "lion_beta2", "novograd_beta2", "adan_beta1", "adan_beta2", "adan_beta3", "muon_beta",
)  # fmt: skip


def below_one(decay: float, precision: str) -> bool:
    """Return whether a decay is below 1 in some precision; beyond 1 another sentence says it."""
    return (
        decay >= 1 or precision == "float64" or struct.unpack("f", struct.pack("f", decay))[0] < 1
    )


CONSTRAINTS: tuple[Constraint, ...] = (
    Constraint(
        ("training.minibatch_size", "problem.num_samples", "training.minibatch_order"),
        # Fresh samples are none of those n, which are recorded alone.
        lambda size, samples, order: size <= samples or order == "one_pass",
        "training.minibatch_size is {0}; it must not exceed problem.num_samples, which is {1} "
        "(0 takes all samples).",
    ),
    Constraint(
        ("training.minibatch_order", "training.minibatch_size"),
        lambda order, size: order == "replacement" or size > 0,
        "training.minibatch_order is {0}, which needs minibatches; give training.minibatch_size.",
    ),
    Constraint(
        ("training.schedule", "training.schedule_steps", "training.num_steps"),
        lambda schedule, steps, total: schedule == "constant" or steps <= total,
        "training.schedule_steps is {1}; the schedule would not end within "
        "training.num_steps, which is {2}.",
    ),
    Constraint(
        ("training.schedule", "training.warmup_steps", "training.schedule_steps"),
        lambda schedule, warmup, steps: schedule == "constant" or warmup < steps,
        "training.warmup_steps is {1}; it must be less than training.schedule_steps, which is {2}.",
    ),
    Constraint(
        ("training.warmup_steps", "training.num_steps"),
        lambda warmup, total: warmup <= total,
        "training.warmup_steps is {0}; the warm-up would not end within training.num_steps, "
        "which is {1}.",
    ),
    Constraint(
        ("training.schedule", "training.schedule_end"),
        lambda schedule, end: schedule not in ("exponential", "steps") or end > 0,
        "training.schedule_end is {1}; training.schedule = {0} falls by factors and needs it "
        "to be positive.",
    ),
    Constraint(
        ("training.schedule", "training.schedule_stages"),
        lambda schedule, stages: schedule != "steps" or stages == int(stages),
        "training.schedule_stages is {1}; stages are counted, and of another number the schedule "
        "would not end at training.schedule_end: take a whole number.",
    ),
    *(
        Constraint(
            (f"training.{key}", "sweep.precision"),
            below_one,
            f"training.{key} is {{0}} and sweep.precision is {{1}}, in which that is 1: an average "
            'that takes up nothing. Take at most 0.9999999, or set sweep.precision to "float64".',
        )
        for key in DECAYS
    ),
    Constraint(
        ("training.loss", "problem.signal_dim"),
        lambda loss, outputs: loss != "cross_entropy" or outputs > 1,
        "training.loss is {0}, of a softmax over the outputs, and problem.signal_dim is {1}: a "
        "single output always has probability 1. Take another loss, or two outputs or more.",
    ),
    Constraint(
        ("training.sam_radius", "training.optimizer"),
        lambda radius, optimizer: not radius or optimizer != "polyak_sgd",
        "training.sam_radius is {0}, and training.optimizer is {1}, whose rate is the loss over "
        "the squared gradient: these would be of other weights. Take another optimizer, or a "
        "radius of 0.",
    ),
    Constraint(
        ("training.clip_norm", "training.optimizer"),
        lambda norm, optimizer: not norm or optimizer != "polyak_sgd",
        "training.clip_norm is {0}, and training.optimizer is {1}, whose rate is the loss over the "
        "squared gradient: of a shorter gradient its steps are longer. Take another optimizer, "
        "bound its steps by training.polyak_largest_rate, or leave the norm out.",
    ),
    *(
        Constraint((f"training.{key}", "network.depth"), one_a_layer, partial(not_one_a_layer, key))
        for key in BY_LAYER
    ),
    *NEEDS_OF_FLOW,
)
