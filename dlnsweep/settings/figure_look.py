"""The keys of `[figure]` that say what a figure looks like, of every kind.

Read whenever a sweep file is checked, so nothing here may import matplotlib, pandas or NumPy.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_serializer

from dlnsweep.settings.base import Describe, Settings

# What journals and conferences give a figure, in inches.
WIDTHS = {
    "one_column": 3.4,
    "two_columns": 6.9,
    "neurips": 5.5,
    "iclr": 5.5,
    "jmlr": 6.0,
    "icml_column": 3.25,
    "icml_page": 6.75,
    "aps_column": 3.375,
    "aps_page": 7.0,
    "ieee_column": 3.5,
    "ieee_page": 7.16,
    "nature_column": 3.5,
    "nature_page": 7.2,
    "elsevier_column": 3.54,
    "elsevier_page": 7.48,
}
# Keys that figures of earlier versions did not have.
LATER = {
    "style", "rc", "width", "footer", "source", "x_label", "y_label", "colours", "style_by",
    "legend", "legend_title", "legend_names", "row_by", "column_by", "letters", "value_label",
    "value_min", "value_max",
}  # fmt: skip
Width = Literal[
    "one_column", "two_columns", "neurips", "iclr", "jmlr", "icml_column", "icml_page",
    "aps_column", "aps_page", "ieee_column", "ieee_page", "nature_column", "nature_page",
    "elsevier_column", "elsevier_page",
]  # fmt: skip


def outside(text: str, symbol: str = "", unit: str = "") -> Describe:
    """Return what a key of a figure is: it never reaches a program."""
    return Describe("outside", text, symbol, unit, axis=False)


def _read_list(value: Any) -> Any:
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("it must be a list with at least one value")
    return tuple(value)


def _read_where(value: Any) -> Any:
    if not isinstance(value, dict):
        raise ValueError('it must be a table of settings, such as { "network.depth" = 3 }')
    table = {}
    for name, wanted in value.items():
        values = tuple(wanted) if isinstance(wanted, list | tuple) else (wanted,)
        if not values or not all(isinstance(each, bool | int | float | str) for each in values):
            raise ValueError(f"'{name}' must have a number, a string, true or false, or a list")
        table[name] = values
    return table


def read_texts(value: Any) -> Any:
    """Return a table of texts as it is."""
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise ValueError('it must be a table of texts, such as { "0.1" = "strong" }')
    return value


def _read_label(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, dict):
        raise ValueError('it must be a text, or a table such as { loss = "training loss" }')
    return read_texts(value)


def _read_colours(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list | tuple) and value and all(isinstance(c, str) for c in value):
        return tuple(value)
    raise ValueError(
        "it must be the name of a colour map, such as 'viridis', or a list of colours, such as "
        "['black', '#D55E00']"
    )


def _read_rc(value: Any) -> Any:
    if not isinstance(value, dict):
        raise ValueError('it must be a table, such as { "font.size" = 9 }')
    # TOML reads font.size = 9 without quotes as a table in a table.
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict):
            flat |= {f"{key}.{inner}": each for inner, each in _read_rc(item).items()}
        else:
            flat[key] = item
    for key, item in flat.items():
        for each in item if isinstance(item, list | tuple) else (item,):
            if not isinstance(each, bool | int | float | str):
                raise ValueError(f"'{key}' must have a number, a string, true or false, or a list")
    return {key: list(item) if isinstance(item, tuple) else item for key, item in flat.items()}


Formats = Annotated[tuple[Literal["png", "pdf", "svg"], ...], BeforeValidator(_read_list)]
Where = Annotated[dict[str, tuple[bool | int | float | str, ...]], BeforeValidator(_read_where)]


Label = Annotated[str | dict[str, str] | None, BeforeValidator(_read_label)]
Colours = Annotated[str | tuple[str, ...] | None, BeforeValidator(_read_colours)]
Rc = Annotated[dict[str, Any], BeforeValidator(_read_rc)]


class Figure(Settings):
    """The keys that every kind of figure has."""

    title: Annotated[
        str | None, outside("the line above; the sweep's name if absent, nothing if empty")
    ] = None
    file: Annotated[
        str | None,
        Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"),
        outside("the file's name without its ending; the kind if absent"),
    ] = None
    formats: Annotated[Formats, outside("the files to write: png, pdf, svg")] = ("png", "pdf")
    width_inches: Annotated[
        float | None,
        Field(ge=1.5, le=30),
        outside("width; a column (3.4) for one panel, a page (6.9) for more if absent", "", "in"),
    ] = None
    height_inches: Annotated[
        float | None,
        Field(ge=1.2, le=40),
        outside(
            "height, or more where panels would have no room; from their rows if absent", "", "in"
        ),
    ] = None
    dpi: Annotated[int, Field(ge=50, le=1200), outside("resolution of the PNG", "", "1/in")] = 300
    where: Annotated[
        Where,
        Field(default_factory=dict),
        outside("draw only runs with these values: a setting = a value or several"),
    ]
    style: Annotated[
        str | None,
        outside(
            "a Matplotlib style file, or a style that Matplotlib knows: its fonts, lines, ticks, "
            "grid and legend (size, dpi and colours are keys of their own); kept with the results "
            "as rc, so that the file is not needed again"
        ),
    ] = None
    rc: Annotated[
        Rc,
        Field(default_factory=dict),
        outside('Matplotlib\'s own settings, such as { "font.size" = 9, "axes.grid" = false }'),
    ]

    @model_serializer(mode="wrap")
    def _as_before(self, handler: Any) -> dict[str, Any]:
        """Leave out what a figure does not say: folders of earlier versions stay what they are."""
        fields = type(self).model_fields
        return {
            key: value
            for key, value in handler(self).items()
            if key not in LATER
            or getattr(self, key) != fields[key].get_default(call_default_factory=True)
        }


class Framed(Figure):
    """What every kind of this package has: its frame, its labels and its colours."""

    width: Annotated[
        Width | None, outside("the width of a journal's column or page, by its name")
    ] = None
    footer: Annotated[
        bool,
        outside(
            "whether the small print stands below: settings, number of runs, what marks mean; "
            "without it `.caption` has it in Python, and the file's metadata does"
        ),
    ] = True
    source: Annotated[bool, outside("whether the sweep's source stands below the title")] = True
    x_label: Annotated[
        str | None, outside("what stands at the horizontal axis; nothing if empty")
    ] = None
    y_label: Annotated[
        Label,
        outside(
            "what stands at the vertical axis; of several observables a table, such as "
            '{ loss = "training loss" }'
        ),
    ] = None
    colours: Annotated[
        Colours,
        outside("a list of colours, one a value of the hue, or the name of a colour map"),
    ] = None
