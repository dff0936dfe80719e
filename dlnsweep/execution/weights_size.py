"""What keeping the weights of a sweep takes, and whether that is too much."""

from __future__ import annotations

import contextlib
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dlnsweep.contracts.schedule import weight_steps
from dlnsweep.errors import SpecError
from dlnsweep.plan.plan import Plan
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.settings.sections import RecordSettings
from dlnsweep.settings.sentences import shorten

# A file is made in memory, and results are copied and verified as a whole.
MOST_BYTES_A_RUN = 4 * 10**9
MOST_BYTES = 1000 * 10**9
# Files are not to fill a disk to its end.
_DISK_SHARE = 0.9


@dataclass(frozen=True)
class WeightsSize:
    """What keeping the weights of a sweep takes.

    Attributes:
        total_bytes: Bytes of all runs.
        run_bytes: Those of the largest run.
        row: Its settings.
    """

    total_bytes: int
    run_bytes: int
    row: RunSettings

    def why_not(self, root: Any = None) -> str:
        """Return a sentence if they are more than may be kept, or than a disk has; else nothing.

        Args:
            root: The results folder or its address; None where only the bounds are asked.
        """
        asked = f"record.weights keeps {_bytes(self.total_bytes)} of weights"
        advice = "keep fewer steps, take fewer or smaller runs, or leave record.weights out"
        if self.run_bytes > MOST_BYTES_A_RUN:
            return (
                f"record.weights keeps {_bytes(self.run_bytes)} of weights of one run; at most "
                f"{_bytes(MOST_BYTES_A_RUN)} are allowed: {advice}."
            )
        if self.total_bytes > MOST_BYTES:
            return f"{asked}; at most {_bytes(MOST_BYTES)} are allowed: {advice}."
        if isinstance(root, Path):
            place = next(path for path in (root, *root.absolute().parents) if path.exists())
            # What an earlier process has kept of them stands there already.
            free = int(_DISK_SHARE * shutil.disk_usage(place).free) + _kept_bytes(root)
            if self.total_bytes > free:
                return (
                    f"{root}: {asked}, and its disk has room for {_bytes(free)}; give a folder on "
                    f"another one with --out DIR, or {advice}."
                )
        return ""


def _kept_bytes(root: Path) -> int:
    # `dlnsweep check` needs no store.
    from dlnsweep.store.layout import WEIGHTS

    total = 0
    for path in (root / WEIGHTS).glob("*.npz"):
        # Another process may tidy up meanwhile; what is no file of ours, as a link, has no room.
        with contextlib.suppress(OSError):
            found = path.lstat()
            total += found.st_size if stat.S_ISREG(found.st_mode) else 0
    return total


def weights_size(plan: Plan) -> WeightsSize | None:
    """Return what keeping a sweep's weights takes; None where none are kept. Starts JAX."""
    asked = plan.shared.get("record.weights")
    if not asked:
        return None
    total = largest = 0
    row = RunSettings({})
    alike, first, counts = np.unique(
        np.stack([plan.programs, plan.settings["training.num_steps"]]),
        axis=1,
        return_index=True,
        return_counts=True,
    )
    sizes = {int(p): _run_bytes(plan, int(i)) for (p, _), i in zip(alike.T, first, strict=True)}
    for (program, num_steps), index, count in zip(alike.T, first, counts, strict=True):
        own = plan.row(int(index))
        record = own.section("record", RecordSettings)
        found = sizes[int(program)] * len(weight_steps(record, int(num_steps)))
        total += found * int(count)
        if found > largest:
            largest, row = found, own
    return WeightsSize(total, largest, row)


def told_weights(plan: Plan, size: WeightsSize) -> str:
    """Return what the weights take, as text: of a sweep with rounds what later ones may add."""
    first, options = _bytes(size.total_bytes), plan.sweep.options
    if options.until is not None:
        # Every combination begins with as many seeds, and a seed more takes what the others do.
        most = size.total_bytes * options.until.most_seeds // len(plan.sweep.seeds)
        return f"{first} in the first round, at most {_bytes(most)} in all, uncompressed"
    if options.refine is not None:
        more = size.run_bytes * options.refine.points * len(plan.sweep.seeds)
        return (
            f"{first} in the first round, uncompressed; each later one adds at most {_bytes(more)} "
            "a boundary"
        )
    return f"{first} beside the curves, uncompressed"


def check_weights(plan: Plan, root: Any = None) -> WeightsSize | None:
    """Return what `weights_size` does.

    Raises:
        SpecError: If they are more than may be kept.
    """
    size = weights_size(plan)
    if size is not None and (reason := size.why_not(root)):
        raise SpecError(reason)
    return size


def _run_bytes(plan: Plan, index: int) -> int:
    """Return the bytes of what is kept of a run at one step, at most: of its padded arrays."""
    from dlnsweep.contracts.drawing import drawing_of
    from dlnsweep.numerics.lanes import Layout
    from dlnsweep.numerics.lazy import jax
    from dlnsweep.numerics.runtime import numerics

    row = plan.row(index)
    drawing = drawing_of(row, int(plan.program_widths[plan.programs[index]]))
    item = 8 if row["sweep.precision"] == "float64" else 4
    arguments = {k: np.asarray(v) for k, v in drawing.example_arguments().items()}

    def made(given: Any) -> Any:
        kernel = drawing.kernel(Layout(1))
        shared = drawing.shared(given)
        inputs, carry = drawing.start(kernel, given, lambda array: array, shared)
        kept = kernel.weights(drawing.joined(inputs, shared), carry)
        # Beside the final weights stands what a run that goes on needs: the optimizer's state.
        return (kept, carry) if row["record.weights"] == "final" else kept

    with numerics():
        shapes = jax.eval_shape(made, arguments)
    return sum(
        int(np.prod(leaf.shape)) * (item if leaf.dtype.kind == "f" else leaf.dtype.itemsize)
        for leaf in jax.tree.leaves(shapes)
    )


def _bytes(count: int) -> str:
    return f"{shorten(count)}B"
