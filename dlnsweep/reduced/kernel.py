"""The reduced kernel: gradient descent on a deep linear network in coordinates.

`chain.py` has the mathematics, `pilot.py` and `reduction.py` find the bases; here a run takes its
steps. It is the same gradient descent, step by step, on matrices whose size depends on what the
run visits, not on the width. Arithmetic is float64 whatever the sweep's precision: the matrices
are small, and the tolerance may be finer than float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from dlnsweep.contracts.descent import Carry, Inputs, Kernel, one_by_one
from dlnsweep.networks.layered.samples import Reduced
from dlnsweep.networks.layered.view import LinearView
from dlnsweep.numerics.divergence import squared_limit
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.products import multiply
from dlnsweep.reduced import compact_descent
from dlnsweep.reduced.chain import Chain, Descent
from dlnsweep.reduced.compact_descent import Blocks, Constants, State, activations, signals
from dlnsweep.reduced.jumping import jumps
from dlnsweep.reduced.jumping.momentum import Momentum
from dlnsweep.reduced.prepare import Prepared
from dlnsweep.reduced.reduction import Sizes

# The share of a layer's square below which what is outside its bases is rounding.
_WHOLE = 1e-12


class ReducedView(LinearView):
    """The state of a reduced run, as observables see it: without the layers themselves."""

    def __init__(self, constants: Constants, state: State, dtype: Any) -> None:
        super().__init__(
            state.corrections,
            jnp.zeros((0, 0)),
            constants.data,
            constants.weight_decay,
            constants.data_fit_scale,
        )
        self._constants, self._state, self._dtype = constants, state, dtype

    @property
    def dtype(self) -> Any:
        """What records are rounded to."""
        return self._dtype

    @cached_property
    def _output(self) -> Float[Array, "q r"]:
        return activations(self._constants, self._state)[-1]

    @property
    def on_range(self) -> Float[Array, "d r"]:
        """W_{L:1} U."""
        return multiply(self._constants.blocks.output_basis, self._output / self.data.inputs)

    @cached_property
    def off_range(self) -> Float[Array, "d off"]:
        """W_{L:1} V_perp; see `off_range.OffRange`."""
        blocks, scales = self._constants.blocks, self._state.scales
        seen: list[Array] = []
        value = scales[0] * blocks.off_start[0]
        for j in range(1, len(blocks.off_start)):
            seen.append(multiply(self._state.corrections[j], value))
            value = jnp.prod(scales[: j + 1]) * blocks.off_start[j]
            for i, vector in enumerate(seen, start=1):
                block = jnp.prod(scales[i + 1 : j + 1]) * blocks.off_blocks[j][i - 1]
                value = value + multiply(block, vector)
        return value

    @cached_property
    def first_off_gain(self) -> Float[Array, ""]:
        """||W_1 V_perp||_op; that part of the first layer only decays."""
        return self._state.scales[0] * self._constants.blocks.first_off_gain

    @cached_property
    def squared_residual(self) -> Float[Array, ""]:
        """The sum of the residual's squares, infinite where its records are."""
        return super().squared_residual.astype(self._dtype)

    @cached_property
    def squared_error(self) -> Float[Array, ""]:
        """||W_{L:1} Y - X||_F^2 over all samples."""
        constants = self._constants
        inside = jnp.sum((self._output - constants.targets) ** 2)
        missing = self.data.targets - multiply(constants.blocks.output_basis, constants.targets)
        return inside + jnp.sum(missing**2) + self.data.residual

    @cached_property
    def squared_weight_norms(self) -> Float[Array, " L"]:
        """||W_i||_F^2 of each layer."""
        blocks, scales = self._constants.blocks, self._state.scales
        pairs = zip(self._state.corrections, blocks.overlaps, strict=True)
        parts = [(jnp.sum(d * overlap), jnp.sum(d**2)) for d, overlap in pairs]
        crossed, trained = (jnp.stack(part) for part in zip(*parts, strict=True))
        norms = scales**2 * blocks.squared_norms + 2 * scales * crossed + trained
        return norms.at[0].add(scales[0] ** 2 * blocks.first_off_norm)

    @cached_property
    def squared_gradient_norm(self) -> Float[Array, ""]:
        """Sum over layers of the squared Frobenius norm of the loss's gradient, decay included.

        With O_i = B_i^T W_i(0) F_{i-1} the gradient of layer i is, within the bases and outside
        them, where nothing is trained,

            b_i f_{i-1}^T + lambda (c_i O_i + D_i),  lambda c_i (W_i(0) - B_i O_i F_{i-1}^T).

        Not by squares of their sums: near a stationary point those cancel.
        """
        constants, scales = self._constants, self._state.scales
        forward = activations(constants, self._state)
        backward = signals(constants, self._state, forward[-1] - constants.targets)
        total = scales[0] ** 2 * constants.blocks.first_off_norm * self.weight_decay**2
        layers = zip(
            forward,
            backward,
            self._state.corrections,
            constants.blocks.overlaps,
            scales,
            constants.blocks.squared_norms,
            strict=False,
        )
        for f, b, trained, overlap, scale, norm in layers:
            within = multiply(b, f.T) + self.weight_decay * (scale * overlap + trained)
            outside = norm - jnp.sum(overlap**2)
            # Of whole bases nothing is left but what is rounded.
            outside = jnp.where(outside > _WHOLE * norm, outside, 0.0)
            total += jnp.sum(within**2) + (self.weight_decay * scale) ** 2 * outside
        return total


@dataclass(frozen=True)
class ReducedKernel(Kernel):
    """Gradient descent, with or without momentum, in coordinates of the visited spaces.

    Attributes:
        precision: What records are rounded to; arithmetic is float64.
        fused: See `compact_descent.advance`.
        jumps: Whether runs may jump, each at its own pace; see `jumps.py`.
        far: Whether jumps may be longer than stages reach; see `far.py`.
    """

    precision: str
    fused: bool = False
    jumps: bool = False
    far: bool = False

    def start(
        self,
        constants: Constants,
        record: dict[str, Float[Array, ""]],
        test: Any = None,
    ) -> tuple[Inputs, Carry]:
        """Make a run's inputs and its state at step 0."""
        state = compact_descent.start(constants, self.training.optimizer != "gradient_descent")
        if self.jumps:
            state = state._replace(counts=jnp.zeros(2, jnp.int64))
        inputs = Inputs(constants, constants.weight_decay, record, test)
        return inputs, self.carry(state)

    def view(self, inputs: Inputs, carry: Carry) -> LinearView:
        """Return the view of the state that observables see."""
        view = ReducedView(inputs.constants, carry.state, jnp.dtype(self.precision))
        view.test = inputs.test
        return view

    def advance(self, inputs: Inputs, state: State, step: Array, stop: Array) -> State:
        """Return the state after the steps `step`, ..., `stop` - 1."""
        constants = inputs.constants
        if self.jumps:
            state, step = jumps.before_record(
                constants,
                state,
                step,
                stop,
                fused=self.fused,
                momentum=self._momentum(constants),
                far=self.far,
            )
        if state.memory:
            of_run = partial(self._step, constants)
            return one_by_one(of_run, state, step, stop, early_exit=self.early_exit)
        return compact_descent.advance(
            constants, state, step, stop, early_exit=self.early_exit, fused=self.fused
        )

    def _momentum(self, constants: Constants) -> Momentum | None:
        if self.training.optimizer == "gradient_descent":
            return None
        return Momentum(self.training.optimizer == "nesterov", partial(self._step, constants))

    def _step(self, constants: Constants, state: State, now: Array) -> State:
        forward = activations(constants, state)
        residual = forward[-1] - constants.targets
        within = jnp.sum(residual**2) <= constants.limit
        active = state.active & within
        diverged_step = jnp.where(state.active & ~within, now, state.diverged_step)
        backward = signals(constants, state, residual)
        decays = constants.rates * constants.weight_decay
        changes = [
            -decays[j] * state.corrections[j]
            - multiply(constants.rates[j] * backward[j], forward[j].T)
            for j in range(len(state.corrections))
        ]
        changes.append(-decays * state.scales)
        # optax.trace: the memory is kept first, and Nesterov's step looks ahead by it.
        beta = constants.momentum
        memory = tuple(c + beta * m for c, m in zip(changes, state.memory, strict=True))
        if self.training.optimizer == "nesterov":
            changes = [c + beta * m for c, m in zip(changes, memory, strict=True)]
        else:
            changes = list(memory)
        old = (*state.corrections, state.scales)
        *corrections, scales = (x + c for x, c in zip(old, changes, strict=True))
        new = State(tuple(corrections), scales, memory, active, diverged_step, state.counts)
        kept = state._replace(active=active, diverged_step=diverged_step)
        return jax.tree.map(lambda x, y: jnp.where(active, x, y), new, kept)


def constants_of(prepared: Prepared, sizes: Sizes, data: Reduced, descent: Descent) -> Constants:
    """Return the constants of a run in the leading directions of its spaces, as NumPy arrays.

    Args:
        prepared: The run's spaces.
        sizes: The numbers of directions; where a space has fewer, all of them.
        data: The reduced samples.
        descent: The numbers of the run.
    """
    reduction = prepared.reduction
    chain, off, left = reduction.truncated(sizes)
    network = reduction.pilot.network
    # NumPy arrays stand in for JAX's until the program takes them.
    array: Any = Constants
    blocks: Any = Blocks
    return array(
        data=data,
        targets=chain.descent.targets,
        forward=tuple(chain.forward),
        mixed=tuple(np.diagonal(g).copy() for g in chain.mixed),
        backward=tuple(chain.backward[1:]),
        rates=descent.rates,
        weight_decay=np.float64(descent.weight_decay),
        data_fit_scale=np.float64(descent.data_fit_scale),
        momentum=np.float64(descent.momentum),
        blocks=blocks(
            output_basis=left,
            off_start=tuple(off.start),
            off_blocks=tuple(map(tuple, off.blocks)),
            overlaps=tuple(reduction.overlaps(sizes)),
            squared_norms=network.squared_norms,
            first_off_norm=np.sum(network.first_off**2),
            first_off_gain=_largest_value(network.first_off),
        ),
        limit=np.asarray(_limit(chain, data, descent)),
    )


def _limit(chain: Chain, data: Reduced, descent: Descent) -> Any:
    """Return the squared error beyond which a run has diverged."""
    first = chain.activations()[-1] - chain.descent.targets
    size = float(data.signal_norm)
    return squared_limit(
        np.sum(first**2), size**2, descent.divergence_factor, np.float64, np, data.inputs[0]
    )


def _largest_value(matrix: np.ndarray) -> np.float64:
    if not matrix.size or not np.all(np.isfinite(matrix)):
        return np.float64(np.nan if matrix.size else 0.0)
    return np.float64(np.linalg.norm(matrix, 2))


def stacked(constants: list[Constants]) -> Constants:
    """Stack runs along a leading axis, each matrix padded with zeros to the largest.

    Zeros are exact: a direction that a run does not have never moves.
    """

    def join(*leaves: Any) -> np.ndarray:
        arrays = [np.asarray(leaf) for leaf in leaves]
        shape = tuple(int(max(sizes)) for sizes in zip(*(a.shape for a in arrays), strict=True))
        whole = np.zeros((len(arrays), *shape), arrays[0].dtype)
        for lane, array in enumerate(arrays):
            whole[(lane, *map(slice, array.shape))] = array
        return whole

    return jax.tree.map(join, *constants)
