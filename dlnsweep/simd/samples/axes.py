"""Which arrays of a step have the samples as an axis, and what is done to them block by block.

Of a network on n samples most of a step is done to each sample by itself, up to sums over all. So
of each array it is found which of its axes, if one, counts the samples: those of the inputs are
given, and each primitive says where it leaves them. That axis is put last, and vectors hold samples
that follow one another. A step is then made of parts, one after another; each has equations on
arrays without samples, equations on a block of samples, carried out for one block after another,
and sums over all samples at the end, on which later parts may depend.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from dlnsweep.simd.entries import Refused
from dlnsweep.simd.equations import Equation, Step, Variable
from dlnsweep.simd.looped import COPIES
from dlnsweep.simd.rules.elementwise import ELEMENTWISE

# A product of a matrix without samples and an array with them: the first is the left factor. Its
# `permutation` says where each axis of the product, as `dot_general` has it, stands in the result.
PRODUCT = "product_with_samples"
_RESHAPES = ("reshape", "squeeze", "expand_dims")
_MOVES = (*COPIES, *_RESHAPES, "transpose")


@dataclass(frozen=True)
class Total:
    """A sum over all samples: of an array along some axes, or of the products of two.

    Attributes:
        arrays: One array, or two.
        made: What it makes.
        axes: Of one array, the axes beside the last that it is summed over.
        turned: Whether a product of two is read transposed.
    """

    # Of sums of no more entries each block's part is added to what those before it have made.
    FEW: ClassVar[int] = 128

    arrays: tuple[Variable, ...]
    made: Variable
    axes: tuple[int, ...] = ()
    turned: bool = False


@dataclass
class Part:
    """A part of a step.

    Attributes:
        before: Equations on arrays without samples.
        inside: Equations on a block of samples.
        totals: Sums over all samples.
    """

    before: list[Equation] = field(default_factory=list)
    inside: list[Equation] = field(default_factory=list)
    totals: list[Total] = field(default_factory=list)

    @property
    def few(self) -> list[Total]:
        """Those sums that grow from block to block."""
        return [t for t in self.totals if self.inside and t.made.size <= Total.FEW]

    @property
    def many(self) -> list[Total]:
        """Those sums that are made of all blocks at once."""
        few = self.few
        return [t for t in self.totals if t not in few]


class Sampled:
    """A step in parts; see above.

    Args:
        step: The step.
        axes: The axis of samples of those inputs that have one, by their places.
        block: Vectors of a block.

    Attributes:
        parts: The parts.
        own: What stands for a variable in the equations on blocks: the samples are its last axis.
        kept: Those of these that are needed for all samples at once.
        axis: The axis of samples of each variable that has one.

    Raises:
        Refused: If something in it mixes samples in a way that is not known here.
    """

    def __init__(self, step: Step, axes: dict[int, int], block: int) -> None:
        self.axis: dict[Variable, int] = {}
        self.own: dict[Variable, Variable] = {}
        self.parts: list[Part] = [Part()]
        self.kept: set[Variable] = set()
        self.moves: dict[Variable, tuple[Variable, Equation]] = {}
        self._step, self._block = step, block
        # All axes of samples are as long as one that is given; see `_with_samples`.
        self._samples = {step.inputs[place].shape[axis] for place, axis in axes.items()}
        self._level: dict[Variable, int] = {}
        # What has been made of arrays without samples by repeating them.
        self._spread: dict[Variable, Equation] = {}
        for place, axis in axes.items():
            self._with_samples(step.inputs[place], axis)
        for equation in step.equations:
            self._add(equation)
        if any(v in self.axis for v in step.outputs):
            raise Refused("its step has a state of each sample")
        self._keep()

    def _with_samples(self, variable: Variable, axis: int) -> Variable:
        # Of one sample an axis may be repeated as often as one likes, and counts no samples then.
        if variable.shape[axis] not in self._samples:
            raise Refused("its step repeats a sample")
        self.axis[variable] = axis
        rest = [size for i, size in enumerate(variable.shape) if i != axis]
        own = self.own[variable] = Variable((*rest, self._block), variable.dtype)
        return own

    def _part(self, level: int) -> Part:
        while len(self.parts) <= level:
            self.parts.append(Part())
        return self.parts[level]

    def _add(self, equation: Equation) -> None:
        sampled = [v for v in equation.inputs if v in self.axis]
        level = max((self._level.get(v, 0) for v in equation.inputs), default=0)
        total = None
        if not sampled:
            self._part(level).before.append(equation)
            repeats = equation.name == "broadcast_in_dim" or (
                equation.name in ELEMENTWISE
                and all(v.shape == () or self._repeated(v) for v in equation.inputs)
            )
            if repeats:
                self._spread[equation.outputs[0]] = equation
        elif equation.name == "dot_general" and len(sampled) == 2:
            total = self._sum_of_products(equation)
        elif equation.name == "reduce_sum" and self.axis[sampled[0]] in equation.params["axes"]:
            axis, (given,) = self.axis[sampled[0]], equation.inputs
            axes = tuple(_without(i, axis) for i in equation.params["axes"] if i != axis)
            total = Total((self.own[given],), equation.outputs[0], axes)
            if np.dtype(given.dtype).kind != "f":
                raise Refused(f"its step sums {given.dtype} over the samples")
        else:
            rule = _RULES.get(equation.name)
            if rule is None and equation.name in ELEMENTWISE:
                rule = Sampled._elementwise
            if rule is None:
                raise Refused(f"its step has {equation.name!r} of samples, which is not known here")
            rule(self, equation, level)
        if total is not None:
            self._part(level).totals.append(total)
            level += 1
        for variable in equation.outputs:
            self._level[variable] = level

    def _repeated(self, variable: Variable) -> bool:
        return variable.value is not None or variable in self._spread

    def _keep(self) -> None:
        """Find what is needed for all samples: what is summed, and what other parts read."""
        made: dict[Variable, int] = {}
        for number, part in enumerate(self.parts):
            for equation in part.inside:
                for variable in equation.outputs:
                    made[variable] = number
        for number, part in enumerate(self.parts):
            for equation in part.inside:
                self.kept |= {v for v in equation.inputs if made.get(v, number) != number}
            self.kept |= {self.root(v) for total in part.many for v in total.arrays}
            # What another part reads of a sum's factors is there as a whole.
            others = {
                v for total in part.few for v in total.arrays if made.get(v, number) != number
            }
            self.kept |= {self.root(v) for v in others}

    def root(self, own: Variable) -> Variable:
        """Return what an array is the same as, but for the order of its axes before the last."""
        while own in self.moves:
            own = self.moves[own][0]
        return own

    def _emit(
        self, equation: Equation, level: int, axis: int, inputs: Sequence[Variable], **params: Any
    ) -> None:
        (made,) = equation.outputs
        name = params.pop("name", equation.name)
        own = self._with_samples(made, axis)
        found = Equation(name, {**equation.params, **params}, tuple(inputs), (own,))
        self._part(level).inside.append(found)
        if equation.name in _MOVES:
            self.moves[own] = inputs[0], found

    def _elementwise(self, equation: Equation, level: int) -> None:
        sampled = [v for v in equation.inputs if v in self.axis]
        axis = self.axis[sampled[0]]
        if any(self.axis[v] != axis for v in sampled):
            raise Refused("its step takes samples along two axes of an array together")
        shape = equation.outputs[0].shape
        inputs = [self._block_of(v, axis, shape, level) for v in equation.inputs]
        self._emit(equation, level, axis, inputs)

    def _block_of(
        self, variable: Variable, axis: int, shape: tuple[int, ...], level: int
    ) -> Variable:
        """Return what stands for an input of an equation on blocks."""
        if variable in self.own:
            return self.own[variable]
        if variable.shape == ():
            return variable
        rest = tuple(size for i, size in enumerate(shape) if i != axis)
        wanted = (*rest, self._block)
        if variable.value is not None:
            value = np.asarray(variable.value)
            one = np.moveaxis(value, axis, -1)[..., :1]
            if not (np.moveaxis(value, axis, -1) == one).all():
                raise Refused("its step has known numbers of each sample")
            return Variable(wanted, variable.dtype, np.broadcast_to(one, wanted))
        if len(variable.shape) == len(shape) and variable.shape[axis] == 1:
            # One entry along the samples goes with all of them.
            others = tuple(size for i, size in enumerate(variable.shape) if i != axis)
            found = Variable((*others, 1), variable.dtype)
            params = {"new_sizes": found.shape, "dimensions": None}
            self._part(level).before.append(Equation("reshape", params, (variable,), (found,)))
            return found
        equation = self._spread.get(variable)
        if equation is None or variable.shape != shape:
            raise Refused("its step takes an array without samples and one with them together")
        found = Variable(wanted, variable.dtype)
        params = dict(equation.params)
        if equation.name == "broadcast_in_dim":
            (given,) = equation.inputs
            places = [int(i) for i in params["broadcast_dimensions"]]
            if axis in places and given.shape[places.index(axis)] != 1:
                raise Refused("its step takes an array without samples and one with them together")
            # Of what is repeated along the samples it is the last axis, as a new one.
            params["shape"] = wanted
            moved = [len(rest) if i == axis else _without(i, axis) for i in places]
            if sorted(moved) != moved:
                raise Refused("its step repeats an array in another order")
            params["broadcast_dimensions"] = tuple(moved)
            inputs: tuple[Variable, ...] = equation.inputs
        else:
            inputs = tuple(self._block_of(v, axis, shape, level) for v in equation.inputs)
        self._part(level).inside.append(Equation(equation.name, params, inputs, (found,)))
        return found

    def _transposed(self, equation: Equation, level: int) -> None:
        (given,) = equation.inputs
        axis, order = self.axis[given], list(equation.params["permutation"])
        rest = [_without(i, axis) for i in order if i != axis]
        self._emit(
            equation, level, order.index(axis), [self.own[given]],
            permutation=(*rest, len(rest)),
        )  # fmt: skip

    def _reshaped(self, equation: Equation, level: int) -> None:
        (given,), (made,) = equation.inputs, equation.outputs
        axis = self.axis[given]
        long = [i for i, size in enumerate(given.shape) if size > 1]
        other = [i for i, size in enumerate(made.shape) if size > 1]
        same = [given.shape[i] for i in long] == [made.shape[i] for i in other]
        if not same or axis not in long:
            raise Refused("its step joins the samples with another axis")
        new = other[long.index(axis)]
        rest = tuple(size for i, size in enumerate(made.shape) if i != new)
        self._emit(
            equation, level, new, [self.own[given]], name="reshape",
            new_sizes=(*rest, self._block), dimensions=None,
        )  # fmt: skip

    def _broadcast(self, equation: Equation, level: int) -> None:
        (given,), params = equation.inputs, equation.params
        axis, places = self.axis[given], [int(i) for i in params["broadcast_dimensions"]]
        new = places[axis]
        shape = [size for i, size in enumerate(params["shape"]) if i != new]
        rest = [_without(place, new) for i, place in enumerate(places) if i != axis]
        self._emit(
            equation, level, new, [self.own[given]], shape=(*shape, self._block),
            broadcast_dimensions=(*rest, len(shape)),
        )  # fmt: skip

    def _cut(self, equation: Equation, level: int) -> None:
        (given,), params = equation.inputs, equation.params
        axis, strides = self.axis[given], params["strides"] or (1,) * len(given.shape)
        whole = (0, given.shape[axis], 1)
        starts, limits = params["start_indices"], params["limit_indices"]
        if (starts[axis], limits[axis], strides[axis]) != whole:
            raise Refused("its step chooses among the samples")

        def moved(values: Sequence[int], last: int) -> tuple[int, ...]:
            return (*(v for i, v in enumerate(values) if i != axis), last)

        self._emit(
            equation, level, axis, [self.own[given]], start_indices=moved(starts, 0),
            limit_indices=moved(limits, self._block), strides=moved(strides, 1),
        )  # fmt: skip

    def _joined(self, equation: Equation, level: int) -> None:
        dimension = equation.params["dimension"]
        axes = {self.axis.get(v) for v in equation.inputs}
        axis = next(iter(axes))
        if len(axes) > 1 or axis is None or axis == dimension:
            raise Refused("its step joins arrays with samples and others")
        inputs = [self.own[v] for v in equation.inputs]
        self._emit(equation, level, axis, inputs, dimension=_without(dimension, axis))

    def _reduced(self, equation: Equation, level: int) -> None:
        (given,), axes = equation.inputs, equation.params["axes"]
        axis = self.axis[given]
        if axis in axes:
            raise Refused(f"its step has {equation.name!r} over the samples, which is not known")
        self._emit(
            equation, level, axis - sum(i < axis for i in axes), [self.own[given]],
            axes=tuple(_without(i, axis) for i in axes),
        )  # fmt: skip

    def _product(self, equation: Equation, level: int) -> None:
        summed, batch = equation.params["dimension_numbers"]
        (made,) = equation.outputs
        first = 0 if equation.inputs[0] in self.axis else 1
        given, other = equation.inputs[first], equation.inputs[1 - first]
        axis = self.axis[given]
        if axis in (*summed[first], *batch[first]):
            raise Refused("its step sums over the samples with an array that has none")
        _check_numbers(given, other, made)
        # Where the axes of the product stand, each operand's by their own numbers.
        order: list[tuple[int, int]] = [(-1, k) for k in range(len(batch[0]))]
        for side in (0, 1):
            used = (*summed[side], *batch[side])
            shape = equation.inputs[side].shape
            order += [(side, i) for i in range(len(shape)) if i not in used]
        new = order.index((first, axis))
        # The same with the other operand on the left, and the samples last.
        swapped: list[tuple[int, int]] = [(-1, k) for k in range(len(batch[0]))]
        swapped += [each for each in order if each[0] == 1 - first]
        swapped += [each for each in order if each[0] == first and each[1] != axis]
        wanted = [each for each in order if each != (first, axis)]
        numbers = (
            (tuple(summed[1 - first]), tuple(_without(i, axis) for i in summed[first])),
            (tuple(batch[1 - first]), tuple(_without(i, axis) for i in batch[first])),
        )
        self._emit(
            equation, level, new, [other, self.own[given]], name=PRODUCT,
            dimension_numbers=numbers,
            permutation=(*(wanted.index(each) for each in swapped), len(wanted)),
        )  # fmt: skip

    def _sum_of_products(self, equation: Equation) -> Total:
        left, right = equation.inputs
        (axes, other_axes), batch = equation.params["dimension_numbers"]
        if tuple(axes) != (self.axis[left],) or tuple(other_axes) != (self.axis[right],):
            raise Refused("its step multiplies arrays with samples, not over these alone")
        if batch[0] or len(left.shape) > 2 or len(right.shape) > 2:
            raise Refused("its step multiplies arrays of more axes over the samples")
        made = equation.outputs[0]
        _check_numbers(left, right, made)
        turned = len(made.shape) == 2 and self._is_turned(made)
        return Total((self.own[left], self.own[right]), made, turned=turned)

    def _is_turned(self, variable: Variable) -> bool:
        """Tell whether an array is transposed wherever it is read."""
        readers = [e for e in self._step.equations if variable in e.inputs]
        return variable not in self._step.outputs and all(
            e.name == "transpose" or (e.name in COPIES and self._is_turned(e.outputs[0]))
            for e in readers
        )


_RULES = {
    "transpose": Sampled._transposed,
    **dict.fromkeys(_RESHAPES, Sampled._reshaped),
    "broadcast_in_dim": Sampled._broadcast,
    "slice": Sampled._cut,
    "concatenate": Sampled._joined,
    "dot_general": Sampled._product,
    **{f"reduce_{name}": Sampled._reduced for name in ("sum", "prod", "max", "min", "and", "or")},
}


def _check_numbers(left: Variable, right: Variable, made: Variable) -> None:
    """Refuse a product of other numbers than real ones of one precision."""
    dtype = np.dtype(left.dtype)
    if dtype.kind != "f" or any(np.dtype(v.dtype) != dtype for v in (right, made)):
        raise Refused(f"its step multiplies matrices of {left.dtype} and {right.dtype}")


def _without(place: int, axis: int) -> int:
    """Return which axis it is once another one is taken away."""
    return place - (place > axis)
