"""The keys of [network] kind = "committee". No JAX."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from dlnsweep.settings.base import Constraint, Describe, Settings


class CommitteeSettings(Settings):
    """[network] "committee": f(x) = Σ_k a_k s(w_k·x) on Gaussian inputs without end."""

    kind: Annotated[
        Literal["committee"], Describe("static", "which network is trained", axis=False)
    ] = "committee"
    width: Annotated[
        Annotated[int, Field(ge=1, le=1000)],
        Describe("static", "number of neurons of the student", "K"),
    ]
    activation: Annotated[
        Literal["erf", "relu", "quadratic", "linear"],
        Describe("static", "s, of student and teacher; erf: erf(z / √2); quadratic: z²"),
    ] = "erf"
    trained_layers: Annotated[
        Literal["first", "both"],
        Describe("static", "whether the readouts a_k are trained beside the w_k"),
    ] = "first"
    layer_init_scale: Annotated[
        Annotated[float, Field(gt=0)],
        Describe(
            "traced", "the entries of w_k are N(0, α²/d) at the start, so that |w_k| ≈ α", "α"
        ),
    ] = 1.0
    initial_correlation: Annotated[
        Annotated[float, Field(ge=0, lt=1)],
        Describe(
            "traced",
            "correlation of the entries of different w_k at the start; near 1 all neurons begin "
            "alike",
            "r",
        ),
    ] = 0.0
    readouts: Annotated[
        Literal["equal", "signs"],
        Describe("static", "a_k at the start over readout_scale: 1, or independent random signs"),
    ] = "equal"
    readout_scale: Annotated[
        Annotated[float, Field(gt=0)],
        Describe("traced", "size of the readouts a_k at the start", idle=1.0),
    ] = 1.0

    constraints: ClassVar[tuple[Constraint, ...]] = (
        Constraint(
            ("problem.input_dim", "problem.num_teacher_neurons", "network.width"),
            lambda d, teachers, students: d >= teachers + students,
            "problem.input_dim is {0}; it must be at least num_teacher_neurons + width, the "
            "dimension of what is trained, of {1} and {2}.",
        ),
        Constraint(
            ("training.minibatch_size", "training.minibatch_order"),
            lambda size, order: size == 0 or order == "one_pass",
            "training.minibatch_size is {0} and training.minibatch_order is {1}; there are no "
            'samples to draw from but fresh ones: set it to "one_pass", or take 0 for the expected '
            "loss.",
        ),
        Constraint(
            ("training.minibatch_size", "training.optimizer"),
            lambda size, optimizer: size == 0 or optimizer == "gradient_descent",
            "training.minibatch_size is {0} and training.optimizer is {1}; one pass turns the "
            "coordinates of the student at each step, which is known for 'gradient_descent' only.",
        ),
        Constraint(
            ("training.minibatch_size", "training.ema_decay"),
            lambda size, decay: size == 0 or decay == 0,
            "training.minibatch_size is {0} and training.ema_decay is {1}; one pass turns the "
            "coordinates of the student at each step, and has no average of them: leave one of "
            "them out.",
        ),
        Constraint(
            ("training.minibatch_size", "sweep.kernel"),
            lambda size, kernel: size == 0 or kernel != "simd",
            "training.minibatch_size is {0} and sweep.kernel is {1}; one pass is carried out by "
            '"generic" only.',
        ),
        Constraint(
            (
                "problem.input_dim",
                "problem.num_teacher_neurons",
                "network.width",
                "training.minibatch_size",
            ),
            lambda d, teachers, students, size: size == 0 or d >= teachers + students + size,
            "problem.input_dim is {0}; for one pass it must be at least num_teacher_neurons + "
            "width + minibatch_size, of {1}, {2} and {3}.",
        ),
        Constraint(
            ("training.minibatch_size", "record.observables"),
            lambda size, names: size == 0 or "parameter_distance" not in names,
            "record.observables names 'parameter_distance'; one pass (training.minibatch_size is "
            "{0}) turns the coordinates in which the student began: leave it out.",
        ),
        Constraint(
            ("network.kind", "sweep.precision"),
            lambda kind, precision: kind != "committee" or precision == "float64",
            "sweep.precision is {1}; the expected loss is a small difference of averages: set it "
            'to "float64".',
        ),
    )
