"""How long a run has waited for an improvement: `training.stop_when.patience`."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Array, Bool, Float, Int

from dlnsweep.numerics.lazy import jnp
from dlnsweep.settings.stop_when import StopWhen


class Waiting(NamedTuple):
    """Where a run stands.

    Attributes:
        best: The best value that was recorded, as one to minimise; inf before there is one.
        records: The records since then.
    """

    best: Float[Array, ""]
    records: Int[Array, ""]


def begun(condition: StopWhen | None) -> Waiting | None:
    """Return where a run stands before its first record; None where nothing is waited for."""
    if condition is None or condition.patience is None:
        return None
    return Waiting(jnp.full((), jnp.inf, jnp.float64), jnp.zeros((), jnp.int64))


def looked(
    condition: StopWhen, waiting: Waiting, value: Float[Array, ""], looks: Bool[Array, ""]
) -> tuple[Waiting, Bool[Array, ""]]:
    """Return where a run stands after a record, and whether that ends it.

    A value v improves on the best one b if v < b - threshold |b|; the first one improves on none.
    A value that is no number improves nothing.

    Args:
        condition: What ends the run.
        waiting: Where it stood.
        value: What was recorded.
        looks: Whether anything was, of a run that has not ended.
    """
    assert condition.patience is not None
    sign = -1.0 if condition.direction == "maximise" else 1.0
    value = sign * value.astype(jnp.float64)
    first = jnp.isinf(waiting.best)
    margin = jnp.where(first, 0.0, condition.threshold * jnp.abs(waiting.best))
    better = looks & (value < waiting.best - margin)
    records = jnp.where(better, 0, waiting.records + looks)
    waiting = Waiting(jnp.where(better, value, waiting.best), records)
    return waiting, looks & (records >= condition.patience)
