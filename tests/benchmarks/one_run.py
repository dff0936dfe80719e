"""Where the seconds of one run go: `python -m tests.benchmarks.one_run [--csv FILE]`.

The single runs of `tests.benchmarks.floors`, each in one process, once what it compiles is kept:
processor seconds of the whole command by what they go into, each without the parts inside it that
are told by themselves. Programs are kept whole, as worker processes keep them.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.hooks import Hooks
from tests.benchmarks.tables import Table, machine

# What is told by itself, and what stands for it: modules and functions.
PARTS = {
    "load the program that draws": ["reduced.program:ReducedDraw.__init__"],
    "draw": ["reduced.program:ReducedDraw.draw"],
    "pilot": ["reduced.pilot:Pilot.__init__"],
    "truncate, and rehearse all of it": ["reduced.reduction:Reduction.__init__"],
    "rehearse truncations": ["reduced.reduction:Reduction.rehearse",
                             "reduced.reduction:Reduction.rehearse_later"],
    "load the program that trains": ["reduced.program:ReducedProgram.__init__"],
    "jumps, steps, records": ["engine.calls:_train_lanes"],
}  # fmt: skip


def timed(arguments: list[str]) -> dict[str, float]:
    """Return the processor seconds of a command in this process, by part."""
    # Files were there before this process.
    began = time.time()
    for module in ("cli.outermost", "execution.workers.worker", "engine.batch"):
        importlib.import_module(f"dlnsweep.{module}")
    # Imported when first used.
    importlib.import_module("jax")
    found = {"start Python, import": time.process_time()}
    hooks = Hooks(PARTS)
    executables = importlib.import_module("dlnsweep.numerics.executables")
    sys.argv = ["dlnsweep", *arguments]
    with executables.keeping_whole(began), contextlib.suppress(SystemExit):
        importlib.import_module("dlnsweep.cli.outermost").main()
    whole = time.process_time()
    found |= hooks.seconds
    return found | {"all else: plan, files": whole - sum(found.values()), "whole": whole}


def again(file: str, settings: str) -> dict[str, float]:
    """Return what a command takes when it is run once more, in another folder."""
    from dlnsweep.numerics.compile_cache import VARIABLE
    from tests.benchmarks.floors import environment, without_figures

    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder, f"{file}.toml")
        own.write_text(without_figures(file), encoding="utf-8")
        more = [part for each in settings.split() for part in ("--set", each)]
        env = environment(**{VARIABLE: str(Path(folder, "compiled"))})
        done: Any = None
        for number in range(2):
            command = [sys.executable, "-m", "tests.benchmarks.one_run", "--inside", "run"]
            command += [str(own), "--quiet", "--workers", "0"]
            command += ["--out", str(Path(folder, str(number))), *more]
            done = subprocess.run(command, check=True, env=env, capture_output=True, text=True)
        return json.loads(done.stdout.splitlines()[-1])


def main() -> int:
    """Print the table, and write it if asked."""
    if sys.argv[1:2] == ["--inside"]:
        print(json.dumps(timed(sys.argv[2:])))
        return 0
    from tests.benchmarks.floors import ROWS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="one run")
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    where = machine()
    table = Table("Processor seconds of a run, by what they go into", ["work", "part", "seconds"])
    for work, file, settings, _ in ROWS:
        if arguments.only in work:
            for part, seconds in again(file, settings).items():
                table.add(work, part, seconds)
            print(table.text(), flush=True)
            if arguments.csv:
                table.write_csv(arguments.csv, where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
