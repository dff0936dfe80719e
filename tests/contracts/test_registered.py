"""Optimizers, initializers and losses of a researcher's own: registered, named, trained by."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import guides
import numpy as np
import pytest
from sweep_samples import REPOSITORY

import dlnsweep
from dlnsweep.contracts.loss import LOSSES
from dlnsweep.contracts.optimizer import OPTIMIZERS
from dlnsweep.networks.generic import losses
from dlnsweep.networks.layered.initializers import INITIALIZERS
from dlnsweep.numerics.runtime import numerics
from dlnsweep.settings import Describe, Settings
from dlnsweep.settings.optimizers import OPTIMIZER_WORDS
from dlnsweep.settings.training import TrainingSettings

MINE = '''
"""mine.py: an optimizer, an initializer, a loss, and a network that uses them."""

from typing import Annotated, Literal

import dlnsweep
from dlnsweep.lazy import jax, jnp, optax
from dlnsweep.settings import Describe, Settings
from dlnsweep.streams import gaussian


class Numbers(Settings):
    steepness: Annotated[float, Describe("traced", "factor inside tanh", "s")] = 3.0


def direction(training):  # g -> tanh(s (g + mu old)): numbers of its own, and another's
    def squash(updates, state, params=None):
        kept = jax.tree.map(lambda g, old: g + training.momentum * old, updates, state)
        return jax.tree.map(lambda g: jnp.tanh(training.steepness * g), kept), kept
    return optax.GradientTransformation(lambda p: jax.tree.map(jnp.zeros_like, p), squash)


def half(shape, key):  # W_i = I / 2, and something random
    pairs = zip(shape.dims, shape.dims[1:])
    return [0.5 * jnp.eye(b, a) + 0.1 * gaussian(key(f"weights/{i}"), b, a)
            for i, (a, b) in enumerate(pairs, start=1)]


def quartic(outputs, targets):
    return jnp.mean(jnp.sum((outputs - targets) ** 4, axis=0))


class Line(Settings):
    kind: Literal["line"] = "line"


def init(settings, data, key):
    return gaussian(key("weights/1"), len(data.targets), len(data.inputs))


dlnsweep.register_optimizer(
    dlnsweep.Optimizer("squashed", direction, numbers=Numbers, reads=("momentum",)))
dlnsweep.register_initializer(dlnsweep.Initializer("half", half))
dlnsweep.register_loss(dlnsweep.Loss("quartic", quartic, "mean"))
dlnsweep.register_network(dlnsweep.Network("line", Line, init, lambda w, y, settings: w @ y))
'''

# What the commands of one process find out, one line each.
SCRIPT = """
import json, sys
import numpy as np
import dlnsweep
from dlnsweep.contracts.network import NETWORKS
from dlnsweep.errors import SpecError
from dlnsweep.plan.plan import make_plan
from dlnsweep.spec.explain import explain
from dlnsweep.spec.sweep import Sweep

document = {
    "name": "own",
    "problem": {"kind": "subspace", "signal_dim": 3, "measurement_dim": 2, "subspace_dim": 2,
                "num_samples": 4},
    "network": {"depth": 2, "width": 3, "initializer": "fan_in_normal"},
    "training": {"learning_rate": 0.01, "num_steps": 30, "weight_decay": 0.5},
    "record": {"spacing": "explicit", "steps": [0, 1, 30],
               "observables": ["loss"]},
}


def changed(**changes):
    made = json.loads(json.dumps(document))
    for key, value in changes.items():
        section, _, inner = key.partition("__")
        made[section][inner] = value
    return made


def refused(made):
    try:
        Sweep.from_dict(made)
    except SpecError as error:
        return list(error.problems)
    return []


before = make_plan(Sweep.from_dict(document)).run_ids.tolist()
dlnsweep.load_plugin("mine.py")
both = make_plan(Sweep.from_dict(changed(training__optimizer=["gradient_descent", "squashed"])))
found = {
    "kept": before == make_plan(Sweep.from_dict(document)).run_ids.tolist() == [both.run_ids[0]],
    "steepness": [both.row(0)["training.steepness"], both.row(1)["training.steepness"]],
    "programs": make_plan(Sweep.from_dict(
        changed(training__optimizer="squashed", training__steepness=[1.0, 2.0]))).num_programs,
    "unused": refused(changed(training__steepness=2.0)),
    "relu": refused(changed(network__kind="linear_then_relu", training__optimizer="squashed")),
    "loss": refused(changed(training__loss="quartic")),
    "unknown": refused(changed(training__optimizer="squished")),
    "reduced": refused(changed(training__optimizer="squashed")
                       | {"sweep": {"kernel": "reduced"}}),
    "explained": [explain("squashed"), explain("steepness"), explain("half"), explain("quartic")],
}
print(json.dumps(found))
"""

SWEEP = """
name = "own"
[problem]
kind = "subspace"
signal_dim = 3
measurement_dim = 2
subspace_dim = 2
num_samples = 4
[network]
kind = "{kind}"
{network}
[training]
optimizer = "squashed"
learning_rate = 0.01
weight_decay = 0.5
num_steps = 30
{training}
[record]
spacing = "explicit"
steps = [0, 1, 30]
observables = ["loss", "regression_error"]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("own")
    (path / "mine.py").write_text(MINE)
    return path


def ran(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip


def test_what_is_registered_is_a_word_like_ours(folder: Path):
    ended = ran(folder, "-c", SCRIPT)
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    assert found["kept"], "the ids of other runs do not change"
    assert found["steepness"][0] is None, "blank where it is not used"
    assert found["steepness"][1] == 3.0
    assert found["programs"] == 1
    assert found["unused"] == [
        "sweep: training.steepness is given, but gradient_descent does not use it; it belongs to "
        "squashed."
    ]
    assert "it must be 'gradient_descent'." in found["relu"][0]
    assert found["loss"] == [
        "sweep: training.loss is 'quartic'; with network.kind = 'deep_linear' it must be 'network'."
    ]
    assert "or 'squashed'" in found["unknown"][0]
    assert "squashed does not keep to the spaces" in found["reduced"][0]
    assert "'squashed' is a value of training.optimizer" in found["explained"][0]
    assert "factor inside tanh" in found["explained"][1]
    assert "'half' is a value of network.initializer" in found["explained"][2]
    assert "'quartic' is a value of training.loss" in found["explained"][3]


def squashed(weights: list[np.ndarray], gradients: Callable[..., list[np.ndarray]], eta: float,
             decay: float, mu: float, s: float, steps: int) -> list[np.ndarray]:  # fmt: skip
    """The optimizer of `MINE` in plain NumPy."""
    kept = [np.zeros_like(w) for w in weights]
    for _ in range(steps):
        found = gradients(weights)
        kept = [g + decay * w + mu * k for g, w, k in zip(found, weights, kept, strict=True)]
        weights = [w - eta * np.tanh(s * k) for w, k in zip(weights, kept, strict=True)]
    return weights


def data() -> tuple[np.ndarray, np.ndarray, Callable[..., Any]]:
    """The samples of seed 0 and its stream, as every network of the problem has them."""
    from dlnsweep.contracts.problem import PROBLEMS
    from dlnsweep.numerics.streams import keys_of

    make: Any = PROBLEMS["subspace"].settings
    settings = make(signal_dim=3, measurement_dim=2, subspace_dim=2, num_samples=4)
    with numerics():
        key = keys_of(np.zeros((), np.int64))  # pyright: ignore[reportArgumentType]
        signals, measurements = PROBLEMS["subspace"].draw(settings, key)
        return np.asarray(signals), np.asarray(measurements), key


def drawn(key: Callable[..., Any], number: int, rows: int, columns: int) -> np.ndarray:
    from dlnsweep.streams import gaussian

    with numerics():
        return np.asarray(gaussian(key(f"weights/{number}"), rows, columns))


def run_by_shell(folder: Path, name: str, **parts: str) -> Any:
    (folder / f"{name}.toml").write_text(SWEEP.format(**parts).replace('"own"', f'"{name}"'))
    done = ran(
        folder, "-m", "dlnsweep", "run", f"{name}.toml", "--plugin", "mine.py", "--workers", "1"
    )
    assert done.returncode == 0, done.stderr
    return dlnsweep.open_results(folder / "results" / name)


# 30 steps of a few roundings of 1e-16 each, magnified by no more than ten.
_ROUNDING = 1e-12


def test_own_optimizer_and_initializer_train_a_deep_linear_network(folder: Path):
    results = run_by_shell(
        folder,
        "layers",
        kind="deep_linear",
        network='depth = 2\nwidth = 3\ninitializer = "half"',
        training="steepness = 2.0\nmomentum = 0.5",
    )
    x, y, key = data()
    first = 0.5 * np.eye(3, 2) + 0.1 * drawn(key, 1, 3, 2)
    last = 0.5 * np.eye(3, 3) + 0.1 * drawn(key, 2, 3, 3)

    def gradients(weights: list[np.ndarray]) -> list[np.ndarray]:
        residual = weights[1] @ weights[0] @ y - x
        return [weights[1].T @ residual @ y.T, residual @ (weights[0] @ y).T]

    for steps, value in zip((0, 1, 30), results.curves()["loss"], strict=True):
        a, b = squashed([first, last], gradients, 0.01, 0.5, 0.5, 2.0, steps)
        wanted = 0.5 * np.sum((b @ a @ y - x) ** 2) + 0.25 * (np.sum(a**2) + np.sum(b**2))
        assert value == pytest.approx(wanted, rel=_ROUNDING)
    (status,) = results.runs()["kernel_reason"]
    assert status == "squashed does not keep to the spaces that gradient descent visits"


def test_own_loss_trains_an_own_network_and_a_changed_file_is_other_runs(folder: Path):
    parts = {"kind": "line", "network": "", "training": 'loss = "quartic"'}
    results = run_by_shell(folder, "line", **parts)
    x, y, key = data()

    def gradients(weights: list[np.ndarray]) -> list[np.ndarray]:
        return [(4 * (weights[0] @ y - x) ** 3) @ y.T / 4]

    for steps, value in zip((0, 1, 30), results.curves()["loss"], strict=True):
        (w,) = squashed([drawn(key, 1, 3, 2)], gradients, 0.01, 0.5, 0.9, 3.0, steps)
        wanted = np.sum((w @ y - x) ** 4) / 4 + 0.25 * np.sum(w**2)
        assert value == pytest.approx(wanted, rel=_ROUNDING)

    (folder / "mine.py").write_text(MINE.replace("** 4", "** 6"))
    ended = ran(folder, "-m", "dlnsweep", "run", "line.toml", "--plugin", "mine.py")
    (folder / "mine.py").write_text(MINE)
    assert ended.returncode == 3
    assert "holds runs of another version of " in ended.stderr


def test_the_example_of_the_guide_is_known_to_a_sweep(folder: Path):
    heading = "An optimizer, an initializer or a loss of your own"
    (folder / "my_lion.py").write_text(guides.block("own_networks", heading, "python"))
    (folder / "my_lion.toml").write_text(
        SWEEP.format(
            kind="deep_linear",
            network='depth = 2\nwidth = 3\ninitializer = ["signs", "fan_in_normal"]',
            training="lion_mix = [0.5, 0.9]",
        ).replace("squashed", "my_lion")
    )
    ended = ran(folder, "-m", "dlnsweep", "check", "my_lion.toml", "--plugin", "my_lion.py")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "4 runs: network.initializer (2) x training.lion_mix (2)" in ended.stdout


class _Numbers(Settings):
    whole: Annotated[int, Describe("traced", "no float")] = 1


# A function of Python's, which has no source file.
LEN: Any = len


class _Taken(Settings):
    momentum: Annotated[float, Describe("traced", "taken")] = 0.5


@pytest.mark.parametrize(
    ("register", "sentence"),
    [
        (lambda: dlnsweep.register_optimizer(dlnsweep.Optimizer("adam", LEN)),
         "optimizer 'adam': that word is known already, of dlnsweep's own; take another"),
        (lambda: dlnsweep.register_optimizer(dlnsweep.Optimizer("My Own", LEN)),
         "optimizer 'My Own': its name must be a lower-case identifier"),
        (lambda: dlnsweep.register_optimizer(dlnsweep.Optimizer("own", LEN, reads=("beta3",))),
         "optimizer 'own': it reads 'beta3', which is no hyperparameter; known are momentum, "),
        (lambda: dlnsweep.register_optimizer(dlnsweep.Optimizer("own", LEN, numbers=_Numbers)),
         "optimizer 'own': its number whole must be a float with a default, described as traced"),
        (lambda: dlnsweep.register_optimizer(dlnsweep.Optimizer("own", LEN, numbers=_Taken)),
         "optimizer 'own': its number momentum is a key of [training] already"),
        (lambda: dlnsweep.register_optimizer(dlnsweep.Optimizer("own", LEN)),
         r'has no source file to tell its version by (.*); give Optimizer(..., version="1")'),
        (lambda: dlnsweep.register_loss(dlnsweep.Loss("squared", LEN)),
         "loss 'squared': that word is known already, of dlnsweep's own; take another"),
        (lambda: dlnsweep.register_loss(dlnsweep.Loss("own", LEN, "total")),  # pyright: ignore
         "loss 'own': reduction is 'total'; it must be 'sum' or 'mean'"),
        (lambda: dlnsweep.register_initializer(dlnsweep.Initializer("identity", LEN)),
         "initializer 'identity': that word is known already, of dlnsweep's own; take another"),
        (lambda: dlnsweep.register_initializer(dlnsweep.Initializer("near_target", LEN)),
         "initializer 'near_target': that word is known already, of dlnsweep's own; take another"),
        (lambda: dlnsweep.register_loss(dlnsweep.Loss("network", LEN)),
         "loss 'network': that word is known already, of dlnsweep's own; take another"),
        (lambda: dlnsweep.register_initializer(dlnsweep.Initializer("I", LEN)),
         "initializer 'I': its name must be a lower-case identifier"),
    ],
)  # fmt: skip
def test_what_cannot_be_registered_is_told_and_leaves_nothing(
    register: Callable[[], Any], sentence: str
):
    before = list(OPTIMIZERS), list(LOSSES), list(INITIALIZERS), list(TrainingSettings.model_fields)
    pattern = "".join(part if part == "(.*)" else re.escape(part)
                      for part in re.split(r"(\(\.\*\))", sentence))  # fmt: skip
    with pytest.raises(ValueError, match=pattern):
        register()
    after = list(OPTIMIZERS), list(LOSSES), list(INITIALIZERS), list(TrainingSettings.model_fields)
    assert before == after
    assert "own" not in OPTIMIZER_WORDS


def test_our_words_are_what_is_registered():
    assert list(OPTIMIZERS) == list(OPTIMIZER_WORDS)
    words = TrainingSettings.model_fields["loss"].metadata
    assert ["network", *LOSSES] == list(next(w for w in words if hasattr(w, "version")))


def test_our_losses_are_their_formulas():
    rng = np.random.default_rng(0)
    f, x = rng.normal(size=(3, 5)), rng.normal(size=(3, 5))
    signs, shares = np.sign(x), np.exp(x) / np.exp(x).sum(axis=0)
    softmax = np.exp(f) / np.exp(f).sum(axis=0)
    wanted = {
        "squared": (x, 0.5 * np.sum((f - x) ** 2)),
        "mean_squared": (x, 0.5 * np.sum((f - x) ** 2) / 5),
        "logistic": (signs, np.sum(np.log(1 + np.exp(-signs * f))) / 5),
        "exponential": (signs, np.sum(np.exp(-signs * f)) / 5),
        "cross_entropy": (shares, -np.sum(shares * np.log(softmax)) / 5),
    }
    with numerics():
        found = {name: float(getattr(losses, name)(f, x)) for name, (x, _) in wanted.items()}
    # Sums of some ten terms of size 1.
    assert found == pytest.approx({name: value for name, (_, value) in wanted.items()}, rel=1e-14)


BAD = """
import dlnsweep, optax
import jax, jax.numpy as jnp
from dlnsweep.streams import gaussian


def good(shape, key):
    pairs = zip(shape.dims, shape.dims[1:])
    return [gaussian(key(f"weights/{i}"), b, a) for i, (a, b) in enumerate(pairs, start=1)]


def stateless(change):
    def update(u, params):
        return jax.tree.map(change, u)
    return lambda training: optax.stateless(update)


def broken(params):
    raise ValueError("no state")


def grows(u, state, params=None):
    return u, jnp.concatenate([state, jnp.zeros(1)])


def other_tree(u, state, params=None):
    return u[0], state


def decides(training):
    return optax.identity() if training.learning_rate > 1 else optax.scale_by_adam()


OPTIMIZERS = {
    "wide": stateless(lambda x: x.astype(jnp.float32)),
    "thin": stateless(lambda x: x[:1]),
    "broken": lambda training: optax.GradientTransformation(broken, optax.identity().update),
    "grows": lambda training: optax.GradientTransformation(lambda p: jnp.zeros(1), grows),
    "tree": lambda training: optax.GradientTransformation(lambda p: (), other_tree),
    "secret": lambda training: optax.scale_by_adam(b1=training.beta1),
    "decides": decides,
    "spreads": lambda training: optax.scale_by_yogi(),
    "asks": lambda training: optax.scale_by_polyak(),
    # What the guide names of optax.
    "ademamix": lambda training: optax.contrib.scale_by_ademamix(
        training.beta1, training.beta2),
    "momo": lambda training: optax.chain(optax.contrib.momo(1.0), optax.scale(-1)),
}
INITIALIZERS = {
    "turned": lambda shape, key: [w.T for w in good(shape, key)],
    "few": lambda shape, key: good(shape, key)[:1],
    "coarse": lambda shape, key: [w.astype(jnp.float32) for w in good(shape, key)],
    "nans": lambda shape, key: [w * jnp.nan for w in good(shape, key)],
    "raises": lambda shape, key: {}["oops"],
    "full": good,
}
for name, direction in OPTIMIZERS.items():
    reads = ("beta1", "beta2") if name == "ademamix" else ()
    asks = ("value",) if name == "momo" else ()
    dlnsweep.register_optimizer(
        dlnsweep.Optimizer(name, direction, reads=reads, asks=asks, paddable=name == "spreads"))
for name, draw in INITIALIZERS.items():
    dlnsweep.register_initializer(dlnsweep.Initializer(name, draw, paddable=name == "full"))
"""

TRIED = """
import json
import dlnsweep
from dlnsweep.errors import SpecError
from dlnsweep.execution.trial import check_network
from dlnsweep.plan.plan import make_plan
from dlnsweep.spec.sweep import Sweep

dlnsweep.load_plugin("bad.py")
import sys
bad = sys.modules["dlnsweep_plugins.bad"]

found = {}
for key, names in (("optimizer", bad.OPTIMIZERS), ("initializer", bad.INITIALIZERS)):
    for name in names:
        document = {
            "name": "bad",
            "problem": {"kind": "subspace", "signal_dim": 3, "measurement_dim": 2,
                        "subspace_dim": 2, "num_samples": 4},
            "network": {"depth": 2, "width": 4},
            "training": {"learning_rate": 0.01, "num_steps": 3},
        }
        document["training" if key == "optimizer" else "network"][key] = name
        if name == "momo":
            document["sweep"] = {"kernel": "generic"}
        try:
            check_network(make_plan(Sweep.from_dict(document)))
        except SpecError as error:
            found[name] = error.problems[0]
print(json.dumps(found))
"""


def test_what_is_registered_is_tried_before_anything_is_written(folder: Path):
    (folder / "bad.py").write_text(BAD)
    ended = ran(folder, "-c", TRIED)
    assert ended.returncode == 0, ended.stderr
    optimizer = "training.optimizer '{}' cannot be trained with: its {}"
    initializer = "network.initializer '{}' cannot be drawn: {}"
    beginnings = {
        "wide": optimizer.format("wide", "update makes a direction float32 of shape (3, 2) of a "
                                 "gradient float64 of shape (3, 2); both must be alike."),
        "thin": optimizer.format("thin", "update makes a direction float64 of shape (1, 2)"),
        "broken": optimizer.format("broken", "init fails (ValueError: no state, at bad.py:19)"),
        "spreads": "training.optimizer 'spreads' cannot be trained with: it says that it is "
        "paddable, but zeros without a gradient beside a matrix move",
        "grows": optimizer.format("grows", "update returns a state of other shapes or dtypes"),
        "tree": optimizer.format("tree", "update returns another tree than the gradients"),
        "secret": optimizer.format("secret", "init fails (AttributeError:"),
        "asks": optimizer.format("asks", "update fails (TypeError: scale_by_polyak"),
        "decides": optimizer.format("decides", "init fails (TracerBoolConversionError:"),
        "turned": initializer.format("turned", "its draw returns arrays of shapes (2, 4), (4, 3); "
                                     "for the layer sizes 2, 4, 3 they must be (4, 2), (3, 4)."),
        "few": initializer.format("few", "its draw returns arrays of shapes (4, 2); for the"),
        "coarse": initializer.format("coarse", "its draw returns an array of float32; all must"),
        "nans": initializer.format("nans", "its draw returns numbers that are not finite."),
        "raises": initializer.format("raises", "its draw fails (KeyError: 'oops', at bad.py:54)."),
        "full": initializer.format("full", "it says that it is paddable, and draws numbers beyond"),
    }  # fmt: skip
    found: dict[str, str] = json.loads(ended.stdout)
    assert set(found) == set(beginnings)
    for name, beginning in beginnings.items():
        assert found[name].startswith(beginning), found[name]


@pytest.mark.parametrize(
    "kind", ["Claim", "Initializer", "Loss", "Network", "Observable", "Optimizer", "Problem"]
)
def test_what_is_none_of_a_kind_is_told(kind: str):
    register = getattr(dlnsweep, f"register_{kind.lower()}")
    words = (
        f"register_{kind.lower()} was given {{}}; it takes a dlnsweep.{kind}, made with its fields"
    )
    with pytest.raises(ValueError, match=re.escape(words.format("int"))):
        register(3)
    with pytest.raises(ValueError, match=re.escape(words.format(f"the class {kind}"))):
        register(getattr(dlnsweep, kind))


def test_a_figure_without_settings_is_told():
    words = "register_figure was given 3 for its settings; they are a subclass of"
    with pytest.raises(ValueError, match=words):
        dlnsweep.register_figure(3, print)  # type: ignore[arg-type]
