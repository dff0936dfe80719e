"""Inputs reduced to their span beside all of them: `python -m tests.benchmarks.reduced_inputs`.

`--exact` trains the random runs of tests/samples/span_samples.py by `sweep.kernel =
"reduced_inputs"` and by the generic way, and says how far apart their records are: families of one
program a way, each with several sets of numbers and seeds; a row is the farthest run of a set.
Without it steps are timed, both ways in one process on one core, as a worker is, in turns: a step's
time is the difference of two lengths, by the time of the process, so that what other programs take
does not count; the median of the turns.
`--law` times those of one program at two dimensions.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

# Before NumPy starts: threads that wait for each other make small products many times slower.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "samples"))

import numpy as np  # noqa: E402
import span_samples as samples  # noqa: E402

from dlnsweep.engine.program import Program  # noqa: E402
from dlnsweep.numerics.lazy import jax, jnp  # noqa: E402
from dlnsweep.numerics.runtime import device_description, numerics, usable_cores  # noqa: E402
from tests.benchmarks.ours import plan_of  # noqa: E402
from tests.benchmarks.tables import Table, machine, verdict  # noqa: E402
from tests.benchmarks.timing import in_turns, timed  # noqa: E402

# d, n, k, activation, how many times faster it is to be, and steps of a call by the generic way.
# Products alone are d / n times faster; activations cost the same.
CASES = (
    (3000, 40, 50, "tanh", 10.0, 40),
    (3072, 300, 100, "tanh", 5.0, 6),
    (3072, 1000, 100, "tanh", 3.0, 3),
    (3072, 1000, 100, "relu", 3.0, 3),
)


class Way:
    """One run of an mlp by one kernel, as the engine's program trains it.

    Args:
        problem: The keys of [problem].
        width: The width.
        kernel: The kernel.
        activation: The activation.
        other: What has its program already.
    """

    def __init__(
        self,
        problem: dict[str, Any],
        width: int,
        kernel: str,
        activation: str = "tanh",
        other: Way | None = None,
    ) -> None:
        plan = plan_of({
            "name": "inputs",
            "problem": problem,
            "network": {"kind": "mlp", "depth": 2, "width": width, "activation": activation},
            "training": {"learning_rate": 1e-3, "weight_decay": 1e-3, "num_steps": 1},
            "record": {"observables": ["loss"], "count": 2},
            "sweep": {"seeds": [1], "kernel": kernel},
        })  # fmt: skip
        with numerics():
            device = device_description()
            self.key = Program.key(plan.row(0), width, 1, device)
            assert other is None or other.key == self.key
            self.program = other.program if other else Program(plan.row(0), width, 1, device)
            arguments = self.program.arguments(plan.settings)
            self.drawn = timed(lambda: jax.block_until_ready(self.program.start(arguments)))
            self.inputs, self.carry = self.program.start(arguments)

    def seconds(self, steps: int) -> float:
        """Return the processor's seconds of one call of so many steps."""
        with numerics():
            # The carry is given away.
            carry = jax.block_until_ready(jax.tree.map(jnp.copy, self.carry))
            stops = np.full(_stops(), steps, np.int64)

            def call() -> Any:
                return jax.block_until_ready(
                    self.program.segment(self.inputs, carry, 0, stops, stops < 0)
                )

            began = time.process_time()
            call()
            return time.process_time() - began

    def a_step(self, steps: int) -> float:
        """Return the seconds of a step."""
        return (self.seconds(2 * steps) - self.seconds(steps)) / steps


def _stops() -> int:
    from dlnsweep.numerics.compiled import STOPS_A_SEGMENT

    return STOPS_A_SEGMENT


def steps_table(rounds: int) -> Table:
    """Time steps of both ways, case by case."""
    table = Table(
        "A step of an mlp of two layers on all inputs and on the span of the samples",
        [
            "d",
            "n",
            "k",
            "activation",
            "generic, ms",
            "reduced_inputs, ms",
            "times faster",
            "drawn in, s",
        ],
    )
    for inputs, count, width, activation, target, steps in CASES:
        problem = {"kind": "teacher", "signal_dim": 1, "measurement_dim": inputs,
                   "num_samples": count}  # fmt: skip
        whole, reduced = (
            Way(problem, width, each, activation) for each in ("generic", "reduced_inputs")
        )
        # Calls of about one length, for what a call costs beside its steps.
        more = steps * max(1, inputs // count // 2)
        peers = {"generic": partial(whole.a_step, steps),
                 "reduced_inputs": partial(reduced.a_step, more)}  # fmt: skip
        found = in_turns(peers, rounds)
        ratio = found["generic"] / found["reduced_inputs"]
        table.add(
            inputs, count, width, activation, 1e3 * found["generic"], 1e3 * found["reduced_inputs"],
            ratio, reduced.drawn,
        )  # fmt: skip
        print(
            f"d = {inputs}, n = {count}, k = {width}, {activation}: {verdict(ratio, target)}",
            flush=True,
        )
    return table


def law_table(rounds: int) -> Table:
    """Time steps of one program at two dimensions."""
    problem = {"kind": "teacher", "inputs": "law", "signal_dim": 1, "measurement_dim": 10**2,
               "num_samples": 40}  # fmt: skip
    few = Way(problem, 50, "reduced_inputs")
    many = Way(problem | {"measurement_dim": 10**12}, 50, "reduced_inputs", other=few)
    peers = {str(d): partial(way.a_step, 2000) for d, way in ((10**2, few), (10**12, many))}
    found = in_turns(peers, rounds)
    table = Table(
        "A step of one program, inputs by their law: n = 40, k = 50", ["d", "ms a step", "beside"]
    )
    for d, seconds in found.items():
        table.add(f"{float(d):.0e}", 1e3 * seconds, seconds / found[str(10**2)])
    return table


def exact_table(first: int, families: int, csv: Path | None, where: str) -> Table:
    """Train the random runs by both ways; written after every family."""
    table = Table(
        "Random runs with inputs reduced to their span, beside the generic way "
        f"(allowed: {samples.ALLOWED:g}; {samples.SEEDS} seeds a row, of which the farthest)",
        ["family", "set", "what", "farthest observable", "deviation", "endings"],
    )
    worst = 0.0
    for number in range(first, first + families):
        runs = samples.outcomes(samples.family(number))
        for place in range(samples.SETS):
            own = [run for run in runs if run.numbers == place]
            # NaN is the farthest of all.
            one = max(own, key=lambda run: (np.isnan(run.deviation), run.deviation))
            # "finished; diverged": runs that end so by both ways; a slash: not alike.
            each = [" / ".join(dict.fromkeys(run.endings)) for run in own]
            endings = "; ".join(dict.fromkeys(each))
            table.add(number, place, one.what, one.worst, one.deviation, endings)
            worst = max(worst, one.deviation)
        print(f"family {number}: worst deviation so far {worst:.2g}", flush=True)
        if csv:
            table.write_csv(csv, where)
    return table


def main() -> int:
    """Print a table, and write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exact", action="store_true")
    parser.add_argument("--law", action="store_true")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--families", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    where = machine()
    if arguments.exact:
        exact_table(arguments.first, arguments.families, arguments.csv, where)
        return 0
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {usable_cores()[-1]})
    table = (law_table if arguments.law else steps_table)(arguments.rounds)
    print(table.text())
    if arguments.csv:
        table.write_csv(arguments.csv, where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
