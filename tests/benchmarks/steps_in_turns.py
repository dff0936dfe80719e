"""Steps of kernels in turns, in a process on one core, as a worker is.

Steps alone are timed, as the difference of two lengths, by the time of the process on its core:
what other programs take of it does not count.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from dlnsweep.numerics.runtime import usable_cores
from tests.benchmarks.pinned import Pinned
from tests.benchmarks.tables import Table, machine
from tests.benchmarks.timing import in_turns

# A vector of runs, and eight vectors.
RUNS = (8, 64)
_SHORT = 20
# The job of `pinned` that trains so many runs for so many steps.
Job = Callable[[int, int], dict[str, Any]]


def operations(document: dict[str, Any], told: Mapping[str, str]) -> int:
    """Return the operations of a step of vector instructions, as outcomes have them.

    Args:
        document: A sweep of one run.
        told: What its folder says of the kernel.
    """
    from dlnsweep.engine.batch import train_batch
    from tests.benchmarks.ours import plan_of

    plan = plan_of(document)
    trained = train_batch(plan.settings, {**plan.shared, **told}, plan.program_widths[0])
    assert trained.kernel[0].startswith("simd"), trained.kernel_reason
    return int(trained.kernel_reason[0].rpartition(", ")[2].split()[0].replace(",", ""))


def measured(
    process: Pinned, jobs: Mapping[str, Job], runs: int, first: int, rounds: int, seconds: float
) -> dict[str, float]:
    """Return the seconds a run-step of each kernel.

    Args:
        process: One process.
        jobs: What each kernel is asked for.
        runs: How many are trained together.
        first: So many steps are tried first.
        rounds: How often each has its turn.
        seconds: That a turn should take.
    """

    def take(name: str, steps: int) -> float:
        (one,) = process.call("train", [jobs[name](steps, runs)])
        return one["answer"]["core"]

    def length(name: str) -> int:
        steps = first
        while True:
            # The first call of a process compiles.
            take(name, _SHORT)
            taken = take(name, _SHORT + steps) - take(name, _SHORT)
            if taken > seconds / 2:
                return steps
            steps *= 2 if taken > seconds / 8 else 5

    def a_run_step(name: str, steps: int) -> float:
        return (take(name, _SHORT + steps) - take(name, _SHORT)) / steps / runs

    return in_turns({name: partial(a_run_step, name, length(name)) for name in jobs}, rounds)


def main(
    title: str,
    cases: Iterable[tuple[str, int, Mapping[str, Job]]],
    names: tuple[str, str],
    *,
    first: int,
    rounds: int,
    seconds: float,
) -> int:
    """Print a table of vector instructions beside another kernel.

    Args:
        title: What it is of.
        cases: What each is called, the operations of its step, and the jobs of both kernels.
        names: Of vector instructions, and of the other kernel.
        first: As `measured` has it, and so the next two.
        rounds: Likewise.
        seconds: Likewise.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="for trying the script, not numbers")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--csv", type=Path, help="write the table to this file, too")
    arguments = parser.parse_args()
    if arguments.quick:
        rounds, seconds = 1, 0.05
    where, (ours, other) = machine(), names
    print(where, flush=True)
    table = Table(title, ["step", "operations", "runs", *names, f"{other} / {ours}"])
    with Pinned([usable_cores()[-1]]) as process:
        for name, count, jobs in cases:
            for runs in RUNS:
                found = measured(process, jobs, runs, first, rounds, seconds)
                times = [1e6 * found[each] for each in names]
                table.add(name, count, runs, *times, found[other] / found[ours])
                if arguments.csv:
                    table.write_csv(arguments.csv, where)
    print(table.markdown() if arguments.markdown else table.text())
    return 0
