"""A step as JAX traces it becomes a loop of vector instructions.

The jaxpr is carried out on arrays of entries (`entries.py`), and what that emits is the body of a
loop over steps: straight-line code, one run a lane.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from dlnsweep.simd.entries import Emitter, Refused
from dlnsweep.simd.llvm import ir
from dlnsweep.simd.memory import ALIGNMENT, Leaf, Memory
from dlnsweep.simd.primitives import RULES, as_entries

# Straight-line code beyond this takes long to compile, and leaves the cache of instructions.
MOST_OPERATIONS = 20_000
_CALLS = {
    "jit", "pjit", "closed_call", "core_call", "remat", "checkpoint", "custom_jvp_call",
    "custom_vjp_call", "custom_vjp_call_jaxpr",
}  # fmt: skip


def carried_out(
    emit: Emitter, jaxpr: Any, constants: Sequence[Any], arguments: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Return what a jaxpr makes of arrays of entries.

    Raises:
        Refused: If something of it is not known here, or it is too long.
    """
    known: dict[Any, np.ndarray] = dict(zip(jaxpr.invars, arguments, strict=True))
    known |= {v: as_entries(c) for v, c in zip(jaxpr.constvars, constants, strict=True)}

    def read(variable: Any) -> np.ndarray:
        if hasattr(variable, "val"):
            value = np.asarray(variable.val).astype(variable.aval.dtype)
            return as_entries(value)
        return known[variable]

    for equation in jaxpr.eqns:
        name, params = equation.primitive.name, equation.params
        arrays = [read(v) for v in equation.invars]
        if name in _CALLS:
            inner = params.get("jaxpr", params.get("call_jaxpr", params.get("fun_jaxpr")))
            constants = getattr(inner, "consts", ())
            found = carried_out(emit, getattr(inner, "jaxpr", inner), constants, arrays)
        else:
            if name not in RULES:
                raise Refused(f"its step has the operation {name!r}, which is not known here")
            _check_length(emit, equation)
            types = [np.dtype(v.aval.dtype) for v in equation.invars]
            found = RULES[name](emit, params, list(zip(arrays, types, strict=True)))
        known.update(zip(equation.outvars, found, strict=True))
    return [read(v) for v in jaxpr.outvars]


def _check_length(emit: Emitter, equation: Any) -> None:
    """Refuse what is too long before it is emitted."""
    operations = max((math.prod(v.aval.shape) for v in equation.outvars), default=0)
    if equation.primitive.name == "dot_general":
        (axes, _), _ = equation.params["dimension_numbers"]
        operations *= math.prod(equation.invars[0].aval.shape[i] for i in axes)
    elif equation.primitive.name.startswith("reduce_"):
        operations = math.prod(equation.invars[0].aval.shape)
    if len(emit.builder.block.instructions) + operations > MOST_OPERATIONS:
        raise Refused(f"its step has more than {MOST_OPERATIONS:,} operations")


class Places:
    """Where a step's arguments and results lie.

    Args:
        jaxpr: The closed jaxpr of a step: of constants, state and number of the step it makes the
            state.
        constants: The number of its constants.
        shared: Which of these all runs have in common, in memory.
        lanes: Runs of a vector.

    Attributes:
        used: Which of the constants the step reads at all.
        own: The constants of each run.
        common: Those that lie there once.
        state: The state.
    """

    def __init__(self, jaxpr: Any, constants: int, shared: Sequence[bool], lanes: int) -> None:
        variables = jaxpr.jaxpr.invars
        kinds = [(v.aval.shape, v.aval.dtype) for v in variables[:-1]]
        read = {v for e in jaxpr.jaxpr.eqns for v in e.invars if not hasattr(v, "val")}
        self.used = [v in read for v in variables[:constants]]
        self.shared = [s and u for s, u in zip(shared, self.used, strict=True)]
        alone = [u and not s for s, u in zip(self.shared, self.used, strict=True)]
        self.alone = alone
        self.own = Memory.of([k for k, a in zip(kinds, alone, strict=False) if a], lanes)
        self.common = Memory.of([k for k, s in zip(kinds, self.shared, strict=False) if s], 1)
        self.state = Memory.of(kinds[constants:], lanes)
        self.kinds = kinds[:constants]


def loop(module: Any, jaxpr: Any, places: Places, active: int) -> int:
    """Add the function `train` to a module: it takes some steps of all groups of lanes.

    Its arguments: the states, the constants of each run, the common ones, the first step, the step
    to stop before, and the number of groups. A group whose runs have all ended is left alone.

    Args:
        module: The module.
        jaxpr: The step; see `Places`.
        places: Where its arguments lie.
        active: Which leaf of the state says whether a run goes on.

    Returns:
        How many operations a step has.

    Raises:
        Refused: If it cannot be translated.
    """
    pointer, integer = ir.PointerType(), ir.IntType(64)
    kinds = [pointer, pointer, pointer, integer, integer, integer]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), "train")
    for argument in function.args[:3]:
        argument.add_attribute("noalias")
    all_states, all_own, common, start, stop, groups = function.args
    entry, outer, body, ended, end = (
        function.append_basic_block(name) for name in ("entry", "group", "step", "ended", "end")
    )
    lanes = places.state.lanes
    builder = ir.IRBuilder(entry)
    some = builder.and_(
        builder.icmp_signed("<", start, stop),
        builder.icmp_signed(">", groups, ir.Constant(integer, 0)),
    )
    builder.cbranch(some, outer, end)
    builder.position_at_end(outer)
    group = builder.phi(integer)
    group.add_incoming(ir.Constant(integer, 0), entry)

    def of_group(base: Any, memory: Memory) -> Any:
        offset = builder.mul(group, ir.Constant(integer, memory.stride))
        return builder.gep(base, [offset], source_etype=ir.IntType(8))

    state, own = of_group(all_states, places.state), of_group(all_own, places.own)
    builder.branch(body)
    builder.position_at_end(body)
    now = builder.phi(integer)
    now.add_incoming(start, outer)
    emit = Emitter(builder, lanes)
    old = [_load(emit, state, leaf) for leaf in places.state.leaves]
    alone, shared = iter(places.own.leaves), iter(places.common.leaves)
    given: list[np.ndarray] = []
    for (shape, _), is_shared, is_alone in zip(
        places.kinds, places.shared, places.alone, strict=True
    ):
        if is_shared:
            given.append(_load_common(emit, common, next(shared)))
        elif is_alone:
            given.append(_load(emit, own, next(alone)))
        else:
            given.append(np.empty(shape, object))
    step = np.empty((), object)
    step[()] = _splat(emit, now)
    new = carried_out(emit, jaxpr.jaxpr, jaxpr.consts, [*given, *old, step])
    for leaf, entries, before in zip(places.state.leaves, new, old, strict=True):
        _store(emit, state, leaf, entries, before)
    mask = emit.vector(new[active][()], np.bool_)
    bits = ir.IntType(lanes)
    going = builder.icmp_unsigned("!=", builder.bitcast(mask, bits), ir.Constant(bits, 0))
    following = builder.add(now, ir.Constant(integer, 1))
    now.add_incoming(following, builder.block)
    more = builder.and_(going, builder.icmp_signed("<", following, stop))
    operations = len(body.instructions)
    builder.cbranch(more, body, ended)
    builder.position_at_end(ended)
    next_group = builder.add(group, ir.Constant(integer, 1))
    group.add_incoming(next_group, ended)
    builder.cbranch(builder.icmp_signed("<", next_group, groups), outer, end)
    builder.position_at_end(end)
    builder.ret_void()
    return operations


def _address(emit: Emitter, base: Any, offset: int) -> Any:
    return emit.builder.gep(base, [ir.Constant(ir.IntType(64), offset)], source_etype=ir.IntType(8))


def _entry_bytes(emit: Emitter, leaf: Leaf) -> int:
    return emit.lanes * leaf.dtype.itemsize


def _places(emit: Emitter, leaf: Leaf) -> tuple[Any, int]:
    """Return the type of an entry in memory, and a power of two that its address is in."""
    size = _entry_bytes(emit, leaf)
    kind = emit.kind(np.uint8 if leaf.dtype.kind == "b" else leaf.dtype)
    return kind, math.gcd(size, ALIGNMENT)


def _load(emit: Emitter, base: Any, leaf: Leaf) -> np.ndarray:
    found = np.empty(leaf.shape, object)
    flat = found.reshape(-1)
    kind, alignment = _places(emit, leaf)
    for i in range(leaf.size):
        address = _address(emit, base, leaf.offset + i * _entry_bytes(emit, leaf))
        value = emit.builder.load(address, typ=kind)
        value.align = alignment
        flat[i] = emit.convert(value, np.uint8, np.bool_) if leaf.dtype.kind == "b" else value
    return found


def _load_common(emit: Emitter, base: Any, leaf: Leaf) -> np.ndarray:
    found = np.empty(leaf.shape, object)
    flat = found.reshape(-1)
    kind = emit.element(np.uint8 if leaf.dtype.kind == "b" else leaf.dtype)
    for i in range(leaf.size):
        address = _address(emit, base, leaf.offset + i * leaf.dtype.itemsize)
        value = _splat(emit, emit.builder.load(address, typ=kind))
        flat[i] = emit.convert(value, np.uint8, np.bool_) if leaf.dtype.kind == "b" else value
    return found


def _splat(emit: Emitter, number: Any) -> Any:
    """Return a vector of one number."""
    kind = ir.VectorType(number.type, emit.lanes)
    undefined = ir.Constant(kind, ir.Undefined)
    place = ir.Constant(ir.IntType(32), 0)
    one = emit.builder.insert_element(undefined, number, place)
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), emit.lanes), [place] * emit.lanes)
    return emit.builder.shuffle_vector(one, undefined, zeros)


def _store(emit: Emitter, base: Any, leaf: Leaf, entries: np.ndarray, before: np.ndarray) -> None:
    _, alignment = _places(emit, leaf)
    flat, old = entries.reshape(-1), before.reshape(-1)
    for i in range(leaf.size):
        if flat[i] is old[i]:
            continue
        value = emit.vector(flat[i], leaf.dtype)
        if leaf.dtype.kind == "b":
            value = emit.builder.zext(value, emit.kind(np.uint8))
        address = _address(emit, base, leaf.offset + i * _entry_bytes(emit, leaf))
        emit.builder.store(value, address).align = alignment
