"""What rounds in between to fewer digits than the run has is told; what does not, is not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from plugin_samples import loaded
from spec_samples import document

import dlnsweep
from dlnsweep.networks.generic.lower_precision import rounding_of


def to(dtype: Any) -> Callable[[Any], Any]:
    return lambda x: x.astype(dtype).astype(x.dtype)


ROUNDS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "cast": (to(jnp.float16), "float16 (convert_element_type, at "),
    "jit": (jax.jit(to(jnp.bfloat16)), "bfloat16 (convert_element_type, at "),
    "vmap": (jax.vmap(to(jnp.float32)), "float32 (convert_element_type, at "),
    "remat": (jax.checkpoint(to(jnp.float32)), "float32 (convert_element_type, at "),
    "scan": (
        lambda x: lax.scan(lambda c, _: (to(jnp.float16)(c), None), x, None, length=2)[0],
        "float16 (convert_element_type, at ",
    ),
    "while": (
        lambda x: lax.fori_loop(0, 3, lambda _, c: to(jnp.float16)(c), x),
        "float16 (convert_element_type, at ",
    ),
    "branch": (
        lambda x: lax.cond(x[0, 0] > 0, to(jnp.float32), lambda y: y, x),
        "float32 (convert_element_type, at ",
    ),
    "product": (
        lambda x: jnp.dot(x, x, preferred_element_type=jnp.float32).astype(x.dtype),
        "float32 (dot_general, at ",
    ),
    "mantissa": (
        lambda x: lax.reduce_precision(x, 8, 7),
        "7 bits of a mantissa (reduce_precision, at ",
    ),
    "complex": (
        lambda x: lax.complex(x, x).astype(jnp.complex64).real.astype(x.dtype),
        "complex64 (convert_element_type, at ",
    ),
    "algorithm": (
        lambda x: jnp.dot(x, x, precision="TF32_TF32_F32"),
        "precision TF32_TF32_F32 (dot_general, at ",
    ),
    # JAX's own scores are float32, whatever they are made of.
    "attention": (
        lambda x: jax.nn.dot_product_attention(*[x[None, :, None]] * 3),
        "float32 (",
    ),
}
KEEPS: dict[str, Callable[[Any], Any]] = {
    "numbers": lambda x: jnp.tanh(2 * x) + np.pi,
    "mask": lambda x: x * (x > 0).astype(jnp.float32),
    "integers": lambda x: x * jnp.arange(4, dtype=jnp.float32) + x.astype(int),
    "bits": lambda x: x + jax.random.normal(jax.random.key(0), (4, 4), jnp.float32),
    "constant": lambda x: x * np.float32(0.5),
    "reductions": lambda x: jnp.median(x) + jnp.mean(x) + jax.nn.softmax(x),
    "special": lambda x: jax.nn.gelu(x) + jax.scipy.special.erfinv(x / 9),
    "spectrum": lambda x: jnp.linalg.svd(x)[1] + jnp.fft.fft(x).real,
}


def looked_at(function: Callable[[Any], Any], dtype: str = "float64") -> str:
    with jax.enable_x64(True):
        x = jnp.ones((4, 4), dtype)
        return rounding_of(jax.make_jaxpr(function)(x), x.dtype)


@pytest.mark.parametrize("name", ROUNDS)
def test_digits_that_are_lost_in_between_are_found(name: str) -> None:
    function, words = ROUNDS[name]
    found = looked_at(function)
    assert found.startswith(words)
    assert f"at {Path(__file__).name}:" in found


@pytest.mark.parametrize("name", KEEPS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_what_has_no_digits_of_the_run_may_be_of_any_precision(name: str, dtype: str) -> None:
    assert looked_at(KEEPS[name], dtype) == ""


@pytest.mark.parametrize("level", ["default", "high", lax.Precision.DEFAULT, "BF16_BF16_F32"])
def test_a_product_of_float32_is_of_all_its_digits(level: Any) -> None:
    """TF32 on a GPU and bf16 on a TPU, which a CPU does not show."""

    def multiply(x: Any) -> Any:
        return jnp.matmul(x, x, precision=level)

    found = looked_at(multiply, "float32")
    assert found.startswith("precision ")
    assert f"(dot_general, at {Path(__file__).name}:" in found
    # A level changes products of float32 only.
    assert looked_at(multiply) == "" or level == "BF16_BF16_F32"
    assert looked_at(lambda x: jnp.matmul(x, x, precision="highest"), "float32") == ""
    assert looked_at(lambda x: jnp.matmul(x, x, precision="F32_F32_F32"), "float32") == ""


def test_float32_is_not_below_a_float32_run() -> None:
    assert looked_at(lambda x: x.astype("float64").astype("float32"), "float32") == ""
    assert looked_at(to(jnp.bfloat16), "float32").startswith("bfloat16 (")


NETWORK = """
from typing import Literal
import dlnsweep
from dlnsweep.lazy import jax, jnp
from dlnsweep.settings import Settings

class Mine(Settings):
    kind: Literal["rounds"] = "rounds"

def init(settings, data, key):
    return jnp.ones((len(data.targets), len(data.inputs)))

def predict(params, inputs, settings):
    return params @ inputs

def loss(outputs, targets, settings):
    return jnp.sum((outputs - targets) ** 2)

@jax.custom_vjp
def rough(x):
    return 2 * x

rough.defvjp(lambda x: (2 * x, None), lambda _, g: (2 * g.astype("float32").astype(g.dtype),))

dlnsweep.register_network(dlnsweep.Network("rounds", Mine, init, predict, loss))
"""
WAYS = {
    "predict": ("params @ inputs", "(params.astype('float16') @ inputs).astype(inputs.dtype)"),
    "loss": ("jnp.sum(", "jnp.sum(targets.astype('float32') * 0 + "),
    "the gradient of its loss": ("return params @ inputs", "return rough(params) @ inputs"),
}


@pytest.mark.parametrize("name", WAYS)
def test_a_network_that_rounds_is_refused_unless_it_says_so(name: str, tmp_path: Path) -> None:
    old, new = WAYS[name]
    text = NETWORK.replace(old, new)
    if name == "predict":
        # A product of float16 and float64 is float64: the cast is one way only.
        assert text.count("astype") == NETWORK.count("astype") + 2
    path = tmp_path / "rounds.py"
    path.write_text(text)
    own = document(network={"kind": "rounds"}, record={"observables": ["loss"]})
    with loaded(path), pytest.raises(dlnsweep.SpecError) as caught:
        dlnsweep.run(own, tmp_path / "out", workers=0)
    told = str(caught.value)
    assert told.startswith(f"network.kind 'rounds' cannot be trained: {name} rounds to float")
    assert "(convert_element_type, at rounds.py:" in told
    assert told.endswith(
        "and a float64 run would have its digits in name alone; compute in the inputs' dtype, or "
        "declare Network(..., lower_precision=True)."
    )
    assert not (tmp_path / "out").exists()
    path.write_text(text.replace("predict, loss)", "predict, loss, lower_precision=True)"))
    with loaded(path):
        results = dlnsweep.run(own, tmp_path / "out", workers=0)
    assert set(results.runs()["status"]) == {"finished"}


def test_plain_products_are_of_the_highest_precision_where_they_are_trained(
    tmp_path: Path,
) -> None:
    """JAX's own default is TF32 on a GPU and bf16 on a TPU."""
    text = NETWORK.replace(
        "    return params @ inputs",
        "    made = jax.make_jaxpr(jnp.matmul)(params, inputs)\n"
        "    SEEN.append(made.eqns[-1].params['precision'])\n"
        "    return params @ inputs",
    )
    path = tmp_path / "plain.py"
    path.write_text(f"SEEN = []\n{text}")
    own = document(
        network={"kind": "rounds"},
        record={"observables": ["loss", "sharpness"]},
        sweep={"precision": "float32"},
    )
    with loaded(path):
        seen = sys.modules["dlnsweep_plugins.plain"].SEEN
        dlnsweep.run(own, tmp_path / "out", workers=0)
    assert {str(each) for each in seen} == {"(Precision.HIGHEST, Precision.HIGHEST)"}
