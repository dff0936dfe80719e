"""Damaged results folders under every command: a sentence and a status that the guide names.

A few of the tries that `python -m tests.benchmarks.fuzz` counts, in this process.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path
from random import Random
from typing import Any

import damage
import pytest
from fuzz_samples import COMMANDS, DAMAGED, OWN_STATUSES, STATUSES, make_folder, write_sweep
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlnsweep.cli import app as cli
from dlnsweep.cli import outermost
from dlnsweep.machine import console

# `run` trains anew what was damaged, which takes long; the script has it.
TRIED = [name for name in COMMANDS if not name.startswith("run")]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz")
    sweep = write_sweep(folder)
    make_folder(folder / "good", sweep)
    return folder / "good"


def run_here(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """Return exit status and output of a command, with streams like those of the command line."""
    raw = io.BytesIO()
    stream = console._Text(io.BufferedWriter(raw), "utf-8", "backslashreplace")  # pyright: ignore
    with monkeypatch.context() as patch, warnings.catch_warnings():
        # What pandas and NumPy say of odd numbers is no part of the promise.
        warnings.simplefilter("ignore")
        patch.setattr(sys, "argv", ["dlnsweep", *arguments])
        patch.setattr(sys, "stdout", stream)
        patch.setattr(sys, "stderr", stream)
        status = outermost.guarded(cli.main)
        stream.flush()
    return status, raw.getvalue().decode()


def test_a_damaged_folder_is_sealed_again_without_waiting_for_a_pipe(tmp_path: Path) -> None:
    for name in ("receipts", "curves"):
        (tmp_path / name).mkdir()
    os.mkfifo(tmp_path / "receipts" / "batch-000000.json")
    os.mkfifo(tmp_path / "curves" / "batch-000001.parquet")
    receipt = tmp_path / "receipts" / "batch-000001.json"
    receipt.write_text('{"files": {"curves": {}}}')
    damage.reseal(tmp_path)
    assert receipt.read_text() == '{"files": {"curves": {}}}'


ALL_CHECKS: Any = list(HealthCheck)


@settings(
    max_examples=16,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=ALL_CHECKS,
)
@given(name=st.sampled_from(TRIED), seed=st.integers(0, 2**32))
def test_a_damaged_folder_is_told_in_a_sentence(
    name: str, seed: int, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "small"
        shutil.copytree(good.parent / DAMAGED.get(name, "good"), root)
        told = damage.damage(root, Random(seed))
        monkeypatch.setattr(tempfile, "tempdir", place)
        status, text = run_here(COMMANDS[name](root, good.parent / "sweep.toml"), monkeypatch)
        monkeypatch.setattr(tempfile, "tempdir", None)
        bugs = [path.read_text() for path in Path(place).glob("dlnsweep-bug-*")]
    own = OWN_STATUSES.get(name, ())
    assert status in (*STATUSES, *own), (told, *bugs)
    assert status in (0, *own) or "dlnsweep: " in text, (told, text)
    assert "Traceback" not in text
    assert all(c.isprintable() or c in "\n\t" for c in text)
