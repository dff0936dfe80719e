"""What a long run is made of: `python -m tests.benchmarks.limit_counts FILE FOLDER SETTINGS...`.

The run is made in this process again and again, as in a session, and a line of JSON says of each
part its least processor seconds and its counts: gradients of reduced chains, floating-point
operations, bytes of the matrices that are read and written, jumps. With `--count` the run is made
once, and what programs do within themselves is counted: stages of jumps, rows of extrapolations,
products of conjugate gradients. That makes programs slower, so nothing is timed by it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.hooks import Hooks, wrap

CHECKPOINTS, PILOT, REHEARSED, TRAINED = (
    "checkpoints of the pilot", "steps of the pilot", "rehearsals", "steps, jumps, records"
)  # fmt: skip
_PARTS = {
    CHECKPOINTS: ["reduced.bases:Bases.visit"],
    PILOT: ["reduced.pilot:Pilot._advance"],
    REHEARSED: [f"reduced.reduction:Reduction.{name}"
                for name in ("__init__", "rehearse", "rehearse_later")],
    TRAINED: ["engine.calls:_train_lanes"],
}  # fmt: skip
_BYTES = 8

Counts = dict[str, dict[str, float]]


def bytes_of_step(forward: int, backward: int, corrections: int) -> int:
    """Return what a step of a chain reads and writes, by the entries of A_j, of N_j and of D_j.

    M_j is made of A_j and D_j and is read; so is N_j; D_j is changed (`compact_descent.py`).
    """
    return _BYTES * (3 * forward + 3 * backward + 4 * corrections)


class Counted:
    """Counts of the parts of a run, since they were last cleared."""

    def __init__(self) -> None:
        self.hooks = Hooks(_PARTS)
        self.found: Counts = defaultdict(lambda: defaultdict(float))
        wrap("reduced.chain:Chain.advance", self._advance)
        wrap("reduced.bases:Bases.visit", self._visit)
        wrap("reduced.program:ReducedProgram.told", self._told)
        wrap("engine.jumps:JumpProgram.told", self._walked)

    def _advance(self, function: Any) -> Any:
        def call(chain: Any, steps: float, stages: int, times: int = 1) -> Any:
            own = self.found[self.hooks.inside[-1] if self.hooks.inside else "elsewhere"]
            count = times * max(stages, 1)
            sizes = [sum(m.size for m in each) for each in (
                chain.forward, chain.backward, chain.corrections)]  # fmt: skip
            own["gradients"] += count
            own["flops"] += count * chain.flops
            own["bytes"] += count * bytes_of_step(*sizes)
            return function(chain, steps, stages, times)

        return call

    def _visit(self, function: Any) -> Any:
        def call(bases: Any, *arguments: Any) -> Any:
            before = bases.streams
            made = function(bases, *arguments)
            own, rank = self.found[CHECKPOINTS], len(bases.chain.descent.inputs)
            # Bases of either kind are read where own coordinates are made and where new ones are.
            kinds = bases.forward, bases.backward, bases.forward, bases.backward
            kinds += bases.images, bases.preimages
            read = sum(rows.rows.size for kind in kinds for rows in kind)
            own["gradients"] += 1
            own["streams"] += bases.streams - before
            largest = max(weight.size for weight in bases.weights)
            own["flops"] += 2 * rank * read
            own["bytes"] += _BYTES * (read + (bases.streams - before) * largest)
            return made

        return call

    def _told(self, function: Any) -> Any:
        def call(program: Any, carry: Any, trained: Any) -> Any:
            own, runs = self.found[TRAINED], len(trained.num_rows)
            corrections = [np.asarray(d)[0] for d in carry.state.corrections]
            sizes, rank = program.sizes, corrections[0].shape[1]
            inner = (rank, *sizes.forward)
            above = (*sizes.forward, sizes.backward[-1])
            forward = sum(a * b for a, b in zip(above, inner, strict=True))
            pairs = zip(sizes.backward[1:], sizes.backward, strict=False)
            backward = sum(a * b for a, b in pairs)
            ends = trained.steps[np.maximum(trained.num_rows - 1, 0)]
            steps, jumps = float(np.sum(ends)), 0.0
            if program.kernel.jumps:
                counts = np.asarray(carry.state.counts)[:runs]
                steps, jumps = steps - float(counts[:, 0].sum()), float(counts[:, 1].sum())
            entries = sum(d.size for d in corrections)
            own["steps"] += steps
            own["jumps"] += jumps
            own["records"] += float(np.sum(trained.num_rows))
            own["trials"] += runs
            # M_j and N_j in one product each, and the update. A stage keeps four matrices like
            # D_j, and reads two more. Batches differ in their sizes.
            flops = 2 * rank * (forward + backward + entries)
            own["flops of steps"] += steps * flops
            own["flops of jumps, a stage"] += jumps * flops
            own["bytes of steps"] += steps * bytes_of_step(forward, backward, entries)
            own["bytes of jumps, a stage"] += jumps * _BYTES * (forward + backward + 8 * entries)
            return function(program, carry, trained)

        return call

    def _walked(self, function: Any) -> Any:
        def call(program: Any, carry: Any, trained: Any) -> Any:
            own, walks = self.found[TRAINED], carry.state.walks
            for name in ("steps", "jumps", "trials"):
                own[f"{name} of walks"] += float(np.asarray(getattr(walks, name)).sum())
            own["walks"] += np.asarray(walks.steps).size
            own["parameters"] = sum(np.asarray(leaf)[0].size for leaf in _leaves(carry))
            return function(program, carry, trained)

        return call


def _leaves(carry: Any) -> list[Any]:
    import jax

    return jax.tree.leaves(carry.state.params)


class Within:
    """What is counted inside of programs, by what they call back."""

    def __init__(self) -> None:
        self.found: dict[str, float] = defaultdict(float)
        wrap("reduced.jumping.far:row_for", self._rows)
        wrap("jumps.walk:jump", self._extrapolated)
        wrap("jumps.walk:euler", self._euler)
        wrap("jumps.layers:carried", self._carried)
        self._follows: Any = None

    def _add(self, **counts: Any) -> None:
        for name, count in counts.items():
            self.found[name] += float(np.sum(count))

    def _rows(self, function: Any) -> Any:
        from dlnsweep.reduced.jumping.stages import table

        def call(reach: Any, numpy: Any) -> Any:
            row = function(reach, numpy)
            if numpy is not np:
                import jax

                counts = table().counts
                jax.debug.callback(lambda at: self._add(stages=counts[at] + 2, made=1), row)
            return row

        return call

    def _euler(self, function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            self._follows = arguments[-1]
            return function(*arguments)

        return call

    def _extrapolated(self, function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            import jax

            made, follows = function(*arguments), self._follows

            def told(rows: Any, following: Any) -> None:
                steps = rows * (rows + 1) / 2
                self._add(**{"following" if following else "plain": steps, "tried": 1})

            jax.debug.callback(told, made.rows, follows)
            return made

        return call

    def _carried(self, function: Any) -> Any:
        from dlnsweep.jumps import layers

        lax: Any = layers.lax

        class Told:
            """LAX, but that loops tell how often they go round."""

            def __getattr__(self, name: str) -> Any:
                return getattr(lax, name)

            @staticmethod
            def while_loop(*arguments: Any) -> Any:
                import jax

                made = lax.while_loop(*arguments)
                jax.debug.callback(lambda n: self._add(products=n, solved=1), made[0])
                return made

        layers.lax = Told()
        return function


def main() -> None:
    """Make the run, and print what is found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("settings", nargs="*")
    parser.add_argument("--count", action="store_true")
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    import dlnsweep

    turn = iter(range(1000))
    sweep: Any = str(arguments.file)
    if arguments.file.suffix == ".json":
        sweep = json.loads(arguments.file.read_text("utf-8"))

    def once() -> float:
        begun = time.process_time()
        dlnsweep.run(
            sweep, str(arguments.folder / str(next(turn))), workers=0,
            overrides=arguments.settings, figures=False,
        )  # fmt: skip
        return time.process_time() - begun

    # Modules are there before their functions are told.
    within = Within() if arguments.count else None
    counted = Counted()
    first = once()
    if within:
        import jax

        jax.effects_barrier()
        print(json.dumps({"within": within.found, "parts": counted.found}))
        return
    least: dict[str, float] = {}
    if not arguments.turns:
        # What is compiled is in none of the parts.
        least = {"whole": first} | counted.hooks.seconds
    for _ in range(arguments.turns):
        counted.hooks.seconds.update(dict.fromkeys(_PARTS, 0.0))
        counted.found.clear()
        own = {"whole": once()} | counted.hooks.seconds
        least = {name: min(seconds, least.get(name, np.inf)) for name, seconds in own.items()}
    print(json.dumps({"seconds": least, "parts": counted.found}))


if __name__ == "__main__":
    main()
