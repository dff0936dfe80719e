"""Whether an optimizer of a stranger's can be trained with, tried on two small matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dlnsweep.contracts.optimizer import OPTIMIZERS
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.runtime import numerics
from dlnsweep.optimizers.directions import direct, direction_of
from dlnsweep.settings.optimizers import HYPERPARAMETERS, OPTIMIZER_WORDS
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.settings.sentences import raised

# Of turned vectors of twelve numbers in float64, and of roots of sums of their squares.
_ROUNDING = 1e-9


def why_not_optimizer(row: RunSettings) -> str:
    """Return what is wrong with a run's optimizer, as a sentence; empty if nothing is.

    Args:
        row: The run's dotted settings.
    """
    name = row["training.optimizer"]
    if not OPTIMIZER_WORDS.version(name):
        return ""
    with numerics():
        wrong = _why_not(row, name)
        if not wrong and OPTIMIZERS[name].isotropic:
            wrong = _why_not_isotropic(name)
        if not wrong and OPTIMIZERS[name].paddable:
            wrong = why_not_paddable(name)
    return f"training.optimizer '{name}' cannot be trained with: {wrong}" if wrong else ""


def _why_not(row: RunSettings, name: str) -> str:
    dtype = jnp.dtype(row["sweep.precision"])
    keys = [*HYPERPARAMETERS, "learning_rate", "weight_decay", "data_fit_scale"]
    numbers = {key: jax.ShapeDtypeStruct((), dtype) for key in keys}
    params = tuple(jax.ShapeDtypeStruct(shape, dtype) for shape in ((3, 2), (4, 3)))

    def begun(numbers: Any, params: Any) -> Any:
        return jax.tree.map(jnp.asarray, direction_of(name, numbers).init(params))

    def moved(numbers: Any, state: Any, params: Any) -> Any:
        return direct(name, direction_of(name, numbers), params, state, params, _asked(params))

    place = "its init"
    try:
        state = jax.eval_shape(begun, numbers, params)
        place = "its update"
        directions, after = jax.eval_shape(moved, numbers, state, params)
    # Whatever a stranger's function raises.
    except Exception as error:
        return (
            f"{place} fails ({raised(error)}); numbers of others are there only if `reads` names "
            "them."
        )
    if jax.tree.structure(directions) != jax.tree.structure(params):
        return (
            "its update returns another tree than the gradients; it must return one direction for "
            "each of them."
        )
    for found, wanted in zip(directions, params, strict=True):
        if not _alike(found, wanted):
            return (
                f"its update makes a direction {found.dtype} of shape {found.shape} of a gradient "
                f"{wanted.dtype} of shape {wanted.shape}; both must be alike."
            )
    same_tree = jax.tree.structure(after) == jax.tree.structure(state)
    if not same_tree or not all(map(_alike, jax.tree.leaves(after), jax.tree.leaves(state))):
        return "its update returns a state of other shapes or dtypes than it is given; keep them."
    return ""


def _why_not_isotropic(name: str) -> str:
    """Return what is wrong if an optimizer says that it is isotropic, and is not.

    The parameters are one vector: turned, and cut into leaves at another place, it must move as
    before, turned.
    """
    places = jnp.arange(12.0)
    turn = jnp.linalg.qr(jnp.cos(jnp.outer(places, places) + places))[0]
    numbers = _numbers()
    gradients = [jnp.cos((k + 2) * places + k) for k in range(3)]

    def directions(vectors: list[Any], params: Any, cut: int) -> list[Any]:
        def leaves(vector: Any) -> Any:
            return vector[:cut].reshape(2, -1), vector[cut:]

        optimizer: Any = direction_of(name, numbers)
        found = []
        state = optimizer.init(leaves(params))
        for vector in vectors:
            moved, state = optimizer.update(leaves(vector), state, leaves(params))
            found.append(jnp.concatenate([leaf.ravel() for leaf in moved]))
        return found

    params = jnp.sin(places + 1)
    try:
        plain = directions(gradients, params, 8)
        turned = directions([turn @ g for g in gradients], turn @ params, 6)
    # Whatever a stranger's function raises.
    except Exception as error:
        return (
            "it says that it is isotropic, but its update fails on a matrix beside a vector "
            f"({raised(error)}); leave isotropic out."
        )
    apart = [
        float(jnp.linalg.norm(turn @ one - other) / jnp.linalg.norm(one))
        for one, other in zip(plain, turned, strict=True)
    ]
    # NaN is no agreement.
    wrong = [each for each in apart if not each <= _ROUNDING]
    if not wrong:
        return ""
    return (
        "it says that it is isotropic, but turned gradients do not give turned directions (they "
        f"differ by a share of {wrong[0]:.1g}); leave isotropic out."
    )


def why_not_paddable(name: str) -> str:
    """Return what is wrong if an optimizer says that it is paddable, and is not.

    A matrix within a wider one of zeros must move as it does alone, and the zeros must stay.
    """
    small, wide = (3, 2), (5, 4)
    places = jnp.arange(6.0).reshape(small)
    gradients = [jnp.cos((k + 2) * places + k) for k in range(3)]

    def directions(shape: tuple[int, int]) -> list[Any]:
        def within(matrix: Any) -> Any:
            return (jnp.zeros(shape).at[: small[0], : small[1]].set(matrix),)

        optimizer: Any = direction_of(name, _numbers())
        params, found = within(jnp.sin(places + 1)), []
        state = optimizer.init(params)
        for matrix in gradients:
            given = within(matrix), state, params
            (moved,), state = direct(name, optimizer, *given, _asked(params))
            found.append(moved)
        return found

    try:
        alone, padded = directions(small), directions(wide)
    # Whatever a stranger's function raises.
    except Exception as error:
        return (
            f"it says that it is paddable, but its update fails on a matrix with zeros beside it "
            f"({raised(error)}); leave paddable out."
        )
    for one, other in zip(alone, padded, strict=True):
        wanted = jnp.zeros(wide).at[: small[0], : small[1]].set(one)
        if not float(jnp.max(jnp.abs(other - wanted))) <= _ROUNDING * float(jnp.max(jnp.abs(one))):
            return (
                "it says that it is paddable, but zeros without a gradient beside a matrix move, "
                "or move it otherwise; leave paddable out."
            )
    return ""


def _asked(params: Any) -> dict[str, Callable[[], Any]]:
    """Return what an optimizer may ask for, in the precision of the parameters."""
    dtype = jax.tree.leaves(params)[0].dtype
    return {
        "value": lambda: jnp.ones((), dtype),
        "rates": lambda: jax.tree.map(lambda _: jnp.asarray(0.1, jnp.float64), params),
        "key": lambda: (jnp.uint32(1), jnp.uint32(2)),
    }


def _numbers() -> dict[str, Any]:
    known = {"learning_rate": 0.1, "weight_decay": 0.01, "data_fit_scale": 1.0}
    return {key: jnp.asarray(known.get(key, 0.5)) for key in (*HYPERPARAMETERS, *known)}


def _alike(one: Any, other: Any) -> bool:
    return (one.shape, one.dtype) == (other.shape, other.dtype)
