"""What the constants of networks/layered/dense.py and numerics/lanes.py are from, on one core.

`python -m tests.benchmarks.kernel_tuning [delay] [group] [--quick]`: the time of a step over the
number of delayed updates, and of a run-step over the number of runs under one `vmap`.
"""

from __future__ import annotations

import argparse
import sys

from dlnsweep.networks.layered.dense import delay_for
from dlnsweep.numerics.lanes import choose_layout
from dlnsweep.numerics.runtime import usable_cores
from tests.benchmarks.pinned import Pinned
from tests.benchmarks.tables import Table, machine

_DELAYS = (1, 2, 4, 8, 16)
_GROUPS = (1, 2, 4, 8, 16, 32, 64, 128)
_PRECISIONS = ("float32", "float64")


def delay(core: Pinned, quick: bool) -> Table:
    """Time a step of a three-layer network over `delay`."""
    table = Table(
        "Microseconds a step, m=32, d=64, L=3, one run on one core",
        ["precision", "rank", "d_w", *(f"delay {k}" for k in _DELAYS), "best", "chosen",
         "chosen / best"],
    )  # fmt: skip
    widths = (64, 200) if quick else (32, 64, 128, 200, 400, 700, 1000)
    for precision in _PRECISIONS:
        for rank in (4,) if quick else (4, 16, 32):
            for width in widths:
                dims = (32, width, width, 64)
                times = {k: _step(core, dims, rank, precision, k, 1, quick) for k in _DELAYS}
                _add(table, (precision, rank, width), times, delay_for(dims, rank))
    return table


def group(core: Pinned, quick: bool) -> Table:
    """Time a run-step of small networks over the number of runs under one `vmap`."""
    table = Table(
        "Microseconds a run-step, m=4, d=8, s=2, runs under one vmap on one core",
        ["precision", "L", "d_w", *(f"{n} runs" for n in _GROUPS), "best", "chosen",
         "chosen / best"],
    )  # fmt: skip
    widths = (16,) if quick else (8, 16, 32, 64, 128)
    for precision in _PRECISIONS:
        for depth in (2,) if quick else (2, 3):
            for width in widths:
                dims = (4, *(width,) * (depth - 1), 8)
                times = {
                    n: _step(core, dims, 2, precision, delay_for(dims, 2), n, quick)
                    for n in _GROUPS
                }
                item = 8 if precision == "float64" else 4
                size = item * sum(a * b for a, b in zip((2, *dims[1:]), dims[1:], strict=False))
                chosen = choose_layout("cpu", size, max(_GROUPS)).vectorized
                _add(table, (precision, depth, width), times, chosen)
    return table


def _step(
    core: Pinned,
    dims: tuple[int, ...],
    rank: int,
    precision: str,
    delay: int,
    vectorized: int,
    quick: bool,
) -> float:
    """Return microseconds: the best of many short rounds, which other programs disturb least."""
    entries = sum(a * b for a, b in zip((rank, *dims[1:]), dims[1:], strict=False))
    steps = max(8, min(2000, 2 * 10**7 // (entries * vectorized))) // 16 * 16 or 16
    arguments = {
        "dims": list(dims),
        "rank": rank,
        "precision": precision,
        "delay": delay,
        "vectorized": vectorized,
        "steps": steps,
        "rounds": 5 if quick else 30,
    }
    return 1e6 * core.call("direct_step", [arguments])[0]["answer"]


def _add(table: Table, labels: tuple[str | int, ...], times: dict[int, float], chosen: int) -> None:
    best = min(times, key=lambda k: times[k])
    table.add(*labels, *times.values(), best, chosen, times[chosen] / times[best])


TABLES = {"delay": delay, "group": group}


def main() -> int:
    """Print the named tables, all by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TABLES))
    parser.add_argument("--quick", action="store_true", help="short, to try the script")
    parser.add_argument("--markdown", action="store_true", help="tables in Markdown")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in TABLES]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; known are {', '.join(TABLES)}")
    print(machine(), flush=True)
    for name in arguments.names or TABLES:
        with Pinned(usable_cores()[-1:]) as core:
            table = TABLES[name](core, arguments.quick)
        print("\n" + (table.markdown() if arguments.markdown else table.text()), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
