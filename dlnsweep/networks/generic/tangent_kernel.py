"""Observables of the tangent kernel on the training data.

With f(theta) the outputs on all n samples as one vector of N = d n numbers (output after output)
and J = df/dtheta, the kernel is

    Theta = J R J^T    (N, N),

R the learning rates of the parameters over eta: J J^T where all are one (Jacot et al. 2018,
arXiv:1806.07572, section 4). It is formed at recorded steps, as the network says
(`Structure.tangent_kernel`), or from N derivatives backwards or as many forwards as there are
parameters, whichever are fewer, and only numbers made of it are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlnsweep.contracts.observable import observable
from dlnsweep.errors import SpecError
from dlnsweep.networks.curvature import flat_rates
from dlnsweep.numerics.lazy import jax, jnp, lax
from dlnsweep.numerics.vectors import flat, like

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.networks.generic.view import GenericView
    from dlnsweep.settings.sections import RecordSettings

# The most rows of a kernel: it and the derivatives of as many outputs are held at once.
LARGEST_KERNEL = 2048
_AT_ONCE = 64


def jacobian(view: GenericView, params: Any) -> Float[Array, "N P"]:
    """Return J R^{1/2} at some parameters."""

    def outputs(vector: Any) -> Any:
        given = like(vector, params)
        return view.kernel.predict(given, view.data.inputs, view.constants).reshape(-1)

    vector = flat(params)
    number = jax.eval_shape(outputs, vector).shape[0]
    if number <= vector.size:
        back = jax.vjp(outputs, vector)[1]
        units = jnp.eye(number, dtype=vector.dtype)
        found = lax.map(lambda unit: back(unit)[0], units, batch_size=min(number, _AT_ONCE))
    else:
        _, along = jax.linearize(outputs, vector)
        units = jnp.eye(vector.size, dtype=vector.dtype)
        found = lax.map(along, units, batch_size=min(vector.size, _AT_ONCE)).T
    return found * jnp.sqrt(flat_rates(view))


def _check_rows(view: GenericView) -> None:
    """Refuse a kernel of too many rows."""
    number = jax.eval_shape(lambda: view.output(view.data.inputs)).size
    if number > LARGEST_KERNEL:
        raise SpecError(
            f"record.observables names what is made of the tangent kernel, a matrix of {number} "
            f"rows, one for each output on each sample; it may have {LARGEST_KERNEL}. Leave it "
            "out, or take fewer samples."
        )


def kernel_at(view: GenericView, params: Any) -> Float[Array, "N N"]:
    """Return the kernel at some parameters."""
    from dlnsweep.networks.generic.state import is_none, whole
    from dlnsweep.numerics.products import multiply
    from dlnsweep.settings.base import with_numbers

    own = view.kernel.network.structure.tangent_kernel
    if own is None:
        derivatives = jacobian(view, params)
        return multiply(derivatives, derivatives.T)
    rates, still = view.landscape.rates, view.constants.untrained
    if still is not None:
        rates = jax.tree.map(lambda a, _: 0.0 if a is None else a, rates, still, is_leaf=is_none)
    settings = with_numbers(view.kernel.settings, view.constants.network)
    return own(whole(params, view.constants), view.data.inputs, settings, rates)


def _kernel(view: GenericView, at_start: bool = False) -> Float[Array, "N N"]:
    """Return the kernel, or that of step 0; formed once a record."""
    name = f"tangent_kernel {at_start}"
    if name not in view.shared:
        _check_rows(view)
        view.shared[name] = kernel_at(view, view.initial if at_start else view.params)
    return view.shared[name]


@observable(
    "kernel_distance",
    r"kernel distance $1-\cos(\Theta(t),\Theta(0))$",
    "1 - <Theta, Theta_0> / (||Theta||_F ||Theta_0||_F) of the tangent kernels on the training "
    "data now and at step 0 (arXiv:2010.15110, the kernel distance S; arXiv:2406.06158): blind to "
    "a common factor. Where layers have rates r_i eta the kernel is J R J^T, R = diag(r_i)",
    views=("parameters",),
    needs_initial=True,
    basis_free=True,
)
def _kernel_distance(view: GenericView, record: RecordSettings) -> Float[Array, ""]:
    now, start = (k / jnp.linalg.norm(k) for k in (_kernel(view), _kernel(view, at_start=True)))
    # Of unit matrices 1 - <A, B> is half of ||A - B||^2, in which small numbers keep their digits.
    return 0.5 * jnp.sum((now - start) ** 2)


@observable(
    "kernel_change",
    r"$\|\Theta(t)-\Theta(0)\|_F\,/\,\|\Theta(0)\|_F$",
    "relative Frobenius distance of the tangent kernel on the training data from that of step 0",
    views=("parameters",),
    needs_initial=True,
    basis_free=True,
)
def _kernel_change(view: GenericView, record: RecordSettings) -> Float[Array, ""]:
    start = _kernel(view, at_start=True)
    return jnp.linalg.norm(_kernel(view) - start) / jnp.linalg.norm(start)


@observable(
    "kernel_alignment",
    r"kernel alignment $x^\top\Theta x\,/\,(\|\Theta\|_F\|x\|^2)$",
    "<Theta, x x^T> / (||Theta||_F ||x x^T||_F) of the tangent kernel on the training data with "
    "the targets x, all of them as one vector (Cristianini et al. 2001, definition 1; not centred)",
    views=("parameters",),
    basis_free=True,
)
def _kernel_alignment(view: GenericView, record: RecordSettings) -> Float[Array, ""]:
    from dlnsweep.numerics.products import multiply

    kernel, targets = _kernel(view), view.data.targets.reshape(-1)
    if kernel.shape[0] != targets.size:
        raise SpecError(
            f"record.observables names 'kernel_alignment', which compares outputs with targets; "
            f"the network has {kernel.shape[0]} outputs on all samples, for {targets.size} targets."
        )
    along = jnp.sum(targets * multiply(kernel, targets))
    return along / (jnp.linalg.norm(kernel) * jnp.sum(targets**2))


@observable(
    "kernel_eigenvalues",
    r"largest eigenvalues of $\Theta$",
    "the num_eigenvalues largest eigenvalues of the tangent kernel on the training data, in "
    "descending order, as sharpness finds its own; NaN beyond the number of outputs. Where layers "
    "have rates r_i eta (of an mlp gamma^2 eta, gamma its richness) it is J R J^T, J the outputs' "
    "derivatives, R = diag(r_i)",
    size=lambda dims: dims.num_eigenvalues,
    views=("parameters",),
    reads=("num_eigenvalues",),
    basis_free=True,
)
def _kernel_eigenvalues(view: GenericView, record: RecordSettings) -> Float[Array, " k"]:
    from dlnsweep.numerics.krylov import largest_eigenvalues
    from dlnsweep.numerics.products import multiply

    kernel = _kernel(view)
    size, count = kernel.shape[0], record.num_eigenvalues
    return largest_eigenvalues(lambda v: multiply(kernel, v), size, count, view.dtype)
