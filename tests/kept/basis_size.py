"""results/kept/reduced_kernel/README.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from kept.scripts import script
from kept.tables import Table, table
from kept.text import Part, Statement, says

FILE = "results/kept/reduced_kernel/README.md"
FIGURE = "Figure 2, s={}"


def _printed(rows: Table) -> Statement:
    """Return a table as the script prints it: its rows, one below the other."""
    words, values = "", list[float]()
    for row in rows.rows:
        cells = list(row.values())
        sizes = [re.sub(r"\d+", "{}", cell) for cell in cells[1:3]]
        name, number = cells[0].rsplit("=", 1)
        words += f"| {name}={{}} | {' | '.join(sizes)} | {{}} | {{}} | {{}} | {{}} |\n"
        values.append(int(number))
        values += [int(n) for cell in cells[1:3] for n in re.findall(r"\d+", cell)]
        values += cells[3:]
    return says(words, *values)


def _sizes(document: dict[str, Any]) -> tuple[int, ...]:
    problem = document["problem"]
    names = ("signal_dim", "measurement_dim", "subspace_dim", "num_samples")
    return (*(problem[name] for name in names), document["network"]["width"])


def _depths() -> Iterator[Statement]:
    basis_size = script("basis_size")
    runs = basis_size._RUNS
    documents = {depth: basis_size._document(depth) for depth in runs}
    d, m, s, n, width = _sizes(documents[2])
    training = documents[2]["training"]
    rates = {depth: rate for depth, (rate, _) in runs.items()}
    assert rates[2] == rates[3] == rates[4]
    assert rates[5] == rates[6]
    yield says(
        "d = {}, m = {}, s = {}, n = {}, d_w = {}, kappa = {}, lambda = {}, uniform steps of {} "
        "({} for L = 5 and 6), {}, {}, {}, {} and {} steps for L = 2 to 6.",
        d, m, s, n, width, documents[2]["problem"]["condition_number"],
        training["weight_decay"], rates[2], rates[5], *(runs[depth][1] for depth in range(2, 7)),
    )  # fmt: skip
    yield says("at {} recorded steps", documents[2]["record"]["count"])
    yield _printed(table("reduced_kernel/basis_size.csv"))


def _figure_2() -> Iterator[Statement]:
    document = script("basis_size")._figure_2(2)
    d, m, _, n, width = _sizes(document)
    training = document["training"]
    yield says(
        "d = {}, m = {}, n = {}, d_w = {}, kappa = {}, L = {}, {} steps of {} with lambda = {}.",
        d, m, n, width, document["problem"].get("condition_number", 1.0),
        document["network"]["depth"], training["num_steps"], training["learning_rate"],
        training["weight_decay"],
    )  # fmt: skip
    yield says("({} levels of backward signals from d = {} are the whole", width // d, d)
    rows = table("reduced_kernel/figure_2_sizes.csv")
    few, more = (rows.where(network=FIGURE.format(s)) for s in (2, 4))
    (few_at,) = (r for r in few.rows if r["forward"] == "(31, 35)")
    (more_at,) = (r for r in more.rows if r["forward"] == "(54, 60)")
    yield says(
        "s = 2 takes a {}th of the dense kernel's arithmetic at an error of {}, and s = 4 a {}th "
        "at {}.",
        few_at["dense / reduced"], few_at["error"], more_at["dense / reduced"], more_at["error"],
    )  # fmt: skip
    yield says("For s = 2 the error levels off at {}:", few.column("error")[-1])
    yield _printed(rows)


PARTS = [
    Part(FILE, "", _depths),
    Part(
        FILE,
        "Figure 2's sizes",
        _figure_2,
        settings=("For s = 16 and 32 `auto`",),
    ),
]
