"""What stands in a page: everything is looked up here, and nothing is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dlnsweep.analysis.boundaries import boundaries
from dlnsweep.analysis.claims import claims_table
from dlnsweep.analysis.claims.families import claims_about
from dlnsweep.analysis.intervals import intervals
from dlnsweep.analysis.transitions import Condition, transitions
from dlnsweep.contracts import plugins
from dlnsweep.errors import DlnsweepError, SpecError
from dlnsweep.execution.failures import failures, listed
from dlnsweep.execution.rounds.sequence import progress
from dlnsweep.figures.labels import setting_symbol
from dlnsweep.report.made import Fact, made
from dlnsweep.report.pictures import MOST_FIGURES, Picture, num_figures, pictures
from dlnsweep.report.sweep_text import SweepText, sweep_text
from dlnsweep.report.tables import Cell, Table, cell, short, table_of
from dlnsweep.results import Results
from dlnsweep.settings.sentences import raised
from dlnsweep.store.status import Status

if TYPE_CHECKING:
    import pandas as pd

_MOST_SHOWN = 12
# Statements are judged run by run; of more runs `dlnsweep claims` is asked for by name.
_MOST_JUDGED = 3000
_MOST_REASONS = 4
_CLAIMS = (
    "Statements of the papers, run by run: a margin above 1 is satisfied, and “tight” is the "
    "constant that would make it 1 in the worst run."
)


@dataclass(frozen=True)
class Varying:
    """A setting that varies: its key, what it is, and its values."""

    key: str
    words: str
    values: str


@dataclass(frozen=True)
class Section:
    """A part of the page with tables: its id, heading, first words, tables and last words."""

    id: str
    heading: str
    lead: str
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Content:
    """All of a page; see the template for where it stands."""

    name: str
    source: str
    status: Status
    rounds: str
    precision: str
    varying: list[Varying]
    fixed: list[Fact]
    figures: list[Picture]
    figures_left_out: int
    sections: list[Section]
    made: list[Fact]
    text: SweepText


def content_of(results: Results) -> Content:
    """Return what a page says of a results folder.

    Raises:
        StoreError: If a file of it is damaged.
    """
    plugins.load()
    status = results.store.status(with_damage=True)
    sections = [
        *_damage(results, status),
        *_failures(results, status),
        *_summary(results),
        *_endings(results, status),
        *_jumps(results),
        *_asked(results),
    ]
    sections += _claims(results, status)
    return Content(
        name=results.name,
        source=str(results.sweep.get("source") or ""),
        status=status,
        rounds=progress(results),
        precision=str(results.sweep["precision"]),
        varying=[_varying(results, key) for key in results.varying],
        fixed=list(_fixed(results)),
        figures=pictures(results) if status.done else [],
        figures_left_out=max(0, num_figures(results) - MOST_FIGURES),
        sections=sections,
        made=list(made(results)),
        text=sweep_text(results),
    )


def _varying(results: Results, key: str) -> Varying:
    found = results.store.runs_table([key])[key].unique().to_pylist()
    known = [value for value in found if value is not None and value != ""]
    shown = ", ".join(cell(value).text for value in known[:_MOST_SHOWN])
    more = f", … ({len(known)} values)" if len(known) > _MOST_SHOWN else ""
    unused = " (some runs do not use it)" if len(known) < len(found) else ""
    symbol, words, unit = setting_symbol(key)
    named = " ".join(filter(None, [words, symbol, f"[{unit}]" if unit else ""]))
    return Varying(key, named, shown + more + unused)


def _fixed(results: Results) -> Iterator[Fact]:
    for key in results.settings:
        if key == "seed" or key in results.varying:
            continue
        first = results.store.runs_table([key])[key][:1].to_pylist()
        if first and first[0] not in (None, ""):
            yield Fact(key, cell(first[0]).text)


def _summary(results: Results) -> Iterator[Section]:
    keys = results.varying
    try:
        full: Any = results.summary()
    except DlnsweepError as error:
        yield Section("summary", "Summary", "", notes=(str(error),))
        return
    counts = {"num_runs": "runs", "num_diverged": "diverged", "num_planned_missing": "not done"}
    shown = full[keys].copy()
    for name, words in counts.items():
        if name == "num_runs" or full[name].any():
            shown[words] = full[name]
    for name in [name.removesuffix("_median") for name in full.columns if name.endswith("_median")]:
        shown[f"{name} (median)"] = full[f"{name}_median"]
        ends = zip(full[f"{name}_q25"], full[f"{name}_q75"], strict=True)
        shown[f"{name} (quartiles)"] = [
            Cell(f"{short(low)} – {short(high)}" if low == low else "", repr(float(low)))
            for low, high in ends
        ]
    caption = "After the last step, over the seeds of each combination"
    table = table_of(shown, caption)
    lead = "Medians and quartiles after the last step. Diverged runs are counted, not mixed in."
    notes = ()
    if table.left_out:
        told = f"{table.left_out} more rows: `dlnsweep summary` shows or writes them all."
        notes = (told,)
    yield Section("summary", "Summary", lead, (table,), notes)


def _damage(results: Results, status: Status) -> Iterator[Section]:
    """Yield which receipts are damaged, if any are."""
    if status.damaged:
        lead = (
            f"{len(status.damaged)} of {status.batches_done} batches that are done have a damaged "
            "receipt. What the head of this page counts as diverged, stopped early and computing "
            "is without their runs; figures and tables are drawn from their curves and outcomes, "
            "which have checksums of their own."
        )
        # Who is sent the page need not know where one's home lies.
        told = [text.replace(f"{results.path}/", "") for text in status.damaged[:_MOST_SHOWN]]
        yield Section("damage", "Damage", lead, notes=tuple(told))


def _failures(results: Results, status: Status) -> Iterator[Section]:
    """Yield why batches failed that are not done."""
    found = failures(results.store) if status.done < status.planned else {}
    if found:
        lead = (
            "Batches that are not done, and why they failed when they were last tried; `dlnsweep "
            "run` with the sweep file tries them again."
        )
        yield Section("failures", "Failed batches", lead, notes=tuple(listed(found)))


def _endings(results: Results, status: Status) -> Iterator[Section]:
    """Yield which runs diverged, if any did, and what batches had to note."""
    # Of a batch whose receipt is damaged, the outcomes know it.
    if status.diverged or status.damaged:
        keys = results.varying
        runs: Any = results.runs(unused=True)[[*keys, "status", "diverged_step"]]
        done = runs[runs["status"] != "planned"]
        diverged = done["status"] == "diverged"
        if not diverged.any():
            return
        groups: Any = done.assign(
            diverged=diverged.astype(int), step=done["diverged_step"].where(diverged)
        )
        grouped = groups.groupby(keys, dropna=False) if keys else groups.groupby(lambda _: 0)
        found: Any = grouped.agg(
            runs=("diverged", "size"),
            diverged=("diverged", "sum"),
            first_step=("step", "min"),
            last_step=("step", "max"),
        ).reset_index(drop=not keys)
        found = found[found["diverged"] > 0].rename(
            columns={"first_step": "first at step", "last_step": "last at step"}
        )
        unbegun = int((done["diverged_step"][diverged] == 0).sum())
        whys = []
        if unbegun < diverged.sum():
            whys.append(
                "their error was not finite, or exceeded `training.divergence_factor` times its "
                "start"
            )
        if unbegun:
            # No step of theirs is to blame; see numerics/divergence.py.
            whys.append(
                f"{unbegun} of them at step 0, before any step: their targets are all zero, or "
                "their data or start not finite or of a size whose squares the precision cannot "
                "hold"
            )
        lead = (
            f"{diverged.sum()} of {len(done)} runs diverged: {'; '.join(whys)}. They are frozen "
            "there and enter no median."
        )
        yield Section("diverged", "Divergence", lead, (table_of(found, "Where runs diverged"),))


def _jumps(results: Results) -> Iterator[Section]:
    """Yield what bursts of real steps found of runs that jump, if the sweep asks for them."""
    record: Any = results.sweep["sweep"]
    runs: Any = results.runs() if record.get("check_jumps") else {}
    if "burst_error" not in runs:
        return
    looked = runs[runs["burst_error"].notna()]
    if looked.empty:
        return
    against = looked[np.isinf(looked["truncation_error"])]
    lead = (
        f"Beside jumps of {len(looked)} runs real steps were taken at random places. What they say "
        f"that records may be wrong by is at most {looked['burst_error'].max():.1e}; the tolerance "
        f"is {looked['sweep.tolerance'].iloc[0]:.1e}."
    )
    told = (
        f"{len(against)} of these runs they contradict: nobody knows by how much those are wrong."
    )
    yield Section("jumps", "Time jumps", lead, notes=(told,) if len(against) else ())


def _asked(results: Results) -> Iterator[Section]:
    """Yield what the sweep asks for beside figures: boundaries, intervals."""
    record: Any = results.sweep["sweep"]
    if record.get("refine"):
        lead = "Between low and high lies a boundary of the seeds that were run."
        yield _table_section("boundary", "Boundary", lead, lambda: boundaries(results))
        lead = (
            "The value at which half of the runs succeed, by logistic regression, with its 95 % "
            "interval over the seeds, by sign tests."
        )
        yield _table_section("transition", "Transition", lead, lambda: _transition(results))
    if record.get("until"):
        lead = "The intervals that the sweep asked for, and the seeds that they took."
        yield _table_section("intervals", "Intervals", lead, lambda: intervals(results))


def _transition(results: Results) -> pd.DataFrame:
    refine: Any = results.sweep["sweep"]["refine"]
    conditions = [
        Condition(str(each["observable"]), float(each["below"])) for each in refine["success"]
    ] or [Condition.read("finished")]
    between = str(refine["between"])
    by = [key for key in results.varying if key != between]
    return transitions(results.path, between, conditions, by).table


def _claims(results: Results, status: Status) -> Iterator[Section]:
    num_runs = status.done
    if not num_runs:
        return
    if num_runs > _MOST_JUDGED:
        theorem = {"regression_error", "off_subspace_error"} <= {*results.sweep["observables"]}
        if theorem or claims_about(results.runs(unused=True)):
            told = (
                f"{num_runs} runs are judged by `dlnsweep claims`, which takes a while, not here."
            )
            yield Section("claims", "Claims", "", notes=(told,))
        return
    try:
        table: Any = claims_table(results.path)
    except SpecError:
        # No statement is about these runs.
        return
    except Exception as error:
        told = f"The claims cannot be judged ({raised(error)})."
        yield Section("claims", "Claims", "", notes=(told,))
        return
    applies = table[["satisfied", "violated", "measured"]].sum(axis=1) > 0
    judged, silent = table[applies], table[~applies]
    notes = list(table.attrs.get("notes", []))
    reasons = Counter(str(text) for text in silent["why_not"])
    shown = reasons.most_common(_MOST_REASONS)
    notes += [f"{count} statements apply to no run: {reason}." for reason, count in shown]
    if len(reasons) > len(shown):
        notes.append("`dlnsweep claims` has the other reasons.")
    named = judged.drop(columns="why_not").rename(columns=_spaced)
    tables = (table_of(named, "Statements, over all runs"),) if len(judged) else ()
    lead = (
        _CLAIMS if len(judged) else "None of the statements that are known applies to these runs."
    )
    yield Section("claims", "Claims", lead, tables, tuple(notes))


def _spaced(name: Any) -> str:
    """Return the name of a column as words, unless it is a setting."""
    return str(name) if "." in str(name) else str(name).replace("_", " ")


def _table_section(
    identity: str, heading: str, lead: str, find: Callable[[], pd.DataFrame]
) -> Section:
    try:
        found = find()
    # What stands in a folder may be anything; the rest of the page is of use without it.
    except Exception as error:
        told = str(error) if isinstance(error, DlnsweepError) else raised(error)
        return Section(identity, heading, "", notes=(told,))
    named = found.rename(columns=_spaced)
    return Section(identity, heading, lead, (table_of(named, heading),))
