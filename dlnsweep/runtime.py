"""The only place that sets JAX flags; describes the device and the versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from dlnsweep.compile_cache import CompileCache, host, wanted_folder, why_unusable

# Unlike with -m, no module in the user's folder can stand in the place of one of ours.
_BOOTSTRAP = (
    "import sys; home = sys.argv.pop(1); home in sys.path or sys.path.insert(0, home); "
    "from {module} import main; sys.exit(main())"
)


@contextmanager
def numerics() -> Iterator[None]:
    """Set what our numbers rest on, for the calls inside, and leave the process as it was.

    float64 is on: a float32 run still draws its data and carries its decay in float64.
    """
    import jax

    with _compiled_programs(), jax.enable_x64(True):
        yield


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
            folder = wanted_folder()
            if folder is not None and not why_unusable(folder):
                compilation_cache._cache = CompileCache(folder, host(len(usable_cores())))
        _num_using += 1
    try:
        yield
    finally:
        with _lock:
            _num_using -= 1
            if not _num_using and isinstance(compilation_cache._cache, CompileCache):
                compilation_cache._cache = None


def versions() -> dict[str, str]:
    """Return the versions of what the numbers depend on."""
    names = ("dlnsweep", "jax", "jaxlib", "optax", "numpy", "pyarrow")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def device_description() -> dict[str, Any]:
    """Describe JAX's first device: platform, kind, and the memory that a batch may take."""
    import jax

    device = jax.devices()[0]
    return {
        "platform": device.platform,
        "kind": device.device_kind,
        "memory_bytes": _memory_limit(device),
    }


def available_memory() -> int:
    """Return the bytes of main memory that can be taken without swapping."""
    try:
        with Path("/proc/meminfo").open(encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return 4 * 2**30


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


def python_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module's `main` in another process of this Python.

    The module is found wherever this package was imported from, and the folder that we are in
    is not searched for modules.
    """
    home = str(Path(__file__).resolve().parent.parent)
    return [sys.executable, "-P", "-c", _BOOTSTRAP.format(module=module), home, *arguments]
