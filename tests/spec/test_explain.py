from __future__ import annotations

from typing import get_args

import pytest

from dlnsweep.contracts.keys import known_settings
from dlnsweep.contracts.observable import OBSERVABLES
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.errors import SpecError
from dlnsweep.problems.operators import OperatorName
from dlnsweep.spec.explain import explain
from dlnsweep.theory.curves import THEORY_CURVES

TOPICS = [
    "subspace",
    "noisy_subspace",
    "union_of_subspaces",
    "deep_linear",
    "training",
    "record",
    "sweep",
    "curves",
    "final",
    "heatmap",
    "spectrum",
    "observables",
]


def test_without_a_word_the_topics_are_listed():
    text = explain("")
    assert text.startswith("Explain what? One of:\n")
    assert all(topic in text for topic in TOPICS)


@pytest.mark.parametrize(
    "word", ["", "problem", "network", "figure", *TOPICS, *OBSERVABLES, *known_settings()]
)
def test_everything_is_explained_in_short_plain_lines(word: str):
    text = explain(word)
    assert text.strip()
    assert all(line.isprintable() and len(line) <= 100 for line in text.splitlines())
    # Names of Python's types say nothing to who writes TOML.
    for leaked in ("Annotated", "Union", "typing", "NoneType", "FieldInfo", "int)", "list["):
        assert leaked not in text


def test_a_section_shows_each_key_with_type_bounds_default_and_role():
    text = explain("training")
    assert "learning_rate (η)\n    learning rate. [a number; > 0; required; traced]" in text
    assert (
        "weight_decay (λ)\n    weight decay; multiplies half the squared norms. "
        "[a number; >= 0; default 0.0; traced]" in text
    )
    assert "unit: steps" in text
    assert "'uniform' | 'fan_in'" in text
    assert "one value a file" in " ".join(text.split())


def test_a_network_of_two_tasks_is_explained_for_both_the_default_first():
    text = explain("deep_linear")
    assert "initial_weights" in text
    assert text.index("For problems of kind subspace") < text.index("matrix_completion")


@pytest.mark.parametrize("word", ["curves", "final", "subspace", "training", "matrix_completion"])
def test_what_must_be_given_comes_first(word: str):
    text = explain(word)
    assert "required" in text
    assert "required" not in text[text.index("; default ") :]


def test_observables_of_the_default_network_come_first():
    text = explain("observables")
    assert (
        text.index("\nloss\n") < text.index("\nregression_error\n") < text.index("\nsignal_error\n")
    )


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("regression_error", "||W_{L:1} Y - X||_F / ||X||_F"),
        ("operators", "rows of the orthonormal discrete cosine transform"),
        ("dct", "'dct' is a value of problem.operator"),
        ("decay_rate", "-d ln(y)/dt"),
        ("curves.hue", "hue"),
        ("subspace.signal_dim", "dimension of the signals"),
        ("deep_linear.depth", "number of weight matrices"),
        ("range", 'spacing = "log"'),
        ("adam", "'adam' is a value of training.optimizer"),
        ("argmin", "'argmin' is a value of figure.at"),
        ("minimise", "another observable"),
        ("finished", "every run that did not diverge"),
        ("patience", "records in a row without an improvement"),
        ("stop_when.patience", "records in a row without an improvement"),
        ("training.stop_when.threshold", "by more than this share of the best value"),
        ("between", "the axis that is refined"),
        ("sweep.refine.tolerance", "the two ends of a boundary"),
        ("until.width", "an interval is narrow enough"),
        ("sweep.until.most_seeds", "where rounds end in any case"),
        *((name, THEORY_CURVES[name].text.split()[0]) for name in THEORY_CURVES),
    ],
)
def test_every_word_of_a_sweep_file_is_known(word: str, says: str):
    assert says in explain(word)


def test_every_operator_is_explained():
    assert all(f"\n{name}\n" in explain("operators") for name in get_args(OperatorName))


def test_a_key_is_found_with_and_without_its_section():
    expected = "learning_rate (η)\n    learning rate. [a number; > 0; required; traced]"
    assert explain("training.learning_rate") == expected
    assert explain("learning_rate") == expected
    assert "an integer or a list of integers" in explain("sweep.seeds")
    assert "a list of lists of strings" in explain("sweep.zip")
    assert "a list of integers" in explain("record.steps")


def test_a_key_of_a_section_comes_before_one_of_a_table_within():
    assert "interval" not in explain("width")
    assert "boundary" not in explain("tolerance")


def test_what_a_choice_needs_has_no_default():
    assert explain("blur_width") == (
        "blur_width\n    standard deviation of the blur's Gaussian. [a number; > 0; needed by "
        "operator = 'blur';\n    unit: samples; traced]"
    )
    assert "default" in explain("momentum")


def test_sections_with_kinds_list_them():
    found = explain("problem")
    assert found.startswith("[problem] has a kind; explain one of:\n  subspace, noisy_subspace,")
    assert all(kind in found for kind in PROBLEMS)
    assert "curves, final, heatmap, spectrum" in explain("figure")
    for key in ("style", "rc", "footer", "colours", "style_by", "row_by", "legend_names", "y_min"):
        assert f"\n{key}\n" in explain("figure")
    assert "the setting on the horizontal axis" in explain("figure.x")


def test_an_observable_is_explained():
    assert explain("loss").startswith("loss: objective (4)")
    # What one's own network is trained by, too.
    assert "c loss(theta) + (lambda/2) ||theta||^2" in " ".join(explain("loss").split())
    assert "singular_values (a vector)" in explain("observables")


@pytest.mark.parametrize(
    ("word", "ending"),
    [
        ("trainign", "'trainign' is not known; did you mean 'training'?"),
        (
            "training.learnin_rate",
            "'training.learnin_rate' is not known; did you mean 'training.learning_rate'?",
        ),
        ("zzz", "'zzz' is not known; `dlnsweep explain` lists what there is."),
        ("\x1b[2J", "'\\x1b[2J' is not known; `dlnsweep explain` lists what there is."),
    ],
)
def test_what_is_not_known_is_refused(word: str, ending: str):
    with pytest.raises(SpecError) as caught:
        explain(word)
    assert str(caught.value) == f"explain: {ending}"
