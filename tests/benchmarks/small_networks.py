"""Small networks by vector instructions beside others: `python -m tests.benchmarks.small_networks`.

512 runs of gradient descent in float64, full batches: ours by `sweep.kernel = "simd"` (extra
`simd`) and by what they are trained with otherwise, in a process a core, as the engine's workers
are; and, as one would write them, JAX's `jit(vmap(scan))` and a PyTorch loop over steps with
autograd (extra `bench`), each over all runs at once with all cores. The same data and the same
initial weights; steps alone are timed, as the difference of two lengths. Before that the losses
after some steps are compared.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dlnsweep.numerics.runtime import usable_cores
from tests.benchmarks.network_peers import (
    RUNS,
    Case,
    Scan,
    TorchAtOnce,
    begun,
    chain,
    layers,
)
from tests.benchmarks.ours import plan_of
from tests.benchmarks.pinned import Pinned
from tests.benchmarks.tables import Table, machine, verdict
from tests.benchmarks.timing import in_turns, steps_for

_SHORT = 40
NAMES = ("simd", "otherwise", "by hand", "PyTorch")
# Seconds that the longer of the two lengths is to take.
_SECONDS = 0.3


def _linear(depth: int) -> Case:
    problem = {"kind": "subspace", "signal_dim": 5, "measurement_dim": 5, "subspace_dim": 1,
               "num_samples": 5}  # fmt: skip
    return Case(
        f"linear, depth {depth}, 5 x 5, n = 5",
        problem,
        {"kind": "deep_linear", "depth": depth, "width": 5},
        "dense",
        chain,
        layers([5] * (depth + 1), 5),
        15.0,
        "products too short for full blocks, each waiting for the last",
    )


def _mlp(name: str, inputs: int, width: int, samples: int) -> Case:
    problem = {"kind": "teacher", "signal_dim": 1, "measurement_dim": inputs,
               "num_samples": samples}  # fmt: skip
    return Case(
        f"{name}, d = {inputs}, k = {width}, n = {samples}",
        problem,
        {"kind": "mlp", "depth": 2, "width": width, "activation": name},
        "generic",
        chain,
        layers([inputs, width, 1], samples),
        3.0,
        "the adders" if name == "relu" else f"{width * samples} {name} a step",
        name,
    )


def _diagonal() -> Case:
    def predict(params: Any, inputs: Any, phi: Callable[[Any], Any]) -> Any:
        del phi
        return (params["u"] ** 2 - params["v"] ** 2) @ inputs

    problem = {"kind": "sparse_regression", "measurement_dim": 30, "num_samples": 20,
               "sparsity": 3}  # fmt: skip
    network = {"kind": "diagonal_linear", "layer_init_scale": 0.1}
    return Case(
        "diagonal, d = 30, n = 20",
        problem,
        network,
        "generic",
        predict,
        4 * 30 * 20,
        3.0,
        "reading the data twice a step, a number a multiply-add",
    )


def cases() -> list[Case]:
    """Return what is measured."""
    return [
        _linear(3),
        _linear(10),
        _mlp("relu", 5, 8, 10),
        _mlp("relu", 10, 16, 20),
        _mlp("tanh", 10, 16, 20),
        _diagonal(),
    ]


def _error(case: Case, peers: list[Any]) -> float:
    """Return the largest relative difference of the losses after some steps to a peer's."""
    from dlnsweep.engine.batch import train_batch

    plan = plan_of(case.document("simd", _SHORT, list(range(RUNS))))
    trained = train_batch(plan.settings, plan.shared, plan.program_widths[0])
    assert set(trained.kernel) == {"simd"}, trained.kernel_reason[0]
    found = trained.observables["loss"][:, -1]
    wanted = [peer.losses(_SHORT) for peer in peers]
    return max(float(np.max(np.abs(found - each) / each)) for each in wanted)


def measured(case: Case, processes: Pinned, rounds: int, seconds: float) -> tuple[Any, float]:
    """Return the seconds a run-step of each peer, and the error of ours."""
    scan = Scan(case, begun(case))
    cores = processes.cores
    shares = [list(range(i, RUNS, len(cores))) for i in range(len(cores))]

    def ours(kernel: str, steps: int) -> float:
        jobs = [{"document": case.document(kernel, steps, seeds)} for seeds in shares]
        return max(one["answer"]["training"] for one in processes.call("train", jobs))

    def a_run_step(take: Callable[[int], float], steps: int) -> float:
        return (take(_SHORT + steps) - take(_SHORT)) / steps / RUNS

    peers = {
        "simd": partial(ours, "simd"),
        "otherwise": partial(ours, case.otherwise),
        "by hand": scan.seconds,
    }
    others: list[Any] = [scan]
    if importlib.util.find_spec("torch") is not None:
        others.append(TorchAtOnce(case, scan.arrays))
        peers["PyTorch"] = others[-1].seconds
    timed = {
        name: partial(a_run_step, take, steps_for(take, seconds, _SHORT, 100))
        for name, take in peers.items()
    }
    return in_turns(timed, rounds), _error(case, others)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="for trying the script, not numbers")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--csv", type=Path, help="write the table to this file, too")
    arguments = parser.parse_args()
    rounds, seconds = (1, 0.05) if arguments.quick else (5, _SECONDS)
    where = machine()
    print(where, flush=True)
    cores = usable_cores()
    table = Table(
        f"small networks, float64, {RUNS} runs, {len(cores)} cores: microseconds a run-step",
        ["step", "simd", "otherwise", "by hand", "PyTorch", "otherwise / simd", "by hand / simd",
         "PyTorch / simd", "share of the peak", "error"],
    )  # fmt: skip
    with Pinned(cores) as processes:
        for case in cases():
            peak = sum(one["answer"] for one in processes.call("peak", [{} for _ in cores]))
            found, error = measured(case, processes, rounds, seconds)
            mine = found["simd"]
            table.add(
                case.name, *(1e6 * found.get(name, np.nan) for name in NAMES),
                *(found.get(name, np.nan) / mine for name in NAMES[1:]), case.flops / mine / peak,
                error,
            )  # fmt: skip
            ratio = verdict(found["by hand"] / mine, case.target)
            table.notes.append(f"{case.name}: by hand / simd {ratio}; limited by {case.limit}.")
            print(table.notes[-1], flush=True)
            if arguments.csv:
                table.write_csv(arguments.csv, where)
    print(table.markdown() if arguments.markdown else table.text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
