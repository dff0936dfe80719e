"""Figures of registered kinds: a control is carried out by the drawing, on its axes, or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest
from figure_samples import KINDS, of_every_kind
from matplotlib.figure import Figure as Canvas

from dlnsweep.contracts.figure import FIGURES, read_figure, register_figure
from dlnsweep.errors import SpecError
from dlnsweep.figures import carrying_out, looks
from dlnsweep.figures.canvas import encoded
from dlnsweep.figures.draw import draw
from dlnsweep.settings.figure_keys import Panelled, ends_of
from dlnsweep.settings.figure_look import Figure


class Plain(Figure):
    """Two panels of nothing."""

    kind: Literal["plain"] = "plain"
    value: str = "loss"


class WithY(Panelled):
    """The same, of observables."""

    kind: Literal["with_y"] = "with_y"
    y: tuple[str, ...] = ("loss",)


class Rich(Panelled):
    """The same, with the keys of this package's own kinds."""

    kind: Literal["rich"] = "rich"


class Odd(Panelled):
    """The same, whose y is what only its drawing knows."""

    kind: Literal["odd"] = "odd"
    y: float | dict[str, int] | tuple[int, ...] | None = None


def panels(_: Any, keys: Any) -> Canvas:
    canvas = Canvas(figsize=(3, 2))
    for ax in canvas.subplots(1, 2):
        ax.plot([1, 2], [3, 4])
        ax.set_xlabel(getattr(keys, "value", "own"))
    return canvas


def titled(results: Any, keys: Any) -> Canvas:
    canvas = panels(results, keys)
    canvas.axes[0].set_title(keys.title or "none")
    return canvas


@pytest.fixture
def known() -> Iterator[Callable[..., Any]]:
    """Register kinds, and forget them."""
    before = set(FIGURES)
    yield register_figure
    for kind in set(FIGURES) - before:
        del FIGURES[kind]


def drawn(**keys: Any) -> Any:
    return draw(of_every_kind(), read_figure(keys))


def test_what_the_drawing_does_not_look_at_is_put_on_its_axes(known: Any) -> None:
    known(Plain, panels)
    known(Rich, panels)
    bare = drawn(kind="plain", value="error")
    assert (bare.get_suptitle(), bare.axes[0].get_xlabel()) == ("", "error")
    assert tuple(bare.get_size_inches()) == (3, 2)
    figure = drawn(kind="plain", title="Mine", width_inches=5.0, height_inches=4.0, dpi=77)
    assert (figure.get_suptitle(), figure.dpi) == ("Mine", 77)
    assert tuple(figure.get_size_inches()) == (5, 4)
    ends = {"x_min": 0.5, "y_min": 1.0, "y_max": 9.0}
    figure = drawn(
        kind="rich", width="aps_column", x_label="across", y_label="up", letters=True, **ends
    )
    assert tuple(figure.get_size_inches()) == (3.375, 2)
    for ax, letter in zip(figure.axes, "ab", strict=True):
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("across", "up")
        assert ax.get_title("left") == f"({letter})"
        assert ax.get_xlim()[0] == 0.5
        assert ax.get_ylim() == (1, 9)


def test_tables_of_ends_are_of_observables_that_are_drawn(known: Any) -> None:
    def cut(results: Any, keys: Any) -> Canvas:
        canvas = panels(results, keys)
        canvas.axes[0].set_ylim(*ends_of(keys, "loss"))
        return canvas

    # Its drawing looks at the ends, and would not know what to do with a table.
    known(Rich, lambda results, keys: panels(results, keys).axes[0].set_ylim(keys.y_min))
    known(WithY, cut)
    for key in ("y_min", "y_max"):
        with pytest.raises(SpecError, match=rf"^figure.{key} is a table, but kind = 'rich' has"):
            drawn(kind="rich", **{key: {"loss": 1.0}})
        with pytest.raises(SpecError, match=rf"^figure.{key} names 'error', which is not drawn"):
            drawn(kind="with_y", **{key: {"error": 1.0}})
    with pytest.raises(SpecError, match="the first must be smaller than the second"):
        drawn(kind="rich", x_min=2.0, x_max=1.0)
    figure = drawn(kind="with_y", y_min={"loss": 1.0}, y_max={"loss": 5.0})
    assert figure.axes[0].get_ylim() == (1, 5)


@pytest.mark.parametrize("y", [None, 3.0, {"a": 1}, (1, 2)])
def test_y_may_be_anything_but_observables(known: Any, y: Any) -> None:
    known(Odd, panels)
    assert drawn(kind="odd", y=y, y_max=9.0).axes[0].get_ylim()[1] == 9
    with pytest.raises(SpecError, match="y_max is a table, but kind = 'odd' has one axis"):
        drawn(kind="odd", y=y, y_max={"loss": 9.0})


def test_what_it_looks_at_is_its_own_business(known: Any) -> None:
    known(Plain, titled)
    figure = drawn(kind="plain", title="Mine")
    assert (figure.axes[0].get_title(), figure.get_suptitle()) == ("Mine", "")
    # The keys that it is handed are of its own class.
    known(Rich, lambda _, keys: panels(_, keys) if isinstance(keys, Rich) else None)
    assert len(drawn(kind="rich").axes) == 2


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"kind": "plain", "where": {"network.depth": 3}}, ["where"]),
        ({"kind": "rich", "hue": "network.depth", "footer": False}, ["footer", "hue"]),
        ({"kind": "with_y", "y_min": {"loss": 1.0}}, ["y_min"]),
        ({"kind": "rich", "legend": "right"}, ["legend"]),
    ],
)
def test_what_nobody_can_carry_out_is_refused(
    known: Any, keys: dict[str, Any], named: list[str]
) -> None:
    for settings in (Plain, Rich, WithY):
        known(settings, panels)
    with pytest.raises(SpecError) as raised:
        drawn(**keys)
    told = str(raised.value)
    assert told.count("does not look at it; leave it out.") == len(named)
    assert all(f"figure.{key} is given, but what draws figures of kind" in told for key in named)


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_this_package_are_drawn_as_a_strangers_are(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = read_figure({"kind": kind, "dpi": 50, **KINDS[kind]})
    looked_at: list[set[str]] = []
    watched = carrying_out._watched

    def noted(settings: Any, read: set[str]) -> Any:
        looked_at.append(read)
        return watched(settings, read)

    monkeypatch.setattr(carrying_out, "_watched", noted)
    made = draw(of_every_kind(), keys)
    monkeypatch.undo()
    with looks.styled():
        alone = FIGURES[kind].drawing()(of_every_kind(), keys)
    assert encoded(alone, "png") == encoded(made, "png")
    # x of curves is the step, whatever it says.
    (read,) = looked_at
    assert set(type(keys).model_fields) - read - carrying_out._ELSEWHERE <= {"x"}
