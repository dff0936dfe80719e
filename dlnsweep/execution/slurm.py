"""A job script for SLURM: the shards of a sweep as a job array, with no coordinator."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dlnsweep.errors import SpecError
from dlnsweep.spec.gallery import is_name

# So long before a job's end it is asked to stop; a segment takes about a second.
_WARNING_SECONDS = 120
_TIME = re.compile(r"\d{1,5}|\d{1,5}:\d\d(:\d\d)?|\d{1,3}-\d{1,2}(:\d\d){0,2}")
_MEMORY = re.compile(r"[1-9]\d{0,8}[KMGT]?")
_OPTION = re.compile(r"[a-z][a-z-]*(=[A-Za-z0-9_.,:@%+/\[\]-]+)?")
_OURS = (
    "array",
    "job-name",
    "signal",
    "time",
    "cpus-per-task",
    "ntasks",
    "nodes",
    "mem",
    "gpus-per-node",
)


@dataclass(frozen=True)
class Resources:
    """What each job of the array asks for.

    Attributes:
        time: The time limit, as sbatch takes it ("04:00:00", "2-00:00:00", minutes).
        cores: CPU cores; as many worker processes run.
        memory: Memory, as sbatch takes it ("4G").
        gpus: GPUs; where there are any, as many worker processes run.
        options: Further options of sbatch without their dashes ("partition=gpu", "exclusive").
    """

    time: str = "04:00:00"
    cores: int = 1
    memory: str = "4G"
    gpus: int = 0
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        problems = []
        if not _TIME.fullmatch(self.time):
            problems.append(
                f"--time is {self.time!r}; it must be a time as sbatch takes it, such as 04:00:00, "
                "2-00:00:00 or 90 (minutes)."
            )
        if not _MEMORY.fullmatch(self.memory):
            problems.append(
                f"--memory is {self.memory!r}; it must be a size as sbatch takes it, such as 4G."
            )
        for option in self.options:
            name = option.partition("=")[0]
            if not _OPTION.fullmatch(option):
                problems.append(
                    f"--sbatch is {option!r}; it must be the long name of an option of sbatch "
                    "without its dashes, with a value of letters, digits and _.,:@%+/[]- if it "
                    "takes one, such as partition=gpu."
                )
            elif name in _OURS:
                problems.append(f"--sbatch is {option!r}, but the script sets {name} itself.")
        if problems:
            raise SpecError(*problems)


def job_script(
    name: str,
    file: Path,
    shards: int,
    resources: Resources,
    out: str | Path,
    overrides: Sequence[str] = (),
    plugins: Sequence[Path] = (),
    *,
    by_rounds: bool = False,
) -> str:
    """Return a job script; `sbatch` submits it, and again after a failure.

    Args:
        name: The sweep's name; it has no characters that mean something to a shell.
        file: The sweep file.
        shards: Jobs of the array.
        resources: What each of them asks for.
        out: Where the results folder is made, on a file system that all nodes see.
        overrides: As for `dlnsweep run --set`.
        plugins: As for `dlnsweep run --plugin`.
        by_rounds: Whether the sweep has rounds, which the jobs go through together.
    """
    directives = [
        f"job-name={name}",
        f"array=1-{shards}",
        "nodes=1",
        "ntasks=1",
        f"cpus-per-task={resources.cores}",
        f"mem={resources.memory}",
        f"time={resources.time}",
        # To the script alone, which has become dlnsweep by then: it stops and keeps what is done.
        f"signal=B:TERM@{_WARNING_SECONDS}",
    ]
    if resources.gpus:
        directives.append(f"gpus-per-node={resources.gpus}")
    if not any(option.startswith("output=") for option in resources.options):
        directives.append("output=slurm-%x-%A_%a.out")
    if not any(option.startswith("open-mode=") for option in resources.options):
        # A job that is submitted or requeued again under its number shall not erase what it said.
        directives.append("open-mode=append")
    directives += resources.options
    path = str(file) if is_name(file) else str(file.absolute())
    fixed = [sys.executable, "-m", "dlnsweep", "run", path, "--out"]
    fixed += [out if isinstance(out, str) else str(out.absolute())]
    for override in overrides:
        fixed += ["--set", override]
    for plugin in plugins:
        fixed += ["--plugin", str(plugin.absolute())]
    fixed += ["--workers", str(resources.gpus or resources.cores)]
    command = f'{shlex.join(fixed)} --shard "$SLURM_ARRAY_TASK_ID/{shards}"'
    lines = "\n".join(f"#SBATCH --{directive}" for directive in directives)
    rounds = (
        "# A job whose share of a round is done waits while others are at work (--wait MINUTES);\n"
        "# what is left where they did not run together, the next submission computes.\n"
    )
    return (
        f"#!/bin/bash\n{lines}\n\n"
        f"# Job i computes share i of {shards} of the batches; the last to end draws the figures.\n"
        "# After a failure or a time limit submit again: what is done is not computed again.\n"
        f"{rounds if by_rounds else ''}"
        "set -euo pipefail\n"
        f"exec {command}\n"
    )
