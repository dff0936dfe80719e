"""results/kept/long_runs: completions long after they are fitted."""

from __future__ import annotations

from collections.abc import Iterator

from kept.tables import Table, sweep, table
from kept.text import Part, Statement, says

FILE = "results/kept/long_runs/README.md"


def _long_factorizations() -> Iterator[Statement]:
    rows, file = table("long_runs/long_factorizations.csv").rows, sweep("long_factorizations")
    problem, training = file["problem"], file["training"]
    yield says("A matrix of {} by {} entries and rank {}, of which {} are", problem["num_rows"],
               problem["num_columns"], problem["rank"], problem["num_observed"])  # fmt: skip
    decay = max(training["weight_decay"])
    yield says("and with λ = {}, so that ηλT = {}; one", decay,
               training["learning_rate"] * decay * training["num_steps"])  # fmt: skip
    (first,), (last,) = ({row[name] for row in rows} for name in ("step", "final_step"))
    yield says("error at step {} | effective rank | at step {} |", first, last)
    cells = [row[name] for row in rows for name in (
        "network.depth", "training.weight_decay", "reconstruction_error", "effective_rank",
        "final_reconstruction_error", "final_effective_rank")]  # fmt: skip
    yield says(" ".join(["| {} | {} | {} | {} | {} | {} |"] * len(rows)), *cells)
    *others, largest = sorted(row["truncation_error"] for row in rows)
    yield says("The largest estimate is {}, of the run of depth 4 without decay, and the others "
               "are at most {}.", largest, others[-1])  # fmt: skip
    (worst,) = [row for row in rows if row["truncation_error"] == largest]
    assert (worst["network.depth"], worst["training.weight_decay"]) == (4, 0)
    assert len(rows) == 6
    yield from _singular_values(first, last)


def _singular_values(first: int, last: int) -> Iterator[Statement]:
    rows = table("long_runs/long_factorizations_singular_values.csv")
    names = [name for name in rows.rows[0] if name.startswith("singular_values")]
    depths, decays = (sorted({*rows.column(name)}) for name in ("depth", "weight_decay"))

    def of(depth: int, decay: float) -> Table:
        return rows.where(depth=depth, weight_decay=decay)

    def at(depth: int, decay: float, step: int) -> list[float]:
        (row,) = of(depth, decay).where(step=step).rows
        return [row[name] for name in names]

    # Without decay none of those eight moves in any of eight digits.
    assert len(names) == 8
    for depth in depths:
        assert at(depth, 0.0, first) == at(depth, 0.0, last)
    ends = {depth: at(depth, decays[1], last) for depth in depths}
    yield says("which is {} at the end, and the eighth {}.", ends[2][2], ends[2][7])
    assert ends[3][:2] == ends[4][:2]
    yield says("keep {} and {} and lose all others, down to rounding: the third ones are {} and {}",
               *ends[3][:2], ends[3][2], ends[4][2])  # fmt: skip
    yield says("grow from {} and {} to them at depth 3", *at(3, decays[1], first)[:2])

    def gone(depth: int, place: int) -> int:
        """Return the first record at which a value is below a hundredth of the largest."""
        return next(row["step"] for row in of(depth, decays[1]).rows
                    if row[names[place]] < row[names[0]] / 100)  # fmt: skip

    yield says("is below a hundredth of the largest from step {} on at depth 4 and {} at depth 3",
               gone(4, 2), gone(3, 2))  # fmt: skip
    yield says("the eighth from {} and {} on;", gone(4, 7), gone(3, 7))
    yield says("at depth 2 the eighth from {} on, the fourth at the last step", gone(2, 7))
    assert gone(2, 3) == last
    target, least = table("long_runs/long_factorizations_nuclear_norm.csv").rows
    yield says("The target has {} and {}.", *(target[name] for name in names[:2]))
    assert all(abs(a / target[name] - 1) < 1e-5
               for a, name in zip(ends[3][:2], names, strict=False))  # fmt: skip
    rank = sum(least[name] > 1e-5 for name in names)
    yield says("to a relative gap of {}, [table]", least["gap"])
    yield says("is of rank {} and wrong by {}: it has {}, {} and {}, and depth 2 has come to {}, "
               "{} and that third one", rank, least["reconstruction_error"],
               *(least[name] for name in names[:3]), *ends[2][:2])  # fmt: skip
    (row,) = table("long_runs/long_factorizations.csv").where(depth=2, weight_decay=decays[1]).rows
    yield says("a nuclear norm of {} beside {}.", row["final_nuclear_norm"], least["nuclear_norm"])


PARTS = [Part(FILE, "Completions long after they are fitted", _long_factorizations)]
