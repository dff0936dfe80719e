"""What a worker process cannot import is told before anything is written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from plugin_samples import loaded
from spec_samples import document

import dlnsweep

NETWORK = """
from typing import Literal
import dlnsweep
from dlnsweep.lazy import jnp
from dlnsweep.settings import Settings

class Mine(Settings):
    kind: Literal["mine"] = "mine"

def init(settings, data, key):
    return jnp.ones((len(data.targets), len(data.inputs)))

def predict(params, inputs, settings):
    return params @ inputs

dlnsweep.register_network(dlnsweep.Network("mine", Mine, init, predict, version="1"))
"""
OWN = document(network={"kind": "mine"}, record={"observables": ["loss"]})


def test_a_module_that_this_process_alone_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "far_away.py").write_text("scale = 1.0\n")
    path = tmp_path / "plugin_here.py"
    path.write_text("import far_away\n" + NETWORK)
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    with loaded(path):
        with pytest.raises(dlnsweep.SpecError) as caught:
            dlnsweep.run(OWN, tmp_path / "out", workers=1)
        told = str(caught.value)
        assert told == (
            f"a worker process cannot load what this one has loaded: the plug-in {path} cannot be "
            "loaded, line 1 (ModuleNotFoundError: No module named 'far_away'); mend it. What "
            "sys.path was given here, worker processes do not have: let the module lie beside the "
            "plug-in, install it, or name its folder in PYTHONPATH; or take workers=0."
        )
        assert not (tmp_path / "out").exists()
        # As it says.
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "elsewhere"))
        results = dlnsweep.run(OWN, tmp_path / "out", workers=1)
    assert set(results.runs()["status"]) == {"finished"}


def test_a_plug_in_that_never_ends_in_a_worker_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "plugin_slow.py"
    slow = "import sys, time\nif 'dlnsweep.worker' in ' '.join(sys.orig_argv): time.sleep(600)\n"
    path.write_text(slow + NETWORK)
    told = "while worker processes loaded plug-ins"
    with loaded(path), pytest.raises(dlnsweep.Interrupted, match=told):
        dlnsweep.run(OWN, tmp_path / "out", workers=1, should_stop=lambda: True)
    assert not (tmp_path / "out").exists()


def test_the_command_tells_it_before_a_folder_is_made(tmp_path: Path) -> None:
    (tmp_path / "far_away.py").write_text("scale = 1.0\n")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "plugin_cli.py").write_text("import far_away\n" + NETWORK)
    sections = [
        f"[{name}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in keys.items())
        for name, keys in OWN.items()
        if name != "name"
    ]
    (tmp_path / "own.toml").write_text('name = "own"\n' + "".join(sections))
    # By -m the folder that one is in is on sys.path here, and not in workers.
    command = [sys.executable, "-m", "dlnsweep", "run", "own.toml", "--workers", "1"]
    done = subprocess.run(
        [*command, "--plugin", "deeper/plugin_cli.py"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 2, done.stderr
    assert "a worker process cannot load what this one has loaded" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    "line", ["from . import helper", "from .helper import scale", "from ..far import scale"]
)
def test_a_plug_in_has_no_relative_imports(line: str, tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("scale = 1.0\n")
    path = tmp_path / "relative.py"
    path.write_text(f"{line}\n{NETWORK}")
    with pytest.raises(dlnsweep.SpecError) as caught:
        dlnsweep.load_plugin(path)
    told = str(caught.value)
    assert told.startswith(f"the plug-in {path} cannot be loaded, line 1 (")
    assert told.endswith(
        "; a plug-in is a file in no package, and has no relative imports: import what lies beside "
        "it by its own name, as in import helper."
    )


def test_what_a_script_itself_registers_is_not_for_workers(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"{NETWORK}\nif __name__ == '__main__':\n"
        f"    dlnsweep.run({OWN!r}, {str(tmp_path / 'out')!r}, workers=2)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(
        "SpecError: workers is 2, but worker processes do not know network.kind 'mine', which this "
        "process has registered: take workers=0, name its file (load_plugin, or --plugin), or let "
        "an entry point of a package name the module (group dlnsweep.problems)."
    )
    assert not (tmp_path / "out").exists()
