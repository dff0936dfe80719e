"""results/kept/scale/README.md."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Any

from dlnsweep.execution.estimate import _STORED_BYTES
from dlnsweep.settings.sections import SweepSettings
from dlnsweep.store.stored_plan import ROWS_AT_ONCE
from kept.scripts import script
from kept.tables import table
from kept.text import Part, Statement, says

FILE = "results/kept/scale/README.md"
RUNS = 10**6
MORE = 10
LANES = 64
_THREE = "{} | {} | {}"
# A job's place in the table, and what stands before its numbers.
WORDS = {
    "plan": "plan and write the results folder",
    "status": "`dlnsweep status`, all done",
    "summary": "`dlnsweep summary` (final values; exact medians and quartiles)",
    "smallest": "(reads all {} rows; exact)",
    "runs": "`results.runs()`",
    "curves": "free: refused, with what to do",
    "figure_final": "figure `final` over all runs",
    "figure_by_hue": "figure `curves`, {} medians of {} runs with quartiles (several passes)",
    "figure_of_all": "figure `curves`, the median of all runs",
    "fill": "writing {} batches",
}


def _jobs() -> dict[str, dict[str, Any]]:
    return {row["job"]: row for row in table("scale/million.csv").rows}


def _head() -> Iterator[Statement]:
    million = script("million")
    document, jobs = million.document(RUNS), _jobs()
    decays, seeds = million.DECAYS, document["sweep"]["seeds"]
    recorded, observables = document["record"]["count"], document["record"]["observables"]
    assert len(observables) == 2
    rows = RUNS * recorded
    yield says(
        "{} planned runs ({} weight decays, {} seeds each), {} recorded rows a run, two "
        "observables: {} rows of curves",
        RUNS, decays, seeds, recorded, rows,
    )  # fmt: skip
    batches = jobs["plan"]["batches"]
    before = {"smallest": [rows], "figure_by_hue": [decays, seeds], "fill": [batches]}
    for name, words in WORDS.items():
        job, asked = jobs[name], million.JOBS[name][1]
        yield says(
            f"{words} | {_THREE} |{f' {asked}' if asked else ''} |",
            *before.get(name, ()), job["seconds"], job["cpu_seconds"], job["gigabytes"],
        )  # fmt: skip
    size = jobs["fill"]["bytes"]
    yield says(
        "The folder: {} batches, {} files, {} GB ({} bytes a row, {} a value; real errors, "
        "noisier, take up to {}, which `plan` reckons with); `runs.parquet` {} MB",
        batches, jobs["fill"]["files"], size / 1e9, size / rows, size / rows / 2,
        _STORED_BYTES["float64"], jobs["plan"]["bytes"] / 1e6,
    )  # fmt: skip


def _memory() -> Iterator[Statement]:
    runs, rows = RUNS // MORE, table("scale/memory.csv")
    document = script("million").document(runs)
    yield says(
        "{} real runs (d = {}, L = 2, d_w = {}, 100 steps) in {} batches of {},",
        runs, document["problem"]["signal_dim"], document["network"]["width"],
        ceil(runs / LANES), LANES,
    )  # fmt: skip
    for column, words in (
        ("batches", "batches done"), ("parent", "parent"), ("worker", "the larger worker")
    ):  # fmt: skip
        values = rows.column(column)
        yield says(f"| {words} | {' | '.join('{}' for _ in values)} |", *values)
    yield says("row groups of `runs.parquet` ({} rows each)", ROWS_AT_ONCE)


def _beyond() -> Iterator[Statement]:
    jobs, rows = _jobs(), 200 * RUNS
    idle = jobs["status"]["gigabytes"]
    yield says("beyond the {} GB that `status` takes", idle)
    yield says("| {} runs, {} rows (measured) | {} runs, {} rows |",
               RUNS, rows, MORE * RUNS, MORE * rows)  # fmt: skip
    size, plan = jobs["fill"]["bytes"] / 1e9, jobs["plan"]["bytes"] / 1e6
    yield says("| Parquet, two observables | {} GB | {} GB |", size, MORE * size)
    yield says("| `runs.parquet` | {} MB | {} MB |", plan, MORE * plan)
    yield says("| `status`: seconds | {} s |", jobs["status"]["seconds"])
    for name, words in (
        ("plan", "plan"), ("summary", "`summary`"), ("smallest", "`summary --at min`")
    ):  # fmt: skip
        seconds, memory = jobs[name]["seconds"], jobs[name]["gigabytes"]
        yield says(
            f"| {words}: seconds, memory | {{}} s, {{}} GB | {{}} s, {{}} GB |",
            seconds, memory, MORE * seconds, idle + MORE * (memory - idle),
        )  # fmt: skip
    seconds = jobs["figure_by_hue"]["seconds"]
    # As many passes more as there are rows more in each.
    assert MORE**2 * seconds > 3600
    yield says("| figure `curves` with quartiles: seconds | {} s | over an hour", seconds)
    yield says("{} is the most that a sweep", SweepSettings.model_fields["max_runs"].default)


PARTS = [
    Part(
        FILE,
        "",
        _head,
        settings=(
            "Measured on 2 quiet cores of an AMD EPYC (load average 1 to 2, its own)",
            "where 8 GB are free",
        ),
    ),
    Part(FILE, "Memory while it runs", _memory),
    Part(FILE, "Beyond this machine, on paper", _beyond),
]
