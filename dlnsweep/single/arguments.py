"""The arguments of `train`, checked: every mistake at once, as sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from pydantic import ValidationError

from dlnsweep.contracts.network import find_network
from dlnsweep.contracts.observable import OBSERVABLES
from dlnsweep.contracts.optimizer import OPTIMIZERS
from dlnsweep.errors import SpecError
from dlnsweep.networks.layered.reducible import reasons_not_reduced
from dlnsweep.settings.optimizers import CHOICES, HYPERPARAMETERS
from dlnsweep.settings.sections import RecordSettings
from dlnsweep.settings.sentences import bounded, did_you_mean, sentences, show
from dlnsweep.settings.sizes import SIZES
from dlnsweep.settings.training import UNIFORM, TrainingSettings
from dlnsweep.settings.training_constraints import DECAYS, below_one


def check_arrays(
    weights: Sequence[ArrayLike], signals: ArrayLike, measurements: ArrayLike
) -> tuple[tuple[np.ndarray, ...], np.ndarray, np.ndarray]:
    """Return the three arguments as float64 matrices whose shapes fit together.

    Raises:
        SpecError: With every mistake.
    """
    if not isinstance(weights, list | tuple | np.ndarray) or (
        isinstance(weights, np.ndarray) and weights.ndim == 2
    ):
        shape = f" of shape {np.shape(weights)}" if isinstance(weights, np.ndarray) else ""
        raise SpecError(
            f"weights is a {type(weights).__name__}{shape}; it must be a list or tuple of "
            "matrices W_1, ..., W_L, also for a single one."
        )
    named = [(f"weights[{i}]", w) for i, w in enumerate(weights)]
    named += [("signals", signals), ("measurements", measurements)]
    found, problems = [], []
    for name, value in named:
        try:
            array = np.asarray(value)
        except ValueError:
            problems.append(f"{name} is not a matrix: its rows have unequal lengths.")
            continue
        if array.dtype.kind not in "fiu":
            problems.append(f"{name} has dtype {array.dtype}; it must hold real numbers.")
        elif array.ndim != 2 or not array.size:
            problems.append(f"{name} has shape {array.shape}; it must be a non-empty matrix.")
        elif not np.all(np.isfinite(array)):
            problems.append(f"{name} holds values that are not finite.")
        found.append(array)
    if not len(weights):
        problems.append("weights is empty; it must hold at least one matrix.")
    if problems:
        raise SpecError(*bounded(problems))
    matrices = tuple(a.astype(np.float64) for a in found)
    *layers, x, y = matrices
    if x.shape[1] != y.shape[1]:
        problems.append(
            f"signals has {x.shape[1]} columns and measurements has {y.shape[1]}; "
            "they must have one a sample each."
        )
    sizes = [y.shape[0], *[w.shape[0] for w in layers]]
    for i, weight in enumerate(layers):
        if weight.shape[1] != sizes[i]:
            source = "measurements" if i == 0 else f"weights[{i - 1}]"
            problems.append(
                f"weights[{i}] has {weight.shape[1]} columns; it must have {sizes[i]}, "
                f"the number of rows of {source}."
            )
    if sizes[-1] != x.shape[0]:
        problems.append(
            f"weights[{len(layers) - 1}] has {sizes[-1]} rows; it must have {x.shape[0]}, "
            "the number of rows of signals."
        )
    if not np.any(y):
        problems.append("measurements is zero everywhere; it must have rank 1 at least.")
    if not np.any(x):
        problems.append("signals is zero everywhere; errors relative to it have no meaning.")
    if problems:
        raise SpecError(*problems)
    return tuple(layers), x, y


def whole_steps(record_steps: Any) -> np.ndarray:
    """Return the steps to record as an array; whole floats (1e3) are integers."""
    try:
        steps = np.asarray(record_steps)
    except ValueError:
        return np.empty(0)
    if steps.dtype.kind == "f" and np.all(steps == np.round(steps)) and np.all(steps <= 2**53):
        return steps.astype(np.int64)
    return steps


def check_magnitudes(
    weights: Sequence[np.ndarray], signals: np.ndarray, measurements: np.ndarray, precision: str
) -> None:
    """Refuse numbers whose squares a precision cannot hold.

    Raises:
        SpecError: With every mistake.
    """
    problems = []
    least, most = SIZES[precision]
    wider = "" if precision == "float64" else ", or ask for precision='float64'"
    for name, array in (("signals", signals), ("measurements", measurements)):
        size = _norm(array)
        if not least <= size <= most:
            power = -round(float(np.log2(size)))
            problems.append(
                f"{name} has the norm {size:.2g}; in {precision} it must lie between {least:g} and "
                f"{most:g}, or squares underflow or overflow. Multiply signals and measurements by "
                f"2**{power} and data_fit_scale by 2**{-2 * power}, which is the same training"
                f"{wider}."
            )
    sizes = [size for size in map(_norm, weights) if size]
    # The square of a product of two layers stands in unbalancedness, that of all in gradients.
    for i, size in enumerate(map(_norm, weights)):
        if size and not most**-1 <= size <= most:
            problems.append(
                f"weights[{i}] has the norm {size:.2g}; in {precision} it must be 0 or lie between "
                f"{1 / most:g} and {most:g}, or squares underflow or overflow."
            )
    product = sum(float(np.log10(size)) for size in sizes)
    if len(sizes) == len(weights) and not problems and abs(product) > 2 * np.log10(most):
        problems.append(
            f"the norms of the weights have the product 1e{product:+.0f}; in {precision} it must "
            f"lie between {most**-2:g} and {most**2:g}, or squares underflow or overflow."
        )
    if problems:
        raise SpecError(*problems)


def _norm(array: np.ndarray) -> float:
    """Return the Frobenius norm; its squares neither underflow nor overflow."""
    largest = float(np.max(np.abs(array)))
    if not largest:
        return 0.0
    with np.errstate(over="ignore"):
        return largest * float(np.linalg.norm(array / largest))


def check_settings(
    training: dict[str, Any],
    record: dict[str, Any],
    record_steps: Sequence[int],
    kernel: str,
    precision: str,
    tolerance: float,
    depth: int,
) -> tuple[TrainingSettings, RecordSettings]:
    """Return [training] and [record] as settings; see `training.train` for the arguments.

    Raises:
        SpecError: With every mistake.
    """
    problems = []
    names = record["observables"]
    if not isinstance(names, list | tuple) or not all(isinstance(each, str) for each in names):
        problems.append(
            f"observables is {show(names)}; it must be a list of names, such as "
            "['regression_error']."
        )
        record = {**record, "observables": ["regression_error"]}
    record = {**record, "observables": list(record["observables"])}
    steps = whole_steps(record_steps)
    if steps.ndim != 1 or not steps.size or steps.dtype.kind not in "iu" or steps.min() < 0:
        problems.append(
            f"record_steps is {show(record_steps)}; it must be a non-empty list of steps >= 0."
        )
        steps = np.array([1])
    if kernel not in ("auto", "dense", "reduced"):
        problems.append(f"kernel is {kernel!r}; it must be 'auto', 'dense' or 'reduced'.")
    if not isinstance(tolerance, int | float) or not 1e-9 <= tolerance <= 0.1:
        problems.append(f"tolerance is {tolerance!r}; it must lie between 1e-9 and 0.1.")
    if precision not in ("float64", "float32"):
        problems.append(f"precision is {precision!r}; it must be 'float64' or 'float32'.")
    # A sweep's other networks have further rules.
    if training["step_rule"] not in (UNIFORM, *find_network("subspace").step_rules):
        problems.append(
            f"step_rule is {show(training['step_rule'])}; it must be 'uniform' or 'fan_in'."
        )
        training = {**training, "step_rule": UNIFORM}
    network = find_network("subspace")
    for name in record["observables"]:
        if name not in OBSERVABLES or not network.has(OBSERVABLES[name]):
            problems.append(
                f"observables names {name!r}, which is not known of linear networks; known are "
                f"{', '.join(network.known_observables())}."
            )
        elif OBSERVABLES[name].needs_test_samples:
            problems.append(
                f"observables names {name!r}, which needs a problem to draw tests from."
            )
        elif OBSERVABLES[name].needs_isometry:
            problems.append(
                f"observables names {name!r}, which needs a problem to draw an operator from."
            )
    problems += _check_hyperparameters(training)
    problems += _check_decays(training, precision)
    known = [name for name in record["observables"] if name in OBSERVABLES]
    reasons = reasons_not_reduced(
        training["optimizer"], depth, known, num_steps=max(1, int(steps.max()))
    )
    problems += [f"kernel is 'reduced', but {r.sentence}." for r in reasons if kernel == "reduced"]
    condition = training["stop_when"]
    scalars = [n for n in record["observables"] if n in OBSERVABLES and not OBSERVABLES[n].size]
    if isinstance(condition, dict) and condition.get("observable") not in scalars:
        problems.append(
            f"stop_when.observable is {show(condition.get('observable'))}; it must be a recorded "
            f"scalar observable: {', '.join(scalars) or 'none is recorded'}."
        )
    made: list[Any] = []
    for section, values, cls in (
        ("", {**training, "num_steps": max(1, int(steps.max()))}, TrainingSettings),
        ("", record, RecordSettings),
    ):
        try:
            made.append(cls(**values))
        except ValidationError as error:
            problems += sentences(error, section, cls)
        else:
            if isinstance(made[-1], TrainingSettings) and made[-1].stop_when is not None:
                problems += made[-1].stop_when.mistakes("stop_when")
    if problems:
        raise SpecError(*problems)
    return made[0], made[1]


# What of [training] `train` has as arguments of its own.
_ARGUMENTS = (
    "optimizer", "learning_rate", "weight_decay", "step_rule", "data_fit_scale", "stop_when",
    "divergence_factor",
)  # fmt: skip


def _check_hyperparameters(training: dict[str, Any]) -> list[str]:
    """Return what is wrong with the optimizer's hyperparameters, and take that out."""
    problems, own = [], HYPERPARAMETERS | CHOICES
    others = (
        "num_steps",
        "prescription",
        "gamma",
        "loss",
        # Unknown words, and settings of sweeps that no kernel of this network carries out.
        *(k for k in training if k not in (*_ARGUMENTS, *own)),
    )
    for key in dict.fromkeys(k for k in others if k in training):
        del training[key]
        problems.append(f"{key} is not a hyperparameter{did_you_mean(key, own)}")
    for key, users in own.items():
        if key in training and training["optimizer"] not in users:
            problems.append(
                f"{key} is given, but {training['optimizer']} does not use it; "
                f"it belongs to {', '.join(users)}."
            )
    name = training["optimizer"]
    if isinstance(name, str) and name in OPTIMIZERS and OPTIMIZERS[name].asks:
        problems.append(
            f"optimizer is {show(name)}, which asks for more than gradients; the generic way of a "
            'sweep alone has that for it: take another one, or a sweep with kernel = "generic".'
        )
    return problems


def _check_decays(training: dict[str, Any], precision: str) -> list[str]:
    """Return which decays of averages are 1 in the precision of training."""
    given = {key: training[key] for key in DECAYS if isinstance(training.get(key), float)}
    return [
        f"{key} is {show(decay)} and precision is {precision!r}, in which that is 1: an average "
        "that takes up nothing. Take at most 0.9999999, or precision='float64'."
        for key, decay in given.items()
        if not below_one(decay, precision)
    ]
