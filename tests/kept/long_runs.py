"""README.md and results/kept/long_runs: time jumps beside gradient descent step by step."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from statistics import median
from typing import Any

import jump_samples as samples

from dlnsweep.engine import jumps
from kept.tables import Table, table
from kept.text import GUIDES, Part, Statement, says

FILE = "results/kept/long_runs/README.md"


def _front_page() -> Iterator[Statement]:
    yield says("with at most {} outputs on all samples", jumps.MOST_OUTPUTS)


def _allowed(row: dict[str, Any]) -> float:
    """Return a run's error over what is allowed."""
    return row["error"] / max(samples.TOLERANCE, samples.ESTIMATES * row["estimate"])


def _known(rows: Table) -> list[dict[str, Any]]:
    """Return the runs that have an estimate; ended as by the judge are all."""
    assert not any(" beside " in row["ending"] for row in rows.rows)
    kept = [row for row in rows.rows if "diverged" not in row["ending"]]
    return [row for row in kept if math.isfinite(row["estimate"])]


def _estimates() -> Iterator[Statement]:
    rows = table("long_runs/estimates.csv")
    programs = {*rows.column("family")}
    assert len(rows.rows) == len(programs) * samples.RUNS
    yield says(
        "{} random runs, {} of each of {} programs", len(rows.rows), samples.RUNS, len(programs)
    )
    names = {re.sub(r" \w+$", "", name) for name in rows.column("network")}
    depths = [int(name.split()[-1]) for name in rows.column("network") if "deep_linear" in name]
    assert len(names) > 4
    yield says("deep linear networks of depth {} to {},", min(depths), max(depths))
    yield says("at a tolerance of {} and", samples.TOLERANCE)
    known = _known(rows)
    yield says("| runs that have an estimate | {} |", len(known))
    yield says("larger one of the tolerance and three estimates | {} |", max(map(_allowed, known)))
    beyond = sum(row["error"] > samples.TOLERANCE for row in known)
    yield says("within three estimates | {} |", beyond)
    above = sum(row["estimate"] > samples.TOLERANCE for row in known)
    yield says("| estimates above the tolerance | {} |", above)
    diverged = sum("diverged" in row["ending"] for row in rows.rows)
    infinite = len(rows.rows) - len(known) - diverged
    yield says("it is infinite | {} |", infinite)
    yield says("as by the judge | {} |", diverged)
    shares = sorted(_jumped(row["steps"]) for row in rows.rows)
    yield says(
        "{} % of the steps are jumped over, in the lowest tenth at most {} %",
        100 * median(shares), 100 * shares[len(shares) // 10],
    )  # fmt: skip
    fresh = table("long_runs/fresh.csv")
    programs = {*fresh.column("family")}
    assert len(fresh.rows) == len(programs) * samples.RUNS
    assert any("deep_prior" in name for name in fresh.column("network"))
    known = _known(fresh)
    diverged = sum("diverged" in row["ending"] for row in fresh.rows)
    yield says("{} runs of each of {} (`--first 200", samples.RUNS, len(programs))
    yield says(
        "is among them): {}, and {} infinite estimates.",
        max(map(_allowed, known)), len(fresh.rows) - len(known) - diverged,
    )  # fmt: skip
    yield says(
        "below {} of a run's largest value, and below {} of the off-subspace",
        samples.JUDGED, samples.JUDGED,
    )  # fmt: skip


def _jumped(text: str) -> float:
    """Return the share of a run's steps that were jumped over, of what its outcome says."""
    found = re.match(r"([\d,]+) steps taken, ([\d,]+) in", text)
    assert found
    taken, beyond = (int(part.replace(",", "")) for part in found.groups())
    return beyond / (taken + beyond) if taken + beyond else 0.0


PARTS = [
    Part(f"{GUIDES}/kernels.md", "Time jumps: any number of steps", _front_page),
    Part(FILE, "What the estimates are worth", _estimates),
]
