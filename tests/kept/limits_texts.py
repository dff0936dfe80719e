"""results/kept/long_runs: how near their limits the works are that have floors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kept.tables import table
from kept.text import Part, Statement, says

FILE = "results/kept/long_runs/README.md"
# As the text calls what is dearest of a work.
_PARTS = {
    "checkpoints of the pilot": "checkpoints",
    "steps of the pilot": "pilot",
    "rehearsals": "rehearsals",
    "steps, jumps, records": "steps and jumps",
    "jumps of both walks": "time jumps",
    "real steps and records of both walks": "real steps",
}


def _largest(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return max(rows, key=lambda row: row["seconds"])


def _limits() -> Iterator[Statement]:
    rows = table("long_runs/limits.csv").rows
    works = list(dict.fromkeys(row["work"] for row in rows))
    near, shares = [], []
    for work in works:
        own = [row for row in rows if row["work"] == work]
        top = _largest(own)
        (name,) = [words for part, words in _PARTS.items() if top["part"].startswith(part)]
        at_most = max(top["us by flop"], top["us by bytes"])
        assert abs(sum(row["seconds"] for row in own) / top["all parts"] - 1) < 1e-3
        yield says(
            f"| {work} | {{}} | {{}} | {name} | {{}} | {{}} | {{}} | {{}} | {top['limited by']} |",
            top["kept"], top["all parts"], top["outer steps"], top["us of one"],
            top["us by flop"], top["us by bytes"],
        )  # fmt: skip
        near.append(top["us of one"] / at_most)
        shares.append(top["all parts"] / top["whole"])
    near_by, share_by = (dict(zip(works, each, strict=True)) for each in (near, shares))
    whole = [share_by.pop(f"Figure {number} whole") for number in (4, 3)]
    yield says("between {} and {} times what", min(near_by.values()), max(near_by.values()))
    steps = {
        row["work"]: row for row in rows
        if row["part"].startswith("real steps") and row["work"].startswith("depth")
    }  # fmt: skip
    assert all(row["limited by"] == "calls" for row in steps.values())
    over = [row["us of one"] / max(row["us by flop"], row["us by bytes"]) for row in steps.values()]
    share = {work: 100 * row["seconds"] / row["all parts"] for work, row in steps.items()}
    million = [each for work, each in share.items() if "1e+06" in work]
    billion = [each for work, each in share.items() if "1e+09" in work]
    yield says(
        "takes {} to {} times what the machine must: it is {} and {} % of a million steps' cost, "
        "and {} and {} % of",
        min(over), max(over), *million, *billion,
    )  # fmt: skip
    yield says("products are {} to {} of a run", min(share_by.values()), max(share_by.values()))
    yield says("made once each, {} and {}", *whole)
    # As the text has it, of runs of 2000 steps.
    for work in works:
        if "2000 steps" in work:
            (last,) = [
                row for row in rows if row["work"] == work and "jumps, records" in row["part"]
            ]
            assert last["seconds"] < last["all parts"] / 7
    (beside,) = [row for row in rows if row["work"] == "1e7 steps, width 1000"][:1]
    assert beside["all parts"] < beside["kept"] / 5


PARTS = [
    Part(
        FILE,
        "How near their limits they are",
        _limits,
        settings=(
            "A gradient of a run of Figure 3's width",
            "of 2 000 steps all",
            "with 256 outputs",
        ),
    ),
]
