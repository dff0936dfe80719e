"""Runs in any number of dimensions: the coordinates of inputs and first layer, by their law.

The problem draws the samples by their coordinates in an orthonormal basis of N vectors, in which
the n training inputs come first. W_1 has independent entries N(0, s(m)^2) in the m coordinates, so
it has them in this basis, too, which knows nothing of W_1:

    A = W_1 Q    (k, n),    W_1 Q'    (k, N - n)

are N(0, s(m)^2) entry by entry. Of B = W_1 - A Q^T, whose k (m - n) entries are such in some basis,
norm and direction are independent: with g those of W_1 Q' over s(m),

    ||B||_F^2 = s(m)^2 chi^2(k (m - n)),   U = g / sqrt(||g||^2 + chi^2(k (m - N))),

so that the norm is the same number however many fresh inputs are drawn. Nothing that is trained or
recorded meets what W_1 has off all N vectors. Vectors of the basis beyond the m-th do
not exist, and W_1 has no columns there.
"""

from __future__ import annotations

from typing import Any

from dlnsweep.contracts.drawing import Sections
from dlnsweep.contracts.network import Network
from dlnsweep.contracts.observable import OBSERVABLES
from dlnsweep.contracts.problem import PROBLEMS, Coordinates
from dlnsweep.networks.generic.draw import Drawn
from dlnsweep.networks.generic.state import Samples
from dlnsweep.networks.reduced_inputs.network import replaced
from dlnsweep.networks.test_samples import TestSamples
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.streams import chi_squared


def draw(network: Network, sections: Sections, key: Any) -> Drawn:
    """Draw a run, float64.

    Args:
        network: The network itself.
        sections: The run's settings, with their numbers; `measurement_dim` may be a tracer.
        key: The run's PRNG key for a named purpose.
    """
    problem, record = PROBLEMS[sections.problem.kind], sections.record
    assert problem.law is not None
    tested = any(OBSERVABLES[name].needs_test_samples for name in record.observables)
    fresh = record.num_test_samples if tested else 0
    found = Coordinates(*problem.law.draw(sections.problem, key, fresh))
    size = jnp.asarray(sections.problem.measurement_dim, jnp.float64)
    params, test = _params(network, sections.network, found, size, key), None
    if tested:
        noise = record.test_noise * found.test_noise
        test = TestSamples(found.test_signals, found.test_measurements, noise, found.test_noise)
    return Drawn(sections, Samples(found.measurements, found.signals), params, test)


def _params(
    network: Network, settings: Any, found: Coordinates, size: Any, key: Any
) -> dict[str, Any]:
    """Draw the parameters of the network on the span."""
    count, total = found.measurements.shape[0], found.test_measurements.shape[0]
    law = network.structure.input_law
    assert law is not None
    (own, copies), (drawn, _) = law(settings, size), law(settings, total)  # pyright: ignore
    # A network of N inputs is drawn, whose entries have another size.
    data = Samples(jnp.zeros((total, count)), found.signals)
    params = jax.tree.map(jnp.asarray, network.init(settings, data, key))
    exists = jnp.arange(total) < size
    off, beyond = [], []

    def chi(purpose: str, degrees: Any) -> Any:
        place = jnp.zeros(1, jnp.uint32)
        return chi_squared(key(f"weights/1/{purpose}"), (place, place), degrees.reshape(1))[0]

    def inside(number: int, leaf: Any, axis: int) -> Any:
        del number
        rows = jnp.where(exists, jnp.moveaxis(leaf, axis, -1) / drawn, 0.0)
        inner, outer = rows[..., :count], rows[..., count:]
        each = rows[..., 0].size // copies
        off.append(own * jnp.sqrt(copies * chi("off", each * (size - count))))
        rest = copies * chi("rest", each * jnp.maximum(size - total, 0.0))
        length = jnp.sqrt(jnp.sum(outer**2) + rest)
        beyond.append(jnp.moveaxis(outer / jnp.where(length > 0, length, 1.0), -1, axis))
        return jnp.moveaxis(own * inner, -1, axis)

    reduced = replaced(network, params, inside)
    return {"network": reduced, "off": tuple(off), "beyond": tuple(beyond), "inputs": size}
