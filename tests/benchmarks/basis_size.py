"""Error against basis size: `python -m tests.benchmarks.basis_size [--figure FILE] [DEPTH...]`.

Networks as in the prototype's tables (d=64, m=32, s=4, n=1000, d_w=400, kappa=3, lambda=2e-2), and
Figure 2's sizes (d=256, m=128, d_w=512). For several truncations of the pilot's spaces: the
sizes, the arithmetic of a step, the rehearsal's estimate, and the largest relative error of both
errors beside the dense kernel in float64.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dlnsweep.engine import batch, calls
from dlnsweep.engine.programs import PROGRAMS
from dlnsweep.networks.layered.kind import dense_flops
from dlnsweep.numerics.runtime import numerics
from dlnsweep.reduced.pilot import Pace, Pilot
from dlnsweep.reduced.prepare import Thresholds
from dlnsweep.reduced.reduction import Reduction
from tests.benchmarks.ours import plan_of, sweep_document
from tests.benchmarks.tables import Table, machine

_THRESHOLDS = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6, 1e-7)
# depth: learning rate, steps; as in the prototype's tables.
_RUNS = {2: (0.02, 5000), 3: (0.02, 5000), 4: (0.02, 2000), 5: (0.01, 3000), 6: (0.01, 2000)}


def _document(depth: int) -> dict[str, Any]:
    rate, steps = _RUNS[depth]
    document = sweep_document(depth=depth, width=400, steps=steps, precision="float64", count=40)
    document["problem"]["condition_number"] = 3.0
    document["training"] |= {"learning_rate": rate, "weight_decay": 2e-2}
    return document


def _figure_2(subspace_dim: int) -> dict[str, Any]:
    document = sweep_document(
        depth=3, width=512, steps=10_000, precision="float64", count=40,
        signal_dim=256, measurement_dim=128, subspace_dim=subspace_dim,
    )  # fmt: skip
    document["training"] |= {"learning_rate": 0.1, "weight_decay": 1e-3}
    return document


def measure(document: dict[str, Any], thresholds: tuple[float, ...]) -> list[dict[str, Any]]:
    """Return a row for each threshold: sizes, flops, estimate, error."""
    plan = plan_of(document)
    row = plan.row(0) | plan.shared
    width = row["network.width"]
    one = {key: column[:1] for key, column in plan.settings.items()}
    dense = batch.train_batch(one, plan.shared, width)
    rows = []
    with numerics():
        draw = PROGRAMS.draw(row, width)
        lane = draw.lane(row)
        network = lane.prepared.reduction.pilot.network
        pilot = Pilot(network, row["training.num_steps"], Pace(1e-9, 100, 0.1, 0.03))
        reduction = Reduction(pilot)
        seen = set()
        for threshold in thresholds:
            pair = Thresholds(threshold, threshold / 4)
            sizes = reduction.sizes_for(pair.forward, pair.backward)
            if sizes in seen:
                continue
            seen.add(sizes)
            estimate = reduction.rehearse(sizes)
            prepared = replace(lane.prepared, reduction=reduction, sizes=sizes, refusal="")
            chosen = [replace(lane, prepared=prepared)]
            program = PROGRAMS.reduced(row, draw, chosen)
            watch = batch.Watch(lambda _: None, lambda: False)
            outcome = [("reduced", "", estimate)]
            part = calls.train_pieces(
                program, row, lambda piece, p=program, c=chosen: p.start(c), outcome, watch
            )
            error = max(
                float(np.max(np.abs(part.observables[n] / dense.observables[n] - 1)))
                for n in dense.observables
            )
            rows.append(
                {"sizes": sizes, "estimate": estimate, "error": error,
                 "flops": sizes.step_flops(draw.drawing.rank),
                 "dense": dense_flops(draw.drawing.dims, draw.drawing.rank)}
            )  # fmt: skip
    return rows


def draw_figure(found: dict[int, list[dict[str, Any]]], path: Path) -> None:
    """Draw error against the mean size of a basis, and against the arithmetic of a step."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(6.9, 2.9), sharey=True, constrained_layout=True)
    colours = plt.get_cmap("viridis")(np.linspace(0.05, 0.85, len(found)))
    for colour, (depth, rows) in zip(colours, found.items(), strict=True):
        mean = [np.mean([*r["sizes"].forward, *r["sizes"].backward]) for r in rows]
        share = [r["flops"] / r["dense"] for r in rows]
        for ax, x in zip(axes, (mean, share), strict=True):
            ax.plot(x, [r["error"] for r in rows], "o-", color=colour, markersize=3,
                    linewidth=1.1, label=f"L = {depth}")  # fmt: skip
            ax.plot(x, [r["estimate"] for r in rows], color=colour, linewidth=0.8,
                    linestyle=(0, (4, 1.6)))  # fmt: skip
    axes[0].plot([], [], color="0.2", linewidth=0.8, linestyle=(0, (4, 1.6)), label="estimate")
    axes[0].set_xlabel("basis vectors of a layer, mean (of 400)", fontsize=9)
    axes[1].set_xlabel("arithmetic of a step, dense kernel = 1", fontsize=9)
    axes[0].set_ylabel("largest relative error", fontsize=9)
    axes[0].set_yscale("log")
    axes[1].set_xscale("log")
    axes[0].legend(frameon=False, fontsize=7)
    for ax in axes:
        ax.grid(alpha=0.25, linewidth=0.5)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=200)


def main() -> int:
    """Print the tables, and draw the figure if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("depths", nargs="*", type=int, default=list(_RUNS))
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--figure-2", action="store_true", help="Figure 2's sizes instead")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--csv", type=Path, help="also write the table into this file")
    arguments = parser.parse_args()
    where = machine()
    print(where, flush=True)
    table = Table(
        "Basis sizes, arithmetic of a step and errors",
        ["network", "forward", "backward", "kflop a step", "dense / reduced", "estimate", "error"],
    )
    cases: dict[Any, dict[str, Any]] = {d: _document(d) for d in arguments.depths}
    if arguments.figure_2:
        cases = {f"Figure 2, s={s}": _figure_2(s) for s in (2, 4)}
    found = {}
    for name, document in cases.items():
        found[name] = measure(document, _THRESHOLDS)
        for r in found[name]:
            table.add(
                f"L={name}" if isinstance(name, int) else name, str(r["sizes"].forward),
                str(r["sizes"].backward), r["flops"] / 1e3, r["dense"] / r["flops"],
                f"{r['estimate']:.1e}", f"{r['error']:.1e}",
            )  # fmt: skip
    print(table.markdown() if arguments.markdown else table.text())
    if arguments.csv:
        table.write_csv(arguments.csv, where)
    if arguments.figure:
        draw_figure(found, arguments.figure)
    return 0


if __name__ == "__main__":
    sys.exit(main())
