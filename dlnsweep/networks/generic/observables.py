"""Observables of networks in pure functions: of their parameters as one vector, and answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlnsweep.contracts.observable import observable
from dlnsweep.errors import SpecError
from dlnsweep.numerics.lazy import jax, jnp, lax
from dlnsweep.settings.sections import RecordSettings

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.networks.generic.view import GenericView

# Gradients of single samples that are held together.
_AT_ONCE = 64


@observable(
    "parameter_norm",
    r"norm of the parameters $\|\theta\|$",
    "square root of the sum of the squares of all parameters that are trained",
    views=("parameters", "parametrized", "population"),
    basis_free=True,
)
def _parameter_norm(view: GenericView, record: RecordSettings) -> Float[Array, ""]:
    return jnp.sqrt(view.squared_norm)


@observable(
    "parameter_distance",
    r"distance of the parameters $\|\theta(t)-\theta(0)\|$",
    "distance of all parameters that are trained from those of step 0",
    views=("parameters", "parametrized", "population"),
    needs_initial=True,
    basis_free=True,
)
def _parameter_distance(view: GenericView, record: RecordSettings) -> Float[Array, ""]:
    from dlnsweep.networks.generic.steps import sum_of_squares

    moved = jax.tree.map(jnp.subtract, view.params, view.initial)
    return jnp.sqrt(sum_of_squares(moved))


@observable(
    "test_loss",
    "loss on fresh samples",
    "the network's loss on fresh samples without noise, as training has it (a sum over samples is "
    "one over num_test_samples), without decay and data-fit scale",
    needs_test_samples=True,
    views=("parameters",),
    basis_free=True,
)
def _test_loss(view: GenericView, record: RecordSettings) -> Float[Array, ""]:
    from dlnsweep.networks.generic.state import Samples

    assert view.test is not None
    fresh = Samples(view.test.measurements, view.test.signals)
    return view.kernel.fit(view.params, view.constants, fresh)


def check_shapes(name: str, outputs: Any, targets: Any) -> None:
    """Refuse outputs that would broadcast."""
    if outputs.shape != targets.shape:
        raise SpecError(
            f"record.observables names '{name}', which compares outputs with targets; the network "
            f"has outputs of shape {outputs.shape} for targets of shape {targets.shape}."
        )


def _share_right(name: str, outputs: Any, targets: Any) -> Float[Array, ""]:
    """Return the share of samples whose class is right."""
    check_shapes(name, outputs, targets)
    if targets.shape[0] == 1:
        # An output of zero is no answer.
        right = jnp.sign(outputs[0]) * jnp.sign(targets[0]) > 0
    else:
        right = jnp.argmax(outputs, axis=0) == jnp.argmax(targets, axis=0)
    return jnp.mean(right, dtype=outputs.dtype)


@observable(
    "accuracy",
    "training accuracy",
    "share of the training samples on which the largest output is where the largest target is; of "
    "networks of one output: on which it has the target's sign",
    views=("parameters",),
    basis_free=True,
)
def _accuracy(view: GenericView, record: RecordSettings) -> Float[Array, ""]:
    return _share_right("accuracy", view.output(view.data.inputs), view.data.targets)


@observable(
    "test_accuracy",
    "test accuracy",
    "the same on fresh samples without noise",
    needs_test_samples=True,
    views=("parameters",),
    basis_free=True,
)
def _test_accuracy(view: GenericView, record: RecordSettings) -> Float[Array, ""]:
    assert view.test is not None
    return _share_right("test_accuracy", view.output(view.test.measurements), view.test.signals)


@observable(
    "margin",
    r"margin $\min_i x_i f(y_i)\,/\,\|\theta\|^L$",
    "least x_i f(y_i) of the training samples, x_i being the sign of the target, over ||theta||^L "
    "(arXiv:1906.05890); of several outputs that of the largest target less the largest other one. "
    "L is the degree in which f is homogeneous in the parameters that are trained, theta: of "
    "diagonal_linear and of an mlp of linear layers or relu its depth, of quadratic 2^depth - 1; "
    "linear_attention 2 or 3. An mlp with biases or a centred output, or of which not all layers "
    "are trained, has another one or none",
    views=("parameters",),
    basis_free=True,
)
def _margin(view: GenericView, record: RecordSettings) -> Float[Array, ""]:
    degree = view.kernel.network.structure.degree(view.kernel.settings)
    if not degree:
        raise SpecError(
            "record.observables names 'margin', which is over a power of the parameters' norm: "
            "with these settings the network is not homogeneous in them, as far as is known. Leave "
            "it out, or take a homogeneous network (mlp: no biases, activation linear, relu or "
            "quadratic, output not centred)."
        )
    outputs, targets = view.output(view.data.inputs), view.data.targets
    check_shapes("margin", outputs, targets)
    return jnp.min(answer_margins(outputs, targets)) * view.squared_norm ** (-degree / 2)


def answer_margins(
    outputs: Float[Array, "d n"], targets: Float[Array, "d n"]
) -> Float[Array, " n"]:
    """Return by how much each sample's answer is right; not positive where it is wrong."""
    if targets.shape[0] == 1:
        return jnp.sign(targets[0]) * outputs[0]
    own = jnp.arange(targets.shape[0])[:, None] == jnp.argmax(targets, axis=0)
    right = jnp.sum(jnp.where(own, outputs, 0.0), axis=0)
    return right - jnp.max(jnp.where(own, -jnp.inf, outputs), axis=0)


@observable(
    "gradient_noise",
    r"gradient noise $\mathrm{tr}\,\mathrm{Cov}(g_i)$",
    "trace of the covariance of the gradients that single training samples give, (1/n) sum_i "
    "||g_i - g||^2 with g their mean: of minibatches of b drawn with replacement the gradient's is "
    "1/b of it. g_i is what a minibatch of sample i gives (data-fit scale included, n times sample "
    "i's term of a loss that is a sum), without label noise, perturbation and clipping. A record "
    "costs about as much as a few steps",
    views=("parameters",),
    basis_free=True,
)
def _gradient_noise(view: GenericView, record: RecordSettings) -> Float[Array, ""]:
    from dlnsweep.networks.generic.state import Samples
    from dlnsweep.networks.generic.steps import sum_of_squares

    kernel, samples = view.kernel, view.data
    total = samples.targets.shape[-1]
    scale = view.constants.numbers["data_fit_scale"].astype(view.dtype)
    weight = scale * (total if kernel.reduction == "sum" else 1)

    def gradient(factor: Any, inputs: Any, targets: Any) -> Any:
        def loss(params: Any) -> Any:
            return factor * kernel.fit(params, view.constants, Samples(inputs, targets))

        return jax.grad(loss)(view.params)

    mean = gradient(scale, *samples)

    def distance(i: Any) -> Any:
        own = (lax.dynamic_slice_in_dim(each, i, 1, axis=-1) for each in samples)
        return sum_of_squares(jax.tree.map(jnp.subtract, gradient(weight, *own), mean))

    found = lax.map(distance, jnp.arange(total), batch_size=min(total, _AT_ONCE))
    return jnp.mean(found)


@observable(
    "loss_increase",
    "share of steps that raise the loss",
    "1 where the next step of gradient descent, as training takes it, raises the loss (decay and "
    "data-fit scale included, on all samples), else 0: the mean over records is the share of such "
    "steps among those recorded; counting all of them would be work in each step. Where nothing "
    "moves any more, rises are rounding. A record costs two or three steps",
    views=("parameters", "parametrized"),
    basis_free=True,
)
def _loss_increase(view: GenericView, record: RecordSettings) -> Float[Array, ""]:
    from dlnsweep.contracts.descent import Inputs
    from dlnsweep.networks.generic import flow
    from dlnsweep.networks.generic.state import State
    from dlnsweep.numerics.compensated import nothing_lost

    kernel, params = view.kernel, view.params
    optimizer = kernel.training.optimizer
    if optimizer != "gradient_descent":
        raise SpecError(
            "record.observables names 'loss_increase', which takes the next step from the "
            f"parameters alone; training.optimizer is '{optimizer}', whose step depends on earlier "
            'ones, too. Leave it out, or take "gradient_descent".'
        )
    if kernel.training.ema_decay:
        raise SpecError(
            "record.observables names 'loss_increase', which takes the next step from what is "
            "recorded; training.ema_decay records an average that no step is taken from. Leave "
            "one of them out."
        )
    none, leaves = -jnp.ones((), jnp.int64), tuple(jax.tree.leaves(params))
    length = flow.begun() if kernel.training.flow_tolerance else None
    state = State(params, length, jnp.ones((), bool), none, nothing_lost(leaves))
    inputs = Inputs(view.constants, view.constants.numbers["weight_decay"], {}, None)
    moved = kernel.advance(inputs, state, view.step, view.step + 1).params
    return view.landscape.objective(moved) > view.loss


@observable(
    "least_norm_distance",
    r"least-norm distance $\|f(Y')-XY^+Y'\|_F\,/\,\|X'\|_F$",
    "distance on fresh samples, over the norm of their targets, from X Y^+, the linear map of "
    "least norm among those with the least error on the training samples",
    needs_test_samples=True,
    reads=(),
    views=("parameters",),
    basis_free=True,
)
def _least_norm_distance(view: GenericView, record: RecordSettings) -> Float[Array, ""]:
    from dlnsweep.numerics.products import multiply

    assert view.test is not None
    outputs = view.output(view.test.measurements)
    check_shapes("least_norm_distance", outputs, view.test.signals)
    # What counts as zero among the singular values goes with the precision of training.
    least = multiply(view.data.targets, jnp.linalg.pinv(view.data.inputs))
    # On the span of the training inputs, fresh ones have more coordinates, which it does not see.
    seen = view.test.measurements[: view.data.inputs.shape[0]]
    apart = outputs - multiply(least, seen)
    return jnp.linalg.norm(apart) / jnp.linalg.norm(view.test.signals)
