"""Whatever goes wrong, the command line ends with a sentence and a status that says what it was."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sweep_samples import PATIENCE, REPOSITORY

from dlnsweep.cli import outermost


def deeper() -> object:
    return deeper()


def fail(error: BaseException) -> Callable[[], object]:
    def command() -> object:
        raise error

    return command


BUGS: dict[str, tuple[Callable[[], object], str]] = {
    "a bug": (fail(ZeroDivisionError("by\nnothing")), "a bug of dlnsweep (ZeroDivisionError: by)"),
    "recursion": (deeper, "a bug of dlnsweep (RecursionError: maximum recursion"),
    "a letter": (lambda: "\u03bb".encode("ascii"), "a bug of dlnsweep (UnicodeEncodeError:"),
    "memory": (fail(MemoryError()), "out of memory (MemoryError)"),
    "an array": (lambda: np.empty(2**59), "out of memory (MemoryError: Unable to allocate"),
    "a package": (fail(ImportError("no x")), "cannot be imported (ImportError: no x)"),
    "a group": (fail(ExceptionGroup("two", [KeyError("a")])), "a bug of dlnsweep (ExceptionGroup"),
    "the system": (fail(OSError(5, "no")), "a bug of dlnsweep (OSError: [Errno 5] no)"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the files of tracebacks go."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", BUGS)
def test_a_bug_is_a_sentence_and_a_private_file(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command, expected = BUGS[name]
    assert outermost.guarded(command) == outermost.BUG_STATUS == 70
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith("dlnsweep: ")
    assert expected in said.err
    (path,) = folder.iterdir()
    assert str(path) in said.err
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "Traceback (most recent call last)" in path.read_text()


def test_what_ends_the_process_keeps_its_status(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for code, status in ((None, 0), (0, 0), (1, 1), (3, 3), ("a library's text", 70)):
        assert outermost.guarded(fail(SystemExit(code))) == status
    assert outermost.guarded(lambda: None) == 0
    assert outermost.guarded(fail(KeyboardInterrupt())) == 130
    assert list(folder.iterdir()) == []
    assert capsys.readouterr().err == "a library's text\ndlnsweep: stopped.\n"


def test_without_a_place_for_the_file_the_traceback_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path / "neither"))
    assert outermost.guarded(fail(KeyError("x"))) == 70
    said = capsys.readouterr().err
    assert "No file could be written for the traceback" in said
    assert "KeyError: 'x'" in said


@pytest.mark.parametrize("broken", ["typer", "pydantic"])
def test_a_package_that_cannot_be_imported_is_not_the_status_of_compare(
    broken: str, tmp_path: Path
) -> None:
    (tmp_path / f"{broken}.py").write_text("raise ImportError('half installed')\n")
    sweep = REPOSITORY / "sweeps" / "smoke.toml"
    done = subprocess.run(
        [sys.executable, "-m", "dlnsweep", "check", str(sweep)],
        env={"PYTHONPATH": f"{tmp_path}:{REPOSITORY}", "TMPDIR": str(tmp_path), "LANG": "C"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout) == (70, "")
    assert "half installed" in done.stderr
    assert "Traceback" not in done.stderr
    (path,) = re.findall(r"kept in (\S+\.txt);", done.stderr)
    assert "half installed" in Path(path).read_text()
