"""Committee machines on the expected loss: `python -m tests.benchmarks.population [--csv FILE]`.

ReLU, K = 6 and M = 3, decay, float64, one run on one core, this package's program beside the same
loss of W (K, d) and V (M, d) by hand-written jit(value_and_grad) in all d dimensions, in turns; and
a step of this package's own one program at d = 10^12 beside one at d = 10^2.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.tables import Table, machine, verdict
from tests.benchmarks.timing import in_turns

K, M, RATE, DECAY = 6, 3, 0.02, 1e-3
_LARGE = 10**12


def document(size: float, steps: int) -> dict[str, Any]:
    """Return a sweep of one run that records its two ends."""
    return {
        "name": "population",
        "problem": {"kind": "population", "input_dim": size, "num_teacher_neurons": M},
        "network": {"kind": "committee", "width": K, "activation": "relu"},
        "training": {"learning_rate": RATE, "weight_decay": DECAY, "num_steps": steps},
        "record": {"observables": ["loss", "student_overlaps"], "spacing": "linear", "count": 2},
        "sweep": {"seeds": 1, "precision": "float64"},
    }


def ours(size: float, steps: int) -> Callable[[], Any]:
    """Return what trains a run of so many steps."""
    from dlnsweep.engine.batch import train_batch
    from dlnsweep.plan.plan import make_plan
    from dlnsweep.spec.sweep import Sweep

    plan = make_plan(Sweep.from_dict(document(size, steps)))
    return lambda: train_batch(plan.settings, plan.shared, plan.program_widths[0])


def a_step(size: float, steps: int) -> Callable[[], float]:
    """Return a function that returns the seconds of a step, by two lengths of a run."""
    short, long = ours(size, steps), ours(size, 5 * steps)

    def seconds() -> float:
        began = time.perf_counter()
        short()
        middle = time.perf_counter()
        long()
        return (time.perf_counter() - middle - (middle - began)) / (4 * steps)

    return seconds


def in_all_dimensions(size: int, steps: int) -> tuple[Callable[[], float], Callable[[Any], Any]]:
    """Return that of the hand-written program, and what trains given weights by it."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    teacher = jnp.eye(M, size)

    def loss(w: Any) -> Any:
        both = jnp.concatenate([w, teacher])
        signs = jnp.concatenate([jnp.ones(K), -jnp.ones(M)])
        q = both @ both.T
        norms = jnp.sqrt(jnp.diagonal(q))
        # Only pairs of different vectors have an angle; of one with itself it is |v|^2 / 2.
        same = jnp.eye(K + M, dtype=bool)
        cosine = jnp.where(same, 0.0, jnp.clip(q / jnp.outer(norms, norms), -1, 1))
        angle = jnp.arccos(cosine)
        value = jnp.outer(norms, norms) * (jnp.sin(angle) + (jnp.pi - angle) * cosine)
        value = jnp.where(same, q / 2, value / (2 * jnp.pi))
        return 0.5 * signs @ value @ signs + 0.5 * DECAY * jnp.sum(w**2)

    @jax.jit
    def train(w: Any, count: Any) -> Any:
        return jax.lax.fori_loop(0, count, lambda _, w: w - RATE * jax.grad(loss)(w), w)

    given = jnp.asarray(np.random.default_rng(0).standard_normal((K, size)) / size**0.5)

    def seconds() -> float:
        began = time.perf_counter()
        train(given, steps).block_until_ready()
        middle = time.perf_counter()
        train(given, 5 * steps).block_until_ready()
        return (time.perf_counter() - middle - (middle - began)) / (4 * steps)

    return seconds, lambda w: train(w, steps)


def deviation(size: int, steps: int) -> float:
    """Return how far the two programs' inner products are apart at the end, from one start."""
    import jax.numpy as jnp
    import numpy as np

    from dlnsweep.contracts.drawing import drawing_of
    from dlnsweep.numerics.runtime import numerics
    from dlnsweep.plan.plan import make_plan
    from dlnsweep.spec.sweep import Sweep

    plan = make_plan(Sweep.from_dict(document(size, steps)))
    row = plan.row(0)
    drawing: Any = drawing_of(row, K)
    with numerics():
        numbers = {k: jnp.asarray(row[k]) for k in drawing.example_arguments()}
        start = np.asarray(drawing.draw(numbers).params.neurons)
        basis = np.zeros((K + M, size))
        basis[:M] = np.eye(M, size)
        rest = np.random.default_rng(1).standard_normal((size - M, K))
        basis[M:, M:] = np.linalg.qr(rest)[0].T
        end = np.asarray(in_all_dimensions(size, steps)[1](jnp.asarray(start @ basis)))
    found: Any = ours(size, steps)()
    return float(np.abs(found.observables["student_overlaps"][0, -1] - (end @ end.T).ravel()).max())


def main() -> int:
    """Print the table."""
    from dlnsweep.numerics.runtime import numerics

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="for trying the script, not numbers")
    parser.add_argument("--csv", type=Path, help="write the table to this file, too")
    arguments = parser.parse_args()
    where = machine()
    print(where, flush=True)
    rounds, steps = (1, 200) if arguments.quick else (5, 20_000)
    table = Table(
        "Committee machines on the expected loss: microseconds a step of one run, medians of turns",
        ["d", "by hand in d dimensions", "ours", "ratio", "largest deviation of w_k.w_l"],
    )
    with numerics():
        for size in (100, 10_000, 100_000):
            few = max(20, steps * 100 // size) if size > 100 else steps
            by_hand, _ = in_all_dimensions(size, few)
            found = in_turns({"hand": by_hand, "ours": a_step(size, steps)}, rounds)
            apart = deviation(size, 200)
            table.add(
                size, 1e6 * found["hand"], 1e6 * found["ours"], found["hand"] / found["ours"], apart
            )
            print(table.text(), flush=True)
    found = in_turns({"small": a_step(100, steps), "large": a_step(_LARGE, steps)}, 3 * rounds)
    ratio = found["large"] / found["small"]
    table.notes.append(
        f"a step at d = 10^12 over one at d = 10^2: {ratio:.3f} (at most 1.2 was asked for)"
    )
    table.notes.append(f"d = 100 000: {verdict(float(table.rows[-1][3]), 100)}")
    print(table.text())
    if arguments.csv:
        table.write_csv(arguments.csv, where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
