"""The commands of the command line that look at sweep files; `cli` has the others."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from dlnsweep.errors import DlnsweepError, Interrupted, RunError, SpecError, StoreError
from dlnsweep.machine.paths import user_path

_MOST_TIMES = 2.5

SweepFile = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="A sweep file (TOML), or one that ships with dlnsweep: gallery:NAME.",
        parser=user_path,
    ),
]
SweepFiles = Annotated[
    list[Path], typer.Argument(metavar="FILE...", help="Sweep files (TOML).", parser=user_path)
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Replace a setting; VALUE is TOML. May be repeated."
    ),
]
Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        metavar="FILE",
        help="Run this Python file first, which registers networks and more. May be repeated.",
        parser=user_path,
    ),
]
Out = Annotated[
    str,
    typer.Option("--out", metavar="DIR", help="Where the results folder is made; or s3://..."),
]
Workers = Annotated[
    int | None,
    typer.Option(min=0, help="Worker processes; one a core or GPU by default. 0: none."),
]


def use(files: list[Path] | None) -> None:
    """Load the plug-ins of a command line."""
    if files:
        from dlnsweep.contracts.plugins import load_plugin

        for file in files:
            load_plugin(file)


# `check` answers at once; `plan` and `run` look at every run.
_MOST_LOOKED_AT = 100_000


def slurm(
    file: SweepFile,
    shards: Annotated[int, typer.Option(min=1, help="Jobs of the array, one a shard.")],
    overrides: Overrides = None,
    out: Out = "results",
    time: Annotated[
        str, typer.Option(metavar="LIMIT", help="A job's time limit, as sbatch takes it.")
    ] = "04:00:00",
    cores: Annotated[int, typer.Option(min=1, help="CPU cores of a job, a worker on each.")] = 1,
    memory: Annotated[
        str, typer.Option(metavar="SIZE", help="Memory of a job, as sbatch takes it.")
    ] = "4G",
    gpus: Annotated[int, typer.Option(min=0, help="GPUs of a job, a worker on each.")] = 0,
    option: Annotated[
        list[str] | None,
        typer.Option("--sbatch", metavar="OPTION", help="Such as partition=gpu. May be repeated."),
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Print a job script for SLURM: the shards of a sweep as a job array."""
    use(plugin)
    from dlnsweep.execution.rounds.sequence import has_rounds
    from dlnsweep.execution.slurm import Resources, job_script
    from dlnsweep.spec.sweep import Sweep
    from dlnsweep.store.address import location

    sweep = Sweep.from_file(file, overrides or ())
    resources = Resources(time, cores, memory, gpus, tuple(option or ()))
    more = overrides or (), plugin or ()
    place, by_rounds = location(out), has_rounds(sweep)
    script = job_script(sweep.name, file, shards, resources, place, *more, by_rounds=by_rounds)
    print(script, end="")


def check(files: SweepFiles, overrides: Overrides = None, plugin: Plugins = None) -> None:
    """Check sweep files: every mistake at once, nothing started."""
    use(plugin)
    statuses = set[int]()
    for file in files:
        try:
            _check(file, overrides or ())
        except DlnsweepError as error:
            if len(files) == 1 or isinstance(error, Interrupted):
                raise
            print(f"dlnsweep: {file}:\n{error}", file=sys.stderr)
            statuses.add(error.exit_status)
    if statuses:
        raise typer.Exit(max(statuses))


def _check(file: Path, overrides: Sequence[str]) -> None:
    from dlnsweep.execution.record_price import told_records
    from dlnsweep.execution.trial import check_network
    from dlnsweep.execution.ways import auto_kernel, jumps_here
    from dlnsweep.execution.weights_size import check_weights, told_weights
    from dlnsweep.plan.fitting import need_of
    from dlnsweep.spec.sweep import Sweep

    sweep, more = Sweep.from_file(file, overrides), list[str]()
    crossings = math.prod(sweep.axis_lengths) * len(sweep.seeds)
    planned = _plan_of(sweep) if crossings <= _MOST_LOOKED_AT else None
    if planned is not None:
        try:
            check_network(planned)
            weights = check_weights(planned)
        except SpecError as error:
            # As what is wrong with the file itself has it.
            raise SpecError(*(f"{file}: {problem}" for problem in error.problems)) from error
        if weights is not None:
            more.append(f"weights: {told_weights(planned, weights)}")
            if lacking := _no_room(weights, sweep.name):
                more.append(f"not enough room here: {lacking}")
        more += _going_on(planned)
        more += told_records(planned)
        more += jumps_here.told(planned)
        more += auto_kernel.told(planned)
    more += _vectors_here(sweep)
    runs = "1 run" if sweep.num_runs == 1 else f"{sweep.num_runs} runs"
    print(f"{file}: right; {runs}: {sweep.crossed}")
    if crossings > sweep.num_runs:
        print(
            f"  {crossings - sweep.num_runs} of {crossings} combinations differ from others only "
            "in settings that they do not use; they are no runs of their own"
        )
    for line in [*sweep.computed, *more]:
        print(f"  {line}")
    if planned is not None and (unfit := need_of(planned).why_not()):
        print(f"  not enough memory here: {unfit}")
    for note in sweep.figure_notes:
        print(f"note: {note}")


def _no_room(weights: Any, name: str) -> str:
    """Return why the disk of the folder that `run` makes cannot hold the weights; else nothing."""
    from dlnsweep.execution.runner import DEFAULT_OUT
    from dlnsweep.store import results_folder

    return weights.why_not(results_folder(DEFAULT_OUT, name))


def _vectors_here(sweep: Any) -> list[str]:
    """Return what is told where this processor lacks the vector instructions that are wanted."""
    from dlnsweep.contracts.network import BY_VECTORS

    if sweep.options.kernel in BY_VECTORS:
        from dlnsweep.execution.ways.auto_kernel import told_here

        return [said] if (said := told_here(sweep)) else []
    # Where `run` puts it; nothing else is imported where nothing is there.
    folder = Path("results") / sweep.name
    if sweep.options.kernel not in ("auto", "reduced") or not (folder / "sweep.json").is_file():
        return []
    from dlnsweep.execution.ways import reduced_bases
    from dlnsweep.execution.ways.auto_kernel import check_here
    from dlnsweep.store import Store

    try:
        check_here(Store.open(folder))
        reduced_bases.check_here(Store.open(folder))
    except RunError as error:
        return [f"not possible here: {error}"]
    except StoreError:
        # Whatever is wrong with it, `run` says it.
        pass
    return []


def _plan_of(sweep: Any) -> Any:
    """Return a sweep's plan; only one that begins with given weights takes the store to make."""
    if sweep.options.warm_start is None:
        from dlnsweep.plan.plan import make_plan

        return make_plan(sweep)
    from dlnsweep.execution.warm_start import plan_of

    return plan_of(sweep)


def _going_on(plan: Any) -> list[str]:
    """Return what is told of runs that go on from another folder's, or begin with its weights."""
    if plan.starts is not None:
        from dlnsweep.execution.warm_start import told

        return told(plan.starts)
    if not plan.sweep.options.go_on_from:
        return []
    from dlnsweep.execution.origins import origins_of

    origins = origins_of(plan)
    return [origins.sentence] if origins else []


def plan(
    file: SweepFile,
    overrides: Overrides = None,
    workers: Workers = None,
    probe: Annotated[
        bool, typer.Option(help="Measure a second of each program to estimate the time.")
    ] = True,
    plugin: Plugins = None,
) -> None:
    """Show what a sweep will take: runs, programs, memory, rows, bytes, time."""
    use(plugin)
    import numpy as np

    from dlnsweep.execution import estimate as estimates
    from dlnsweep.execution.record_price import told_records
    from dlnsweep.execution.ways import jumps_here
    from dlnsweep.execution.ways.auto_kernel import least_runs, of_here, settings_in
    from dlnsweep.execution.weights_size import told_weights, weights_size
    from dlnsweep.execution.workers.local import LocalExecutor
    from dlnsweep.machine.memory import workers_that_fit
    from dlnsweep.plan.batches import make_batches
    from dlnsweep.plan.fitting import need_of
    from dlnsweep.settings.sentences import shorten
    from dlnsweep.spec.sweep import Sweep

    sweep = Sweep.from_file(file, overrides or ())
    planned = _plan_of(sweep)
    taken = of_here(planned)
    least, told = least_runs(planned, taken), settings_in(taken)
    batches = make_batches(planned, np.arange(planned.num_runs), least=least, told=told)
    found = estimates.estimate(planned, batches)
    need = need_of(planned)
    count = min(LocalExecutor(workers or None).num_workers, len(batches))
    count, fewer = workers_that_fit(count, need.call_bytes)
    unfit = need.why_not()
    for name, value in (
        ("runs", f"{planned.num_runs}"),
        ("compiled programs", f"{planned.num_programs}"),
        ("batches", f"{len(batches)}"),
        ("workers", f"{count}"),
        ("run-steps", shorten(found.run_steps)),
        ("memory a worker", f"{_bytes(found.worker_bytes)} beside about 0.4 GB for JAX"),
        ("rows of curves", f"{found.rows}"),
        ("Parquet", f"about {_bytes(found.stored_bytes)}"),
    ):
        print(f"{name:<18} {value}")
    if (weights := weights_size(planned)) is not None:
        print(f"{'weights':<18} {told_weights(planned, weights)}")
        if too_many := weights.why_not():
            print(f"not possible: {too_many}")
            # What is refused has no time, and its networks may be larger than this machine.
            probe = False
        elif lacking := _no_room(weights, sweep.name):
            print(f"not enough room here: {lacking}")
    told = [*_going_on(planned), *told_records(planned), *jumps_here.told(planned)]
    for line in [*sweep.computed, *told]:
        print(line)
    for note in sweep.figure_notes:
        print(f"note: {note}")
    if fewer and not unfit:
        print(fewer)
    if unfit:
        print(f"not enough memory: {unfit}")
    elif probe:
        jumps = sweep.options.kernel == "jumps"
        tried = jumps_here.by_auto(planned) | jumps
        walked = [batch for batch in batches if tried[batch.runs[0]]]
        stepped = [batch for batch in batches if not tried[batch.runs[0]]]
        both = bool(walked and stepped)
        if walked:
            _print_walked(planned, walked, count, "time of jumps" if both else "time")
        if stepped:
            _print_probed(planned, stepped, count, "time of others" if both else "time")


def _print_walked(planned: Any, batches: list[Any], workers: int, name: str) -> None:
    from dlnsweep.execution import estimate as estimates
    from dlnsweep.settings.sentences import duration

    runs = sum(len(batch.runs) for batch in batches)
    walks = estimates.walk(planned, batches, workers)
    ended = walks.walked == walks.records
    # What is left of a walk is known within a factor of two: `engine/pace.py`.
    sure = ended and walks.runs == runs
    least, most = (1.0, _MOST_TIMES) if sure else (0.5, 2.0)
    rest = walks.seconds - walks.walking_seconds
    times = [duration(rest + factor * walks.walking_seconds) for factor in (least, most)]
    reached = "" if ended else ", and from there on as jumps grow"
    print(
        f"{name:<18} {times[0]} to {times[1]} on this machine, as busy as now, of which "
        f"compiling {duration(walks.compile_seconds)} (how far a jump goes is found on the "
        f"way: {walks.runs} of {runs} runs walked, to {walks.walked} of "
        f"{walks.records} recorded steps{reached})"
    )


def _print_probed(planned: Any, batches: list[Any], workers: int, name: str) -> None:
    from dlnsweep.execution import estimate as estimates
    from dlnsweep.numerics.compile_cache import problem, wanted_folder
    from dlnsweep.settings.sentences import duration, shorten

    programs = len({int(planned.programs[batch.runs[0]]) for batch in batches})
    timing = estimates.probe(planned, batches, workers)
    # Workers share memory and caches that the probe had alone, and cheap records are left out.
    most = duration(_MOST_TIMES * timing.seconds)
    # The probe compiled as a worker does, into the same cache.
    kept = wanted_folder() is not None and not problem()
    spared = "; what was measured a run here need not compile again" if kept else ""
    print(
        f"{name:<18} {duration(timing.seconds)} to {most} on this machine, as busy as now, "
        f"of which starting workers {duration(timing.start_seconds)} and compiling "
        f"{duration(timing.compile_seconds)} (measured on {timing.probed} of "
        f"{programs} programs, by {' and '.join(timing.ways)}: "
        f"{shorten(timing.steps_a_second)} run-steps/s{spared})"
    )


def init(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The file to write.", parser=user_path)
    ] = Path("sweep.toml"),
) -> None:
    """Write a commented starter file."""
    from dlnsweep.cli.starter import write_starter

    write_starter(file)
    print(f"{file}: written; try `dlnsweep check {file}`, then `dlnsweep run {file}`")


def explain(
    kind: Annotated[str, typer.Argument(help="A section, problem or figure kind; or a key.")] = "",
    plugin: Plugins = None,
) -> None:
    """Explain a section's or kind's keys: meaning, unit, default, static or traced."""
    use(plugin)
    from dlnsweep.spec.explain import explain as text

    print(text(kind))


def _bytes(count: int) -> str:
    from dlnsweep.settings.sentences import shorten

    return f"{shorten(count)}B"
