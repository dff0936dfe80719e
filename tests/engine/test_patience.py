"""training.stop_when.patience: runs end where an observable has not improved for some records."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from batch_samples import plan_of, train_rows
from test_checkpoint import assert_same, in_pieces

from dlnsweep.engine import descent

# The regression error falls and rises again: decay moves what is large at the start last.
CASE: dict[str, Any] = {
    "training": {"learning_rate": [0.02, 0.05, 1e60], "weight_decay": [0.05, 0.3],
                 "num_steps": 400},
    "record": {"spacing": "linear", "count": 41},
}  # fmt: skip


def ends(values: np.ndarray, patience: int, threshold: float, sign: float) -> int | None:
    """Return the first record at which nothing has improved for so many; written out."""
    best, waited = None, 0
    for place, value in enumerate(sign * values):
        if best is None or value < best - threshold * abs(best):
            best, waited = value, 0
        else:
            waited += 1
        if waited == patience:
            return place
    return None


def of_kernel(kernel: str, **condition: Any) -> Any:
    training = CASE["training"] | ({"stop_when": condition} if condition else {})
    network = {"depth": 2, "width": 60} if kernel == "reduced" else {"depth": 2, "width": 6}
    if kernel == "jumps":
        training = training | {"learning_rate": [0.02, 0.05]}
    return plan_of(
        network=network, training=training, record=CASE["record"], sweep={"kernel": kernel}
    )


CONDITIONS = [
    {"observable": "regression_error", "patience": 3},
    {"observable": "regression_error", "patience": 2, "threshold": 0.05},
    {"observable": "off_subspace_error", "patience": 4, "direction": "maximise"},
    {"observable": "regression_error", "patience": 6, "below": 0.5},
]


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda c: " ".join(map(str, c.values())))
@pytest.mark.parametrize("kernel", ["dense", "generic", "simd", "jumps", "reduced"])
def test_a_run_ends_where_nothing_has_improved(kernel: str, condition: dict[str, Any]):
    if kernel == "simd":
        pytest.importorskip("llvmlite", reason="needs the extra simd")
    free, found = train_rows(of_kernel(kernel)), train_rows(of_kernel(kernel, **condition))
    sign = -1.0 if "direction" in condition else 1.0
    stopped = 0
    for run, count in enumerate(free.num_rows):
        values = free.observables[condition["observable"]][run, :count]
        last = ends(values, condition["patience"], condition.get("threshold", 0.0), sign)
        under = np.flatnonzero(values < condition.get("below", -np.inf))
        last = min((place for place in (last, *under[:1]) if place is not None), default=None)
        if last is None:
            assert found.status[run] == free.status[run]
            assert found.num_rows[run] == count
        else:
            stopped += 1
            assert found.status[run] == "stopped"
            assert found.stopped_step[run] == free.steps[last]
            assert found.num_rows[run] == last + 1
    assert 0 < stopped <= len(free.status)


def test_a_run_waits_on_after_it_was_cut(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(descent, "_FIRST_SEGMENT_STEPS", 20)
    monkeypatch.setattr(descent, "_SEGMENT_SECONDS", 1e-12)
    plan = of_kernel("dense", **CONDITIONS[1])
    whole = train_rows(plan)
    found, kept, _ = in_pieces(plan)
    assert_same(found, whole)
    assert len(kept) > 3
    assert "stopped" in whole.status
