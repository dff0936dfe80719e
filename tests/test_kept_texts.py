"""Every number of a kept text follows from a kept table, or is told apart as a setting.

Each text's statements are in tests/kept/; see tests/kept/text.py for how to write one.
"""

from __future__ import annotations

import jump_starts as starts
import pytest
from kept import (
    adaptation_texts,
    asking_texts,
    attention_texts,
    autoencoder_texts,
    balance_texts,
    basis_size,
    classification,
    conventions,
    deep_prior,
    diagonal_texts,
    feature_learning,
    figures_1_to_4,
    front_page,
    guides,
    jump_runs,
    limits_texts,
    linear_networks,
    long_factorizations,
    long_runs,
    networks,
    one_by_one,
    open_questions,
    overview,
    population_texts,
    reduced_inputs_texts,
    reduced_runs,
    scalar_chains_texts,
    scale,
    scaling_texts,
    sharpness_aware_texts,
    simd_texts,
    theorem,
    two_by_two,
    warm_start_texts,
    width_scaling,
)
from kept.numbers import About, AtLeast, AtMost, fits, read
from kept.tables import table
from kept.text import GUIDES, ROOT, Part, faults, says, sections, without_names

PARTS = [
    *basis_size.PARTS,
    *classification.PARTS,
    *conventions.PARTS,
    *deep_prior.PARTS,
    *diagonal_texts.PARTS,
    *feature_learning.PARTS,
    *figures_1_to_4.PARTS,
    *front_page.PARTS,
    *guides.PARTS,
    *jump_runs.PARTS,
    *linear_networks.PARTS,
    *limits_texts.PARTS,
    *long_factorizations.PARTS,
    *long_runs.PARTS,
    *networks.PARTS,
    *one_by_one.PARTS,
    *open_questions.PARTS,
    *overview.PARTS,
    *population_texts.PARTS,
    *reduced_inputs_texts.PARTS,
    *reduced_runs.PARTS,
    *scalar_chains_texts.PARTS,
    *scale.PARTS,
    *adaptation_texts.PARTS,
    *asking_texts.PARTS,
    *attention_texts.PARTS,
    *autoencoder_texts.PARTS,
    *balance_texts.PARTS,
    *scaling_texts.PARTS,
    *sharpness_aware_texts.PARTS,
    *simd_texts.PARTS,
    *theorem.PARTS,
    *two_by_two.PARTS,
    *warm_start_texts.PARTS,
    *width_scaling.PARTS,
]


def texts() -> list[str]:
    found = [*(ROOT / GUIDES).glob("*.md"), *(ROOT / "results/kept").glob("**/README.md")]
    return ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in found)]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_every_number_follows_from_a_table(part):
    found = list(faults(part, sections(part.file)[part.section]))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("kind", ["wide", "edge", "edge momentum"])
def test_runs_whose_rates_go_by_curvature_are_drawn_again(kind: str):
    kind, *memory = kind.split()
    path = jump_runs.MEMORY[kind] if memory else jump_runs.TABLES[kind]
    family = starts.with_memory(kind) if memory else starts.KINDS[kind]
    jump_runs.assert_drawn(table(path), family)


def test_every_section_with_a_number_is_gone_through():
    done = {(part.file, part.section) for part in PARTS}
    assert len(done) == len(PARTS)
    for file in texts():
        for section, text in sections(file).items():
            if any(c.isdecimal() for c in without_names(text)):
                assert (file, section) in done, f"{file}: no part for {section!r}"


@pytest.mark.parametrize(
    ("printed", "value", "half"),
    [
        ("13.86", 13.86, 0.005),
        ("1 497", 1497, 0.5),
        ("−0.08", -0.08, 0.005),
        ("3e-4", 3e-4, 0.5e-4),
        ("9.1·10⁻⁴", 9.1e-4, 0.05e-4),
        ("10⁻³", 1e-3, 0.5e-3),
        ("2·10⁷", 2e7, 0.5e7),
    ],
)
def test_printed_numbers_are_read(printed, value, half):
    assert read(printed).value == pytest.approx(value, rel=1e-15)
    assert read(printed).half == pytest.approx(half, rel=1e-12)


def test_a_printed_number_fits_what_rounds_to_it():
    assert fits("0.36", 0.3649)
    assert fits("0.36", 0.3551)
    assert not fits("0.36", 0.3655)
    assert not fits("0.36", 0.3544)
    assert not fits("0.36", float("nan"))
    assert fits("36", 36)
    assert not fits("1 000", 1001)
    assert fits("2", AtMost(1.9))
    assert not fits("2", AtMost(2.1))
    assert fits("20", AtLeast(25))
    assert not fits("20", AtLeast(19))
    assert fits("3 000", About(2917))
    assert not fits("3 000", About(2000))


def complaints(text: str, *statements, settings=()) -> list[str]:
    return list(faults(Part("x", "", lambda: statements, settings), text))


def test_a_number_without_a_statement_is_found():
    text = "The error is 0.36\nof W_1 in Figure 3, by (9b) of arXiv:2502.15522, for `d = 64`."
    assert complaints(text, says("error is {} of", 0.364)) == []
    assert "0.36" in complaints(text)[0]
    assert complaints(text, settings=["is 0.36"]) == []
    assert "covers 12" in complaints(text + " 12 runs.", says("is {} of", 0.364))[0]


def test_a_wrong_number_is_found():
    assert "says 0.36, the table 0.4" in complaints("It is 0.36.", says("is {}.", 0.4))[0]


def test_words_that_the_text_does_not_have_are_found():
    assert "0 times" in complaints("It is 0.36.", says("was {}.", 0.36))[0]
    assert "2 times" in complaints("It is 1. It is 1.", says("It is {}.", 1))[0]
    assert "does not have" in complaints("None.", settings=["d = 3"])[0]
