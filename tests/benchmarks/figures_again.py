"""Kept figures once more by time jumps: `python -m tests.benchmarks.figures_again [--csv FILE]`.

Runs of figures, open questions and of Theorem A.2 inside all of its conditions, which other kernels
made, by `sweep.kernel = "jumps"` at a tolerance of 1e-6: by how much the largest of all numbers is
off. Where a table of every run is kept its last step counts (which has six digits: 5e-6), else
every recorded step of the same runs, trained as the sweep file says. Seconds are processor seconds
of the whole command in one process, what is compiled included. `--only WORD` measures the rows that
have it.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

import dlnsweep
from dlnsweep.engine.deviations import deviations_of
from tests.benchmarks.floors import environment
from tests.benchmarks.tables import Table, machine

KEPT = Path("results/kept")
TOLERANCE = 1e-6
_QUESTIONS = "open_questions"
# Of so many steps there is no judge.
NOTHING = "nothing"
# Without E(t), a difference of a step's numbers: of it what rounding leaves is its own size.
_RECORDED = ["regression_error", "off_subspace_error", "noisy_test_error", "output_norm",
             "upper_gain_max", "lower_gain_max", "curvature_min", "curvature_max", "displacement",
             "first_layer_off_range"]  # fmt: skip
# What `dlnsweep claims` asks for besides.
_CLAIMED = [*_RECORDED, "upper_gain_min", "lower_gain_min", "isometry_min", "isometry_max"]
# What is trained, its sweep file, what is set, how many seeds, the kept table.
ROWS: list[tuple[str, str, dict[str, Any], str, str]] = [
    ("nearly low rank, exactly so", "open_nearly_low_rank",
     {"problem.tail_level": 0.0, "training.weight_decay": 1e-3}, "4", "nearly_low_rank"),
    ("nearly low rank", "open_nearly_low_rank",
     {"problem.tail_level": 0.1, "training.weight_decay": 0.01}, "2", "nearly_low_rank"),
    ("noise in training", "open_training_noise",
     {"problem.measurement_noise": 0.01, "training.weight_decay": 0.01}, "2", "training_noise"),
    ("isometry", "open_isometry", {"problem.measurement_dim": 8}, "2", "isometry"),
    ("momentum", "open_momentum",
     {"training.optimizer": "momentum", "training.learning_rate": 0.01}, "2", "momentum"),
    ("without momentum", "open_momentum",
     {"training.optimizer": "gradient_descent", "training.learning_rate": 0.1}, "2", "momentum"),
    ("inside all conditions", "theorem_inside", {"record.observables": _RECORDED}, "[4, 6]", ""),
    ("inside all conditions, smaller weight decay", "theorem_inside",
     {"training.gamma": 2e-6, "record.observables": _CLAIMED}, "[4, 6, 52]", NOTHING),
    ("Figure 3, depth 2", "fig3_depth", {"network.depth": 2}, "1", ""),
]  # fmt: skip


def trained(file: str, settings: list[str], folder: str) -> tuple[Path, float]:
    """Train runs of a sweep file, without its figures; return where, and the processor seconds."""
    text = re.split(r"\n\[+figure\]", Path(f"sweeps/{file}.toml").read_text("utf-8"))[0]
    # Both may name what is set to one value here.
    text = re.sub(r"\nzip = .*", "", text)
    own = Path(folder, f"{file}.toml")
    own.parent.mkdir(exist_ok=True)
    own.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "dlnsweep", "run", str(own), "--workers", "0", "--quiet"]
    command += ["--out", folder]
    for each in settings:
        command += ["--set", each]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, env=environment())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Path(folder, file), found


def largest(curves: Any, judge: Any, names: list[str]) -> tuple[float, str]:
    """Return the largest deviation of any of both tables' observables, and where it is."""
    error, where = 0.0, ""
    for seed, rows in curves.groupby("seed"):
        beside = judge[judge["seed"] == seed].set_index("step")
        mine = rows.set_index("step").loc[beside.index]
        for name in names:
            pair = mine[name].to_numpy(float), beside[name].to_numpy(float)
            found = deviations_of(name, *pair, "generic")
            if np.max(found) > error:
                error, where = float(np.max(found)), f"{name} at {beside.index[found.argmax()]}"
    return error, where


def main() -> int:
    """Print the table, and write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    where_made = machine()
    table = Table(
        f"Kept figures once more by time jumps (tolerance {TOLERANCE:g})",
        ["what", "sweep", "settings", "runs", "beside", "steps", "steps taken", "jumps", "estimate",
         "deviation", "where", "seconds"],
    )  # fmt: skip
    for what, file, settings, seeds, kept in ROWS:
        if arguments.only not in what:
            continue
        asked = [f"{name}={json.dumps(value)}" for name, value in settings.items()]
        both = [*asked, f"sweep.seeds={seeds}"]
        with tempfile.TemporaryDirectory() as folder:
            jumping = [*both, 'sweep.kernel="jumps"', f"sweep.tolerance={TOLERANCE}"]
            place, seconds = trained(file, jumping, folder)
            results: Any = dlnsweep.open_results(str(place))
            curves, runs = results.curves(vectors="columns"), results.runs()
        if kept == NOTHING:
            judge: Any = curves.iloc[:0]
        elif kept:
            judge = pd.read_csv(KEPT / _QUESTIONS / f"{kept}.csv")
            for name, value in settings.items():
                if name in judge:
                    judge = judge[judge[name] == value]
            judge = judge[
                (judge["step"] == curves["step"].max()) & judge["seed"].isin(curves["seed"])
            ]
        else:
            with tempfile.TemporaryDirectory() as folder:
                place, _ = trained(file, both, folder)
                judge = dlnsweep.open_results(str(place)).curves(vectors="columns")
        names = [name for name in judge if name in curves and name not in settings]
        names = [name for name in names if judge[name].dtype == float and name != "step"]
        error, where = float("nan"), ""
        if kept != NOTHING:
            error, where = largest(curves, judge, [name for name in names if "." not in name])
        told = [[int(n.replace(",", "")) for n in re.findall(r"[\d,]*\d", reason)]
                for reason in runs["kernel_reason"]]  # fmt: skip
        taken, jumps = (median(each[i] for each in told) for i in (0, 2))
        table.add(what, file, " ".join(asked), len(runs), kept or "the sweep's own kernel",
                  int(curves["step"].max()), int(taken), int(jumps),
                  max(runs["truncation_error"].to_list()), error, where, seconds)  # fmt: skip
        table.keep_last(arguments.csv, where_made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
