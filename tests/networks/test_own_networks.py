"""Networks of one's own: the example of the guide, plug-in files, and what is wrong with some."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import guides
import pytest
from plugin_samples import OWN_NETWORKS, loaded
from pydantic import create_model
from resumed import assert_goes_on
from spec_samples import document, problems, sweep

import dlnsweep
from dlnsweep.contracts import plugins
from dlnsweep.contracts.network import NETWORKS
from dlnsweep.plan.plan import make_plan
from dlnsweep.settings import Settings

REPOSITORY = Path(__file__).parents[2]
TANH = {"network": {"kind": "tanh2", "width": 4}}
# Twenty lines that are right; each case below changes one of them.
NETWORK = """
from typing import Annotated, Literal

import dlnsweep
from dlnsweep.lazy import jax, jnp
from dlnsweep.settings import Describe, Settings


class Mine(Settings):
    kind: Literal["mine"] = "mine"
    gain: Annotated[float, Describe("traced", "a factor")] = 1.0


def init(settings, data, key):
    return jnp.ones((len(data.targets), len(data.inputs)))


def predict(params, inputs, settings):
    return settings.gain * params @ inputs


def loss(outputs, targets, settings):
    return jnp.sum((outputs - targets) ** 2)


dlnsweep.register_network(dlnsweep.Network("mine", Mine, init, predict, loss))
"""


def block(kind: str) -> str:
    return guides.block("own_networks", "A network in pure functions", kind)


def ran(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dlnsweep", *arguments], cwd=folder, capture_output=True, text=True,
        check=False, env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip


def test_the_example_is_as_short_as_promised():
    code = block("python").partition("class Tanh")[2]
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) <= 18


def test_the_example_runs_in_workers_and_draws(tmp_path: Path):
    (tmp_path / "tanh.py").write_text(block("python"))
    (tmp_path / "tanh.toml").write_text(block("toml"))
    short = ("--set", "training.num_steps=20", "--set", "network.gain=[0.5, 2.0]",
             "--set", "sweep.seeds=1")  # fmt: skip
    done = ran(tmp_path, "run", "tanh.toml", "--plugin", "tanh.py", "--workers", "1", *short)
    assert done.returncode == 0, done.stderr
    results = dlnsweep.open_results(tmp_path / "results" / "tanh")
    assert list(results.runs()["status"]) == ["finished"] * 2
    assert (results.path / "figures" / "curves.png").exists()
    # Without the file its folder can be read, but not its sweep.
    assert "2 of 2 runs done" in ran(tmp_path, "status", "results/tanh").stdout
    refused = ran(tmp_path, "check", "tanh.toml")
    assert refused.returncode == 2
    assert "network.kind" in refused.stderr

    # Another line of the file is another network: its runs are not mixed with those that are done.
    (tmp_path / "tanh.py").write_text(block("python").replace("jnp.tanh", "jnp.sin"))
    changed = ran(tmp_path, "run", "tanh.toml", "--plugin", "tanh.py", "--workers", "1", *short)
    assert changed.returncode == 3
    assert "holds runs of another version of network.kind 'tanh'" in changed.stderr


def test_what_no_way_honours_is_refused():
    with loaded():
        assert problems(**TANH, training__step_rule="fan_in", sweep__kernel="reduced") == [
            "training.step_rule is 'fan_in'; with network.kind = 'tanh2' it must be 'uniform'.",
            "sweep.kernel is 'reduced'; with network.kind = 'tanh2' it must be 'auto' or "
            "'generic' or 'simd' or 'simd_samples' or 'jumps'.",
        ]
        (sentence,) = problems(**TANH, record__observables=["weight_norms"])
        assert sentence.startswith(
            "record.observables names 'weight_norms', which is for networks of weight matrices and "
            "factorizations of a matrix; network.kind is 'tanh2', which has "
        )


def test_a_setting_is_static_or_traced_as_it_says():
    with loaded():
        plan = make_plan(sweep(network={"kind": "tanh2", "width": [4, 5], "gain": [1.0, 2.0]}))
        assert plan.num_runs == 4
        assert plan.num_programs == 2
        # What says that it is traced and is no float is a constant of its program all the same.
        plan = make_plan(sweep(network={"kind": "linear3", "hidden": 4, "repeats": [1, 2]}))
        assert plan.num_programs == 2
        # A network without a width has arrays of one size.
        plan = make_plan(sweep(network={"kind": "linear3", "hidden": [4, 5]}))
        assert plan.program_widths == (1, 1)


def test_the_id_of_a_run_tells_its_code(tmp_path: Path):
    ids = []
    for text in (NETWORK, NETWORK.replace("** 2)", "** 4)"), NETWORK):
        path = tmp_path / "mine.py"
        path.write_text(text)
        with loaded(path):
            ids.append(make_plan(sweep(network={"kind": "mine"})).run_ids[0])
    assert ids[0] == ids[2] != ids[1]
    for text in ("# as before\n", ""):
        (tmp_path / "mine.py").write_text(
            NETWORK.replace("predict, loss)", 'predict, loss, version="7")') + text
        )
        with loaded(tmp_path / "mine.py"):
            ids.append(make_plan(sweep(network={"kind": "mine"})).run_ids[0])
    assert ids[3] == ids[4]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("jnp.ones((len(data.targets), len(data.inputs)))", "{}",
         "init returns no array; it must return the parameters."),
        ("jnp.ones((len(data.targets), len(data.inputs)))", "jnp.ones(3, int)",
         "init returns an array of int64; parameters must be floats."),
        ("jnp.ones((len(data.targets), len(data.inputs)))", "jnp.ones((3, 7))",
         "predict fails with the parameters that init returns (TypeError: dot_general requires"),
        ("jnp.ones((len(data.targets), len(data.inputs)))", "data.no_such",
         "init fails (AttributeError: 'Samples' object has no attribute 'no_such', at "
         "mine.py:15)."),
        ("settings.gain * params", "settings.gian * params",
         "predict fails with the parameters that init returns (AttributeError: 'Mine' object has "
         "no attribute 'gian', at mine.py:19)."),
        ("settings.gain * params", "float(settings.gain) * params",
         "predict fails with the parameters that init returns (ConcretizationTypeError:"),
        ("return settings.gain * params @ inputs", "return [params @ inputs]",
         "predict returns a list; it must return one array."),
        ("settings.gain * params", "jnp.ones((), 'float64') * params",
         "predict makes float64 of float32 parameters and inputs; make constants of the inputs' "
         "dtype, or leave them Python's numbers."),
        ("settings.gain * params @ inputs", "jnp.sum(params @ inputs, axis=1, keepdims=True)",
         "predict returns float32 of shape (8, 1) for targets float32 of shape (8, 5); its last "
         "axis must be that of the samples."),
        ("settings.gain * params @ inputs", "jnp.sum(params @ inputs)",
         "predict returns float32 of shape () for targets float32 of shape (8, 5); its last axis"),
        ("settings.gain * params @ inputs", "jnp.sum(params @ inputs, axis=0)",
         "predict returns float32 of shape (5,) for targets float32 of shape (8, 5); "
         "record.observables names 'regression_error', which compares them."),
        ("return jnp.ones(", "return settings.gain > 0 and jnp.ones(",
         "init fails (TracerBoolConversionError: Attempted boolean conversion of traced array"),
        ("jnp.sum((outputs - targets) ** 2)", "(outputs - targets) ** 2",
         "loss returns float32 of shape (8, 5); it must return one float32 number."),
        ("outputs - targets)", "outputs[:3] - targets)",
         "loss fails with outputs float32 of shape (8, 5) and targets float32 of shape (8, 5) ("),
        ("jnp.sum((outputs - targets) ** 2)", "jnp.log(-jnp.sum(outputs**2))",
         "its loss is nan at the initial parameters; it must be finite."),
        ("jnp.sum((outputs - targets) ** 2)", "-jnp.sum(outputs**2)",
         "its loss is -"),
        ("jnp.sum((outputs - targets) ** 2)", "jnp.sum((jnp.sign(outputs) - targets) ** 2)",
         "the gradient of its loss is zero at the initial parameters, and nothing would move; does "
         "its loss depend on them by a differentiable function?"),
        ("jnp.sum((outputs - targets) ** 2)",
         "jax.pure_callback(lambda o: o, jax.ShapeDtypeStruct((), outputs.dtype), outputs[0, 0])",
         "its loss has no gradient (ValueError: Pure callbacks do not support JVP."),
        ("jnp.sum((outputs - targets) ** 2)", "jnp.sum(jnp.sqrt(0.0 * (outputs - targets)))",
         "the gradient of its loss is not finite at the initial parameters."),
    ],
)  # fmt: skip
def test_a_wrong_network_is_told_before_anything_is_written(
    old: str, new: str, sentence: str, tmp_path: Path
):
    assert NETWORK.count(old) == 1
    path = tmp_path / "mine.py"
    path.write_text(NETWORK.replace(old, new))
    own = document(
        network={"kind": "mine"},
        sweep={"precision": "float32"},
        record={"observables": ["loss", "regression_error"]},
    )
    with loaded(path), pytest.raises(dlnsweep.SpecError) as caught:
        dlnsweep.run(own, tmp_path / "out", workers=1)
    assert str(caught.value).startswith(f"network.kind 'mine' cannot be trained: {sentence}")
    assert str(caught.value).isprintable()
    assert not (tmp_path / "out").exists()


def test_what_lies_beside_a_plug_in_is_its_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It can be imported, and counts to the version, through another module, too."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "mine.py").write_text("from beside_1 import scaled\n" + NETWORK.replace(
        "settings.gain * params @ inputs", "scaled(settings.gain * params @ inputs)"))  # fmt: skip
    (tmp_path / "beside_1.py").write_text("import beside_2\n\ndef scaled(x):\n"
                                          "    return beside_2.FACTOR * x\n")  # fmt: skip
    ids = []
    for factor in (1, 2, 1):
        (tmp_path / "beside_2.py").write_text(f"FACTOR = {factor}.0\n")
        importlib.invalidate_caches()
        with loaded(tmp_path / "mine.py"):
            ids.append(make_plan(sweep(network={"kind": "mine"})).run_ids[0])
        for name in ("beside_1", "beside_2"):
            del sys.modules[name]
    assert ids[0] == ids[2] != ids[1]


def test_a_truth_value_that_some_choices_read_stays_one(tmp_path: Path):
    """Beside the runs that do not read it; it had become a number, and its folder was damaged."""
    text = NETWORK.replace(
        '    gain: Annotated[float, Describe("traced", "a factor")] = 1.0\n',
        '    shape: Annotated[Literal["plain", "bent"], Describe("static", "which")] = "plain"\n'
        '    twice: Annotated[bool, Describe("static", "bent twice")] = False\n'
        '    used_by = {"twice": UsedBy("shape", ("bent",))}\n',
    ).replace("settings.gain", "(1 + 0.1 * (settings.shape == 'bent') + 0.1 * settings.twice)")
    text = text.replace("import Describe", "import Describe, UsedBy")
    (tmp_path / "mine.py").write_text(text)
    own = {"kind": "mine", "shape": ["plain", "bent"], "twice": [True, False]}
    with loaded(tmp_path / "mine.py"):
        given = document(network=own, record={"observables": ["loss"]}, sweep={"seeds": [0]})
        results = dlnsweep.run(given, out=tmp_path, workers=0)
        runs: Any = results.runs()
    assert runs["network.shape"].tolist() == ["plain", "bent", "bent"]
    first, *others = map(str, runs["network.twice"].tolist())
    assert first in ("None", "nan")
    assert others == ["True", "False"]
    # Factors 1, 1.2 and 1.1 on the outputs.
    assert runs["final_loss"].nunique() == 3


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"kind": "Mine"}, "its kind must be a lower-case identifier"),
        ({"kind": "other"}, 'its settings need the field kind: Literal["other"] = "other"'),
        ({"reduction": "median"}, "reduction is 'median'; it must be 'sum' or 'mean'"),
        ({"observables": ("los",)}, "observables names 'los', which is not known; register it"),
        ({"settings": {"a": (list[int], [1])}}, "its setting a is of type list[int]; it must be"),
        ({"settings": {"a": (tuple[int, ...] | None, None)}}, "its setting a is of type tuple["),
        ({"settings": {"a": (dict[str, int], {})}}, "its setting a is of type dict[str, int]; it"),
        ({"settings": {"width": (float, 2.0)}}, "its setting width must be an int: arrays are"),
    ],
)
def test_what_cannot_be_a_network_is_not_registered(changes: dict[str, Any], sentence: str):
    fields: Any = {"kind": (Literal["mine"], "mine"), **changes.get("settings", {})}
    settings = create_model("Mine", __base__=Settings, **fields)
    made: dict[str, Any] = {"kind": "mine", **changes, "settings": settings}
    with pytest.raises(ValueError, match=r"^network") as caught:
        dlnsweep.register_network(
            dlnsweep.Network(init=len, predict=len, version="1", **made)  # pyright: ignore
        )
    assert str(caught.value).startswith(f"network {made['kind']!r}: {sentence}")
    assert ("samples", made["kind"]) not in NETWORKS


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("import no_such_module",
         ", line 1 (ModuleNotFoundError: No module named 'no_such_module'); mend it."),
        ("x = 1\ny = (",
         ", line 2 (SyntaxError: '(' was never closed (mine.py, line 2)); mend it."),
        (NETWORK + "\ndlnsweep.register_network(dlnsweep.Network('mine', Mine, init, predict))",
         "(ValueError: a network of kind 'mine' is registered for 'samples'); mend it."),
        (NETWORK.replace('Network("mine"', 'Network("other"'),
         "(ValueError: network 'other': its settings need the field kind: Literal[\"other\"] = "
         '"other"); mend it.'),
    ],
)  # fmt: skip
def test_a_broken_plug_in_is_a_sentence(text: str, sentence: str, tmp_path: Path):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(dlnsweep.SpecError) as caught, loaded(path):
        pass
    assert str(caught.value).startswith(f"the plug-in {path} cannot be loaded")
    assert str(caught.value).endswith(sentence)
    assert str(path.resolve()) not in plugins.plugin_files()
    assert ("samples", "mine") not in NETWORKS


def test_a_plug_in_that_is_no_file(tmp_path: Path):
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "text.txt").touch()
    for name in ("folder.py", "text.txt"):
        with pytest.raises(dlnsweep.SpecError, match="is no Python file; name a file that ends"):
            dlnsweep.load_plugin(tmp_path / name)
    done = ran(tmp_path, "check", "x.toml", "--plugin", "missing.py")
    assert done.returncode == 2
    # It ends in .py: that it should was said of it.
    assert done.stderr == "dlnsweep: the plug-in missing.py is not there: no such file.\n"


def test_a_network_without_a_source_file_needs_a_version():
    space: dict[str, Any] = {}
    code = NETWORK.replace("dlnsweep.register_network(", "network = (")
    with loaded(OWN_NETWORKS):
        exec(compile(code, "<typed>", "exec", dont_inherit=True), space)
        with pytest.raises(ValueError, match=r"no source file to tell its version by .*version="):
            dlnsweep.register_network(space["network"])


def test_a_stopped_run_goes_on_with_the_same_bits(tmp_path: Path):
    own = document(
        network={"kind": "tanh2", "width": 4, "gain": [1.0, 2.0]},
        training={"learning_rate": 0.01, "num_steps": 4000, "weight_decay": 0.01,
                  "optimizer": "adam"},
        record={"observables": ["loss"], "spacing": "linear", "count": 100},
        sweep={"precision": "float32"},
    )  # fmt: skip
    with loaded():
        assert_goes_on(own, tmp_path)
