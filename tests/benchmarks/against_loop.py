"""Ten million steps beside a PyTorch loop: `python -m tests.benchmarks.against_loop [--csv FILE]`.

Needs the extra `bench` (PyTorch). A deep linear network of depth 3 at the sizes of Figure 3
(d = 64, m = 32, s = 4, n = 1000) is trained for 10^7 steps to 1e-4 by a whole command in one
process, from the start of Python to the last file, with nothing compiled before. The loop has all
n samples, float64 and one thread; it takes a few steps, and 10^7 are extrapolated. All are
processor seconds. `--only WORD` measures the rows that have it.
"""

from __future__ import annotations

import argparse
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

from tests.benchmarks.floors import at_first
from tests.benchmarks.peers import TorchLoop
from tests.benchmarks.tables import Table, machine

STEPS, LOOP_STEPS, FLOOR = 10**7, 50, 100_000
# Width and way.
ROWS = [(1000, "reduced"), (60, "jumps")]
_SAMPLES, _SIGNAL, _MEASURED = 1000, 64, 32


def loop_step(width: int, steps: int = LOOP_STEPS) -> float:
    """Return the processor seconds that a step of the loop takes, by so many."""
    import torch

    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    sizes = [_MEASURED, width, width, _SIGNAL]
    weights = [random.normal(size=(b, a)) / np.sqrt(a) for a, b in pairwise(sizes)]
    signals = random.normal(size=(_SIGNAL, _SAMPLES)) / np.sqrt(_SAMPLES)
    measurements = random.normal(size=(_MEASURED, _SAMPLES)) / np.sqrt(_SAMPLES)
    loop = TorchLoop(weights, signals, measurements, 1e-3, 1e-4)
    loop.advance(3)
    begun = time.process_time()
    loop.advance(steps)
    return (time.process_time() - begun) / steps


def main() -> int:
    """Print the table, and write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    where = machine()
    table = Table(
        f"{STEPS:.0e} steps at depth 3 beside a PyTorch loop of {LOOP_STEPS} steps, extrapolated: "
        "processor seconds",
        ["width", "way", "seconds", "seconds a step of the loop", "seconds of the loop", "times",
         "floor"],
    )  # fmt: skip
    loops: dict[int, float] = {}
    for width, way in ROWS:
        if arguments.only not in f"{width} {way}":
            continue
        if width not in loops:
            loops[width] = loop_step(width)
        settings = (
            f"network.depth=3 sweep.seeds=1 sweep.tolerance=1e-4 training.num_steps={STEPS} "
            f"network.width={width} sweep.kernel={way}"
        )
        ours = at_first("fig3_depth", settings)
        whole = STEPS * loops[width]
        table.add(width, way, ours, loops[width], whole, whole / ours, FLOOR)
        table.keep_last(arguments.csv, where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
