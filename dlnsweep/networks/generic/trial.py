"""Whether a network in pure functions can be trained, tried on one run before any is written.

Each function is traced with the shapes and the precision that training will give it, so that what
is wrong with one of them is told in a sentence that names it; then the loss and its gradient are
computed once, where the functions are a stranger's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dlnsweep.contracts.drawing import drawing_named
from dlnsweep.contracts.network import network_of
from dlnsweep.contracts.observable import OBSERVABLES
from dlnsweep.errors import SpecError
from dlnsweep.networks.generic.draw import GenericDrawing
from dlnsweep.networks.generic.lower_precision import rounding_of
from dlnsweep.networks.generic.state import Samples
from dlnsweep.numerics.lanes import Layout
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.runtime import numerics
from dlnsweep.settings.base import with_numbers
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.settings.sentences import raised
from dlnsweep.settings.training import OF_NETWORK

# Views of which an observable can refuse what it sees.
_OF_PARAMETERS = {"parameters", "parametrized"}
# Of the structure of a tree as text.
_LONGEST = 120


class _Wrong(Exception):  # noqa: N818 - a sentence
    """What is wrong with a network."""


def why_not(row: RunSettings, *, computed: bool = True) -> str:
    """Return what is wrong with a run's network, as a sentence; empty if nothing is.

    Args:
        row: The run's dotted settings.
        computed: Whether numbers are looked at beside shapes, which takes a compilation.
    """
    kind = row["network.kind"]
    try:
        with numerics():
            _try(row, computed)
    except _Wrong as wrong:
        return f"network.kind '{kind}' cannot be trained: {wrong}"
    return ""


def _try(row: RunSettings, computed: bool) -> None:
    # Whatever kernel is asked for: the functions are the same.
    drawing = drawing_named(network_of(row).generic).from_row(row, row.get("network.width") or 1)
    assert isinstance(drawing, GenericDrawing)
    network, dtype = drawing.network, jnp.dtype(row["sweep.precision"])
    arguments = drawing.example_arguments() | {"seed": row["seed"]}
    sections = drawing.sections

    def samples() -> Samples:
        return drawing.examples(sections, drawing.key_of(arguments))[0]

    data = jax.eval_shape(samples)

    def params_of(data: Samples, arguments: Any) -> Any:
        numbers = {name: value for name, value in arguments.items() if name != "seed"}
        own = sections.with_numbers(numbers, drawing.width).network
        return drawing.params(own, data, drawing.key_of(arguments))

    given = {name: jnp.asarray(value) for name, value in arguments.items()}
    params = _traced("init", params_of, data, given)
    leaves = jax.tree.leaves(params)
    if not leaves:
        raise _Wrong("init returns no array; it must return the parameters.")
    for leaf in leaves:
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise _Wrong(f"init returns an array of {leaf.dtype}; parameters must be floats.")

    def inexact(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, dtype), tree)

    params, data = inexact((params, data))
    traced = drawing.traced_network(arguments, lambda value: value.astype(dtype))

    def settings(numbers: Any) -> Any:
        return with_numbers(sections.network, numbers)

    _check_declared(network, params, settings, traced, sections.training.optimizer)
    seen: dict[str, Any] = {}
    outputs = _traced(
        "predict",
        lambda p, x, n: network.predict(p, x, settings(n)),
        params,
        data.inputs,
        traced,
        after="with the parameters that init returns",
        seen=seen,
    )
    if not hasattr(outputs, "dtype"):
        raise _Wrong(f"predict returns a {type(outputs).__name__}; it must return one array.")
    if outputs.dtype != dtype:
        raise _Wrong(
            f"predict makes {outputs.dtype} of {dtype} parameters and inputs; make constants of "
            "the inputs' dtype, or leave them Python's numbers."
        )
    named = sections.training.loss
    entrywise = network.loss is None or named != OF_NETWORK
    if drawing.output_shape is None:
        _check_shape(outputs, data, entrywise, sections.record.observables)
    elif outputs.shape != drawing.output_shape:
        raise _Wrong(
            f"predict returns {_shape(outputs)}; the matrix that the problem is about has the "
            f"shape {drawing.output_shape}."
        )
    function = drawing.kernel(Layout(1)).loss
    place = "loss" if named == OF_NETWORK else f"training.loss '{named}'"
    loss = _traced(
        place, lambda o, t, n: function(o, t, settings(n)), outputs, data.targets, traced,
        after=f"with outputs {_shape(outputs)} and targets {_shape(data.targets)}", seen=seen,
    )  # fmt: skip
    if not hasattr(loss, "dtype") or loss.shape != () or loss.dtype != dtype:
        raise _Wrong(f"{place} returns {_shape(loss)}; it must return one {dtype} number.")
    for name, jaxpr in seen.items():
        _check_rounding(network, name, jaxpr, dtype)
    if computed:
        _compute(drawing, row, arguments, dtype)
    _observe(drawing, arguments, dtype)


def why_not_recorded(drawing: GenericDrawing, row: RunSettings) -> str:
    """Return what is wrong with the observables of a run that is drawn so; empty if nothing is."""
    arguments = drawing.example_arguments() | {"seed": row["seed"]}
    try:
        with numerics():
            _observe(drawing, arguments, jnp.dtype(row["sweep.precision"]))
    except _Wrong as wrong:
        return str(wrong)
    return ""


def _check_declared(
    network: Any, params: Any, settings: Callable[[Any], Any], traced: Any, optimizer: str
) -> None:
    """Refuse rates, layers or a choice of what is trained that do not fit the parameters."""
    depth = getattr(settings({}), "depth", 0)
    declared = (
        ("rates", network.rates),
        ("trained", network.trained),
        ("layer_of", network.structure.layer_of),
    )
    for name, each in declared:
        if each is None:
            continue
        more: tuple[Any, ...] = () if name == "layer_of" else (settings,)
        more += (lambda _: optimizer,) if name == "rates" else ()
        found: list[Any] = []

        def call(
            p: Any, n: Any, each: Any = each, more: Any = more, found: list[Any] = found
        ) -> None:
            found.append(each(p, *(make(n) for make in more)))

        _traced(name, call, params, traced, after="with the parameters that init returns")
        (tree,) = found
        structures = jax.tree.structure(tree), jax.tree.structure(params)
        if structures[0] != structures[1]:
            shown = [f"{s.num_leaves} leaves, {str(s)[:_LONGEST]}" for s in structures]
            raise _Wrong(
                f"{name} returns a tree of {shown[0]}; it must be like that of the parameters, "
                f"{shown[1]}."
            )
        leaves = jax.tree.leaves(tree)
        if name == "trained":
            _check_bools(leaves)
            continue
        if name == "layer_of":
            _check_layers(leaves, depth)
            continue
        for leaf in leaves:
            number = isinstance(leaf, int | float) and not isinstance(leaf, bool)
            if not number and getattr(leaf, "shape", None) != ():
                raise _Wrong(f"rates returns {_shape(leaf)} for a leaf; it must be one number.")


def _check_rounding(network: Any, name: str, jaxpr: Any, dtype: Any) -> None:
    """Refuse what computes with fewer digits than the run has, unless that is declared."""
    if network.lower_precision or not (found := rounding_of(jaxpr, dtype)):
        return
    raise _Wrong(
        f"{name} rounds to {found}, and a {dtype} run would have its digits in name alone; compute "
        "in the inputs' dtype, or declare Network(..., lower_precision=True)."
    )


def _check_layers(leaves: Sequence[Any], depth: int) -> None:
    for leaf in leaves:
        if not isinstance(leaf, int) or isinstance(leaf, bool) or not -1 <= leaf < depth:
            raise _Wrong(
                f"layer_of returns {leaf!r} for a leaf; it must be an int from 0 to depth - 1, "
                f"which is {depth - 1}, or -1 for none."
            )


def _check_bools(leaves: Sequence[Any]) -> None:
    for leaf in leaves:
        if not isinstance(leaf, bool):
            raise _Wrong(
                f"trained returns {_shape(leaf)} for a leaf; it must be True or False, as Python "
                "has them."
            )
    if not any(leaves):
        raise _Wrong("trained returns False for every leaf, and nothing would move.")


def _converter(dtype: Any) -> Callable[[Any], Any]:
    """Return what takes an array to the precision of training; keys are integers and stay."""

    def convert(array: Any) -> Any:
        return array.astype(dtype) if jnp.issubdtype(array.dtype, jnp.floating) else array

    return convert


def _observe(drawing: GenericDrawing, arguments: Mapping[str, Any], dtype: Any) -> None:
    """Refuse observables that say that they are not for its sizes, and strangers' that fail."""
    kernel = drawing.kernel(Layout(1))
    names = kernel.record.observables
    observables = [OBSERVABLES[name] for name in names]
    if all(one.is_ours and not _OF_PARAMETERS & set(one.views) for one in observables):
        return

    def observed(given: Any) -> Any:
        inputs, carry = drawing.start(kernel, given, _converter(dtype))
        return kernel.observe(inputs, carry, jnp.zeros((), jnp.int64))

    try:
        jax.eval_shape(observed, {name: jnp.asarray(value) for name, value in arguments.items()})
    except SpecError as error:
        raise _Wrong(str(error)) from error


def _check_shape(outputs: Any, data: Samples, entrywise: bool, observables: Sequence[str]) -> None:
    """Refuse outputs that would broadcast: errors that mean nothing would be trained, or recorded.

    Args:
        outputs: What predict returns.
        data: The samples.
        entrywise: Whether the loss compares outputs with targets entry by entry.
        observables: What is recorded.
    """
    found = f"predict returns {_shape(outputs)} for targets {_shape(data.targets)}"
    if outputs.shape[-1:] != data.inputs.shape[-1:]:
        raise _Wrong(f"{found}; its last axis must be that of the samples.")
    if outputs.shape == data.targets.shape:
        return
    if entrywise:
        raise _Wrong(f"{found}; for a loss that compares them they must have one shape.")
    errors = [name for name in observables if "samples" in OBSERVABLES[name].views]
    if errors:
        raise _Wrong(f"{found}; record.observables names '{errors[0]}', which compares them.")


def _compute(
    drawing: GenericDrawing, row: RunSettings, arguments: Mapping[str, Any], dtype: Any
) -> None:
    """Compute the loss and its gradient at step 0 of one run."""
    kernel = drawing.kernel(Layout(1))
    named = kernel.training.loss
    place = "its loss" if named == OF_NETWORK else f"training.loss '{named}'"
    # Factors one a layer are a text in the row, and numbers in the arguments.
    own = {k: v if isinstance(v, tuple) else row.number(k, v) for k, v in arguments.items()}
    given = {k: jnp.asarray(v, jnp.asarray(arguments[k]).dtype) for k, v in own.items()}

    seen: list[Any] = []

    @jax.jit
    def begun(given: Any) -> tuple[Any, Any, Any]:
        inputs, carry = drawing.start(kernel, given, _converter(dtype))
        both = jax.jit(jax.value_and_grad(kernel.fit)).trace(carry.state.params, inputs.constants)
        seen.append(both.jaxpr)
        fit, gradients = jax.value_and_grad(kernel.fit)(carry.state.params, inputs.constants)
        return fit, gradients, inputs.constants.rates

    try:
        fit, gradients, rates = begun(given)
    except Exception as error:
        raise _Wrong(f"its loss has no gradient ({raised(error)}).") from error
    _check_rounding(drawing.network, "the gradient of its loss", seen[0], dtype)
    if not jnp.isfinite(fit):
        raise _Wrong(f"{place} is {fit} at the initial parameters; it must be finite.")
    if fit < 0:
        raise _Wrong(f"{place} is {fit:.3g} at the initial parameters; it must not be negative.")
    eta = row["training.learning_rate"]
    for rate in jax.tree.leaves(rates):
        if not (jnp.isfinite(rate) and rate >= 0):
            raise _Wrong(
                f"rates makes a learning rate of {rate:.3g} of {eta:g}; each must be finite and "
                "not negative."
            )
    flat = jax.tree.leaves(gradients)
    if not all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in flat):
        raise _Wrong("the gradient of its loss is not finite at the initial parameters.")
    if fit > 0 and all(bool(jnp.all(leaf == 0)) for leaf in flat):
        raise _Wrong(
            "the gradient of its loss is zero at the initial parameters, and nothing would move; "
            "does its loss depend on them by a differentiable function?"
        )


def _traced(
    name: str,
    function: Callable[..., Any],
    *arguments: Any,
    after: str = "",
    seen: dict[str, Any] | None = None,
) -> Any:
    """Return the shapes that a function returns; `seen` is given its operations, by its name."""
    try:
        jaxpr, found = jax.make_jaxpr(function, return_shape=True)(*arguments)
    except Exception as error:
        where = f" {after}" if after else ""
        raise _Wrong(f"{name} fails{where} ({raised(error)}).") from error
    if seen is not None:
        seen[name] = jaxpr
    return found


def _shape(value: Any) -> str:
    if not hasattr(value, "shape"):
        return f"a {type(value).__name__}"
    return f"{value.dtype} of shape {tuple(value.shape)}"
