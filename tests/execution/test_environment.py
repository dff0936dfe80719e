"""What the environment says neither changes a worker's numbers nor is mixed in one folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweep_samples import BARE, PATIENCE, data_files, write

import dlnsweep
from dlnsweep.errors import RunError, StoreError
from dlnsweep.execution import preparing
from dlnsweep.execution.events import Event
from dlnsweep.execution.preparing import prepare
from dlnsweep.execution.workers.local import LocalExecutor
from dlnsweep.machine import environment
from dlnsweep.machine.environment import changing, cpu, for_workers, of_this_process, threads
from dlnsweep.numerics import runtime
from dlnsweep.numerics.runtime import python_command

# As many runs a batch as in other tests, before and after it is enlarged: the same program.
TINY = BARE.replace("[30, 40, 50]", "30")
LARGER = ["training.num_steps=[30, 40]"]
# Each of these changed numbers or broke a worker when it reached one.
HOSTILE = {
    "XLA_FLAGS": "--xla_cpu_max_isa=SSE4_2 --xla_cpu_enable_fast_math=true --xla_dump_to=",
    "OPENBLAS_CORETYPE": "Nehalem",
    "OPENBLAS_NUM_THREADS": "2",
    "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 X86_V3",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA",
    "NPROC": "2",
    "PJRT_NPROC": "2",
    "JAX_NUM_CPU_DEVICES": "3",
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    "JAX_DISABLE_JIT": "1",
    "JAX_TRANSFER_GUARD": "disallow",
    "JAX_NUMPY_RANK_PROMOTION": "no such word",
    "JAX_ENABLE_X64": "perhaps",
}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in changing():
        monkeypatch.delenv(name)


def test_worker_processes_get_nothing_that_changes_numbers() -> None:
    shell = {
        "HOME": "/home/x",
        "LD_LIBRARY_PATH": "/opt/lib",
        "XLA_PYTHON_CLIENT_MEM_FRACTION": ".5",
        "JAX_COMPILATION_CACHE_DIR": "/cache",
        "CUDA_VISIBLE_DEVICES": "1",
    }
    assert for_workers(shell | HOSTILE, on_cpu=False) == shell | {"XLA_FLAGS": "--xla_dump_to="}
    on_cpu = for_workers(shell | {"MKL_NUM_THREADS": "8", "MKL_CBWR": "SSE2"}, on_cpu=True)
    one = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    assert on_cpu == shell | one | {"JAX_PLATFORMS": "cpu"}
    for asked, given in (("cuda,cpu", "cpu"), ("", "cpu"), ("tpu", "tpu")):
        found = for_workers({"JAX_PLATFORMS": asked}, on_cpu=True)["JAX_PLATFORMS"]
        assert found == given


def test_what_changes_numbers_and_what_does_not() -> None:
    assert changing(HOSTILE) == {
        "XLA_FLAGS": "--xla_cpu_max_isa=SSE4_2 --xla_cpu_enable_fast_math=true",
        "OPENBLAS_CORETYPE": "Nehalem",
        "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 X86_V3",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA",
    }
    # A file of flags, whose content is XLA's to read.
    assert changing({"XLA_FLAGS": "/etc/flags"}) == {"XLA_FLAGS": "/etc/flags"}
    harmless = {
        "XLA_FLAGS": "--xla_gpu_cuda_data_dir=/usr/cuda",
        "GLIBC_TUNABLES": "glibc.malloc.check=3",
        "OMP_NUM_THREADS": "1",
        "TF_CLI_CONFIG_FILE": "/root/.terraformrc",
        "NPROC": "2",
        "JAX_ENABLE_X64": "1",
        "OPENBLAS_CORETYPE": "",
    }
    assert changing(harmless) == {}


def test_threads_are_those_of_the_libraries() -> None:
    assert threads(8, {}) == [8, 8]
    assert threads(8, {"OMP_NUM_THREADS": "2", "NPROC": "3"}) == [3, 2]
    assert threads(8, {"OPENBLAS_NUM_THREADS": "64", "OMP_NUM_THREADS": "2"}) == [8, 8]
    assert threads(8, {"OMP_NUM_THREADS": "4,2", "OPENBLAS_NUM_THREADS": "none"}) == [8, 4]
    # A digit that is no number, and more digits than Python reads.
    assert threads(8, {"OMP_NUM_THREADS": "²", "OPENBLAS_NUM_THREADS": "9" * 5000}) == [8, 8]


def test_settings_that_jax_reads_once_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "3")
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "true")
    loaded = sys.modules.get("jax")
    monkeypatch.setitem(sys.modules, "jax", None)  # pyright: ignore[reportArgumentType]
    wanted = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "JAX_NUM_CPU_DEVICES": "3"}
    assert of_this_process() == wanted

    class Config:
        jax_num_cpu_devices = 3
        jax_disable_most_optimizations = True
        jax_mock_gpu_topology = ""
        jax_pjrt_client_create_options = None

    class Loaded:
        config = Config

    monkeypatch.setitem(sys.modules, "jax", Loaded)  # pyright: ignore[reportArgumentType]
    assert of_this_process() == wanted
    assert loaded is None or loaded is not Loaded


def receipts(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(p.read_text()) for p in sorted(folder.glob("receipts/batch-*.json"))]


def test_a_worker_computes_the_same_bytes_in_any_shell(tmp_path: Path) -> None:
    path = write(tmp_path, TINY)
    kept = ("HOME", "PATH", "DLNSWEEP_COMPILE_CACHE")
    bare = {k: os.environ[k] for k in kept if k in os.environ} | {"LANG": "C.UTF-8"}
    told = "worker processes do without GLIBC_TUNABLES='glibc.cpu.hwcaps=-AVX2,-FMA', NPY_"
    events: list[Event] = []
    # This process, whose shell is clean; its worker is another one.
    dlnsweep.run(path, tmp_path / "clean", workers=1, on_event=events.append)
    assert not [event for event in events if "do without" in event.text]
    arguments = ("run", str(path), "--out", str(tmp_path / "hostile"), "--workers", "1")
    ended = subprocess.run(
        [*python_command("dlnsweep.cli.app"), *arguments],
        env=bare | HOSTILE,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert told in ended.stderr
    folders = [tmp_path / name / "small" for name in ("clean", "hostile")]
    assert data_files(folders[0]) == data_files(folders[1])
    for folder in folders:
        (receipt,) = receipts(folder)
        assert receipt["surroundings"] == {"cpu": cpu(), "threads": [1, 1], "variables": {}}


def test_other_variables_are_refused_in_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No library reads these any more in this process; what counts is that they are held to."""
    path = write(tmp_path, TINY)
    # JAX's linear algebra is loaded at its first use; with this variable all later tests of this
    # process would have other bits.
    dlnsweep.run(path, tmp_path / "clean", workers=0)
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Nehalem")
    dlnsweep.run(path, tmp_path, workers=0)
    (receipt,) = receipts(tmp_path / "small")
    assert receipt["surroundings"]["variables"] == {"OPENBLAS_CORETYPE": "Nehalem"}
    # The same again, and then enlarged.
    dlnsweep.run(path, tmp_path, workers=0)
    before = data_files(tmp_path / "small")
    for how in (0, 1):
        if how == 0:
            monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
        with pytest.raises(StoreError, match="'Nehalem' in their environment, and here is "):
            dlnsweep.run(path, tmp_path, workers=how, overrides=LARGER)
    assert data_files(tmp_path / "small") == before
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Nehalem")
    dlnsweep.run(path, tmp_path, workers=0, overrides=LARGER)
    assert len(receipts(tmp_path / "small")) == 2


def test_an_executor_of_ones_own_is_held_to_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dlnsweep.execution.workers.worker import execute_batch
    from dlnsweep.spec.sweep import Sweep

    prepared = prepare(Sweep.from_file(write(tmp_path, TINY)), tmp_path / "a")
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_max_isa=AVX")
    with pytest.raises(StoreError, match="processes with nothing of the kind in their env"):
        execute_batch(prepared.store.root, 0)


def test_another_kind_of_machine_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, TINY)
    events: list[Event] = []
    dlnsweep.run(path, tmp_path, workers=0, on_event=events.append)
    monkeypatch.setattr(preparing, "cpu", lambda: "x86_64 of another make")
    found = runtime.versions()
    monkeypatch.setattr(preparing, "versions", lambda: found | {"jax": "0.99"})
    # Nothing is left to do, so nothing is mixed.
    dlnsweep.run(path, tmp_path, workers=0, on_event=events.append)
    assert not [event for event in events if "was begun" in event.text]
    dlnsweep.run(path, tmp_path, workers=0, overrides=LARGER, on_event=events.append)
    (note,) = [event.text for event in events if "was begun" in event.text]
    assert note.startswith(
        f"{tmp_path / 'small'}: was begun with jax {found['jax']} there and 0.99 here; a CPU of "
        f"the kind {cpu()} there and x86_64 of another make here."
    )


# A value of each setting that changes numbers, breaks programs or refuses them.
OTHER: dict[str, Any] = {
    "jax_enable_x64": False,
    "jax_default_matmul_precision": "bfloat16",
    "jax_default_prng_impl": "rbg",
    "jax_threefry_partitionable": False,
    "jax_random_seed_offset": 7,
    "jax_enable_custom_prng": True,
    "jax_legacy_prng_key": "error",
    "jax_debug_key_reuse": True,
    "jax_numpy_dtype_promotion": "strict",
    "jax_numpy_rank_promotion": "raise",
    "jax_disable_jit": True,
    "jax_no_tracing": True,
    "jax_debug_nans": True,
    "jax_debug_infs": True,
    "jax_check_tracer_leaks": True,
    "jax_enable_checks": True,
    "jax_thread_guard": True,
    "jax_transfer_guard": "disallow",
    "jax_transfer_guard_host_to_device": "disallow_explicit",
    "jax_array_garbage_collection_guard": "fatal",
    "jax_exec_time_optimization_effort": -1.0,
    "jax_optimization_level": "O0",
    "jax_use_direct_linearize": False,
}


@pytest.fixture
def _hostile_jax() -> Iterator[None]:
    import jax

    before = {name: getattr(jax.config, name) for name in OTHER if hasattr(jax.config, name)}
    try:
        for name in before:
            jax.config.update(name, OTHER[name])
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


def trained() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=(5, 3)), rng.normal(size=(4, 5))]
    found = dlnsweep.train(
        weights,
        rng.normal(size=(4, 6)),
        rng.normal(size=(3, 6)),
        # It diverges: NaNs and infinities are numbers like others.
        learning_rate=5.0,
        record_steps=[0, 3, 400],
    )
    assert found.status == "diverged"
    return [*found.weights, found.regression_error]


def test_jaxs_settings_do_not_reach_our_numbers(request: pytest.FixtureRequest) -> None:
    import jax

    from dlnsweep.engine.programs import PROGRAMS

    wanted = trained()
    request.getfixturevalue("_hostile_jax")
    PROGRAMS.clear()
    found = trained()
    assert all(a.tobytes() == b.tobytes() for a, b in zip(found, wanted, strict=True))
    # And the process is as it was.
    config: Any = jax.config
    assert config.jax_disable_jit
    assert config.jax_numpy_rank_promotion == "raise"
    assert not config.jax_enable_x64


def test_a_gpu_that_is_not_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlnsweep.execution.workers.local.accelerators", list)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    with pytest.raises(RunError, match="JAX_PLATFORMS is 'cuda', but no GPU is found here"):
        LocalExecutor(1)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda,cpu")
    assert LocalExecutor(1).num_workers == 1


def test_a_platform_that_is_not_there_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAX_PLATFORMS", "nonsense")
    with pytest.raises(RunError, match=r"JAX does not start .*JAX_PLATFORMS='nonsense': unset"):
        LocalExecutor(1)(tmp_path, [0], lambda _: None, lambda: False)


@pytest.mark.parametrize("setting", ["JAX_PLATFORMS=nonsense", "JAX_NUMPY_RANK_PROMOTION=nonsense"])
def test_a_process_in_which_jax_does_not_start_says_why(tmp_path: Path, setting: str) -> None:
    path = write(tmp_path, TINY)
    name, _, value = setting.partition("=")
    ended = subprocess.run(
        [*python_command("dlnsweep.cli.app"), "run", str(path), "--workers", "0", "--no-figure"],
        env=os.environ | {name: value},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 4
    assert "Traceback" not in ended.stderr
    assert f"{name}='nonsense'" in ended.stderr
    assert environment.told({name: value}) in ended.stderr
