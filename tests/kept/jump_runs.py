"""results/kept/long_runs: what is random of the runs that the estimates of time jumps were held to.

Tables say of each run what it is. Here all are drawn once more, so that no row is another run.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import jump_samples as samples
import jump_starts as starts

from kept.tables import Table, table
from kept.text import Part, Statement, says

FILE = "results/kept/long_runs/README.md"
NAMES = {
    "wide": "wide networks",
    "edge": "at the edge of stability",
    "escape": "escapes from a saddle",
    "deep_prior": "deep priors",
}
TABLES = {kind: f"long_runs/starts_{kind}.csv" for kind in NAMES}
# The kinds that were also made by momentum and Nesterov's.
WITH_MEMORY = ("edge", "escape")
MEMORY = {kind: f"long_runs/starts_{kind}_momentum.csv" for kind in WITH_MEMORY}


def assert_drawn(rows: Table, family: Any) -> None:
    """Check that the rows of a table are the runs that a generator draws."""
    for number in {*rows.column("family")}:
        own = [row for row in rows.rows if row["family"] == number]
        document = family(number)
        for row, run in zip(own, samples.planned(document), strict=True):
            said = [row["network"], row["learning rate"], row["weight decay"], row["init scale"]]
            said += [row[name] for name in samples.SETTINGS]
            for name, value in zip(said, run, strict=True):
                # Tables have four digits.
                alike = isinstance(value, float) and math.isclose(name, value, rel_tol=1e-3)
                assert alike or name == value or value == "" == (name or ""), (number, name, value)
        if "momentum" in rows.rows[0]:
            assert {row["optimizer"] for row in own} == {document["training"]["optimizer"]}
            for row, value in zip(own, samples.momenta(document), strict=True):
                assert math.isclose(row["momentum"], value, rel_tol=1e-3), (number, value)


def counts(name: str, family: Any) -> Iterator[Statement]:
    """Say how many of the runs of a table are of which kind."""
    rows = table(f"long_runs/{name}.csv")
    assert_drawn(rows, family)
    linear = [row for row in rows.rows if row["network"].startswith("subspace deep_linear")]
    depths = Counter(row["depth"] for row in linear)
    assert sorted(depths) == [1, 2, 3, 4, 5, 6]
    kappas = Counter(row["condition number"] for row in linear)
    rules = Counter(row["step rule"] for row in linear)
    widths = Counter(row["width"] for row in linear if row["depth"] > 1)
    decays = Counter(
        math.floor(math.log10(row["weight decay"])) for row in rows.rows if row["weight decay"]
    )
    assert sorted(decays) == [*range(-7, -1)]
    cells = [
        len(linear), *(depths[depth] for depth in sorted(depths)),
        *(kappas[kappa] for kappa in (1, 3, 10)), rules["fan_in"], rules["uniform"],
        widths[8], widths[16], sum(widths.values()) - widths[8] - widths[16],
        *(decays[decade] for decade in sorted(decays)),
        len(rows.rows) - sum(decays.values()),
    ]  # fmt: skip
    lines = (
        "| deep linear networks on a subspace | {} |",
        "| of depth 1 to 6 | {}, {}, {}, {}, {}, {} |",
        "| with κ of 1, 3 and 10 | {}, {}, {} |",
        "| steps by fan-in, uniform steps | {}, {} |",
        "| hidden layers of 8, of 16, of 2 to 5 | {}, {}, {} |",
        "| λ in the decades from 1e-7 to 0.1 | {}, {}, {}, {}, {}, {} |",
        "| λ = 0 | {} |",
    )
    yield says(" ".join(lines), *cells)


def _ends(rows: Sequence[dict[str, Any]]) -> tuple[list[Any], int]:
    """Return what a line of the text says of runs, and how many end otherwise than by the judge."""
    none = [row for row in rows if math.isinf(row["estimate"])]
    kept = [row for row in rows if not math.isinf(row["estimate"])]
    # Of the others nothing is known, and so it is said.
    assert not any(" beside " in row["ending"] for row in kept)
    others = sum(" beside " in row["ending"] for row in none)
    known = [row for row in kept if "diverged" not in row["ending"]]
    shares = [
        row["error"] / max(samples.TOLERANCE, samples.ESTIMATES * row["estimate"]) for row in known
    ]
    assert max(shares) <= 1
    beyond = sum(row["error"] > samples.TOLERANCE for row in known)
    return [
        len(rows), len(known), len(none), len(kept) - len(known), beyond, max(shares),
    ], others  # fmt: skip


def _starts() -> Iterator[Statement]:
    lines, cells, others = [], [], {}
    found = {kind: table(path).rows for kind, path in TABLES.items()}
    for kind, rows in found.items():
        own, others[kind] = _ends(rows)
        lines.append(f"| {NAMES[kind]} | {' | '.join(['{}'] * len(own))} |")
        cells += own
    for kind, path in MEMORY.items():
        rows = table(path).rows
        own, others[f"{kind} by momentum"] = _ends(rows)
        lines.append(f"| {NAMES[kind]}, by momentum | {' | '.join(['{}'] * len(own))} |")
        cells += own
        assert {row["optimizer"] for row in rows} == {"momentum", "nesterov"}
        momenta = [row["momentum"] for row in rows]
        assert min(momenta) >= 0.5
        assert max(momenta) <= 0.98
    yield says(" ".join(lines), *cells)
    text = "{} of those at the edge, {} of the escapes and {} by momentum end otherwise"
    memory = sum(others[f"{kind} by momentum"] for kind in MEMORY)
    assert others["wide"] == others["deep_prior"] == 0
    yield says(text, others["edge"], others["escape"], memory)
    # Of the others rates are found by the curvature: a further test draws them.
    for kind in ("escape", "deep_prior"):
        assert_drawn(table(TABLES[kind]), starts.KINDS[kind])
    assert_drawn(table(MEMORY["escape"]), starts.with_memory("escape"))
    for kind in ("wide", "edge", "escape"):
        rows = found[kind]
        assert {row["depth"] for row in rows} == {2, 3, 4, 5, 6}
        assert {row["step rule"] for row in rows} == {"uniform", "fan_in"}
    widths = [row["width"] for row in found["wide"]]
    assert min(widths) == min(starts.WIDTHS)
    yield says("of {} to {} wide", min(widths), max(widths))
    steep = [row["rate times curvature at first"] for row in found["edge"]]
    yield says("are {} to {} at step 0", min(steep), max(steep))
    paths = [
        samples.Path(row["loss at first"], row["rests until"], row["loss at last"])
        for row in found["escape"]
    ]
    escapes = [path for path in paths if path.escapes]
    rests = sorted(path.rests for path in escapes)
    yield says("{} leave it within", len(escapes))
    yield says("rests for {} to {} steps", rests[0], rests[-1])
    activations = Counter(row["network"].split()[-1] for row in found["deep_prior"])
    assert {*activations} == {"tanh", "sigmoid", "arctan"}
    yield says("{} deep priors have each of three activations", *{*activations.values()})


PARTS = [
    Part(
        FILE,
        "Where jumps have it hard",
        _starts,
        settings=("of depth 2 to 6",  "unstable above 2", "by a hundredth",
                  "ten steps", "below half", "three activations", "0.5 to 0.98",
                  "6.2e-6", "2.1e-5"),
    ),
]  # fmt: skip
