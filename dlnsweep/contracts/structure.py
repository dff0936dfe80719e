"""What observables may know of a network beside its predictions. No JAX."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


def _of_none(settings: Any) -> int:
    del settings
    return 0


def _never(settings: Any) -> bool:
    del settings
    return False


@dataclass(frozen=True)
class Structure:
    """What a network is made of; what is left out is not known, and is refused where it is needed.

    Of the settings of [network] only static fields are read by `degree`, `linear` and `gated`.

    Attributes:
        degree: Takes the settings; returns the L with f(c theta) = c^L f(theta) for all c > 0,
            theta being the parameters that are trained; 0: there is none.
        linear: Takes the settings; returns whether f(Y) = B Y with some matrix B.
        gated: Takes the settings; returns whether a hidden neuron is positive where it is on and 0
            where it is off, as of ReLU.
        hidden: Takes all parameters, inputs (m, n) and the settings; returns the hidden layers'
            values (k_i, n), what the next layer acts on, the first layer first.
        layers: Takes all parameters; returns as many matrices as network.depth says, the first
            acting on the inputs, the last (d, k) on the last hidden layer, up to positive factors.
        layer_of: Takes all parameters; returns the layer of each leaf, as Python's ints from 0 to
            network.depth - 1, or -1 of a leaf of none, in a tree like that of the parameters: what
            `training.learning_rate_factors` and `training.weight_decay_factors` go by.
        input_axes: Takes all parameters; returns for each leaf the axis along which it is
            multiplied with inputs, or -1 of one that is not, as Python's ints in a tree like that
            of the parameters. To say so is to say that the network knows its inputs y and these
            leaves W by a(m) W y only, m the number of inputs: it is the same for W O^T and O y, O
            orthogonal, and for fewer columns on inputs of a subspace (`sweep.kernel =
            "reduced_inputs"`, which tries on one run whether this is so).
        input_multiplier: Takes the settings and m, which may be a tracer; returns a(m). None: it
            is 1.
        input_law: Takes the same; returns the standard deviation of the entries of these leaves at
            step 0, and c, where they are independent Gaussian ones, but for rows that come c times
            each; None where they are not. If there are several such leaves, they begin as one
            matrix. The law of all others is the same for every m. What makes the number of inputs
            free (`problem.inputs = "law"`, which tries on many draws whether this is so).
        tangent_kernel: Takes all parameters, inputs (m, n), the settings and for each leaf its
            learning rate over eta (0 of one that is not trained); returns the tangent kernel
            (d n, d n), row (output, sample), faster than by the derivative of each output by each
            parameter; nothing tries whether it is that. None: by those.
    """

    degree: Callable[[Any], int] = _of_none
    linear: Callable[[Any], bool] = _never
    gated: Callable[[Any], bool] = _never
    hidden: Callable[[Any, Any, Any], tuple[Any, ...]] | None = None
    layers: Callable[[Any], tuple[Any, ...]] | None = None
    layer_of: Callable[[Any], Any] | None = None
    input_axes: Callable[[Any], Any] | None = None
    input_multiplier: Callable[[Any, Any], Any] | None = None
    input_law: Callable[[Any, Any], tuple[Any, int] | None] | None = None
    tangent_kernel: Callable[[Any, Any, Any, Any], Any] | None = None
