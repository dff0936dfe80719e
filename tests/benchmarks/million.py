"""A million runs: seconds and memory of every command, on tables written through the real store.

    python -m tests.benchmarks.million [--runs 1000000] [--rows 200] [--tiny 100000] [--folder DIR]
        [--csv DIR]

Each row is measured in a process of its own, its start included. The curves are synthetic (an
exponential decay and a plateau with noise, as long as real ones when compressed), committed batch
by batch by `Store.commit`; the tiny runs are real ones.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.tables import Table, machine

DECAYS = 50


def document(runs: int, name: str = "million") -> dict[str, Any]:
    """Return a sweep of tiny networks: 50 weight decays, the rest seeds."""
    return {
        "name": name,
        "problem": {
            "kind": "subspace", "signal_dim": 8, "measurement_dim": 4, "subspace_dim": 2,
            "num_samples": 16,
        },
        "network": {"depth": 2, "width": 16},
        "training": {
            "learning_rate": 0.05,
            "weight_decay": {"from": 1e-6, "to": 1e-1, "count": DECAYS, "spacing": "log"},
            "num_steps": 50_000,
        },
        "record": {"count": 200, "observables": ["regression_error", "off_subspace_error"]},
        "sweep": {"seeds": runs // DECAYS, "kernel": "dense", "max_runs": max(runs, 10)},
    }  # fmt: skip


def plan(root: Path, runs: int, _: int) -> dict[str, Any]:
    """Plan a sweep and write its results folder."""
    from dlnsweep.execution.preparing import prepare
    from dlnsweep.spec.sweep import Sweep

    prepared = prepare(Sweep.from_dict(document(runs)), root)
    return {"batches": len(prepared.todo), "bytes": (root / "runs.parquet").stat().st_size}


def fill(root: Path, _: int, rows: int) -> dict[str, Any]:
    """Commit synthetic curves and outcomes of every batch."""
    from dlnsweep.store import Store
    from dlnsweep.store.records import curves_table, outcomes_table

    store = Store.open(root)
    steps = np.unique(np.geomspace(1, 1e5, 4 * rows).astype(np.int64))
    steps = steps[np.linspace(0, len(steps) - 1, rows).astype(int)]
    for number, _of in store.batches():
        runs = store.runs_of_batch(number)
        ids, decay = (runs[k].to_numpy() for k in ("run_id", "training.weight_decay"))
        rng = np.random.default_rng(number)
        rate = decay[:, None] * rng.lognormal(0, 0.1, (len(ids), 1))
        off = np.exp(-0.05 * rate * steps) * rng.lognormal(0, 0.3, (len(ids), 1))
        fit = rate + np.exp(-1e-3 * steps) * rng.lognormal(0, 0.3, (len(ids), 1))
        observables = {"regression_error": fit, "off_subspace_error": off}
        count = len(ids)
        store.commit(
            number,
            curves_table(ids, steps, observables, np.full(count, rows)),
            outcomes_table(
                ids,
                status=["finished"] * count,
                diverged_step=np.full(count, -1),
                last_step=np.full(count, steps[-1]),
                kernel=["dense"] * count,
                kernel_reason=["asked for"] * count,
                truncation_error=np.full(count, np.nan),
                final={name: values[:, -1] for name, values in observables.items()},
            ),
            {"seconds": 1.0},
        )
    size = sum(p.stat().st_size for p in root.rglob("*.parquet"))
    return {"bytes": size, "files": sum(1 for p in root.rglob("batch-*"))}


def status(root: Path, *_: int) -> dict[str, Any]:
    """Run `dlnsweep status`."""
    return {"text": _command("status", root)}


def summary(root: Path, *_: int) -> dict[str, Any]:
    """Run `dlnsweep summary` of final values."""
    return {"text": _command("summary", root).splitlines()[1]}


def smallest(root: Path, *_: int) -> dict[str, Any]:
    """Run `dlnsweep summary --at min`, which reads every row."""
    return {"text": _command("summary", root, "--at", "min").splitlines()[1]}


def runs(root: Path, *_: int) -> dict[str, Any]:
    """Make the DataFrame of runs."""
    from dlnsweep.results import open_results

    return {"rows": len(open_results(root).runs())}


def curves(root: Path, *_: int) -> dict[str, Any]:
    """Ask for all curves as one DataFrame."""
    from dlnsweep.errors import StoreError
    from dlnsweep.results import open_results, recorded

    # A laptop's memory: where there is more, this would take tens of gigabytes from others.
    recorded.available_memory = lambda: 8 * 10**9
    try:
        return {"rows": len(open_results(root).curves("regression_error"))}
    except StoreError as error:
        return {"refused": str(error)}


def figure_by_hue(root: Path, *_: int) -> dict[str, Any]:
    """Draw medians and quartiles of an observable against the step, for each weight decay."""
    return _figure(root, {"hue": "training.weight_decay"})


def figure_of_all(root: Path, *_: int) -> dict[str, Any]:
    """Draw the median over all runs."""
    return _figure(root, {"band": "none"})


def figure_final(root: Path, *_: int) -> dict[str, Any]:
    """Draw final values against the weight decay."""
    return _figure(root, {"kind": "final", "x": "training.weight_decay"})


def _figure(root: Path, keys: dict[str, Any]) -> dict[str, Any]:
    from dlnsweep.contracts.figure import read_figure
    from dlnsweep.figures.folder import draw_figures

    table = {"kind": "curves", "y": ["off_subspace_error"], "formats": ["png"], **keys}
    return {"paths": [str(p) for p in draw_figures(root, [read_figure(table)])]}


def tiny(root: Path, runs: int, lanes: int) -> dict[str, Any]:
    """Train real tiny runs in thousands of batches, and watch the memory of all processes."""
    import dlnsweep.plan.batches
    from dlnsweep.execution.preparing import prepare
    from dlnsweep.execution.runner import executor_for, work
    from dlnsweep.spec.sweep import Sweep

    dlnsweep.plan.batches._MOST_LANES = lanes
    sweep = document(runs, "tiny")
    sweep["training"]["num_steps"], sweep["record"]["count"] = 100, 20
    prepared = prepare(Sweep.from_dict(sweep), root / "tiny")
    seen: list[tuple[int, float, float]] = []
    done = 0

    def on_event(event: Any) -> None:
        nonlocal done
        done += event.kind == "done"
        if event.kind == "done" and done % max(1, len(prepared.todo) // 10) == 0:
            seen.append((done, _resident("self"), max(map(_resident, _children()))))

    began = time.perf_counter()
    work(prepared, *executor_for(2), on_event=on_event)
    return {"seconds": time.perf_counter() - began, "batches": len(prepared.todo), "seen": seen}


def _resident(process: int | str) -> float:
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def _children() -> list[int]:
    return [int(pid) for t in Path("/proc/self/task").iterdir()
            for pid in (t / "children").read_text().split()]  # fmt: skip


def _command(name: str, root: Path, *more: str) -> str:
    import contextlib
    import io

    from dlnsweep.cli.app import app

    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        app([name, str(root), *more])
    return out.getvalue()


JOBS: dict[str, tuple[Callable[..., dict[str, Any]], str]] = {
    "plan": (plan, "30 s, 2 GB"),
    "fill": (fill, ""),
    "status": (status, "2 s"),
    "summary": (summary, "2 GB"),
    "smallest": (smallest, "2 GB"),
    "runs": (runs, ""),
    "curves": (curves, ""),
    "figure_by_hue": (figure_by_hue, ""),
    "figure_of_all": (figure_of_all, ""),
    "figure_final": (figure_final, ""),
}


def measured(name: str, *arguments: str) -> tuple[float, float, float, dict[str, Any]]:
    """Return seconds, CPU seconds, the height of the memory in GB, and the answer of a job."""
    command = [sys.executable, "-m", "tests.benchmarks.million", "--job", name, *arguments]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(done.stderr)
    answer = json.loads(done.stdout.splitlines()[-1])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu, answer.pop("gigabytes"), answer


def main() -> int:
    """Run all jobs, or one in this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--tiny", type=int, default=100_000)
    parser.add_argument("--lanes", type=int, default=64)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--job")
    parser.add_argument(
        "--csv", type=Path, help="write million.csv and memory.csv into this folder"
    )
    parser.add_argument("names", nargs="*", help="some of the jobs, in a folder that holds results")
    arguments = parser.parse_args()
    if arguments.job:
        job = tiny if arguments.job == "tiny" else JOBS[arguments.job][0]
        size = arguments.tiny, arguments.lanes
        answer = job(
            arguments.folder,
            *(size if arguments.job == "tiny" else (arguments.runs, arguments.rows)),
        )
        height = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(json.dumps(answer | {"gigabytes": height}))
        return 0
    with tempfile.TemporaryDirectory(prefix="dlnsweep-million-") as temporary:
        report(arguments, arguments.folder or Path(temporary))
    return 0


def report(arguments: argparse.Namespace, folder: Path) -> None:
    """Print what each job takes."""
    where = machine()
    print(where, flush=True)
    taken = Table(f"{arguments.runs} runs of {arguments.rows} rows",
                  ["job", "seconds", "cpu_seconds", "gigabytes", "batches", "files",
                   "bytes"])  # fmt: skip
    for name in arguments.names or [*JOBS, "tiny"]:
        place = folder if name == "tiny" else folder / "million"
        seconds, cpu, height, answer = measured(
            name, "--folder", str(place), "--runs", str(arguments.runs), "--rows",
            str(arguments.rows), "--tiny", str(arguments.tiny), "--lanes", str(arguments.lanes),
        )  # fmt: skip
        target = JOBS[name][1] if name in JOBS else ""
        table = Table(f"{name}: {arguments.runs} runs of {arguments.rows} rows",
                      ["seconds", "of them CPU", "GB at the height", "target"])  # fmt: skip
        table.add(seconds, cpu, height, target)
        table.notes.append(json.dumps(answer)[:1200])
        table.notes.append(f"load average {os.getloadavg()[0]:.1f}")
        print(table.markdown(), flush=True)
        if name == "tiny":
            _keep_memory(arguments.csv, where, answer["seen"])
            continue
        found = [answer.get(key, "") for key in ("batches", "files", "bytes")]
        taken.add(name, seconds, cpu, height, *found)
        if arguments.csv:
            taken.write_csv(arguments.csv / "million.csv", where)


def _keep_memory(folder: Path | None, where: str, seen: list[tuple[int, float, float]]) -> None:
    table = Table("Resident memory of the real tiny runs, MB", ["batches", "parent", "worker"])
    for row in seen:
        table.add(*row)
    if folder:
        table.write_csv(folder / "memory.csv", where)


if __name__ == "__main__":
    sys.exit(main())
