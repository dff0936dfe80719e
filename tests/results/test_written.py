"""Summaries as CSV, JSON, Markdown and LaTeX, with and without a setting's values as columns."""

from __future__ import annotations

import io
import json
import math

import pandas as pd
import pytest

from dlnsweep.contracts.keys import known_settings
from dlnsweep.contracts.observable import OBSERVABLES
from dlnsweep.figures.folder import with_few_digits
from dlnsweep.figures.labels import setting_label
from dlnsweep.results import written
from dlnsweep.results.csv_files import csv_text

DECAY, DEPTH = "training.weight_decay", "network.depth"
THIRD = 1 / 3
# Depth 3 has no runs at the larger weight decay; all of depth 2 diverged there.
TABLE = pd.DataFrame(
    {
        DEPTH: [2, 2, 3],
        DECAY: [1e-05, 0.1, 1e-05],
        "num_runs": [4, 4, 4],
        "num_diverged": [1, 4, 0],
        "num_planned_missing": [0, 0, 2],
        "error_q25": [0.25, math.nan, 2.5e-7],
        "error_median": [THIRD, math.nan, 2.5e-7],
        "error_q75": [0.5, math.nan, 2.5e-7],
    }
)
KEYS = [DEPTH, DECAY]
PLAIN = written.Style(lambda value: f"{value:.3g}")


def test_a_terminal_shows_as_many_digits_as_were_asked_for():
    shown = with_few_digits(TABLE, 3)
    assert shown["error_median"].tolist() == ["0.333", "-", "2.5e-07"]
    assert shown["num_runs"].tolist() == [4, 4, 4]


def test_csv_has_every_digit():
    read = pd.read_csv(io.StringIO(written.exact(TABLE, KEYS, "", "csv")))
    pd.testing.assert_frame_equal(read, TABLE)


def test_json_has_every_digit_and_null_for_what_is_missing():
    rows = json.loads(written.exact(TABLE, KEYS, "", "json"))
    assert rows[0] == {name: TABLE[name][0] for name in TABLE.columns}
    assert rows[1]["error_median"] is None
    infinite = TABLE.assign(error_q75=math.inf)
    assert json.loads(written.exact(infinite, KEYS, "", "json"))[0]["error_q75"] == "inf"


def test_values_become_columns_with_every_digit():
    rows = json.loads(written.exact(TABLE, KEYS, DECAY, "json"))
    by_place = {(row["observable"], row["statistic"], row[DEPTH]): row for row in rows}
    assert len(by_place) == 2 * 6
    assert list(rows[0]) == ["observable", "statistic", DEPTH, f"{DECAY}=1e-05", f"{DECAY}=0.1"]
    assert by_place["error", "median", 2][f"{DECAY}=1e-05"] == THIRD
    assert by_place["error", "q75", 3][f"{DECAY}=1e-05"] == 2.5e-7
    # A combination without runs is empty, and one whose runs diverged says so.
    assert by_place["", "num_runs", 3][f"{DECAY}=0.1"] is None
    assert by_place["", "num_diverged", 2][f"{DECAY}=0.1"] == 4


def test_cells_to_be_read_tell_what_was_left_out():
    head, rows = written.readable(TABLE, KEYS, DECAY, PLAIN)
    assert head == [DEPTH, f"{DECAY} = 1e-05", f"{DECAY} = 0.1"]
    assert rows == [
        ["2", "0.333 [0.25, 0.5] (1 diverged of 4)", "- (4 diverged of 4)"],
        ["3", "2.5e-07 (2 not done of 4)", ""],
    ]
    head, rows = written.readable(TABLE, KEYS, "", PLAIN)
    assert head == [DEPTH, DECAY, "runs", "diverged", "not done", "error"]
    assert rows[0] == ["2", "1e-05", "4", "1", "0", "0.333 [0.25, 0.5]"]


@pytest.mark.parametrize(
    ("decays", "shown"),
    [
        # Half decades, as `spacing = "log"` makes them, beside what is short.
        ((0.1, 0.031622776601684, 0.00031622776601684), ("0.1", "0.03162", "0.0003162")),
        # As many digits as tell all of them apart.
        ((0.1, 0.1000001, 0.31622776601684), ("0.1", "0.1000001", "0.3162278")),
        ((0.1, math.nextafter(0.1, 1), 0.25), ("0.1", "0.10000000000000002", "0.25")),
        # What is whole stays so.
        ((1234567, 1234568, 10**12), ("1234567", "1234568", "1000000000000")),
    ],
)
def test_settings_of_many_digits_are_read_with_as_few_as_tell_them_apart(decays, shown):
    table = TABLE.assign(**{DECAY: decays, DEPTH: [2, 3, 4]})
    _, rows = written.readable(table, KEYS, "", PLAIN)
    assert tuple(row[1] for row in rows) == shown
    head, _ = written.readable(table, KEYS, DECAY, PLAIN)
    assert set(head[1:]) == {f"{DECAY} = {value}" for value in shown}
    _, rows = written.readable(table, KEYS, DEPTH, PLAIN)
    assert {row[0] for row in rows} == set(shown)
    # Programs get every digit.
    assert all(repr(value) in written.exact(table, KEYS, "", "csv") for value in decays)


def test_markdown_is_a_table_whatever_it_holds():
    text = written.markdown(["a_b", "|"], [["<b>x</b>", "[x](y)\n_z_ [1, 2]"]])
    assert text.splitlines() == [
        r"| a_b | \| |",
        "| --- | --- |",
        r"| \<b\>x\</b\> | [x]\(y) \_z\_ [1, 2] |",
    ]


def test_latex_of_labels_is_of_letters_that_every_engine_knows():
    """pdfLaTeX stopped at β₁ and ‖M‖: "Unicode character not set up for use with LaTeX"."""
    words = {name: written.latex_style(setting_label, 3).words(name) for name in known_settings()}
    assert {name: word for name, word in words.items() if not word.isascii()} == {}
    assert words["training.beta1"] == r"first-moment decay $\beta _{1}$"
    assert words["problem.target_norm"] == r"target norm $\|M\|_{F}$"
    labels = {name: observable.label for name, observable in OBSERVABLES.items()}
    told = {name: written.latex_style(labels.__getitem__, 3).words(name) for name in labels}
    assert {name: word for name, word in told.items() if not word.isascii()} == {}


def test_latex_holds_no_command_of_a_folder():
    style = written.latex_style(setting_label, 3)
    named = TABLE.rename(columns={DEPTH: r"a.\input{x}$y$"})
    named[r"a.\input{x}$y$"] = ["50%_#", "&~^", r"\end{tabular}"]
    keys = [r"a.\input{x}$y$", DECAY]
    text = written.latex(*written.readable(named, keys, "", style))
    escaped = r"a.\textbackslash{}input\{x\}\$y\$"
    assert text.splitlines()[2].startswith(escaped + r" & weight decay $\lambda $ & runs & ")
    assert r"50\%\_\# & 1e-05 & 4 & 1 & 0 & $0.333$ [$0.25$, $0.5$] \\" in text
    assert r"\&\textasciitilde{}\textasciicircum{} & 0.1" in text
    assert text.count(r"\end{tabular}") == 1
    assert r"$2.5 \times 10^{-7}$" in text


@pytest.mark.parametrize("text", ["[3, 4]", "*all"])
def test_the_first_cell_of_a_row_is_no_argument_of_the_line_before(text: str):
    # \\ and booktabs' rules look for a * and a [ beyond the end of the line, and eat them.
    style = written.latex_style(setting_label, 3)
    for pivot in ("", DECAY):
        named = TABLE.assign(**{DEPTH: text, DECAY: range(len(TABLE))})
        rows = written.latex(*written.readable(named, [DEPTH, DECAY], pivot, style)).splitlines()
        assert not any(row.lstrip().startswith(("[", "*")) for row in rows)
        assert any(text[1:] in row for row in rows)


@pytest.mark.parametrize("text", ["=1+1", "@x", "-1", "+1"])
def test_csv_holds_no_formula(text: str):
    assert csv_text(pd.DataFrame({text: [text]})) == f"'{text}\n'{text}\n"
