"""Long runs beside the floors set for them: `python -m tests.benchmarks.floors [--csv FILE]`.

Processor seconds of whole commands, from the start of Python to the last file, in one process: so
that a machine that others use does not matter much. `--only WORD` measures the rows that have it.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.tables import Table, machine

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


def seconds(file: str, settings: str) -> float:
    """Return the processor seconds of a sweep, all included."""
    with tempfile.TemporaryDirectory() as folder:
        # Without figures, which may ask for what is not varied here; they are last in these files.
        text = re.split(r"\n\[+figure\]", Path(f"sweeps/{file}.toml").read_text("utf-8"))[0]
        own = Path(folder, f"{file}.toml")
        own.write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "dlnsweep", "run", str(own), "--out", folder]
        command += ["--workers", "0", "--quiet"]
        command += [part for each in settings.split() for part in ("--set", each)]
        one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, env=os.environ | one)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    """Print the table, and write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    where = machine()
    table = Table(
        "Long runs beside their floors: processor seconds of whole commands",
        ["work", "sweep", "settings", "floor", "seconds"],
    )
    for work, file, settings, floor in ROWS:
        if arguments.only in work:
            table.add(work, file, settings, floor, seconds(file, settings))
            print(table.rows[-1], flush=True)
            if arguments.csv:
                table.write_csv(arguments.csv, where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
