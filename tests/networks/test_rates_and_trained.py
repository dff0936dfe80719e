"""Networks that say how fast each leaf is trained, and which are: `Network.rates`, `trained`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

import numpy as np
import planned_runs
import pytest
from generic_samples import trained_from
from spec_samples import sweep

import dlnsweep
from dlnsweep.contracts.network import NETWORKS
from dlnsweep.networks.generic.trial import why_not
from dlnsweep.plan.plan import make_plan
from dlnsweep.settings import Describe, Settings
from dlnsweep.streams import gaussian


class ChainSettings(Settings):
    """[network] "chain": W_3 W_2 W_1 y."""

    kind: Literal["chain"] = "chain"
    speed: Annotated[float, Describe("traced", "factor on the rate of W_3")] = 1.0


def init(settings: Any, data: Any, key: Any) -> dict[str, Any]:
    sizes = len(data.inputs), 6, 6, len(data.targets)
    return {
        "first": (gaussian(key("weights/1"), sizes[1], sizes[0]) / sizes[0] ** 0.5,),
        "middle": gaussian(key("weights/2"), sizes[2], sizes[1]) / sizes[1] ** 0.5,
        "last": gaussian(key("weights/3"), sizes[3], sizes[2]) / sizes[2] ** 0.5,
    }


def predict(params: Any, inputs: Any, settings: Any) -> Any:
    return params["last"] @ (params["middle"] @ (params["first"][0] @ inputs))


def rates(params: Any, settings: Any, optimizer: str) -> Any:
    assert optimizer in ("group_rmsprop", "gradient_descent")
    return {"first": (0.5,), "middle": 7.0, "last": settings.speed}


def trained(params: Any, settings: Any) -> Any:
    return {"first": (True,), "middle": False, "last": True}


@pytest.fixture
def chain() -> Iterator[Callable[..., Any]]:
    """Register the chain with some functions; it is forgotten afterwards."""

    def make(**functions: Any) -> dict[str, Any]:
        dlnsweep.register_network(
            dlnsweep.Network("chain", ChainSettings, init, predict, version="1", **functions)
        )
        return {"network": {"kind": "chain", "speed": 3.0}}

    yield make
    NETWORKS.pop(("samples", "chain"), None)


def over_fan_in(params: Any, settings: Any, optimizer: str) -> Any:
    (first,) = params["first"]
    found = {name: 1 / params[name].shape[1] for name in ("middle", "last")}
    return found | {"first": (1 / first.shape[1],)}


def test_rates_over_the_fan_in_are_the_step_rule_of_deep_linear_networks(chain: Any):
    """The chain is drawn as `fan_in_normal` is."""
    given = {"record__observables": ["regression_error"], "sweep__kernel": "generic"}
    training = {"learning_rate": 0.1, "weight_decay": 1e-2, "num_steps": 40}
    own, theirs, plain = (
        planned_runs.train(make_plan(sweep(**given, **changes))).observables["regression_error"]
        for changes in (
            chain(rates=over_fan_in) | {"training": training},
            {"network": {"depth": 3, "width": 6}, "training": {**training, "step_rule": "fan_in"}},
            {"network": {"depth": 3, "width": 6}, "training": training},
        )
    )
    # The same operations, but for their order.
    assert own == pytest.approx(theirs, rel=1e-12)
    assert own[0, -1] != pytest.approx(plain[0, -1], rel=1e-2)


def test_what_is_not_trained_is_a_constant_and_each_leaf_has_its_rate(chain: Any):
    """By the optimizer that divides by one norm of all gradients: a gradient too many would show.

    GroupRMSprop as in appendix of arXiv:1905.13655, written out: v <- alpha v + (1 - alpha) |g|^2,
    theta_i <- theta_i - eta r_i g_i / (sqrt(v / (1 - alpha^t)) + eps).
    """
    names = ["loss", "parameter_norm", "parameter_distance", "gradient_norm"]
    changes = chain(rates=rates, trained=trained) | {
        "training": {"optimizer": "group_rmsprop", "learning_rate": 0.02, "num_steps": 8,
                     "weight_decay": 0.3},
        "record__observables": names,
    }  # fmt: skip
    drawn = np.random.default_rng(1)
    x, y = drawn.standard_normal((3, 7)), drawn.standard_normal((4, 7))
    a, b, c = (0.5 * drawn.standard_normal(shape) for shape in ((6, 4), (6, 6), (3, 6)))
    params = {"first": (a,), "middle": b, "last": c}
    found = trained_from(sweep(**changes), params, x, y, 8)
    start, v = (a, c), 0.0
    for step in range(9):
        off = c @ b @ a @ y - x
        gradients = (b.T @ c.T @ off @ y.T + 0.3 * a, off @ (b @ a @ y).T + 0.3 * c)
        squares = sum(np.sum(g**2) for g in gradients)
        norm = np.sum(a**2) + np.sum(c**2)
        moved = sum(np.sum((now - then) ** 2) for now, then in zip((a, c), start, strict=True))
        wanted = 0.5 * np.sum(off**2) + 0.15 * norm, norm**0.5, moved**0.5, squares**0.5
        for name, value in zip(names, wanted, strict=True):
            # Eight steps; sums of some ten terms in another order.
            assert found[name][step] == pytest.approx(value, rel=1e-12), name
        v = 0.99 * v + 0.01 * squares
        root = np.sqrt(v / (1 - 0.99 ** (step + 1))) + 1e-4
        a, c = a - 0.02 * 0.5 * gradients[0] / root, c - 0.02 * 3.0 * gradients[1] / root


@pytest.mark.parametrize(
    ("functions", "sentence"),
    [
        ({"rates": lambda p, s, o: {"first": 1.0, "middle": 1.0, "last": 1.0}},
         "rates returns a tree of 3 leaves, PyTreeDef({'first': *, 'last': *, 'middle': *}); it "
         "must be like that of the parameters, 3 leaves, PyTreeDef({'first': (*,), "),
        ({"rates": lambda p, s, o: {**p, "first": (1.0,)}},
         "rates returns float64 of shape (8, 6) for a leaf; it must be one number."),
        ({"rates": lambda p, s, o: p.nothing},
         "rates fails with the parameters that init returns (AttributeError: "),
        ({"trained": lambda p, s: True},
         "trained returns a tree of 1 leaves, PyTreeDef(*); it must be like that"),
        ({"trained": lambda p, s: {"first": (True,), "middle": 1, "last": True}},
         "trained returns a int for a leaf; it must be True or False, as Python has them."),
        ({"trained": lambda p, s: {"first": (s.speed > 1,), "middle": True, "last": True}},
         "trained returns bool of shape () for a leaf; it must be True or False, as Python"),
        ({"trained": lambda p, s: {"first": (False,), "middle": False, "last": False}},
         "trained returns False for every leaf, and nothing would move."),
        # What this needs to be computed takes a compilation.
        pytest.param(
            {"rates": lambda p, s, o: {"first": (1.0,), "middle": 1.0, "last": 1 - s.speed}},
            "rates makes a learning rate of -0.2 of 0.1; each must be finite and not negative.",
            marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_parameters_is_told(chain: Any, functions: Any, sentence: str):
    row = make_plan(sweep(**chain(**functions))).row(0)
    found = why_not(row)
    assert found.startswith(f"network.kind 'chain' cannot be trained: {sentence}")
    assert found.isprintable()
