"""Test errors against the noise on the test measurements: `kind = "noise"`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from dlnsweep.contracts.figure import Axis, FigureKind
from dlnsweep.settings.figures import NoiseFigure


class Noise(FigureKind):
    """What a figure over noise levels asks of a sweep."""

    described: ClassVar = True
    of_one_sweep: ClassVar = False
    takes_overlays: ClassVar = True
    several_in: ClassVar = "y"
    entries: ClassVar = "noise levels"
    mixes: ClassVar = "medians"

    def axis(self, figure: Any) -> Axis:
        """Return what stands on the horizontal axis."""
        del figure
        return "noise"

    def wrong_values(self, figure: Any, values: Mapping[str, Sequence[Any]]) -> Iterator[str]:
        """Yield a division by no noise."""
        if not figure.amplification:
            return
        levels = values.get("record.noise_levels", ([1.0],))[0]
        if levels and not any(levels):
            yield "amplification divides by the noise, but record.noise_levels has 0 only."


NOISE = Noise(NoiseFigure, "dlnsweep.figures.kinds.noise:draw_noise")
