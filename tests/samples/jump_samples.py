"""Random runs by time jumps beside the same runs step by step."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import planned_runs

from dlnsweep.engine.deviations import deviations_of
from dlnsweep.engine.trained import Trained
from dlnsweep.plan.plan import Plan, make_plan
from dlnsweep.spec.sweep import Sweep

# What a recorded number may be wrong by: the larger of the tolerance and so many estimates.
ESTIMATES = 3.0
# The judge rounds at 1.1e-16 of its weights in each step; by a decay of 1e-4 a step ten thousand of
# these add up. Jumps do not: below this share of the largest value of a run the judge is no judge.
JUDGED = 1e-12
TOLERANCE = 1e-6
SEEDS = 3
RUNS = 33
# Of large factorizations, which take longer.
LAYERED_RUNS = 9


class Path(NamedTuple):
    """How a run's loss goes, at the steps that are recorded.

    Attributes:
        first: The loss at step 0.
        rests: The last step until which it is never a hundredth below that.
        last: At the last step that has one.
    """

    first: float
    rests: int
    last: float

    @property
    def escapes(self) -> bool:
        """Whether it leaves a saddle: it rests for ten steps or more, and halves in the end."""
        return self.rests >= 10 and self.last < self.first / 2


# Names of what is random of a run beside its rate, decay and scale, as tables have them.
SETTINGS = {
    "depth": "network.depth", "width": "network.width",
    "condition number": "problem.condition_number", "step rule": "training.step_rule",
    "num steps": "training.num_steps", "seed": "seed",
}  # fmt: skip


class Case(NamedTuple):
    """A run by jumps, beside its judge.

    Attributes:
        label: Network and problem, with what is random of them.
        learning_rate, weight_decay, init_scale: Of the run.
        ending: How it ended by jumps, and by its judge where that is another one.
        steps: Real steps of the finer walk.
        estimate: The estimate.
        error: The largest deviation of a recorded number.
        where: Of which, and at which step.
        settings: What else is random of it; see `SETTINGS`.
        path: How its loss goes, by the judge.
        momentum: The momentum; 0 of gradient descent.
    """

    label: str
    learning_rate: float
    weight_decay: float
    init_scale: float
    ending: str
    steps: str
    estimate: float
    error: float
    where: str
    settings: tuple[Any, ...]
    path: Path
    momentum: float

    @property
    def share(self) -> float:
        """The error over what is allowed; at most 1 if the certificate holds."""
        if " beside " in self.ending and not np.isinf(self.estimate):
            return np.inf
        return self.error / max(TOLERANCE, ESTIMATES * self.estimate)

    @property
    def is_known(self) -> bool:
        """Whether its numbers are any: of runs that magnify rounding the estimate is infinite."""
        return np.isfinite(self.estimate)


def family(number: int, runs: int = RUNS // SEEDS, steps: int = 0) -> dict[str, Any]:
    """Return a sweep of one program with random sizes and numbers."""
    random = np.random.default_rng([19, number])

    def one(*values: Any) -> Any:
        return values[random.integers(len(values))]

    # Of every four two are deep linear networks of depth 1 to 6.
    kind = ("deep_linear", one("mlp", "mlp", "diagonal_linear"), "deep_linear",
            one("mlp", "matrix", "deep_prior"))[number % 4]  # fmt: skip
    d, m = int(random.integers(2, 6)), int(random.integers(2, 5))
    depth = 1 + (number // 2) % 6
    observables = ["loss", "parameter_norm"]
    problem: dict[str, Any] = {"kind": "teacher", "signal_dim": min(d, 3), "measurement_dim": m,
                               "num_samples": int(random.integers(2, 9))}  # fmt: skip
    network: dict[str, Any] = {"kind": kind}
    scales = 10 ** random.uniform(-2.0, 0.2, runs)
    if kind == "deep_linear":
        d = max(d, m)
        problem = {"kind": "subspace", "signal_dim": d, "measurement_dim": m,
                   "subspace_dim": int(random.integers(1, m)), "num_samples": 12,
                   "condition_number": one(1.0, 3.0, 10.0)}  # fmt: skip
        network |= {"depth": depth, "width": one(d, 8, 16)}
        observables = ["regression_error", "off_subspace_error", "loss", "weight_norms"]
    elif kind == "mlp":
        network |= {"depth": one(2, 3), "width": one(3, 6, 10), "biases": one(True, False),
                    "activation": one("tanh", "gelu", "erf", "softplus", "quadratic")}  # fmt: skip
    elif kind == "diagonal_linear":
        network |= {"depth": one(2, 3, 4)}
    elif kind == "matrix":
        size = int(random.integers(3, 6))
        network |= {"kind": "deep_linear", "depth": one(2, 3, 4), "width": size}
        problem = {"kind": "matrix_completion", "num_rows": size, "num_columns": size, "rank": 1,
                   "num_observed": 2 * size, "target_norm": 2.0}  # fmt: skip
        observables = ["loss", "effective_rank", "singular_values"]
    else:
        problem = {"kind": "deep_prior", "signal_dim": 5, "measurement_dim": 3}
        network |= {"width": one(8, 20), "activation": one("sigmoid", "tanh", "arctan")}
        observables = ["loss", "signal_error"]
    axes = ["training.learning_rate", "training.weight_decay"]
    if kind not in ("deep_prior", "mlp"):
        network["layer_init_scale"] = scales.tolist()
        axes.append("network.layer_init_scale")
    decays = np.where(random.random(runs) < 0.15, 0.0, 10 ** random.uniform(-7, -1, runs))
    if kind == "deep_prior":
        # Which has no weight decay.
        decays = np.zeros(runs)
    return {
        "name": "jumps",
        "problem": problem,
        "network": network,
        "training": {
            "learning_rate": (10 ** random.uniform(-2.3, -0.3, runs)).tolist(),
            "weight_decay": decays.tolist(),
            "num_steps": steps or int(10 ** random.uniform(4.0, 4.8)),
            "step_rule": one("uniform", "fan_in") if kind == "deep_linear" else "uniform",
        },
        "record": {"count": 40, "observables": observables},
        "sweep": {"seeds": SEEDS, "tolerance": TOLERANCE, "zip": [axes]},
    }  # fmt: skip


def of_layers(number: int, runs: int = LAYERED_RUNS // SEEDS, steps: int = 0) -> dict[str, Any]:
    """Return a sweep of one program of linear layers with more outputs than are decomposed."""
    random = np.random.default_rng([21, number])
    size, more = (int(each) for each in random.integers((23, 0), (33, 9)))
    # Not balanced but by name, and not square.
    network = {"kind": "deep_linear", "depth": 2 + number % 4, "width": size + more,
               "layer_init_scale": (10 ** random.uniform(-1.5, 0.1, runs)).tolist(),
               "initializer": ("fan_in_normal", "balanced")[(number // 4) % 2]}  # fmt: skip
    observables = ["loss", "singular_values"]
    matrix = {"num_rows": size, "num_columns": size + int(random.integers(3)), "loss": "half_sum"}
    rank = int(random.integers(1, 5))
    # Singular values near 1 in each of them.
    problem: dict[str, Any] = (
        {"kind": "matrix_completion", "rank": rank, "target_norm": rank**0.5,
         "num_observed": matrix["num_rows"] * matrix["num_columns"]} | matrix,
        {"kind": "matrix_approximation", "condition_number": 10.0} | matrix,
        {"kind": "subspace", "signal_dim": 2 * size, "measurement_dim": size,
         "subspace_dim": size - 2, "num_samples": 2 * size, "condition_number": 3.0},
    )[number % 3]  # fmt: skip
    if problem["kind"] == "subspace":
        network["width"] = 2 * size
        observables = ["regression_error", "off_subspace_error", "loss", "weight_norms"]
    decays = np.where(random.random(runs) < 0.4, 0.0, 10 ** random.uniform(-7, -2, runs))
    return {
        "name": "layers",
        "problem": problem,
        "network": network,
        "training": {
            "learning_rate": (10 ** random.uniform(-2.0, -0.4, runs)).tolist(),
            "weight_decay": decays.tolist(),
            "num_steps": steps or int(10 ** random.uniform(3.9, 4.4)),
            "step_rule": ("uniform", "fan_in")[problem["kind"] == "subspace"],
        },
        "record": {"count": 20, "observables": observables},
        "sweep": {"seeds": SEEDS, "tolerance": TOLERANCE, "zip": [
            ["training.learning_rate", "training.weight_decay", "network.layer_init_scale"]]},
    }  # fmt: skip


def with_memory(number: int, **options: Any) -> dict[str, Any]:
    """Return a family by momentum, and every other one by Nesterov's, of 0.5 to 0.99."""
    random = np.random.default_rng([20, number])
    document = family(number, **options)
    training, (axes,) = document["training"], document["sweep"]["zip"]
    less = 10 ** random.uniform(-2.0, np.log10(0.5), len(training["learning_rate"]))
    own = {
        "optimizer": ("momentum", "nesterov")[(number // 2) % 2],
        "momentum": (1 - less).tolist(),
    }
    zipped = [[*axes, "training.momentum"]]
    return document | {"training": training | own, "sweep": document["sweep"] | {"zip": zipped}}


def train(document: dict[str, Any], kernel: str) -> tuple[Plan, Trained]:
    """Train all runs of a document by a kernel."""
    plan = make_plan(Sweep.from_dict(document | {"sweep": document["sweep"] | {"kernel": kernel}}))
    return plan, planned_runs.train(plan)


def judged(name: str, found: np.ndarray, judge: np.ndarray) -> np.ndarray:
    """Return the deviations at each step that are more than the judge's own rounding."""
    if not len(found):
        return np.zeros(0)
    pairs = [np.asarray(each).reshape(len(each), -1) for each in (found, judge)]
    difference = np.linalg.norm(pairs[0] - pairs[1], axis=1)
    # Off the subspace a part is left of a matrix of size 1.
    least = 1.0 if name == "off_subspace_error" else 0.0
    rounding = JUDGED * max(least, np.max(np.linalg.norm(pairs[1], axis=1)))
    return np.where(difference <= rounding, 0.0, deviations_of(name, found, judge, "generic"))


def settings_of(row: Any) -> tuple[Any, ...]:
    """Return a run's SETTINGS; "" of those that its network has not."""
    # A condition number is that of the signals.
    known = {"problem.condition_number"} if row["problem.kind"] != "subspace" else set()
    found = [None if name in known else row.get(name) for name in SETTINGS.values()]
    return tuple("" if value is None else value for value in found)


def named(row: Any) -> tuple[str, float, float, float]:
    """Return a run's label, learning rate, weight decay and scale of the start."""
    names = ("problem.kind", "network.kind", "network.depth", "network.activation")
    return (
        " ".join(str(row[name]) for name in names if row.get(name) is not None),
        row["training.learning_rate"],
        row["training.weight_decay"],
        row.get("network.layer_init_scale") or 1.0,
    )


def planned(document: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return of each run of a document what `named` and `settings_of` say."""
    plan = make_plan(Sweep.from_dict(document))
    return [(*named(row), *settings_of(row)) for row in map(plan.row, range(plan.num_runs))]


def momenta(document: dict[str, Any]) -> list[float]:
    """Return the momentum of each run of a document."""
    plan = make_plan(Sweep.from_dict(document))
    return [plan.row(run)["training.momentum"] for run in range(plan.num_runs)]


def path_of(judge: Trained, run: int) -> Path:
    """Return how the loss of a run goes."""
    rows = int(judge.num_rows[run])
    loss = np.asarray(judge.observables["loss"][run, :rows], dtype=float)
    fallen = np.flatnonzero(~(loss >= 0.99 * loss[0]))
    rests = int(fallen[0]) - 1 if len(fallen) else rows - 1
    return Path(float(loss[0]), int(judge.steps[rests]), float(loss[-1]))


def paths(document: dict[str, Any]) -> list[Path]:
    """Return how the losses of a document's runs go, step by step."""
    only = document | {"record": document["record"] | {"observables": ["loss"]}}
    plan, judge = train(only, "generic")
    return [path_of(judge, run) for run in range(plan.num_runs)]


def steepness(document: dict[str, Any]) -> np.ndarray:
    """Return learning rate times largest curvature at the start of a document's runs.

    NaN of deep priors, of which no sharpness is recorded.
    """
    if document["network"]["kind"] == "deep_prior":
        return np.full(len(planned(document)), np.nan)
    training = document["training"] | {"num_steps": 2}
    record = {"count": 2, "observables": ["sharpness"]}
    plan, found = train(document | {"training": training, "record": record}, "generic")
    rates = [plan.row(run)["training.learning_rate"] for run in range(plan.num_runs)]
    return np.array(rates) * found.observables["sharpness"][:, 0]


def outcomes(document: dict[str, Any]) -> list[Case]:
    """Train the runs of a document by jumps and step by step."""
    plan, found = train(document, "jumps")
    _, judge = train(document, "generic")
    cases = []
    for run in range(plan.num_runs):
        row = plan.row(run)
        endings = [
            f"{t.status[run]} {max(t.diverged_step[run], t.stopped_step[run])}"
            for t in (found, judge)
        ]
        error, where = 0.0, ""
        rows = min(found.num_rows[run], judge.num_rows[run])
        if found.status[run] == "diverged":
            # Numbers that blow up magnify the rounding that they began with.
            rows = 0
        for name, values in judge.observables.items():
            mine = found.observables[name][run, :rows]
            found_at = judged(name, mine, values[run, :rows])
            if np.max(found_at, initial=0.0) > error:
                place = int(np.argmax(found_at))
                error, where = float(found_at[place]), f"{name} at {judge.steps[place]}"
        cases.append(
            Case(
                *named(row),
                " beside ".join(dict.fromkeys(endings)),
                found.kernel_reason[run].removeprefix("asked for; "),
                float(found.truncation_error[run]),
                error,
                where,
                settings_of(row),
                path_of(judge, run),
                row.get("training.momentum") or 0.0,
            )
        )
    return cases
