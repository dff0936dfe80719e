"""Whether a network is as its `Structure.input_axes` says, tried before any run is written.

At parameters of the network on the span that are drawn at random, not those of step 0, where much
is zero: the network itself, at the parameters that they stand for, must give the same outputs on
the training inputs and on fresh ones, and name the same learning rates and leaves that are trained.
"""

from __future__ import annotations

from typing import Any

from dlnsweep.contracts.network import REDUCED_INPUTS
from dlnsweep.contracts.problem import is_by_law, with_drawn_inputs
from dlnsweep.errors import SpecError
from dlnsweep.networks.generic.draw import Drawn
from dlnsweep.networks.generic.trial import why_not_recorded
from dlnsweep.networks.reduced_inputs.coordinates import Frame, lifted, reduce_fresh, reduce_params
from dlnsweep.networks.reduced_inputs.draw import SpanDrawing
from dlnsweep.networks.reduced_inputs.law_claim import WrongLaw, try_law
from dlnsweep.networks.reduced_inputs.network import axes_of, replaced
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.products import multiply
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.streams import gaussian, purpose_key
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.settings.sentences import raised

# Rounding of a prediction in float64, over the size of all outputs; a claim that is false is
# off by a share of them.
_ROUNDING = 1e-8
# How far the parameters are drawn from those of step 0, relative to a weight of size 1.
_FAR = 0.3
_FRESH = 3
_PURPOSE = "trial/reduced_inputs"


class _Wrong(Exception):  # noqa: N818 - a sentence
    """What is wrong with the claim."""


def check_row(row: RunSettings, *, computed: bool = True) -> None:
    """Refuse a run that has nothing to reduce, or whose network is not what it says.

    Args:
        row: The run's dotted settings.
        computed: Whether outputs are compared, for which the run is drawn.

    Raises:
        SpecError: If it has nothing to reduce, or is not.
    """
    drawing: Any = SpanDrawing.from_row(row, row.get("network.width") or 1)
    inputs, rank = row["problem.measurement_dim"], drawing.rank
    asked = f'sweep.kernel is "{REDUCED_INPUTS}"'
    if row["sweep.kernel"] == "auto":
        asked = f'sweep.kernel is "auto", which takes "{REDUCED_INPUTS}" here'
    if is_by_law(row):
        _check_law(row, drawing, asked)
        if computed:
            _try_law(row, drawing)
            check_row(with_drawn_inputs(row))
        return
    if inputs <= rank:
        raise SpecError(
            f"{asked}, and there is nothing to reduce: problem.measurement_dim is {inputs}, and "
            f"the training inputs can span as many dimensions. Take "
            'sweep.kernel = "generic".'
        )
    try:
        with numerics():
            if computed:
                _try(row, drawing)
    except _Wrong as wrong:
        raise SpecError(
            f"{asked}, for which network.kind '{row['network.kind']}' says by its "
            f"structure.input_axes that it knows inputs by products with some of its parameters "
            f'only; that is not so: {wrong} Correct what it says, or take sweep.kernel = "generic".'
        ) from None
    if reason := why_not_recorded(drawing, row):
        raise SpecError(f"{asked}: {reason}")


def _check_law(row: RunSettings, drawing: SpanDrawing, asked: str) -> None:
    known = drawing.network.structure.input_law
    size = row["problem.measurement_dim"]
    if known is None or known(drawing.sections.network, size) is None:
        raise SpecError(
            f"problem.inputs is 'law', and network.kind '{row['network.kind']}' with these "
            "settings does not begin with independent Gaussian entries of its first layer, as far "
            'as is known (mlp: network.initializer = "fan_in_normal"): take them, or '
            'problem.inputs = "gaussian".'
        )
    if reason := why_not_recorded(drawing, row):
        raise SpecError(f"{asked}: {reason}")


def _try_law(row: RunSettings, drawing: SpanDrawing) -> None:
    try:
        try_law(drawing)
    except WrongLaw as wrong:
        raise SpecError(
            f"problem.inputs is 'law', for which network.kind '{row['network.kind']}' says by its "
            "structure.input_law that its first layer begins with independent Gaussian entries of "
            f"one standard deviation; that is not so: {wrong} Correct what it says, or take "
            'problem.inputs = "gaussian".'
        ) from None


def _try(row: RunSettings, drawing: SpanDrawing) -> None:
    network, key = drawing.network, purpose_key(jnp.asarray(row["seed"]), _PURPOSE)
    arguments = {k: jnp.asarray(v) for k, v in drawing.example_arguments().items()}
    given = {**arguments, "seed": jnp.asarray(row["seed"])}

    def drawn() -> Drawn:
        # Settings are no arrays.
        return super(SpanDrawing, drawing).draw(given)._replace(sections=None)

    _check_axes(drawing, jax.eval_shape(drawn))
    settings = drawing.sections.with_numbers(
        {k: v for k, v in arguments.items() if k != "seed"}, drawing.width
    ).network
    span = drawing.trained_network

    @jax.jit
    def outputs() -> Any:
        run = drawn()
        frame, reduced = drawing.reduced(run._replace(test=None))
        size, inside = run.samples.inputs.shape[0], reduced.samples.inputs
        scale = jnp.linalg.norm(inside) / inside.size**0.5
        fresh = scale * gaussian(key, size, _FRESH)
        beyond, coordinates = reduce_fresh(frame.basis, fresh)
        frame = Frame(frame.basis, beyond)
        params = reduce_params(network, run.params, frame)
        off = _directions(drawing, run.params, frame, params)
        moved = {**params, **_moved({k: params[k] for k in ("network", "off")}, key)}
        whole = lifted(network, moved, frame, off)
        pairs = [
            (network.predict(whole, y, settings), span.predict(moved, c, settings))
            for y, c in ((run.samples.inputs, inside), (fresh, coordinates))
        ]
        rates = []
        if network.rates is not None and span.rates is not None:
            name = drawing.sections.training.optimizer
            rates = [
                jax.tree.map(jnp.asarray, each)
                for each in (
                    network.rates(whole, settings, name),
                    span.rates(moved, settings, name)["network"],
                )
            ]
        return pairs, rates

    try:
        pairs, rates = outputs()
    # Whatever a stranger's function raises.
    except Exception as error:
        raise _Wrong(f"on inputs of {drawing.rank} numbers it fails ({raised(error)}).") from error
    for place, (wanted, found) in zip(("training", "fresh"), pairs, strict=True):
        apart = float(jnp.linalg.norm(found - wanted) / jnp.linalg.norm(wanted))
        # NaN is no agreement.
        if not apart <= _ROUNDING:
            raise _Wrong(
                f"in coordinates of the span its outputs on {place} inputs differ by a share of "
                f"{apart:.1g}."
            )
    for one, other in zip(*map(jax.tree.leaves, rates), strict=True) if rates else ():
        if not jnp.allclose(one, other, rtol=_ROUNDING, atol=0.0):
            raise _Wrong("its learning rates depend on the number of inputs.")


def _check_axes(drawing: SpanDrawing, drawn: Drawn) -> None:
    params, inputs = drawn.params, drawn.samples.inputs.shape[0]
    axes_of_all = drawing.network.structure.input_axes
    assert axes_of_all is not None
    try:
        tree = axes_of_all(params)
    except Exception as error:
        raise _Wrong(f"it fails with the parameters that init returns ({raised(error)}).") from (
            error
        )
    if jax.tree.structure(tree) != jax.tree.structure(params):
        raise _Wrong("it returns another tree than that of the parameters.")
    axes = axes_of(drawing.network, params)
    for leaf, axis in zip(jax.tree.leaves(params), axes, strict=True):
        known = isinstance(axis, int) and not isinstance(axis, bool)
        if not known or not -1 <= axis < leaf.ndim or (axis >= 0 and leaf.shape[axis] != inputs):
            raise _Wrong(
                f"it returns {axis!r} for a leaf of shape {tuple(leaf.shape)}; it must be the "
                f"axis that has the {inputs} inputs, or -1."
            )
    if max(axes) < 0:
        raise _Wrong("it returns -1 for every leaf.")


def _moved(params: Any, key: Any) -> Any:
    """Return parameters some way from their places."""
    leaves, structure = jax.tree.flatten(params)
    noise = gaussian(key, len(leaves), max(leaf.size for leaf in leaves))
    made = [
        leaf + _FAR * noise[i, : leaf.size].reshape(leaf.shape) for i, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(structure, made)


def _directions(
    drawing: SpanDrawing, params: Any, frame: Frame, reduced: dict[str, Any]
) -> list[Any]:
    """Return B(0) / ||B(0)||_F of each leaf that meets inputs, these last; zero where B(0) is."""
    found = []

    def direction(number: int, leaf: Any, axis: int) -> Any:
        rows = jnp.moveaxis(leaf, axis, -1)
        rest = rows - multiply(multiply(rows, frame.basis), frame.basis.T)
        norm = reduced["off"][number]
        found.append(rest / jnp.where(norm > 0, norm, 1.0))
        return leaf

    replaced(drawing.network, params, direction)
    return found
