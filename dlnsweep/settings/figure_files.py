"""The names of the files that a sweep's figures are written to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def file_stems(figures: Sequence[Any]) -> list[str]:
    """Return a file stem for each figure of a sweep, different from all others.

    A figure without `file` is named by its kind, a second one of a kind "curves-2" and so on.
    """
    taken = {figure.file for figure in figures if figure.file is not None}
    stems: list[str] = []
    for figure in figures:
        stem, number = figure.file or figure.kind, 1
        while figure.file is None and stem in taken:
            number += 1
            stem = f"{figure.kind}-{number}"
        taken.add(stem)
        stems.append(stem)
    return stems
