"""The reduced kernel beside its peers: `python -m tests.benchmarks.reduced [--quick] [--truth]`.

Needs the extra `bench` (PyTorch). Runs of Figure 4's sizes (d=64, m=32, s=4, n=1000, d_w=1000,
kappa=1, learning rate 0.01, weight decay 1e-3) are trained for 200 000 steps by `train_batch` in
one process a core, everything included but compiling: drawing, the pilot, rehearsals, training,
recording. The peers train the same networks on all cores, one after another, for a few steps.
`--truth` adds what the reduced run's records are off the dense kernel's in float64 (minutes).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dlnsweep.numerics.runtime import numerics, usable_cores
from tests.benchmarks.ours import LEARNING_RATE, WEIGHT_DECAY, SweepRow, sweep_document
from tests.benchmarks.peers import JaxScan, TorchLoop
from tests.benchmarks.pinned import Pinned
from tests.benchmarks.tables import Table, machine, verdict
from tests.benchmarks.timing import in_turns, timed

_NUMBERS = (LEARNING_RATE, WEIGHT_DECAY)
# What issue 3 asks for: PyTorch on n samples / ours.
_TARGETS = {
    (2, 1e-4): 600, (3, 1e-4): 2500, (4, 1e-4): 1500,
    (2, 1e-6): 500, (3, 1e-6): 1200, (4, 1e-6): 500,
}  # fmt: skip
_WIDTHS = (10**3, 10**6, 10**9)


def _document(
    depth: int, steps: int, seeds: list[int], tolerance: float, width: int = 1000
) -> dict[str, Any]:
    document = sweep_document(
        depth=depth, width=width, steps=steps, precision="float64", seeds=seeds, count=60
    )
    document["sweep"] |= {"kernel": "reduced", "tolerance": tolerance}
    return document


def throughput(quick: bool, truth: bool, depths: Sequence[int] = (2, 3, 4)) -> Table:
    """Run-steps a second on all cores, beside a PyTorch loop and a JAX scan."""
    cores = usable_cores()
    steps, lanes, rounds = (2000, 1, 1) if quick else (200_000, 2, 1)
    table = Table(
        f"Reduced runs, {steps} steps, {len(cores)} cores: microseconds a run-step, "
        "drawing and pilot included",
        ["L", "tolerance", "PyTorch, n=1000, ms", "JAX scan, 4 samples, ms", "ours",
         "PyTorch / ours", "asked for", "scan / ours", "estimate", "error found", "forward",
         "backward", "kflop a step", "drawing, s", "pilot, s", "a step, 1 core", "Gflop/s",
         "of the peak"],
    )  # fmt: skip
    with Pinned(cores) as processes:
        peak = processes.call("peak", [{}] * len(cores))[0]["answer"]
        for depth in depths:
            torch_ms, scan_ms = _peers(depth, 1 if quick else 5)
            for tolerance in (1e-4, 1e-6):
                shares = [
                    _document(depth, steps, list(range(i * lanes, (i + 1) * lanes)), tolerance)
                    for i in range(len(cores))
                ]
                jobs = [{"document": share} for share in shares]
                processes.call("train", jobs)
                times = [
                    max(a["answer"]["training"] for a in processes.call("train", jobs))
                    for _ in range(rounds)
                ]
                ours = float(np.median(times)) / (len(cores) * lanes * steps)
                one = [{"document": share, "truth": truth and i == 0} for i, share in
                       enumerate(shares)]  # fmt: skip
                found = processes.call("reduced_parts", one)[0]["answer"]
                rate = found["flops"] / found["step"]
                table.add(
                    depth, f"{tolerance:.0e}", torch_ms, scan_ms, 1e6 * ours,
                    1e-3 * torch_ms / ours, _TARGETS[depth, tolerance], 1e-3 * scan_ms / ours,
                    f"{found['estimate']:.1e}",
                    f"{found['error']:.1e}" if found["error"] is not None else "-",
                    str(found["forward"]), str(found["backward"]), found["flops"] / 1e3,
                    found["drawing"], found["pilot"], 1e6 * found["step"], rate / 1e9, rate / peak,
                )  # fmt: skip
    table.notes.append(
        f"Peak: {peak / 1e9:.0f} Gflop/s, a float64 product of 512x512 matrices on one core. A "
        "step is counted as its products and updates need it, without rounding up the sizes. "
        "'Error found': largest relative difference of both errors from the dense kernel in "
        "float64 at 60 recorded steps up to step 20 000, first seed."
    )
    for row in table.rows:
        asked, ratio = float(row[6]), float(row[5])
        table.notes.append(f"L={row[0]}, {row[1]}: PyTorch / ours {verdict(ratio, asked)}.")
    return table


def _peers(depth: int, rounds: int) -> tuple[float, float]:
    """Return milliseconds a step of PyTorch on all samples, and of a JAX scan on reduced ones."""
    with numerics():
        ours = SweepRow(sweep_document(depth=depth, width=1000, steps=10**6))
        signals, measurements = ours.samples()
        reduced = np.asarray(ours.data.range_basis * ours.data.inputs)
        scan = JaxScan(ours.weights, np.asarray(ours.data.targets), reduced, *_NUMBERS, steps=32)
        loop = TorchLoop(ours.weights, signals, measurements, *_NUMBERS)
        scan.advance()
        loop.advance(1)
        found = in_turns(
            {"torch": lambda: timed(lambda: loop.advance(6)) / 6,
             "scan": lambda: timed(scan.advance) / 32},
            rounds,
        )  # fmt: skip
    return 1e3 * found["torch"], 1e3 * found["scan"]


def widths(quick: bool) -> Table:
    """A step over the width, networks drawn from their law."""
    steps = 2000 if quick else 50_000
    table = Table(
        "Networks drawn from their law, L=3, tolerance 1e-4: a step over the width",
        ["d_w", "drawing, s", "pilot, s", "forward", "backward", "microseconds a step, 1 core",
         "beside d_w = 1000"],
    )  # fmt: skip
    first = None
    with Pinned(usable_cores()[:1]) as core:
        for width in _WIDTHS:
            document = _document(3, steps, [0], 1e-4, width)
            document["network"]["initial_weights"] = "law"
            # The fan-in rule: a uniform step that is stable at 10^3 is not at 10^9.
            document["training"] |= {"step_rule": "fan_in", "learning_rate": 4.0}
            found = core.call("reduced_parts", [{"document": document, "truth": False}])[0]
            found = found["answer"]
            first = first or found["step"]
            table.add(
                f"{width:.0e}", found["drawing"], found["pilot"], str(found["forward"]),
                str(found["backward"]), 1e6 * found["step"], found["step"] / first,
            )  # fmt: skip
    return table


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--truth", action="store_true")
    parser.add_argument("--depth", type=int, nargs="*", default=(2, 3, 4))
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--csv", type=Path, metavar="DIR", help="also write each table there")
    arguments = parser.parse_args()
    where = machine()
    print(where, flush=True)
    for name, measure in (
        ("reduced", lambda: throughput(arguments.quick, arguments.truth, arguments.depth)),
        ("widths", lambda: widths(arguments.quick)),
    ):
        table = measure()
        print(table.markdown() if arguments.markdown else table.text(), flush=True)
        if arguments.csv is not None:
            table.write_csv(arguments.csv / f"{name}.csv", where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
