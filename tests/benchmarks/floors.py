"""Long runs beside the floors set for them: `python -m tests.benchmarks.floors [--csv FILE]`.

Whole commands, from the start of Python to the last file: processor seconds in one process, with
nothing compiled before and once more with what that kept; and seconds by the clock as users run it,
with a worker a core, likewise once more. Whole figures are run with a worker a core only, twice,
and their processor seconds are those of all processes. Of one run, also what it takes by the clock
in a session of Python that has run it before, as a cell of a notebook does: what is imported and
loaded is there, and nothing that it computes. `--only WORD` measures the rows that have it.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from dlnsweep.numerics.compile_cache import VARIABLE
from tests.benchmarks.tables import Table, machine

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
_ONE = "network.depth=3 sweep.seeds=1"
# Work, sweep file, what is set, the floor in seconds.
ROWS = [
    ("one run, 1e6 steps, 1e-4", "fig3_depth", f"{_ONE} sweep.tolerance=1e-4", 1.5),
    ("one run, 1e6 steps, 1e-6", "fig3_depth", f"{_ONE} sweep.tolerance=1e-6", 3.0),
    ("one run, 2000 steps, 1e-4", "fig3_depth",
     f"{_ONE} sweep.tolerance=1e-4 training.num_steps=2000", 0.3),
    ("one run, 2000 steps, 1e-6", "fig3_depth",
     f"{_ONE} sweep.tolerance=1e-6 training.num_steps=2000", 0.5),
    *((f"depth {depth}, {steps:.0e} steps at {decay:g}", "vanishing_decay",
       f"network.depth={depth} sweep.seeds=1 training.weight_decay={decay} "
       f"training.num_steps={steps}", float("nan"))
      for depth in (2, 3) for decay, steps in ((1e-4, 10**6), (1e-7, 10**9))),
    ("Figure 4 whole", "fig4_weight_decay", "", 60.0),
    ("Figure 3 whole", "fig3_depth", "", 90.0),
]  # fmt: skip


def environment(**more: str) -> dict[str, str]:
    """Return the variables of a command: one thread a process, and bytecode kept as users have it.

    Without the latter each start compiles Python's sources anew, which takes some two seconds.
    """
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return kept | _ONE_THREAD | more


def without_figures(file: str) -> str:
    """Return a sweep's text; figures may ask for what is not varied here."""
    # They are last in these files.
    return re.split(r"\n\[+figure\]", Path(f"sweeps/{file}.toml").read_text("utf-8"))[0]


def seconds(file: str, settings: str, *, whole: bool) -> tuple[float, float, float]:
    """Return the processor seconds of a sweep, at first and again, and those by the clock."""
    if whole:
        (first, _), (again, clock) = _timed(file, settings, [(), ()])
        return first, again, clock
    in_one = "--workers", "0"
    (first, _), (again, _), _, (_, clock) = _timed(file, settings, [in_one, in_one, (), ()])
    return first, again, clock


# The least of three, each in a folder of its own, after a first one that compiles.
_SESSION = """
import sys, time
import dlnsweep

file, folder, *settings = sys.argv[1:]
found = []
for attempt in range(4):
    begun = time.process_time(), time.perf_counter()
    dlnsweep.run(file, f"{folder}/{attempt}", overrides=settings, workers=0, figures=False)
    found.append((time.process_time() - begun[0], time.perf_counter() - begun[1]))
print(*map(min, zip(*found[1:])))
"""


def in_a_session(file: str, settings: str) -> tuple[float, float]:
    """Return the seconds of one run in a session that has run it before.

    Those of the processor, and by the clock.
    """
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder, f"{file}.toml")
        own.write_text(without_figures(file), encoding="utf-8")
        made = subprocess.run(
            [sys.executable, "-c", _SESSION, str(own), folder, *settings.split()],
            check=True,
            env=environment(**{VARIABLE: str(Path(folder, "compiled"))}),
            stdout=subprocess.PIPE,
            text=True,
        )
        processor, clock = map(float, made.stdout.split())
        return processor, clock


def in_one_process(file: str, settings: str) -> tuple[float, float]:
    """Return the processor seconds of a sweep in one process, at first and again."""
    in_one = "--workers", "0"
    (first, _), (again, _) = _timed(file, settings, [in_one, in_one])
    return first, again


def at_first(file: str, settings: str) -> float:
    """Return the processor seconds of a sweep in one process, with nothing compiled before."""
    return _timed(file, settings, [("--workers", "0")])[0][0]


def _timed(file: str, settings: str, runs: Sequence[tuple[str, ...]]) -> list[tuple[float, float]]:
    """Return the processor seconds of a sweep and those by the clock, run after run."""
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder, f"{file}.toml")
        own.write_text(without_figures(file), encoding="utf-8")
        more = [part for each in settings.split() for part in ("--set", each)]
        # Of its own: what another row or another day compiled would be taken from the user's.
        cache = {VARIABLE: str(Path(folder, "compiled"))}

        def run(number: int, *workers: str) -> tuple[float, float]:
            command = [sys.executable, "-m", "dlnsweep", "run", str(own), "--quiet"]
            command += ["--out", str(Path(folder, str(number))), *workers, *more]
            before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            subprocess.run(command, check=True, env=environment(**cache))
            clock, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
            return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, clock

        # Workers have programs of their own.
        return [run(number, *workers) for number, workers in enumerate(runs)]


def main() -> int:
    """Print the table, and write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    where = machine()
    table = Table(
        "Long runs beside their floors: processor seconds of whole commands, and by the clock",
        ["work", "sweep", "settings", "floor", "seconds", "seconds again", "clock",
         "clock in a session"],
    )  # fmt: skip
    for work, file, settings, floor in ROWS:
        if arguments.only in work:
            session = in_a_session(file, settings)[1] if "one run" in work else float("nan")
            times = seconds(file, settings, whole="whole" in work)
            table.add(work, file, settings, floor, *times, session)
            table.keep_last(arguments.csv, where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
