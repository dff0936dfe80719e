"""results/kept/balance/README.md."""

from __future__ import annotations

from collections.abc import Iterator

from kept.numbers import AtMost
from kept.plans import planned
from kept.tables import sweep, table
from kept.text import Part, Statement, says

FILE = "results/kept/balance/README.md"
# What the second command sets.
LONGER = 10_000


def _everything() -> Iterator[Statement]:
    rows, file = table("balance/balance.csv"), sweep("balance")
    decays, seeds = file["training"]["weight_decay"], file["sweep"]["seeds"]
    runs, steps, _ = planned("balance")
    assert runs == len(decays) * seeds
    assert rows.column("training.weight_decay") == decays
    yield says("Two layers, {} weight decays, {} seeds;", len(decays), seeds)
    yield says("takes {} steps and keeps the final weights, the second goes on from there to {},",
               steps, LONGER)  # fmt: skip
    yield says("those of the same {} steps from the start", LONGER)
    yield says("should shrink by ({} − ηλ)", 1)
    yield says("with ΔT the {} steps between them", LONGER - steps)
    yield says("after {} steps | after {} | ratio | ({} − ηλ)", steps, LONGER, 1)
    names = ("imbalance", "imbalance_longer", "ratio", "predicted")
    columns = [decays, *(rows.column(name) for name in names)]
    cells = [value for row in zip(*columns, strict=True) for value in row]
    yield says(" ".join(["| {} | {} | {} | {} | {} |"] * len(decays)), *cells)
    for decay, found in zip(decays, rows.column("predicted"), strict=True):
        predicted = (1 - file["training"]["learning_rate"] * decay) ** (2 * (LONGER - steps))
        assert abs(found / predicted - 1) < 1e-5, "written to six digits"
    yield says("off by more than {} of it", AtMost(max(rows.column("largest_deviation"))))


PARTS = [Part(FILE, "", _everything, settings=("^(2ΔT)", "order of η²"))]
