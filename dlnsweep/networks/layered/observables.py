"""Observables of a trained network: its errors, its singular values, ranks and norms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlnsweep.contracts.observable import observable
from dlnsweep.numerics.lazy import jnp

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.contracts.view import View
    from dlnsweep.networks.layered.view import LinearView, NetworkView
    from dlnsweep.settings.sections import RecordSettings


@observable(
    "loss",
    r"loss $\frac{c}{2}\|W_{L:1}Y-X\|_F^2+\frac{\lambda}{2}\sum_i\|W_i\|_F^2$",
    "objective (4) of arXiv:2502.15522 with the data-fit scale c; of a deep linear network "
    "(c/2) ||W_{L:1} Y - X||_F^2 + (lambda/2) sum_i ||W_i||_F^2; of networks in pure functions, "
    "one's own among them, c loss(theta) + (lambda/2) ||theta||^2, with the network's own loss, "
    "that of training.loss or that of a matrix problem, and theta all parameters that are trained "
    "(with training.weight_decay_factors k_l: (lambda/2) sum_l k_l ||theta_l||^2)",
    views=(),
    basis_free=True,
)
def _loss(view: View, record: RecordSettings) -> Float[Array, ""]:
    return view.loss


@observable(
    "regression_error",
    r"regression error $\|W_{L:1}Y-X\|_F\,/\,\|X\|_F$",
    "relative error on the training samples, ||W_{L:1} Y - X||_F / ||X||_F, "
    "with W_{L:1} = W_L ... W_1",
    views=("samples",),
    basis_free=True,
)
def _regression_error(view: NetworkView, record: RecordSettings) -> Float[Array, ""]:
    return jnp.sqrt(view.squared_error) / view.data.signal_norm


@observable(
    "output_norm",
    r"$\|W_{L:1}Y\|_F\,/\,\|X\|_F$",
    "norm of what the network makes of the training measurements, over that of the signals",
)
def _output_norm(view: LinearView, record: RecordSettings) -> Float[Array, ""]:
    return jnp.linalg.norm(view.on_range * view.data.inputs) / view.data.signal_norm


@observable(
    "off_subspace_error",
    r"off-subspace error $\|W_{L:1}P_{\mathrm{range}(Y)}^{\perp}\|_{\mathrm{op}}$",
    "largest amplification of a measurement orthogonal to range(Y), ||W_{L:1} P||_op with P the "
    "projection onto range(Y)'s orthogonal complement; with noise in Y, to the "
    "range of the clean measurements",
)
def _off_subspace_error(view: LinearView, record: RecordSettings) -> Float[Array, ""]:
    from dlnsweep.numerics.products import multiply
    from dlnsweep.numerics.spectra import operator_norm

    if view.data.off_directions is None:
        return operator_norm(view.off_range)
    return operator_norm(multiply(view.rotated_end_to_end_matrix, view.data.off_directions))


@observable(
    "singular_values",
    r"singular values of $W_{L:1}$",
    "singular values of the end-to-end matrix, in descending order",
    size=lambda dims: min(dims.signal_dim, dims.measurement_dim),
    views=("linear", "matrix"),
)
def _singular_values(view: LinearView, record: RecordSettings) -> Float[Array, " p"]:
    return view.singular_values


@observable(
    "weight_norms",
    r"weight norms $\|W_i\|_F$",
    "Frobenius norm of each layer, the first layer first",
    size=lambda dims: dims.depth,
    views=("layers", "factors"),
)
def _weight_norms(view: NetworkView, record: RecordSettings) -> Float[Array, " L"]:
    return jnp.sqrt(view.squared_weight_norms)


@observable(
    "unbalancedness",
    r"unbalancedness $\max_l\|W_{l+1}^\top W_{l+1}-W_lW_l^\top\|_F$",
    "largest Frobenius norm of W_{l+1}^T W_{l+1} - W_l W_l^T (Definition 1 of arXiv:2408.13767)",
    needs_layers=True,
    views=("linear", "factors"),
)
def _unbalancedness(view: LinearView, record: RecordSettings) -> Float[Array, ""]:
    if not view.layer_gaps:
        return jnp.zeros((), view.dtype)
    return jnp.max(jnp.stack([jnp.linalg.norm(gap) for gap in view.layer_gaps]))


@observable(
    "unbalancedness_nuclear",
    r"unbalancedness $\max_l\|W_{l+1}^\top W_{l+1}-W_lW_l^\top\|_*$",
    "the same in the nuclear norm; costs an eigenvalue decomposition of d_w x d_w a record",
    needs_layers=True,
    views=("linear", "factors"),
)
def _unbalancedness_nuclear(view: LinearView, record: RecordSettings) -> Float[Array, ""]:
    if not view.layer_gaps:
        return jnp.zeros((), view.dtype)
    from dlnsweep.numerics.spectra import guarded

    norms = [jnp.sum(jnp.abs(guarded(jnp.linalg.eigvalsh, gap))) for gap in view.layer_gaps]
    return jnp.max(jnp.stack(norms))


@observable(
    "effective_rank",
    "effective rank",
    "exp of the entropy of the end-to-end matrix's normalised singular values (Roy, Vetterli 2007)",
    views=("linear", "matrix"),
)
def _effective_rank(view: LinearView, record: RecordSettings) -> Float[Array, ""]:
    values = view.singular_values
    shares = values / jnp.sum(values)
    # Of a zero matrix, and of one that is not finite, the shares are NaN, and so is the result.
    entropy = -jnp.sum(shares * jnp.log(jnp.where(shares == 0, 1, shares)))
    return jnp.exp(entropy)


@observable(
    "stable_rank",
    r"stable rank $\|W_{L:1}\|_F^2\,/\,\|W_{L:1}\|_{\mathrm{op}}^2$",
    "squared Frobenius over squared operator norm of the end-to-end matrix",
    views=("linear", "matrix"),
)
def _stable_rank(view: LinearView, record: RecordSettings) -> Float[Array, ""]:
    return jnp.sum((view.singular_values / view.singular_values[0]) ** 2)


@observable(
    "numerical_rank",
    "numerical rank",
    "number of singular values of the end-to-end matrix above rank_threshold times the largest",
    views=("linear", "matrix"),
    reads=("rank_threshold",),
)
def _numerical_rank(view: LinearView, record: RecordSettings) -> Float[Array, ""]:
    threshold = record.rank_threshold * view.singular_values[0]
    return jnp.sum(view.singular_values > threshold).astype(view.dtype)


@observable(
    "gradient_norm",
    r"gradient norm $(\sum_i\|\nabla_{W_i}\|_F^2)^{1/2}$",
    "Frobenius norm of the gradient of the loss (decay included) over all layers together",
    views=(),
    basis_free=True,
)
def _gradient_norm(view: View, record: RecordSettings) -> Float[Array, ""]:
    return jnp.sqrt(view.squared_gradient_norm)


@observable(
    "oracle_distance",
    r"distance to the oracle $\|W_{L:1}-XY^+\|_F\,/\,\|XY^+\|_F$",
    "relative Frobenius distance of the end-to-end matrix from X Y^+ (singular values of Y below "
    "1e-12 of the largest count as zero)",
)
def _oracle_distance(view: LinearView, record: RecordSettings) -> Float[Array, ""]:
    inputs = view.data.inputs
    if view.data.off_directions is None:
        oracle = view.data.targets / inputs
    else:
        from dlnsweep.networks.layered.samples import RANK_CUTOFF

        some = inputs > RANK_CUTOFF * inputs[0]
        oracle = jnp.where(some, view.data.targets / jnp.where(some, inputs, 1.0), 0.0)
    squared = jnp.sum((view.on_range - oracle) ** 2) + jnp.sum(view.off_range**2)
    return jnp.sqrt(squared) / jnp.linalg.norm(oracle)


def _relative_test_error(view: NetworkView, with_noise: bool) -> Float[Array, ""]:
    assert view.test is not None
    inputs = view.test.measurements + (view.test.noise if with_noise else 0.0)
    error = view.output(inputs) - view.test.signals
    return jnp.linalg.norm(error) / jnp.linalg.norm(view.test.signals)


@observable(
    "test_error",
    r"test error $\|W_{L:1}Y'-X'\|_F\,/\,\|X'\|_F$",
    "relative error on fresh signals of the same subspace, measured without noise",
    needs_test_samples=True,
    views=("samples",),
    basis_free=True,
)
def _test_error(view: NetworkView, record: RecordSettings) -> Float[Array, ""]:
    return _relative_test_error(view, with_noise=False)


@observable(
    "noisy_test_error",
    r"noisy test error $\|W_{L:1}(Y'+E)-X'\|_F\,/\,\|X'\|_F$",
    "relative error on fresh signals with Gaussian noise of record.test_noise on each measurement",
    needs_test_samples=True,
    reads=("test_noise",),
    views=("samples",),
    basis_free=True,
)
def _noisy_test_error(view: NetworkView, record: RecordSettings) -> Float[Array, ""]:
    return _relative_test_error(view, with_noise=True)


@observable(
    "noisy_test_errors",
    r"test error $\|W_{L:1}(Y'+\sigma E)-X'\|_F\,/\,\|X'\|_F$",
    "relative error on fresh signals with Gaussian noise of each of record.noise_levels on each "
    "measurement: one draw of the noise, scaled by the level",
    size=lambda dims: dims.num_noise_levels,
    needs_test_samples=True,
    over_noise_levels=True,
    views=("samples",),
    basis_free=True,
)
def _noisy_test_errors(view: NetworkView, record: RecordSettings) -> Float[Array, " levels"]:
    assert view.test is not None
    test, count = view.test, view.test.signals.shape[1]
    levels = jnp.asarray(record.noise_levels, view.dtype)
    # All levels stand beside each other in one matrix: one pass through the network.
    noise = (levels[:, None] * test.unit_noise[:, None, :]).reshape(-1, levels.size * count)
    outputs = view.output(jnp.tile(test.measurements, levels.size) + noise)
    errors = outputs.reshape(-1, levels.size, count) - test.signals[:, None, :]
    return jnp.sqrt(jnp.sum(errors**2, axis=(0, 2))) / jnp.linalg.norm(test.signals)
