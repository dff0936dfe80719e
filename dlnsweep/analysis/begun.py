"""What is said of results in which nothing is done yet."""

from __future__ import annotations

from typing import Any

from dlnsweep.errors import StoreError


def check_begun(results: Any, runs: Any) -> None:
    """Refuse results of which no run is done.

    Args:
        results: The results.
        runs: Of `Results.runs`.

    Raises:
        StoreError: If none is done: what was recorded nobody can tell from the runs then.
    """
    if (runs["status"] == "planned").all():
        raise StoreError(
            f"{results.path}: none of its {len(runs)} runs is done yet, so that there is nothing "
            "to tell; carry on with `dlnsweep run`."
        )
