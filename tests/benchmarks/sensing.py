"""Matrix sensing at full size beside PyTorch: `python -m tests.benchmarks.sensing`.

100 x 100 matrices, depth 3, float32, plain gradient descent, four initial scales of one seed a
core. Ours is `train_batch` in a process a core, the difference of two lengths, so that drawing is
told apart; once with the runs of a seed in one batch, where they share the operator, and once with
a batch for each. The peer is an ordinary PyTorch loop, run by run, on all cores. Needs the extra
`bench`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from dlnsweep.networks.matrix.kind import chain_flops
from dlnsweep.numerics.runtime import numerics, usable_cores
from tests.benchmarks.pinned import Pinned
from tests.benchmarks.tables import Table, machine
from tests.benchmarks.timing import in_turns, timed

_SIZE, _DEPTH, _RATE = 100, 3, 1e-3
_SCALES = (1e-1, 3e-2, 1e-2, 3e-3)
_SHORT = 20


def document(count: int, steps: int, seed: int, scales: tuple[float, ...]) -> dict[str, Any]:
    """Return a sweep of some runs of one seed."""
    return {
        "name": "sensing",
        "problem": {
            "kind": "matrix_sensing", "num_rows": _SIZE, "num_columns": _SIZE, "rank": 5,
            "num_measurements": count,
        },
        "network": {"depth": _DEPTH, "width": _SIZE, "product_init_scale": list(scales)},
        "training": {"learning_rate": _RATE, "num_steps": steps},
        "record": {"count": 2, "observables": ["train_error"]},
        "sweep": {"seeds": [seed], "precision": "float32"},
    }  # fmt: skip


class TorchLoop:
    """An ordinary PyTorch loop on a run's own operator, values and initial weights."""

    def __init__(self, count: int, seed: int, scale: float) -> None:
        import torch

        from dlnsweep.networks.matrix.draw import MatrixDrawing
        from tests.benchmarks.ours import plan_of

        plan = plan_of(document(count, 1, seed, (scale,)))
        with numerics():
            drawing = MatrixDrawing.from_row(plan.row(0) | plan.shared, _SIZE)
            arguments = {key: plan.settings[key][0] for key in drawing.example_arguments()}
            _, fit, weights = drawing.draw(arguments)
        self.operator, self.values, *layers = (
            torch.tensor(np.asarray(array, np.float32))
            for array in (fit.observed.operator, fit.observed.values, *weights)
        )
        self.layers = [torch.nn.Parameter(layer) for layer in layers]
        self.optimizer = torch.optim.SGD(self.layers, lr=_RATE)

    def loss(self) -> Any:
        """Return the train error."""
        product = self.layers[0]
        for layer in self.layers[1:]:
            product = layer @ product
        return ((self.operator @ product.flatten() - self.values) ** 2).mean()

    def advance(self, steps: int) -> None:
        """Train for some steps."""
        for _ in range(steps):
            self.optimizer.zero_grad()
            self.loss().backward()
            self.optimizer.step()


def measure(table: Table, count: int, quick: bool) -> None:
    """Add the rows of a number of measurements."""
    steps, rounds = (10, 1) if quick else (60, 5)
    cores = usable_cores()
    seeds = range(len(cores))
    work = len(cores) * len(_SCALES) * steps
    loops = [TorchLoop(count, 0, scale) for scale in _SCALES]
    with Pinned(cores) as processes:

        def train(length: int, scales: tuple[float, ...]) -> float:
            jobs = [{"document": document(count, length, seed, scales)} for seed in seeds]
            return max(one["answer"]["training"] for one in processes.call("train", jobs))

        def longer(scales: tuple[float, ...]) -> float:
            return train(_SHORT + steps, scales) - train(_SHORT, scales)

        def loop() -> float:
            per_step = sum(timed(lambda one=one: one.advance(3)) for one in loops) / 3
            return per_step / len(_SCALES)

        found = in_turns(
            {
                "ours, four runs a batch": lambda: longer(_SCALES) / work,
                "ours, a batch for each": lambda: longer(_SCALES[:1]) / len(cores) / steps,
                "PyTorch loop": loop,
            },
            rounds,
        )
    ours = found["ours, four runs a batch"]
    for name, seconds in found.items():
        flops = 4 * count * _SIZE**2 + chain_flops((_SIZE,) * (_DEPTH + 1))
        table.add(count, name, 1e3 * seconds, flops / seconds / 1e9, seconds / ours)


def check(count: int) -> float:
    """Return the largest relative difference of the train errors of both after 20 steps."""
    from dlnsweep.engine.batch import train_batch
    from tests.benchmarks.ours import plan_of

    plan = plan_of(document(count, 20, 0, _SCALES))
    ours = train_batch(plan.settings, plan.shared, _SIZE).observables["train_error"][:, -1]
    errors = []
    for scale, own in zip(_SCALES, ours, strict=True):
        loop = TorchLoop(count, 0, scale)
        loop.advance(20)
        errors.append(abs(float(loop.loss().detach()) / float(own) - 1))
    return max(errors)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="for trying the script, not numbers")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--csv", type=Path, help="write the table to this file, too")
    arguments = parser.parse_args()
    where = machine()
    print(where, flush=True)
    table = Table(
        f"Matrix sensing, {_SIZE} x {_SIZE}, depth {_DEPTH}, float32, {len(usable_cores())} cores: "
        "milliseconds a run-step",
        ["measurements", "who", "ms a run-step", "Gflop/s", "beside ours"],
    )
    for count in (2000, 5000):
        measure(table, count, arguments.quick)
    table.notes.append(
        f"The same work: after 20 steps the train errors differ by {check(2000):.0e} at most."
    )
    print(table.markdown() if arguments.markdown else table.text())
    if arguments.csv:
        table.write_csv(arguments.csv, where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
