"""Processes pinned to one core each, as the engine's own workers are; they run named jobs.

`python -m tests.benchmarks.pinned CORE` reads {"job": ..., "arguments": {...}} lines and answers
each with a line. It is our way of execution without its start-up, so that peers can take turns.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dlnsweep.numerics.runtime import usable_cores


class Pinned:
    """One process a core; a context manager.

    Args:
        cores: The cores; all that this process may use by default.
        checkout: The folder of the code that is run: this one by default.
    """

    def __init__(self, cores: list[int] | None = None, checkout: Path | None = None) -> None:
        self.cores = usable_cores() if cores is None else cores
        command = [sys.executable, "-m", "tests.benchmarks.pinned"]
        environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
        if checkout is not None:
            environment["PYTHONPATH"] = str(checkout)
        self._processes = [
            subprocess.Popen(
                [*command, str(core)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                cwd=checkout,
                text=True,
            )
            for core in self.cores
        ]

    def call(self, job: str, arguments: list[dict[str, Any]]) -> list[Any]:
        """Run a job in all processes at once; return the results when all have ended."""
        for process, mine in zip(self._processes, arguments, strict=True):
            assert process.stdin is not None
            process.stdin.write(json.dumps({"job": job, "arguments": mine}) + "\n")
            process.stdin.flush()
        answers = []
        for process in self._processes:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"the pinned process ended during {job}")
            answers.append(json.loads(line))
        return answers

    def __enter__(self) -> Pinned:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()


def main() -> int:
    """Serve jobs until the standard input ends."""
    if hasattr(os, "sched_setaffinity"):
        # Before JAX starts: XLA makes as many threads as it finds cores.
        os.sched_setaffinity(0, {int(sys.argv[1])})
    output = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    from tests.benchmarks import jobs

    for line in sys.stdin:
        request = json.loads(line)
        job: Callable[..., Any] = getattr(jobs, request["job"])
        began = time.perf_counter()
        answer = job(**request["arguments"])
        output.write(json.dumps({"seconds": time.perf_counter() - began, "answer": answer}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
