"""The optimizers' names, and which of them read which number of [training]."""

from __future__ import annotations

from dlnsweep.settings.words import Words

OPTIMIZER_WORDS = Words(
    "gradient_descent",
    "momentum",
    "nesterov",
    "adam",
    "adamw",
    "rmsprop",
    "group_rmsprop",
    "adagrad",
    "adadelta",
    "sign_descent",
    "lion",
    "adamax",
    "nadam",
    "amsgrad",
    "radam",
    "adabelief",
    "yogi",
    "novograd",
    "lamb",
    "adan",
    "muon",
    "nadamw",
    "adamaxw",
    "optimistic_gradient_descent",
    "optimistic_adam",
    "sm3",
    "lars",
    "rprop",
    "fromage",
    "adafactor",
    "noisy_sgd",
    "polyak_sgd",
)
_TWO_PLACES = (
    "takes gradients at other weights than those that it ends at, so that records would not be of "
    "what is learned; training.ema_decay records an average of the weights, training.schedule lets "
    "the rate fall"
)
_ONE_LINE = (
    "is in optax.contrib and not here by name; it is one line of a plug-in, as momo and ademamix "
    "are in `dlnsweep guide own_networks`"
)
# What of optax and its contrib the road of a direction and a learning rate does not carry; and what
# it carries, of which no network or result that this package is made for has need by name.
OPTIMIZER_WORDS.absent = {
    "lbfgs": "evaluates the loss anew along each step, in each run another number of times, and "
    "has a rate of its own, which steps of many runs side by side do not have; polyak_sgd has its "
    "rate from the loss, and training.flow_tolerance follows the gradient flow to where it ends",
    **dict.fromkeys(("schedule_free", "schedule_free_sgd", "schedule_free_adamw"), _TWO_PLACES),
    "sophia": "asks for the diagonal of the Hessian, which no optimizer is given; adamw is the "
    "nearest, and record.observables = ['sharpness'] tells of the Hessian",
    "sgd": "is called gradient_descent here, and momentum or nesterov with such",
    **dict.fromkeys(("prodigy", "dadapt_adamw", "ademamix", "adopt", "dog", "momo"), _ONE_LINE),
}
# Those of the family of Adam, which keep two averages.
_ADAMS = (
    *("adam", "adamw", "adamax", "nadam", "amsgrad", "radam", "lamb", "muon"),
    *("nadamw", "adamaxw", "optimistic_adam"),
)

# Which optimizers read which hyperparameter; the others must not be given it.
HYPERPARAMETERS: dict[str, tuple[str, ...]] = {
    "momentum": ("momentum", "nesterov", "lars"),
    "beta1": (*_ADAMS, "lion", "adabelief", "yogi", "novograd", "sm3"),
    "beta2": (*_ADAMS, "adabelief", "yogi"),
    "epsilon": (*_ADAMS, "rmsprop", "adan"),
    "rmsprop_decay": ("rmsprop",),
    "group_rmsprop_decay": ("group_rmsprop",),
    "group_rmsprop_epsilon": ("group_rmsprop",),
    "adadelta_decay": ("adadelta",),
    "adadelta_epsilon": ("adadelta",),
    "lion_beta2": ("lion",),
    "adabelief_epsilon": ("adabelief",),
    "yogi_epsilon": ("yogi",),
    "novograd_beta2": ("novograd",),
    "adan_beta1": ("adan",),
    "adan_beta2": ("adan",),
    "adan_beta3": ("adan",),
    "muon_beta": ("muon",),
    "optimism": ("optimistic_gradient_descent", "optimistic_adam"),
    "trust_coefficient": ("lars",),
    "rprop_shrink": ("rprop",),
    "rprop_grow": ("rprop",),
    "rprop_least": ("rprop",),
    "rprop_most": ("rprop",),
    "adafactor_decay": ("adafactor",),
    "adafactor_epsilon": ("adafactor",),
    "adafactor_clipping": ("adafactor",),
    "adafactor_least_scale": ("adafactor",),
    "noisy_sgd_variance": ("noisy_sgd",),
    "noisy_sgd_decay": ("noisy_sgd",),
    "polyak_least_loss": ("polyak_sgd",),
    "polyak_largest_rate": ("polyak_sgd",),
    "polyak_epsilon": ("polyak_sgd",),
}
# Likewise; they decide what is computed, not with which numbers, so values of them are programs.
CHOICES: dict[str, tuple[str, ...]] = {
    "adafactor_factored_from": ("adafactor",),
    "adafactor_steps": ("adafactor",),
}
