"""What a formula is that a figure can draw beside measured curves. Imports no NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dlnsweep.settings.warm_start import WARM_START
from dlnsweep.theory.setup import Setup, is_decoupled, is_met

if TYPE_CHECKING:
    import numpy as np

Values = Callable[[Setup, "np.ndarray"], "np.ndarray"]


@dataclass(frozen=True)
class TheoryCurve:
    """A formula to be drawn.

    Attributes:
        observables: In the panels of which observables.
        label: What the legend says.
        text: What it is, with its source.
        values: From a run and steps to the formula's values; of a vertical line to its one step.
        needs: Settings with the values that the formula is for.
        vertical: Whether it is a step, drawn as a vertical line.
        any_start: Whether it is for runs that begin with given weights, too.
        setting: The setting of which it is a value, such as the largest learning rate: a line over
            the cells of a heatmap with that setting on an axis; it stands beside no observable.
        coupled: Whether it is for weight decay that is part of the gradient, not AdamW's.
        by_seed: Whether it is about each seed's own samples, drawn again: the run's settings have
            `seed` then, and what is drawn is the median over the seeds.
    """

    observables: tuple[str, ...]
    label: str
    text: str
    values: Values
    needs: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    vertical: bool = False
    any_start: bool = False
    setting: str = ""
    coupled: bool = False
    by_seed: bool = False

    def why_not(self, settings: Mapping[str, Sequence[Any]]) -> str:
        """Return which setting it needs and none of the values is; empty if there is none."""
        given = settings.get(WARM_START, ())
        if not self.any_start and given and not any(is_met(value, ("",)) for value in given):
            return "is for runs that begin with weights drawn"
        if self.coupled and all(map(is_decoupled, settings.get("training.optimizer") or ("",))):
            return "is for weight decay that is part of the gradient"
        for name, allowed in self.needs.items():
            present = settings.get(name)
            if present is not None and not any(is_met(value, allowed) for value in present):
                wanted = " or ".join(_shown(value) for value in allowed)
                return f"is for {name} = {wanted}"
        return ""


def _shown(value: Any) -> str:
    return f"'{value}'" if isinstance(value, str) else f"{value:g}"
