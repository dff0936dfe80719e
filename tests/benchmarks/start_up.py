"""What commands take that mostly start: medians beside a Python that does nothing.

    python -m tests.benchmarks.start_up --csv results/kept/speed/start_up.csv

Programs are compiled before anything is measured, files are in the disk's cache. Ratios are to
`python -c pass`, so that tables of other machines can be compared.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.tables import Table, machine

OURS = (sys.executable, "-m", "dlnsweep")
NEW = (*OURS, "run", "gallery:smoke", "-q", "--out", "new")
# What is shown, and the command.
COMMANDS: dict[str, tuple[str, ...]] = {
    "python -c pass": (sys.executable, "-c", "pass"),
    "python -c 'import jax'": (sys.executable, "-c", "import jax"),
    "python -c 'import matplotlib.figure'": (sys.executable, "-c", "import matplotlib.figure"),
    "dlnsweep --version": (*OURS, "--version"),
    "TAB after --set": (*OURS, "_complete", "zsh", "run", "gallery:smoke", "--set", "training.l"),
    "dlnsweep check": (*OURS, "check", "gallery:smoke"),
    "dlnsweep status": (*OURS, "status", "results/smoke"),
    "dlnsweep summary": (*OURS, "summary", "results/smoke"),
    "dlnsweep ls, of 100 folders": (*OURS, "ls", "many"),
    "dlnsweep figure": (*OURS, "figure", "results/smoke"),
    "dlnsweep run, all done": (*OURS, "run", "gallery:smoke", "-q"),
    "dlnsweep run, new, no figure": (*NEW, "--no-figure"),
    "dlnsweep run, new, with its figure": NEW,
}  # fmt: skip


def seconds(command: tuple[str, ...], folder: Path) -> float:
    """Return what a command takes, from its start to its end."""
    shutil.rmtree(folder / "new", ignore_errors=True)
    root = str(Path(__file__).parents[2])
    env = {**os.environ, "PYTHONPATH": root}
    # Without it every start would compile all that it imports.
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True)
    return time.perf_counter() - start


def measured(repeats: int) -> Table:
    """Return the table of all commands."""
    table = Table(
        "Seconds from start to end: median of the times, the least, and ratios to python -c pass",
        ["command", "median", "least", "ratio"],
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds((*OURS, "run", "gallery:smoke", "-q"), folder)
        for number in range(100):
            shutil.copytree(folder / "results" / "smoke", folder / "many" / str(number))
        # In turn, so that a busy minute of the machine hits all alike.
        times = [{name: seconds(c, folder) for name, c in COMMANDS.items()} for _ in range(repeats)]
    medians = {name: statistics.median(each[name] for each in times) for name in COMMANDS}
    for name, median in medians.items():
        least = min(each[name] for each in times)
        table.add(name, median, least, median / medians["python -c pass"])
    table.notes.append(
        f"python -m tests.benchmarks.start_up --repeats {repeats}: sweeps/smoke.toml, "
        "programs compiled before"
    )
    return table


def main() -> None:
    """Measure and print, and write a file where one is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--csv", type=Path)
    given = parser.parse_args()
    where = machine()
    table = measured(given.repeats)
    print(table.text())
    if given.csv:
        table.write_csv(given.csv, where)


if __name__ == "__main__":
    main()
