"""Whether a sweep's runs fit into this machine's memory, and what would fit. No JAX."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlnsweep.contracts.network import network_of
from dlnsweep.errors import SpecError
from dlnsweep.machine.memory import WORKER_BYTES, said, total_memory
from dlnsweep.plan.cost import cost_of
from dlnsweep.plan.plan import Plan
from dlnsweep.settings.run_settings import RunSettings


@dataclass(frozen=True)
class Need:
    """What the largest runs of a sweep take.

    Attributes:
        call_bytes: The least that a worker needs for one of them.
        row: The settings of one of them.
        width: The width of its arrays.
    """

    call_bytes: int
    row: RunSettings
    width: int

    def check(self) -> None:
        """Refuse what cannot fit.

        Raises:
            SpecError: If it does not.
        """
        if reason := self.why_not():
            raise SpecError(f"not enough memory: {reason}")

    def why_not(self) -> str:
        """Return a sentence if it cannot fit into this machine; else an empty text."""
        room = total_memory() - WORKER_BYTES
        if self.call_bytes <= room:
            return ""
        row = self.row
        kind = f"depth {row['network.depth']}, " if row.get("network.depth") else ""
        fits = [text for text, other in self._others() if self._bytes(other) <= room]
        widest = self._widest(room)
        if widest:
            fits.append(f"network.width up to {widest}")
        advice = f"; what fits: {', or '.join(fits)}" if fits else ""
        return (
            f"a run takes about {said(self.call_bytes)} of memory ({kind}width {self.width}, "
            f"{row['sweep.precision']}), and this machine has {said(total_memory())}, of which "
            f"Python and JAX take {said(WORKER_BYTES)}{advice}, or a machine with more."
        )

    def _bytes(self, changes: Mapping[str, Any], width: int | None = None) -> int:
        return cost_of(self.row | changes, width or self.width).call_bytes

    def _others(self) -> list[tuple[str, dict[str, Any]]]:
        found = []
        if self.row["sweep.precision"] == "float64":
            found.append(('sweep.precision = "float32"', {"sweep.precision": "float32"}))
        # As far as the settings tell; `check` says what else the law asks for.
        descent = self.row["training.optimizer"] in ("gradient_descent", "momentum", "nesterov")
        gaussian = self.row.get("network.initializer") == "fan_in_normal"
        if network_of(self.row).reducible and descent and gaussian:
            law = {"network.initial_weights": "law", "sweep.kernel": "auto"}
            found.append(('network.initial_weights = "law" (by the reduced kernel)', law))
        return found

    def _widest(self, room: int) -> int:
        """Return the largest width that fits, to two digits; 0 if the width does not matter."""
        if self.row.get("network.width") is None or self._bytes({}, 1) > room:
            return 0
        low, high = 1, self.width
        while high - low > max(1, low // 50):
            middle = (low + high) // 2
            low, high = (middle, high) if self._bytes({}, middle) <= room else (low, middle)
        scale = 10 ** max(0, len(str(low)) - 2)
        return low // scale * scale


def rows_of(plan: Plan, run_ids: np.ndarray) -> np.ndarray:
    """Return the rows of a plan's run table that have some ids; it may have fewer of them."""
    order = np.argsort(plan.run_ids)
    places = np.searchsorted(plan.run_ids, run_ids, sorter=order)
    rows = order[np.minimum(places, len(order) - 1)]
    return rows[plan.run_ids[rows] == run_ids]


def need_of(plan: Plan, rows: np.ndarray | None = None) -> Need:
    """Return what the largest runs of a plan take.

    Args:
        plan: The plan.
        rows: Rows of its run table; all by default, or where there are none.
    """
    rows = None if rows is None or not len(rows) else rows
    programs = plan.programs if rows is None else plan.programs[rows]
    _, first = np.unique(programs, return_index=True)
    found = []
    for place in first:
        index = int(place if rows is None else rows[place])
        found.append((plan.cost(index).call_bytes, index))
    most, index = max(found)
    return Need(most, plan.row(index), int(plan.program_widths[plan.programs[index]]))
