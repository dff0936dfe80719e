"""The counts of the README's section on Theorem 2.3 follow from the kept tables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
WIDTHS = (100, 200, 400)
# The beginning of each row of the README's table, with what of the kept table it counts: a part of
# the source, and one of the statement.
ROWS = {
    "σ(W_{L:i}) in [4/5, 6/5] at step 0": [("Lemma A.10", "")],
    "√(m/d_w) σ(W_{i:1}Y) / σ(X) in [4/5, 6/5] at step 0": [("Lemma A.8", "")],
    "the same in [3/4, 5/4] up to τ": [("(59b)", "W_{i:1}Y")],
    "‖E(t)‖ ≤ 17ηLσ²_min/(1024m) ‖Φ‖ up to τ": [("Lemma A.14", "")],
    "spectrum of P(t) as in Lemma A.16 up to τ": [("Lemma A.16", "")],
    "spectrum of P(t) from τ to T": [("proof of Lemma A.26", "eigenvalues")],
    "displacements below 110": [("(59c)", "")],
    "phase 1, (31) and (59a)": [
        ("(31), (64)", ""), ("(59a)", ""), ("Corollary A.18", ""), ("Lemma A.26", "residual"),
        ("(74)", ""),
    ],
}  # fmt: skip


@pytest.mark.parametrize("start", ROWS)
def test_the_events_counts_are_those_of_the_table(start: str):
    table: Any = pd.read_csv(ROOT / "results/kept/theorem_events/claims.csv")
    (line,) = [
        line for line in (ROOT / "README.md").read_text().splitlines()
        if line.startswith(f"| {start}")
    ]  # fmt: skip
    printed = [(int(a), int(b)) for a, b in re.findall(r"\| (\d+) / (\d+) (?=\|)", line)]
    assert set(table["network.depth"]) == {2}
    for source, statement in ROWS[start]:
        mine = table[
            table["source"].str.contains(source, regex=False)
            & table["statement"].str.contains(statement, regex=False)
        ].set_index("network.width")
        found = [(mine.loc[w, "satisfied"], mine.loc[w, "violated"]) for w in WIDTHS]
        assert [(int(a), int(b)) for a, b in found] == printed, source


def test_the_run_inside_satisfies_what_its_records_are_about():
    table: Any = pd.read_csv(ROOT / "results/kept/theorem_inside/claims.csv")
    assert table["violated"].sum() == 0
    satisfied = table.loc[table["satisfied"] == 1, "source"].tolist()
    text = (ROOT / "README.md").read_text()
    for name in ("(31)", "(59a)", "Corollary A.18", "Lemma A.11", "A.21", "A.26", "(74)"):
        assert any(name in source for source in satisfied), name
    assert "(31), (59a), Corollary A.18, Lemmas A.11, A.21 and A.26 and (74)" in text
    # And the exact decay of Appendix A.7, which is no bound.
    assert len(satisfied) == 8
