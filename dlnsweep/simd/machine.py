"""Compiling a module of LLVM's for this machine's processor, in memory."""

from __future__ import annotations

import threading
from typing import Any

from dlnsweep.simd.llvm import binding, features, ir

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
        parsed = binding.parse_assembly(str(module))
        machine = binding.Target.from_default_triple().create_target_machine(
            cpu=binding.get_host_cpu_name(),
            features=binding.get_host_cpu_features().flatten(),
            opt=2,
        )
        options = binding.create_pipeline_tuning_options()
        builder = binding.create_pass_builder(machine, options)
        # Nothing that keeps in registers what the code has put into memory: there are too few.
        passes = binding.create_new_module_pass_manager()
        passes.add_instruction_combine_pass()
        passes.add_simplify_cfg_pass()
        passes.run(parsed, builder)
        self._engine = binding.create_mcjit_compiler(parsed, machine)
        self._machine = machine
        self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Return where a function begins."""
        return self._engine.get_function_address(name)


def _start() -> None:
    global _started
    with _lock:
        if not _started:
            binding.initialize_native_target()
            binding.initialize_native_asmprinter()
            _started = True
