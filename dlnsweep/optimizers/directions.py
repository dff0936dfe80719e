"""The optimizers as optax transformations; plain gradient descent has a kernel of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from dlnsweep.contracts.optimizer import OPTIMIZERS, Optimizer
from dlnsweep.numerics.lazy import jax, jnp, optax
from dlnsweep.optimizers.adafactor import scale_by_adafactor
from dlnsweep.optimizers.asking import add_noise, scale_by_fromage, scale_by_polyak
from dlnsweep.optimizers.muon import scale_by_muon
from dlnsweep.optimizers.radam import scale_by_radam
from dlnsweep.optimizers.rprop import scale_by_rprop
from dlnsweep.settings.optimizers import CHOICES, HYPERPARAMETERS
from dlnsweep.settings.training import TrainingSettings

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Int
    from optax import GradientTransformation

    _Direction = Callable[[TrainingSettings], GradientTransformation]


class GroupRmspropState(NamedTuple):
    """The state of `scale_by_group_rms`.

    Attributes:
        steps: Steps taken.
        average: v.
    """

    steps: Int[Array, ""]
    average: Float[Array, ""]


def scale_by_group_rms(decay: Any, epsilon: Any) -> GradientTransformation:
    """Divide the whole gradient by one running root of its squared norm (GroupRMSprop).

    With g the gradients of all parameters together, v(0) = 0 and t = 1, 2, ...

        v(t) = alpha v(t-1) + (1 - alpha) ||g||^2,
        direction(t) = g / (sqrt(v(t) / (1 - alpha^t)) + eps)

    so that all parameters share one step size, as in gradient descent.

    Args:
        decay: alpha in [0, 1).
        epsilon: eps > 0.

    References:
        Arora, Cohen, Hu, Luo 2019, arXiv:1905.13655, appendix on the experiments' details.
    """

    def init(params: Any) -> Any:
        dtype = jnp.result_type(*jax.tree.leaves(params))
        return GroupRmspropState(jnp.zeros((), jnp.int32), jnp.zeros((), dtype))

    def update(updates: Any, state: Any, params: Any = None) -> Any:
        del params
        squares = sum(jnp.sum(g**2) for g in jax.tree.leaves(updates))
        average = decay * state.average + (1 - decay) * squares
        steps: Any = optax.safe_increment(state.steps)
        unbiased = average / (1 - decay ** steps.astype(average.dtype))
        factor = 1 / (jnp.sqrt(unbiased) + epsilon)
        return jax.tree.map(lambda g: factor * g, updates), GroupRmspropState(steps, average)

    return optax.GradientTransformation(init, update)


def _heavy_ball(settings: TrainingSettings, nesterov: bool) -> GradientTransformation:
    return optax.trace(decay=settings.momentum, nesterov=nesterov)


def _adam(settings: TrainingSettings) -> GradientTransformation:
    return optax.scale_by_adam(b1=settings.beta1, b2=settings.beta2, eps=settings.epsilon)


def _rmsprop(settings: TrainingSettings) -> GradientTransformation:
    return optax.scale_by_rms(decay=settings.rmsprop_decay, eps=settings.epsilon, eps_in_sqrt=False)


def _moments(settings: TrainingSettings) -> dict[str, Any]:
    return {"b1": settings.beta1, "b2": settings.beta2}


def _nadam(settings: TrainingSettings) -> GradientTransformation:
    return optax.scale_by_adam(**_moments(settings), eps=settings.epsilon, nesterov=True)


def _adamax(settings: TrainingSettings) -> GradientTransformation:
    return optax.scale_by_adamax(**_moments(settings), eps=settings.epsilon)


def _decayed(direction: _Direction) -> _Direction:
    """Return a direction with the weight decay beside it, as AdamW has it."""

    def decayed(settings: TrainingSettings) -> GradientTransformation:
        return optax.chain(direction(settings), optax.add_decayed_weights(settings.weight_decay))

    return decayed


def _optimistic(settings: TrainingSettings) -> GradientTransformation:
    """With g the gradients, (1 + beta) g_t - beta g_{t-1}, and the first one as it is."""
    return optax.scale_by_optimistic_gradient(alpha=1.0, beta=settings.optimism)


def _lars(settings: TrainingSettings) -> GradientTransformation:
    # The learning rate multiplies the sum, as in momentum; published it is in the sum, which is the
    # same while it is constant.
    ratio = optax.scale_by_trust_ratio(trust_coefficient=settings.trust_coefficient)
    return optax.chain(ratio, _heavy_ball(settings, nesterov=False))


def _adabelief(settings: TrainingSettings) -> GradientTransformation:
    epsilon = settings.adabelief_epsilon
    return optax.scale_by_belief(**_moments(settings), eps=epsilon, eps_root=epsilon)


def _lamb(settings: TrainingSettings) -> GradientTransformation:
    return optax.chain(_decayed(_adam)(settings), optax.scale_by_trust_ratio())


def _adan(settings: TrainingSettings) -> GradientTransformation:
    return optax.scale_by_adan(
        settings.adan_beta1, settings.adan_beta2, settings.adan_beta3, settings.epsilon
    )


def _muon(settings: TrainingSettings) -> GradientTransformation:
    return scale_by_muon(settings.muon_beta, settings.epsilon, _nadam(settings))


def _rprop(settings: TrainingSettings) -> GradientTransformation:
    return scale_by_rprop(
        settings.rprop_shrink, settings.rprop_grow, settings.rprop_least, settings.rprop_most
    )


def _adafactor(settings: TrainingSettings) -> GradientTransformation:
    return scale_by_adafactor(
        settings.adafactor_decay,
        settings.adafactor_epsilon,
        settings.adafactor_clipping,
        settings.adafactor_least_scale,
        relative=settings.adafactor_steps == "relative",
        factored_from=settings.adafactor_factored_from,
    )


def _noisy(settings: TrainingSettings) -> GradientTransformation:
    return add_noise(settings.noisy_sgd_variance, settings.noisy_sgd_decay)


def _polyak(settings: TrainingSettings) -> GradientTransformation:
    return scale_by_polyak(
        settings.polyak_least_loss, settings.polyak_largest_rate, settings.polyak_epsilon
    )


_paddable = partial(Optimizer, paddable=True)

OURS = (
    _paddable("gradient_descent", lambda _: optax.identity(), isotropic=True),
    _paddable("momentum", lambda settings: _heavy_ball(settings, nesterov=False), isotropic=True),
    _paddable("nesterov", lambda settings: _heavy_ball(settings, nesterov=True), isotropic=True),
    _paddable("adam", _adam, source="arXiv:1412.6980"),
    # AdamW applies weight decay to the weights itself; for the others it is part of the gradient.
    _paddable("adamw", _decayed(_adam), decoupled_decay=True, source="arXiv:1711.05101"),
    _paddable("rmsprop", _rmsprop),
    _paddable(
        "group_rmsprop",
        lambda settings: scale_by_group_rms(
            settings.group_rmsprop_decay, settings.group_rmsprop_epsilon
        ),
        isotropic=True,
        source="arXiv:1905.13655",
    ),
    # As published (Duchi et al. 2011): nothing is added to the sum of squares.
    _paddable("adagrad", lambda _: optax.scale_by_rss(initial_accumulator_value=0.0, eps=0.0)),
    _paddable(
        "adadelta",
        lambda settings: optax.scale_by_adadelta(
            rho=settings.adadelta_decay, eps=settings.adadelta_epsilon
        ),
        source="arXiv:1212.5701",
    ),
    _paddable("sign_descent", lambda _: optax.scale_by_sign(), source="arXiv:1802.04434"),
    _paddable(
        "lion",
        lambda settings: optax.scale_by_lion(settings.beta1, settings.lion_beta2),
        source="arXiv:2302.06675",
    ),
    _paddable("adamax", _adamax, source="arXiv:1412.6980"),
    _paddable("nadam", _nadam),
    _paddable(
        "amsgrad",
        lambda settings: optax.scale_by_amsgrad(**_moments(settings), eps=settings.epsilon),
        source="arXiv:1904.09237",
    ),
    _paddable(
        "radam",
        lambda settings: scale_by_radam(settings.beta1, settings.beta2, settings.epsilon),
        source="arXiv:1908.03265",
    ),
    _paddable("adabelief", _adabelief, source="arXiv:2010.07468"),
    # Its averages begin at 1e-6, so that it moves what has no gradient.
    Optimizer(
        "yogi",
        lambda settings: optax.scale_by_yogi(**_moments(settings), eps=settings.yogi_epsilon),
    ),
    _paddable(
        "novograd",
        lambda settings: optax.scale_by_novograd(settings.beta1, settings.novograd_beta2),
        source="arXiv:1905.11286",
    ),
    # As AdamW, by the ratio of a layer's norm to that of its direction.
    _paddable("lamb", _lamb, decoupled_decay=True, source="arXiv:1904.00962"),
    _paddable("adan", _decayed(_adan), decoupled_decay=True, source="arXiv:2208.06677"),
    # Its steps go with the shape of a matrix.
    Optimizer("muon", _decayed(_muon), decoupled_decay=True, source="arXiv:2502.16982"),
    _paddable("nadamw", _decayed(_nadam), decoupled_decay=True),
    _paddable("adamaxw", _decayed(_adamax), decoupled_decay=True),
    _paddable(
        "optimistic_gradient_descent", _optimistic, isotropic=True, source="arXiv:1711.00141"
    ),
    _paddable(
        "optimistic_adam",
        lambda settings: optax.chain(_adam(settings), _optimistic(settings)),
        source="arXiv:1711.00141",
    ),
    # As published: nothing forgets, and nothing is added under the root.
    _paddable(
        "sm3",
        lambda settings: optax.scale_by_sm3(b1=settings.beta1, b2=1.0, eps=0.0),
        source="arXiv:1901.11150",
    ),
    _paddable("lars", _lars, source="arXiv:1708.03888"),
    _paddable("rprop", _rprop),
    _paddable("fromage", lambda _: scale_by_fromage(), asks=("rates",), source="arXiv:2002.03432"),
    # Its means go with the shape of a matrix.
    Optimizer("adafactor", _decayed(_adafactor), decoupled_decay=True, source="arXiv:1804.04235"),
    Optimizer("noisy_sgd", _noisy, asks=("key",), source="arXiv:1511.06807"),
    _paddable("polyak_sgd", _polyak, asks=("value",), source="arXiv:2002.10542"),
)


def direction_of(
    name: str, numbers: Mapping[str, Any], training: Any = None
) -> GradientTransformation:
    """Return the direction of an optimizer, which is given its own numbers and no other's.

    Args:
        name: Its name.
        numbers: The numbers of [training] by name; they may be tracers.
        training: What `CHOICES` are read of; by default they are as they are if none is given.
    """
    own = {
        key: value for key, value in numbers.items() if name in HYPERPARAMETERS.get(key, (name,))
    }
    for key, users in CHOICES.items():
        if name in users:
            default = TrainingSettings.model_fields[key].default
            own[key] = default if training is None else getattr(training, key)
    return OPTIMIZERS[name].direction(SimpleNamespace(optimizer=name, **own))


def direct(
    name: str,
    direction: Any,
    gradients: Any,
    state: Any,
    params: Any,
    asked: Mapping[str, Callable[[], Any]],
) -> tuple[Any, Any]:
    """Return the directions of a step and the optimizer's state after it.

    Args:
        name: The optimizer's name.
        direction: What `direction_of` returns.
        gradients: The gradients of the objective.
        state: The optimizer's state.
        params: The parameters.
        asked: What it may ask for, by the words of `ASKED`: functions, called if it does.
    """
    more = {word: asked[word]() for word in OPTIMIZERS[name].asks}
    return direction.update(gradients, state, params, **more)


def couples_decay(name: str) -> bool:
    """Return whether the weight decay is part of the gradient that an optimizer is given."""
    return not OPTIMIZERS[name].decoupled_decay
