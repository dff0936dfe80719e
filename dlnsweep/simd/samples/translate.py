"""A step as JAX traces it becomes a function of vector instructions, samples of a run in the lanes.

One run is trained after another, so that its samples stay in the caches, and any number of runs
fills the vectors. What a step does is cut into parts (`sampled.py`): what has no samples is emitted
number by number, the rest for one block of samples after another, from the first layer to the last
and back, and sums over the samples at a part's end.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from dlnsweep.simd.arrays import Array, Memo, Place, Slot, View
from dlnsweep.simd.entries import Emitter
from dlnsweep.simd.equations import Equation, Step, Variable
from dlnsweep.simd.indices import Index, loop
from dlnsweep.simd.llvm import ir
from dlnsweep.simd.looped import Looped, Value
from dlnsweep.simd.nests import over, write, write_along
from dlnsweep.simd.rules.arrays import ARRAY_RULES, outer_product
from dlnsweep.simd.rules.primitives import MOVED, as_entries
from dlnsweep.simd.samples.axes import PRODUCT, Part, Sampled, Total
from dlnsweep.simd.samples.places import SamplePlaces
from dlnsweep.simd.samples.tiles import multiply, multiply_samples, total
from dlnsweep.simd.samples.totals import add_lanes, add_products, add_sums
from dlnsweep.simd.translate import of_steps, seen, some_go_on, write_back
from dlnsweep.simd.workspace import Workspace


def function(
    module: Any, step: Step, places: SamplePlaces, active: int, itemsize: int
) -> tuple[int, int]:
    """Add the function `train` to a module: it takes some steps of all runs.

    Its arguments: the states, the constants, memory for numbers and for vectors, the first step,
    the step to stop before, and the number of runs.

    Args:
        module: The module.
        step: The step; see `SamplePlaces`.
        places: Where its arguments lie.
        active: Which leaf of the state says whether a run goes on.
        itemsize: Bytes of a number in the precision of training.

    Returns:
        How many bytes of memory a step needs for numbers, and for vectors.

    Raises:
        Refused: If it cannot be translated.
    """
    parts = Sampled(step, places.axes, places.block)
    needed = 0, 0

    def body(builder: Any, bases: tuple[Any, Any, Any, Any], now: Any) -> Any:
        nonlocal needed
        made = _Translated(builder, step, parts, places, bases, itemsize)
        going = made.emitted(now, active)
        needed = made.one.workspace.size, made.many.workspace.size
        return going

    of_steps(module, places.state, places.own, body)
    return needed


class _Translated:
    """Emits a step.

    Args:
        builder: LLVM's builder.
        step: The step.
        parts: It in parts.
        places: Where its arguments lie.
        bases: The addresses of state, constants, memory for numbers and for vectors.
        itemsize: Bytes of a number in the precision of training.

    Attributes:
        one: Emits what has no samples.
        many: Emits what has.
    """

    def __init__(
        self,
        builder: Any,
        step: Step,
        parts: Sampled,
        places: SamplePlaces,
        bases: tuple[Any, Any, Any, Any],
        itemsize: int,
    ) -> None:
        self._builder, self._step, self._parts, self._places = builder, step, parts, places
        self._state, self._own, numbers, vectors = bases
        self._one, self._wide = Emitter(builder, 1), Emitter(builder, places.lanes)
        self.one = Looped(self._one, Workspace(self._one, numbers, itemsize), ARRAY_RULES)
        self.one.write = partial(write_along, lanes=places.lanes)
        rules = {**ARRAY_RULES, PRODUCT: _product}
        self.many = Looped(self._wide, Workspace(self._wide, vectors, itemsize), rules)
        self._known: dict[Variable, Value] = {}
        self._full: dict[Variable, View] = {}
        self._left = step.uses()
        # Sums that grow from block to block.
        self._held: list[View] = []

    def emitted(self, now: Any, active: int) -> Any:
        """Emit it; return whether the run goes on."""
        targets = self._given(now)
        old = [self._value(v) for v in self._step.inputs[-1 - len(targets) : -1]]
        for part in self._parts.parts:
            self._part(part)
        new = [self._value(v) for v in self._step.outputs]
        write_back(self._one, self.one, list(new), old, targets)
        return some_go_on(self._one, new[active])

    def _given(self, now: Any) -> list[View]:
        """Say where the step's inputs are; return where its state lies."""
        places, inputs = self._places, self._step.inputs
        leaves, constants = iter(places.own.leaves), len(places.used)
        for i, variable in enumerate(inputs[:constants]):
            if not places.used[i]:
                continue
            leaf = next(leaves)
            if i not in places.axes:
                self._keep(variable, seen(self._one, self._own, leaf, 1))
                continue
            offset = ir.Constant(ir.IntType(64), leaf.offset)
            address = self._builder.gep(self._own, [offset], source_etype=ir.IntType(8))
            shape = (*leaf.shape[:-1], places.row)
            slot = Slot(address, places.lanes, leaf.dtype)
            whole = View.of(self._wide, slot, leaf.dtype, shape)
            self._full[self._parts.own[variable]] = self._cut(whole)
        targets = [seen(self._one, self._state, leaf, 1) for leaf in places.state.leaves]
        for variable, view in zip(inputs[constants:-1], targets, strict=True):
            self._keep(variable, view)
        number = np.empty((), object)
        number[()] = self._one.splat(now)
        self._known[inputs[-1]] = number
        return targets

    def _cut(self, whole: View) -> View:
        """Return rows without what keeps them apart."""
        return whole.further(Index(), lambda entries: entries[..., : self._places.vectors])

    def _keep(self, variable: Variable, view: View) -> None:
        self._known[variable] = self.one.at_hand(view) if view.size == 1 else view

    def _value(self, variable: Variable) -> Value:
        return as_entries(variable.value) if variable.value is not None else self._known[variable]

    def _part(self, part: Part) -> None:
        for equation in part.before:
            values = [self._value(v) for v in equation.inputs]
            found = self.one.made(equation, values)
            for variable, value in zip(equation.outputs, found, strict=True):
                self._known[variable] = self.one.settled(value, self._left.get(variable, 0))
        if part.inside:
            self._blocks(part)
        for each in part.many:
            self._total(each)

    def _blocks(self, part: Part) -> None:
        """Emit what is done to the samples, one block after another."""
        parts, block = self._parts, self._places.block
        made = {v for equation in part.inside for v in equation.outputs}
        lifted = {
            v: self._lifted(v)
            for equation in part.inside
            for v in equation.inputs
            if v.value is None and v in self._known
        }
        for variable in made & parts.kept:
            shape = (*variable.shape[:-1], self._places.row)
            self._full[variable] = self._cut(self.many.workspace.view(shape, variable.dtype))
        left: dict[Variable, int] = {}
        for read in (*(e.inputs for e in part.inside), *(t.arrays for t in part.few)):
            for variable in read:
                left[variable] = left.get(variable, 0) + 1
        sums = [self.many.workspace.view(t.made.shape, t.made.dtype) for t in part.few]
        self._held = sums
        for view in sums:
            zero = view.dtype.type(0)
            write(self._wide, Array(view.shape, view.dtype, lambda _, __, zero=zero: zero), view)

        def one(index: Index, _: Any) -> list[Any]:
            local: dict[Variable, Value] = dict(lifted)
            count = dict(left)

            def block_of(view: View) -> View:
                return view.further(index * block, lambda entries: entries[..., :block])

            def value(variable: Variable) -> Value:
                if variable.value is not None:
                    return as_entries(variable.value)
                if variable not in local:
                    local[variable] = block_of(self._whole(variable))
                return local[variable]

            for equation in part.inside:
                found = self.many.made(equation, [value(v) for v in equation.inputs])
                for variable, result in zip(equation.outputs, found, strict=True):
                    if variable in parts.kept:
                        target = block_of(self._full[variable])
                        write(self._wide, self.many.array(result, variable.dtype), target)
                        local[variable] = target
                    else:
                        local[variable] = self.many.settled(result, count.get(variable, 0))
                for variable in equation.inputs:
                    count[variable] -= 1
                    if not count[variable]:
                        local.pop(variable, None)
                self._use(local)
            for each, view in zip(part.few, sums, strict=True):
                arrays = [
                    self.many.in_memory(self.many.array(value(v), v.dtype)) for v in each.arrays
                ]
                masks = self._masks(index)
                if len(arrays) == 2:
                    add_products(self._wide, arrays[0], arrays[1], masks, view)
                else:
                    add_sums(self._wide, arrays[0], each.axes, masks, view)
                self._use(local)
            return []

        loop(self._builder, self._places.blocks, one)
        for each, view in zip(part.few, sums, strict=True):
            target = self.one.workspace.view(each.made.shape, each.made.dtype)
            add_lanes(self._wide, view, target)
            self._keep(each.made, target)
        self._held = []
        self._use({})

    def _masks(self, index: Index) -> list[Any]:
        """Return which lanes of a block's vectors hold samples; None where all do."""
        places, kind = self._places, ir.IntType(64)
        if places.vectors * places.lanes == places.samples:
            return [None] * places.block
        lane = ir.Constant(ir.VectorType(kind, places.lanes), list(range(places.lanes)))
        samples = self._wide.vector(np.int64(places.samples), np.int64)
        found = []
        for j in range(places.block):
            first = ((index * places.block + j) * places.lanes).value(self._builder)
            number = self._builder.add(self._wide.splat(first), lane)
            found.append(self._builder.icmp_signed("<", number, samples))
        return found

    def _use(self, local: dict[Variable, Value]) -> None:
        """Give back what memory of vectors is not read any more."""
        arrays = [v for v in local.values() if isinstance(v, Array)]
        arrays += [*self._full.values(), *self._held]
        self.many.workspace.keep(frozenset().union(*(array.reads for array in arrays)))

    def _lifted(self, variable: Variable) -> Value:
        """Return an array without samples for what is emitted in vectors of them."""
        value = self._known[variable]
        if isinstance(value, Array):
            view = self.one.in_memory(value)
            self._known[variable] = view
            return view.read_by(self._wide)
        found = np.empty(value.shape, object)
        for place in np.ndindex(*value.shape):
            entry = value[place]
            if hasattr(entry, "type"):
                zero = ir.Constant(ir.IntType(32), 0)
                entry = self._wide.splat(self._builder.extract_element(entry, zero))
            found[place] = entry
        return found

    def _whole(self, variable: Variable) -> View:
        """Return an array of all samples."""
        if variable in self._full:
            return self._full[variable]
        given, equation = self._parts.moves[variable]
        view, params = self._whole(given), dict(equation.params)
        if equation.name not in MOVED:
            return view
        if "new_sizes" in params:
            params["new_sizes"] = (*params["new_sizes"][:-1], self._places.vectors)
        found = view.moved(lambda entries: MOVED[equation.name](params, entries))
        assert found is not None
        return found

    def _total(self, each: Total) -> None:
        """Emit a sum over all samples."""
        samples, made = self._places.samples, each.made
        arrays = [self._whole(v) for v in each.arrays]
        if each.turned:
            target = self.one.workspace.view(made.shape[::-1], made.dtype)
            multiply_samples(self._wide, arrays[1], arrays[0], samples, target)
            turned = target.moved(lambda entries: entries.T)
            assert turned is not None
            self._keep(made, turned)
            return
        target = self.one.workspace.view(made.shape, made.dtype)
        if len(arrays) == 2:
            multiply_samples(self._wide, arrays[0], arrays[1], samples, target)
        else:
            (array,) = arrays

            def body(places: list[Place]) -> None:
                for place in places:
                    target.store(place, total(self._wide, array, each.axes, samples, place))

            over(self._builder, made.shape, 1, body)
        self._keep(made, target)


def _product(at: Looped, equation: Equation, values: list[Value]) -> list[Value]:
    """A product of a matrix without samples and an array with them."""
    params, (made,) = equation.params, equation.outputs
    left, right = (at.array(v, g.dtype) for v, g in zip(values, equation.inputs, strict=True))
    axes, batch = params["dimension_numbers"]
    if all(left.shape[i] == 1 for i in axes[0]):
        return [_outer(at, left, right, params, made)]
    left, right = (v if isinstance(v, View) or not v.cost else at.in_memory(v)
                   for v in (left, right))  # fmt: skip
    found = at.workspace.view(made.shape, made.dtype)
    # As it is summed the axes stand in another order.
    order = list(params["permutation"])
    target = found.moved(lambda entries: np.transpose(entries, order))
    assert target is not None
    multiply(at.emit, left, right, axes, batch, target)
    return [found]


def _outer(at: Looped, left: Array, right: Array, params: dict[str, Any], made: Variable) -> Array:
    """Return a product without sums, which is computed where it is read."""
    whole = outer_product(at, left, right, params["dimension_numbers"], made)
    order = params["permutation"]

    def entry(memo: Memo, place: Place) -> Any:
        return whole.at(memo, tuple(place[i] for i in order))

    return Array(made.shape, made.dtype, entry, [whole], moved=True)
