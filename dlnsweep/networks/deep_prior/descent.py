"""Gradient descent on the network g(u) = V phi(W u) / sqrt(k) with a fixed input u, ||u|| = 1.

The loss L_y(A g(u)) has the gradient D u^T with respect to W (k, d), where (derived)

    z = W u,   h = phi(z),   B = A V / sqrt(k),   v = B h,   s = grad L_y(v),   D = phi'(z) * B^T s.

So W(t) = W(0) + a(t) u^T, and since ||u|| = 1 gradient descent with step gamma is exactly

    z <- z - gamma phi'(z) * B^T s,         ||W(t) - W(0)||_F = ||z(t) - z(0)||:

a step costs two products with the m x k matrix B, whatever d is. For W(0) standard Gaussian z(0) is
N(0, I_k), whatever u and d are; so z(0) is drawn, and W never formed. Where V is trained too its
gradient is A^T s h^T / sqrt(k), so V(t) = V(0) + A^T C(t), and with G = A A^T

    v = B h + G C h / sqrt(k),             D = phi'(z) * (B^T s + C^T G s / sqrt(k)),
    C <- C - gamma s h^T / sqrt(k),

exactly again: n does not enter a step either. A run's own k, m, n may be smaller than the arrays;
what is beyond is zero, and stays so: a neuron with a zero column of V has a zero gradient.

Equations (13), (14) of arXiv:2403.05395 and its theorem are what the observables are about; its
J_g is the Jacobian of g(u, .) at theta, (n, k d), or (n, k d + n k) where V is trained.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float, Int

from dlnsweep.contracts.descent import Carry, Inputs, Kernel, one_by_one
from dlnsweep.networks.deep_prior.view import (
    Constants,
    PriorView,
    activate,
    loss_curvature,
    loss_slope,
    measured,
)
from dlnsweep.numerics.compensated import Matrices, add_all, nothing_lost
from dlnsweep.numerics.lazy import jnp
from dlnsweep.numerics.products import multiply
from dlnsweep.numerics.spectra import guarded


class State(NamedTuple):
    """What changes during a run.

    Attributes:
        hidden: z = W u.
        change: C, with V(t) = V(0) + A^T C; None where V is not trained.
        step: The number of steps taken.
        lost: What has been rounded off z, and C, so far; see `compensated.py`.
        active: False once the run has diverged or was stopped; an inactive run does not change.
        diverged_step: First step at which it had diverged (see `divergence.py`), or -1.
    """

    hidden: Float[Array, " k"]
    change: Float[Array, "m k"] | None
    step: Int[Array, ""]
    active: Bool[Array, ""]
    diverged_step: Int[Array, ""]
    lost: Matrices


@dataclass(frozen=True)
class PriorKernel(Kernel):
    """Gradient descent on z = W u, and on V where it is trained.

    Attributes:
        activation: phi.
        loss_name: L_y.
        both: Whether V is trained.
    """

    activation: str
    loss_name: str
    both: bool

    def start(
        self, constants: Constants, record: dict[str, Float[Array, ""]], divergence_factor: Any
    ) -> tuple[Inputs, Carry]:
        """Make a run's inputs and its state at step 0.

        `constants.learning_rate` is eta of the sweep; under the step rule "curvature" it becomes
        eta / P, with P = sigma_max(A J_g(0))^2 times a bound of the curvature of L_y.
        """
        change = jnp.zeros_like(constants.product) if self.both else None
        none = -jnp.ones((), jnp.int64)
        trained = (constants.start,) if change is None else (constants.start, change)
        lost = nothing_lost(trained)
        state = State(constants.start, change, none + 1, jnp.ones((), bool), none, lost)
        if self.training.step_rule == "curvature":
            rate = constants.learning_rate / self._curvature(constants, state)
            constants = constants._replace(learning_rate=rate)
        made, carry = (
            Inputs(constants, jnp.zeros((), jnp.float64), record, None),
            self.carry(state),
        )
        norm = jnp.linalg.norm(constants.measurements)
        return self.bounded(made, carry, norm, divergence_factor), carry

    def _curvature(self, constants: Constants, state: State) -> Float[Array, ""]:
        view = self._view(constants, state)
        scaled = constants.product * activate(self.activation, state.hidden)[1]
        square = multiply(scaled, scaled.T)
        if constants.gram is not None:
            h = activate(self.activation, state.hidden)[0]
            own = jnp.arange(h.shape[0]) < constants.sizes.width
            share = jnp.sum(jnp.where(own, h, 0.0) ** 2)
            square += constants.gram * (share / constants.root_width.astype(h.dtype) ** 2)
        largest = guarded(lambda s: jnp.linalg.eigvalsh(s)[-1], square)
        power = constants.loss_power.astype(view.dtype)
        return (largest * loss_curvature(self.loss_name, view.loss, power)).astype(jnp.float64)

    def _view(self, constants: Constants, state: State) -> PriorView:
        return PriorView(
            constants, state.hidden, state.change, state.step, self.activation, self.loss_name
        )

    def view(self, inputs: Inputs, carry: Carry) -> PriorView:
        """Return the view of the state that observables see."""
        return self._view(inputs.constants, carry.state)

    def weights(self, inputs: Inputs, carry: Carry) -> dict[str, Any]:
        """Return z = W u and, where V is trained, C with V = V(0) + A^T C: W is not drawn."""
        del inputs
        kept = {"hidden": carry.state.hidden}
        return kept if carry.state.change is None else kept | {"output_change": carry.state.change}

    def advance(self, inputs: Inputs, state: State, step: Array, stop: Array) -> State:
        """Return the state after the steps `step`, ..., `stop` - 1."""
        of_run = partial(self._step, inputs.constants)
        done = one_by_one(of_run, state, step, stop, early_exit=self.early_exit)
        return done._replace(step=jnp.where(done.active, stop, done.step))

    def _step(self, constants: Constants, state: State, now: Int[Array, ""]) -> State:
        """One step of gradient descent."""
        dtype = state.hidden.dtype
        h, slope = activate(self.activation, state.hidden)
        v = measured(constants, state.change, h)
        within = jnp.sum((v - constants.measurements) ** 2) <= constants.limit
        active = state.active & within
        diverged_step = jnp.where(state.active & ~within, now, state.diverged_step)
        power = constants.loss_power.astype(dtype)
        s = loss_slope(self.loss_name, v, constants.measurements, power)
        back, change, lost = multiply(constants.product.T, s), state.change, list(state.lost)

        def moved(old: Array, place: int, less: Array) -> Array:
            new, rest = add_all(old, tuple(lost[place : place + 1]), -less)
            for value in rest:
                lost[place] = jnp.where(active, value, lost[place])
            return jnp.where(active, new, old)

        rate = constants.learning_rate.astype(dtype)
        if change is not None and constants.gram is not None:
            root = constants.root_width.astype(dtype)
            back += multiply(change.T, multiply(constants.gram, s)) / root
            own = jnp.arange(h.shape[0]) < constants.sizes.width
            change = moved(change, 1, (rate / root) * s[:, None] * jnp.where(own, h, 0.0))
        hidden = moved(state.hidden, 0, rate * slope * back)
        return State(hidden, change, state.step, active, diverged_step, tuple(lost))
