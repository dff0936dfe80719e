"""The network g(u) = V phi(z) / sqrt(k) as observables see it; `descent.py` has the mathematics.

Arrays may be larger than a run's own k, m and n; beyond these they are zero.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

from jaxtyping import Array, Float, Int

from dlnsweep.contracts.view import View
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.products import multiply
from dlnsweep.numerics.spectra import guarded

# Of the largest singular value of J_g: smaller ones count as zero.
_RANK_SHARE = 1e-6


class Sizes(NamedTuple):
    """k, m and n of a run; the arrays may be larger."""

    width: Int[Array, ""]
    measurement_dim: Int[Array, ""]
    signal_dim: Int[Array, ""]


class Constants(NamedTuple):
    """What a run is given.

    Attributes:
        product: B = A V(0) / sqrt(k).
        gram: A A^T; None where V is not trained.
        operator: A.
        output_weights: V(0) / sqrt(k).
        signal: The signal x.
        measurements: y.
        noise_norm: ||e||.
        start: z(0).
        loss_power: p.
        learning_rate: gamma, float64.
        root_width: sqrt(k), float64.
        sizes: The run's own sizes.
        limit: See `divergence.squared_limit`.
    """

    product: Float[Array, "m k"]
    gram: Float[Array, "m m"] | None
    operator: Float[Array, "m n"]
    output_weights: Float[Array, "n k"]
    signal: Float[Array, " n"]
    measurements: Float[Array, " m"]
    noise_norm: Float[Array, ""]
    start: Float[Array, " k"]
    loss_power: Float[Array, ""]
    learning_rate: Float[Array, ""]
    root_width: Float[Array, ""]
    sizes: Sizes
    limit: Any = None


def activate(name: str, z: Float[Array, " k"]) -> tuple[Float[Array, " k"], Float[Array, " k"]]:
    """Return phi(z) and phi'(z)."""
    if name == "sigmoid":
        value = jax.nn.sigmoid(z)
        return value, value * (1 - value)
    if name == "tanh":
        value = jnp.tanh(z)
        return value, 1 - value**2
    if name == "softplus":
        return jax.nn.softplus(z), jax.nn.sigmoid(z)
    return jnp.arctan(z), 1 / (1 + z**2)


# sup |phi''|: of the sigmoid 1 / (6 sqrt 3), of tanh 4 / (3 sqrt 3), of arctan 3 sqrt 3 / 8.
BENDS = {
    "sigmoid": 6**-1 * 3**-0.5,
    "tanh": 4 / 3 * 3**-0.5,
    "softplus": 0.25,
    "arctan": 3 / 8 * 3**0.5,
}


def loss_value(
    name: str, v: Float[Array, " m"], y: Float[Array, " m"], power: Float[Array, ""]
) -> Float[Array, ""]:
    """Return L_y(v)."""
    r = v - y
    if name == "half_squared":
        return 0.5 * jnp.sum(r**2)
    if name == "power":
        return jnp.sum(jnp.abs(r) ** power) / power
    return jnp.sum(_cross_entropy(r, y))


# Where |r| is smaller, the series is the better one of the two, to some 1e-13 and 1e-6.
_SERIES_BELOW = {8: 1e-2, 4: 1e-1}
# Beyond it e^r, or e^{-r}, overflows in float32, and nothing cancels in the plain formula.
_LARGE = 80.0


def _cross_entropy(r: Float[Array, " m"], y: Float[Array, " m"]) -> Float[Array, " m"]:
    """Return softplus(y + r) - softplus(y) - s(y) r, accurate however small r is.

    As it stands its terms are of size 1 and the difference of size r^2: below r = 1e-8 nothing
    would be left. With s = s(y) and t = 1 - s it is

        log(1 + s (e^r - 1)) - s r = log(1 + t (e^{-r} - 1)) + t r,

    whose terms are of size r; and the series of cumulants of a coin of probability s,
    q r^2/2 + q (1 - 2s) r^3/6 + q (1 - 6q) r^4/24 + ..., q = s t.
    """
    s, t = jax.nn.sigmoid(y), jax.nn.sigmoid(-y)
    q, skew = s * t, t - s
    kappas = (q, q * skew, q * (1 - 6 * q), q * skew * (1 - 12 * q), q * (1 - 30 * q * (1 - 4 * q)))
    small = jnp.abs(r) < _SERIES_BELOW[r.dtype.itemsize]
    near = jnp.where(small, r, 0.0)
    series, power = jnp.zeros_like(r), near
    for order, kappa in enumerate(kappas, start=2):
        power = power * near / order
        series += kappa * power
    first = jnp.log1p(s * jnp.expm1(jnp.minimum(r, _LARGE))) - s * r
    second = jnp.log1p(t * jnp.expm1(jnp.minimum(-r, _LARGE))) + t * r
    turned = s > 0.5
    closed = jnp.where(turned, second, first)
    plain = jax.nn.softplus(y + r) - jax.nn.softplus(y) - s * r
    far = jnp.where(turned, -r, r) > _LARGE
    return jnp.where(small, series, jnp.where(far, plain, closed))


def loss_slope(
    name: str, v: Float[Array, " m"], y: Float[Array, " m"], power: Float[Array, ""]
) -> Float[Array, " m"]:
    """Return the gradient of L_y at v."""
    r = v - y
    if name == "half_squared":
        return r
    if name == "power":
        return jnp.sign(r) * jnp.abs(r) ** (power - 1)
    return jax.nn.sigmoid(v) - jax.nn.sigmoid(y)


def loss_curvature(
    name: str, loss: Float[Array, ""], power: Float[Array, ""]
) -> Float[Array, ""] | float:
    """Return an upper bound of the curvature of L_y where it is at most `loss` (derived).

    1; (p - 1) max |r_i|^(p-2) <= (p - 1) (p L)^((p-2)/p); sup s' = 1/4.
    """
    if name == "half_squared":
        return 1.0
    if name == "power":
        return (power - 1) * (power * loss) ** ((power - 2) / power)
    return 0.25


class PriorView(View):
    """The state of one network, as observables see it.

    Args:
        constants: What the run is given.
        hidden: z.
        change: C, or None.
        step: The number of steps taken.
        activation: phi.
        loss_name: L_y.
    """

    def __init__(
        self,
        constants: Constants,
        hidden: Float[Array, " k"],
        change: Float[Array, "m k"] | None,
        step: Int[Array, ""],
        activation: str,
        loss_name: str,
    ) -> None:
        self.constants = constants
        self.hidden = hidden
        self.change = change
        self.step = step
        self.activation = activation
        self.loss_name = loss_name

    @cached_property
    def start(self) -> PriorView:
        """The view of step 0."""
        constants = self.constants
        change = None if self.change is None else jnp.zeros_like(self.change)
        now = jnp.zeros_like(self.step)
        return PriorView(constants, constants.start, change, now, self.activation, self.loss_name)

    @property
    def dtype(self) -> Any:
        """The precision of training."""
        return self.hidden.dtype

    @property
    def _root_width(self) -> Float[Array, ""]:
        return self.constants.root_width.astype(self.dtype)

    @cached_property
    def _activated(self) -> tuple[Float[Array, " k"], Float[Array, " k"]]:
        return activate(self.activation, self.hidden)

    @cached_property
    def output_weights(self) -> Float[Array, "n k"]:
        """V(t) / sqrt(k)."""
        own = self.constants.output_weights
        if self.change is None:
            return own
        return own + multiply(self.constants.operator.T, self.change) / self._root_width

    @cached_property
    def output(self) -> Float[Array, " n"]:
        """g(u) = V phi(z) / sqrt(k)."""
        return multiply(self.output_weights, self._activated[0])

    @cached_property
    def measured(self) -> Float[Array, " m"]:
        """A g(u), as a step computes it."""
        return measured(self.constants, self.change, self._activated[0])

    @cached_property
    def residual(self) -> Float[Array, " m"]:
        """A g(u) - y."""
        return self.measured - self.constants.measurements

    @cached_property
    def loss(self) -> Float[Array, ""]:
        """L_y(A g(u))."""
        c = self.constants
        power = c.loss_power.astype(self.dtype)
        return loss_value(self.loss_name, self.measured, c.measurements, power)

    @cached_property
    def squared_gradient_norm(self) -> Float[Array, ""]:
        """The squared norm of the gradient with respect to all that is trained."""
        c, (h, slope) = self.constants, self._activated
        power = c.loss_power.astype(self.dtype)
        s = loss_slope(self.loss_name, self.measured, c.measurements, power)
        back = multiply(c.operator.T, s)
        total = jnp.sum((slope * multiply(self.output_weights.T, back)) ** 2)
        if self.change is None:
            return total
        return total + jnp.sum(back**2) * jnp.sum(self._within(h) ** 2) / self._root_width**2

    def _within(self, values: Float[Array, " k"]) -> Float[Array, " k"]:
        """Return one value a neuron, zero beyond the width."""
        places = jnp.arange(values.shape[0])
        return jnp.where(places < self.constants.sizes.width, values, 0.0)

    @cached_property
    def error(self) -> Float[Array, " n"]:
        """g(u) - x."""
        return self.output - self.constants.signal

    @cached_property
    def distance(self) -> Float[Array, ""]:
        """||theta(t) - theta(0)||: of W that is ||z(t) - z(0)||."""
        squared = jnp.sum((self.hidden - self.constants.start) ** 2)
        if self.change is not None:
            squared += jnp.sum(multiply(self.constants.operator.T, self.change) ** 2)
        return jnp.sqrt(squared)

    @cached_property
    def jacobian_spectrum(self) -> tuple[Float[Array, " n"], Float[Array, "n n"]]:
        """Eigenvalues, descending, and eigenvectors of J_g J_g^T.

        J_g J_g^T = V diag(phi'(z)^2) V^T / k, and where V is trained + ||phi(z)||^2 / k I_n.
        """
        h, slope = self._activated
        scaled = self.output_weights * slope
        square = multiply(scaled, scaled.T)
        if self.change is not None:
            inside = jnp.arange(square.shape[0]) < self.constants.sizes.signal_dim
            share = jnp.sum(self._within(h) ** 2) / self._root_width**2
            square += jnp.diag(jnp.where(inside, share, 0.0))

        def decompose(symmetric: Float[Array, "n n"]) -> Float[Array, "n+1 n"]:
            values, vectors = jnp.linalg.eigh(symmetric)
            return jnp.concatenate([values[None], vectors])

        both = guarded(decompose, square)[:, ::-1]
        return both[0], both[1:]

    @cached_property
    def jacobian_min(self) -> Float[Array, ""]:
        """sigma_min(J_g) = min ||J_g^T w|| over unit vectors w of R^n: zero where k < n."""
        sizes = self.constants.sizes
        value = jnp.sqrt(jnp.maximum(self.jacobian_spectrum[0][sizes.signal_dim - 1], 0.0))
        # Zero, not its rounding.
        thin = (sizes.width < sizes.signal_dim) & (self.change is None)
        return jnp.where(thin, 0.0, value)

    @cached_property
    def restricted_injectivity(self) -> Float[Array, ""]:
        """The least ||A w|| over unit vectors w in the range of J_g.

        Zero where that is larger than R^m. Singular values of J_g below 1e-6 of the largest count
        as zero: columns of random signs may repeat.
        """
        sizes = self.constants.sizes
        squares, vectors = self.jacobian_spectrum
        reached = jnp.sum(squares > _RANK_SHARE**2 * squares[0])
        inside = jnp.where(jnp.arange(vectors.shape[1]) < reached, vectors, 0.0)
        measured = multiply(self.constants.operator, inside)
        values = guarded(lambda a: jnp.linalg.svd(a, compute_uv=False), measured)
        beyond = reached > jnp.minimum(sizes.measurement_dim, values.shape[0])
        return jnp.where(beyond, 0.0, values[jnp.minimum(reached, values.shape[0]) - 1])

    @cached_property
    def operator_values(self) -> Float[Array, " p"]:
        """The singular values of A, in descending order."""
        return jnp.linalg.svd(self.constants.operator, compute_uv=False)

    @cached_property
    def operator_min(self) -> Float[Array, ""]:
        """The smallest of the m singular values of A."""
        return self.operator_values[self.constants.sizes.measurement_dim - 1]

    def psi(self, loss: Float[Array, ""]) -> Float[Array, ""]:
        """Return psi at a loss, as in problems/deep_prior.py; NaN where none is known."""
        if self.loss_name == "half_squared":
            return jnp.sqrt(2 * loss)
        if self.loss_name == "power":
            p = self.constants.loss_power.astype(self.dtype)
            m = self.constants.sizes.measurement_dim.astype(self.dtype)
            return m ** (0.5 - 1 / p) * (p * loss) ** (1 / p)
        return jnp.full_like(loss, jnp.nan)

    @cached_property
    def radius(self) -> Float[Array, ""]:
        """The radius R' = 2 psi(L(0)) / (sigma_A sigma_min(J_g(0)))."""
        start = self.start
        return 2 * self.psi(start.loss) / (self.operator_min * start.jacobian_min)

    @cached_property
    def allowed_radius(self) -> Float[Array, ""]:
        """The radius R = sigma_min(J_g(0)) sqrt(k) / (2 sup |phi''| ||V||_op) (derived)."""
        if self.change is not None:
            return jnp.full((), jnp.nan, self.dtype)
        weights = self.constants.output_weights
        norm = guarded(lambda a: jnp.linalg.svd(a, compute_uv=False)[0], weights)
        return self.start.jacobian_min / (2 * BENDS[self.activation] * norm)

    @cached_property
    def loss_bound(self) -> Float[Array, ""]:
        """Bound of the loss while sigma_min(J_g) >= sigma_min(J_g(0)) / 2; see observables."""
        start = self.start
        gamma = self.constants.learning_rate.astype(self.dtype)
        share = gamma * (self.operator_min * start.jacobian_min) ** 2 / 8
        t = self.step.astype(self.dtype)
        if self.loss_name == "half_squared":
            return start.loss * jnp.exp(t * jnp.log1p(-2 * share))
        if self.loss_name == "power":
            p = self.constants.loss_power.astype(self.dtype)
            m = self.constants.sizes.measurement_dim.astype(self.dtype)
            constant = m ** (2 / p - 1) * p ** (2 - 2 / p)
            # loss^(1 - 2 (p-1)/p) grows by (2 (p-1)/p - 1) times this a step; p = 2 is the limit.
            order = 1 - 2 / p
            grown = start.loss**-order + order * share * constant * t
            slow = jnp.where(order > 0, grown ** (-1 / jnp.where(order > 0, order, 1.0)), 0.0)
            return jnp.where(order > 0, slow, start.loss * jnp.exp(-share * constant * t))
        return jnp.full_like(start.loss, jnp.nan)

    @cached_property
    def width_bound(self) -> Float[Array, ""]:
        """The width that the theory asks for up to a constant, sigma_A^-4 n psi(L(0))^4."""
        n = self.constants.sizes.signal_dim.astype(self.dtype)
        return self.psi(self.start.loss) ** 4 * n / self.operator_min**4


def measured(
    constants: Constants, change: Float[Array, "m k"] | None, h: Float[Array, " k"]
) -> Float[Array, " m"]:
    """Return A V h / sqrt(k)."""
    own = multiply(constants.product, h)
    if change is None or constants.gram is None:
        return own
    return own + multiply(constants.gram, multiply(change, h)) / constants.root_width.astype(
        h.dtype
    )
