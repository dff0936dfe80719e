"""The formulas behind theory curves, evaluated for a run; importing it imports no NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlnsweep.theory.setup import Setup

if TYPE_CHECKING:
    import numpy as np


def everywhere(value: float, steps: np.ndarray) -> np.ndarray:
    """Return one positive, finite value at every step; NaN for another."""
    import numpy as np

    # Zero (no weight decay) has no place on a logarithmic axis, and says nothing on another; a mean
    # that is infinite has none either.
    return np.full(len(steps), value if 0 < value < np.inf else np.nan)


def _spanned(run: Setup) -> bool:
    """Return whether the samples span the subspace: fewer are another law."""
    return run.rank == run.sizes[2]


def plateau(run: Setup, steps: np.ndarray) -> np.ndarray:
    """Return the regression error at the global minimum."""
    from dlnsweep.theory import formulas as theory

    _, m, s = run.sizes
    depth = int(run["network.depth"])
    # Layers narrower than the subspace cannot learn all of it.
    known = _spanned(run) and (depth == 1 or int(run["network.width"]) >= s)
    value = theory.plateau(
        float(run["training.weight_decay"]),
        m,
        s,
        depth,
        float(run["problem.condition_number"]),
        float(run["training.data_fit_scale"]),
    )
    return everywhere(value if known else 0.0, steps)


def tau(run: Setup, _steps: np.ndarray) -> np.ndarray:
    """Return the bound on tau."""
    import numpy as np

    from dlnsweep.theory import formulas as theory

    decay = float(run["training.weight_decay"])
    if not decay:
        return np.array([np.nan])
    value = theory.phase_one_steps(
        float(run["training.learning_rate"]),
        decay,
        run.sizes[1],
        int(run["network.depth"]),
        run.smallest,
    )
    return np.array([value or np.nan])


def horizon(run: Setup, _steps: np.ndarray) -> np.ndarray:
    """Return T of Theorem 2.3."""
    import numpy as np

    from dlnsweep.theory import formulas as theory

    decay = float(run["training.weight_decay"])
    if not decay:
        return np.array([np.nan])
    width, rate = float(run["network.width"]), float(run["training.learning_rate"])
    return np.array([theory.prescribed_steps(run.sizes[1], width, rate, decay)])


def phase_one(run: Setup, steps: np.ndarray) -> np.ndarray:
    """Return the bound (59a) up to tau."""
    import numpy as np

    from dlnsweep.theory import formulas as theory

    d, m, _ = run.sizes
    bound = theory.phase_one_bound(
        steps,
        run.start * run.norm,
        float(run["training.learning_rate"]),
        float(run["training.weight_decay"]),
        m,
        d,
        int(run["network.depth"]),
        run.smallest,
        run.norm,
    )
    last = tau(run, steps)[0]
    return np.where((steps <= last) | np.isnan(last), bound / run.norm, np.nan)


def phase_two(run: Setup, steps: np.ndarray) -> np.ndarray:
    """Return the bound of Lemma A.26 from tau to T."""
    import numpy as np

    from dlnsweep.theory import formulas as theory

    d, m, _ = run.sizes
    decay = float(run["training.weight_decay"])
    level = theory.phase_two_level(decay, m, d, run.smallest, run.norm) / run.norm
    first, last = tau(run, steps)[0], horizon(run, steps)[0]
    inside = (steps >= np.nan_to_num(first)) & (steps <= last)
    return np.where(inside, everywhere(level, steps), np.nan)


def off_subspace(run: Setup, steps: np.ndarray) -> np.ndarray:
    """Return the bound (74)."""
    from dlnsweep.theory import formulas as theory

    m = run.sizes[1]
    first = theory.first_layer_off_range(m, run.rank, float(run["network.width"]))
    rate, decay = float(run["training.learning_rate"]), float(run["training.weight_decay"])
    return theory.off_subspace_bound(steps, rate, decay, m, first)


def band(run: Setup, steps: np.ndarray, end: int, *, late: bool) -> np.ndarray:
    """Return an end of the events' band: that of Theorem A.12 up to the bound on tau, or A.23's."""
    import numpy as np

    from dlnsweep.theory import proof as theory_proof

    after = steps > tau(run, steps)[0]
    ends = theory_proof.EVENTS_OF_THEOREM_A23 if late else theory_proof.EVENTS_OF_THEOREM_A12
    return np.where(after == late, ends[end], np.nan)


def first_layer(run: Setup, steps: np.ndarray) -> np.ndarray:
    """Return the start as the first layer's decay leaves it."""
    return run.start * run.keeps[0] ** steps


def all_layers(run: Setup, steps: np.ndarray) -> np.ndarray:
    """Return the start as the decay of all layers leaves it."""
    import numpy as np

    return run.start * np.prod(run.keeps) ** steps


def oracle_noise(run: Setup, steps: np.ndarray) -> np.ndarray:
    """Return what the oracle makes of test noise."""
    from dlnsweep.theory import formulas as theory

    _, m, s = run.sizes
    noise = float(run["record.test_noise"])
    known = m > s + 1 and _spanned(run)
    return everywhere(theory.oracle_noise(noise, m, s) if known else 0.0, steps)


def noise_without_decay(run: Setup, steps: np.ndarray) -> np.ndarray:
    """Return what a wide network without decay makes of it."""
    from dlnsweep.theory import formulas as theory

    d, m, s = run.sizes
    noise = float(run["record.test_noise"])
    known = m > s + 1 and _spanned(run)
    return everywhere(theory.noise_without_decay(noise, m, d, s) if known else 0.0, steps)


def deficiency_envelope(run: Setup, steps: np.ndarray) -> np.ndarray:
    """Return the envelope of the loss, Theorem 2 of arXiv:2408.13767."""
    from dlnsweep.theory import formulas as theory

    margin = float(run["network.deficiency_margin"]) / float(run["problem.condition_number"])
    rate = float(run["training.learning_rate"]) * float(run["training.data_fit_scale"])
    return run.start * theory.deficiency_decay(steps, rate, margin, int(run["network.depth"]))


def speed_exponent(run: Setup, steps: np.ndarray) -> np.ndarray:
    """Return the exponent of a singular value's speed."""
    from dlnsweep.theory import formulas as theory

    return everywhere(theory.speed_exponent(int(run["network.depth"])), steps)


def jacobian_limit(run: Setup, steps: np.ndarray) -> np.ndarray:
    """Return the limit of the Jacobian's least singular value."""
    from dlnsweep.theory import formulas as theory

    return everywhere(theory.jacobian_limit(str(run["network.activation"])), steps)


def stability_threshold(run: Setup, steps: np.ndarray) -> np.ndarray:
    """Return the sharpness above which the run's steps diverge."""
    from dlnsweep.theory import sharpness as theory

    optimizer = str(run["training.optimizer"])
    momentum = 0.0 if optimizer == "gradient_descent" else float(run["training.momentum"])
    rate = float(run["training.learning_rate"])
    nesterov = optimizer == "nesterov"
    return everywhere(theory.stability_threshold(rate, momentum, nesterov=nesterov), steps)


def least_sharpness(run: Setup, steps: np.ndarray) -> np.ndarray:
    """Return the least sharpness of a minimiser."""
    from dlnsweep.theory import sharpness as theory

    # The largest singular value of such a target is 1.
    return everywhere(theory.least_sharpness(int(run["network.depth"]), 1.0), steps)


def least_loss_of_rank(run: Setup, steps: np.ndarray) -> np.ndarray:
    """Return the least loss of a matrix whose rank is the width; NaN where that is 0."""
    from dlnsweep.theory.formulas import signal_values
    from dlnsweep.theory.low_rank import least_loss

    full = min(int(run["problem.num_rows"]), int(run["problem.num_columns"]))
    rank = int(run["network.width"]) if int(run["network.depth"]) > 1 else full
    values = signal_values(float(run["problem.condition_number"]), full)
    return everywhere(least_loss(values, rank), steps)


def stability_limit(run: Setup, steps: np.ndarray) -> np.ndarray:
    """Return the learning rate above which no minimiser is stable; NaN where none is derived."""
    from dlnsweep.theory import sharpness as theory

    depth, decay = int(run["network.depth"]), float(run["training.weight_decay"])
    # The largest singular value of such a target is 1.
    flattest = theory.flattest_minimiser(depth, 1.0, decay)
    full = min(int(run["problem.num_rows"]), int(run["problem.num_columns"]))
    if depth > 1 and int(run["network.width"]) < full:
        # What is left of the target at a minimiser bends the loss, too.
        flattest = float("nan")
    # The threshold of a rate and the rate of a threshold are one formula.
    return everywhere(theory.stability_threshold(flattest), steps)


def _sizes(run: Setup) -> tuple[str, int, int]:
    """Return activation, K and M of a committee."""
    neurons, teachers = run["network.width"], run["problem.num_teacher_neurons"]
    return str(run["network.activation"]), int(neurons), int(teachers)


def symmetric_plateau(run: Setup, steps: np.ndarray) -> np.ndarray:
    """Return the error where a student's neurons are one and the same."""
    from dlnsweep.theory import committee as theory

    return everywhere(theory.plateau_error(*_sizes(run)), steps)


def spurious_minimum(run: Setup, steps: np.ndarray) -> np.ndarray:
    """Return the error of ReLU students with one neuron away; NaN of sizes that have none."""
    from dlnsweep.theory import committee as theory

    _, neurons, teachers = _sizes(run)
    known = neurons == teachers >= theory.LEAST_SPURIOUS
    return everywhere(theory.spurious_error(teachers) if known else float("nan"), steps)


def plateau_growth(run: Setup, steps: np.ndarray) -> np.ndarray:
    """Return by how much a plateau has grown with the dimension of the inputs."""
    from math import log

    from dlnsweep.theory import committee as theory

    slope = theory.plateau_slope(*_sizes(run), float(run["training.learning_rate"]))
    return everywhere(slope * log(float(run["problem.input_dim"])), steps)


def largest_margin(run: Setup, steps: np.ndarray) -> np.ndarray:
    """Return the largest l2 margin of data with a pair on the margin."""
    return everywhere(float(run["problem.margin"]), steps)


def largest_normalized_margin(run: Setup, steps: np.ndarray) -> np.ndarray:
    """Return the same over the power of the parameters' norm, of a deep linear network."""
    from dlnsweep.theory import max_margin as theory

    depth, margin = int(run["network.depth"]), float(run["problem.margin"])
    return everywhere(theory.largest_normalized_margin(depth, margin), steps)


def inverse_log(_run: Setup, steps: np.ndarray) -> np.ndarray:
    """Return 1 / log t; NaN up to t = 1."""
    import numpy as np

    return np.where(steps > 1, 1 / np.log(np.maximum(steps, 2)), np.nan)


def collapse(run: Setup, steps: np.ndarray, place: int) -> np.ndarray:
    """Return NC1, NC2 or NC3 at step 0 as its late rate would carry it on; NaN of none derived."""
    import numpy as np

    from dlnsweep.theory import neural_collapse as theory

    loss, num_classes = str(run["training.loss"]), int(run["problem.num_classes"])
    if int(run["network.width"]) < theory.least_width(loss, num_classes):
        return np.full(len(steps), np.nan)
    rates = theory.collapse_rates(
        loss,
        float(run["training.weight_decay"]),
        num_classes,
        int(run["problem.samples_per_class"]),
        float(run["training.data_fit_scale"]),
    )
    return run.start * np.exp(-rates[place] * float(run["training.learning_rate"]) * steps)


def nc3_limit(run: Setup, steps: np.ndarray) -> np.ndarray:
    """Return where NC3 ends on squared loss without biases."""
    from dlnsweep.theory import neural_collapse as theory

    return everywhere(theory.nc3_limit(int(run["problem.num_classes"])), steps)


def least_norm_error(run: Setup, steps: np.ndarray) -> np.ndarray:
    """Return how far the least-norm solution is from the truth; NaN where it is the truth."""
    from dlnsweep.theory import least_norm as theory

    sizes = (int(run[f"problem.{name}"]) for name in ("num_samples", "measurement_dim"))
    return everywhere(theory.least_norm_error(*sizes), steps)


def power_law_rate(run: Setup, steps: np.ndarray) -> np.ndarray:
    """Return the start times t^-e from t = 1 until the power law ends; NaN of none derived."""
    import numpy as np

    from dlnsweep.theory import power_law as theory

    data, target = (float(run[f"problem.{name}_exponent"]) for name in ("data", "target"))
    features = int(run["problem.measurement_dim"])
    rate = float(run["training.learning_rate"]) * float(run["training.data_fit_scale"])
    exponent = theory.power_law_exponent(data, target)
    known = theory.is_small_start(float(run["network.layer_init_scale"]), target, features)
    # Nothing is below an end that is not a number.
    inside = (steps >= 1) & (steps * rate <= theory.power_law_end(data, target, features)) & known
    return np.where(inside, run.start * np.maximum(steps, 1.0) ** -exponent, np.nan)


def least_solution(run: Setup, steps: np.ndarray, what: str) -> np.ndarray:
    """Return one of what the least solutions of a seed's samples are; NaN of none."""
    import numpy as np

    from dlnsweep.theory.least_solutions import least_solutions

    return np.full(len(steps), getattr(least_solutions(run), what))
