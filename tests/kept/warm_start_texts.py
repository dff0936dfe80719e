"""results/kept/warm_start/README.md."""

from __future__ import annotations

from collections.abc import Iterator

from kept.numbers import AtMost
from kept.plans import planned
from kept.tables import sweep, table
from kept.text import Part, Statement, says

FILE = "results/kept/warm_start/README.md"


def _everything() -> Iterator[Statement]:
    rows, file, before = table("warm_start/warm_start.csv"), sweep("warm_start"), sweep("balance")
    decays, seeds = file["training"]["weight_decay"], file["sweep"]["seeds"]
    steps, first = file["training"]["num_steps"], before["training"]["num_steps"]
    runs, _, _ = planned("warm_start")
    chosen = file["sweep"]["warm_start"]["where"]["training.weight_decay"]
    assert runs == len(decays) * seeds
    assert seeds == before["sweep"]["seeds"]
    assert chosen in before["training"]["weight_decay"]
    assert rows.column("training.weight_decay") == decays
    yield says("for {} steps under several", first)
    yield says("begins {} runs, {} weight decays and {} seeds,", runs, len(decays), seeds)
    yield says("weight decay {}, and trains them for {} steps", chosen, steps)
    yield says("by ({} − ηλ)^T in operator norm", 1)
    yield says("D shrinks by ({} − ηλ)^(2T)", 1)
    yield says("before | ({} − ηλ)^T | D after / before | ({} − ηλ)^(2T)", 1, 1)
    names = (
        *("layer", "layer_derived", "imbalance", "imbalance_derived"),
        *("off_subspace_error_first", "off_subspace_error_last", "regression_error_last"),
    )
    columns = [decays, *(rows.column(name) for name in names)]
    cells = [value for row in zip(*columns, strict=True) for value in row]
    yield says(" ".join(["| {} | {} | {} | {} | {} | {} | {} | {} |"] * len(decays)), *cells)
    for decay, layer, both in zip(
        decays, rows.column("layer_derived"), rows.column("imbalance_derived"), strict=True
    ):
        keep = 1 - file["training"]["learning_rate"] * decay
        assert abs(layer / keep**steps - 1) < 1e-5, "written to six digits"
        assert abs(both / keep ** (2 * steps) - 1) < 1e-5, "written to six digits"
    yield says("P⊥ off by more than {} of its value", AtMost(max(rows.column("layer_deviation"))))
    worst = 100 * max(rows.column("imbalance_deviation"))
    yield says("no D is off by more than {} % of it", AtMost(worst))


PARTS = [Part(FILE, "", _everything, settings=("^(2T)", "order of η²"))]
