"""Benchmarks of the engine beside its peers: `python -m tests.benchmarks.engine [NAME...]`.

Needs the extra `bench` (PyTorch). Peers do the same work in turns, so that noise meets all alike;
the tables show medians. `--quick` is for trying the scripts, not for numbers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.runtime import numerics, usable_cores
from dlnsweep.plan.cost import cost_of
from tests.benchmarks.ours import LEARNING_RATE, WEIGHT_DECAY, SweepRow, sweep_document
from tests.benchmarks.peers import JaxScan, TorchLoop
from tests.benchmarks.pinned import Pinned
from tests.benchmarks.tables import Table, machine, verdict
from tests.benchmarks.timing import in_turns, timed
from tests.benchmarks.whole_sweeps import first_step, scaling, tiny_runs

_NUMBERS = (LEARNING_RATE, WEIGHT_DECAY)


def one_run(quick: bool) -> Table:
    """One run at the paper's sizes, beside a PyTorch loop and a JAX scan."""
    return _one_runs([("float32", 3)], quick)


def more_runs(quick: bool) -> Table:
    """The same at other depths and in float64."""
    cases = [("float32", 2), ("float32", 4), ("float64", 3), ("float64", 2), ("float64", 4)]
    return _one_runs(cases[:1] if quick else cases, quick)


def _one_runs(cases: list[tuple[str, int]], quick: bool) -> Table:
    table = Table(
        "One run, d=64, m=32, s=4, n=1000, d_w=1000: microseconds a step",
        ["precision", "L", "ours, 1 core", "ours", "JAX scan, 4 samples", "PyTorch, 4 samples",
         "PyTorch, n=1000", "PyTorch n=1000 / ours", "scan / ours", "MB a step",
         "memory limit, 1 core", "limit / ours, 1 core"],
    )  # fmt: skip
    for precision, depth in cases:
        _one_run(table, precision, depth, quick)
    table.notes.append(
        "Memory limit: every matrix is read twice a step (forward, backward), and read and written "
        "once for all steps whose updates are delayed together, at the speeds of NumPy's "
        "matrix-vector product and of scaling in place, on one core."
    )
    return table


def _one_run(table: Table, precision: str, depth: int, quick: bool) -> None:
    scan_steps, torch_steps, rounds = (16, 2, 2) if quick else (64, 6, 9)
    document = sweep_document(depth=depth, width=1000, steps=10**6, precision=precision)
    ours = SweepRow(document)
    signals, measurements = ours.samples()
    reduced = np.asarray(ours.data.range_basis * ours.data.inputs)
    targets = np.asarray(ours.data.targets)
    scan = JaxScan(ours.weights, targets, reduced, *_NUMBERS, steps=scan_steps)
    loop = TorchLoop(ours.weights, signals, measurements, *_NUMBERS)
    small = TorchLoop(ours.weights, targets, reduced, *_NUMBERS)
    _check_same_work(ours, scan, loop, small, scan_steps)
    steps = 2 * scan_steps
    with Pinned(usable_cores()[:1]) as core:
        size = {"size": 1000, "precision": precision}
        read, update = core.call("bandwidths", [size])[0]["answer"]
        pinned = [{"document": document, "steps": steps}]
        found = in_turns(
            {
                "core": lambda: core.call("step_row", pinned)[0]["answer"],
                "ours": lambda: timed(lambda: ours.advance(steps)) / steps,
                "scan": lambda: timed(scan.advance) / scan_steps,
                "small": lambda: timed(lambda: small.advance(steps)) / steps,
                "torch": lambda: timed(lambda: loop.advance(torch_steps)) / torch_steps,
            },
            rounds,
        )
    delay = ours.program.grain
    state = cost_of(ours.row, 1000).state_bytes
    limit = 2 * state / read + 2 * state / delay / update
    slower, scan_slower = found["torch"] / found["ours"], found["scan"] / found["ours"]
    table.add(
        precision, depth, *(1e6 * found[k] for k in ("core", "ours", "scan", "small", "torch")),
        slower, scan_slower, state * (2 + 2 / delay) / 1e6, 1e6 * limit, limit / found["core"],
    )  # fmt: skip
    if (precision, depth) == ("float32", 3):
        table.notes.append(
            f"float32, L=3: PyTorch / ours {verdict(slower, 35)}; "
            f"scan / ours {verdict(scan_slower, 1)}; updates delayed by {delay} steps; "
            f"{read / 1e9:.0f} GB/s read, {update / 1e9:.0f} GB/s in place on one core."
        )


def _check_same_work(
    ours: SweepRow, scan: JaxScan, loop: TorchLoop, small_loop: TorchLoop, steps: int
) -> None:
    """Train all for the same steps and compare their squared errors."""
    ours.advance(steps)
    scan.advance()
    loop.advance(steps)
    small_loop.advance(steps)
    errors = np.array([ours.error(), scan.error(), loop.error(), small_loop.error()])
    if np.ptp(errors) > 1e-2 * errors[0]:
        raise AssertionError(f"the peers did other work: squared errors {errors}")


def sixteen_runs(quick: bool) -> Table:
    """16 runs on all cores, beside one `jit(vmap(scan))` over all of them."""
    runs, depth = 16, 3
    steps, vmap_steps, rounds = (64, 4, 1) if quick else (1000, 40, 5)
    cores = usable_cores()
    table = Table(
        f"{runs} runs, d=64, m=32, s=4, d_w=1000, L=3, float32, {len(cores)} cores",
        ["way", "microseconds a run-step", "ours is faster by"],
    )
    shares = np.array_split(np.arange(runs), len(cores))
    jobs = [
        {
            "document": sweep_document(
                depth=depth, width=1000, steps=steps, seeds=[int(s) for s in share]
            )
        }
        for share in shares
    ]
    rows = [
        SweepRow(sweep_document(depth=depth, width=1000, steps=steps, seeds=[seed]))
        for seed in range(runs)
    ]
    weights = tuple(jnp.stack(layer) for layer in zip(*(r.weights for r in rows), strict=True))
    signals = jnp.stack([r.data.targets for r in rows])
    measurements = jnp.stack([r.data.range_basis * r.data.inputs for r in rows])
    del rows
    peers = {
        over: JaxScan(weights, signals, measurements, *_NUMBERS, steps=vmap_steps, over=over)
        for over in ("vmap", "map")
    }
    with Pinned() as processes:

        def ours() -> float:
            # The whole of `train_batch`: drawing data and weights and recording included.
            answers = processes.call("train", jobs)
            return max(a["answer"]["training"] for a in answers) / (runs * steps)

        found = in_turns(
            {
                "ours": ours,
                **{
                    over: lambda peer=peer: timed(peer.advance) / (runs * vmap_steps)
                    for over, peer in peers.items()
                },
            },
            rounds,
        )
    table.add("ours: one process a core", 1e6 * found["ours"], 1.0)
    names = {"vmap": "jit(vmap(scan)), 4 samples", "map": "jit(lax.map(scan)), 4 samples"}
    for over, name in names.items():
        table.add(name, 1e6 * found[over], found[over] / found["ours"])
    table.notes.append(f"vmap / ours {verdict(found['vmap'] / found['ours'], 1.3)}.")
    return table


def matrix_completion(quick: bool) -> Table:
    """Three-layer products of 100 x 100 matrices, 12 runs, beside plain `vmap`."""
    from tests.benchmarks.ours import matrix_products

    size, depth, runs = 100, 3, 12
    steps, rounds = (100, 1) if quick else (2000, 7)
    cores = usable_cores()
    table = Table(
        f"{runs} runs of {depth}-layer products of {size}x{size} matrices, Y = I, float32, "
        f"{len(cores)} cores",
        ["way", "microseconds a run-step", "ours is faster by", "Gflop/s"],
    )
    weights, target, _ = matrix_products(size, depth, runs)
    shares = [len(a) for a in np.array_split(np.arange(runs), len(cores))]
    jobs = [{"size": size, "depth": depth, "lanes": n, "steps": steps} for n in shares]
    peers = {
        over: JaxScan(weights, target, None, *_NUMBERS, steps=steps, over=over)
        for over in ("vmap", "map")
    }
    with Pinned() as processes:

        def ours() -> float:
            answers = processes.call("products", jobs)
            return max(a["seconds"] for a in answers) / (runs * steps)

        found = in_turns(
            {
                "ours": ours,
                **{
                    over: lambda peer=peer: timed(peer.advance) / (runs * steps)
                    for over, peer in peers.items()
                },
            },
            rounds,
        )
    # Forward 2, backward 1, and a gradient each of three layers: six products.
    flops = 6 * 2 * size**3
    names = {"ours": "ours: one process a core", "vmap": "jit(vmap(scan))", "map": "jit(lax.map)"}
    for key, name in names.items():
        table.add(name, 1e6 * found[key], found[key] / found["ours"], flops / found[key] / 1e9)
    table.notes.append(f"vmap / ours {verdict(found['vmap'] / found['ours'], 1.2)}.")
    return table


def recording(quick: bool) -> Table:
    """What 200 log-spaced records and writing them add to a run."""
    steps = 2000 if quick else 20_000
    table = Table(
        f"Recording 200 log-spaced rows and writing Parquet: {steps} steps, d_w=200, L=3, one core",
        ["precision", "2 rows, nothing written (s)", "2 rows, written (s)",
         "200 rows, written (s)", "added"],
    )  # fmt: skip
    for precision in ("float32",) if quick else ("float32", "float64"):
        _recording(table, precision, steps, rounds=1 if quick else 15)
    return table


def _recording(table: Table, precision: str, steps: int, rounds: int) -> None:
    few, many = (
        {"document": sweep_document(depth=3, width=200, steps=steps, precision=precision, count=n)}
        for n in (2, 200)
    )
    with Pinned(usable_cores()[:1]) as core:
        found = in_turns(
            {
                "train": lambda: core.call("train", [few])[0]["answer"]["training"],
                "few": lambda: core.call("execute", [few])[0]["answer"],
                "many": lambda: core.call("execute", [many])[0]["answer"],
            },
            rounds,
        )
    added = found["many"] / found["train"] - 1
    missed = ", MISSED" if added > 0.05 else ""
    table.add(
        precision, found["train"], found["few"], found["many"],
        f"{100 * added:.1f} % (target 5 %{missed})",
    )  # fmt: skip


BENCHMARKS: dict[str, Callable[[bool], Table]] = {
    "one_run": one_run,
    "more_runs": more_runs,
    "sixteen_runs": sixteen_runs,
    "matrix_completion": matrix_completion,
    "recording": recording,
    "tiny_runs": tiny_runs,
    "scaling": scaling,
    "first_step": first_step,
}


def main() -> int:
    """Run the named benchmarks, all by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="short, to try the scripts")
    parser.add_argument("--markdown", action="store_true", help="tables for a guide")
    parser.add_argument("--csv", type=Path, metavar="DIR", help="also write each table there")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; known are {', '.join(BENCHMARKS)}")
    print(machine(), flush=True)
    for name in arguments.names or BENCHMARKS:
        with numerics():
            table = BENCHMARKS[name](arguments.quick)
        print("\n" + (table.markdown() if arguments.markdown else table.text()), flush=True)
        if arguments.csv is not None:
            table.write_csv(arguments.csv / f"{name}.csv", machine())
        jax.clear_caches()
    return 0


if __name__ == "__main__":
    sys.exit(main())
