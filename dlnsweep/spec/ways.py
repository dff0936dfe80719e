"""Whether a way of training the network carries out what a sweep asks for, as sentences.

As in `consistency.py`, only settings that are right by themselves are looked at.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dlnsweep.contracts.network import BY_DEFINITION, NetworkKind, find_network
from dlnsweep.contracts.observable import OBSERVABLES
from dlnsweep.contracts.optimizer import OPTIMIZERS
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.networks.layered.reducible import reasons_not_reduced
from dlnsweep.settings.sentences import show
from dlnsweep.settings.training import BY_LAYER, GENERIC_ONLY, UNIFORM

Values = Mapping[str, Sequence[Any]]


def _open(network: NetworkKind) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "training.step_rule", (UNIFORM, *network.step_rules)
    yield "sweep.kernel", network.kernels
    yield "training.loss", network.losses


def check_honoured(values: Values) -> Iterator[str]:
    """Check that nothing is asked for that no way of training the network honours."""
    problem, kind = (values.get(key, (None,))[0] for key in ("problem.kind", "network.kind"))
    if problem is None or kind is None:
        return
    network = find_network(problem, kind)
    for key, allowed in (*network.honoured.items(), *_open(network)):
        for value in [value for value in values.get(key, ()) if value not in allowed][:1]:
            yield (
                f"{key} is {show(value)}; with network.kind = {show(kind)} it must be "
                f"{' or '.join(map(show, allowed))}."
            )


def check_generic(values: Values) -> Iterator[str]:
    """Check that what only the generic way carries out is asked of that way."""
    problem, kind = (values.get(key, (None,))[0] for key in ("problem.kind", "network.kind"))
    if problem is None or kind is None or "sweep.kernel" not in values:
        return
    network = find_network(problem, kind)
    generic = values["sweep.kernel"][0] in BY_DEFINITION or network.drawing == network.generic
    for key, nothing in GENERIC_ONLY.items():
        asked = [value for value in values.get(f"training.{key}", ()) if value != nothing]
        if not asked:
            continue
        place = f"training.{key} is {show(asked[0])}"
        drawn = network.one_pass or PROBLEMS[problem].stream is not None
        if "one_pass" in asked and not drawn:
            others = [name for name, each in PROBLEMS.items() if each.stream is not None]
            yield (
                f"training.{key} is 'one_pass'; problem.kind = {show(problem)} draws no fresh "
                f"samples at each step, as {', '.join(others)} do: take 'epochs' or 'replacement'."
            )
        elif key in BY_LAYER and not network.layered:
            yield (
                f"{place}; with network.kind = {show(kind)} there are no layers that can have "
                "numbers of their own: leave it out."
            )
        elif not network.generic:
            yield f"{place}; with network.kind = {show(kind)} it must be {show(nothing)}."
        elif key == "label_noise" and network.task != "samples":
            yield f"{place}, which is for targets of samples; it must be {show(nothing)}."
        elif not generic:
            yield (
                f'{place}, which the generic way alone carries out; set sweep.kernel = "generic".'
            )
    # Kinds without a generic way say themselves which optimizers they are trained with.
    if network.generic:
        yield from _check_asking(values, generic)


def _check_asking(values: Values, generic: bool) -> Iterator[str]:
    """Check that an optimizer that asks for more than gradients is trained with by that way."""
    known = [name for name in values.get("training.optimizer", ()) if name in OPTIMIZERS]
    asking = [name for name in known if OPTIMIZERS[name].asks]
    if asking and not generic:
        what = {"value": "the loss", "rates": "the learning rate", "key": "random numbers"}
        found = " and ".join(what[word] for word in OPTIMIZERS[asking[0]].asks)
        yield (
            f"training.optimizer is {show(asking[0])}, which asks for {found}, and the generic way "
            'alone has that for it; set sweep.kernel = "generic".'
        )


def check_decays(values: Values) -> Iterator[str]:
    """Check that no optimizer that decays the weights itself is asked to do so by layer."""
    factors = [each for each in values.get("training.weight_decay_factors", ()) if each]
    own = [
        name
        for name in values.get("training.optimizer", ())
        if name in OPTIMIZERS and OPTIMIZERS[name].decoupled_decay
    ]
    if factors and own:
        yield (
            f"training.weight_decay_factors is {show(factors[0])} and training.optimizer is "
            f"{show(own[0])}, which decays all weights itself; take another optimizer, or leave "
            "the factors out."
        )


def check_kernel(values: Values) -> Iterator[str]:
    """Check that what is asked of the reduced kernel is what it can do."""
    needed = {
        "sweep.kernel", "network.initial_weights", "training.optimizer", "network.depth",
        "record.observables", "training.minibatch_size", "record.weights",
    }  # fmt: skip
    if not needed <= values.keys():
        return
    kernel = values["sweep.kernel"][0]
    law = "law" in values["network.initial_weights"]
    if law and kernel in ("dense", *BY_DEFINITION):
        yield (
            f'sweep.kernel is "{kernel}"; network.initial_weights = "law" has no weights to '
            'train it on: take "auto" or "reduced".'
        )
    if law and set(values.get("network.initializer", ())) - {"fan_in_normal"}:
        yield (
            'network.initial_weights is "law", which is known for Gaussian weights only: set '
            'network.initializer to "fan_in_normal".'
        )
    if not law and kernel != "reduced":
        return
    asked = 'network.initial_weights is "law"' if law else 'sweep.kernel is "reduced"'
    names = [n for n in values["record.observables"][0] or () if n in OBSERVABLES]
    for optimizer, depth, size in itertools.product(
        values["training.optimizer"], values["network.depth"], values["training.minibatch_size"]
    ):
        weights = values["record.weights"][0]
        # A prescription says how many later.
        steps = max(values.get("training.num_steps", ()), default=0)
        reasons = list(reasons_not_reduced(optimizer, depth, names, size, weights, steps))
        yield from (f"{asked}, but {each.sentence}: {each.in_file}." for each in reasons)
        if reasons:
            # Of the first such runs: the others have much the same.
            return
