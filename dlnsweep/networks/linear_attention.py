"""The network "linear_attention": one layer of attention without softmax, on regression in context.

An input is a flattened prompt of N examples and a query in R^D,

    (x_1, y_1, ..., x_N, y_N, x_q),   of length N (D + 1) + D,

and the output what the layer says of the query's y. With beta = (1/N) sum_n y_n x_n, H heads are

    merged      f = sum_h v_h beta^T U_h x_q,             U_h (D, D)
    separate    f = sum_h v_h beta^T K_h^T Q_h x_q,       K_h, Q_h (R, D)

That is the linear attention E + W^V E (E^T W^KQ E) / N of arXiv:2306.09927 on the tokens (x_n, y_n)
and (x_q, 0), read at the query's y, where the blocks of W^V and W^KQ that begin at zero there stay
zero: they are left out, and with them what x_q says of itself. Written out in the entries of
z = beta x_q^T, the merged one is a linear network of two layers of width H on z, cubic in the
prompt (arXiv:2501.16265, section 3); its initial weights are those of "deep_linear" on z.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from dlnsweep.contracts.network import Network
from dlnsweep.contracts.structure import Structure
from dlnsweep.networks.layered.kind import LayerInitScale
from dlnsweep.numerics.lazy import jnp
from dlnsweep.settings.base import Constraint, Describe, Settings, UsedBy

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.networks.generic.state import Samples
    from dlnsweep.numerics.streams import Keys


def token_dim(length: int, context_length: int) -> int:
    """Return D of prompts of a length with N examples; 0 where there is none."""
    dim, rest = divmod(length - context_length, context_length + 1)
    return dim if rest == 0 and dim > 0 else 0


def _unfit(context_length: int, length: int) -> str:
    lengths = f"{2 * context_length + 1}, {3 * context_length + 2}, {4 * context_length + 3}"
    return (
        f"network.context_length is {context_length} and inputs have {length} entries; a prompt of "
        f"N examples and a query in R^D has N (D + 1) + D: {lengths}, ..., one for each D."
    )


class LinearAttentionSettings(Settings):
    """[network] "linear_attention": f = Σ_h v_h βᵀ U_h x_q with β = Σ y_n x_n / N, in context."""

    kind: Annotated[
        Literal["linear_attention"], Describe("static", "which network is trained", axis=False)
    ] = "linear_attention"
    context_length: Annotated[
        Annotated[int, Field(ge=1, le=1_000_000)],
        Describe("static", "number of examples of a prompt", "N"),
    ]
    heads: Annotated[
        Annotated[int, Field(ge=1, le=65_536)], Describe("static", "number of heads", "H")
    ] = 1
    key_query: Annotated[
        Literal["merged", "separate"],
        Describe("static", "merged: a matrix U_h for each head; separate: K_hᵀ Q_h in its place"),
    ] = "merged"
    head_rank: Annotated[
        Annotated[int, Field(ge=1, le=65_536)],
        Describe("static", "rows of K_h and of Q_h (separate)", "R"),
    ] = 1
    layer_init_scale: LayerInitScale = 1.0

    used_by: ClassVar[Mapping[str, UsedBy]] = {"head_rank": UsedBy("key_query", ("separate",))}
    constraints: ClassVar[tuple[Constraint, ...]] = (
        Constraint(
            ("network.context_length", "problem.measurement_dim"),
            lambda context, length: token_dim(length, context) > 0,
            _unfit,
        ),
        # Another number of examples can fit the length too, for another D.
        Constraint(
            ("network.context_length", "problem.context_length"),
            lambda own, given: own == given,
            "network.context_length is {0} and problem.context_length is {1}; they must be equal.",
        ),
        Constraint(
            ("network.kind", "problem.signal_dim"),
            lambda _, d: d == 1,
            "network.kind is {0}, which has one output, and problem.signal_dim is {1}; it must be "
            "1.",
        ),
    )


def init(settings: LinearAttentionSettings, data: Samples, key: Keys) -> dict[str, Any]:
    """Draw v of variance 1 / H and U_h of 1 / D^2, or K_h and Q_h of 1 / D."""
    from dlnsweep.numerics.streams import gaussian

    length, heads, rank = data.inputs.shape[0], settings.heads, settings.head_rank
    dim = token_dim(length, settings.context_length)
    if not dim:
        raise ValueError(_unfit(settings.context_length, length))
    scale = settings.layer_init_scale
    params = {"value": scale * gaussian(key("weights/2"), 1, heads) / heads**0.5}
    if settings.key_query == "merged":
        drawn = gaussian(key("weights/1"), heads, dim * dim)
        return params | {"key_query": (scale * drawn / dim).reshape(heads, dim, dim)}
    for name, purpose in (("key", "weights/1"), ("query", "weights/3")):
        drawn = gaussian(key(purpose), heads * rank, dim)
        params[name] = (scale * drawn / dim**0.5).reshape(heads, rank, dim)
    return params


def predict(
    params: dict[str, Any], inputs: Float[Array, "m n"], settings: LinearAttentionSettings
) -> Float[Array, "1 n"]:
    """Return what it says of the query of each prompt, a column of the inputs."""
    from dlnsweep.numerics.products import multiply

    context = settings.context_length
    dim = token_dim(inputs.shape[0], context)
    pairs = inputs[: context * (dim + 1)].reshape(context, dim + 1, -1)
    means = jnp.sum(pairs[:, :dim] * pairs[:, dim:], axis=0) / context
    queries = inputs[context * (dim + 1) :]
    if settings.key_query == "merged":
        heads = params["key_query"]
    else:
        heads = multiply(params["key"].swapaxes(1, 2), params["query"])
    # The heads' sum once, and not each of them on all prompts.
    summed = multiply(params["value"], heads.reshape(-1, dim * dim)).reshape(dim, dim)
    return jnp.sum(means * multiply(summed, queries), axis=0, keepdims=True)


def multiplications(settings: LinearAttentionSettings, inputs: int, outputs: int) -> int:
    """Return the products that a prediction takes."""
    dim = token_dim(inputs, settings.context_length)
    return outputs * (inputs + dim * dim)


LINEAR_ATTENTION = Network(
    "linear_attention",
    LinearAttentionSettings,
    init,
    predict,
    observables=("loss", "regression_error"),
    multiplications=multiplications,
    structure=Structure(degree=lambda settings: 2 if settings.key_query == "merged" else 3),
)
