"""The command line: thin commands, and the one place that turns errors into text."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from dlnsweep.cli.cite import cite
from dlnsweep.cli.compare import compare
from dlnsweep.cli.completion import ASKED, complete, completion
from dlnsweep.cli.export import export
from dlnsweep.cli.figure import figure
from dlnsweep.cli.files import (
    Out,
    Overrides,
    Plugins,
    SweepFile,
    Workers,
    check,
    explain,
    init,
    plan,
    slurm,
    use,
)
from dlnsweep.cli.folders import diff, ls
from dlnsweep.cli.gallery import gallery
from dlnsweep.cli.guide import guide
from dlnsweep.cli.report import report
from dlnsweep.cli.results import (
    Folder,
    boundary,
    claims,
    extrapolate,
    intervals,
    transition,
)
from dlnsweep.cli.summary import summary
from dlnsweep.cli.view import view
from dlnsweep.errors import DlnsweepError, Interrupted, SpecError, StoreError
from dlnsweep.machine import console
from dlnsweep.machine.stopping import handled, stoppable
from dlnsweep.version import __version__

# Exit status where all is well but for the standard output.
_NOT_SAID = 5
_MOST_SHOWN = 16

app = typer.Typer(
    name="dlnsweep",
    help="Train thousands of theory-scale networks at once; to Parquet and figures.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"dlnsweep {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Train thousands of theory-scale networks at once; to Parquet and figures."""


@app.command()
def run(
    file: SweepFile,
    overrides: Overrides = None,
    out: Out = "results",
    workers: Workers = None,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Compute only the I-th of N shares of the batches."),
    ] = None,
    wait: Annotated[
        float | None,
        typer.Option(
            metavar="MINUTES",
            min=0,
            help="A shard whose share of a round is done waits while others work, and so long "
            "after; 1 by default.",
        ),
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Compute on the Dask cluster of this scheduler; 'local' starts one here.",
        ),
    ] = None,
    figure: Annotated[bool, typer.Option(help="Draw the figures that the file asks for.")] = True,
    checkpoint: Annotated[
        float,
        typer.Option(metavar="MINUTES", min=0, help="Keep how far a batch is so often; 0: never."),
    ] = 5.0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    plugin: Plugins = None,
) -> None:
    """Run a sweep; what is done already is not computed again."""
    use(plugin)
    from dlnsweep.execution.shards import Shard
    from dlnsweep.spec.sweep import Sweep

    console.only_reports()
    share = Shard.read(shard) if shard is not None else None
    if wait is not None and share is None:
        raise SpecError("--wait is how long a shard waits for others; give --shard I/N, too.")
    sweep = Sweep.from_file(file, overrides or ())
    for note in sweep.figure_notes if figure else ():
        _say(note, quiet)

    from dlnsweep.execution.preparing import prepare
    from dlnsweep.execution.rounds.meeting import met
    from dlnsweep.execution.rounds.sequence import Computed, has_rounds, rounds
    from dlnsweep.execution.runner import begun_ahead, check_of_workers, executor_for, work
    from dlnsweep.numerics.compile_cache import problem
    from dlnsweep.progress.reporting import reporting, tally_of
    from dlnsweep.settings.sentences import duration
    from dlnsweep.store import results_folder

    execute, how = executor_for(workers, dask, 60 * checkpoint or float("inf"))
    root = results_folder(out, sweep.name)
    by_rounds, seconds = has_rounds(sweep), None if wait is None else 60 * wait

    def compute(sweep: Sweep) -> Computed:
        ready = check_of_workers(execute)
        prepared = prepare(sweep, root, share, how=how, check_workers=ready)
        left = prepared.runs - prepared.runs_done
        mine = f" of shard {share}" if share else ""
        ahead = None
        # Only where other processes compute, and this one waits.
        if prepared.todo and figure and sweep.figures and workers != 0 and dask is None:
            from dlnsweep.figures.folder import import_ahead

            ahead = import_ahead()
        tally = tally_of(prepared, sweep)
        done = f"of {tally.runs} runs{mine} are done and kept in {root}; the same command goes on"
        with stoppable(tally.wish) as should_stop:
            # Whoever has read it and stops is told how to go on.
            _say(f"{root}: {left} of {prepared.runs} runs{mine} to do", quiet)
            if left and (unfit := problem()):
                _say(f"compiling without a cache: {unfit}", quiet)
            try:
                with reporting(tally, quiet=quiet or not prepared.todo) as on_event:
                    work(prepared, execute, how, on_event=on_event, should_stop=should_stop)
            except KeyboardInterrupt:
                raise Interrupted(
                    f"ended at once: {tally.runs_done} {done} from there, unfinished batches from "
                    "their last checkpoints."
                ) from None
            except Interrupted:
                for text in tally.kept_sentences():
                    _say(text)
                raise Interrupted(f"stopped: {tally.runs_done} {done} from there.") from None
        if ahead is not None:
            ahead.join()
        status = prepared.store.status()
        stopped = f", {status.stopped} stopped early" if status.stopped else ""
        _say(
            f"{root}: {status.done} runs done, {status.diverged} diverged{stopped}; "
            f"{duration(status.seconds)} of computing",
            quiet,
        )
        with stoppable() as should_stop:
            tell = lambda text: _say(text, quiet)  # noqa: E731
            whole = not by_rounds or met(prepared, seconds, tell, should_stop)
        return Computed(prepared.store, whole, prepared.run_ids)

    planned = (
        f"runs were planned; the same command begins again, and goes on from what {root} keeps"
    )
    with _told_where(planned), begun_ahead(execute, root):
        computed = rounds(sweep, compute, lambda text: _say(text, quiet))
    root, status = computed.store.root, computed.store.status()
    others = status.planned - status.done
    if not computed.whole:
        return
    if others and share is None:
        _say(f"{root}: {others} more runs of a larger sweep that it holds are not done", quiet)
    if others and share is not None:
        _say(
            f"{root}: {others} runs are left to other shards; `dlnsweep "
            f"status {root}` shows who is at work, and the last one draws the figures",
            quiet,
        )
    elif figure and sweep.figures:
        from dlnsweep.figures.folder import draw_missing_figures

        with _told_where(f"figures were drawn: the runs are kept; `dlnsweep figure {root}` draws"):
            paths, drawn = draw_missing_figures(root)
        if not drawn:
            _say(f"the figures are up to date; `dlnsweep figure {root}` draws them again", quiet)
        for path in paths:
            print(path)


@app.command()
def status(folder: Folder) -> None:
    """Show how far a results folder is, what is being computed and where, and what is left."""
    from dlnsweep.execution.failures import failures, listed
    from dlnsweep.execution.heartbeat import runners
    from dlnsweep.execution.rounds.sequence import progress
    from dlnsweep.results import open_results
    from dlnsweep.settings.sentences import duration
    from dlnsweep.store import Store

    store = Store.open(folder)
    # Before the batches are counted: what is committed in between shall not seem to be running.
    seen = runners(store)
    found = store.status(with_damage=True)
    running = {number for runner in seen if runner.is_alive for number, _ in runner.batches}
    left = max(0, found.batches - found.batches_done - len(running))
    rest = f"; {len(running)} running, {left} left" if found.done < found.planned else ""
    print(f"{store.sweep['name']}: {found.done} of {found.planned} runs done")
    print(f"  {found.batches_done} of {found.batches} batches{rest}")
    damaged = len(found.damaged)
    batches = "1 batch" if damaged == 1 else f"{damaged} batches"
    lost = f", without {batches} whose receipt is damaged" if damaged else ""
    print(f"  {found.diverged} runs diverged, {found.stopped} stopped early{lost}")
    print(f"  {duration(found.seconds)} of computing{lost}")
    if rounds := progress(open_results(folder)):
        print(f"  {rounds}")
    if kept := store.kept():
        shown = ", ".join(map(str, kept[:_MOST_SHOWN]))
        more = f" and {len(kept) - _MOST_SHOWN} more" if len(kept) > _MOST_SHOWN else ""
        print(f"  checkpoints of unfinished batches, which go on from them: {shown}{more}")
    if failed := failures(store):
        print("  failed when they were last tried (the same command tries again):")
        for line in listed(failed):
            print(f"    {line}")
    for runner in seen:
        print(f"  {runner.sentence}")
    if found.damaged:
        # Behind what the other batches say, which is of use without it.
        sys.stdout.flush()
        more = f"\nand {damaged - _MOST_SHOWN} more" if damaged > _MOST_SHOWN else ""
        raise StoreError("\n".join(found.damaged[:_MOST_SHOWN]) + more)


for _command in (
    compare, slurm, check, plan, init, explain, summary, claims, transition, boundary, intervals,
    extrapolate,
    export,
    cite, completion, ls, diff,
    figure,
    gallery,
    guide,
    report,
    view,
):  # fmt: skip
    app.command()(_command)


@app.command()
def verify(folder: Folder) -> None:
    """Check every byte of a results folder against its checksums."""
    from dlnsweep.errors import StoreError
    from dlnsweep.store import Store

    problems = Store.open(folder).verify()
    damage = [problem.sentence for problem in problems if not problem.leftover]
    if damage:
        raise StoreError("\n".join(damage))
    print(f"{folder}: every file is as it was committed")
    if problems:
        print(
            f"{len(problems)} leftovers of interrupted commits do no harm; `dlnsweep gc` removes "
            "them"
        )


@app.command()
def gc(
    folder: Folder,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")] = False,
) -> None:
    """Remove what interrupted commits left behind; nothing committed."""
    from dlnsweep.store import Store

    found = Store.open(folder).gc(dry_run=dry_run)
    for path in found:
        print(path)
    print(f"{folder}: {len(found)} files {'would be ' if dry_run else ''}removed")


def _say(text: str, quiet: bool = False) -> None:
    if not quiet:
        print(f"dlnsweep: {text}", file=sys.stderr, flush=True)


def main() -> None:
    """Run the command line; errors of the user become text and an exit status."""
    console.secure()
    if sys.argv[1:2] == [ASKED]:
        complete(sys.argv[2:], app)
        return
    with handled(_interrupt):
        try:
            app(prog_name="dlnsweep")
        except DlnsweepError as error:
            print(f"dlnsweep: {error}" if str(error) else "", file=sys.stderr)
            sys.exit(error.exit_status)
        except SystemExit as ended:
            if ended.code == Interrupted.exit_status:
                # Typer ends so after a Ctrl-C that no command has told anything about.
                _say("stopped.")
            if not ended.code and (reason := console.lost_output()):
                _say(f"what there was to say could not all be written ({reason}); say it elsewhere")
                sys.exit(_NOT_SAID)
            raise


@contextmanager
def _told_where(doing: str) -> Iterator[None]:
    """Make a sentence of a Ctrl-C: while what it came, and what is to be done now."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"stopped while {doing}.") from None


def _interrupt(number: int, _frame: object) -> None:
    # Outside of a run there is nothing to keep.
    raise KeyboardInterrupt(number)


if __name__ == "__main__":
    main()
