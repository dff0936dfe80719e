"""What a problem is, and the table of all of them. No JAX."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from dlnsweep.contracts.registry import Registry, must_be
from dlnsweep.settings.base import Settings
from dlnsweep.settings.run_settings import RunSettings

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@dataclass(frozen=True)
class Stream:
    """How fresh training samples are drawn, for `training.minibatch_order = "one_pass"`.

    The training samples of `Problem.draw` are `draw(settings, common(settings, key), key, n)`, or
    have the same law; those of a step are drawn by keys of that step.

    Attributes:
        common: Takes the settings and a function from purpose to PRNG key; returns what all samples
            have in common, any pytree of float64 arrays: it is drawn once a run.
        draw: Takes the settings, that, a function from purpose to PRNG key and a number of samples;
            returns that many signals and measurements, independent of all others, float64.
    """

    common: Callable[..., Any]
    draw: Callable[..., tuple[Float[Array, "d k"], Float[Array, "m k"]]]


class Coordinates(NamedTuple):
    """Samples whose inputs are known by coordinates in an orthonormal basis of what holds them.

    The first n of the N vectors of the basis span the n training inputs. Of a space of fewer
    dimensions the last vectors do not exist, and no input has coordinates there.

    Attributes:
        signals: X.
        measurements: Y's.
        test_signals: X of fresh inputs.
        test_measurements: Those of fresh inputs.
        test_noise: Those of as many vectors with independent entries N(0, 1).
    """

    signals: Float[Array, "d n"]
    measurements: Float[Array, "n n"]
    test_signals: Float[Array, "d k"]
    test_measurements: Float[Array, "N k"]
    test_noise: Float[Array, "N k"]


@dataclass(frozen=True)
class Law:
    """How samples are drawn whose inputs have more dimensions than can be held.

    It is asked for by `problem.inputs = "law"`; `measurement_dim` is then a traced number.

    Attributes:
        draw: Takes the settings, a function from purpose to PRNG key and a number of fresh samples;
            returns the fields of `Coordinates` with the law that those of drawn samples would have,
            float64.
        drawn: The value of `problem.inputs` by which the same samples are drawn.
    """

    draw: Callable[..., tuple[Float[Array, "_ _"], ...]]
    drawn: str = "gaussian"


@dataclass(frozen=True)
class Problem:
    """A kind of problem.

    Attributes:
        kind: Its name in sweep files.
        settings: Its settings class; must have signal_dim and measurement_dim.
        draw: Takes the settings and a function from purpose to PRNG key; returns signals (d, n)
            and measurements (m, n), float64; for another task what its networks are drawn for.
        draw_test: Takes the same and a number of samples; returns fresh signals and measurements.
            None: there are no test errors.
        rank: The rank of the measurements, or the most that it can be, from the static settings.
            None: it can be min(m, num_samples), or less.
        certain_rank: Whether it is always that; else singular values may be (nearly) zero.
        clean: Takes the settings and keys; returns measurements whose range is the one that
            `off_subspace_error` is about. None: that of the training measurements.
        isometry: Takes the settings and the keys; returns the smallest and the largest singular
            value of the operator on the signals' subspace, and a lower estimate of a restricted
            isometry constant; None where signals have no single subspace.
        shared: Takes the settings and the keys; draws what all runs of a seed and the same static
            settings have in common and is too large to keep for each of them; `draw` takes it
            after the keys. None: there is no such thing.
        task: What a network is to do, which decides the kinds of networks for it: "samples", to
            learn signals from measurements, which the other attributes are about; "inverse", to
            represent one signal from its measurements; "matrix", to find a matrix, for which
            `draw` returns a loss of it (problems/losses.py); "population", to do as a teacher does
            on all inputs of a law, for which it returns the teacher.
        num_test: The most test samples that there are, from the static settings. None: any number.
        stream: How training samples are drawn without end. None: there are those of `draw` alone.
        law: How they are drawn in any number of dimensions. None: they are not.
    """

    kind: str
    settings: type[Settings]
    draw: Callable[..., Any]
    draw_test: Callable[..., tuple[Float[Array, "d k"], Float[Array, "m k"]]] | None = None
    rank: Callable[[Any], int] | None = None
    certain_rank: Callable[[Any], bool] = lambda _: True
    clean: Callable[..., Float[Array, "m k"]] | None = None
    isometry: Callable[..., Float[Array, " 3"]] | None = None
    shared: Callable[..., Any] | None = None
    task: str = "samples"
    num_test: Callable[[Any], int] | None = None
    stream: Stream | None = None
    law: Law | None = None

    def rank_of(self, settings: Any) -> int:
        """Return the rank of the measurements, or the most that it can be."""
        if self.rank is not None:
            return self.rank(settings)
        return min(settings.measurement_dim, settings.num_samples)

    def has_certain_rank(self, settings: Any) -> bool:
        """Return whether the measurements always have this rank."""
        return self.rank is not None and self.certain_rank(settings)


PROBLEMS: Registry[str, Problem] = Registry()


def is_by_law(row: RunSettings) -> bool:
    """Return whether a run's inputs are drawn by their law, of its dotted settings."""
    return PROBLEMS[row["problem.kind"]].law is not None and row.get("problem.inputs") == "law"


def with_drawn_inputs(row: RunSettings) -> RunSettings:
    """Return a run's settings, with few drawn inputs if they were by their law: for trials."""
    law = PROBLEMS[row["problem.kind"]].law
    if law is None or not is_by_law(row):
        return row
    few = min(row["problem.measurement_dim"], 2 * row["problem.num_samples"])
    return row | {"problem.inputs": law.drawn, "problem.measurement_dim": few}


def register(problem: Problem) -> Problem:
    """Make a problem known under its kind.

    Raises:
        ValueError: If the kind is taken.
    """
    must_be(problem, Problem, "register_problem")
    if problem.kind in PROBLEMS:
        raise ValueError(f"a problem of kind {problem.kind!r} is registered already")
    PROBLEMS[problem.kind] = problem
    return problem
