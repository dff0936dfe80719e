"""Random damage of results folders under every command: `python -m tests.benchmarks.fuzz`.

Each try is a process of its own, forked from one that has imported everything: what is counted
is a traceback, an exit status that the guide does not name, more than 20 s of a core, 60 s in
which none of its threads had anything to do (it hangs), more than 1 GB (the peak of the process,
what it was forked with included), or a control character on the terminal. How long it waited for
a core does not count: the machine may have other work.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import importlib
import os
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1] / "samples"))

import damage
from fuzz_samples import COMMANDS, DAMAGED, OWN_STATUSES, STATUSES, make_folder, write_sweep

from tests.benchmarks.tables import Table, machine

MOST_SECONDS = 20.0
MOST_IDLE_SECONDS = 60.0
# How often a process is looked at; one that spins is ended this much after its time is over.
LOOK_SECONDS = 0.5
TELL_SECONDS = 60.0
MOST_BYTES = 1e9
# What the commands import when they need it; the forked processes share it.
IMPORTED = (
    "matplotlib.backends.backend_agg",
    "dlnsweep.analysis.claims",
    "dlnsweep.analysis.transitions",
    "dlnsweep.results.wide_tables",
    "dlnsweep.figures.kinds.curves",
    "dlnsweep.figures.kinds.final",
    "dlnsweep.figures.panels",
    "dlnsweep.figures.kinds.heatmap",
    "dlnsweep.execution.runner",
    "jax",
    "dlnsweep.engine.program",
    "dlnsweep.engine.trained",
    "dlnsweep.analysis.boundaries",
    "dlnsweep.analysis.intervals",
    "dlnsweep.analysis.limits",
    "dlnsweep.execution.differences",
    "dlnsweep.results.exported",
    "dlnsweep.results.joined",
    "dlnsweep.report",
    "dlnsweep.execution.heartbeat",
)


def look_at(process: int) -> tuple[float, bool]:
    """Return the seconds of a core that a process has had, and whether no thread asks for one."""
    of_all = _stat(Path(f"/proc/{process}/stat"))
    waiting = True
    for task in Path(f"/proc/{process}/task").glob("*/stat"):
        # A thread may end while it is looked at.
        with contextlib.suppress(OSError):
            # R: runs or waits for a core. D: waits for the disk.
            waiting &= _stat(task)[0] not in "RD"
    ticks = int(of_all[11]) + int(of_all[12])
    return ticks / os.sysconf("SC_CLK_TCK"), waiting


def _stat(path: Path) -> list[str]:
    # The name, in parentheses, may be anything.
    return path.read_text().rpartition(")")[2].split()


def run_child(arguments: list[str], folder: Path) -> tuple[int, float, float, str]:
    """Return exit status, seconds, peak bytes and output of a command in a forked process."""
    log = folder / "log"
    start = time.perf_counter()
    child = os.fork()
    if not child:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os.chdir(folder)
        tempfile.tempdir = str(folder)
        sys.argv = ["dlnsweep", *arguments]
        from dlnsweep.cli import app as cli
        from dlnsweep.cli import outermost

        status = outermost.guarded(cli.main)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    looked, idle = start, 0.0
    while True:
        found, status, usage = os.wait4(child, os.WNOHANG)
        if found:
            break
        if (now := time.perf_counter()) - looked > LOOK_SECONDS:
            worked, waiting = look_at(child)
            idle += (now - looked) * waiting
            looked = now
            if idle > MOST_IDLE_SECONDS or worked > MOST_SECONDS + LOOK_SECONDS:
                os.kill(child, signal.SIGKILL)
        time.sleep(0.01)
    text = log.read_text(encoding="utf-8", errors="replace")
    # Linux counts in KiB.
    seconds = usage.ru_utime + usage.ru_stime
    return os.waitstatus_to_exitcode(status), seconds, 1024.0 * usage.ru_maxrss, text


def faults_of(name: str, status: int, seconds: float, peak: float, text: str) -> list[str]:
    """Return what a try of a command did that it must not do."""
    found = []
    if status not in (*STATUSES, *OWN_STATUSES.get(name, ())):
        found.append(f"status {status}")
    if "Traceback" in text:
        found.append("traceback")
    if seconds > MOST_SECONDS:
        found.append(f"{seconds:.1f} s")
    if peak > MOST_BYTES:
        found.append(f"{peak / 1e9:.2f} GB")
    if any(not c.isprintable() and c not in "\n\t" for c in text):
        found.append("control characters")
    return found


def main() -> None:
    """Damage folders for so many minutes, one after another under each command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--most", type=int, default=500, help="Damages a command.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--command", action="append", help="Only these commands.")
    parser.add_argument("--at", type=int, help="Only the try of this number.")
    parser.add_argument("--csv", type=Path, help="The count by command; goes on where it ended.")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    place = Path(tempfile.mkdtemp(prefix="dlnsweep-fuzz-"))
    try:
        fuzz(place, given)
    finally:
        shutil.rmtree(place, ignore_errors=True)


@dataclass
class Count:
    """What was tried of a command.

    Attributes:
        tries: How many damaged folders it was given.
        losses: How often it did what it must not do.
        seconds: All seconds of a core that it took.
        slowest: Those of the slowest try.
        largest_gb: The largest peak of memory.
    """

    tries: int = 0
    losses: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    largest_gb: float = 0.0


def read_counts(path: Path | None) -> dict[str, Count]:
    """Return the counts by command of earlier calls."""
    counts = {name: Count() for name in COMMANDS}
    if path is not None and path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(line for line in file if not line.startswith("#")):
                name, tries, losses, *numbers = row.values()
                counts[name] = Count(int(tries), int(losses), *map(float, numbers))
    return counts


def write_counts(path: Path, counts: dict[str, Count]) -> None:
    """Write the counts by command."""
    columns = ["command", *(each.name for each in fields(Count))]
    table = Table("Random damage of every file of a results folder", columns)
    for name, count in counts.items():
        if count.tries:
            table.add(name, *astuple(count))
    table.write_csv(path, machine())


def fuzz(place: Path, given: argparse.Namespace) -> None:
    os.environ["DLNSWEEP_COMPILE_CACHE"] = str(place / "cache")
    sweep = write_sweep(place)
    # In a process of its own: JAX must not be at work in what is forked.
    child = os.fork()
    if not child:
        make_folder(place / "good", sweep)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        raise SystemExit("no folder could be made")
    for name in IMPORTED:
        importlib.import_module(name)

    counts, statuses = read_counts(given.csv), Counter[int]()
    commands = [name for name in COMMANDS if not given.command or name in given.command]
    tell, end = time.monotonic() + TELL_SECONDS, time.monotonic() + 60 * given.minutes
    for number in range(given.most) if given.at is None else [given.at]:
        for name in commands:
            count = counts[name]
            if time.monotonic() > end or (given.at is None and number < count.tries):
                continue
            statuses[_try(place, sweep, name, number, given, count)] += 1
            if time.monotonic() > tell:
                tell = time.monotonic() + TELL_SECONDS
                print({k: found.tries for k, found in counts.items()}, file=sys.stderr, flush=True)
                if given.csv and given.at is None:
                    write_counts(given.csv, counts)
    if given.csv and given.at is None:
        write_counts(given.csv, counts)
    print(*(f"{name}: {count}" for name, count in counts.items() if count.tries), sep="\n")
    print("exit statuses:", dict(sorted(statuses.items())))


def _try(
    place: Path, sweep: Path, name: str, number: int, given: argparse.Namespace, count: Count
) -> int:
    """Damage a folder, give it to a command, count and print what it did; return its status."""
    random = Random(f"{given.seed} {number} {name}")
    folder = place / "try"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    root = folder / "small"
    shutil.copytree(place / DAMAGED.get(name, "good"), root)
    told = damage.damage(root, random)
    status, seconds, peak, text = run_child(COMMANDS[name](root, sweep), folder)
    count.tries += 1
    count.seconds += seconds
    count.slowest = max(count.slowest, seconds)
    count.largest_gb = max(count.largest_gb, peak / 1e9)
    if found := faults_of(name, status, seconds, peak, text):
        count.losses += 1
        print(f"{name} --seed {given.seed} --at {number}: {', '.join(found)}: {told}")
        for bug in folder.glob("dlnsweep-bug-*"):
            print("    " + "\n    ".join(bug.read_text().splitlines()[-8:]))
        print(text[-600:], flush=True)
    elif given.at is not None:
        print(told, text, sep="\n")
    return status


if __name__ == "__main__":
    main()
