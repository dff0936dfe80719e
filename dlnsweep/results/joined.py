"""Several sweeps as one: their runs in one table, told apart by the column `sweep`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Never, cast

import numpy as np
import pandas as pd
import pyarrow as pa

from dlnsweep.errors import SpecError
from dlnsweep.results import summaries
from dlnsweep.results.chosen_records import needed, taken_at
from dlnsweep.results.drawing import Drawing
from dlnsweep.results.recorded import check_where, values_of
from dlnsweep.results.results import Results, open_results
from dlnsweep.results.stacked import floats, stacked
from dlnsweep.settings.sentences import nearest_key, printable, show
from dlnsweep.store.records import FINAL

SWEEP = "sweep"
_MOST = 20


def opened(given: Any) -> Results | Joined:
    """Return results as they are given, or those of a folder.

    Args:
        given: Results, several of them joined, or a folder (or its address).

    Raises:
        StoreError: If it is not a results folder.
    """
    return given if isinstance(given, Results | Joined) else open_results(given)


def opened_together(folders: Sequence[str]) -> Results | Joined:
    """Return the results of a folder, or of several as one."""
    return open_results(folders[0]) if len(folders) == 1 else concat(folders)


def concat(sweeps: Sequence[Any] | Mapping[str, Any], names: Sequence[str] | None = None) -> Joined:
    """Return several sweeps' results as one, for one figure and one table.

    A setting that only some of the sweeps have is empty in the runs of the others, and so is an
    observable. A run that stands in several sweeps stays a run of each.

    Args:
        sweeps: Results, or their folders; or a dictionary of them by name.
        names: What they are called in the column "sweep"; their own names by default, or the paths
            of their folders where those are alike.

    Raises:
        SpecError: If there are none, one is given twice, two have one name, or one has none.
        StoreError: If one is not a results folder.
    """
    if isinstance(sweeps, Mapping):
        sweeps, names = list(sweeps.values()), list(sweeps)
    if isinstance(sweeps, str | Path) or not isinstance(sweeps, Sequence) or not sweeps:
        raise SpecError(
            f"sweeps is {show(sweeps)}; it must be a list of results or folders, or a dictionary "
            "of them by name."
        )
    if len(sweeps) > _MOST:
        raise SpecError(f"{len(sweeps)} sweeps are given; {_MOST} at most.")
    if any(isinstance(each, Joined) for each in sweeps):
        raise SpecError("sweeps has results that are joined already; give the folders one by one.")
    parts = [each if isinstance(each, Results) else open_results(each) for each in sweeps]
    paths = [str(each.path) for each in parts]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise SpecError(f"{twice} is given twice; its runs would be counted twice.")
    called = _names_of(parts) if names is None else _own_names(names, len(parts))
    return Joined(dict(zip(called, parts, strict=True)))


def _own_names(names: Any, count: int) -> list[str]:
    """Return the names that were given, one a sweep; refuse what nobody could tell apart."""
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise SpecError(f"names is {show(names)}; it must be a list of {count} names.")
    called = [str(name) for name in names]
    if len(called) != count or len(set(called)) != count:
        raise SpecError(f"names is {show(called)}; give each of the {count} sweeps its own name.")
    for name in called:
        # Legends and tables have a name in one line.
        if not name.strip() or not name.isprintable():
            raise SpecError(f"names has {show(name)}; a name needs a letter, and has one line.")
    return called


def _names_of(parts: Sequence[Results]) -> list[str]:
    """Return the sweeps' names; where some are alike, the ends of their paths that differ."""
    names = [each.name for each in parts]
    paths = [PurePosixPath(str(each.path)).parts for each in parts]
    length = 1
    while len(set(names)) < len(names) and length <= max(map(len, paths)):
        names = ["/".join(each[-length:]) for each in paths]
        length += 1
    return names


class Joined(Drawing):
    """The results of several sweeps, as `dlnsweep.concat` joins them.

    Attributes:
        parts: The results of each, by name.
        path: Their folders, for sentences.
    """

    def __init__(self, parts: Mapping[str, Results]) -> None:
        self.parts = dict(parts)
        self.path = ", ".join(str(each.path) for each in parts.values())

    def __repr__(self) -> str:
        return f"Joined({list(self.parts)})"

    @property
    def name(self) -> str:
        """The names of the sweeps."""
        *most, last = self.parts
        return f"{', '.join(most)} and {last}" if most else last

    def report(self, path: str | Path | None = None) -> Path:  # noqa: ARG002 - as of one sweep
        """Raise: a page is of one sweep, whose settings, receipts and claims it has.

        Raises:
            SpecError: Always.
        """
        raise SpecError(
            f"a page is of one sweep, but {len(self.parts)} are given "
            f"({printable(self.name, 200)}); write one of each."
        )

    def __getattr__(self, name: str) -> Never:
        if hasattr(Results, name):
            own = f"`results.parts[{next(iter(self.parts))!r}].{name}`"
            raise AttributeError(f"'{name}' is of one sweep; take that of one of them: {own}.")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @cached_property
    def sweep(self) -> dict[str, Any]:
        """What the sweeps' `sweep.json` have in common: shared settings, sources, figures."""
        sweeps = [each.sweep for each in self.parts.values()]
        shared = [each["sweep"].get("shared", {}) for each in sweeps]
        alike = {
            key: value
            for key, value in shared[0].items()
            if all(key in other and other[key] == value for other in shared[1:])
        }
        # Where one ends runs early, a figure has to say so.
        stop = [each.get("training.stop_when") for each in shared]
        alike["training.stop_when"] = next((each for each in stop if each is not None), None)
        sources = dict.fromkeys(str(each.get("source") or "") for each in sweeps)
        return {
            "name": self.name,
            "source": "; ".join(filter(None, sources)),
            "observables": list(dict.fromkeys(n for each in sweeps for n in each["observables"])),
            "sweep": {"shared": alike, "figures": sweeps[0]["sweep"].get("figures", [])},
        }

    @property
    def settings(self) -> list[str]:
        """The dotted keys of all settings, "sweep" first."""
        return [
            SWEEP, *dict.fromkeys(key for each in self.parts.values() for key in each.settings)
        ]  # fmt: skip

    @cached_property
    def varying(self) -> list[str]:
        """The settings that differ between runs of any of the sweeps, without seed and sweep."""
        table: Any = self.runs(unused=True)
        keys = [key for key in self.settings if key not in ("seed", SWEEP)]
        return [key for key in keys if table[key].nunique(dropna=False) > 1]

    def runs(self, where: Mapping[str, Any] | None = None, *, unused: bool = False) -> pd.DataFrame:
        """Return one row a planned run, as `Results.runs` does, with the column "sweep" before.

        Args:
            where: A value, or several, for each setting by which to choose runs; "sweep" is one.
            unused: Whether to have also the settings that none of these runs uses.

        Raises:
            SpecError: If `where` names no setting.
            StoreError: If a file is damaged.
        """
        frames = [each.runs(unused=True).reset_index(drop=True) for each in self.parts.values()]
        table = together(list(self.parts), frames)
        check_where(self.path, where)
        for key, wanted in (where or {}).items():
            if key not in ("run_id", *self.settings):
                near = nearest_key(key, self.settings)
                hint = f"did you mean '{near}'?" if near else "`settings` lists them."
                raise SpecError(f"{self.path}: {show(key)} is no setting of these sweeps; {hint}")
            values = values_of(wanted)
            column = cast("pd.Series", table[key])
            some = [value for value in values if value is not None]
            chosen = column.isin(some) | (column.isna() & (None in values))
            table = table.loc[chosen.to_numpy(dtype=bool)]
        if not unused:
            blank = [n for n in self.settings if n in table and bool(table[n].isna().all())]
            table = table.drop(columns=blank)
        return table.reset_index(drop=True)

    def distinct_runs(self) -> pd.DataFrame:
        """Return `runs(unused=True)`, of what stands in several sweeps the first that is done."""
        table: Any = self.runs(unused=True)
        left = table.assign(left=table["status"] == "planned").sort_values("left", kind="stable")
        kept = left.drop_duplicates("run_id").index
        return table.loc[np.sort(kept.to_numpy())].reset_index(drop=True)

    def curves(
        self, observables: Sequence[str] | str | None = None, where: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return one row a run and recorded step, with the column "sweep" before.

        A run is told by "sweep" and "run_id": two sweeps may have runs in common.

        Args:
            observables: Names of what to read; all by default. What a sweep did not record is
                empty in its rows.
            where: A value, or several, for each setting (which all of the sweeps have) by which to
                choose runs.

        Raises:
            SpecError: If something is asked for by a name that there is not.
            StoreError: If a file is damaged, or the tables would not fit into memory.
        """
        asked = [observables] if isinstance(observables, str) else observables
        frames = [
            part.curves(
                None if asked is None else self._recorded(part, asked),
                where,
                ["seed", *(key for key in self.varying if key in part.settings)],
            )
            for part in self.parts.values()
        ]
        return together(list(self.parts), frames)

    def summary(
        self,
        by: str | Sequence[str],
        observable: str | Sequence[str] | None = None,
        at: str | int | Mapping[str, str] = "final",
    ) -> pd.DataFrame:
        """Return statistics over the runs of each group, as `Results.summary` does.

        Args:
            by: The settings whose values make the groups; "sweep" is one.
            observable: Names of numbers; all by default.
            at: Which record of each run; see `Results.summary`.

        Raises:
            SpecError: If a name is none of these sweeps', or runs would be counted twice.
            StoreError: If a file is damaged.
        """
        keys = [by] if isinstance(by, str) else list(dict.fromkeys(by))
        for key in keys:
            if key not in self.settings:
                near = nearest_key(key, self.settings)
                hint = f"did you mean '{near}'?" if near else "`settings` lists them."
                raise SpecError(f"{self.path}: {show(key)} is no setting of these sweeps; {hint}")
        if SWEEP not in keys and self.num_shared:
            raise SpecError(f"{self.path}: {self.twice()} give by = ['sweep', ...].")
        when = taken_at(self.path, at)
        numbered = Numbered(self)
        runs = numbered.runs()
        names = self._numbers(runs, observable)
        values: Any = runs[[*keys, "status"]].copy()
        if when == "final":
            for name in names:
                values[name] = floats(runs[FINAL + name])
        else:
            tables = numbered.curve_batches(needed(names, when))
            stopped = runs["run_id"].to_numpy()[(runs["status"] == "stopped").to_numpy(dtype=bool)]
            found = summaries.reduce_curves(tables, names, when, stopped)
            reduced = found.set_index("run_id")
            if isinstance(when, int) and reduced.empty:
                raise SpecError(f"{self.path}: at is {when}, but no run has a record at that step.")
            found = reduced.reindex(runs["run_id"].to_numpy())
            for name in names:
                values[name] = found[name].to_numpy()
        return summaries.statistics(values, keys, names)

    def _numbers(self, runs: pd.DataFrame, asked: str | Sequence[str] | None) -> list[str]:
        known = [name.removeprefix(FINAL) for name in runs if str(name).startswith(FINAL)]
        numbers = [name for name in known if pd.api.types.is_numeric_dtype(runs[FINAL + name])]
        wanted = numbers if asked is None else [asked] if isinstance(asked, str) else list(asked)
        for name in wanted:
            if name not in numbers:
                what = "a vector" if name in known else "no recorded observable"
                raise SpecError(
                    f"{self.path}: {show(name)} is {what}; numbers are {', '.join(numbers)}."
                )
        return wanted

    def _recorded(self, part: Results, asked: Sequence[str]) -> list[str]:
        everywhere = self.sweep["observables"]
        for name in asked:
            if name not in everywhere:
                near = nearest_key(name, everywhere)
                hint = f"did you mean '{near}'?" if near else f"there are {', '.join(everywhere)}."
                raise SpecError(f"{self.path}: {show(name)} is no recorded observable; {hint}")
        return [name for name in asked if name in part.sweep["observables"]]

    @cached_property
    def num_shared(self) -> int:
        """How many runs stand in more than one of the sweeps."""
        ids = [np.unique(each.store.known_run_ids()) for each in self.parts.values()]
        _, counts = np.unique(np.concatenate(ids), return_counts=True)
        return int((counts > 1).sum())

    def twice(self) -> str:
        """Return what is said where runs of several sweeps would be counted several times."""
        runs = f"{self.num_shared} run{'s' * (self.num_shared > 1)}"
        verb = "stand" if self.num_shared > 1 else "stands"
        return f"{runs} {verb} in more than one of the sweeps and would be counted twice;"


class Numbered:
    """Joined results with numbers for run ids, as runs of several sweeps may share theirs.

    What a figure reads; see `figures.statistics.Results`.
    """

    def __init__(self, joined: Joined) -> None:
        self.joined = joined
        self.name, self.sweep, self.path = joined.name, joined.sweep, joined.path

    def runs(self, *, unused: bool = True) -> pd.DataFrame:
        """Return one row a planned run."""
        table = self.joined.runs(unused=unused)
        return table.assign(run_id=np.arange(len(table)))

    def curve_batches(self, observables: Sequence[str]) -> Iterator[pa.Table]:
        """Yield the curves of one batch after another; a batch may lack observables."""
        first = 0
        for part in self.joined.parts.values():
            known = pd.Index(part.store.runs_table(["run_id"])["run_id"].to_numpy())
            names = [name for name in observables if name in part.sweep["observables"]]
            for table in part.curve_batches(names):
                number = first + known.get_indexer(pd.Index(table["run_id"].to_numpy()))
                place = table.schema.get_field_index("run_id")
                yield table.set_column(place, "run_id", pa.array(number, pa.int64()))
            first += len(known)


def together(names: Sequence[str], frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return frames below each other, empty where one lacks a column of another."""
    columns = list(dict.fromkeys(name for frame in frames for name in frame.columns))
    lengths = [len(frame) for frame in frames]
    made = {SWEEP: np.repeat(np.array(names, dtype=object), lengths)}
    for name in columns:
        made[name] = stacked([frame.get(name) for frame in frames], lengths)
    return pd.DataFrame(made)
