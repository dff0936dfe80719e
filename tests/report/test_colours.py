"""Colours by night: read on dark paper, in the order that they have by day."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_hex, to_rgb

import dlnsweep.report
from dlnsweep.figures.looks import OKABE_ITO
from dlnsweep.figures.night import by_night
from dlnsweep.report.colours import rules_by_night


def luminance(colour: str) -> float:
    """Return WCAG 2's relative luminance of a colour."""
    share = np.array(to_rgb(colour))
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    """Return WCAG 2's contrast of two colours, from 1 to 21."""
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.fixture(scope="module")
def paper() -> str:
    """Return the paper of the page by night."""
    style = Path(dlnsweep.report.__file__).with_name("templates") / "page.css"
    dark = style.read_text(encoding="utf-8").partition("prefers-color-scheme: dark")[2]
    found = re.search(r"--paper: (#[0-9a-f]{6})", dark)
    assert found
    return found[1]


def test_colours_are_seen_on_dark_paper_and_keep_their_order(paper: str) -> None:
    ordered = [to_hex(each) for each in colormaps["viridis"](np.linspace(0, 1, 40))]
    night = [by_night(each) for each in ordered]
    # WCAG asks for 3 of what is drawn, and for 4.5 of texts.
    assert min(contrast(each, paper) for each in night) > 4.5
    assert (np.diff([luminance(each) for each in night]) > 0).all()
    assert len(set(night)) == 40
    named = [by_night(to_hex(each)) for each in OKABE_ITO]
    assert min(contrast(each, paper) for each in named) > 3
    assert len(set(named)) == len(OKABE_ITO)


def test_greys_change_their_places(paper: str) -> None:
    greys = [f"#{level:02x}{level:02x}{level:02x}" for level in range(0, 256, 15)]
    night = [luminance(by_night(each)) for each in greys]
    assert (np.diff(night) < 0).all()
    assert contrast(by_night("#ffffff"), paper) < 1.1
    assert contrast(by_night("#000000"), paper) > 12
    # The small print, and lines of a grid, which shall not be loud.
    assert contrast(by_night("#595959"), paper) > 4.5
    assert contrast(by_night("#e6e6e6"), paper) < 2


def test_rules_are_of_colours_that_pictures_have_and_of_nothing_else() -> None:
    text = rules_by_night(['<path fill="#440154" stroke="none"/>', '<path stroke="#ffffff}x{"/>'])
    assert text.count("[") == text.count("]") == 1
    assert f'[fill="#440154"]:not(.as-drawn *) {{ fill: {by_night("#440154")}; }}' in text
    assert "screen" in text
    assert rules_by_night([]) == ""
