"""How much main memory this process can have: of the machine, and of its control group."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

# A worker process holds Python, JAX and its compiled programs.
WORKER_BYTES = 400 * 1024**2
_GUESS = 4 * 2**30
_MEMINFO = Path("/proc/meminfo")
_OWN_GROUPS = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")
# The names of limit, usage and the part of the usage that the kernel gives back when it is needed.
_NAMES = {
    2: ("memory.max", "memory.current", "inactive_file"),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def available_memory() -> int:
    """Return the bytes that can be taken without swapping, or without being killed for it."""
    free = _meminfo("MemAvailable") or _system("SC_AVPHYS_PAGES") or _GUESS
    return max(0, min([free, *(limit - used for limit, used in _limits())]))


def total_memory() -> int:
    """Return the bytes that could be taken if nothing else ran: more can never fit."""
    total = _meminfo("MemTotal") or _system("SC_PHYS_PAGES") or _GUESS
    return min([total, *(limit for limit, _ in _limits())])


def workers_that_fit(wanted: int, batch_bytes: int) -> tuple[int, str]:
    """Return how many worker processes memory holds at once, and a sentence if that is fewer.

    Args:
        wanted: How many there shall be.
        batch_bytes: What one needs for a batch, beside itself.
    """
    each, free = WORKER_BYTES + batch_bytes, available_memory()
    count = max(1, min(wanted, free // each))
    if free >= wanted * each:
        return wanted, ""
    return count, (
        f"{count} of {wanted} worker processes are started: each needs about {said(each)} of "
        f"memory, and {said(free)} are free"
    )


def out_of_memory(error: BaseException) -> str:
    """Return a sentence if an exception says that memory ran out, Python's or XLA's; else empty."""
    text = str(error).partition("\n")[0][:200]
    if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in text:
        return ""
    return (
        f"out of memory ({type(error).__name__}{': ' * bool(text)}{text}); take fewer workers with "
        "--workers, smaller networks, or a machine with more. `dlnsweep plan` says what a worker "
        "needs."
    )


def said(count: float) -> str:
    """Return a number of bytes as people say it."""
    for limit, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if count >= limit:
            return f"{count / limit:.3g} {unit}"
    return f"{count / 1e3:.3g} kB"


def _meminfo(name: str) -> int:
    try:
        for line in _MEMINFO.read_text(encoding="ascii").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return 0


def _system(name: str) -> int:
    try:
        return os.sysconf(name) * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return 0


def _limits() -> Iterator[tuple[int, int]]:
    """Yield limit and usage of each control group that this process is in (containers, SLURM)."""
    try:
        lines = _OWN_GROUPS.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return
    for line in lines:
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if number == "0" and not controllers:
            version, root = 2, _GROUPS
        elif "memory" in controllers.split(","):
            version, root = 1, _GROUPS / "memory"
        else:
            continue
        folder = root / path.lstrip("/")
        # A container sees its own group as the root, whatever the path says. Those above count too.
        for group in dict.fromkeys([folder, *folder.parents, root]):
            if group.is_relative_to(root):
                yield from _limit(group, *_NAMES[version])


def _limit(group: Path, limit: str, usage: str, reclaimable: str) -> Iterator[tuple[int, int]]:
    try:
        most = int((group / limit).read_text())
        used = int((group / usage).read_text())
        for line in (group / "memory.stat").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == reclaimable:
                used -= int(value)
    except (OSError, ValueError):
        # None ("max"), or not ours to read.
        return
    yield most, max(0, used)
