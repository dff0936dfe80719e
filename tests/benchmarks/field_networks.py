"""Networks of the field beside what they are trained with elsewhere.

`python -m tests.benchmarks.field_networks`: five networks at sizes that papers on training dynamics
use, gradient descent with full batches. Ours is the fastest of the ways that `sweep.kernel` has for
the network, each in a process a core, as the engine's workers are; the peers are in
`network_peers.py` (PyTorch by the extra `bench`, on one thread, which is its best at these sizes).
The same data and the same initial weights; steps alone are timed, as the difference of two lengths,
in turns. Before that the losses after some steps are compared.

Other programs on the machine must not decide: time is not that of the clock but that on a core. Of
ours it is the longer of the processes', each of which has a core; of a peer it is its busiest
thread's, which is the least that it could take by the clock. So by the clock, on cores that do
nothing else, no ratio is smaller. `--clock` is for such a machine: all by the clock, where a peer
waits for its threads, too.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from dlnsweep.numerics.runtime import usable_cores
from tests.benchmarks.network_peers import (
    Case,
    Scan,
    TorchAtOnce,
    TorchLoop,
    begun,
    chain,
    layers,
)
from tests.benchmarks.ours import plan_of
from tests.benchmarks.pinned import Pinned
from tests.benchmarks.tables import Table, machine, verdict
from tests.benchmarks.timing import busiest, in_turns, steps_for, timed

_SHORT = 20
_SECONDS = 0.3
# Peers, and beside which of them a floor is set.
PEERS = ("jit(vmap(scan))", "jit(lax.map(scan))", "torch.func", "PyTorch loop")
# Runs of the loop in PyTorch, which takes as long for each.
_LOOPED = 2


def _mlp(
    activation: str, depth: int, inputs: int, width: int, samples: int, runs: int,
    precision: str, floors: tuple[float, float],
) -> tuple[Case, tuple[str, ...], float]:  # fmt: skip
    words = {2: "two-layer", 3: "three-layer"}[depth]
    problem = {"kind": "teacher", "signal_dim": 1, "measurement_dim": inputs,
               "num_samples": samples}  # fmt: skip
    case = Case(
        f"{words} {activation}, d = {inputs}, k = {width}, n = {samples}, {precision}, {runs} runs",
        problem,
        {"kind": "mlp", "depth": depth, "width": width, "activation": activation},
        "generic",
        chain,
        layers([inputs, *[width] * (depth - 1), 1], samples),
        floors[0],
        activation=activation,
        runs=runs,
        precision=precision,
    )
    return case, ("simd", "simd_samples", "generic"), floors[1]


def cases() -> list[tuple[Case, tuple[str, ...], float]]:
    """Return what is measured: a network, our ways, and the floor beside the loop in PyTorch.

    A case's own target is the floor beside `jit(vmap(scan))`.
    """
    none = 0.0
    problem = {"kind": "subspace", "signal_dim": 5, "measurement_dim": 5, "subspace_dim": 5,
               "num_samples": 50}  # fmt: skip
    linear = Case(
        "deep linear, depth 10, 5 x 5, n = 50, float64, 64 runs",
        problem,
        {"kind": "deep_linear", "depth": 10, "width": 5},
        "dense",
        chain,
        layers([5] * 11, 50),
        5.0,
        runs=64,
    )
    return [
        _mlp("tanh", 2, 10, 16, 20, 256, "float64", (3.0, 40.0)),
        _mlp("tanh", 2, 20, 64, 200, 32, "float64", (2.0, 4.0)),
        _mlp("relu", 3, 20, 64, 200, 32, "float64", (2.0, none)),
        _mlp("relu", 2, 100, 50, 1000, 16, "float32", (1.8, none)),
        (linear, ("simd", "dense"), none),
    ]


def _losses(case: Case, kernel: str) -> np.ndarray:
    """Return the loss of each run after `_SHORT` steps, by one of our ways."""
    from dlnsweep.engine.batch import train_batch

    plan = plan_of(case.document(kernel, _SHORT, list(range(case.runs))))
    trained = train_batch(plan.settings, plan.shared, plan.program_widths[0])
    return trained.observables["loss"][:, -1]


def _timed(train: Callable[[int], object], clock: bool) -> Callable[[int], float]:
    """Return how long a peer takes for some steps."""
    of = timed if clock else busiest
    return lambda steps: of(partial(train, steps))


def measured(
    case: Case,
    ways: tuple[str, ...],
    processes: Pinned,
    rounds: int,
    seconds: float,
    clock: bool = False,
) -> tuple[dict[str, float], float]:
    """Return the seconds a run-step of each way and peer, and the largest error of ours."""
    arrays = begun(case)
    cores = processes.cores
    shares = [list(range(i, case.runs, len(cores))) for i in range(len(cores))]

    def ours(kernel: str, steps: int) -> float:
        jobs = [{"document": case.document(kernel, steps, seeds)} for seeds in shares]
        time = "training" if clock else "core"
        return max(one["answer"][time] for one in processes.call("train", jobs))

    peers: dict[str, tuple[Callable[[int], float], int]] = {
        way: (partial(ours, way), case.runs) for way in ways
    }
    scans = {over: Scan(case, arrays, over) for over in ("vmap", "map")}
    peers[PEERS[0]] = (_timed(scans["vmap"].losses, clock), case.runs)
    peers[PEERS[1]] = (_timed(scans["map"].losses, clock), case.runs)
    wanted = [scans["vmap"].losses(_SHORT)]
    if importlib.util.find_spec("torch") is not None:
        import torch

        torch.set_num_threads(1)
        together, loop = TorchAtOnce(case, arrays), TorchLoop(case, arrays)
        wanted.append(together.losses(_SHORT))

        peers[PEERS[2]] = (_timed(together.losses, clock), case.runs)
        peers[PEERS[3]] = (_timed(partial(loop.losses, runs=_LOOPED), clock), _LOOPED)

    def a_run_step(take: Callable[[int], float], runs: int, steps: int) -> float:
        return (take(_SHORT + steps) - take(_SHORT)) / steps / runs

    turns = {
        name: partial(a_run_step, take, runs, steps_for(take, seconds, _SHORT))
        for name, (take, runs) in peers.items()
    }
    found = [_losses(case, way) for way in ways]
    error = max(float(np.max(np.abs(one - each) / each)) for one in found for each in wanted)
    return in_turns(turns, rounds), error


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="for trying the script, not numbers")
    parser.add_argument(
        "--clock", action="store_true", help="by the clock, if nothing else runs on this machine"
    )
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--csv", type=Path, help="write the table to this file, too")
    arguments = parser.parse_args()
    rounds, seconds = (1, 0.05) if arguments.quick else (5, _SECONDS)
    where = machine()
    print(where, flush=True)
    cores = usable_cores()
    by = "by the clock" if arguments.clock else "on a core"
    table = Table(
        f"networks of the field, {len(cores)} cores: microseconds a run-step, {by}",
        ["step", "way", "ours", *PEERS, *(f"{peer} / ours" for peer in PEERS), "Gflop/s", "error"],
    )
    with Pinned(cores) as processes:
        for case, ways, floor in cases():
            found, error = measured(case, ways, processes, rounds, seconds, arguments.clock)
            way = min(ways, key=lambda name: found[name])
            mine = found[way]
            table.add(
                case.name, way, 1e6 * mine, *(1e6 * found.get(peer, np.nan) for peer in PEERS),
                *(found.get(peer, np.nan) / mine for peer in PEERS), case.flops / mine / 1e9, error,
            )  # fmt: skip
            ratios = [f"{PEERS[0]} / ours {verdict(found[PEERS[0]] / mine, case.target)}"]
            if floor and PEERS[3] in found:
                ratios.append(f"{PEERS[3]} / ours {verdict(found[PEERS[3]] / mine, floor)}")
            table.notes.append(f"{case.name}: {'; '.join(ratios)}.")
            print(table.notes[-1], {k: f"{1e6 * v:.4g}" for k, v in found.items()}, flush=True)
            if arguments.csv:
                table.write_csv(arguments.csv, where)
    print(table.markdown() if arguments.markdown else table.text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
