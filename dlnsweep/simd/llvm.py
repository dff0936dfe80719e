"""llvmlite, imported when first used: LLVM as a wheel, without a compiler on the user's machine."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from functools import cache
from typing import TYPE_CHECKING

from dlnsweep.errors import RunError
from dlnsweep.numerics.lazy import LazyModule

if TYPE_CHECKING:
    import llvmlite.binding as binding
    import llvmlite.ir as ir
else:
    binding = LazyModule("llvmlite.binding")
    ir = LazyModule("llvmlite.ir")

__all__ = [
    "BEGUN",
    "binding",
    "check_installed",
    "features",
    "instruction_set",
    "ir",
    "is_installed",
    "is_usable",
    "llvm_version",
    "registers",
    "why_not_here",
]

# Of what a processor can do, what makes a difference, the strongest first.
_SETS = (("avx512f", "AVX-512"), ("avx2", "AVX2"), ("neon", "NEON"))


def is_installed() -> bool:
    """Tell whether llvmlite can be imported, without importing it."""
    return importlib.util.find_spec("llvmlite") is not None


# What needs it, and what else can be done.
BEGUN = (
    'its folder was begun where sweep.kernel = "auto" takes vector instructions, which need '
    "llvmlite",
    "take the same steps in another folder with --set sweep.kernel=generic",
)


def asked(kernel: str) -> tuple[str, str]:
    """Return the same of a sweep that asks for it by a word."""
    return (
        f'sweep.kernel is "{kernel}", which needs llvmlite',
        "take the same steps with --set sweep.kernel=generic",
    )


def check_installed(why: tuple[str, str]) -> None:
    """Refuse where llvmlite is missing.

    Args:
        why: What `asked` returns, or `BEGUN`.

    Raises:
        RunError: If it is.
    """
    if not is_installed():
        raise RunError(f"{why[0]}: install it (pip install 'dlnsweep[simd]'), or {why[1]}.")


def is_usable() -> bool:
    """Tell whether llvmlite is there, can be imported, and can compile for this processor."""
    try:
        return is_installed() and not why_not_here()
    except (ImportError, OSError):
        return False


def why_not_here(platform: str = "cpu") -> str:
    """Return why nothing can be compiled here, as a sentence without its end; else nothing.

    Args:
        platform: JAX's, of the device that the runs are trained on.
    """
    if platform != "cpu":
        return f"it computes on the CPU, and JAX's device here is a {platform}"
    if "fma" not in features() and instruction_set() != "NEON":
        return "this processor has no fused multiply-add"
    return ""


@cache
def features() -> frozenset[str]:
    """Return what this processor can do, as LLVM calls it."""
    found = binding.get_host_cpu_features()
    return frozenset(name for name, has in found.items() if has)


@cache
def instruction_set() -> str:
    """Return the name of the vector instructions that are used here; empty where there are none."""
    return next((name for feature, name in _SETS if feature in features()), "")


@cache
def llvm_version() -> dict[str, str]:
    """Return the versions of llvmlite and of the LLVM in it, by name."""
    llvm = ".".join(map(str, binding.llvm_version_info))
    return {"llvmlite": importlib.metadata.version("llvmlite"), "LLVM": llvm}


def registers() -> int:
    """Return how many vectors the processor holds at once."""
    return 16 if instruction_set() == "AVX2" else 32
