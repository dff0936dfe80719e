"""What a network says of the law that its first layer begins with is tried on many draws."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pytest
from spec_samples import sweep

import dlnsweep
from dlnsweep.contracts.network import NETWORKS
from dlnsweep.errors import SpecError
from dlnsweep.execution.trial import check_network
from dlnsweep.lazy import jnp
from dlnsweep.networks.reduced_inputs.draw import SpanDrawing
from dlnsweep.networks.reduced_inputs.law_claim import WrongLaw, try_law
from dlnsweep.plan.plan import make_plan
from dlnsweep.settings import Describe, Settings
from dlnsweep.streams import gaussian

LAW = {"kind": "teacher", "signal_dim": 2, "measurement_dim": 10**6, "num_samples": 7,
       "inputs": "law"}  # fmt: skip


class BeginSettings(Settings):
    """Two layers, of which some begin otherwise than is said."""

    kind: Literal["begins"] = "begins"
    width: Annotated[int, Describe("static", "hidden width")]
    scale: Annotated[float, Describe("traced", "of the first layer")] = 1.0
    begins: Annotated[str, Describe("static", "how it begins")] = "as said"


def begin(settings: BeginSettings, data: Any, key: Any) -> Any:
    m, d, k = data.inputs.shape[0], data.targets.shape[0], settings.width
    first, last = gaussian(key("weights/1"), k, m), gaussian(key("weights/2"), d, k) / k**0.5
    how = settings.begins
    if how == "twice":
        first = jnp.concatenate([first[: k // 2]] * 2)
    if how == "larger":
        first = 1.1 * first
    if how == "uniform":
        # Of variance 1: that of erf(g / sqrt 2), uniform from -1 to 1, is 1/3.
        first = 3**0.5 * jnp.vectorize(_erf)(first / 2**0.5)
    if how == "unit rows":
        first = m**0.5 * first / jnp.linalg.norm(first, axis=1, keepdims=True)
    if how == "common share":
        first = (first + first[:, :1]) / jnp.where(jnp.arange(m) == 0, 2.0, 2**0.5)
    if how == "tied":
        last = first[:, :d].T / k**0.5
    if how == "sized readouts":
        last = last / m**0.5
    if how == "data":
        first = first + data.inputs[:, 0]
    if how == "one input":
        first = first.at[:, -1].set(0.0)
    return {"first": settings.scale * first / m**0.5, "last": last}


def _erf(value: Any) -> Any:
    from dlnsweep.lazy import jax

    return jax.scipy.special.erf(value)


def predict(params: Any, inputs: Any, settings: BeginSettings) -> Any:
    return params["last"] @ jnp.tanh(params["first"] @ inputs)


BEGINS = dlnsweep.Network(
    "begins", BeginSettings, begin, predict, version="1",
    structure=dlnsweep.Structure(
        input_axes=lambda params: {"first": 1, "last": -1},
        input_law=lambda settings, m: (
            settings.scale * m**-0.5, 2 if settings.begins == "twice" else 1
        ),
    ),
)  # fmt: skip


@pytest.fixture(autouse=True)
def known() -> Iterator[None]:
    dlnsweep.register_network(BEGINS)
    yield
    del NETWORKS["samples", "begins"]


def planned(**network: Any) -> Any:
    return make_plan(sweep(problem=LAW, network={"kind": "begins", "width": 6} | network,
                           sweep={"kernel": "reduced_inputs", "seeds": 1}))  # fmt: skip


def drawing(**network: Any) -> Any:
    return SpanDrawing.from_row(planned(**network).row(0), 6)


WRONG = {
    "larger": "the mean of power 2 of entries over it is 1.21",
    "uniform": "the mean of power 4 of entries over it is 1.8",
    "unit rows": "at 8 inputs ",
    "common share": "at 8 inputs ",
    "one input": "at 8 inputs the mean of power 2 of entries",
    "tied": "at 8 inputs entries depend on another leaf",
    "sized readouts": "another leaf has another law at 8 inputs and at 64",
    "data": "init depends on the training inputs, which are not drawn",
}


@pytest.mark.parametrize("begins", WRONG)
def test_a_false_claim_is_refused(begins: str):
    with pytest.raises(WrongLaw, match=WRONG[begins]):
        try_law(drawing(begins=begins))


def test_a_true_claim_is_not_and_the_sentence_names_the_network():
    for network in ({"scale": 0.3}, {"begins": "twice"}):
        check_network(planned(**network))
    with pytest.raises(SpecError, match=r"network\.kind 'begins' says by its structure\.input_law"):
        check_network(planned(begins="larger"))


def test_a_claim_of_copies_and_of_what_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch):
    made = drawing(begins="twice")
    for law, sentence in (
        (lambda settings, m: (m**-0.5, 1), "rows come 2 times each, and not 1"),
        (lambda settings, m: (m**-0.5, 0.5), "returns 0.5 for how often rows come"),
        (lambda settings, m: (-1.0, 2), "returns -1 for the standard deviation"),
        (lambda settings, m: float(m), "does not return a number and how often"),
    ):
        monkeypatch.setitem(made.network.structure.__dict__, "input_law", law)
        with pytest.raises(WrongLaw, match=sentence):
            try_law(made)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_our_own_network_begins_as_it_says(seed: int):
    """Of every parametrization in the slow one; deep, with several rows and two leaves."""
    parametrizations = ("ntk",) if seed == 0 else ("standard", "mean_field", "mup")
    for name in parametrizations:
        for output, depth in (("symmetrised", 2), ("centred", 3))[: 1 + seed]:
            network = {"kind": "mlp", "depth": depth, "width": 6, "parametrization": name,
                       "output": output, "biases": True}  # fmt: skip
            made = sweep(problem=LAW, network=network, sweep__kernel="reduced_inputs")
            own: Any = SpanDrawing.from_row(make_plan(made).row(0), 6)
            try_law(own)
