"""What stands beside the curves: words for values, symbols, numbers and ticks."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
from figure_samples import DECAY, make_tables
from matplotlib.figure import Figure

from dlnsweep.contracts.figure import read_figure
from dlnsweep.contracts.observable import OBSERVABLES
from dlnsweep.figures.draw import draw
from dlnsweep.figures.labels import observable_label, setting_label, words_of
from dlnsweep.theory.curves import THEORY_CURVES


def drawn(tables: Any, **table: Any) -> Figure:
    return draw(tables, read_figure({"kind": "curves", "y": "loss"} | table))


def small_print(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.texts)


def of_kind(problem: str, network: str, **settings: Any) -> Any:
    tables = make_tables()
    kinds = {"problem.kind": problem, "network.kind": network}
    for name, value in (kinds | settings).items():
        tables.run_table[name] = value
    return tables


def test_a_full_batch_is_no_minibatch_of_size_0():
    tables = make_tables()
    tables.run_table["training.minibatch_size"] = (tables.run_table["seed"] % 3) * 16
    keys = {"where": {"training.minibatch_size": [0, 16, 32]}}
    (legend,) = drawn(tables, hue="training.minibatch_size", **keys).legends
    assert [text.get_text() for text in legend.get_texts()] == ["all samples", "16", "32"]
    panels = drawn(tables, panel_by="training.minibatch_size").axes
    titles = [ax.get_title() for ax in panels if ax.get_title()]
    assert titles == ["minibatch size all samples", "minibatch size 16", "minibatch size 32"]


@pytest.mark.parametrize(
    ("problem", "network", "said"),
    [
        ("subspace", "deep_linear", True),
        ("deep_prior", "deep_prior", False),
        ("matrix_completion", "deep_linear", False),
    ],
)
def test_parts_that_a_loss_does_not_have_are_not_named(problem: str, network: str, said: bool):
    unused = {"training.weight_decay": 0.0, "training.data_fit_scale": 1.0}
    text = small_print(drawn(of_kind(problem, network, **unused)))
    assert ("$λ$ = 0" in text) == said
    assert ("$c$ = 1" in text) == said
    used = {"training.weight_decay": 0.5, "training.data_fit_scale": 2.0}
    text = small_print(drawn(of_kind(problem, network, **used)))
    assert "$λ$ = 0.5" in text
    assert "$c$ = 2" in text


def test_shared_numbers_have_few_digits():
    tables = make_tables()
    tables.run_table["training.learning_rate"] = 10**-3.5
    tables.run_table["problem.signal_dim"] = 123456
    text = small_print(drawn(tables))
    assert r"$η$ = $3.162\times10^{-4}$" in text
    # A whole number is a count.
    assert "$d$ = 123456" in text


def test_settings_with_one_symbol_are_told_apart_by_words() -> None:
    tables = make_tables()
    tables.run_table["training.label_noise"] = 0.5
    assert "  $σ$ = 0.5" in small_print(drawn(tables))
    tables.run_table["problem.measurement_noise"] = 0.5
    text = small_print(drawn(tables))
    assert "measurement noise $σ$ = 0.5" in text
    assert "label noise $σ$ = 0.5" in text


def test_a_letter_that_is_spelled_stands_once() -> None:
    assert setting_label("training.gamma") == "$γ$"


def test_numbers_of_optimizers_are_called_what_they_are() -> None:
    """Lion's and Adan's beta2 are no decays of second moments, as they were called."""
    assert setting_label("training.beta2") == "second-moment decay $β₂$"
    assert setting_label("training.lion_beta2") == "decay of the kept average $β₂$"
    assert setting_label("training.adan_beta2") == "gradient-difference decay $β₂$"
    assert setting_label("training.adan_beta3") == "second-moment decay $β₃$"


@pytest.mark.parametrize(
    ("problem", "symbol"),
    [("subspace", r"{range}(Y)"), ("noisy_subspace", r"{range}(Y_{\mathrm{clean}})")],
)
def test_the_range_is_that_of_the_clean_measurements(problem: str, symbol: str):
    with words_of(of_kind(problem, "deep_linear").runs()):
        for name in ("off_subspace_error", "first_layer_off_range"):
            assert symbol in observable_label(name)


def test_tick_labels_of_narrow_panels_do_not_collide():
    for keys in (
        {"y": ["loss", "regression_error"], "panel_by": "network.depth"},
        {"y": ["loss", "regression_error"], "width_inches": 3.4},
        {"y": ["loss", "regression_error"]},
        {"width_inches": 1.5, "height_inches": 3.0},
    ):
        figure = drawn(make_tables(), **keys)
        figure.canvas.draw()
        for ax in figure.axes:
            shown = [t for t in ax.get_xticklabels() if t.get_visible() and t.get_text()]
            assert shown[0].get_text() == "0"
            # A wide panel has both.
            assert shown[1].get_text() == "$10^{0}$" or ax.get_position().width < 0.4
            boxes = [text.get_window_extent() for text in shown]
            assert all(left.x1 < right.x0 for left, right in pairwise(boxes)), keys


@pytest.mark.parametrize(
    ("low", "high", "x_scale"),
    [(1e-4, 100.0, "log"), (1e-7, 1e-2, "log"), (2e-4, 9e-4, "log"), (3e-4, 2e-2, "log"),
     (1e-4, 3e-4, "log"), (12345.0, 98765.0, "linear"), (1e-5, 9e-5, "linear")],
)  # fmt: skip
@pytest.mark.parametrize("width", [6.9, 6.0])
def test_labels_of_values_stand_clear_of_each_other(low, high, x_scale: str, width: float):
    tables = make_tables()
    decay = "training.weight_decay"
    places = {0.001: low, 0.01: (low * high) ** 0.5, 0.1: high}
    tables.run_table[decay] = tables.run_table[decay].map(places)
    # Each width of a panel has its own ticks.
    tables.run_table["problem.signal_dim"] = tables.run_table["seed"] % 4
    figure = drawn(
        tables, kind="final", x=decay, panel_by="problem.signal_dim", width_inches=width,
        x_scale=x_scale,
    )  # fmt: skip
    figure.canvas.draw()
    for ax in figure.axes:
        shown = [text for text in ax.get_xticklabels() if text.get_text()]
        left, right = ax.get_xlim()
        boxes = [t.get_window_extent() for t in shown if left <= t.get_position()[0] <= right]
        assert boxes
        clear = 0.05 * figure.dpi
        assert all(one.x1 + clear < other.x0 for one, other in pairwise(boxes))


def test_signs_of_labels_are_no_hyphens():
    labels = [curve.label for curve in THEORY_CURVES.values()]
    labels += [observable.label for observable in OBSERVABLES.values()]
    for label in labels:
        # In mathematics a hyphen is set as the sign.
        words = re.sub(r"\$[^$]*\$", "", label)
        assert not re.search(r"(?:^|[\s(^])-(?:[\s\dA-Za-z]|$)|\d-\d", words), label


LONG = "the relative error of the network on its own training samples, and this is said at length"


@pytest.mark.parametrize(
    "keys",
    [
        {"kind": "curves", "y": "loss", "hue": DECAY},
        {"kind": "curves", "y": "loss", "hue": DECAY, "height_inches": 2.6},
        {"kind": "curves", "y": "loss", "row_by": "network.depth"},
        {"kind": "heatmap", "x": DECAY, "y": "network.depth", "value": "loss", "value_label": LONG},
    ],
)
def test_long_labels_stay_within_the_figure(keys: dict[str, Any]) -> None:
    figure = drawn(make_tables(), **keys, x_label=LONG, y_label=LONG)
    figure.draw_without_rendering()
    labels = [label for ax in figure.axes for label in (ax.xaxis.label, ax.yaxis.label)]
    long = [each for each in labels if each.get_text().replace("\n", " ") == LONG]
    assert len(long) >= 2
    for label in long:
        box = label.get_window_extent()
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1
        # Nor do they cover what stands above the panels and below.
        for text in figure.texts:
            assert not box.overlaps(text.get_window_extent())
