"""Programs kept whole: that they are the same, and when they are not kept or not taken."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweep_samples import BARE, PATIENCE, data_files, write
from test_compile_cache import REDUCED, files_of

import dlnsweep
from dlnsweep.engine.programs import PROGRAMS
from dlnsweep.execution.preparing import IN_PROCESS, prepare
from dlnsweep.numerics import code, executables, runtime
from dlnsweep.numerics.executables import keeping_whole, once
from dlnsweep.spec.sweep import Sweep

# With LAPACK's routines among what is called; the last one has a network that its kind's name
# stands for, trained by the generic way.
TEXTS = {
    "dense": BARE.replace('_error"]', '_error", "singular_values"]'),
    "reduced": REDUCED.replace('_error"]', '_error", "singular_values"]'),
    "named": BARE.replace("[network]", '[network]\nkind = "mlp"')
    .replace('["regression_error", "off_subspace_error"]', '["loss", "sharpness"]')
    .replace("seeds = 2", 'seeds = 2\nkernel = "generic"'),
}
# The source files may have been installed a moment ago.
LATER = time.time() + 3600.0
MATRIX = np.random.default_rng(0).normal(size=(5, 3))


class Maker:
    """Makes programs, and counts how often."""

    def __init__(self, *functions: Callable[[Any], Any]) -> None:
        self.functions, self.times = functions, 0

    def __call__(self) -> tuple[Any, ...]:
        import jax

        self.times += 1
        return tuple(jax.jit(f).lower(MATRIX).compile() for f in self.functions)


def spectrum(matrix: Any) -> Any:
    import jax.numpy as jnp

    # LAPACK's routine, and loops of XLA's own.
    return jnp.linalg.svd(jnp.sin(matrix), full_matrices=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DLNSWEEP_COMPILE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@contextmanager
def keeping(began: float = LATER) -> Iterator[None]:
    with keeping_whole(began), runtime.numerics():
        yield


def test_a_kept_program_is_the_same_and_not_made_again(folder: Path) -> None:
    make = Maker(spectrum, lambda matrix: {"square": matrix @ matrix.T})
    with keeping():
        made = once("a", MATRIX, make)
        kept = once("a", MATRIX, make)
        assert make.times == 1
        for one, other in zip(made, kept, strict=True):
            assert str(one(MATRIX)) == str(other(MATRIX))
        for u, v in zip(made[0](MATRIX), kept[0](MATRIX), strict=True):
            assert np.asarray(u).tobytes() == np.asarray(v).tobytes()
        # Other programs, and other arguments, have others.
        once("b", MATRIX, make)
        once("a", MATRIX.astype(np.float32), make)
        once("a", MATRIX[:4], make)
        once("a", [MATRIX], make)
        assert make.times == 5
    [*_, largest] = sorted(files_of(folder), key=lambda path: path.stat().st_size)
    for path in files_of(folder):
        path.write_bytes(path.read_bytes()[:-1])
    with keeping():
        once("a", MATRIX, make)
    assert make.times == 6
    assert largest in files_of(folder)


def test_it_is_kept_only_where_its_code_is_known(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Maker(spectrum)

    def made_twice(name: str = "a", began: float = LATER) -> bool:
        before = make.times
        with keeping(began):
            once(name, MATRIX, make)
            once(name, MATRIX, make)
        return make.times == before + 2

    with runtime.numerics():
        once("a", MATRIX, make)
        once("a", MATRIX, make)
    assert make.times == 2
    # Source files changed after this process began, or just before it.
    assert made_twice(began=code.newest_change() + 1.0)
    # A user's file among its constants; programs without a name.
    assert made_twice("problem data.npz#sha256=0123456789abcdef")
    assert made_twice("")
    # A cache of the user's own, or none.
    with monkeypatch.context() as patched:
        patched.setenv("DLNSWEEP_COMPILE_CACHE", "off")
        assert made_twice()
    with monkeypatch.context() as patched:
        patched.setattr(executables, "device_description", lambda: {"platform": "gpu"})
        assert made_twice()
    assert not any(path.stat().st_size > 10_000 for path in files_of(folder))
    assert not made_twice()
    # Other code, of ours or of JAX's, other versions, another environment.
    for name in ("code_of_numbers", "code_of_libraries", "versions", "surroundings"):
        with monkeypatch.context() as patched:
            before = make.times
            patched.setattr(executables, name, lambda: "other")
            with keeping():
                once("a", MATRIX, make)
            assert make.times == before + 1, name


def test_what_cannot_be_loaded_is_left_to_jaxs_own_cache(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a version of JAX that saves programs and does not take them: it would compile anew."""
    make = Maker(spectrum)
    with keeping():
        once("a", MATRIX, make)
        [kept] = files_of(folder)
        with monkeypatch.context() as patched:
            patched.setattr(executables, "_loaded", lambda _: 1 / 0)
            once("a", MATRIX, make)
            assert kept.stat().st_size == 32
        once("a", MATRIX, make)
    assert make.times == 3


def test_nothing_is_kept_of_files_that_change_while_a_process_lives(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that is loaded late is another one than the hash was taken of."""
    make = Maker(spectrum)
    with keeping():
        with monkeypatch.context() as patched:
            newest = code.newest_change() + 1.0
            patched.setattr(executables, "newest_change", lambda: newest)
            once("a", MATRIX, make)
            once("a", MATRIX, make)
        assert make.times == 2
        once("a", MATRIX, make)
        once("a", MATRIX, make)
    assert make.times == 3


def test_a_library_is_known_by_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who mends a step of optax where it is installed leaves its version as it was."""
    library = tmp_path / "lib"
    library.mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    found = []
    for text in ("", "x = 1", "x = 2"):
        (library / "__init__.py").write_text(text)
        found.append(code.code_of_packages(["lib"]))
    (library / "notes.txt").write_text("nothing that counts")
    assert code.code_of_packages(["lib"]) == found[-1]
    assert len(set(found)) == 3


def test_what_traces_is_among_them_with_what_it_is_made_of() -> None:
    """Of diffrax, which traces gradient flow, no version stands in a program's key."""
    asked = [need for need in requires("diffrax") or () if "extra ==" not in need]
    needed = {re.split(r"[^\w-]", need)[0].replace("-", "_") for need in asked}
    traces = needed - {"jaxtyping", "typing_extensions", "wadler_lindig"}
    assert {"equinox", "jax"} <= traces
    assert traces | {"jaxlib", "optax", "diffrax"} <= set(code._TRACED)
    assert code.code_of_libraries() == code.code_of_packages(code._TRACED)


def test_what_calls_back_is_left_to_jaxs_own_cache(folder: Path) -> None:
    import jax

    def asks(matrix: Any) -> Any:
        return jax.pure_callback(lambda x: np.asarray(x) + 1, matrix, matrix)

    make = Maker(asks)
    with keeping():
        once("a", MATRIX, make)
        once("a", MATRIX, make)
    assert make.times == 2
    # Only the note that it is so.
    assert [path.stat().st_size for path in files_of(folder)] == [32]


AGAIN = """
import sys
from dlnsweep.engine.program import Program
from dlnsweep.execution.workers.worker import execute_batch
from dlnsweep.numerics.executables import keeping_whole
from dlnsweep.reduced import program

def none(*_):
    raise AssertionError("made again")

Program._made = program.ReducedProgram._compiled = program._compiled_alone = none
with keeping_whole(float(sys.argv[2])):
    execute_batch(sys.argv[1], 0)
"""


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_another_process_takes_it_and_writes_the_same_bytes(
    text: str, tmp_path: Path, folder: Path
) -> None:
    """Nothing is lowered there, so that nothing but us has prepared LAPACK."""
    text = text.replace("[30, 40, 50]", "30")
    path, second = write(tmp_path, text), tmp_path / "second" / "small"
    PROGRAMS.clear()
    # As its workers do, in this process.
    with keeping_whole(LATER):
        first = dlnsweep.run(path, tmp_path / "first", workers=0).path
    assert any(path.stat().st_size > 20_000 for path in files_of(folder))
    prepare(Sweep.from_file(path), second, how=IN_PROCESS)
    subprocess.run([sys.executable, "-c", AGAIN, second, str(LATER)], check=True, timeout=PATIENCE)
    assert data_files(second) == data_files(first)
