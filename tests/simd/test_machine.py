"""Machine code that is kept between processes: it is the same, and only what is whole counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from simd_samples import called

from dlnsweep.numerics.compile_cache import VARIABLE, CompileCache
from dlnsweep.simd import machine

RUNS = 3
STATE = {"active": np.ones(RUNS, bool), "x": np.arange(RUNS, dtype=float)}


def step(constants: Any, state: Any, now: Any) -> Any:
    return {**state, "x": 2 * state["x"] + constants}


def other_step(constants: Any, state: Any, now: Any) -> Any:
    return {**state, "x": 3 * state["x"] + constants}


def made(function: Any = step) -> list[float]:
    return called(function, np.ones(RUNS), STATE, 0, 1)["x"].tolist()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where programs are kept, however fast they are compiled."""
    folder = tmp_path / "kept"
    monkeypatch.setenv(VARIABLE, str(folder))
    monkeypatch.setattr(machine, "_LEAST_SECONDS", 0.0)
    return folder


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of what is put into the cache."""
    keys: list[str] = []
    put = CompileCache.put

    def told(self: CompileCache, key: str, value: bytes) -> None:
        keys.append(key)
        put(self, key, value)

    monkeypatch.setattr(CompileCache, "put", told)
    return keys


def test_what_is_kept_is_not_compiled_again(folder: Path, written: list[str]):
    assert made() == [1, 3, 5]
    assert len(written) == len(list(folder.iterdir())) == 1
    assert made() == [1, 3, 5]
    assert len(written) == 1
    # Another step is another program.
    assert made(other_step) == [1, 4, 7]
    assert len(set(written)) == 2


def test_a_damaged_file_is_compiled_anew(folder: Path, written: list[str]):
    made()
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert made() == [1, 3, 5]
    assert len(written) == 2
    assert file.read_bytes() == whole


def test_another_version_of_llvm_has_programs_of_its_own(
    folder: Path, written: list[str], monkeypatch: pytest.MonkeyPatch
):
    made()
    monkeypatch.setattr(machine.binding, "llvm_version_info", (0, 0, 0))
    made()
    assert len(set(written)) == 2


def test_code_of_other_passes_is_compiled_anew(
    folder: Path, written: list[str], monkeypatch: pytest.MonkeyPatch
):
    made()
    monkeypatch.setattr(machine, "_PASSES", machine._PASSES[:1])
    assert made() == [1, 3, 5]
    assert len(set(written)) == len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("unfit", ["off", "open"])
def test_without_a_fit_folder_nothing_is_kept(
    folder: Path, written: list[str], monkeypatch: pytest.MonkeyPatch, unfit: str
):
    if unfit == "off":
        monkeypatch.setenv(VARIABLE, "off")
    else:
        folder.mkdir()
        folder.chmod(0o777)
    assert made() == [1, 3, 5]
    assert written == []
