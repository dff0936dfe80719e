"""The guide's problem of one's own, as it stands there: as a script, and as an entry point."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import guides
import pytest
from spec_samples import problems, sweep

from dlnsweep.contracts import plugins
from dlnsweep.contracts.figure import register_figure
from dlnsweep.settings.figure_look import Figure
from dlnsweep.settings.figures import HeatmapFigure

REPOSITORY = Path(__file__).parents[2]
HEADING = "A problem of your own"


def blocks() -> dict[str, str]:
    """Return the module and its sweep file."""
    return {kind: guides.block("own_problems", HEADING, kind) for kind in ("python", "toml")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sparse.py").write_text(blocks()["python"])
    (tmp_path / "sparse.toml").write_text(blocks()["toml"])
    return tmp_path


def ran(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(REPOSITORY), str(folder / "site")))
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip


def python(folder: Path, *arguments: str) -> str:
    done = ran(folder, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_observable_of_other_networks_says_so_as_the_guide_tells(folder: Path):
    text = (folder / "sparse.toml").read_text()
    (folder / "sparse.toml").write_text(text.replace("[network]", '[network]\nkind = "mlp"'))
    check = ("-m", "dlnsweep", "check", "sparse.toml", "--plugin", "sparse.py")
    said = ran(folder, *check).stderr
    assert "names 'largest_entry', which is for linear networks; network.kind is 'mlp'" in said
    assert said.endswith(" (Yours: Observable(..., views=()) is one of every network.)\n")
    own = (folder / "sparse.py").read_text().replace(
        "jnp.max(jnp.abs(view.end_to_end_matrix))", "jnp.max(jnp.abs(view.params['first']))"
    )  # fmt: skip
    own = own.replace("largest_entry)\n", 'largest_entry, views=("parameters",))\n')
    (folder / "sparse.py").write_text(own)
    # Its own mistake is told as one, not as ours.
    mistake = (
        "observable 'largest_entry' cannot be computed of a GenericView (KeyError: 'first', at"
    )
    assert mistake in ran(folder, *check).stderr
    (folder / "sparse.py").write_text(own.replace("params['first']", "params['weights'][0]"))
    python(folder, *check)


def install(folder: Path, value: str = "sparse") -> None:
    """Install sparse.py as a package with an entry point would be."""
    site = folder / "site"
    info = site / "sparse-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sparse\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[dlnsweep.problems]\nsparse = {value}\n")
    (folder / "sparse.py").rename(site / "sparse.py")


def test_the_example_is_as_short_as_promised():
    lines = [line for line in blocks()["python"].splitlines() if line.strip()]
    assert len(lines) <= 45


def test_the_example_runs_as_it_stands(folder: Path):
    python(folder, "sparse.py")
    figures = folder / "results" / "sparse" / "figures"
    assert sorted(path.name for path in figures.iterdir()) == ["histogram.pdf", "histogram.png"]
    code = (
        # What a script registers the command line does not know, and says so.
        "import sys\nfrom dlnsweep.cli.app import main\n"
        "sys.argv[1:] = ['figure', 'results/sparse']\n"
        "try:\n main()\nexcept SystemExit as ended:\n print(ended.code, 'jax' in sys.modules)\n"
        "import sparse, dlnsweep\nfrom dlnsweep import draw_figures\n"
        "runs = dlnsweep.open_results('results/sparse').runs()\n"
        "print(list(runs['status']), (runs['final_largest_entry'] > 0).all())\n"
        "print([path.name for path in draw_figures('results/sparse')])\n"
        "try:\n dlnsweep.run('sparse.toml', workers=2)\n"
        "except dlnsweep.SpecError as error:\n print(error)"
    )
    done = ran(folder, "-c", code)
    assert done.returncode == 0, done.stderr
    assert "figure[0].kind is 'histogram'; it must be one of curves, final" in done.stderr
    assert "call dlnsweep.draw_figures, or install it with an entry point" in done.stderr
    assert "Traceback" not in done.stderr
    refused, *lines = done.stdout.splitlines()
    assert refused == "2 False"
    assert lines[0] == "['finished', 'finished'] True"
    assert lines[1] == "['histogram.png', 'histogram.pdf']"
    assert lines[2] == (
        "workers is 2, but worker processes do not know problem.kind 'sparse', observable "
        "'largest_entry', which this process has registered: take workers=0, name its file "
        "(load_plugin, or --plugin), or let an entry point of a package name the module (group "
        "dlnsweep.problems)."
    )


def test_the_example_runs_in_workers_as_an_entry_point(folder: Path):
    install(folder)
    loaded = "import sys; assert 'jax' not in sys.modules"
    check = "from dlnsweep import Sweep\nprint(Sweep.from_file('sparse.toml').num_runs)"
    explain = "from dlnsweep.cli.app import app\napp(['explain', 'sparse'])"
    told = python(folder, "-c", f"{check}\n{loaded}\n{explain}")
    assert told.startswith("2\n")
    assert "threshold" in told
    python(folder, "-m", "dlnsweep", "run", "sparse.toml", "--workers", "1")
    assert (folder / "results" / "sparse" / "figures" / "histogram.png").exists()


def test_a_broken_entry_point_is_said_where_something_is_wrong(monkeypatch: pytest.MonkeyPatch):
    broken = EntryPoint("mine", "no_such_module", plugins.GROUP)
    monkeypatch.setattr(plugins, "load", lambda: plugins.load_points([broken]))
    # What does not need it is not disturbed.
    assert sweep().num_runs == 1
    sentences = problems(problem__kind="mine")
    assert sentences[-1] == (
        "the entry point 'mine' = 'no_such_module' of the group dlnsweep.problems cannot be "
        "loaded (ModuleNotFoundError: No module named 'no_such_module'); mend its package, or "
        "uninstall it."
    )


def test_an_entry_point_that_names_a_function_is_called():
    called = []
    points: Any = [Point(lambda: called.append(1))]
    assert plugins.load_points(points) == ()
    assert called == [1]
    # Of the packages that are installed, once a process.
    assert plugins.load() is plugins.load()


class Point:
    """An entry point that is there."""

    name, value, module, attr = "mine", "package:register", "package", "register"

    def __init__(self, found) -> None:
        self.found = found

    def load(self):
        return self.found


def test_what_this_package_has_is_known_everywhere():
    assert plugins.only_here("subspace", "deep_linear", ("regression_error", "curvature_max")) == []


def test_registering_a_figure_refuses_bad_kinds():
    with pytest.raises(ValueError, match=r"^a figure of kind 'heatmap' is registered already$"):
        register_figure(HeatmapFigure, lambda results, keys: None)
    with pytest.raises(ValueError, match=r"^Figure has no field kind with its name as default$"):
        register_figure(Figure, lambda results, keys: None)
