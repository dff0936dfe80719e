"""Memory: what this process can have, what a sweep needs, what is said where it does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweep_samples import SMALL, write
from typer.testing import CliRunner

import dlnsweep
from dlnsweep.cli.app import app
from dlnsweep.engine import program
from dlnsweep.engine.programs import PROGRAMS
from dlnsweep.errors import RunError, SpecError
from dlnsweep.machine import memory
from dlnsweep.machine.memory import available_memory, out_of_memory, total_memory, workers_that_fit
from dlnsweep.plan import fitting
from dlnsweep.plan.cost import cost_of
from dlnsweep.plan.fitting import need_of
from dlnsweep.plan.plan import make_plan
from dlnsweep.spec.sweep import Sweep

GB = 10**9


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of control groups of a machine of 8 GB, of which 5 GB are free."""
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  8000000 kB\nMemFree: 1 kB\nMemAvailable:  5000000 kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", meminfo)
    monkeypatch.setattr(memory, "_OWN_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path / "groups")
    return tmp_path / "groups"


def group(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_without_control_groups_the_machine_counts(machine: Path) -> None:
    assert (total_memory(), available_memory()) == (8_000_000 * 1024, 5_000_000 * 1024)
    (machine.parent / "cgroup").write_text("0::/a\n")
    group(machine / "a", memory__max="max\n", memory__current="1", memory__stat="")
    assert total_memory() == 8_000_000 * 1024
    memory._MEMINFO.unlink()
    assert total_memory() > 0


@pytest.mark.parametrize("version", [1, 2])
def test_the_tightest_control_group_counts(machine: Path, version: int) -> None:
    if version == 2:
        (machine.parent / "cgroup").write_text("0::/job/step\n")
        root, names = machine, ("memory__max", "memory__current", "inactive_file")
    else:
        (machine.parent / "cgroup").write_text("5:cpu:/x\n4:cpuset,memory:/job/step\n0::/\n")
        root = machine / "memory"
        names = ("memory__limit_in_bytes", "memory__usage_in_bytes", "total_inactive_file")
    limit, usage, cache = names
    wide = {limit: str(4 * GB), usage: str(2 * GB), "memory__stat": f"x 1\n{cache} {GB}\n"}
    group(root / "job" / "step", **wide)
    assert (total_memory(), available_memory()) == (4 * GB, 3 * GB)
    group(root / "job", **(wide | {limit: str(3 * GB)}))
    assert (total_memory(), available_memory()) == (3 * GB, 2 * GB)


def test_a_container_sees_its_own_group_as_the_root(machine: Path) -> None:
    (machine.parent / "cgroup").write_text("0::/system.slice/docker-abc.scope\n")
    group(machine, memory__max=str(2 * GB), memory__current=str(GB), memory__stat="")
    assert (total_memory(), available_memory()) == (2 * GB, GB)


def test_as_many_workers_as_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 5 * GB)
    assert workers_that_fit(4, 0) == (4, "")
    count, sentence = workers_that_fit(4, 2 * GB)
    assert count == 2
    assert sentence == (
        "2 of 4 worker processes are started: each needs about 2.42 GB of memory, and 5 GB are free"
    )
    # What is free changes; the machine may hold it nevertheless.
    assert workers_that_fit(4, 6 * GB)[0] == 1


def sweep_of(width: int | list[int]) -> Sweep:
    return Sweep.from_dict(
        {
            "name": "large",
            "problem": {
                "kind": "subspace",
                "signal_dim": 8,
                "measurement_dim": 4,
                "subspace_dim": 2,
                "num_samples": 20,
            },
            "network": {"depth": 3, "width": width},
            "training": {"learning_rate": 0.01, "num_steps": 20},
            "record": {"count": 3},
            "sweep": {"kernel": "dense"},
        }
    )


def test_the_need_is_what_the_compiler_measures() -> None:
    """Within a tenth: beside the large matrices there are small ones. Nothing is computed."""
    from dlnsweep.numerics.runtime import device_description, numerics

    row = make_plan(sweep_of(600)).row(0)
    with numerics():
        found = program.Program(row, 600, 2, device_description())
    assert found.layout.lanes == 1
    assert found.call_bytes == pytest.approx(cost_of(row, 600).call_bytes, rel=0.1)


def test_what_does_not_fit_is_told_with_what_would(monkeypatch: pytest.MonkeyPatch) -> None:
    # One matrix of 16 000 x 16 000, four times while it is drawn.
    need = need_of(make_plan(sweep_of(16_000)))
    assert need.call_bytes == pytest.approx(4 * 8 * 16_000**2, rel=0.01)
    monkeypatch.setattr(fitting, "total_memory", lambda: 7 * GB)
    assert need.why_not() == (
        "a run takes about 8.2 GB of memory (depth 3, width 16000, float64), and this machine has "
        '7 GB, of which Python and JAX take 419 MB; what fits: sweep.precision = "float32", or '
        'network.initial_weights = "law" (by the reduced kernel), or network.width up to 14000, or '
        "a machine with more."
    )
    assert cost_of(need.row, 14_000).call_bytes < 7 * GB - memory.WORKER_BYTES
    monkeypatch.setattr(fitting, "total_memory", lambda: 9 * GB)
    assert need.why_not() == ""
    # Only the runs that are left count.
    both = make_plan(sweep_of([8, 16_000]))
    assert need_of(both, np.array([0])).call_bytes < GB < need_of(both).call_bytes


@pytest.fixture
def _small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "total_memory", lambda: GB)


@pytest.mark.usefixtures("_small_machine")
def test_check_and_plan_tell_and_run_refuses(tmp_path: Path) -> None:
    path = write(tmp_path, SMALL.replace("depth = 2\nwidth = 8", "depth = 3\nwidth = [8, 16_000]"))
    for command in (["check", str(path)], ["plan", str(path), "--no-probe"]):
        ended = CliRunner().invoke(app, command)
        assert ended.exit_code == 0
        assert "not enough memory" in ended.output
        assert 'network.initial_weights = "law"' in ended.output
    for workers in (0, 1):
        with pytest.raises(SpecError, match="not enough memory: a run takes about 8"):
            dlnsweep.run(path, tmp_path / "out", workers=workers)
    assert not (tmp_path / "out").exists()


def test_running_out_of_memory_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not out_of_memory(ValueError("5"))
    assert out_of_memory(MemoryError()).startswith(
        "out of memory (MemoryError); take fewer workers"
    )
    text = "RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes.\nmore"
    assert "allocating 8 bytes.); take" in out_of_memory(RuntimeError(text))

    def exhausted(*_: Any, **__: Any) -> None:
        raise RuntimeError(text)

    monkeypatch.setattr("dlnsweep.engine.batch.train_batch", exhausted)
    with pytest.raises(RunError, match="out of memory"):
        dlnsweep.run(write(tmp_path), tmp_path, workers=0)


def test_a_program_that_is_larger_than_what_is_free_is_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dlnsweep.numerics.runtime.available_memory", lambda: 1000)
    # Programs that earlier tests compiled are not looked at again.
    PROGRAMS.clear()
    with pytest.raises(RunError, match=r"a call of its program needs .* and 1 kB are free"):
        dlnsweep.run(write(tmp_path), tmp_path, workers=0)
