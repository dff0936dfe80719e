"""The results folders that a page shows, and what its form offers for each."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dlnsweep.contracts.figure import default_kind
from dlnsweep.errors import DlnsweepError, StoreError
from dlnsweep.figures.folder import stored_figures
from dlnsweep.figures.statistics import levels, setting_columns
from dlnsweep.settings.sentences import printable
from dlnsweep.store import Store
from dlnsweep.view.held import Columns, HeldResults

# A list of choices that is longer than this nobody looks through.
MOST_VALUES = 200


@dataclass(frozen=True)
class Offer:
    """What a form can offer.

    Attributes:
        settings: Settings with several values, and those values.
        observables: Recorded observables.
        steps: Recorded steps.
    """

    settings: dict[str, list[Any]] = field(default_factory=dict)
    observables: list[str] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)

    def joined(self, other: Offer) -> Offer:
        """Return what one or the other offers."""
        settings = dict(self.settings)
        for name, values in other.settings.items():
            known = settings.get(name, [])
            settings[name] = [*known, *(value for value in values if value not in known)]
        observables = list(dict.fromkeys([*self.observables, *other.observables]))
        return Offer(settings, observables, sorted({*self.steps, *other.steps}))


class Sweep:
    """One results folder.

    Args:
        path: The folder, or its address.
        columns: Where columns are held.
    """

    def __init__(self, path: str, columns: Columns) -> None:
        self.path = path
        self._columns = columns
        self._results = HeldResults(Store.open(path), columns)
        self._seen = self._results.mark()
        self._run_ids = self._results.store.known_run_ids()
        # What happened to the folder since the page was opened, as a clause; empty for nothing.
        self.replaced = ""

    @property
    def name(self) -> str:
        """The sweep's name, as plain text."""
        return printable(self._results.name, 80)

    @property
    def results(self) -> HeldResults:
        """The results; opened again where the sweep was enlarged, or another has its place."""
        mark = self._results.mark()
        if mark[:-1] != self._seen[:-1]:
            # Its batches have the numbers of those before, and other runs.
            self._columns.forget(str(self._results.path))
            self._results = HeldResults(Store.open(self.path), self._columns)
            self._run_ids, before = self._results.store.known_run_ids(), self._run_ids
            if not np.isin(before, self._run_ids).all():
                self.replaced = "another sweep than the page began with is in its folder now"
        if not self._seen[-1] <= mark[-1] and not self.replaced:
            self.replaced = "batches that were done were taken away"
        self._seen = mark
        return self._results

    def offer(self) -> Offer:
        """Return what the form can offer for it.

        Raises:
            StoreError: A file is damaged.
        """
        results = self.results
        runs = results.runs(unused=True)
        known = list(results._recorded.types) or list(results.sweep.get("observables", []))
        steps: list[int] = []
        for table in results.curve_batches([]):
            steps = np.unique(table["step"].to_numpy()).tolist()
            break
        if len(steps) > MOST_VALUES:
            places = np.unique(np.linspace(0, len(steps) - 1, MOST_VALUES).round().astype(int))
            steps = [steps[place] for place in places]
        return Offer(_varying(runs), [str(name) for name in known], steps)

    def figure(self) -> dict[str, Any]:
        """Return the table of the first figure that the sweep's file asks for; else of one."""
        try:
            stored = stored_figures(self._results)
        except DlnsweepError:
            stored = []
        if stored:
            return stored[0].model_dump(mode="json", exclude_defaults=True) | {
                "kind": stored[0].kind
            }
        offer = self.offer()
        table: dict[str, Any] = {"kind": default_kind(), "y": offer.observables[:1]}
        hues = [name for name in offer.settings if name != "seed"]
        return {**table, "hue": hues[0]} if hues else table

    def progress(self) -> str:
        """Return how far the sweep is, as a sentence."""
        status = self.results.runs(unused=True)["status"].to_numpy(dtype=object)
        left = int((status == "planned").sum())
        parts = [f"{len(status) - left} of {len(status)} runs done"]
        for word, told in (("diverged", "diverged"), ("stopped", "stopped early")):
            if number := int((status == word).sum()):
                parts.append(f"{number} {told}")
        return ", ".join([*parts, *filter(None, [self.replaced])])


class Sweeps:
    """All folders of a page; one request at a time looks into them.

    Args:
        paths: The folders.

    Raises:
        StoreError: If one is no results folder.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        columns = Columns()
        self.all = [Sweep(path, columns) for path in dict.fromkeys(paths)]
        self.lock = threading.RLock()

    def mark(self) -> str:
        """Return what changes whenever a folder has something new."""
        marks = []
        with self.lock:
            for sweep in self.all:
                try:
                    *rest, done = sweep.results.mark()
                    marks.append([*rest, len(done)])
                except DlnsweepError as error:
                    marks.append([str(error)])
        return repr(marks)

    def offer(self, chosen: Sequence[int]) -> Offer:
        """Return what the form can offer for some of them; damaged ones offer nothing."""
        found = Offer()
        for number in chosen:
            try:
                found = found.joined(self.all[number].offer())
            except DlnsweepError:
                continue
        return found

    def labels(self) -> list[str]:
        """Return what each is called: its name, and its folder where names are the same."""
        names = [sweep.name for sweep in self.all]
        return [
            name if names.count(name) == 1 else f"{name} ({printable(_folder(sweep.path), 60)})"
            for name, sweep in zip(names, self.all, strict=True)
        ]


def folders(paths: Sequence[str]) -> list[str]:
    """Return the results folders that are meant: those given, or those inside one that is none.

    Raises:
        StoreError: If there is none.
    """
    found: list[str] = []
    for path in paths:
        place = Path(path).expanduser()
        if "://" in path or Store.exists(path) or not place.is_dir():
            found.append(path)
            continue
        try:
            inside = sorted(each for each in place.iterdir() if each.is_dir())
        except OSError as error:
            raise StoreError(
                f"{printable(path)}: cannot be read ({error.strerror}); give a results folder."
            ) from error
        sweeps = [str(each) for each in inside if not each.is_symlink() and Store.exists(each)]
        if not sweeps:
            raise StoreError(
                f"{printable(path)}: is no results folder, and none lies in it; give the folder "
                "that `dlnsweep run` made (results/<name>)."
            )
        found += sweeps
    return found


def _folder(path: str) -> str:
    return path.rstrip("/").rpartition("/")[0] or path


def _varying(runs: pd.DataFrame) -> dict[str, list[Any]]:
    found = {}
    for name in setting_columns(runs):
        values = [value for value in levels(runs, name) if value is not None]
        if len(values) > 1:
            found[name] = values[:MOST_VALUES]
    return found
