"""A step of one pass: b fresh samples of N(0, I_d), at any d, by their law.

In the coordinates of the span of student and teacher, r of them, a sample x is z ~ N(0, I_r), and
has a part beyond the span. Those parts of b samples matter by their Gram matrix alone, which is
Wishart's with d - r degrees of freedom, L L^T by Bartlett's triangle: the rows of L are their
coordinates in b dimensions more. A step of gradient descent on

    (1/2b) sum_i (f(x_i) - y_i)^2,    y_i = f*(x_i) + tau e_i

moves W in all r + b. Then the coordinates are turned, those of the teacher aside, until the
student's K vectors have K of them again: with S = W beyond the teacher's M, S = R^T Q^T by the QR
decomposition of S^T, and R^T has the same inner products. So W(t) is a run in d dimensions, in
law, exactly: for d from K + M + b to 10^15 a step costs the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jaxtyping import Array, Float, Int

from dlnsweep.networks.generic import steps
from dlnsweep.networks.generic.state import Constants, State
from dlnsweep.networks.population.student import Student
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.products import multiply
from dlnsweep.numerics.streams import bartlett, gaussian, step_keys
from dlnsweep.problems.activations import activated

if TYPE_CHECKING:
    from dlnsweep.networks.generic.descent import GenericKernel

# The key of a run from which its steps draw.
_STREAM = "training/stream"


def samples_of(
    key: Any, spanned: int, count: int, size: Float[Array, ""]
) -> tuple[Float[Array, "r b"], Float[Array, "b b"], Float[Array, " b"]]:
    """Draw fresh samples: along the span, beyond it, and the noise of their targets.

    Args:
        key: A function from purpose to PRNG key, of the step.
        spanned: r.
        count: b.
        size: d.
    """
    along = gaussian(key("data/signals"), spanned, count)
    beyond = bartlett(key("law/1"), key("law/1/chi"), count, size - spanned).T
    return along, beyond, gaussian(key("data/noise"), count, 1)[:, 0]


def one_pass_step(
    kernel: GenericKernel, constants: Constants, state: State, now: Int[Array, ""]
) -> State:
    """Return the state after a step of gradient descent on fresh samples."""
    training, settings = kernel.training, kernel.settings
    teacher, numbers = constants.samples.targets, constants.numbers
    count, known = training.minibatch_size, teacher.readouts.shape[0]
    params: Student = state.params
    spanned = params.neurons.shape[1]
    key = step_keys(constants.keys[_STREAM], now)
    along, beyond, noise = samples_of(key, spanned, count, constants.samples.inputs)
    inputs = jnp.concatenate([along, beyond])
    hidden = activated(settings.activation, multiply(teacher.neurons, along[:known]))
    targets = teacher.readouts @ hidden + teacher.noise * noise

    def objective(params: Student) -> tuple[Array, None]:
        readouts = params.readouts
        if readouts is None:
            assert constants.untrained is not None
            readouts = constants.untrained.readouts
        values = activated(settings.activation, multiply(params.neurons, inputs))
        return jnp.sum((readouts @ values - targets) ** 2) / (2 * count), None

    extended = params._replace(neurons=jnp.pad(params.neurons, ((0, 0), (0, count))))
    (fit, _), gradients = steps.value_and_gradients(training, objective, extended, numbers)
    within = jnp.isfinite(fit)
    active = state.active & within
    scale, decay = numbers["data_fit_scale"], numbers["weight_decay"]
    rates = steps.rates_at(training, constants.rates, numbers, now)
    moved = jax.tree.map(
        lambda p, g, eta: p - eta * (scale * g + decay * p), extended, gradients, rates
    )
    # Only finite numbers are turned.
    free = jnp.where(within, moved.neurons[:, known:], 0.0)
    turned = jnp.linalg.qr(free.T, mode="r").T
    made = moved._replace(neurons=jnp.concatenate([moved.neurons[:, :known], turned], axis=1))
    params = jax.tree.map(lambda new, old: jnp.where(active, new, old), made, params)
    diverged_step = jnp.where(state.active & ~within, now, state.diverged_step)
    return state._replace(params=params, active=active, diverged_step=diverged_step)
