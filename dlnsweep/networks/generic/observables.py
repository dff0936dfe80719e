"""Observables of networks in pure functions: of their parameters as one vector, and answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlnsweep.contracts.observable import observable
from dlnsweep.errors import SpecError
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.settings.sections import RecordSettings

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.networks.generic.descent import GenericView


@observable(
    "parameter_norm",
    r"norm of the parameters $\|\theta\|$",
    "square root of the sum of the squares of all parameters that are trained",
    views=("parameters",),
)
def _parameter_norm(view: GenericView, record: RecordSettings) -> Float[Array, ""]:
    return jnp.sqrt(view.squared_norm)


@observable(
    "parameter_distance",
    r"distance of the parameters $\|\theta(t)-\theta(0)\|$",
    "distance of all parameters that are trained from those of step 0",
    views=("parameters",),
    needs_initial=True,
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
)
def _test_loss(view: GenericView, record: RecordSettings) -> Float[Array, ""]:
    from dlnsweep.networks.generic.descent import Samples

    assert view.test is not None
    fresh = Samples(view.test.measurements, view.test.signals)
    return view.kernel.fit(view.params, view.constants, fresh)


def _check_shapes(name: str, outputs: Any, targets: Any) -> None:
    """Refuse outputs that would broadcast."""
    if outputs.shape != targets.shape:
        raise SpecError(
            f"record.observables names '{name}', which compares outputs with targets; the network "
            f"has outputs of shape {outputs.shape} for targets of shape {targets.shape}."
        )


def _share_right(name: str, outputs: Any, targets: Any) -> Float[Array, ""]:
    """Return the share of samples whose class is right."""
    _check_shapes(name, outputs, targets)
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
)
def _accuracy(view: GenericView, record: RecordSettings) -> Float[Array, ""]:
    return _share_right("accuracy", view.output(view.data.inputs), view.data.targets)


@observable(
    "test_accuracy",
    "test accuracy",
    "the same on fresh samples without noise",
    needs_test_samples=True,
    views=("parameters",),
)
def _test_accuracy(view: GenericView, record: RecordSettings) -> Float[Array, ""]:
    assert view.test is not None
    return _share_right("test_accuracy", view.output(view.test.measurements), view.test.signals)


@observable(
    "least_norm_distance",
    r"least-norm distance $\|f(Y')-XY^+Y'\|_F\,/\,\|X'\|_F$",
    "distance on fresh samples, over the norm of their targets, from X Y^+, the linear map of "
    "least norm among those with the least error on the training samples",
    needs_test_samples=True,
    reads=(),
    views=("parameters",),
)
def _least_norm_distance(view: GenericView, record: RecordSettings) -> Float[Array, ""]:
    from dlnsweep.numerics.products import multiply

    assert view.test is not None
    outputs = view.output(view.test.measurements)
    _check_shapes("least_norm_distance", outputs, view.test.signals)
    # What counts as zero among the singular values goes with the precision of training.
    least = multiply(view.data.targets, jnp.linalg.pinv(view.data.inputs))
    apart = outputs - multiply(least, view.test.measurements)
    return jnp.linalg.norm(apart) / jnp.linalg.norm(view.test.signals)
