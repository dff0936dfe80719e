"""What the guide says of vector instructions."""

from __future__ import annotations

from collections.abc import Iterator

from kept.tables import table
from kept.text import GUIDES, Part, Statement, says


def _beside_the_dense_kernel() -> Iterator[Statement]:
    rows = [
        row
        for row in table("speed/small_networks.csv").rows
        if str(row["step"]).startswith("linear")
    ]
    assert len(rows) == 2
    faster = [row["otherwise / simd"] for row in rows]
    yield says("takes steps {} to {} times as fast as the dense kernel", min(faster), max(faster))
    # The same operations in more time are a smaller share of the peak.
    shares = [row["share of the peak"] / row["otherwise / simd"] for row in rows]
    yield says("multiplies at {} to {} of the cores' peak", min(shares), max(shares))
    most = [1 / share for share in shares]
    yield says("can be more than {} to {} times as fast", min(most), max(most))


PARTS = [
    Part(
        f"{GUIDES}/kernels.md",
        "Small networks as vector instructions",
        _beside_the_dense_kernel,
        settings=("linear networks of 5×5 and",),
    )
]
