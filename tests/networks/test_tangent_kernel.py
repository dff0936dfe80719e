"""The tangent kernel's numbers, accuracies and the test loss against NumPy's own."""

from __future__ import annotations

import numpy as np
import pytest
from batch_samples import drawn
from plugin_samples import loaded
from spec_samples import sweep

from dlnsweep.contracts.view import Landscape
from dlnsweep.engine.batch import train_batch
from dlnsweep.errors import SpecError
from dlnsweep.networks.generic import observables, tangent_kernel
from dlnsweep.networks.generic.trial import why_not
from dlnsweep.numerics.runtime import numerics
from dlnsweep.plan.plan import make_plan

NAMES = [
    "kernel_distance", "kernel_change", "kernel_alignment", "kernel_eigenvalues",
    "accuracy", "test_accuracy", "test_loss",
]  # fmt: skip


def network(**record):
    return sweep(
        network={"kind": "tanh2", "width": 6},
        training={"num_steps": 20, "learning_rate": 0.05},
        record={"observables": NAMES, "spacing": "explicit", "steps": [1, 20], **record},
    )


def kernel_of(a, b, y):
    """J J^T of B tanh(A Y): row (output i, sample s), by the chain rule."""
    hidden = np.tanh(a @ y)
    d, n = b.shape[0], y.shape[1]
    by_a = np.einsum("ip,ps,us->ispu", b, 1 - hidden**2, y).reshape(d * n, -1)
    by_b = np.einsum("ij,ps->isjp", np.eye(d), hidden).reshape(d * n, -1)
    both = np.concatenate([by_a, by_b], axis=1)
    return both @ both.T


def test_they_are_those_of_the_explicit_kernel():
    with loaded():
        plan = make_plan(network())
        trained = train_batch(plan.settings, plan.shared, plan.program_widths[0])
    _, (a, b), x, y, (fresh_x, fresh_y, _) = drawn(
        make_plan(sweep(network={"depth": 2, "width": 6})), 0
    )
    first = kernel_of(a, b, y)
    for step in range(21):
        if step in trained.steps:
            place = trained.steps.tolist().index(step)
            kernel, target = kernel_of(a, b, y), x.reshape(-1)
            sizes = np.linalg.norm(kernel), np.linalg.norm(first)
            fresh = b @ np.tanh(a @ fresh_y)
            wanted = {
                "kernel_distance": 1 - np.sum(kernel * first) / (sizes[0] * sizes[1]),
                "kernel_change": np.linalg.norm(kernel - first) / sizes[1],
                "kernel_alignment": target @ kernel @ target / (sizes[0] * target @ target),
                "kernel_eigenvalues": np.linalg.eigvalsh(kernel)[::-1][:3],
                "accuracy": np.mean((b @ np.tanh(a @ y)).argmax(0) == x.argmax(0)),
                "test_accuracy": np.mean(fresh.argmax(0) == fresh_x.argmax(0)),
                "test_loss": 0.5 * np.sum((fresh - fresh_x) ** 2),
            }
            for name, value in wanted.items():
                found = trained.observables[name][0, place]
                # 1 - cosine of the transcription is rounded at 1e-16 of 1; eigenvalues at 1e-10.
                np.testing.assert_allclose(found, value, rtol=1e-10, atol=1e-14, err_msg=name)
        hidden = np.tanh(a @ y)
        off = b @ hidden - x
        a, b = a - 0.05 * (b.T @ off * (1 - hidden**2)) @ y.T, b - 0.05 * off @ hidden.T


class Few:
    """A view of a network with fewer parameters than outputs, whose leaves have rates."""

    shared: dict = {}  # noqa: RUF012

    def __init__(self, jnp):
        self.params = {"a": jnp.asarray([0.3, -0.2]), "b": jnp.asarray(0.7)}
        rates = {"a": jnp.asarray(0.25), "b": jnp.asarray(1.0)}
        self.landscape = Landscape(self.params, None, rates)  # type: ignore[arg-type]
        self.kernel, self.constants = self, None
        self.data = type("Data", (), {"inputs": jnp.asarray([1.0, 2.0, -1.0, 0.5])})

    @staticmethod
    def predict(params, inputs, constants):
        return params["b"] * (params["a"][0] + params["a"][1] * inputs)[None]


def test_derivatives_forwards_are_those_backwards_and_have_their_rates():
    from dlnsweep.numerics.lazy import jnp

    with numerics():
        view = Few(jnp)
        found = np.asarray(tangent_kernel.jacobian(view, view.params))  # type: ignore[arg-type]
    y = np.array([1.0, 2.0, -1.0, 0.5])
    wanted = np.stack([0.35 * np.ones(4), 0.35 * y, 0.3 - 0.2 * y], axis=1)
    np.testing.assert_allclose(found, wanted, atol=1e-15)


MLPS = {
    "biases, two outputs, factors by layer": (
        {"activation": "tanh", "depth": 3, "biases": True, "parametrization": "mup"},
        {"learning_rate_factors": "1, 0.5, 2"},
        "generic",
    ),
    "one layer trained, centred and rich": (
        {"activation": "relu", "depth": 3, "trained_layers": "first", "output": "centred",
         "richness": 2.5, "parametrization": "ntk"},
        {},
        "generic",
    ),
    "on the span of the inputs": (
        {"activation": "gelu", "depth": 2, "parametrization": "ntk"}, {}, "reduced_inputs",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MLPS)
def test_an_mlp_has_the_kernel_of_its_derivatives(case: str):
    from dlnsweep.engine.programs import PROGRAMS
    from dlnsweep.numerics.lazy import jax

    settings, training, kernel = MLPS[case]
    plan = make_plan(
        sweep(
            problem={"kind": "teacher", "signal_dim": 2, "measurement_dim": 9, "num_samples": 7},
            network={"kind": "mlp", "width": 6, **settings},
            training={"num_steps": 2, "learning_rate": 0.05, **training},
            record={"observables": ["kernel_distance"], "count": 2},
            sweep={"kernel": kernel},
        )
    )
    with numerics():
        program = PROGRAMS.dense(plan.row(0), plan.program_widths[0], 1)
        lanes = program.start(program.arguments(plan.settings))
        inputs, carry = jax.tree.map(lambda leaf: leaf[0], lanes)
        view = program.kernel.view(inputs, carry)
        found = np.asarray(tangent_kernel.kernel_at(view, view.params))
        derivatives = np.asarray(tangent_kernel.jacobian(view, view.params))
    assert view.kernel.network.structure.tangent_kernel is not None
    wanted = derivatives @ derivatives.T
    assert wanted.shape == (14, 14)
    # Sums of some dozen products.
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-13 * np.max(np.abs(wanted)))


def test_one_output_answers_by_its_sign():
    outputs, targets = np.array([[0.2, -3.0, 0.0, 1.0]]), np.array([[1.0, -1.0, 1.0, -1.0]])
    with numerics():
        assert float(observables._share_right("accuracy", outputs, targets)) == 0.5
    with pytest.raises(SpecError, match=r"^record.observables names 'accuracy', which compares "):
        observables._share_right("accuracy", outputs[0], targets)


def test_a_kernel_of_many_outputs_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tangent_kernel, "LARGEST_KERNEL", 39)
    with loaded():
        found = why_not(make_plan(network()).row(0), computed=False)
    assert found == (
        "network.kind 'tanh2' cannot be trained: record.observables names what is made of the "
        "tangent kernel, a matrix of 40 rows, one for each output on each sample; it may have 39. "
        "Leave it out, or take fewer samples."
    )
