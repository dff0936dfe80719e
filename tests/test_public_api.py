"""The names of the package, in scripts as users write them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sweep_samples import BARE, REPOSITORY, write

import dlnsweep


def script(folder: Path, text: str) -> str:
    """Run a plain script and return what it printed."""
    path = write(folder, text, "script.py")
    ended = subprocess.run(
        [sys.executable, "-W", "error", path],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_every_public_name_is_there() -> None:
    # Nine of them register what is one's own, each with what it takes; a network has a structure;
    # concat makes one of several sweeps.
    assert len(dlnsweep.__all__) <= 35
    assert all(getattr(dlnsweep, name) is not None for name in dlnsweep.__all__)
    assert set(dlnsweep.__all__) <= set(dir(dlnsweep))
    with pytest.raises(AttributeError, match="nosuch"):
        _ = dlnsweep.nosuch  # type: ignore[attr-defined]


def test_importing_the_package_imports_next_to_nothing(tmp_path: Path) -> None:
    heavy = "{'jax', 'numpy', 'pandas', 'pyarrow', 'matplotlib', 'pydantic', 'typer', 'rich'}"
    printed = script(tmp_path, f"import sys, dlnsweep\nprint(sorted({heavy} & set(sys.modules)))\n")
    assert printed == "[]\n"


def test_a_plain_script_runs_a_sweep_with_worker_processes(tmp_path: Path) -> None:
    write(tmp_path, BARE)
    printed = script(
        tmp_path,
        """
import sys
import dlnsweep

results = dlnsweep.run("sweep.toml", workers=1)
assert "jax" not in sys.modules
again = dlnsweep.open_results("results/small")
print(len(results.runs()), len(again.runs()), len(again.curves()) > 12)
print(list(again.summary(by="training.weight_decay")["num_runs"]))
""",
    )
    assert printed.splitlines() == ["12 12 True", "[6, 6]"]


def test_the_process_keeps_its_jax_flags(tmp_path: Path) -> None:
    printed = script(
        tmp_path,
        """
import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_default_matmul_precision", "float32")
jax.config.update("jax_default_prng_impl", "rbg")
before = dict(jax.config.values)
ones = jnp.ones(3)

import dlnsweep

# The sizes of other tests' sweeps, which are compiled already.
sweep = dlnsweep.Sweep.from_dict({
    "name": "api",
    "problem": {"kind": "subspace", "signal_dim": 8, "measurement_dim": 4, "subspace_dim": 2,
                "num_samples": 20},
    "network": {"depth": 2, "width": 8},
    "training": {"learning_rate": 0.05, "weight_decay": [1e-2, 1e-3], "num_steps": 10},
    "record": {"count": 10, "observables": ["regression_error", "off_subspace_error"]},
    "sweep": {"seeds": 2},
})
results = dlnsweep.run(sweep, "out", workers=0)
print(results.curves()["regression_error"].dtype, results.path)

random = np.random.default_rng(0)
signals = random.normal(size=(4, 6))
weights = (random.normal(size=(5, 3)), random.normal(size=(4, 5)))
trajectory = dlnsweep.train(
    weights, signals, signals[:3],
    learning_rate=0.01, weight_decay=1e-3, step_rule="uniform", record_steps=[0, 10, 100],
    kernel="dense",
)
print(list(trajectory.steps), trajectory.regression_error.shape, trajectory.status)
print(trajectory.off_subspace_error.dtype, [w.shape for w in trajectory.weights])
assert dict(jax.config.values) == before
assert jnp.ones(3).dtype == ones.dtype == np.float32
""",
    )
    lines = printed.splitlines()
    assert lines[0] == f"float64 {tmp_path / 'out' / 'api'}"
    assert lines[1].startswith("[0, 10, 100] (3,) finished") or "finished" in lines[1]
    assert lines[2] == "float64 [(5, 3), (4, 5)]"
