"""Settings that a sweep file samples instead of listing their values.

    learning_rate = { sample = "log_uniform", from = 1e-4, to = 1 }

Samples are drawn when the file is read, all sampled settings jointly: together they are one axis.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from dlnsweep.contracts.keys import may_vary
from dlnsweep.settings.base import Settings, with_integers
from dlnsweep.settings.sentences import sentences
from dlnsweep.spec.axes import LARGEST_WHOLE, read_values, wants_integers
from dlnsweep.spec.derived import is_number

# Logarithms differ in the last digits from machine to machine, and a run is told by its numbers.
_DIGITS = 12
# As many bits as a point of a Sobol sequence has.
_MOST_SOBOL = 2**30
# What of [sweep] says how samples are drawn.
OPTIONS = ("sweep.samples", "sweep.sample_seed", "sweep.sampler")


class Sample(Settings):
    """How the values of one setting are distributed."""

    sample: Literal["uniform", "log_uniform", "integer", "choice"]
    start: Annotated[float | None, Field(alias="from")] = None
    to: float | None = None
    of: list[Any] | None = None

    def value(self, unit: float) -> Any:
        """Return the value at a point between 0 and 1: the inverse distribution function."""
        if self.sample == "choice":
            assert self.of is not None
            return self.of[min(int(unit * len(self.of)), len(self.of) - 1)]
        assert self.start is not None
        assert self.to is not None
        if self.sample == "integer":
            low, high = int(self.start), int(self.to)
            return min(low + int(unit * (high - low + 1)), high)
        if self.sample == "log_uniform":
            low, high = math.log(self.start), math.log(self.to)
            found = math.exp(low + unit * (high - low))
        else:
            found = self.start + unit * (self.to - self.start)
        return min(max(float(f"{found:.{_DIGITS}g}"), self.start), self.to)

    @property
    def text(self) -> str:
        """How the setting is distributed, for a line of text."""
        if self.sample == "choice":
            return f"a choice of {len(self.of or ())}"
        return f"{self.sample} from {self.start:.6g} to {self.to:.6g}"


def is_sample(raw: Any) -> bool:
    """Return whether what a file holds for a setting is meant as a sample."""
    return isinstance(raw, dict) and "sample" in raw


def read_sample(
    settings: type[Settings], key: str, raw: Mapping[str, Any], place: str
) -> tuple[Sample | None, list[str]]:
    """Return how a setting is sampled, or what is wrong with that as sentences."""
    if not may_vary(settings, key):
        return None, [f"{place} is sampled; it must be one value for all runs of the file."]
    try:
        found = Sample.model_validate(dict(raw))
    except ValidationError as error:
        return None, sentences(error, place, Sample, "a sample (sample, from, to or of)")
    problems = list(_wrong(found, settings, key, place))
    if found.sample == "choice" and not problems:
        values, _, problems = read_values(settings, key, found.of, place)
        found = found.model_copy(update={"of": list(values)})
    elif not problems:
        for end, value in (("from", found.start), ("to", found.to)):
            value = with_integers(int, value) if found.sample == "integer" else value
            problems += read_values(settings, key, value, f"{place}.{end}")[2]
    return (None, problems) if problems else (found, [])


def _wrong(found: Sample, settings: type[Settings], key: str, place: str) -> Iterator[str]:
    if found.sample == "choice":
        if found.of is None:
            yield f"{place}.of is missing; a choice needs the list of values, of = [...]."
        if found.start is not None or found.to is not None:
            yield f"{place} is a choice, which has no from and to; leave them out."
        return
    if found.of is not None:
        yield f'{place}.of is given, which sample = "choice" alone uses; leave it out.'
    if found.start is None or found.to is None:
        missing = "from" if found.start is None else "to"
        yield f"{place}.{missing} is missing; a sample needs both ends of its range."
        return
    ends = f"from {found.start:g} to {found.to:g}"
    if not is_number(settings, key):
        yield f'{place} is sampled {ends}, but takes no number; use sample = "choice".'
    elif found.start >= found.to:
        yield f"{place} is sampled {ends}; the first must be smaller than the second."
    elif found.sample == "log_uniform" and found.start <= 0:
        yield f"{place} is sampled {ends} with 'log_uniform'; both ends must be positive."
    elif found.sample == "integer":
        if not (found.start.is_integer() and found.to.is_integer()):
            yield f"{place} is sampled {ends} with 'integer'; both ends must be integers."
        elif max(abs(found.start), abs(found.to)) > LARGEST_WHOLE:
            yield f"{place} is sampled {ends} with 'integer'; the ends may be 2^53 at most."
    elif wants_integers(settings, key):
        yield f'{place} takes integers; use sample = "integer" instead of {found.sample!r}.'


def check_options(
    samples: Collection[str], values: Mapping[str, Sequence[Any]], given: Collection[str]
) -> Iterator[str]:
    """Check that what [sweep] says of samples goes with what is sampled.

    Args:
        samples: The settings that are sampled.
        values: The values of the settings that are right.
        given: The settings that the file gives.
    """
    count = values.get("sweep.samples", (None,))[0]
    if samples and "sweep.samples" not in given:
        yield f"sweep.samples is missing; {', '.join(samples)} needs the number of samples."
    for key in OPTIONS:
        if not samples and key in given:
            yield (
                f"{key} is given, but nothing is sampled; leave it out, or sample a setting: "
                '{ sample = "uniform", from = ..., to = ... }.'
            )
    sobol = samples and values.get("sweep.sampler", ("",))[0] == "sobol"
    if sobol and count is not None and count > _MOST_SOBOL:
        yield f"sweep.samples is {count}; a Sobol sequence has at most {_MOST_SOBOL} points."


def draw(
    samples: Mapping[str, Sample], count: int, seed: int, sampler: str
) -> dict[str, tuple[Any, ...]]:
    """Draw samples of some settings jointly; each combination once, in the order of drawing.

    More samples of the same settings begin with the fewer.

    Args:
        samples: How each setting is distributed.
        count: How many samples are drawn.
        seed: Says which they are.
        sampler: "random", each setting by a stream of its own; or "sobol", a scrambled Sobol
            sequence in as many dimensions, which fills the space more evenly.
    """
    units = _sobol(sorted(samples), count, seed) if sampler == "sobol" else None
    columns = [
        [each.value(unit) for unit in (_random(key, count, seed) if units is None else units[key])]
        for key, each in samples.items()
    ]
    rows = dict.fromkeys(zip(*columns, strict=True))
    return dict(zip(samples, zip(*rows, strict=True), strict=True))


def _random(key: str, count: int, seed: int) -> list[float]:
    import numpy as np

    digest = hashlib.blake2b(f"{seed} {key}".encode(), digest_size=16).digest()
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "big")))
    return generator.random(count).tolist()


def _sobol(keys: Sequence[str], count: int, seed: int) -> dict[str, list[float]]:
    # It takes seconds to import.
    from scipy.stats import qmc

    # A power of two, of which the first are taken: else it warns of what is lost by stopping.
    points = qmc.Sobol(len(keys), scramble=True, rng=seed).random_base2((count - 1).bit_length())
    return {key: points[:count, i].tolist() for i, key in enumerate(keys)}
