"""results/kept/long_runs: where one reduced run's seconds go, and what its jumps are worth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

from dlnsweep.reduced.jumping.pacing import SHARE
from kept.tables import table
from kept.text import Part, Statement, says

FILE = "results/kept/long_runs/README.md"
_WORKS = [
    f"one run, {steps} steps, {tolerance}"
    for steps in ("1e6", "2000")
    for tolerance in ("1e-4", "1e-6")
]


def _one_run() -> Iterator[Statement]:
    rows = table("long_runs/one_run.csv").rows
    works = list(dict.fromkeys(row["work"] for row in rows))
    assert works == _WORKS[: len(works)]
    found = {(row["work"], row["part"]): row["seconds"] for row in rows}
    lines, cells = [], []
    for part in dict.fromkeys(row["part"] for row in rows):
        lines.append(f"| {part} |" + " {} |" * len(works))
        cells += [found[work, part] for work in works]
    yield says(" ".join(lines), *cells)
    starting = ("start Python, import", "load the program that draws",
                "load the program that trains", "all else: plan, files")  # fmt: skip
    for work in works:
        share = sum(found[work, part] for part in starting) / found[work, "whole"]
        assert share > 0.75 if "2000" in work else share < 0.65
    preparing = ("pilot", "truncate, and rehearse all of it", "rehearse truncations")
    shares = [sum(found[work, part] for part in preparing) / found[work, "whole"] for work in works]
    assert max(shares) < 1 / 3
    jumping = found[works[1], "jumps, steps, records"] / found[works[1], "whole"]
    assert 0.32 < jumping < 0.35


def _reduced_jumps() -> Iterator[Statement]:
    rows = table("long_runs/reduced_jumps.csv").rows
    yield says("{} runs of random sweeps", len(rows))
    jumping = [row for row in rows if row["jumps"]]
    yield says("| runs that jump | {} |", len(jumping))
    yield says("three estimates | {} |", max(map(_beside_allowed, jumping)))
    known = [row for row in jumping if row["estimate"] > 1e-12]
    yield says("above rounding | {} |", max(row["error"] / row["estimate"] for row in known))
    tolerated = max(row["error"] / row["tolerance"] for row in jumping)
    yield says("over the sweep's tolerance | {} |", tolerated)
    share = median(row["jumped over"] / row["num_steps"] for row in jumping)
    yield says("jumps {} % of the steps", 100 * share)
    alternate = [row for row in jumping if row["sweep"] >= 2]
    yield says("of the other sweeps {} jump", len(alternate))
    rows = table("long_runs/reduced_jumps_close.csv").rows
    jumping = [row for row in rows if row["jumps"]]
    yield says("{} of {} jump", len(jumping), len(rows))
    yield says("at most {} of what is allowed", max(map(_beside_allowed, jumping)))
    jumping, rows = _networks("reduced_chains")
    yield says("{} random networks", len(rows))
    steep = [row for row in jumping if row["steepest later"] >= 0.9]
    yield says("{} of them jump", len(jumping))
    yield says("of {} a step takes away", len(steep))
    yield says("of the networks, {},", max(map(_beside_allowed, jumping)))
    known = [row for row in jumping if row["estimate"] > 1e-12]
    estimates = max(row["error"] / row["estimate"] for row in known)
    yield says("over the estimate alone {}", estimates)
    far, rows = _networks("reduced_chains_far")
    yield says("{} more networks", len(rows))
    fine = [row for row in far if row["tolerance"] < 1e-6]
    yield says("{} jump, {} of them", len(far), len(fine))
    yield says("none is wrong by {} of what is allowed or more", max(map(_beside_allowed, far)))
    own, rows = _networks("reduced_chains_momentum")
    yield says("of {} networks {} jump", len(rows), len(own))
    both = {row["optimizer"] for row in own}
    assert both == {"momentum", "nesterov"}
    yield says("up to a momentum of {},", max(row["momentum"] for row in own))
    shares = median(row["jumped over"] / 200_000 for row in own)
    yield says("over {} % of the steps", 100 * shares)
    yield says("that same larger one is {}.", max(map(_beside_allowed, own)))


def _networks(name: str) -> tuple[list[dict[str, Any]], Sequence[dict[str, Any]]]:
    """Return the rows of networks that jump, and all."""
    rows = table(f"long_runs/{name}.csv").rows
    return [row for row in rows if row["trials"]], rows


def _beside_allowed(row: dict[str, Any]) -> float:
    return row["error"] / max(SHARE * row["tolerance"], 3 * row["estimate"])


PARTS = [
    Part(
        FILE,
        "Where the seconds of one run go",
        _one_run,
        settings=(
            "a million steps, 1e-4",
            "a million, 1e-6",
            "2 000 steps, 1e-4",
            "2 000, 1e-6",
            "a million steps to 1e-6 a third",
        ),
    ),
    Part(
        FILE,
        "Jumps of reduced runs",
        _reduced_jumps,
        settings=("depth 2 to 6", "0.9 of a part", "from 1e-8", "0.5 to 0.99", "200 000 steps"),
    ),
]
