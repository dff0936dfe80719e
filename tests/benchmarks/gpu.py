"""The kernels on a GPU: `python -m tests.benchmarks.gpu [--quick]` prints the tables.

How throughput grows with the batch, how far it stays below the device's memory bandwidth and
arithmetic (both measured here, by copying a large array and by a large product), and what
deterministic operations cost (the same in a process with XLA's flag for them). It runs on a CPU,
too: there `--quick` is a dry run of the script.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dlnsweep.engine.programs import PROGRAMS
from dlnsweep.networks.layered.kind import dense_flops, problem_rank
from dlnsweep.numerics.compiled import STOPS_A_SEGMENT
from dlnsweep.numerics.lanes import Layout
from dlnsweep.numerics.lazy import jax, jnp, lax
from dlnsweep.numerics.runtime import numerics
from dlnsweep.plan.plan import Plan, make_plan
from dlnsweep.reduced.program import ReducedProgram
from dlnsweep.spec.sweep import Sweep
from tests.benchmarks.tables import Table, machine
from tests.benchmarks.timing import timed

_SECONDS = 0.5
_DETERMINISTIC = "--xla_gpu_deterministic_ops=true"


def plan_of(precision: str, kernel: str, quick: bool, lanes: int = 1) -> Plan:
    """Return a sweep of as many runs as lanes, at the paper's sizes."""
    small = {"signal_dim": 16, "measurement_dim": 8, "subspace_dim": 2, "num_samples": 40}
    paper = {"signal_dim": 64, "measurement_dim": 32, "subspace_dim": 4, "num_samples": 1000}
    return make_plan(
        Sweep.from_dict(
            {
                "name": "gpu",
                "problem": {"kind": "subspace", **(small if quick else paper)},
                "network": {"depth": 3, "width": 64 if quick else 1000},
                "training": {"learning_rate": 0.01, "weight_decay": 1e-3, "num_steps": 10**6},
                "record": {"count": 4},
                "sweep": {
                    "seeds": lanes,
                    "precision": precision,
                    "kernel": kernel,
                    "tolerance": 1e-3 if quick else 1e-4,
                },
            }
        )
    )


def best_seconds(call: Callable[[], Any]) -> float:
    """Return the least seconds of a call; the first, which compiles, does not count."""
    call()
    times = [timed(call)]
    while sum(times) < _SECONDS and len(times) < 50:
        times.append(timed(call))
    return min(times)


def bandwidth(quick: bool) -> float:
    """Return the bytes a second, read and written, of changing a large array."""
    values = jnp.ones(2**22 if quick else 2**28, jnp.float32)
    change = jax.jit(lambda x: 1.0000001 * x)
    return 2 * values.nbytes / best_seconds(lambda: change(values).block_until_ready())


def arithmetic(precision: str, quick: bool) -> float:
    """Return the floating-point operations a second of a large product, as the kernels ask for it.

    At the highest precision: on NVIDIA without TF32.
    """
    size = 512 if quick else 8192
    matrix = jnp.ones((size, size), precision)
    product = jax.jit(lambda x: jnp.matmul(x, x, precision=lax.Precision.HIGHEST))
    return 2 * size**3 / best_seconds(lambda: product(matrix).block_until_ready())


class Calls:
    """Takes steps of a started program, always from where the last call ended."""

    def __init__(self, program: Any, started: tuple[Any, Any]) -> None:
        self.program = program
        self.inputs, self.carry = started
        self.step = 0

    def advance(self, steps: int) -> None:
        """Take some steps, with one record at their end."""
        stops = np.full(STOPS_A_SEGMENT, self.step + steps)
        recorded = np.arange(STOPS_A_SEGMENT) == 0
        self.carry, values = self.program.segment(
            self.inputs, self.carry, self.step, stops, recorded
        )
        self.step += steps
        np.asarray(next(iter(values.values())))

    def seconds_a_step(self) -> float:
        """Return the seconds of one step of all lanes."""
        self.advance(8)
        steps = 8
        while (taken := timed(partial(self.advance, steps))) < _SECONDS:
            steps = min(8 * steps, max(2 * steps, int(steps * _SECONDS / max(taken, 1e-6))))
        return taken / steps


def dense_rows(precision: str, lanes: int, quick: bool) -> dict[str, float]:
    """Measure the dense kernel with so many runs a call."""
    plan = plan_of(precision, "dense", quick, lanes)
    row = plan.row(0) | plan.shared
    width = int(row["network.width"])
    program = PROGRAMS.dense(row, width, lanes)
    columns = {key: np.asarray(column) for key, column in plan.settings.items()}
    used = program.layout.lanes
    piece = {key: column[:used] for key, column in columns.items()}
    calls = Calls(program, program.start(program.arguments(piece)))
    seconds = calls.seconds_a_step()
    dims = (row["problem.measurement_dim"], width, width, row["problem.signal_dim"])
    state = np.dtype(precision).itemsize * sum(a * b for a, b in itertools.pairwise(dims))
    return {
        "lanes": used,
        "seconds": seconds / used,
        # Every matrix is read twice a step, and read and written once for all delayed steps.
        "bytes": state * (2 + 2 / program.grain),
        "flops": dense_flops(dims, problem_rank(row)),
        "same_bits": float(_same_bits(program, piece)),
    }


def _same_bits(program: Any, piece: dict[str, np.ndarray]) -> bool:
    ends = []
    for _ in range(2):
        calls = Calls(program, program.start(program.arguments(piece)))
        calls.advance(50)
        ends.append([np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(calls.carry)])
    return ends[0] == ends[1]


def reduced_rows(lanes: int, quick: bool) -> dict[str, float]:
    """Measure the reduced kernel with so many copies of one run a call."""
    plan = plan_of("float64", "reduced", quick)
    row = plan.row(0) | plan.shared
    draw = PROGRAMS.draw(row, int(row["network.width"]))
    lane = draw.lane(row).made_small(is_reduced=True)
    one = PROGRAMS.reduced(row, draw, [lane])
    layout = one.layout if jax.default_backend() == "cpu" else Layout(max(2, lanes))
    kernel = replace(one.kernel, early_exit=layout.vectorized == 1)
    program = ReducedProgram(kernel, [lane] * layout.lanes, layout)
    calls = Calls(program, program.start([lane] * layout.lanes))
    seconds = calls.seconds_a_step()
    rank = len(lane.start.data.inputs)
    flops = program.sizes.step_flops(rank)
    # An entry of 8 bytes takes part in a multiply-add (two operations) for each of the samples.
    return {
        "lanes": layout.lanes,
        "seconds": seconds / layout.lanes,
        "bytes": 8 * flops / (2 * rank),
        "flops": flops,
    }


def measure(quick: bool) -> dict[str, Any]:
    """Measure everything in this process."""
    sizes = [2, 8] if quick else [2, 8, 32, 128, 512]
    with numerics():
        found: dict[str, Any] = {
            "device": jax.devices()[0].device_kind,
            "bandwidth": bandwidth(quick),
            "arithmetic": {p: arithmetic(p, quick) for p in ("float32", "float64")},
            "dense": {},
            "reduced": [],
        }
        for precision in ("float32", "float64"):
            found["dense"][precision] = [dense_rows(precision, n, quick) for n in sizes]
        found["reduced"] = [reduced_rows(n, quick) for n in sizes]
    return found


def deterministic(quick: bool) -> dict[str, Any]:
    """Measure everything in a process with XLA's deterministic operations."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} {_DETERMINISTIC}".strip()
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.gpu", "--json", *(["--quick"] if quick else [])],
        env={**os.environ, "XLA_FLAGS": flags}, cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def table_of(found: dict[str, Any], strict: dict[str, Any]) -> Table:
    """Return the table of both measurements."""
    speed = found["bandwidth"]
    peaks = found["arithmetic"]
    table = Table(
        f"{found['device']}: {speed / 1e9:.0f} GB/s, {peaks['float32'] / 1e12:.2f} Tflop/s in "
        f"float32, {peaks['float64'] / 1e12:.2f} in float64 (measured)",
        ["kernel", "precision", "runs a call", "us a run-step", "run-steps/s", "share of bandwidth",
         "share of arithmetic", "deterministic: time", "same bits twice"],
    )  # fmt: skip
    groups = [("dense", p, found["dense"][p], strict["dense"][p]) for p in peaks]
    groups.append(("reduced", "float64", found["reduced"], strict["reduced"]))
    for kernel, precision, rows, others in groups:
        for row, other in zip(rows, others, strict=True):
            bits = {1.0: "yes", 0.0: "no"}.get(row.get("same_bits", -1.0), "")
            table.add(
                kernel, precision, row["lanes"], 1e6 * row["seconds"], 1 / row["seconds"],
                row["bytes"] / row["seconds"] / speed,
                row["flops"] / row["seconds"] / peaks[precision],
                other["seconds"] / row["seconds"], bits,
            )  # fmt: skip
    table.notes.append(
        "Bytes of the dense kernel: each matrix read twice a step, and read and written once for "
        "all delayed steps; of the reduced kernel: every matrix read once a product. What caches "
        "hold is read faster than the bandwidth, so that a share may exceed 1."
    )
    return table


def main() -> int:
    """Print the table, or with --json the numbers of this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    found = measure(arguments.quick)
    if arguments.json:
        print(json.dumps(found))
        return 0
    print(machine())
    print(table_of(found, deterministic(arguments.quick)).markdown())
    return 0


if __name__ == "__main__":
    sys.exit(main())
