"""Networks as a researcher would write them, for the tests; loaded by name as a plug-in is."""

from __future__ import annotations

import itertools
from typing import Annotated, Any, Literal

from pydantic import Field

import dlnsweep
from dlnsweep.lazy import jax, jnp
from dlnsweep.settings import Describe, Settings
from dlnsweep.streams import gaussian


class TanhSettings(Settings):
    """[network] "tanh2": W_2 tanh(gain W_1 y)."""

    kind: Literal["tanh2"] = "tanh2"
    width: Annotated[int, Field(ge=1), Describe("static", "hidden width", "k")]
    gain: Annotated[float, Describe("traced", "factor inside tanh")] = 1.0


def init(settings: Any, data: Any, key: Any) -> dict[str, Any]:
    m, d, k = data.inputs.shape[0], data.targets.shape[0], settings.width
    first = gaussian(key("weights/1"), k, m) / m**0.5
    return {"first": first, "last": gaussian(key("weights/2"), d, k) / k**0.5}


def predict(params: Any, inputs: Any, settings: Any) -> Any:
    return params["last"] @ jnp.tanh(settings.gain * (params["first"] @ inputs))


class LinearSettings(Settings):
    """[network] "linear3": W_3 W_2 W_1 y, drawn as deep_linear draws; it has no width."""

    kind: Literal["linear3"] = "linear3"
    hidden: Annotated[int, Field(ge=1), Describe("static", "hidden width", "d_w")]
    repeats: Annotated[int, Describe("traced", "says that it is traced, as no int can be")] = 1


def init_linear(settings: Any, data: Any, key: Any) -> tuple[Any, ...]:
    dims = data.inputs.shape[0], settings.hidden, settings.hidden, data.targets.shape[0]
    pairs = enumerate(itertools.pairwise(dims), start=1)
    return tuple(gaussian(key(f"weights/{i}"), b, a) / a**0.5 for i, (a, b) in pairs)


def predict_linear(params: Any, inputs: Any, settings: Any) -> Any:
    for weight in params:
        inputs = weight @ inputs
    return inputs


class LogisticSettings(Settings):
    """[network] "signs": w^T y, trained on the sign of the first signal entry."""

    kind: Literal["signs"] = "signs"


def init_signs(settings: Any, data: Any, key: Any) -> Any:
    return jnp.zeros(data.inputs.shape[0])


def predict_signs(params: Any, inputs: Any, settings: Any) -> Any:
    return params @ inputs


def logistic_loss(outputs: Any, targets: Any, settings: Any) -> Any:
    """Return the mean logistic loss."""
    return jnp.mean(jax.nn.softplus(-jnp.sign(targets[0]) * outputs))


for one in (
    dlnsweep.Network("tanh2", TanhSettings, init, predict, observables=("regression_error",)),
    dlnsweep.Network(
        "linear3",
        LinearSettings,
        init_linear,
        predict_linear,
        structure=dlnsweep.Structure(degree=lambda _: 3, linear=lambda _: True),
    ),
    dlnsweep.Network(
        "signs", LogisticSettings, init_signs, predict_signs, logistic_loss, reduction="mean"
    ),
):
    dlnsweep.register_network(one)
