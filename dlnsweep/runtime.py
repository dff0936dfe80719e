"""The only place that sets JAX flags; describes the device and the versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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

    with jax.enable_x64(True):
        yield


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
