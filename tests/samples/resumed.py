"""A sweep that is stopped and goes on, in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlnsweep


def assert_goes_on(own: Any, folder: Path) -> None:
    """Assert that a sweep which is stopped after some segments and resumed loses no bit."""
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 3

    whole = dlnsweep.run(own, folder / "whole", workers=0)
    with pytest.raises(dlnsweep.Interrupted):
        dlnsweep.run(own, folder / "parts", workers=0, should_stop=stop)
    told: list[str] = []
    parts = dlnsweep.run(
        own, folder / "parts", workers=0, on_event=lambda event: told.append(event.kind)
    )
    assert "resumed" in told
    np.testing.assert_array_equal(parts.curves()["loss"], whole.curves()["loss"])
