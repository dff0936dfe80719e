"""One run of a sweep: its settings, how it ended, its curves, and a figure of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from dlnsweep.errors import SpecError
from dlnsweep.results.drawing import Drawing
from dlnsweep.results.recorded import listed
from dlnsweep.settings.html_card import html_card

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_DRAWN = 6
_ENDED = ("status", "diverged_step", "last_step", "kernel", "kernel_reason", "truncation_error")


class Run:
    """One run; `Results.run` gives it.

    Attributes:
        run_id: Its id.
        settings: The settings that it uses, by their dotted keys, and its seed.
        status: "finished", "diverged", "stopped", or "planned" while its batch is not done.
        diverged_step: The step at which it diverged; None if it did not.
        last_step: Its last step; None while it is not done.
        kernel: The way in which it was trained.
        final: The observables after the last step, by their names.
    """

    def __init__(self, alone: Any, row: Mapping[Any, Any], varying: Sequence[str]) -> None:
        known = {str(key): _plain(value) for key, value in row.items()}
        self._alone, self._varying = alone, varying
        self.run_id = int(known["run_id"])
        self.settings = {k: v for k, v in known.items() if k == "seed" or "." in k}
        self.status, self.diverged_step, self.last_step, self.kernel = (
            known.get(name) for name in _ENDED[:4]
        )
        self.final = {
            name.removeprefix("final_"): value
            for name, value in known.items()
            if name.startswith("final_")
        }

    def __repr__(self) -> str:
        return f"Run({self.run_id}, {self._ended})"

    @property
    def _ended(self) -> str:
        at = f" at step {self.diverged_step}" if self.status == "diverged" else ""
        return f"{self.status}{at}"

    def _repr_html_(self) -> str:
        rows = [("status", self._ended)]
        rows += [(key, str(self.settings.get(key))) for key in (*self._varying, "seed")]
        rows += [(n, f"{v:.4g}") for n, v in self.final.items() if isinstance(v, float)]
        return html_card(f"run {self.run_id}", self._alone.name, rows)

    @cached_property
    def curves(self) -> pd.DataFrame:
        """One row a recorded step: step and the observables; none while it is not done."""
        return self._alone.curves(settings=[]).drop(columns="run_id")

    def plot(self, y: str | Sequence[str] | None = None, **keys: Any) -> Figure:
        """Return a figure of its curves, which a notebook shows where it is a cell's last value.

        Args:
            y: The observables; the first six that are numbers by default.
            **keys: Other keys of a figure of kind "curves", such as y_scale or x_scale.

        Raises:
            SpecError: If a key is wrong, or the run is not done or has no such curve.
        """
        if self.status == "planned":
            raise SpecError(
                f"{self._alone.path}: run {self.run_id} is not done yet; run the sweep again to go "
                "on."
            )
        if y is None:
            numbers = self.curves.select_dtypes("number").columns
            y = [name for name in numbers if name != "step"][:_MOST_DRAWN]
        chosen = listed(y, "y")
        given: dict[str, Any] = {"title": f"run {self.run_id}, {self._ended}", "band": "none"}
        if self.status == "diverged":
            # Below figures of many runs stands how many diverged and are left out.
            given["footer"] = False
        return _Drawn(self._alone).figure(kind="curves", y=chosen, **{**given, **keys})


class _Drawn(Drawing):
    """One run's results as figures read them: where it alone is drawn, it is drawn diverged too."""

    def __init__(self, alone: Any) -> None:
        self._alone = alone

    def __getattr__(self, name: str) -> Any:
        return getattr(self._alone, name)

    def runs(self, *, unused: bool = False) -> pd.DataFrame:
        """Return its row as that of a run that was stopped."""
        found = self._alone.runs(unused=unused)
        return found.assign(status=found["status"].replace("diverged", "stopped"))


def _plain(value: Any) -> Any:
    """Return a cell of a table as Python has it; None where it is empty."""
    if isinstance(value, str) or hasattr(value, "__len__"):
        return value
    if value is None or value is pd.NA or value != value:
        return None
    return value.item() if hasattr(value, "item") else value
