"""The example notebooks: each is executed, from its first cell to its last."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from sweep_samples import REPOSITORY

import dlnsweep

NOTEBOOKS = sorted((Path(dlnsweep.__file__).parent / "guide" / "notebooks").glob("*.ipynb"))
# What each shows: so many cards and figures.
SHOWN = {"claim_and_figure": (1, 2), "own_network": (1, 1), "quick_look": (3, 2)}


def code_of(content: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in content["cells"] if cell["cell_type"] == "code"]


def test_notebooks_are_kept_without_what_they_gave():
    assert [path.stem for path in NOTEBOOKS] == list(SHOWN)
    for path in NOTEBOOKS:
        content = json.loads(path.read_text(encoding="utf-8"))
        assert content["cells"][0]["source"][0].startswith("# ")
        for cell in code_of(content):
            assert (cell["outputs"], cell["execution_count"]) == ([], None)


# In a process of its own: nbclient leaves sockets open, and warnings are errors here. With the
# Python of the tests, whatever kernels this machine has.
EXECUTE = """
import sys, nbclient, nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
source, kernels, executed = sys.argv[1:]
notebook = nbformat.read(source, as_version=4)
specs = KernelSpecManager(kernel_dirs=[kernels])
manager = AsyncKernelManager(kernel_spec_manager=specs, kernel_name="python3")
nbclient.NotebookClient(notebook, km=manager, timeout=900).execute()
nbformat.write(notebook, executed)
"""


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path):
    if not all(map(find_spec, ("nbclient", "ipykernel"))):
        pytest.skip("needs nbclient and ipykernel: pip install 'dlnsweep[notebook]'")
    kernel = tmp_path / "kernels" / "python3"
    kernel.mkdir(parents=True)
    arguments = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": arguments, "display_name": "tests", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    work = tmp_path / "work"
    work.mkdir()
    executed = tmp_path / "executed.ipynb"
    ended = subprocess.run(
        [sys.executable, "-c", EXECUTE, path, kernel.parent, executed],
        cwd=work,
        env={
            **os.environ,
            "PYTHONPATH": str(REPOSITORY),
            "IPYTHONDIR": str(tmp_path / "ipython"),
            # As in tests/conftest.py: most of the time goes into compiling.
            "XLA_FLAGS": "--xla_backend_optimization_level=0",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert not ended.returncode, ended.stderr
    notebook = json.loads(executed.read_text(encoding="utf-8"))
    outputs = [output for cell in code_of(notebook) for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] in ("error", "stream")]
    data = [
        {kind: "".join(content) for kind, content in output["data"].items()} for output in outputs
    ]
    cards = [each for each in data if each.get("text/html", "").startswith('<div style="display')]
    figures = [each for each in data if "image/png" in each]
    assert (len(cards), len(figures)) == SHOWN[path.stem]
    progress = [each["text/plain"] for each in data if "<progress" in each.get("text/html", "")]
    assert len(progress) == 1
    runs, _, rest = progress[0].partition(" of ")
    assert rest.startswith(f"{runs} runs done, ")
