"""Colours by night: what a colour that is made for white paper is on dark paper.

Where a reader's screen is dark, greys change their places, black for white, and colours become
lighter by one rule for all, in OKLab (Björn Ottosson, 2020), so that those of an order keep it.
What shows numbers by colour over a range, the cells of a heatmap and their bar, stays as it is: it
is read against its bar, not against paper.
"""

from __future__ import annotations

# OKLab's lightness of the paper and ink by night of pages (`page.css`).
PAPER, INK = 0.21, 0.92
# Of the darkest colour by night: four and a half times as light as the paper, as WCAG counts.
DARKEST = 0.62
# Below it nobody sees a hue.
_GREY = 0.02
_TO_LMS = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
_TO_LAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
_FROM_LAB = (
    (1.0, 0.3963377774, 0.2158037573),
    (1.0, -0.1055613458, -0.0638541728),
    (1.0, -0.0894841775, -1.2914855480),
)
_FROM_LMS = (
    (4.0767416621, -3.3077115913, 0.2309699292),
    (-1.2684380046, 2.6097574011, -0.3413193965),
    (-0.0041960863, -0.7034186147, 1.7076147010),
)


# Of what is written on dark paper.
INK_COLOUR = "#e7e4dd"


def by_night(colour: str) -> str:
    """Return what a colour is on dark paper.

    Args:
        colour: As #rrggbb.
    """
    light, a, b = _lab(colour)
    if a * a + b * b < _GREY**2:
        # A power below one, so that the grey of small print is as easily read as on white paper.
        return _hex(PAPER + (INK - PAPER) * (1 - light) ** 0.7, 0.0, 0.0)
    return _hex(DARKEST + (1 - DARKEST) * light, a, b)


def _lab(colour: str) -> tuple[float, float, float]:
    linear = [_linear(int(colour[i : i + 2], 16) / 255) for i in (1, 3, 5)]
    roots = [max(0.0, each) ** (1 / 3) for each in _times(_TO_LMS, linear)]
    light, a, b = _times(_TO_LAB, roots)
    return light, a, b


def _hex(light: float, a: float, b: float) -> str:
    """Return the colour; of less chroma, step by step, where a screen has no such."""
    linear: list[float] = []
    for part in range(20, -1, -1):
        roots = _times(_FROM_LAB, [light, a * part / 20, b * part / 20])
        linear = _times(_FROM_LMS, [each**3 for each in roots])
        if all(-1e-3 <= each <= 1.001 for each in linear):
            break
    levels = [round(255 * min(1.0, max(0.0, _encoded(each)))) for each in linear]
    return "#" + "".join(f"{each:02x}" for each in levels)


def _times(matrix: tuple[tuple[float, ...], ...], vector: list[float]) -> list[float]:
    return [sum(x * y for x, y in zip(row, vector, strict=True)) for row in matrix]


def _linear(share: float) -> float:
    """Return the light of a channel of sRGB."""
    return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4


def _encoded(light: float) -> float:
    return 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055
