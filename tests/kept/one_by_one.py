"""results/kept/long_runs: figures and open questions by jumps, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from math import log, log1p
from statistics import median

from dlnsweep.engine import motion
from dlnsweep.reduced.jumping import may_jump
from kept.plans import planned
from kept.tables import Table, sweep, table
from kept.text import Part, Statement, says

FILE = "results/kept/long_runs/README.md"
# Rows of the text, and the sweep of each.
_ROWS = {
    "Figure 2": "fig2_subspace_dim",
    "Figure 3": "fig3_depth",
    "(a) depth": "open_depth",
    "(c) noise in training": "open_training_noise",
    "(d) nearly low rank": "open_nearly_low_rank",
    "(e) initial weights": "open_initialization",
    "(f) isometry": "open_isometry",
    "(g) minibatches": "open_optimizer",
    "(g) momentum": "open_momentum",
    "(h) best weight decay": "open_best_weight_decay",
}


def _rate(rows: Table, since: int, until: int, alone: float) -> float:
    """Return the median rate of decay of the off-subspace error between two steps, over another."""
    recorded = sorted(set(rows.column("step")))
    start, end = (min(recorded, key=lambda s: abs(s - step)) for step in (since, until))
    first, last = (rows.where(step=s).by("seed", "off_subspace_error") for s in (start, end))
    return median(log(first[seed] / last[seed]) / (end - start) / alone for seed in first)


def _one_by_one() -> Iterator[Statement]:
    for name, file in _ROWS.items():
        runs, fewest, most = planned(file)
        assert fewest == most
        yield says(f"| {name} | {{}} | {{}} |", runs, most)
    for name, file in (("Figure 4", "fig4_weight_decay"), ("(b) width", "open_width")):
        yield says(f"| {name} | {{}} | {{}} to {{}} |", *planned(file))
    yield says("fewer than {} steps", may_jump._LEAST_STEPS)
    yield says("{} outputs, as many as", motion.MOST_OUTPUTS)
    yield from _depth()
    yield from _initial_weights()
    yield from _momentum()
    yield from _noise()


def _depth() -> Iterator[Statement]:
    rows = table("open_questions/depth_long.csv")
    depths, end = sorted({*rows.column("depth")}), max(rows.column("step"))
    longer = end / sweep("open_depth")["training"]["num_steps"]
    alone = -log1p(-sweep("open_depth")["training"]["learning_rate"] * 1e-3 / longer)
    spans = ((1000, 10_000), (100_000, 200_000), (300_000, end))
    early, between, late = (
        [_rate(rows.where(depth=depth), *span, alone) for depth in depths] for span in spans
    )
    yield says("{} runs of (a) with {} steps", len(rows.where(step=end).rows), end)
    yield says("{}, {}, {} and {} times that of the first layer", *early)
    yield says("then {}, {}, {} and {},", *between)
    yield says("and {} to {} from", min(late), max(late))
    recorded = sorted({*rows.column("step")})
    leads = []
    for step in (30_000, 100_000, end):
        near = min(recorded, key=lambda s, step=step: abs(s - step))
        two, five = (rows.where(depth=depth, step=near).by("seed", "off_subspace_error")
                     for depth in (2, 5))  # fmt: skip
        leads.append(median(five.values()) / median(two.values()))
    yield says("is {} at step 28 994, {} at 101 164 and {} at the end", *leads)


def _initial_weights() -> Iterator[Statement]:
    rows = table("open_questions/initialization_long.csv")
    end, kinds = max(rows.column("step")), ("fan_in_normal", "orthogonal", "balanced")
    ends = rows.where(step=end)
    yield says("{} runs of (e) with as many", len(ends.rows))
    found = []
    for depth in (2, 4):
        own = {round(ends.where(initializer=kind, depth=depth).median("regression_error") / 1e-4, 1)
               for kind in kinds}  # fmt: skip
        assert len(own) == 1
        found.append(own.pop())
    yield says("plateaus are {} λ and {} λ", *found)
    alone = -log1p(-0.1 * 1e-4)
    rates = [_rate(rows.where(initializer=kind, depth=4), 1000, 10_000, alone) for kind in kinds]
    yield says("of L = 4 {}, {} and {} times that", *rates)
    ahead = [ends.where(initializer=kind, depth=depth).median("off_subspace_error")
             / ends.where(initializer="orthogonal", depth=depth).median("off_subspace_error")
             for kind in kinds[::2] for depth in (2, 4)]  # fmt: skip
    yield says("smaller by a factor of {} to {}", min(ahead), max(ahead))


def _momentum() -> Iterator[Statement]:
    rows = table("open_questions/momentum_long.csv")
    yield says("{} runs of (g) with {} steps", len(rows.rows), max(rows.column("step")))
    plain, fast = (rows.where(optimizer=name) for name in ("gradient_descent", "momentum"))
    off = [of.median("off_subspace_error") for of in (fast, plain)]
    yield says("error of {} beside {}", *off)
    last = [of.median("regression_error") for of in (plain, fast)]
    assert f"{last[0]:.3e}" == f"{last[1]:.3e}"


def _noise() -> Iterator[Statement]:
    rows = table("open_questions/training_noise_long.csv")
    before = table("open_questions/training_noise.csv").where(weight_decay=0.0)
    seeds, end = sorted({*rows.column("seed")}), max(rows.column("step"))
    yield says("{} of the runs of (c)", len(seeds))
    yield says("went on to {} steps", end)

    def kept(noise: float) -> float:
        found = before.where(measurement_noise=noise).by("seed", "off_subspace_error")
        return median(found[seed] for seed in seeds)

    yield says("from {} to {},", kept(0.01), rows.where(step=end).median("off_subspace_error"))
    yield says("where the same seeds had {} for σ = 0.03", kept(0.03))
    jumped = table("open_questions/training_noise_jumps.csv")
    by_steps = rows.where(seed=0).by("step", "off_subspace_error")
    assert jumped.by("step", "off_subspace_error") == by_steps


PARTS = [
    Part(
        FILE,
        "Figures and open questions, one by one",
        _one_by_one,
        settings=(
            "Figures 2, 3 and 4",
            "a tenth of the weight decay",
            "λ = 10⁻⁴",
            "between steps 1 000 and 10 000",
            "between 100 000 and 200 000",
            "from 300 000 on",
            "σ = 0.01 and no weight decay",
            "10⁷ steps",
            "to six digits",
        ),
    ),
]
