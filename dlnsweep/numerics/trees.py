"""Names of the leaves of trees of parameters."""

from __future__ import annotations

from typing import Any


def name_of(path: Any) -> str:
    """Return the name of a leaf of a tree of parameters by the way to it.

    What is no dictionary or record at the top is called "weights".
    """
    text = ""
    for key in path:
        if hasattr(key, "idx"):
            text = f"{text or 'weights'}[{key.idx}]"
        else:
            own = getattr(key, "key", getattr(key, "name", key))
            text = f"{text}.{own}" if text else str(own)
    return text or "weights"
