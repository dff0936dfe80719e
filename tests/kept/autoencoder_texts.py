"""results/kept/linear_networks/README.md: linear autoencoders."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from kept import autoencoders
from kept.numbers import AtMost
from kept.plans import planned
from kept.tables import sweep, table
from kept.text import Part, Statement, says

FILE = "results/kept/linear_networks/README.md"


def _eventually() -> Iterator[Statement]:
    file, rows = (
        sweep("autoencoder_eventually"),
        table("linear_networks/autoencoder_eventually.csv"),
    )
    runs, steps, _ = planned("autoencoder_eventually")
    widths, decays = file["network"]["width"], file["training"]["weight_decay"]
    assert decays[0] == 0
    yield says(
        "of {} inputs and a hidden width of {}, {}, {}, from",
        file["problem"]["signal_dim"],
        *widths,
    )
    yield says("λ = {}, {} seeds each, {} steps", decays[1], file["sweep"]["seeds"], steps)
    off = max(abs(value) for value in rows.column("off_at_the_end"))
    yield says("All {} span the leading principal directions in the end, to {}.", runs, AtMost(off))
    ratios = [row["rate"] / row["derived"] for row in rows.rows]
    for width in widths:
        for decay in decays:
            found = rows.where(width=width, weight_decay=decay).rows
            each = [row["rate"] / row["derived"] for row in found]
            yield says(
                f"| {width} | {decay:g} | {{}} ({{}} to {{}}) |",
                median(each), min(each), max(each),
            )  # fmt: skip
    high, low = autoencoders._LATE
    yield says("where e² is between {} and {}, and differ by a factor of {} over", high, low,
               max(rows.column("rate")) / min(rows.column("rate")))  # fmt: skip
    yield says("slower than derived by more than {} of it", AtMost(1 - min(ratios)))


PARTS = [
    Part(
        FILE,
        "Principal directions, eventually",
        _eventually,
        settings=("((b + λ(1 − b/a)", "overlap 1 − e²", "(1 − ηh)^(2t)"),
    )
]
