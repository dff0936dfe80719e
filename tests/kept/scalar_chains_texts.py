"""results/kept/linear_networks/README.md: scalar chains."""

from __future__ import annotations

from collections.abc import Iterator

from kept.numbers import About, AtMost
from kept.plans import planned
from kept.scalar_chains import FITTED, MEASURED, PREDICTED
from kept.tables import Table, sweep, table
from kept.text import Part, Statement, says

FILE = "results/kept/linear_networks/README.md"
HEADS = {
    "waits": "waits: the flow needs more than 10 000 η",
    "no stable minimiser": "no stable minimiser: ηL > 2",
    "start too steep": "start too steep: ηK > 2 there",
    "its minimiser unstable": "its minimiser unstable: ηK > 2 where the flow ends",
    "fits": "fits: none of these",
}


def _sums(rows: Table) -> dict[str, int]:
    return {fate: sum(rows.column(fate)) for fate in MEASURED}


def _runs(file: dict, fates: Table) -> Iterator[Statement]:
    network, rates = file["network"], file["training"]["learning_rate"]
    scales, depths, seeds = network["layer_init_scale"], network["depth"], file["sweep"]["seeds"]
    runs, steps, _ = planned("scalar_chains")
    assert (len(scales), len(rates)) == (4, 6)
    assert sum(sum(fates.column(fate)) for fate in MEASURED) == runs
    assert file["training"]["stop_when"] == {"observable": "loss", "below": FITTED}
    yield says("from {} to {}, depth {} to {}, six rates η from {} to {}, {} seeds, which is {} "
               "starts and {} runs of {} steps, each ended by a loss below {}:",
               scales[0], scales[-1], depths[0], depths[-1], rates[0], rates[-1], seeds,
               len(depths) * len(scales) * seeds, runs, steps, FITTED)  # fmt: skip


def _chains() -> Iterator[Statement]:
    file, fates = sweep("scalar_chains"), table("linear_networks/scalar_chains_fates.csv")
    times = table("linear_networks/scalar_chains_times.csv")
    yield from _runs(file, fates)
    sums = {expected: _sums(fates.where(predicted=expected)) for expected in PREDICTED}
    for expected in PREDICTED:
        found = sums[expected]
        cells = [found[fate] for fate in ("fitted", "waits", "neither", "diverged")]
        yield says(f"| {HEADS[expected]} | {{}} | {{}} | {{}} | {{}} |", *cells)
    assert not sums["fits"]["neither"] + sums["fits"]["diverged"]
    total = {expected: sum(found.values()) for expected, found in sums.items()}
    otherwise = sum(times.column("otherwise"))
    assert otherwise == sums["waits"]["fitted"] + sums["fits"]["waits"]
    yield says("Of {} runs that are to wait or to fit, {} end otherwise",
               total["waits"] + total["fits"], otherwise)  # fmt: skip
    yield says("within {} % of the end of training", AtMost(100 * max(times.column("off"))))
    assert sums["no stable minimiser"]["fitted"] == 1
    yield says("that go around, {}, have some {} records each",
               sums["no stable minimiser"]["neither"], About(file["record"]["count"]))  # fmt: skip
    for expected, words in (
        ("its minimiser unstable", "of {} starts whose own minimiser is unstable {} % are fitted"),
        ("start too steep", "of {} that are too steep {} %"),
    ):
        share = 100 * sums[expected]["fitted"] / total[expected]
        yield says(words, total[expected], share)
    negative, fitted = (sum(times.column(name)) for name in ("negative", "negative_fitted"))
    yield says("all but {} of {} runs from negative products", negative - fitted, negative)
    yield from _times(file, times)


def _times(file: dict, times: Table) -> Iterator[Statement]:
    rates = file["training"]["learning_rate"][:3]
    for depth in file["network"]["depth"]:
        cells = [
            times.one(name, depth=depth, learning_rate=rate)
            for rate in rates
            for name in ("median", "q05", "q95")
        ]
        yield says(f"| {depth} | {{}} ({{}} to {{}}) | {{}} ({{}} to {{}}) | {{}} ({{}} to {{}}) |",
                   *cells)  # fmt: skip
    least = times.where(learning_rate=rates[0]).column("median")
    yield says("At the smallest rate medians are within {} % of 1",
               AtMost(100 * max(abs(median - 1) for median in least)))  # fmt: skip
    largest = times.where(learning_rate=rates[-1])
    assert max(largest.where(depth=[7, 8, 9, 10]).column("median")) < 1


PARTS = [
    Part(
        FILE,
        "Scalar chains beside their exact solution (derived)",
        _chains,
        settings=(
            "½(p − 1)²", "in 1 min 44 s of processor time, stored and drawn (3 min 16 s on two",
            "w_i² − w_j². So", "c_i = w_i² − u² of", "Π (u² + c_i)^(1/2), and du/dt = (1 − p) q(u)",
            "the flow ends at p = 1:", "d log|1 − p|/dt = −K, K = Σ p²/w_i², which at p = 1 is",
            "products are below 1 and", "more than 10 000 η", "ηL > 2 |", "ηK > 2 there",
            "ηK > 2 where", "Beyond ηL = 2 no", "to be below 1e-12;",
            "before are 0.68 and 0.11", "these 7 are fitted", "with a loss below 1/8,",
            "median (5 % to 95 %)", "pass p = 1 before",
            "| depth | η = 0.01 | η = 0.05 | η = 0.15 |", "these 2 are among the 7",
        ),
    ),
]  # fmt: skip
