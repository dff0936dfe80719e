"""What a process finds around it that numbers depend on: variables, threads, the kind of CPU.

XLA, NumPy's linear algebra and the C library read environment variables, and some of them change
numbers: in the last bits, or by as much as the default precision of products. Worker processes get
none of them. A process of the user's has them already, so there they are written down, and results
folders and checkpoints are held to them. No JAX, no NumPy here.
"""

from __future__ import annotations

import functools
import os
import platform
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from dlnsweep.errors import StoreError

# What variables of libraries that compute are called; workers get none of them.
_OF_LIBRARIES = re.compile(
    r"(JAX|XLA|NPY|OPENBLAS|GOTO|MKL|BLIS|VECLIB|OMP|GOMP|KMP|ONEDNN|DNNL)_.*|(PJRT_)?NPROC"
    r"|CUBLAS_(WORKSPACE_CONFIG|EMULAT\w+)|LIBTPU_INIT_ARGS|GLIBC_TUNABLES|NVIDIA_TF32_OVERRIDE"
)
# But these, which say where to compute, how much of a GPU's memory to take and what to keep.
_HARMLESS = re.compile(
    r"JAX_PLATFORMS|JAX_\w+_VISIBLE_DEVICES|JAX_(ENABLE_)?COMPILATION_CACHE(_DIR)?"
    r"|MKL_(ROOT|INTERFACE_LAYER|THREADING_LAYER)|XLA_(PYTHON_)?CLIENT_\w+|XLA_DISTRIBUTED_\w+"
)
# Those of them that change numbers in a process which has them. No more than these: a variable that
# changes nothing must not keep anybody from going on.
_CHANGING = re.compile(
    r"XLA_FLAGS|LIBTPU_INIT_ARGS|GLIBC_TUNABLES|NVIDIA_TF32_OVERRIDE"
    r"|OPENBLAS_(CORETYPE|BLOCK_FACTOR|L2_SIZE\w*)|NPY_(DISABLE|ENABLE)_CPU_FEATURES"
    r"|MKL_(CBWR|ENABLE_INSTRUCTIONS|DEBUG_CPU_TYPE)|BLIS_(ARCH|MODEL)_TYPE"
    r"|(ONEDNN|DNNL)_(MAX_CPU_ISA|DEFAULT_FPMATH_MODE)|CUBLAS_(WORKSPACE_CONFIG|EMULAT\w+)"
)
# Flags of XLA that say where its tools are or what it writes down.
_HARMLESS_FLAGS = ("--xla_gpu_cuda_data_dir", "--xla_dump_", "--xla_hlo_profile")
# Of JAX's own settings, all others are ours to overrule wherever we call it: `runtime.numerics`.
_READ_AT_START = (
    "jax_num_cpu_devices",
    "jax_disable_most_optimizations",
    "jax_pjrt_client_create_options",
    "jax_mock_gpu_topology",
)
_YES, _NO = ("true", "t", "yes", "y", "on"), ("", "none", "false", "f", "no", "n", "off", "-1", "0")
# NumPy's linear algebra counts the cores when it is loaded, before a worker is pinned to one: two
# threads that share a core wait for one another, which made small products 7 to 17 times slower.
_ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_VECTORS = re.compile(r"avx\w*|fma\d?|amx\w*|f16c|asimd\w*|neon|sve\w*")


def for_workers(environment: Mapping[str, str], *, on_cpu: bool) -> dict[str, str]:
    """Return the environment of a worker process: nothing in it changes numbers.

    Args:
        environment: The runner's.
        on_cpu: Whether it computes on one core.
    """
    kept = {
        name: value
        for name, value in environment.items()
        if not _OF_LIBRARIES.fullmatch(name) or _HARMLESS.fullmatch(name)
    }
    harmless = _flags_of(environment.get("XLA_FLAGS", ""), harmless=True)
    if harmless:
        kept["XLA_FLAGS"] = harmless
    if on_cpu:
        asked = kept.get("JAX_PLATFORMS", "")
        # What is asked for beside the CPU is not here, else this would be a worker of a GPU.
        kept["JAX_PLATFORMS"] = "cpu" if "cpu" in asked.split(",") else asked or "cpu"
        kept |= _ONE_THREAD
    return kept


def changing(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables that change numbers in a process which has them, with their values.

    JAX's own settings are left out, for we overrule them. Those that say how many threads there
    are: see `threads`.
    """
    found = {}
    for name, value in sorted(environment.items()):
        if name == "XLA_FLAGS":
            value = _flags_of(value, harmless=False)
        elif not _CHANGING.fullmatch(name):
            continue
        elif name == "GLIBC_TUNABLES":
            parts = [part for part in value.split(":") if part.startswith("glibc.cpu.")]
            value = ":".join(sorted(parts))
        if value:
            found[name] = value
    return found


def of_this_process() -> dict[str, str]:
    """Return what changes numbers here and can no longer be taken back.

    Beside `changing` those settings of JAX that it reads once.
    """
    found = changing()
    config = getattr(sys.modules.get("jax"), "config", None)
    for name in _READ_AT_START:
        value = getattr(config, name, None) if config else os.environ.get(name.upper())
        text = str(value).lower()
        if text not in _NO:
            found[name.upper()] = "1" if text in _YES else text
    return dict(sorted(found.items()))


def told(variables: Mapping[str, str]) -> str:
    """Return variables with their values, as a part of a sentence."""
    return ", ".join(f"{name}={value!r}" for name, value in sorted(variables.items())) or "none"


def check_same(root: object, there: Mapping[str, str], here: Mapping[str, str]) -> None:
    """Refuse to compute under other settings than those under which a folder was begun.

    Args:
        root: The folder.
        there: What `of_this_process` said; nothing for worker processes.
        here: What it says now.

    Raises:
        StoreError: If the two differ.
    """
    if dict(there) == dict(here):
        return
    old, new = (told(v) if v else "nothing of the kind" for v in (there, here))
    raise StoreError(
        f"{root}: was begun by processes with {old} in their environment, and here is {new}. That "
        "changes numbers, and the two must not mix: set or unset it (worker processes, the "
        "default, do without), or give another folder with --out DIR or the sweep another name."
    )


def threads(num_cores: int, environment: Mapping[str, str] = os.environ) -> list[int]:
    """Return among how many threads XLA and NumPy's linear algebra split large sums.

    Args:
        num_cores: Cores that this process may use.
        environment: Its variables.
    """

    def first(*names: str) -> int:
        for name in names:
            text = environment.get(name, "").split(",")[0].strip()
            # More digits than any machine has cores are as good as nine.
            if text.isdecimal() and (number := int(text[:9])):
                return number
        return num_cores

    xla = first("PJRT_NPROC", "NPROC")
    return [
        xla,
        min(num_cores, first("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS")),
    ]


@functools.cache
def cpu() -> str:
    """Return for which kind of CPU XLA compiles here, and NumPy chooses its loops, as a text."""
    described: dict[str, str] = {}
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if not line.strip() and described:
                break
            described[name.strip()] = value.strip()
    except (OSError, ValueError):
        pass
    instructions = (described.get("flags") or described.get("Features") or "").split()
    parts = [
        platform.machine(),
        *(described.get(name, "") for name in ("vendor_id", "CPU implementer", "CPU part")),
        *(f"{n} {described[n]}" for n in ("cpu family", "model") if n in described),
    ]
    if not described:
        parts.append(platform.processor())
    vectors = " ".join(sorted(i for i in instructions if _VECTORS.fullmatch(i)))
    kind = " ".join(part for part in parts if part)
    return f"{kind} ({vectors})" if vectors else kind


def _flags_of(text: str, *, harmless: bool) -> str:
    """Return XLA's flags that cannot change numbers, or those that can.

    A value that does not begin with a dash is the name of a file with flags.
    """
    return " ".join(flag for flag in text.split() if flag.startswith(_HARMLESS_FLAGS) == harmless)
