"""What the guide says of vector instructions."""

from __future__ import annotations

from collections.abc import Iterator

from dlnsweep.engine.vectors import PAYS_BESIDE_DENSE, PAYS_UP_TO
from kept.tables import table
from kept.text import GUIDES, Part, Statement, says

# What tests/engine/test_vectors.py holds them to.
ROUNDING = 1e-13


def _beside_the_dense_kernel() -> Iterator[Statement]:
    rows = [
        row
        for row in table("speed/small_networks.csv").rows
        if str(row["step"]).startswith("linear")
    ]
    assert len(rows) == 2
    faster = [row["otherwise / simd"] for row in rows]
    yield says("takes steps {} to {} times as fast as the dense kernel", min(faster), max(faster))


def _of_the_dense_kernel() -> Iterator[Statement]:
    rows = [
        (int(row["operations"]), row["dense / simd"]) for row in table("speed/simd_dense.csv").rows
    ]
    most = max(count for count, _ in rows)
    assert most <= PAYS_BESIDE_DENSE
    small, large = ([r for r in rows if (r[0] < 5000) == few] for few in (True, False))
    yield says(
        "takes {} to {} times as long for networks of up to {} operations",
        min(ratio for _, ratio in small),
        max(ratio for _, ratio in small),
        max(count for count, _ in small),
    )
    least, longest = (f(ratio for _, ratio in large) for f in (min, max))
    yield says("and {} to {} times for those of up to {}", least, longest, most)
    full: dict[str, list[float]] = {}
    for row in table("speed/simd_dense.csv").rows:
        name = str(row["step"])
        if name.endswith("5 x 5, rank 5"):
            full.setdefault(name, []).append(row["dense / simd"])
    (few, many) = (full[f"linear, depth {depth}, 5 x 5, rank 5"] for depth in (3, 10))
    yield says(
        "five samples of full rank {} to {} times at depth 3, {} to {} at depth 10",
        min(few), max(few), min(many), max(many),
    )  # fmt: skip


def _random_networks() -> Iterator[Statement]:
    rows = table("certification/random_networks.csv")
    assert rows.column("simd") == rows.column("generic")
    counts = [len(set(rows.column(name))) for name in ("activation", "loss", "optimizer")]
    assert counts == [6, 5, 12]
    assert {*rows.column("depth")} == {2, 3, 4}
    apart = rows.column("deviation")
    yield says("Of {} random small ones", len(apart))
    yield says("within {} of the generic way's in {},", ROUNDING, sum(x < ROUNDING for x in apart))
    assert sum(x >= ROUNDING for x in apart) == 1
    yield says("in one they are within {}", max(apart))


def _random_networks_by_samples() -> Iterator[Statement]:
    rows = table("certification/random_networks_samples.csv")
    assert rows.column("simd") == rows.column("generic")
    families = ("activation", "loss", "optimizer", "depth", "width")
    other = table("certification/random_networks.csv")
    assert all({*rows.column(name)} == {*other.column(name)} for name in families)
    samples, apart = rows.column("samples"), rows.column("deviation")
    yield says(
        "Of {} random small networks (those of the other way, on {} to {} samples;",
        len(apart), int(min(samples)), int(max(samples)),
    )  # fmt: skip
    beyond = [x for x in apart if x >= ROUNDING]
    assert len(beyond) == 2
    within = len(apart) - len(beyond)
    yield says("differ from the generic way's by less than {} in {}", ROUNDING, within)
    most = 1.4e-13
    assert max(beyond) < most
    yield says("and by less than {} in the other two", most)


def _border() -> Iterator[Statement]:
    rows = table("speed/simd_border.csv")
    ratios: dict[int, list[float]] = {}
    for row in rows.rows:
        ratios.setdefault(int(row["operations"]), []).append(row["generic / simd"])
    below = [ratio for count, found in ratios.items() if count <= PAYS_UP_TO for ratio in found]
    yield says("takes {} to {} times as long up to there", min(below), max(below))
    few, many = sorted(ratios)[-2:]
    assert few > PAYS_UP_TO
    least, most = min(ratios[few]), max(ratios[few])
    yield says("{} to {} times where a step has {} operations", least, most, few)
    least, most = min(ratios[many]), max(ratios[many])
    assert most - least < 0.005
    yield says("{} times where it has {}", most, many)


def _samples_border() -> Iterator[Statement]:
    rows = table("speed/samples_border.csv").rows

    def between(least: float, most: float) -> list[float]:
        found = [row for row in rows if least <= row["operations"] <= most]
        return sorted(row["generic / simd_samples"] for row in found)

    counts = sorted({row["operations"] for row in rows})
    *below, few, many, most = counts
    found = between(0, below[-1])
    yield says("takes {} to {} times as long for steps of up to {} operations",
               found[0], found[-1], below[-1])  # fmt: skip
    found = between(few, many)
    yield says("{} to {} times for those of {} to {},", found[0], found[-1], few, many)
    found = between(most, most)
    yield says("{} to {} times for one of {}", found[0], found[-1], most)


PARTS = [
    Part(
        f"{GUIDES}/kernels.md",
        "Small networks as vector instructions",
        lambda: (
            *_random_networks(),
            *_random_networks_by_samples(),
            *_border(),
            *_samples_border(),
            *_of_the_dense_kernel(),
            *_beside_the_dense_kernel(),
        ),
        settings=("linear networks of 5×5 and", "from itself by 3.7e-13", "from itself by 2.5e-13"),
    ),
]
