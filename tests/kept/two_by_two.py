"""results/kept/networks/README.md: the completion of two by two."""

from __future__ import annotations

from collections.abc import Iterator

from kept.numbers import AtLeast
from kept.plans import planned
from kept.tables import sweep, table
from kept.text import Part, Statement, says

FILE = "results/kept/networks/README.md"


def _two_by_two() -> Iterator[Statement]:
    rows, file = table("networks/two_by_two.csv"), sweep("two_by_two")
    runs, steps, most = planned("two_by_two")
    assert runs == sum(rows.column("num_runs"))
    assert steps == most == 10**5
    yield says("η = {}, 10⁵ steps, {} seeds: {} runs", file["training"]["learning_rate"],
               file["sweep"]["seeds"], runs)  # fmt: skip

    def end(observable: str, depth: int, scale: float, imbalance: float = 1.0) -> float:
        return rows.one(f"{observable}_median", depth=depth, layer_init_scale=scale,
                        relative_init_scale=imbalance)  # fmt: skip

    scales = (0.1, 0.33, 1.0)
    for depth in file["network"]["depth"]:
        ranks = [end("effective_rank", depth, scale) for scale in scales]
        norms = [end("nuclear_norm", depth, scale) for scale in scales]
        cells = " | ".join(["{}"] * 6)
        yield says(f"| depth {depth} | {cells} |", *ranks, *norms)
    alone = rows.where(depth=4, relative_init_scale=1.0)
    losses = alone.by("layer_init_scale", "loss_median")
    late = [loss for scale, loss in losses.items() if scale <= 0.22]
    assert losses[0.33] < 1e-20
    yield says("(median loss {} or more", AtLeast(min(late)))
    far = [end("effective_rank", 3, scale, 8.0) for scale in (0.1, 1.0)]
    near = [end("effective_rank", 3, scale) for scale in (0.1, 1.0)]
    yield says("at depth 3 are {} (scale 0.1) and {} (scale 1) for {} and {}", *far, *near)
    other = end("effective_rank", 4, 1.0, 8.0), end("effective_rank", 4, 1.0)
    yield says("at depth 4 and scale 1 it is {} for {}", *other)
    diverged = [sum(rows.where(depth=d).column("num_diverged")) for d in (2, 3, 4)]
    largest = sum(rows.where(layer_init_scale=2.0).column("num_diverged"))
    assert largest > sum(diverged) / 2
    yield says("Of {} runs a depth {}, {} and {} have diverged", runs // 3, *diverged)


PARTS = [
    Part(
        FILE,
        "A completion of two by two: rank or norm (arXiv:2005.06398)",
        _two_by_two,
        settings=(
            "three entries of [[∗, 1], [1, 0]]", "determinant −1, a small norm",
            "the first layer c times and the last one 1/c times",
            "10¹¹ run-steps, by", "instructions in 3 min 35 s",
            "The folder has 283 MB", "it is 18 900 runs, 5 MB",
            "layers of equal scale (c = 1)", "| | rank, scale 0.1 | 0.33 | 1 |",
            "| nuclear norm, scale 0.1 | 0.33 | 1 |", "the least norm, which is 2.",
            "scales up to 0.22 are", "below 1e-20 for", "with c = 8 medians",
            "Depth 2 alone with 1 588 seeds, 100 044 runs of 10⁵ steps, took 69 s",
            "(scale 0.1) and", "(scale 1) for", "and scale 1 it is",
        ),
    ),
]  # fmt: skip
