"""How the learning rate changes during a run: its factor s(t) on eta.

With w warm-up steps, D = schedule_steps, e = schedule_end, k = schedule_stages and
u = min((t - w) / (D - w), 1) the part of the schedule that is over,

    t < w          s = t / w
    constant       s = 1
    linear         s = 1 - (1 - e) u
    cosine         s = e + (1 - e) (1 + cos(pi u)) / 2          (Loshchilov and Hutter 2017,
                                                                 arXiv:1608.03983, eq. (5))
    exponential    s = e^u
    steps          s = e^(floor(k u) / k)

These are optax's `join_schedules` of `linear_schedule` from 0 and of `linear_schedule`,
`cosine_decay_schedule`, `exponential_decay` and `piecewise_constant_schedule`, whose own functions
take no traced numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dlnsweep.numerics.lazy import jnp

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Int

# What a schedule reads of [training].
NUMBERS = ("warmup_steps", "schedule_steps", "schedule_end", "schedule_stages")


def learning_rate_factor(
    schedule: str, warms_up: bool, numbers: Mapping[str, Float[Array, ""]], step: Int[Array, ""]
) -> Float[Array, ""] | float:
    """Return s(t), float64.

    Args:
        schedule: Its name.
        warms_up: Whether there is a warm-up; if not, `warmup_steps` is not read.
        numbers: `NUMBERS` by name, float64; those that the schedule does not read may be anything.
        step: t.
    """
    if schedule == "constant" and not warms_up:
        return 1.0
    now = jnp.asarray(step, jnp.float64)
    warmup = numbers["warmup_steps"] if warms_up else 0.0
    factor = jnp.ones((), jnp.float64)
    if schedule != "constant":
        over = jnp.clip((now - warmup) / (numbers["schedule_steps"] - warmup), 0.0, 1.0)
        factor = _factor(schedule, over, numbers)
    return jnp.where(now < warmup, now / jnp.maximum(warmup, 1.0), factor) if warms_up else factor


def _factor(
    schedule: str, over: Float[Array, ""], numbers: Mapping[str, Float[Array, ""]]
) -> Float[Array, ""]:
    end = numbers["schedule_end"]
    if schedule == "linear":
        return 1 - (1 - end) * over
    if schedule == "cosine":
        return end + (1 - end) * (1 + jnp.cos(jnp.pi * over)) / 2
    if schedule == "exponential":
        return end**over
    stages = numbers["schedule_stages"]
    # What a division rounds down must not fall short of the stage that it has reached.
    return end ** (jnp.floor(stages * over * (1 + 1e-12)) / stages)
