"""The state of a network, as observables see it: of any, and of a deep linear one."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from jaxtyping import Array, Float

from dlnsweep.contracts.view import Landscape, View
from dlnsweep.networks.layered.samples import Reduced
from dlnsweep.networks.test_samples import TestSamples
from dlnsweep.numerics.lazy import jnp
from dlnsweep.numerics.products import multiply
from dlnsweep.numerics.spectra import extreme_values, guarded, largest_value, operator_norm


class NetworkView(View):
    """The state of a network on samples, as observables see it.

    Every kind of network adds its `residual`, `squared_error`, `squared_gradient_norm` and
    `output`.

    Args:
        layers: W_1 restricted to range(Y), (d_1, r), then W_2, ..., W_L.
        first_off_range: W_1(t) V_perp.
        data: The reduced samples.
        weight_decay: lambda; or that of each layer, (L,).
        data_fit_scale: c in the loss (c/2) ||W_{L:1} Y - X||_F^2 + (lambda/2) sum ||W_i||_F^2.
        test: Fresh samples, if any observable needs them.

    Attributes:
        fan_ins: The number of inputs of each layer; the arrays may be padded beyond it.
        fan_in_steps: Whether layer i takes steps of eta / fan_in_i, not of eta.
        rates: The learning rate eta_i of each layer, float64.
        rate_factors: Factors on it that are neither eta nor the step rule's; None where all are 1.
        initial: W_1(0), ..., W_L(0), where an observable looks back at them; else None.
    """

    fan_ins: Float[Array, " L"]
    fan_in_steps: bool
    rates: Float[Array, " L"]
    rate_factors: Float[Array, " L"] | None = None
    initial: tuple[Float[Array, "..."], ...] | None = None

    def __init__(
        self,
        layers: tuple[Float[Array, "..."], ...],
        first_off_range: Float[Array, "d_1 off"],
        data: Reduced,
        weight_decay: Float[Array, "*layers"],
        data_fit_scale: Float[Array, ""],
        test: TestSamples | None = None,
    ) -> None:
        self.layers = layers
        self.first_off_range = first_off_range
        self.data = data
        self.weight_decay = weight_decay
        self.data_fit_scale = data_fit_scale
        self.test = test

    @property
    def dtype(self) -> Any:
        """The precision of training."""
        return self.layers[0].dtype

    @cached_property
    def squared_weight_norms(self) -> Float[Array, " L"]:
        """||W_i||_F^2 of each layer."""
        norms = jnp.stack([jnp.sum(layer**2) for layer in self.layers])
        return norms.at[0].add(jnp.sum(self.first_off_range**2))

    @property
    def weights(self) -> tuple[Float[Array, "..."], ...]:
        """W_1, ..., W_L."""
        on_range = multiply(self.layers[0], self.data.range_basis.T)
        off_range = multiply(self.first_off_range, self.data.off_basis.T)
        return (on_range + off_range, *self.layers[1:])

    @cached_property
    def residual(self) -> Float[Array, "d _"]:
        """What the network makes of the samples, less the signals."""
        raise NotImplementedError

    @cached_property
    def squared_error(self) -> Float[Array, ""]:
        """The squared Frobenius norm of that over all samples."""
        raise NotImplementedError

    @cached_property
    def loss(self) -> Float[Array, ""]:
        """(c/2) times the squared error and (lambda/2) sum ||W_i||_F^2."""
        norms = self.squared_weight_norms
        one = self.weight_decay.ndim == 0
        decay = self.weight_decay * jnp.sum(norms) if one else jnp.sum(self.weight_decay * norms)
        return 0.5 * (self.data_fit_scale * self.squared_error + decay)

    def decay_of(self, layer: int) -> Float[Array, ""]:
        """Return lambda, or that of a layer where each has its own."""
        return self.weight_decay if self.weight_decay.ndim == 0 else self.weight_decay[layer]

    def output(self, inputs: Float[Array, "m k"]) -> Float[Array, "d k"]:
        """Return what the network makes of each column of some inputs."""
        raise NotImplementedError

    @property
    def samples_seen(self) -> Any:
        """The samples as the view of this kind takes them."""
        return self.data

    @cached_property
    def landscape(self) -> Landscape:
        """The loss as a function of the layers.

        W_1 in the bases of range(Y) and of its complement: a rotation, which changes no eigenvalue
        of a Hessian.
        """
        off = self.first_off_range

        def objective(layers: tuple[Float[Array, "..."], ...]) -> Float[Array, ""]:
            first, *rest = layers
            on, beyond = (first, off) if not off.shape[1] else jnp.split(first, [split], axis=1)
            numbers = self.weight_decay, self.data_fit_scale
            return type(self)((on, *rest), beyond, self.samples_seen, *numbers).loss

        split = self.layers[0].shape[1]
        whole = (jnp.concatenate([self.layers[0], off], axis=1), *self.layers[1:])
        return Landscape(whole, objective, self._relative_rates(whole))

    def _relative_rates(
        self, layers: tuple[Float[Array, "..."], ...]
    ) -> tuple[Float[Array, "..."], ...]:
        """Return eta_i / eta of each layer, and 0 where it is padded."""
        found = []
        for i, layer in enumerate(layers):
            rows, columns = (jnp.arange(size) for size in layer.shape)
            mask = jnp.ones(layer.shape, bool)
            if i + 1 < len(layers):
                mask &= (rows < self.fan_ins[i + 1])[:, None]
            if i:
                mask &= columns < self.fan_ins[i]
            rate = 1 / self.fan_ins[i] if self.fan_in_steps else 1.0
            rate = rate if self.rate_factors is None else rate * self.rate_factors[i]
            found.append(jnp.where(mask, rate, 0.0))
        return tuple(each.astype(self.dtype) for each in found)


class LinearView(NetworkView):
    """The state of one deep linear network; for the arguments see `NetworkView`."""

    @cached_property
    def forward(self) -> list[Float[Array, "..."]]:
        """W_{i:1} U for i = 0 (the identity) to L."""
        products = [jnp.eye(self.data.inputs.shape[0], dtype=self.layers[0].dtype)]
        for layer in self.layers:
            products.append(multiply(layer, products[-1]))
        return products

    @property
    def on_range(self) -> Float[Array, "d r"]:
        """W_{L:1} U."""
        return self.forward[-1]

    @cached_property
    def off_range(self) -> Float[Array, "d off"]:
        """W_{L:1} V_perp."""
        if not self.first_off_range.shape[1]:
            return jnp.zeros((self.layers[-1].shape[0], 0), self.layers[0].dtype)
        rest = self.layers[1:]
        if not rest:
            return self.first_off_range
        if self.first_off_range.shape[1] <= rest[-1].shape[0]:
            product = self.first_off_range
            for layer in rest:
                product = multiply(layer, product)
            return product
        product = rest[-1]
        for layer in reversed((self.first_off_range, *rest[:-1])):
            product = multiply(product, layer)
        return product

    @cached_property
    def first_off_gain(self) -> Float[Array, ""]:
        """||W_1 V_perp||_op."""
        return operator_norm(self.first_off_range)

    @cached_property
    def upper(self) -> list[Float[Array, "..."]]:
        """W_{L:i} for i = 2 to L, and the identity, W_{L:L+1}."""
        products = [jnp.eye(self.data.targets.shape[0], dtype=self.layers[0].dtype)]
        for layer in reversed(self.layers[1:]):
            products.insert(0, multiply(products[0], layer))
        return products

    @cached_property
    def upper_gains(self) -> Float[Array, " 2"]:
        """Least and largest of the d singular values of W_{L:i} over i = 2 to L; 1 for L = 1."""
        return _extremes([guarded(extreme_values, p.T) for p in self.upper[:-1]], self.dtype)

    @cached_property
    def lower_gains(self) -> Float[Array, " 2"]:
        """Extreme singular values of (m / d_i)^{1/2} W_{i:1} Y over those of X, i = 1 to L - 1.

        Of the r singular values the smallest beside the smallest of X (on the row space of Y), the
        largest beside the largest; 1 for L = 1. Entries of W_i of variance 1 / fan_in_i give
        E ||W_{i:1} y||^2 = (d_i / m) ||y||^2, and ||y|| is about that of the signal.
        """
        values = self.data.inputs
        ends = guarded(extreme_values, self.data.targets)
        gains = []
        for i, product in enumerate(self.forward[1:-1], start=1):
            scale = jnp.sqrt(self.fan_ins[0] / self.fan_ins[i])
            gains.append(scale * guarded(extreme_values, product * values) / ends)
        return _extremes(gains, self.dtype)

    @cached_property
    def middle_gain(self) -> Float[Array, ""]:
        """Largest ||W_{j:i}||_op over 1 < i <= j < L; 0 where there is none."""
        middle, found = self.layers[1:-1], [jnp.zeros((), self.dtype)]
        for first in range(len(middle)):
            for last in range(first, len(middle)):
                found.append(_chain_norm(middle[first : last + 1]))
        return jnp.max(jnp.stack(found))

    @cached_property
    def curvature(self) -> Float[Array, " 2"]:
        """Smallest and largest eigenvalue of P(t) of (38): Phi(t+1) is about (I - eta P(t)) Phi(t).

        To first order in its gradient, gradient descent changes layer i by
        -eta_i c W_{L:i+1}^T Phi Y^T W_{i-1:1}^T, and decay multiplies each layer by 1 - eta_j
        lambda, so on the row space of Y

            P = c sum_i (eta_i / eta) C_i (W_{i-1:1} Y)^T (W_{i-1:1} Y) (x) W_{L:i+1} W_{L:i+1}^T,

        C_i the product of 1 - eta_j lambda over the other layers, (24): a dense matrix of r d rows.
        """
        d, r = self.data.targets.shape
        shares = 1.0 / self.fan_ins if self.fan_in_steps else jnp.ones_like(self.fan_ins)
        shares = shares if self.rate_factors is None else shares * self.rate_factors
        total = jnp.zeros((d * r, d * r), self.dtype)
        for i, product in enumerate(self.upper):
            lower = self.forward[i] * self.data.inputs
            kept = jnp.prod(jnp.delete(1.0 - self.rates * self.weight_decay, i)).astype(self.dtype)
            block = jnp.kron(multiply(lower.T, lower), multiply(product, product.T))
            total += shares[i] * kept * block
        values = guarded(jnp.linalg.eigvalsh, self.data_fit_scale * total)
        return jnp.stack([values[0], values[-1]])

    @cached_property
    def displacement(self) -> Float[Array, ""]:
        """Largest fan_in_i^{1/2} ||W_i(t) - (1 - eta_i lambda)^t W_i(0)||_F over the layers."""
        assert self.initial is not None
        # In float64: powers of numbers near 1.
        decay = self.weight_decay.astype(self.rates.dtype)
        kept = ((1.0 - self.rates * decay) ** self.step).astype(self.dtype)
        first = self.initial[0]
        start = (multiply(first, self.data.range_basis), *self.initial[1:])
        squares = [
            jnp.sum((now - kept[i] * then) ** 2)
            for i, (now, then) in enumerate(zip(self.layers, start, strict=True))
        ]
        off = self.first_off_range - kept[0] * multiply(first, self.data.off_basis)
        squares[0] += jnp.sum(off**2)
        return jnp.max(jnp.sqrt(self.fan_ins * jnp.stack(squares)))

    @cached_property
    def higher_order_share(self) -> Float[Array, ""]:
        """||E||_F / ||Phi||_F of the next step of gradient descent; 0 where Phi is.

        With G_i = c W_{L:i+1}^T Phi Y^T W_{i-1:1}^T the step changes W_i into
        rho_i W_i - eta_i G_i, and E holds the terms of W_{L:1} Y with two factors G or more.
        Carried through the layers beside those with none and with one, so that nothing cancels.
        """
        none = jnp.diag(self.data.inputs).astype(self.dtype)
        one = more = jnp.zeros_like(none)
        rates = self.rates.astype(self.dtype)
        for i, layer in enumerate(self.layers):
            backward = self.data_fit_scale * multiply(self.upper[i].T, self.residual)
            forward = self.forward[i] * self.data.inputs
            kept = (1.0 - rates[i] * self.decay_of(i)) * layer

            def updated(x: Array, b: Array = backward, f: Array = forward, i: int = i) -> Array:
                return -rates[i] * multiply(b, multiply(f.T, x))

            more = multiply(kept, more) + updated(one + more)
            one = multiply(kept, one) + updated(none)
            none = multiply(kept, none)
        size = jnp.linalg.norm(self.residual)
        return jnp.where(size > 0, jnp.linalg.norm(more) / jnp.where(size > 0, size, 1.0), 0.0)

    @cached_property
    def residual(self) -> Float[Array, "d r"]:
        """Phi = W_{L:1} Y - X on the reduced samples."""
        return self.on_range * self.data.inputs - self.data.targets

    @cached_property
    def squared_error(self) -> Float[Array, ""]:
        """||W_{L:1} Y - X||_F^2 over all samples."""
        return jnp.sum(self.residual**2) + self.data.residual

    @cached_property
    def rotated_end_to_end_matrix(self) -> Float[Array, "d m"]:
        """W_{L:1} [U V_perp]: the end-to-end matrix up to a rotation of its input."""
        return jnp.concatenate([self.on_range, self.off_range], axis=1)

    @cached_property
    def end_to_end_matrix(self) -> Float[Array, "d m"]:
        """W_{L:1}."""
        on = multiply(self.on_range, self.data.range_basis.T)
        return on + multiply(self.off_range, self.data.off_basis.T)

    def output(self, inputs: Float[Array, "m k"]) -> Float[Array, "d k"]:
        """Return W_{L:1} y of each column y of some inputs."""
        return multiply(self.end_to_end_matrix, inputs)

    @cached_property
    def singular_values(self) -> Float[Array, " p"]:
        """Singular values of the end-to-end matrix, in descending order."""
        matrix = self.rotated_end_to_end_matrix
        return guarded(lambda m: jnp.linalg.svd(m, compute_uv=False), matrix)

    @cached_property
    def layer_gaps(self) -> list[Float[Array, "..."]]:
        """W_{l+1}^T W_{l+1} - W_l W_l^T of each pair of neighbouring layers."""
        gaps = []
        for i, (lower, upper) in enumerate(zip(self.layers, self.layers[1:], strict=False)):
            outer = multiply(lower, lower.T)
            if i == 0:
                outer += multiply(self.first_off_range, self.first_off_range.T)
            gaps.append(multiply(upper.T, upper) - outer)
        return gaps

    @cached_property
    def squared_gradient_norm(self) -> Float[Array, ""]:
        """Sum over layers of the squared Frobenius norm of the loss's gradient, decay included."""
        backward = self.data_fit_scale * self.residual * self.data.inputs
        total = jnp.sum((self.decay_of(0) * self.first_off_range) ** 2)
        for i in reversed(range(len(self.layers))):
            gradient = multiply(backward, self.forward[i].T) + self.decay_of(i) * self.layers[i]
            total += jnp.sum(gradient**2)
            backward = multiply(self.layers[i].T, backward)
        return total


def _extremes(pairs: list[Float[Array, " 2"]], dtype: Any) -> Float[Array, " 2"]:
    """Return the least of the first and the largest of the second numbers; 1 of no pairs."""
    if not pairs:
        return jnp.ones(2, dtype)
    stacked = jnp.stack(pairs)
    return jnp.stack([jnp.min(stacked[:, 0]), jnp.max(stacked[:, 1])])


def _chain_norm(layers: tuple[Float[Array, "p q"], ...]) -> Float[Array, ""]:
    """Return ||W_k ... W_1||_op; see `spectra.largest_value`."""

    def apply(column: Array) -> Array:
        for layer in layers:
            column = multiply(layer, column)
        for layer in reversed(layers):
            column = multiply(column.T, layer).T
        return column

    return largest_value(apply, layers[0].shape[1], layers[0].dtype)
