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
from dlnsweep.contracts.figure import FIGURES

PACKAGE = Path(dlnsweep.__file__).parent
TESTS = Path(__file__).parent

# The rooms (folders, and modules beside them) from the ground floor up. A room imports rooms of
# lower floors only; imports inside functions count, and those for type checkers alone do, too.
FLOORS: list[tuple[str, ...]] = [
    ("errors", "version"),
    ("machine", "settings"),
    ("numerics",),
    ("contracts", "jumps", "problems", "lazy", "simd", "streams"),
    ("optimizers",),
    ("figure_kinds", "networks", "store", "theory"),
    ("builtins", "reduced", "results", "spec"),
    ("analysis", "engine", "plan"),
    ("figures", "single", "probe"),
    ("execution",),
    ("progress", "report", "view"),
    ("cli", "worker"),
    ("__main__",),
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

# The rooms that import JAX themselves. All others have it from numerics/lazy.py when it is first
# used, so that files are checked and results are read without it.
WITH_JAX = {"numerics", "optimizers"}
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


def room_of(name: str) -> str:
    return name.partition(".")[0]


@cache
def imports(name: str) -> frozenset[str]:
    """Return the full names of all modules that a module imports, wherever it does."""
    found = set()
    for node in ast.walk(parsed(name)):
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


def test_every_module_stands_in_a_room_of_the_house():
    assert {room_of(name) for name in NAMES} == set(FLOOR), "FLOORS has other rooms"


@pytest.mark.parametrize("name", NAMES)
def test_a_module_imports_only_from_lower_floors(name: str):
    mine = room_of(name)
    rooms = {room_of(module) for module in own_imports(name)} - {mine}
    above = {room for room in rooms if FLOOR[room] >= FLOOR[mine]}
    assert not above, f"{name} imports from {above}, which {mine} does not stand above"


def test_no_imports_go_in_circles():
    graph = {name: own_imports(name) - {name} for name in NAMES}
    while graph:
        leaves = {name for name, needs in graph.items() if not needs & graph.keys()}
        assert leaves, f"these import each other: {sorted(graph)}"
        graph = {name: needs for name, needs in graph.items() if name not in leaves}


@pytest.mark.parametrize("name", [n for n in NAMES if room_of(n) not in WITH_JAX])
def test_a_room_does_not_import_jax_itself(name: str):
    assert not {m for m in imports(name) if m.partition(".")[0] in ("jax", "jaxlib", "optax")}


def test_only_commands_write_to_the_terminal():
    commands = {"engine.probe", "execution.workers.worker"}
    for name in [n for n in NAMES if room_of(n) not in ("cli", "progress") and n not in commands]:
        calls = [n for n in ast.walk(parsed(name)) if isinstance(n, ast.Call)]
        assert "print" not in {ast.unparse(call.func) for call in calls}, name


@pytest.mark.parametrize("name", modules())
def test_a_module_is_small(name: str):
    assert len(modules()[name].read_text().splitlines()) <= 400


def told_apart_by_name(node: ast.AST, names: set[str], settings: set[str]) -> bool:
    """Tell whether code asks what a kind is called, or of which class its settings are."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
        return bool(settings & {n.id for n in ast.walk(node) if isinstance(n, ast.Name)})
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
    elif isinstance(node, ast.Match):
        sides = [node.subject, *(case.pattern for case in node.cases)]
    elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Dict):
        sides = [node.value, node.slice]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        sides = [node.func, *node.args] if isinstance(node.func.value, ast.Dict) else []
    else:
        return False
    of_kind = any(ast.unparse(side).rpartition(".")[2].endswith("kind") for side in sides)
    inside = {n.value for s in sides for n in ast.walk(s) if isinstance(n, ast.Constant)}
    return of_kind and bool(inside & names)


@pytest.mark.parametrize(
    "name", [n for n in NAMES if not n.startswith(("figure_kinds", "figures.kinds"))]
)
def test_no_kind_of_figure_is_told_apart_by_its_name(name: str):
    """What differs from kind to kind stands in `figure_kinds`, as `FigureKind` asks for it."""
    kinds = [kind for kind in FIGURES.values() if kind.described]
    names, settings = {k.name for k in kinds}, {k.settings.__name__ for k in kinds}
    found = [n for n in ast.walk(parsed(name)) if told_apart_by_name(n, names, settings)]
    assert not found, [ast.unparse(node) for node in found]


@pytest.mark.parametrize(
    "code",
    [
        "figure.kind == 'curves'", "kind in ('final', 'noise')", "isinstance(a, CurvesFigure)",
        "{'heatmap': 1}.get(figure.kind)", "{'heatmap': 1}[kind]", "self.settings.kind != 'final'",
    ],
)  # fmt: skip
def test_the_rule_sees_a_kind_that_is_told_apart_by_its_name(code: str):
    tree = ast.parse(code)
    names, settings = {"curves", "final", "noise", "heatmap"}, {"CurvesFigure"}
    assert any(told_apart_by_name(node, names, settings) for node in ast.walk(tree))


def undocumented(node: ast.Module | ast.ClassDef, prefix: str) -> Iterator[str]:
    for child in node.body:
        if isinstance(child, ast.FunctionDef | ast.ClassDef) and not child.name.startswith("_"):
            if not ast.get_docstring(child):
                yield f"{prefix}.{child.name}"
            if isinstance(child, ast.ClassDef):
                yield from undocumented(child, f"{prefix}.{child.name}")


@pytest.mark.parametrize("name", modules())
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
        f"from dlnsweep.cli.app import app\ntry:\n app({list(arguments)})\n"
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
        "from pathlib import Path\nfrom dlnsweep.execution.preparing import prepare\n"
        "from dlnsweep.spec.sweep import Sweep\n"
        "prepare(Sweep.from_file('small.toml'), Path('smoke'))"
    )
    none_yet = "assert 'jax' not in sys.modules, {!r}"
    parts = [command("plan", "small.toml", "--no-probe"), none_yet.format("plan")]
    parts += [prepare, none_yet.format("prepare")]
    for name in ("status", "verify", "gc"):
        parts += [command(name, "smoke"), none_yet.format(name)]
    # Nothing has run yet, so there is nothing to draw; but all of drawing has been imported.
    parts += [
        "from dlnsweep.errors import DlnsweepError\ntry:\n from dlnsweep.cli.app import app\n "
        "app(['figure', 'smoke'])\nexcept (SystemExit, DlnsweepError): pass"
    ]
    assert "jax" not in loaded_by("\n".join(parts), sweep_file.parent)


def named_in(file: str) -> list[str]:
    lines = (TESTS / file).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def is_there(name: str) -> bool:
    file, _, test = name.partition("[")[0].partition("::")
    return f"\ndef {test}(" in (TESTS / file).read_text(encoding="utf-8")


def test_what_stands_among_the_further_cases_exists():
    named = named_in("further.txt")
    assert len(named) == len(set(named))
    for line in named:
        assert is_there(line), line


def test_each_fault_that_was_found_has_tests_that_exist():
    held: dict[str, list[str]] = {}
    entry = ""
    for line in named_in("faults.txt"):
        if line.startswith("  "):
            assert is_there(line.strip()), line
            held[entry].append(line)
        else:
            entry = line.partition(" ")[0]
            assert entry not in held
            held[entry] = []
    assert all(held.values())


def test_files_of_tests_have_names_of_their_own() -> None:
    # pytest imports them by these alone, and collects nothing where two are alike.
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


def test_tests_import_nothing_by_the_name_of_their_folder() -> None:
    # `python -m pytest` finds it in the repository's root, `pytest` does not.
    def asks(path: Path) -> bool:
        tree = ast.parse(path.read_text("utf-8"))
        modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        return any(module == "tests" or (module or "").startswith("tests.") for module in modules)

    files = [*TESTS.rglob("test_*.py"), *(TESTS / "samples").glob("*.py")]
    assert not [path.name for path in files if asks(path)]
