"""How near their limits long runs are: `python -m tests.benchmarks.limits [--csv FILE]`.

Each work that has a floor (`floors.py` and its like) is made in a process of its own, once it is
compiled, and its parts are told: how many outer steps there are, what one costs, and the product,
beside the time that a kept table has for all of it. Counts do not depend on what else runs; costs
are the least processor seconds of some turns. Beside a cost stand its floating-point operations and
the bytes of the matrices that it reads and writes, and what these take at the speed of a large
product and of reading an array that lies in the cache (in memory, of whole layers), both measured
here. `--only WORD` measures the works that have it.

Of walks by time jumps a real step, with its share of the records, is that of a short run that
hardly jumps, and a jump is what is left. `--turns 0` makes each work once, for a first look.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dlnsweep.jumps.flow import TERMS
from dlnsweep.numerics.compile_cache import VARIABLE
from tests.benchmarks import factorization_jumps, limit_counts
from tests.benchmarks.floors import ROWS as FLOORS
from tests.benchmarks.floors import environment, without_figures
from tests.benchmarks.tables import Table, machine

_KEPT = Path("results/kept/long_runs")
# A matrix of a large product, and arrays that a core's own cache has and that none has.
_LARGE, _CACHED, _UNCACHED = 1024, 2**15, 2**24
# Decomposing a symmetric matrix with its eigenvectors, over the cube of its size (Golub and Van
# Loan, Matrix Computations, 8.3).
_EIGH = 9


@dataclass(frozen=True)
class Work:
    """Something that has a floor.

    Attributes:
        name: As tables have it.
        file: Its sweep; "" for a factorization.
        settings: What is set.
        kept: The kept table, and which of its columns has which values there.
        seconds: The column that has its time.
        dims: Of a walk by time jumps, the sizes of its layers.
        samples: And how many samples its steps need.
        short: And the steps of a run that hardly jumps.
        turns: How often it is made after a first time that compiles; none if that one counts.
        of_one: What is set where stages of jumps are counted.
    """

    name: str
    file: str
    settings: str
    kept: tuple[str, dict[str, Any]]
    seconds: str
    dims: tuple[int, ...] = ()
    samples: int = 0
    short: int = 0
    turns: int = 3
    of_one: str = ""


def works() -> Iterator[Work]:
    """Yield all."""
    for name, file, settings, _ in FLOORS:
        if name.startswith("depth"):
            depth = int(name.split()[1].rstrip(","))
            decay, steps = (1e-4, 10**6) if "0.0001" in name else (1e-7, 10**9)
            kept = {"depth": depth, "weight decay": decay, "steps": steps, "kind": "both"}
            dims = (8, *[32] * (depth - 1), 12)
            yield Work(name, file, settings, ("jumps_by_decay", kept), "seconds", dims, 2, 1000)
        else:
            whole = "whole" in name
            column = "seconds again" if whole else "clock in a session"
            # Whole figures are made once: their first seed says how many stages a jump has.
            yield Work(
                name, file, settings, ("floors", {"work": name}), column,
                turns=0 if whole else 3, of_one="sweep.seeds=1" if whole else "",
            )  # fmt: skip
    for dimension in (2, 4, 8):
        settings = f"problem.subspace_dim={dimension} sweep.seeds=1 sweep.tolerance=1e-4"
        yield Work(
            f"Figure 2, s = {dimension}", "fig2_subspace_dim", f"{settings} sweep.kernel=reduced",
            ("figure_2_times", {"s": dimension}), "in a session",
        )  # fmt: skip
    case = {"depth": 3, "weight decay": 0.0, "steps": 10**6, "records": 20}
    yield Work(
        "factorization", "", "sweep.kernel=jumps", ("factorizations", case), "again",
        (100,) * 4, 100, 600,
    )  # fmt: skip
    settings = "network.depth=3 sweep.seeds=1 sweep.tolerance=1e-4 training.num_steps=10000000"
    yield Work(
        "1e7 steps, width 1000", "fig3_depth",
        f"{settings} network.width=1000 sweep.kernel=reduced",
        ("against_loop", {"width": 1000}), "seconds",
    )  # fmt: skip
    yield Work(
        "1e7 steps, width 60", "fig3_depth", f"{settings} network.width=60 sweep.kernel=jumps",
        ("against_loop", {"width": 60}), "seconds", (32, 60, 60, 64), 4, 1000,
    )  # fmt: skip


def told(work: Work, more: str = "", *, count: bool = False) -> dict[str, Any]:
    """Return what a process says of a work; see `limit_counts.py`."""
    with tempfile.TemporaryDirectory() as folder:
        if work.file:
            own = Path(folder, f"{work.file}.toml")
            own.write_text(without_figures(work.file), encoding="utf-8")
        else:
            own = Path(folder, "factorization.json")
            document = factorization_jumps.document(3, 0.0, 10**6, 20)
            own.write_text(json.dumps(document), encoding="utf-8")
        command = [sys.executable, "-m", "tests.benchmarks.limit_counts", str(own), folder]
        command += [*work.settings.split(), *more.split(), "--turns", str(work.turns)]
        made = subprocess.run(
            [*command, *["--count"] * count],
            check=True, env=environment(**{VARIABLE: str(Path(folder, "compiled"))}),
            capture_output=True, text=True,
        )  # fmt: skip
        return json.loads(made.stdout.splitlines()[-1])


@dataclass(frozen=True)
class Speeds:
    """What the machine does in a second, on one core: operations, and bytes read."""

    flops: float
    cached: float
    uncached: float


def speeds() -> Speeds:
    """Return the best of some attempts."""

    def least(once: Any, times: int) -> float:
        found = []
        for _ in range(7):
            begun = time.process_time()
            for _ in range(times):
                once()
            found.append((time.process_time() - begun) / times)
        return min(found)

    matrix = np.ones((_LARGE, _LARGE)) / _LARGE
    flops = 2 * _LARGE**3 / least(lambda: matrix @ matrix, 1)
    rates = []
    for size, times in ((_CACHED, 2000), (_UNCACHED, 3)):
        # Products with few columns, as those of chains are, read at the pace of this.
        array, vector = np.ones((size // 64, 64)), np.ones(64)
        rates.append(8 * size / least(lambda a=array, v=vector: a @ v, times))
    return Speeds(flops, *rates)


def kept(work: Work) -> float:
    """Return what a kept table has for the whole of it."""
    name, where = work.kept
    rows = pd.read_csv(_KEPT / f"{name}.csv", comment="#")
    for column, value in where.items():
        rows = rows[rows[column] == value]
    ((seconds),) = rows[work.seconds].tolist()
    return float(seconds)


# Part, how many, of what, seconds of one, its operations, its bytes, whether they lie in memory.
Part = tuple[str, float, str, float, float, float, bool]


def reduced_parts(work: Work, found: dict[str, Any]) -> Iterator[Part]:
    """Yield the parts of reduced runs."""
    seconds, parts = found["seconds"], found["parts"]
    for name, unit in (
        (limit_counts.CHECKPOINTS, "checkpoints"),
        (limit_counts.PILOT, "gradients"),
        (limit_counts.REHEARSED, "gradients"),
    ):
        own = parts[name]
        count = own["gradients"]
        each = [value / count for value in (seconds[name], own["flops"], own["bytes"])]
        yield name, count, unit, *each, unit == "checkpoints"
    name, own = limit_counts.TRAINED, parts[limit_counts.TRAINED]
    each = 0.0
    if own["jumps"]:
        within = told(work, work.of_one, count=True)["within"]
        each = within["stages"] / within["made"]
    count = own["steps"] + each * own["jumps"]
    flops, read = (
        (own[f"{what} of steps"] + each * own[f"{what} of jumps, a stage"]) / count
        for what in ("flops", "bytes")
    )
    name = f"{name}: {own['steps']:.0f} steps, {own['jumps']:.0f} jumps"
    yield name, count, "gradients", seconds[limit_counts.TRAINED] / count, flops, read, False


def walk_parts(work: Work, found: dict[str, Any]) -> Iterator[Part]:
    """Yield the parts of walks by time jumps."""
    short = told(work, f"training.num_steps={work.short}")
    begun = short["parts"][limit_counts.TRAINED]["steps of walks"]
    step = short["seconds"][limit_counts.TRAINED] / begun
    own = found["parts"][limit_counts.TRAINED]
    steps, jumps = own["steps of walks"], own["jumps of walks"] + own["trials of walks"]
    whole = found["seconds"][limit_counts.TRAINED]
    parameters = sum(a * b for a, b in pairwise(work.dims))
    gradient = 6 * parameters * work.samples
    each = 8 * 5 * parameters
    yield "real steps and records of both walks", steps, "steps", step, gradient, each, False
    within = told(work, count=True)["within"]
    outputs = work.dims[-1] * work.samples
    plain, following = (within.get(name, 0.0) / within["tried"] for name in ("plain", "following"))
    if "products" in within:
        iterations = within["products"] / within["solved"]
        # Of three layers: products of a system, and with M and its transpose; two decompositions.
        system, derivatives, size = 4, 12, work.dims[-1]
        once = TERMS * gradient + 2 * size**3 * (system * iterations + derivatives)
        flops, read = plain * once + 2 * _EIGH * size**3, plain * each * (TERMS + iterations)
    else:
        entries = outputs * parameters
        fast = outputs * gradient + 4 * outputs * entries + _EIGH * outputs**3
        flops = plain * (TERMS * gradient + 12 * entries) + fast
        flops += following * (3 * TERMS * gradient + 16 * entries + fast)
        read = plain * 8 * 6 * entries + following * 8 * 12 * entries
    jump = (whole - step * steps) / jumps
    name = f"jumps of both walks, {plain:.0f} Euler steps each"
    name += f", and {following:.0f} that follow" * (following > 0)
    yield name, jumps, "jumps", jump, flops, read, False


def limited_by(seconds: float, by_flops: float, by_bytes: float) -> str:
    """Return what a cost is nearest to: half of it or more, or neither."""
    if max(by_flops, by_bytes) < seconds / 3:
        return "calls"
    return "arithmetic" if by_flops > by_bytes else "reading"


def main() -> int:
    """Print the table, and write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--turns", type=int)
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    where, peak = machine(), speeds()
    table = Table(
        "Long runs by their outer steps: processor seconds",
        ["work", "part", "outer steps", "of", "us of one", "seconds", "all parts", "whole", "kept",
         "share", "kflop", "kB", "us by flop", "us by bytes", "limited by"],
    )  # fmt: skip
    table.notes.append(
        f"{peak.flops / 1e9:.4g} Gflop/s in a product of matrices of {_LARGE} rows; "
        f"{peak.cached / 1e9:.4g} GB/s read from the cache, {peak.uncached / 1e9:.4g} from memory"
    )
    for work in works():
        if arguments.only not in work.name:
            continue
        if arguments.turns is not None:
            work = replace(work, turns=arguments.turns)
        found = told(work)
        parts = [*(walk_parts if work.dims else reduced_parts)(work, found)]
        products = [count * each for _, count, _, each, *_ in parts]
        for (part, count, unit, each, flops, read, far), product in zip(
            parts, products, strict=True
        ):
            by_flops = flops / peak.flops
            by_bytes = read / (peak.uncached if far else peak.cached)
            table.add(
                work.name, part, round(count), unit, 1e6 * each, product, sum(products),
                found["seconds"]["whole"], kept(work), sum(products) / kept(work), flops / 1e3,
                read / 1e3, 1e6 * by_flops, 1e6 * by_bytes,
                limited_by(each, by_flops, by_bytes),
            )  # fmt: skip
            table.keep_last(arguments.csv, where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
