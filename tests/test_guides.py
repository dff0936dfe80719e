"""The README and the guides: every block of code is executed, every link leads somewhere."""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from guides import FOLDER, ROOT, Block, blocks_of

import dlnsweep
from dlnsweep.cli import app as cli
from dlnsweep.cli.guide import guides
from dlnsweep.spec.sweep import Sweep

TEXTS = [ROOT / "README.md", *sorted(FOLDER.glob("*.md"))]
# What other tests execute, by the guide and the heading that they take it from.
ELSEWHERE = {
    ("README", "dlnsweep", "sh"): ".ci/run",
    ("own_networks", "A network in pure functions", "python"): "networks/test_own_networks.py",
    ("own_networks", "A network in pure functions", "toml"): "networks/test_own_networks.py",
    ("own_networks", "A matrix as a function of parameters", "python"):
        "networks/test_own_matrices.py",
    ("own_networks", "A matrix as a function of parameters", "toml"):
        "networks/test_own_matrices.py",
    ("own_networks", "A statement of your own", "python"): "analysis/test_registered_claims.py",
    ("own_networks", "Models of flax and equinox", "python"): "networks/test_libraries.py",
    ("own_networks", "An optimizer, an initializer or a loss of your own", "python"):
        "contracts/test_registered.py",
    ("own_problems", "Your own data", "python"): "problems/test_from_file.py",
    ("own_problems", "Your own data", "toml"): "problems/test_from_file.py",
    ("own_problems", "A problem of your own", "python"): "problems/test_own_problem.py",
    ("own_problems", "A problem of your own", "toml"): "problems/test_own_problem.py",
    ("clusters", "Ways to compute a sweep", "python"): "execution/test_dask.py",
}  # fmt: skip
# Pictures of folders, and pieces of other tools' files.
NO_CODE = {"", "yaml", "text"}

# What a fragment of a sweep file stands in.
SWEEP = """
name = "my_sweep"

[problem]
kind = "subspace"
signal_dim = 8
measurement_dim = 4
subspace_dim = 1
num_samples = 20

[network]
depth = 2
width = [8, 16, 32]

[training]
learning_rate = 0.1
weight_decay = [0.1, 0.01, 1e-3]
num_steps = 1000

[record]
count = 10
observables = ["regression_error", "test_error", "off_subspace_error"]

[sweep]
seeds = 2
"""
# And the figure of the sweep that commands are tried on.
FIGURE = """
[figure]
kind = "curves"
y = "regression_error"
hue = "training.weight_decay"
"""


def named(file: Path) -> str:
    return file.stem


def code(file: Path, kind: str) -> list[Block]:
    return [
        block
        for block in blocks_of(file)
        if block.kind == kind and (file.stem, block.heading, kind) not in ELSEWHERE
    ]


def test_no_kind_of_block_is_passed_over():
    kinds = {block.kind for file in TEXTS for block in blocks_of(file)}
    assert kinds <= {"toml", "python", "sh"} | NO_CODE


def test_what_is_executed_elsewhere_is_there():
    found = {(file.stem, b.heading, b.kind) for file in TEXTS for b in blocks_of(file)}
    assert set(ELSEWHERE) <= found
    for (guide, heading, _), test in ELSEWHERE.items():
        if test == ".ci/run":
            assert "README.md" in (ROOT / test).read_text(encoding="utf-8")
            continue
        text = (ROOT / "tests" / test).read_text(encoding="utf-8")
        assert "guides.block(" in text
        assert f'"{guide}"' in text
        assert f'"{heading}"' in text


def merged(fragment: dict[str, Any]) -> dict[str, Any]:
    """Return the sweep that a fragment stands in."""
    document = tomllib.loads(SWEEP)
    for block in fragment.get("sweep", {}).get("block", ()):
        for section, keys in block.items():
            for key in keys:
                document[section].pop(key, None)
    for section, value in fragment.items():
        other_kind = isinstance(value, dict) and "kind" in value
        if isinstance(value, dict) and not other_kind:
            document.setdefault(section, {}).update(value)
        else:
            document[section] = value
    return document


@pytest.mark.parametrize("file", TEXTS, ids=named)
def test_each_piece_of_a_sweep_file_is_one(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    np.savez("mine.npz", inputs=np.ones((1100, 4)), targets=np.ones((1100, 8)))
    for block in code(file, "toml"):
        fragment = tomllib.loads(block.text)
        if "project" in fragment:
            groups = fragment["project"]["entry-points"]
            assert all(group.startswith("dlnsweep.") for group in groups)
            continue
        sweep = Sweep.from_dict(fragment if "name" in fragment else merged(fragment))
        # What it says is in what was read.
        assert sweep.name == fragment.get("name", "my_sweep")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a sweep file, and its results under two names."""
    place = tmp_path_factory.mktemp("guides")
    (place / "my_sweep.toml").write_text(SWEEP + FIGURE)
    # As deep as the quickstart and of its sizes, but done sooner.
    quick = (
        (SWEEP + FIGURE).replace("my_sweep", "quickstart").replace("depth = 2", "depth = [2, 3]")
    )
    quick = quick.replace("measurement_dim = 4", "measurement_dim = 32")
    quick = quick.replace("signal_dim = 8", "signal_dim = 64")
    (place / "sweeps").mkdir()
    (place / "sweeps" / "quickstart.toml").write_text(quick)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for name in ("my_sweep", "quickstart", "with_weights"):
            document: dict[str, Any] = tomllib.loads(
                SWEEP + FIGURE if name == "my_sweep" else quick
            )
            if name == "with_weights":
                document |= {"name": name}
                document["record"]["weights"] = "final"
            dlnsweep.run(Sweep.from_dict(document), workers=0)
    return place


def figures(file: Path) -> list[dict[str, Any]]:
    """Return the figures of the pieces that are no whole sweep."""
    pieces = [tomllib.loads(block.text) for block in code(file, "toml")]
    drawn = [piece["figure"] for piece in pieces if set(piece) == {"figure"}]
    return [keys for each in drawn for keys in (each if isinstance(each, list) else [each])]


@pytest.mark.parametrize("file", [file for file in TEXTS if figures(file)], ids=named)
def test_figures_are_drawn(file: Path, folder: Path):
    results = dlnsweep.open_results(folder / "results" / "my_sweep")
    for keys in figures(file):
        assert results.figure(**keys).axes


def data() -> dict[str, Any]:
    """Return the arrays that the guide to results trains on."""
    rng = np.random.default_rng(0)
    signals, operator = rng.normal(size=(6, 9)), rng.normal(size=(4, 6))
    weights = tuple(rng.normal(size=shape) / 3 for shape in ((5, 4), (6, 5)))
    return {"signals": signals, "measurements": operator @ signals, "weights": weights}


@pytest.mark.parametrize("file", [file for file in TEXTS if code(file, "python")], ids=named)
def test_python_runs(file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)
    space = {"dlnsweep": dlnsweep, "pandas": pandas} | data()
    for block in code(file, "python"):
        exec(compile(block.text, f"{file.name}: {block.heading}", "exec"), space)


def commands(file: Path) -> list[list[str]]:
    lines = [line for block in code(file, "sh") for line in block.text.splitlines()]
    # Without comments, and up to a pipe into another program.
    return [shlex.split(line.partition(" | ")[0], comments=True) for line in lines if line.strip()]


@pytest.mark.parametrize("file", [file for file in TEXTS if code(file, "sh")], ids=named)
def test_commands_run(
    file: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(folder)
    for block in code(file, "toml"):
        if block.text.startswith("[figure]"):
            (folder / "figure.toml").write_text(block.text)
    for words in commands(file):
        assert words[0] == "dlnsweep"
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        # Of two sweeps, that they differ.
        allowed = (0, 1, None) if words[1] == "diff" else (0, None)
        assert ended.value.code in allowed, f"{shlex.join(words)}\n{said.out}{said.err}"


def anchors(file: Path) -> set[str]:
    """Return what a link into a text can name, as GitHub and MyST make it of headings."""
    outside = re.sub(r"```.*?```", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", outside, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower().strip()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize(
    "file", [*TEXTS, *sorted((ROOT / "results" / "kept").glob("**/README.md"))],
    ids=lambda file: file.relative_to(ROOT).as_posix(),
)  # fmt: skip
def test_links_lead_somewhere(file: Path):
    outside = re.sub(r"```.*?```|`[^`\n]*`", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", outside):
        if target.startswith("https://"):
            continue
        place, _, anchor = target.partition("#")
        there = (file.parent / place).resolve() if place else file
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def test_the_readme_is_a_door():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count("\n") <= 150
    for name in guides():
        assert f"(dlnsweep/guide/{name}.md" in text, f"the README does not name the guide {name}"


def test_the_design_names_every_folder_of_the_house():
    house = guides()["design"].partition("```")[2].partition("\nsweeps/")[0]
    lines = [line.strip() for line in house.splitlines() if re.match(r"  \S", line)]
    named = {name for line in lines for name in re.findall(r"(\w+)/", line.partition("  ")[0])}
    # Of the checkout: what is installed has the sweeps of the gallery with it.
    package = Path(__file__).parents[1] / "dlnsweep"
    folders = {each.name for each in package.iterdir() if each.is_dir()} - {"__pycache__"}
    assert named == folders


def test_guides_have_a_title_and_end_with_a_line():
    for name, text in guides().items():
        assert text.startswith("# "), name
        assert text.endswith("\n"), name
        outside = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        assert len(re.findall(r"^# ", outside, flags=re.MULTILINE)) == 1, name


def test_the_citation_is_of_this_version():
    text = (ROOT / ".github" / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {dlnsweep.__version__}\n" in text
