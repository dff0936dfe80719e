"""Shape annotations of the kernels are enforced under pytest; set before they are imported."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile

from dlnsweep.machine.environment import changing

# Before NumPy starts. What a machine sets for its own sake, as OPENBLAS_CORETYPE, would be what
# folders are begun with.
for name in changing():
    if name != "XLA_FLAGS":
        del os.environ[name]
# Before NumPy starts: threads that wait for each other make small products many times slower.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# One cache of compiled programs for the session: both xdist processes, and the workers that tests
# start, find what one of them compiled. Not the user's own: what is tested must be made here.
if "PYTEST_XDIST_WORKER" not in os.environ and "DLNSWEEP_TEST_CACHE" not in os.environ:
    os.environ["DLNSWEEP_TEST_CACHE"] = tempfile.mkdtemp(prefix="dlnsweep-test-cache-")
    atexit.register(shutil.rmtree, os.environ["DLNSWEEP_TEST_CACHE"], ignore_errors=True)
os.environ["DLNSWEEP_COMPILE_CACHE"] = os.environ["DLNSWEEP_TEST_CACHE"]

import gc  # noqa: E402
import importlib.metadata  # noqa: E402
import importlib.util  # noqa: E402
import signal  # noqa: E402
import threading  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402

import hypothesis  # noqa: E402
import jax  # noqa: E402
import jaxtyping  # noqa: E402
import pytest  # noqa: E402

# Half of what the suite takes is compiling, and what XLA optimizes less it compiles in less than
# half of the time: the same formulas, other roundings. XLA reads its flags once, so that processes
# which tests start compile as a user's do. DLNSWEEP_TEST_OPTIMIZED=1: this one, too.
if not os.environ.get("DLNSWEEP_TEST_OPTIMIZED"):
    given = os.environ.get("XLA_FLAGS")
    flags = [given or "", "--xla_backend_optimization_level=0"]
    # Later versions have no other emitters, and end where a flag is unknown.
    if importlib.metadata.version("jaxlib").startswith("0.10."):
        flags.append("--xla_cpu_use_fusion_emitters=false")
    os.environ["XLA_FLAGS"] = " ".join(flags).strip()
    jax.devices()
    if given is None:
        del os.environ["XLA_FLAGS"]
    else:
        os.environ["XLA_FLAGS"] = given
# A script that starts pytest in the background has it ignore Ctrl-C, which what tests start would
# inherit.
if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    and threading.current_thread() is threading.main_thread()
):
    signal.signal(signal.SIGINT, signal.default_int_handler)
# What is imported stays: to look through all of it again and again takes some percent.
gc.freeze()
gc.set_threshold(20_000, 20, 20)

# Not these: NumPy calls their functions thousands of times a run, and the check of an annotation
# takes longer than the product it guards.
NOT_CHECKED = {f"dlnsweep.reduced.{name}" for name in ("chain", "lane", "reduction", "start")}
# Nor what takes arrays of NumPy's where a caller has such.
TOOLS = ("dlnsweep.numerics.", "dlnsweep.theory.")


def _annotated() -> list[str]:
    """Return the modules whose annotations of shapes are there at run time: those with kernels.

    What is read without JAX (a problem's file, a list of observables) names them for readers and
    type checkers only.
    """
    package = importlib.util.find_spec("dlnsweep")
    assert package is not None
    assert package.origin is not None
    place = Path(package.origin).parent
    found = []
    for path in sorted(place.rglob("*.py")):
        if "\nfrom jaxtyping import" in path.read_text(encoding="utf-8"):
            parts = path.relative_to(place).with_suffix("").parts
            found.append(".".join(("dlnsweep", *parts)))
    return found


CHECKED = [n for n in _annotated() if n not in NOT_CHECKED and not n.startswith(TOOLS)]
# An example may take long: the first one imports, and makes validators; the machine may be busy.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")
pytest.register_assert_rewrite("batch_samples", "relu_samples")
jaxtyping.install_import_hook(CHECKED, "beartype.beartype")


@pytest.fixture
def compiled_anew() -> Iterator[None]:
    """No program is at hand, and none that this test has compiled stays."""
    from dlnsweep.engine.programs import PROGRAMS

    PROGRAMS.clear()
    yield
    PROGRAMS.clear()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what tests/further.txt names, with all parameters or with some."""
    lines = (Path(__file__).parent / "further.txt").read_text().splitlines()
    named = {line for line in lines if line and not line.startswith("#")}
    for item in items:
        name = item.nodeid.removeprefix("tests/")
        if name in named or name.partition("[")[0] in named:
            item.add_marker("further")


@pytest.fixture(autouse=True)
def _no_process_outlives_its_test() -> Iterator[None]:
    """End what a test has started and not ended because it failed: else it fails others, too."""
    yield
    # Not above: the tests that start none need not import it.
    samples = sys.modules.get("sweep_samples")
    if samples is not None:
        samples.end_all()
