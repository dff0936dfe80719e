"""A step as JAX traces it becomes a function of vector instructions, one run a lane.

What a step does is emitted as loops over its arrays (`looped.py`), inside a loop over steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dlnsweep.simd.arrays import Array, Slot, View
from dlnsweep.simd.entries import Emitter
from dlnsweep.simd.equations import Step
from dlnsweep.simd.indices import Index
from dlnsweep.simd.llvm import ir
from dlnsweep.simd.looped import Looped
from dlnsweep.simd.memory import ALIGNMENT, Leaf, Memory
from dlnsweep.simd.rules.arrays import ARRAY_RULES
from dlnsweep.simd.workspace import Workspace

# Beyond this the generic way is faster on any processor; "auto" draws its line earlier.
MOST_OPERATIONS = 1_000_000


class Places:
    """Where a step's arguments and results lie.

    Args:
        step: Of constants, state and number of the step it makes the state.
        constants: The number of its constants.
        shared: Which of these all runs have in common, in memory.
        lanes: Runs of a vector.

    Attributes:
        used: Which of the constants the step reads at all.
        own: The constants of each run.
        common: Those that lie there once.
        state: The state.
    """

    def __init__(self, step: Step, constants: int, shared: Sequence[bool], lanes: int) -> None:
        variables, uses = step.inputs, step.uses()
        kinds = [(v.shape, v.dtype) for v in variables[:-1]]
        self.used = [v in uses for v in variables[:constants]]
        self.shared = [s and u for s, u in zip(shared, self.used, strict=True)]
        self.alone = [u and not s for s, u in zip(self.shared, self.used, strict=True)]
        self.own = Memory.of([k for k, a in zip(kinds, self.alone, strict=False) if a], lanes)
        self.common = Memory.of([k for k, s in zip(kinds, self.shared, strict=False) if s], 1)
        self.state = Memory.of(kinds[constants:], lanes)
        self.kinds = kinds[:constants]


def function(module: Any, step: Step, places: Places, active: int, itemsize: int) -> int:
    """Add the function `train` to a module: it takes some steps of all groups of lanes.

    Its arguments: the states, the constants of each run, the common ones, memory for what a step
    makes, the first step, the step to stop before, and the number of groups. A group whose runs
    have all ended is left alone.

    Args:
        module: The module.
        step: The step; see `Places`.
        places: Where its arguments lie.
        active: Which leaf of the state says whether a run goes on.
        itemsize: Bytes of a number in the precision of training.

    Returns:
        How many bytes of memory a step needs.

    Raises:
        Refused: If it cannot be translated.
    """
    needed = 0

    def body(builder: Any, bases: tuple[Any, Any, Any, Any], now: Any) -> Any:
        nonlocal needed
        emit = Emitter(builder, places.state.lanes)
        needed, going = _body(emit, step, places, bases, now, active, itemsize)
        return going

    of_steps(module, places.state, places.own, body)
    return needed


def of_steps(
    module: Any,
    state: Memory,
    own: Memory,
    body: Callable[[Any, tuple[Any, Any, Any, Any], Any], Any],
) -> None:
    """Add the function `train` to a module: loops over groups of lanes and over steps.

    Args:
        module: The module.
        state: Of a group.
        own: The constants of a group.
        body: Emits a step of a group: of a builder, the addresses of its state, its constants and
            two more pieces of memory, and the step's number; returns whether a run still goes on.
    """
    pointer, integer = ir.PointerType(), ir.IntType(64)
    kinds = [pointer] * 4 + [integer] * 3
    made = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), "train")
    # Else a vector that is put aside there may lie across two lines of the cache.
    made.attributes.alignstack = ALIGNMENT
    for argument in made.args[:4]:
        argument.add_attribute("noalias")
    all_states, all_own, first, second, start, stop, groups = made.args
    entry, outer, inside, ended, end = (
        made.append_basic_block(name) for name in ("entry", "group", "step", "ended", "end")
    )
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

    bases = (of_group(all_states, state), of_group(all_own, own), first, second)
    builder.branch(inside)
    builder.position_at_end(inside)
    now = builder.phi(integer)
    now.add_incoming(start, outer)
    going = body(builder, bases, now)
    following = builder.add(now, ir.Constant(integer, 1))
    now.add_incoming(following, builder.block)
    more = builder.and_(going, builder.icmp_signed("<", following, stop))
    builder.cbranch(more, inside, ended)
    builder.position_at_end(ended)
    next_group = builder.add(group, ir.Constant(integer, 1))
    group.add_incoming(next_group, ended)
    builder.cbranch(builder.icmp_signed("<", next_group, groups), outer, end)
    builder.position_at_end(end)
    builder.ret_void()


def _body(
    emit: Emitter,
    step: Step,
    places: Places,
    bases: tuple[Any, Any, Any, Any],
    now: Any,
    active: int,
    itemsize: int,
) -> tuple[int, Any]:
    """Emit a step; return the bytes of memory that it needs, and whether a run still goes on."""
    state, own, common, memory = bases
    workspace = Workspace(emit, memory, itemsize)
    looped = Looped(emit, workspace, ARRAY_RULES)

    def given(view: View) -> Any:
        return looped.at_hand(view) if view.size == 1 else view

    targets = [seen(emit, state, leaf, emit.lanes) for leaf in places.state.leaves]
    old = [given(view) for view in targets]
    alone, shared = iter(places.own.leaves), iter(places.common.leaves)
    constants: list[Any] = []
    for (shape, _), is_shared, is_alone in zip(
        places.kinds, places.shared, places.alone, strict=True
    ):
        if is_shared:
            constants.append(given(seen(emit, common, next(shared), 1)))
        elif is_alone:
            constants.append(given(seen(emit, own, next(alone), emit.lanes)))
        else:
            constants.append(np.empty(shape, object))
    number = np.empty((), object)
    number[()] = emit.splat(now)
    inputs = [*constants, *old, number]
    new = looped.outputs(step, inputs)
    write_back(emit, looped, new, old, targets)
    return workspace.size, some_go_on(emit, new[active])


def some_go_on(emit: Emitter, active: Any) -> Any:
    """Emit whether one of the runs of a vector goes on."""
    assert isinstance(active, np.ndarray)
    mask = emit.vector(active[()], np.bool_)
    bits = ir.IntType(emit.lanes)
    return emit.builder.icmp_unsigned("!=", emit.builder.bitcast(mask, bits), ir.Constant(bits, 0))


def seen(emit: Emitter, base: Any, leaf: Leaf, lanes: int) -> View:
    """Return a leaf in memory; entries that all runs have in common are one number each."""
    offset = ir.Constant(ir.IntType(64), leaf.offset)
    address = emit.builder.gep(base, [offset], source_etype=ir.IntType(8))
    stored = np.dtype(np.uint8) if leaf.dtype.kind == "b" else leaf.dtype
    return View.of(emit, Slot(address, lanes, stored), leaf.dtype, leaf.shape)


def write_back(
    emit: Emitter, looped: Looped, new: list[Any], old: list[Any], targets: list[View]
) -> None:
    """Write a state's new leaves over the old ones."""
    todo = [i for i in range(len(new)) if new[i] is not old[i]]
    # What is computed from a leaf that is written earlier, or from other entries of its own, is
    # put aside first.
    for i in todo:
        if isinstance(new[i], Array):
            others = {targets[j].slot for j in todo if j != i}
            if new[i].reads & others or targets[i].slot in new[i].elsewhere:
                new[i] = looped.in_memory(Array(new[i].shape, new[i].dtype, new[i].at, [new[i]]))
    for i in todo:
        if isinstance(new[i], Array):
            looped.write(emit, new[i], targets[i])
            continue
        for place in np.ndindex(*new[i].shape):
            if new[i][place] is not old[i][place] if isinstance(old[i], np.ndarray) else True:
                targets[i].store(tuple(Index(k) for k in place), new[i][place])
