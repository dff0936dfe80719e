"""Fresh samples of a run's problem, for the errors of networks that learn from samples."""

from __future__ import annotations

from typing import Any, NamedTuple

from jaxtyping import Array, Float

from dlnsweep.contracts.drawing import Sections
from dlnsweep.contracts.observable import OBSERVABLES
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.numerics.streams import gaussian


class TestSamples(NamedTuple):
    """Fresh signals, their measurements, and noise for these measurements.

    Attributes:
        signals: Test signals, drawn like the training signals' subspace but afresh.
        measurements: A times the test signals, without noise.
        noise: Gaussian noise at the setting `record.test_noise`.
        unit_noise: The same draw with standard deviation 1.
        isometry: Smallest and largest singular value of A on the signals' subspace, and a lower
            estimate of a restricted isometry constant of A; None where no observable needs them.
    """

    signals: Float[Array, "d k"]
    measurements: Float[Array, "m k"]
    noise: Float[Array, "m k"]
    unit_noise: Float[Array, "m k"]
    isometry: Float[Array, " 3"] | None = None


def draw_test_samples(sections: Sections, key: Any) -> TestSamples | None:
    """Draw a run's fresh samples, float64; None where no recorded observable needs them.

    Args:
        sections: The run's settings, with their numbers.
        key: The run's PRNG key for a named purpose.
    """
    problem = PROBLEMS[sections.problem.kind]
    observables = [OBSERVABLES[name] for name in sections.record.observables]
    examined = any(item.needs_isometry for item in observables)
    if not examined and not any(item.needs_test_samples for item in observables):
        return None
    count = sections.record.num_test_samples
    assert problem.draw_test is not None
    signals, measurements = problem.draw_test(sections.problem, key, count)
    noise = gaussian(key("test/noise"), measurements.shape[0], count)
    isometry = None
    if examined:
        assert problem.isometry is not None
        isometry = problem.isometry(sections.problem, key)
    scaled = sections.record.test_noise * noise
    return TestSamples(signals, measurements, scaled, noise, isometry)
