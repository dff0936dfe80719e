"""The state of a network on a loss of a matrix, as observables see it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from jaxtyping import Array, Float, Int

from dlnsweep.contracts.view import Landscape, View
from dlnsweep.networks.matrix.products import Weights, gaps_of, layer_gradients, partial_products
from dlnsweep.numerics.lazy import jnp
from dlnsweep.numerics.products import multiply
from dlnsweep.numerics.spectra import guarded
from dlnsweep.problems.losses import Fit


class MatrixView(View):
    """The state of one network on a loss of a matrix W, as observables see it.

    Computed on first use, so that an observable that is not asked for costs nothing.

    Attributes:
        fit: The loss l.
        power: Its exponent.
        data_fit_scale: c, in the precision of training.
    """

    fit: Fit
    power: float
    data_fit_scale: Float[Array, ""]

    @property
    def steps(self) -> Int[Array, ""]:
        """Steps that the run has taken: what is observed while it runs."""
        return self.step

    @property
    def end_to_end_matrix(self) -> Float[Array, "d m"]:
        """W."""
        raise NotImplementedError

    @cached_property
    def velocity(self) -> Float[Array, "d m"]:
        """dW/dt under gradient flow on the parameters."""
        raise NotImplementedError

    @cached_property
    def residual(self) -> Float[Array, "..."]:
        """A(W) - y."""
        return self.fit.observed.residual(self.end_to_end_matrix)

    @cached_property
    def squared_residual(self) -> Float[Array, ""]:
        """The sum of the squares of that, or of what else must not diverge."""
        return jnp.sum(self.residual**2)

    @cached_property
    def data_loss(self) -> Float[Array, ""]:
        """l(W)."""
        return self.fit.loss_of(self.residual, self.power)

    @cached_property
    def mean_squared_error(self) -> Float[Array, ""]:
        """Mean of (A(W)_k - y_k)^2 over what is observed."""
        # Of this matrix alone: by `squared_residual` it is judged whether a run has diverged.
        return jnp.sum(self.residual**2) / self.fit.observed.number

    @cached_property
    def matrix_gradient(self) -> Float[Array, "d m"]:
        """The gradient of c l at W."""
        rows, columns = self.end_to_end_matrix.shape
        return self.data_fit_scale * self.fit.gradient_of(
            self.residual, self.power, (rows, columns)
        )

    @cached_property
    def singular_values(self) -> Float[Array, " p"]:
        """Singular values of W, in descending order."""
        return guarded(lambda m: jnp.linalg.svd(m, compute_uv=False), self.end_to_end_matrix)

    @cached_property
    def singular_vectors(self) -> tuple[Float[Array, "d p"], Float[Array, "m p"]]:
        """Left and right singular vectors of W, as columns."""
        matrix = self.end_to_end_matrix
        finite = jnp.all(jnp.isfinite(matrix))
        left, _, right = jnp.linalg.svd(jnp.where(finite, matrix, 0.0), full_matrices=False)
        return left, right.T


class FactorizationView(MatrixView):
    """The state of one deep linear network on a loss of its end-to-end matrix W_L ... W_1.

    What it shares with `layered.view.LinearView` has the same names.

    Args:
        weights: W_1, ..., W_L.
        first: The same at step 0.
        fit: The loss.
        numbers: The traced numbers of [training], by name.
        power: The exponent of the loss.
        steps_taken: Steps that the run has taken; None: it is observed while it runs.

    Attributes:
        fan_in_steps: Whether layer i takes steps of eta / fan_in_i, not of eta.
    """

    fan_in_steps: bool = False

    def __init__(
        self,
        weights: Weights,
        first: Weights,
        fit: Fit,
        numbers: dict[str, Float[Array, ""]],
        power: float,
        steps_taken: Int[Array, ""] | None = None,
    ) -> None:
        self.layers = weights
        self.first_layers = first
        self.fit = fit
        self.power = power
        self._steps_taken = steps_taken
        dtype = self.layers[0].dtype
        self.weight_decay = numbers["weight_decay"].astype(dtype)
        self.data_fit_scale = numbers["data_fit_scale"].astype(dtype)

    @property
    def steps(self) -> Int[Array, ""]:
        """Steps that the run has taken: it may have ended before others of its batch."""
        return self.step if self._steps_taken is None else self._steps_taken

    @property
    def dtype(self) -> Any:
        """The precision of training."""
        return self.layers[0].dtype

    @cached_property
    def forward(self) -> list[Float[Array, "..."]]:
        """W_{i:1} for i = 1 to L."""
        return partial_products(self.layers)

    @property
    def end_to_end_matrix(self) -> Float[Array, "d m"]:
        """W_{L:1}."""
        return self.forward[-1]

    @cached_property
    def loss(self) -> Float[Array, ""]:
        """C l(W) + (lambda / 2) sum ||W_i||_F^2."""
        decay = self.weight_decay * jnp.sum(self.squared_weight_norms)
        return self.data_fit_scale * self.data_loss + 0.5 * decay

    @cached_property
    def landscape(self) -> Landscape:
        """The same as a function of the layers."""

        def objective(layers: Weights) -> Float[Array, ""]:
            fit = self.fit.loss(partial_products(layers)[-1], self.power)
            decay = self.weight_decay * sum(jnp.sum(layer**2) for layer in layers)
            return self.data_fit_scale * fit + 0.5 * decay

        shares = [1 / w.shape[1] if self.fan_in_steps else 1.0 for w in self.layers]
        return Landscape(self.layers, objective, tuple(jnp.asarray(s, self.dtype) for s in shares))

    @cached_property
    def gradients(self) -> Weights:
        """The layers' gradients of the loss, decay included."""
        found = layer_gradients(self.layers, self.forward, self.matrix_gradient)
        return tuple(g + self.weight_decay * w for g, w in zip(found, self.layers, strict=True))

    @cached_property
    def squared_gradient_norm(self) -> Float[Array, ""]:
        """Sum over layers of the squared Frobenius norm of the loss's gradient, decay included."""
        return sum((jnp.sum(g**2) for g in self.gradients), jnp.zeros((), self.dtype))

    @cached_property
    def squared_weight_norms(self) -> Float[Array, " L"]:
        """||W_i||_F^2 of each layer."""
        return jnp.stack([jnp.sum(layer**2) for layer in self.layers])

    @cached_property
    def velocity(self) -> Float[Array, "d m"]:
        """dW/dt under gradient flow: -sum_i W_{L:i+1} (gradient of layer i) W_{i-1:1}."""
        moved = jnp.zeros_like(self.end_to_end_matrix)
        upper = jnp.eye(self.layers[-1].shape[0], dtype=self.dtype)
        for i in reversed(range(len(self.layers))):
            part = multiply(upper, self.gradients[i])
            moved -= multiply(part, self.forward[i - 1]) if i else part
            upper = multiply(upper, self.layers[i])
        return moved

    @cached_property
    def layer_gaps(self) -> list[Float[Array, "..."]]:
        """W_{l+1}^T W_{l+1} - W_l W_l^T of each pair of neighbouring layers."""
        return gaps_of(self.layers)

    @cached_property
    def first_layer_gaps(self) -> list[Float[Array, "..."]]:
        """The same at step 0."""
        return gaps_of(self.first_layers)
