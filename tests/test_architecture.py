"""The order of the house: who may import whom, and what may be loaded when."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import dlnsweep

PACKAGE = Path(dlnsweep.__file__).parent

# From the ground floor up. A module imports modules of lower rooms, or of its own; imports inside
# functions count, those for type checkers alone do not.
HOUSE: list[tuple[str, ...]] = [
    (
        "errors",
        "sizes",
        "version",
        "lazy",
        "settings",
        "theory",
        "theory_proof",
        "bootstrap",
        "console",
        "packing",
        "trained",
        "compile_cache",
        "environment",
        "memory",
        "logistic",
    ),
    (
        "paths",
        "terminal_line",
        "sentences",
        "runtime",
        "places",
        "shards",
        "slurm",
        "stopping",
        "streams",
        "kernels",
        "kernels.products",
        "kernels.samples",
        "kernels.spectra",
        "kernels.linear",
        "kernels.layout",
        "kernels.minibatches",
        "kernels.law",
        "kernels.chain",
        "kernels.network",
        "kernels.path",
        "kernels.pilot",
        "kernels.reduction",
        "kernels.prepare",
        "kernels.compact_descent",
        "kernels.fits",
        "nuclear_norm",
    ),
    (
        "problems.operators",
        "problems.subspace",
        "problems.noisy_subspace",
        "problems.union_of_subspaces",
        "problems.teacher",
        "problems.deep_prior",
        "problems.matrices",
        "problems.matrix_completion",
        "problems.matrix_sensing",
        "problems.gas_sensor",
        "problems.regression",
        "problems",
        "theory_setup",
        "theory_curves",
        "sections",
        "observables",
        "figures.backend",
        "figures.wording",
        "figures.settings",
        "kernels.kernel",
        "kernels.prior_view",
        "kernels.deep_prior",
        "kernels.reduced",
    ),
    (
        "figures.check",
        "figures.chosen",
        "figures.possible",
        "figures.reading",
        "networks.registry",
        "networks.layered",
        "networks.deep_prior",
        "networks.factorized",
        "networks",
        "plugins",
        "keys",
        "axes",
        "repeats",
        "sweepfile",
        "documents",
        "schedule",
        "initializers",
        "optimizers",
        "consistency",
        "prescription",
        "arguments",
    ),
    (
        "cost",
        "draws",
        "matrix_draws",
        "kernels.factorization",
        "kernels.end_to_end",
        "kernels.gradient_descent",
        "kernels.optax_descent",
        "kernels.dense",
        "kernels.relu",
    ),
    (
        "spec",
        "calls",
        "program",
        "prior_draws",
        "lanes",
        "reducing",
        "single",
        "training",
        "starter",
        "explain",
    ),
    ("plan", "journal", "batch"),
    ("estimate", "fitting", "records"),
    ("store",),
    ("results", "figures", "drawn", "checkpoint"),
    ("claims", "transitions", "drawing", "execution", "probe"),
    ("worker", "progress", "heartbeat", "dask_task", "dask_execution"),
    ("runner", "comparison", "cli_files", "cli_results"),
    ("cli",),
    ("outermost",),
    ("__main__",),
]
FLOOR = {name: floor for floor, names in enumerate(HOUSE) for name in names}

# Rooms that answer without JAX.
WITHOUT_JAX = {
    "axes", "claims", "comparison", "consistency", "cost", "drawing", "errors", "estimate",
    "explain", "fitting", "keys", "memory",
    "figures", "networks", "plan", "prescription", "problems", "records", "results", "schedule",
    "sections", "sentences", "settings", "spec", "starter", "store", "sweepfile", "version",
}  # fmt: skip
HEAVY = ("jax", "jaxlib", "optax", "pandas", "pyarrow", "matplotlib")


@cache
def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


@cache
def parsed(name: str) -> ast.Module:
    return ast.parse(modules()[name].read_text())


def floor_of(name: str) -> int | None:
    # A package's inner modules stand where the package does, unless they have a room of their own.
    return FLOOR.get(name, FLOOR.get(name.partition(".")[0]))


def executed(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a tree's nodes without what stands under `if TYPE_CHECKING`."""
    yield node
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        children: list[ast.AST] = list(node.orelse)
    else:
        children = list(ast.iter_child_nodes(node))
    for child in children:
        yield from executed(child)


@cache
def imports(name: str) -> frozenset[str]:
    """Return the full names of all modules that a module imports, inside functions too."""
    found = set()
    for node in executed(parsed(name)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{name} has a relative import"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            ours = {f"dlnsweep.{module}" for module in modules()}
            found |= (inner & ours) or {node.module}
    return frozenset(found)


def own_imports(name: str) -> set[str]:
    found = {module for module in imports(name) if module.startswith("dlnsweep.")}
    return {module.removeprefix("dlnsweep.") for module in found}


NAMES = [name for name in modules() if name != "__init__"]


def test_every_module_has_a_place_in_the_house():
    homeless = [name for name in NAMES if floor_of(name) is None]
    assert not homeless, "add them to HOUSE, on the lowest floor that their imports allow"
    gone = [name for name in FLOOR if name not in modules()]
    assert not gone, "these are in HOUSE, but are no modules"


@pytest.mark.parametrize("name", NAMES)
def test_a_module_imports_only_from_below(name: str):
    mine = floor_of(name)
    assert mine is not None
    above = {m for m in own_imports(name) if (floor_of(m) or 0) > mine}
    assert not above, f"{name} imports {above} from above"


def test_no_imports_go_in_circles():
    graph = {name: own_imports(name) - {name} for name in NAMES}
    while graph:
        leaves = {name for name, needs in graph.items() if not needs & graph.keys()}
        assert leaves, f"these import each other: {sorted(graph)}"
        graph = {name: needs for name, needs in graph.items() if name not in leaves}


@pytest.mark.parametrize("name", [n for n in NAMES if n.partition(".")[0] in WITHOUT_JAX])
def test_a_room_without_jax_does_not_import_it(name: str):
    assert not {m for m in imports(name) if m.partition(".")[0] in ("jax", "jaxlib", "optax")}


def test_only_the_rooms_of_the_command_line_write_to_the_terminal():
    talkers = {"cli", "cli_files", "cli_results", "outermost", "probe", "worker", "progress"}
    for name in set(NAMES) - talkers:
        calls = [n for n in ast.walk(parsed(name)) if isinstance(n, ast.Call)]
        assert "print" not in {ast.unparse(call.func) for call in calls}, name


@pytest.mark.parametrize("name", modules())
def test_a_module_is_small(name: str):
    assert len(modules()[name].read_text().splitlines()) <= 400


def undocumented(node: ast.Module | ast.ClassDef, prefix: str) -> Iterator[str]:
    for child in node.body:
        if isinstance(child, ast.FunctionDef | ast.ClassDef) and not child.name.startswith("_"):
            if not ast.get_docstring(child):
                yield f"{prefix}.{child.name}"
            if isinstance(child, ast.ClassDef):
                yield from undocumented(child, f"{prefix}.{child.name}")


@pytest.mark.parametrize("name", [n for n in modules() if n not in ("kernels",)])
def test_what_is_public_has_a_docstring(name: str):
    assert ast.get_docstring(parsed(name)), name
    assert not list(undocumented(parsed(name), name))


def test_the_public_names_exist():
    assert sorted(dlnsweep.__all__) == dlnsweep.__all__
    for name in dlnsweep.__all__:
        assert getattr(dlnsweep, name) is not None
    assert set(dir(dlnsweep)) == set(dlnsweep.__all__)
    with pytest.raises(AttributeError, match="module 'dlnsweep' has no attribute 'sweep'"):
        _ = dlnsweep.sweep


def loaded_by(code: str, folder: Path) -> set[str]:
    """Return which heavy packages a new process has loaded after some code."""
    ending = f"print(*[m for m in {HEAVY} if m in sys.modules])"
    program = f"import sys\n{code}\nsys.stdout.flush(); print(); {ending}"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(PACKAGE.parent), "PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def command(*arguments: str) -> str:
    return (
        f"from dlnsweep.cli import app\ntry:\n app({list(arguments)})\n"
        "except SystemExit as end:\n assert not end.code, end.code"
    )


@pytest.fixture(scope="module")
def sweep_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sweep") / "small.toml"
    path.write_text((Path(__file__).parents[1] / "sweeps" / "smoke.toml").read_text())
    return path


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["check", "small.toml"], ["explain", "training"]]
)
def test_quick_commands_load_nothing_heavy(arguments: list[str], sweep_file: Path):
    assert loaded_by(command(*arguments), sweep_file.parent) == set()


def test_importing_dlnsweep_loads_nothing_heavy(tmp_path: Path):
    assert loaded_by("import dlnsweep; dlnsweep.Sweep", tmp_path) == set()


def test_commands_that_do_not_train_do_not_load_jax(sweep_file: Path):
    """In one process, one after the other: what none of them loads is not there at the end."""
    prepare = (
        "from pathlib import Path\nfrom dlnsweep.runner import prepare\n"
        "from dlnsweep.spec import Sweep\nprepare(Sweep.from_file('small.toml'), Path('smoke'))"
    )
    none_yet = "assert 'jax' not in sys.modules, {!r}"
    parts = [command("plan", "small.toml", "--no-probe"), none_yet.format("plan")]
    parts += [prepare, none_yet.format("prepare")]
    for name in ("status", "verify", "gc"):
        parts += [command(name, "smoke"), none_yet.format(name)]
    # Nothing has run yet, so there is nothing to draw; but all of drawing has been imported.
    parts += [
        "from dlnsweep.errors import DlnsweepError\ntry:\n from dlnsweep.cli import app\n "
        "app(['figure', 'smoke'])\nexcept (SystemExit, DlnsweepError): pass"
    ]
    assert "jax" not in loaded_by("\n".join(parts), sweep_file.parent)
