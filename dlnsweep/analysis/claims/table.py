"""The table: which statements hold in how many runs, by what margin, with which constants.

A statement is "satisfied" or "violated" in a run only if its conditions held there; else it says
which did not, or what was not recorded. "Margin" is the bound over what was measured, the smallest
over a run's recorded steps (above 1 where it is satisfied), and "tight" the constant that would
make it 1 in the worst run, beside the paper's. Where the paper states no constant nothing can be
violated: such runs are "measured". The theorem's widths leave constants out; they are taken as 1.

Below them stand the registered claims (contracts/claim.py) that are about some of the runs and
whose observables were recorded; a folder without the theorem's errors has these alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dlnsweep.analysis.begun import check_begun
from dlnsweep.analysis.claims.events import EVENTS
from dlnsweep.analysis.claims.families import (
    claim_row,
    claims_about,
    claims_about_none,
    claims_not_recorded,
    judged,
    needed_by,
)
from dlnsweep.analysis.claims.phases import PHASES
from dlnsweep.analysis.claims.run import (
    Demands,
    Run,
    Statement,
    Verdict,
    conditions,
    not_applicable,
)
from dlnsweep.contracts.claim import Claim
from dlnsweep.contracts.network import NETWORKS, find_network
from dlnsweep.contracts.observable import OBSERVABLES
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.errors import SpecError
from dlnsweep.results.joined import SWEEP, Joined, Numbered, opened
from dlnsweep.results.wide_tables import fitted
from dlnsweep.theory.setup import Setup

STATEMENTS: tuple[Statement, ...] = (*PHASES, *EVENTS)

_NEEDED = ("regression_error", "off_subspace_error")
_CONDITIONS = ("isometry_min", "isometry_max")
_FIRST = "first_layer_off_range"
_HELPFUL = tuple(
    dict.fromkeys((*_CONDITIONS, _FIRST, *(name for each in STATEMENTS for name in each.needs)))
)


def claims_table(
    folder: Any, by: Sequence[str] = (), demands: Demands | None = None
) -> pd.DataFrame:
    """Test each statement of the theorem, and each claim that is about some, run by run.

    Args:
        folder: The results folder, its `Results`, or several as `concat` joins them.
        by: Settings by whose values the runs are told apart; none by default.
        demands: What a run must meet for the theorem to speak of it.

    Returns:
        One row a statement and group: `statement`, `source`, the settings of `by`, the numbers of
        runs `satisfied`, `violated`, `measured` (the paper states no constant) and
        `not_applicable` (the conditions did not hold, what it is about was not recorded, or the
        run diverged or is not done), `worst_margin`, `constant` (the paper's), `tight` (the
        largest that a run needed; of a bound from below the smallest that it had), and `why_not`,
        the reasons with how often. Its `attrs["notes"]` say what was judged outside the theorem's
        conditions, and what was taken in the place of a record.

    Raises:
        SpecError: If the errors that it needs were not recorded and no claim is about the runs,
            `by` names no setting, or runs would be counted twice.
        StoreError: If no run is done yet.
    """
    results = opened(folder)
    if isinstance(results, Joined):
        if results.num_shared and SWEEP not in by:
            raise SpecError(f"{results.path}: {results.twice()} tell runs apart by 'sweep'.")
        results = Numbered(results)
    runs = results.runs(unused=True).set_index("run_id")
    check_begun(results, runs)
    for name in by:
        if name not in runs.columns or ("." not in name and name not in ("seed", SWEEP)):
            raise SpecError(f"by is '{name}'; it must be a setting, such as network.depth.")
    missing = [name for name in _NEEDED if f"final_{name}" not in runs.columns]
    claims = claims_about(runs)
    if missing and claims:
        return _of_claims(results, runs, claims, by)
    if missing:
        raise SpecError(f"{results.path}: {_nothing_judged(runs, missing)}")
    known = [*_NEEDED, *(name for name in _HELPFUL if f"final_{name}" in runs.columns)]
    demands = demands or Demands()
    # Batch by batch: the curves of a large sweep do not fit into memory, its verdicts do.
    outside: Counter[str] = Counter()
    verdicts = {
        run_id: dict(_verdicts(runs.loc[run_id], curve, known, demands, outside))
        for table in results.curve_batches(known)
        for run_id, curve in table.to_pandas().groupby("run_id")
    }
    rows = []
    groups: Any = runs.groupby(list(by), dropna=False) if by else [((), runs)]
    for key, group in groups:
        judged = [
            verdicts.get(run_id) or dict(_verdicts(row, None, known, demands, outside))
            for run_id, row in group.iterrows()
        ]
        for statement in STATEMENTS:
            mine = [each[statement.name] for each in judged]
            rows.append(_row(statement, dict(zip(by, key, strict=True)), mine))
    table = pd.DataFrame(rows)
    if claims:
        table = pd.concat([table, _of_claims(results, runs, claims, by)], ignore_index=True)
    table.attrs["notes"] = list(_notes(known, outside))
    return table


def _nothing_judged(runs: pd.DataFrame, missing: Sequence[str]) -> str:
    """Return why nothing can be said of runs that lack observables, and what to record."""
    about = f"the sweep did not record {' and '.join(missing)}, which the statements are about; "
    others = list(claims_not_recorded(runs))
    if unknown := [name for name in missing if not _is_known(runs, name)]:
        about = f"its networks have no {' and '.join(unknown)}, which Theorem 2.3 is about; "
    else:
        others.insert(0, f"{'it' if len(missing) == 1 else 'them'} for Theorem 2.3")
    if others:
        about += f"add {', or '.join(others)} to record.observables and run again."
    else:
        about += "no registered claim is about its runs."
    return "".join([about, *(f" {why}." for why in claims_about_none(runs))])


def _is_known(runs: pd.DataFrame, name: str) -> bool:
    """Return whether an observable can be recorded of any of the runs, as far as is known."""
    kinds = runs.reindex(columns=["problem.kind", "network.kind"]).drop_duplicates()
    for problem, network in kinds.itertuples(index=False):
        if problem not in PROBLEMS or (PROBLEMS[problem].task, network) not in NETWORKS:
            return True
        if find_network(problem, network).has(OBSERVABLES[name]):
            return True
    return False


def _of_claims(
    results: Any, runs: pd.DataFrame, claims: Sequence[Claim], by: Sequence[str]
) -> pd.DataFrame:
    """Judge each run by the registered claims that are about some."""
    verdicts: dict[Any, list[tuple[float, str]]] = {}
    for table in results.curve_batches(list(needed_by(claims))):
        for run_id, curve in table.to_pandas().groupby("run_id"):
            own, ascending = runs.loc[run_id], curve.sort_values("step")
            verdicts[run_id] = [judged(claim, own, ascending) for claim in claims]
    groups: Any = runs.groupby(list(by), dropna=False) if by else [((), runs)]
    rows = []
    for key, group in groups:
        mine = [
            verdicts.get(run_id) or [judged(claim, row, None) for claim in claims]
            for run_id, row in group.iterrows()
        ]
        for claim, own in zip(claims, zip(*mine, strict=True), strict=True):
            rows.append(claim_row(claim, dict(zip(by, key, strict=True)), own))
    return pd.DataFrame(rows)


def _notes(known: Sequence[str], outside: Counter[str]) -> Iterator[str]:
    for reason, count in outside.most_common():
        yield f"judged outside the theorem's conditions, {count} runs: {reason}"
    if _FIRST not in known:
        yield (
            "(74) is taken with ||W_1(0) P_perp|| of a wide Gaussian layer, not the run's own: add "
            f"{_FIRST} to record.observables"
        )


def _verdicts(
    row: Any,
    curve: pd.DataFrame | None,
    known: Sequence[str],
    demands: Demands,
    outside: Counter[str],
) -> Iterator[tuple[str, Verdict]]:
    """Yield the name of each statement with what one run says of it.

    Args:
        row: The run in the table of runs.
        curve: Its records; None where there are none yet.
        known: The observables that were recorded.
        demands: What is asked of it.
        outside: Counts by reason the runs that are judged though the theorem is not about them.
    """
    reason = ""
    if curve is None:
        reason = "not done yet"
    elif row["status"] == "diverged":
        reason = "diverged"
    if curve is None or reason:
        yield from ((statement.name, not_applicable(reason)) for statement in STATEMENTS)
        return
    # A batch of an earlier version of the file may lack a column.
    curve = curve.reindex(columns=["step", *known]).sort_values("step")
    columns = {name: curve[name].to_numpy(dtype=float) for name in ("step", *known)}
    steps, error, off = (columns.pop(name) for name in ("step", *_NEEDED))
    run = Run(Setup(row.to_dict(), np.nan), steps, error, off, columns)
    unmet = {decayed: conditions(run, demands, decayed=decayed) for decayed in (True, False)}
    strictly = conditions(run, Demands(), decayed=bool(run.decay))
    if strictly and not unmet[bool(run.decay)]:
        outside[strictly] += 1
    for statement in STATEMENTS:
        absent = [name for name in statement.needs if name not in known]
        reason = unmet[statement.decayed]
        if absent:
            reason = f"not recorded: add {' and '.join(absent)} to record.observables"
        yield statement.name, not_applicable(reason) if reason else statement.judge(run)


def _row(
    statement: Statement, group: dict[str, Any], verdicts: Sequence[Verdict]
) -> dict[str, Any]:
    held = [verdict for verdict in verdicts if not verdict.why_not]
    reasons = Counter(verdict.why_not for verdict in verdicts if verdict.why_not)
    extreme: Any = min if statement.from_below else max
    stated = statement.constant is not None
    return {
        "statement": statement.name,
        "source": statement.source,
        **group,
        "satisfied": sum(verdict.margin >= 1 for verdict in held) * stated,
        "violated": sum(not verdict.margin >= 1 for verdict in held) * stated,
        "measured": len(held) * (not stated),
        "not_applicable": sum(reasons.values()),
        "worst_margin": min((v.margin for v in held), default=np.nan) if stated else np.nan,
        "constant": statement.constant if stated else np.nan,
        "tight": extreme(map(statement.tight, held), default=np.nan),
        "why_not": "; ".join(f"{reason} ({count})" for reason, count in reasons.most_common()),
    }


def claims_text(table: pd.DataFrame, width: int = 10**6) -> str:
    """Return the table for a terminal: the statements, numbered, above their numbers."""
    numbered = {name: i for i, name in enumerate(dict.fromkeys(table["statement"]), 1)}
    sources = dict(zip(table["statement"], table["source"], strict=True))
    lines = [f"{i}. {name}  [{sources[name]}]" for name, i in numbered.items()]
    short = table.drop(columns=["source", "why_not"])
    short = short.assign(statement=[numbered[name] for name in table["statement"]])
    for name, absent in (("worst_margin", "-"), ("constant", "unstated"), ("tight", "-")):
        short[name] = [f"{value:.3g}" if value == value else absent for value in table[name]]
    lines += [
        "",
        fitted(short, [*short.columns[: list(short.columns).index("statement") + 1]], width),
    ]
    reasons = [reason for text in table["why_not"] for reason in str(text).split("; ") if reason]
    if reasons:
        lines += ["", "not applicable because:"]
        lines += [f"  {reason}" for reason in dict.fromkeys(reasons)]
    notes = table.attrs.get("notes", [])
    return "\n".join([*lines, *([""] if notes else []), *(f"note: {note}" for note in notes)])
