"""Compiling a module of LLVM's for this machine's processor, in memory.

What it has taken long to compile is kept between processes, with XLA's programs and under their
rules (`numerics/compile_cache.py`): it is found by the text of the module.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import threading
import time
from typing import Any

from dlnsweep.numerics.compile_cache import kept_programs
from dlnsweep.numerics.runtime import usable_cores
from dlnsweep.simd.llvm import binding, features, ir

# Nothing that keeps in registers what the code has put into memory: there are too few.
_PASSES = ("instruction_combine", "simplify_cfg")
# What takes less is compiled again as fast as it is read.
_LEAST_SECONDS = 0.05

_lock = threading.Lock()
_started = False


def lanes_of(itemsize: int) -> int:
    """Return how many runs one vector holds: what fills the registers of this processor.

    Args:
        itemsize: Bytes of a number in the precision of training.
    """
    found = features()
    register = 64 if "avx512f" in found else 32 if "avx2" in found else 16
    return register // itemsize


def new_module(name: str) -> Any:
    """Return an empty module of this machine's."""
    module = ir.Module(name)
    module.triple = binding.get_default_triple()
    return module


class Machine:
    """Machine code of a module; it lives as long as this does.

    Args:
        module: The module.
    """

    def __init__(self, module: Any) -> None:
        _start()
        text = str(module)
        parsed = binding.parse_assembly(text)
        target = {
            "cpu": binding.get_host_cpu_name(),
            "features": binding.get_host_cpu_features().flatten(),
            "opt": 2,
        }
        machine = binding.Target.from_default_triple().create_target_machine(**target)
        options = binding.create_pipeline_tuning_options()
        builder = binding.create_pass_builder(machine, options)
        passes = binding.create_new_module_pass_manager()
        for name in _PASSES:
            getattr(passes, f"add_{name}_pass")()
        passes.run(parsed, builder)
        self._engine = binding.create_mcjit_compiler(parsed, machine)
        self._machine = machine
        self._finalize(_key(text, target))

    def _finalize(self, key: str) -> None:
        """Make machine code, or take what is kept of it."""
        kept, made = kept_programs(len(usable_cores())), []
        if kept is not None:
            self._engine.set_object_cache(
                lambda _, code: made.append(code), lambda _: kept.get(key)
            )
        began = time.perf_counter()
        self._engine.finalize_object()
        if kept is not None and made and time.perf_counter() - began > _LEAST_SECONDS:
            kept.put(key, made[0])

    def address(self, name: str) -> int:
        """Return where a function begins."""
        return self._engine.get_function_address(name)


def _key(text: str, target: dict[str, Any]) -> str:
    """Return what names the machine code of a module: all that it is made of."""
    version = importlib.metadata.version("llvmlite"), binding.llvm_version_info
    whole = "\n".join([str(version), str(_PASSES), *map(str, target.items()), text])
    return f"simd-{hashlib.sha256(whole.encode()).hexdigest()}"


def _start() -> None:
    global _started
    with _lock:
        if not _started:
            binding.initialize_native_target()
            binding.initialize_native_asmprinter()
            _started = True
