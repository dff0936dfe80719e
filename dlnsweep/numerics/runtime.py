"""The only place that sets JAX flags; describes the device and the versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from dlnsweep.errors import RunError
from dlnsweep.machine.environment import cpu, of_this_process, threads
from dlnsweep.machine.memory import available_memory
from dlnsweep.numerics.compile_cache import CompileCache, kept_programs
from dlnsweep.version import __version__

# Unlike with -m, no module in the user's folder can stand in the place of one of ours.
_BOOTSTRAP = (
    "import sys; home = sys.argv.pop(1); home in sys.path or sys.path.insert(0, home); "
    "from {module} import main; sys.exit(main())"
)


# JAX's settings that change numbers, or have programs refused that are right: with what they are
# while we compute, whatever the environment or the process says. A run that diverges has NaNs.
_OURS: dict[str, Any] = {
    "jax_enable_x64": True,
    # JAX's own is TF32 on a GPU and bf16 on a TPU for products of float32.
    "jax_default_matmul_precision": "highest",
    "jax_default_prng_impl": "threefry2x32",
    "jax_threefry_partitionable": True,
    "jax_random_seed_offset": 0,
    "jax_enable_custom_prng": False,
    "jax_legacy_prng_key": "allow",
    "jax_debug_key_reuse": False,
    "jax_numpy_dtype_promotion": "standard",
    "jax_numpy_rank_promotion": "allow",
    "jax_disable_jit": False,
    "jax_no_tracing": False,
    "jax_no_execution": False,
    "jax_debug_nans": False,
    "jax_debug_infs": False,
    "jax_error_checking_behavior_nan": "ignore",
    "jax_error_checking_behavior_divide": "ignore",
    "jax_error_checking_behavior_oob": "ignore",
    "jax_check_tracer_leaks": False,
    "jax_enable_checks": False,
    "jax_thread_guard": False,
    "jax_transfer_guard_host_to_device": "allow",
    "jax_transfer_guard_device_to_device": "allow",
    "jax_transfer_guard_device_to_host": "allow",
    "jax_array_garbage_collection_guard": "allow",
    "jax_raise_persistent_cache_errors": False,
    "jax_exec_time_optimization_effort": 0.0,
    "jax_memory_fitting_effort": 0.0,
    "jax_optimization_level": "UNKNOWN",
    "jax_memory_fitting_level": "O2",
    "jax_compiler_enable_remat_pass": True,
    "jax_allow_f16_reductions": True,
    "jax_enable_pgle": False,
    "jax_use_direct_linearize": True,
}


@contextmanager
def numerics() -> Iterator[None]:
    """Set what our numbers rest on, for the calls inside, and leave the process as it was.

    float64 is on: a float32 run still draws its data and carries its decay in float64.
    """
    jax = load_jax()
    with _own_settings(jax), _compiled_programs(), jax.enable_x64(True):
        yield


@contextmanager
def _own_settings(jax: Any) -> Iterator[None]:
    """Overrule JAX's settings for this thread; those that a version does not have are left out."""
    with ExitStack() as undo:
        try:
            from jax._src.config import config_states
        except ImportError:
            config_states = {}
        for name, wanted in _OURS.items():
            state = config_states.get(name)
            if state is not None and getattr(jax.config, name) != wanted:
                undo.enter_context(state(wanted))
        yield


def load_jax() -> Any:
    """Return JAX; called before modules that import it by the way.

    Raises:
        RunError: If a setting in the environment keeps it from being loaded.
    """
    try:
        import jax
    except Exception as error:
        raise _unfit(error) from error
    return jax


def _unfit(error: Exception) -> Exception:
    """Return what to say where JAX does not start; the error itself if nobody asked for it."""
    asked = [f"{name}={value!r}" for name, value in os.environ.items() if name.startswith("JAX_")]
    if not asked:
        return error
    found = str(error).strip().splitlines()
    return RunError(
        f"JAX does not start ({type(error).__name__}{': ' if found else ''}{''.join(found[:1])}); "
        f"the environment says {', '.join(sorted(asked))}: unset or mend what is not meant for "
        "this machine and run the same command again."
    )


# What takes less is compiled again as fast as it is read.
_LEAST_COMPILE_SECONDS = 0.05
_lock = threading.Lock()
_num_using = 0


@contextmanager
def _compiled_programs() -> Iterator[None]:
    """Keep compiled programs between processes, for the calls inside.

    A cache of the user's own (`jax_compilation_cache_dir`) stays in its place. JAX has no public
    way to hand it a cache, and its own files are neither whole after a crash nor bounded in size
    without a further package; where a version has other inner names, nothing is kept.
    """
    import jax

    config: Any = jax.config
    with ExitStack() as undo:
        wanted = getattr(config, "jax_enable_compilation_cache", False)
        if wanted and not config.jax_compilation_cache_dir:
            try:
                from jax._src import compilation_cache
                from jax._src.config import persistent_cache_min_compile_time_secs as least

                undo.enter_context(_installed(compilation_cache))
                undo.enter_context(least(_LEAST_COMPILE_SECONDS))
            except (ImportError, AttributeError):
                pass
        yield


@contextmanager
def _installed(compilation_cache: Any) -> Iterator[None]:
    global _num_using
    with _lock:
        if not _num_using and compilation_cache._cache is None:
            compilation_cache._cache = kept_programs(len(usable_cores()))
        _num_using += 1
    try:
        yield
    finally:
        with _lock:
            _num_using -= 1
            if not _num_using and isinstance(compilation_cache._cache, CompileCache):
                compilation_cache._cache = None


def own_cache() -> CompileCache | None:
    """Return our cache of compiled programs where JAX uses it now; else None."""
    try:
        from jax._src import compilation_cache
    except ImportError:
        return None
    found = getattr(compilation_cache, "_cache", None)
    return found if isinstance(found, CompileCache) else None


_NOT_INSTALLED = "not installed"
# Versions of these decide about the numbers.
LIBRARIES = ("jax", "jaxlib", "numpy", "optax")


def versions() -> dict[str, str]:
    """Return the versions of what the numbers depend on."""
    names = ("jax", "jaxlib", "optax", "numpy", "pyarrow")
    # Of an editable installation the metadata tell the version that it once was installed as.
    found = {"python": platform.python_version(), "dlnsweep": __version__}
    found |= {name: _version_of(name) for name in names}
    # The flow's integrator, where there is one.
    flow = _version_of("diffrax")
    return found if flow == _NOT_INSTALLED else {**found, "diffrax": flow}


@cache
def _version_of(name: str) -> str:
    # What a process has imported stays, whatever is installed over it meanwhile.
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return _NOT_INSTALLED


def surroundings() -> dict[str, Any]:
    """Return what else the numbers of this process depend on, for receipts and checkpoints.

    Its keys: "cpu", the kind of CPU; "threads", of XLA and of NumPy's linear algebra; "variables",
    what the environment says that cannot be taken back (nothing in a worker process).
    """
    return {
        "cpu": cpu(),
        "threads": threads(len(usable_cores())),
        "variables": of_this_process(),
    }


def device_description() -> dict[str, Any]:
    """Describe JAX's first device: platform, kind, and the memory that a batch may take.

    Raises:
        RunError: If the environment asks for a device that is not here.
    """
    jax = load_jax()
    try:
        device = jax.devices()[0]
    except Exception as error:
        raise _unfit(error) from error
    return {
        "platform": device.platform,
        "kind": device.device_kind,
        "memory_bytes": _memory_limit(device),
    }


def _memory_limit(device: Any) -> int:
    statistics = None if device.platform == "cpu" else device.memory_stats()
    if statistics and "bytes_limit" in statistics:
        return int(statistics["bytes_limit"]) - int(statistics.get("bytes_in_use", 0))
    return available_memory()


def usable_cores() -> list[int]:
    """Return the CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def accelerators() -> list[str]:
    """Return the devices that worker processes can be given, found without starting JAX.

    A GPU counts where its kernel driver shows it and JAX's plugin for it is installed; else, or
    where JAX_PLATFORMS asks for the CPU, the list is empty.
    """
    import importlib.util

    wanted = os.environ.get("JAX_PLATFORMS", "")
    if wanted and "cuda" not in wanted and "gpu" not in wanted:
        return []
    plugins = ("jax_cuda13_plugin", "jax_cuda12_plugin")
    if not any(importlib.util.find_spec(name) for name in plugins):
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [v for v in visible.split(",") if v.strip() not in ("", "-1")]
    try:
        present = list(Path("/proc/driver/nvidia/gpus").iterdir())
    except OSError:
        return []
    return [str(i) for i in range(len(present))]


def check_platforms() -> None:
    """Refuse an environment that asks for GPUs alone where `accelerators` finds none.

    Raises:
        RunError: If it does.
    """
    asked = os.environ.get("JAX_PLATFORMS", "")
    names = {name.strip() for name in asked.split(",")}
    if names & {"cuda", "gpu"} and "cpu" not in names:
        raise RunError(
            f"JAX_PLATFORMS is {asked!r}, but no GPU is found here (its driver under "
            "/proc/driver/nvidia, and JAX's plugin for it: pip install 'dlnsweep[cuda13]'); unset "
            "it, or set it to 'cpu', to compute on the CPU."
        )


def python_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module's `main` in another process of this Python.

    The module is found wherever this package was imported from, and the folder that we are in
    is not searched for modules.
    """
    home = str(Path(__file__).resolve().parents[2])
    return [sys.executable, "-P", "-c", _BOOTSTRAP.format(module=module), home, *arguments]
