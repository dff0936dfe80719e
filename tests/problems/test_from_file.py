# ruff: noqa: E501  (a mistake and its sentence stand in one line of a table)

"""Problem "from_file": what it reads and says, against NumPy, and files that change."""

from __future__ import annotations

import io
import os
import pickle
import struct
import tomllib
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import guides
import jax
import numpy as np
import pytest
from batch_samples import assert_follows, train_rows
from plugin_samples import loaded
from spec_samples import document
from worker_samples import told_by_a_worker

import dlnsweep
from dlnsweep.contracts.network import NETWORKS
from dlnsweep.errors import SpecError, StoreError
from dlnsweep.execution.preparing import prepare
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.streams import gaussian, purpose_key
from dlnsweep.plan.plan import Plan, make_plan
from dlnsweep.problems import arrays, from_file
from dlnsweep.settings.training import OWN_SQUARED
from dlnsweep.spec.explain import explain
from dlnsweep.spec.sweep import Sweep

# Means and deviations of ten numbers of size 1, and a division.
ROUNDED = 1e-14
RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(10, 3)) * [1.0, 5.0, 0.1] + [0.0, 2.0, 7.0]
INPUTS[:, 1] = 0.3
TARGETS = RNG.normal(size=(10, 2)) + 3
CLASSES = np.array([0, 1, 2, 1, 0, 2, 2, 0, 1, 1])


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    np.savez("a.npz", inputs=INPUTS, targets=TARGETS, classes=CLASSES)


def document_of(**keys: Any) -> dict[str, Any]:
    record = keys.pop("record", {"observables": ["loss"]})
    problem = {"kind": "from_file", "data_file": "a.npz"} | keys
    return document(problem=problem, record=record)


def sweep(**keys: Any) -> Sweep:
    return Sweep.from_dict(document_of(**keys))


def problems(**keys: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        sweep(**keys)
    return [sentence.removeprefix("sweep: ") for sentence in caught.value.problems]


def drawn(seed: int = 3, test: int = 0, **keys: Any) -> list[np.ndarray]:
    """Return targets and inputs of the training samples, and of `test` test samples."""
    values = sweep(**keys).values
    own = {k: v[0] for k, v in values.items() if k.startswith("problem.")}
    settings = from_file.FromFileSettings(**{k.partition(".")[2]: v for k, v in own.items()})

    def draw(seed):
        key = partial(purpose_key, seed)
        order = gaussian(key("data/rows"), 10, 1)
        fresh = from_file.draw_test(settings, key, test) if test else ()
        return (
            *from_file.draw(settings, key),
            *fresh,
            *([order] if settings.split == "seed" else []),
        )

    with numerics():
        # Compiled with less care, in half the time.
        compiled = jax.jit(draw, compiler_options={"xla_backend_optimization_level": 0})
        return [np.asarray(a) for a in compiled(np.int64(seed))]


def test_sizes_follow_from_the_file_and_all_rows_train():
    values = sweep().values
    sizes = [values[f"problem.{k}"] for k in ("num_samples", "measurement_dim", "signal_dim")]
    assert sizes == [(10,), (3,), (2,)]
    x, y = drawn()
    np.testing.assert_array_equal(x, TARGETS.T)
    np.testing.assert_array_equal(y, INPUTS.T)


def test_the_first_rows_train_and_are_what_is_standardised_by():
    mean, deviation = INPUTS[:7].mean(0), INPUTS[:7].std(0)
    deviation[1] = 1.0
    found = drawn(num_samples=7, standardise="both", test=2)
    target_mean, target_deviation = TARGETS[:7].mean(0), TARGETS[:7].std(0)
    for (x, y), rows in ((found[:2], slice(7)), (found[2:], slice(7, 9))):
        assert np.abs(y.T - (INPUTS[rows] - mean) / deviation).max() < 20 * ROUNDED
        assert np.abs(x.T - (TARGETS[rows] - target_mean) / target_deviation).max() < 20 * ROUNDED
        # Constant, and 0 exactly though 0.3 is no binary number.
        assert (y[1] == 0).all()


def test_the_seed_chooses_the_rows():
    x, y, fresh, fresh_y, numbers = drawn(num_samples=6, split="seed", test=4)
    order = np.argsort(numbers[:, 0])
    assert not (np.diff(order) > 0).all()
    np.testing.assert_array_equal(y.T, INPUTS[order[:6]])
    np.testing.assert_array_equal(x.T, TARGETS[order[:6]])
    np.testing.assert_array_equal(fresh.T, TARGETS[order[6:]])
    np.testing.assert_array_equal(fresh_y.T, INPUTS[order[6:]])


def test_classes_become_targets():
    x, _ = drawn(targets="classes", labels="one_hot")
    np.testing.assert_array_equal(x, np.eye(3)[CLASSES].T)
    x, _ = drawn(targets="classes", labels="signs", signal_dim=4)
    np.testing.assert_array_equal(x, 2 * np.eye(4)[CLASSES].T - 1)
    for low in (0, -1):
        two = np.where(CLASSES > 0, 1, low).astype(np.int8)[:, None]
        np.savez("a.npz", inputs=INPUTS, targets=two)
        x, _ = drawn(labels="signs")
        np.testing.assert_array_equal(x, np.where(two.T > 0, 1.0, -1.0))


def test_two_files_images_and_numbers_of_other_types():
    images = RNG.integers(0, 256, (10, 2, 2, 3)).astype(np.uint8)
    np.save("x.npy", np.asfortranarray(images))
    np.save("y.npy", TARGETS[:, 0].astype(">f4"))
    x, y = drawn(data_file="x.npy", targets_file="y.npy")
    np.testing.assert_array_equal(y, images.reshape(10, 12).T)
    np.testing.assert_array_equal(x[0], TARGETS[:, 0].astype("f4"))


def test_the_guide_writes_a_file_of_the_size_of_cifar_5k():
    code, toml = (
        guides.block("own_problems", "Your own data", kind) for kind in ("python", "toml")
    )
    assert "5000" in code
    assert "num_samples = 4000" in toml
    exec(code.replace("5000", "50"), {})
    problem = tomllib.loads(toml.replace("4000", "40"))["problem"]
    values = Sweep.from_dict(document(problem=problem, record={"observables": ["loss"]})).values
    assert values["problem.measurement_dim"] == (3072,)
    assert values["problem.signal_dim"] == (10,)


def write(**members: Any) -> None:
    arrays_of: Any = {"inputs": INPUTS, "targets": TARGETS} | members
    np.savez("a.npz", **arrays_of)


def with_nan() -> np.ndarray:
    found = INPUTS.copy()
    found[4, 2] = np.nan
    return found


def truncate(name: str, size: int) -> None:
    Path(name).write_bytes(Path(name).read_bytes()[:size])


def promise(shape: tuple[int, ...]) -> None:
    """Write a member whose header promises more than it holds."""
    headed(f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n")


def headed(header: str) -> None:
    """Write a member of a header alone."""
    text = header.encode()
    with zipfile.ZipFile("a.npz", "w") as archive:
        content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text
        archive.writestr("inputs.npy", content)


def twice() -> None:
    content = io.BytesIO()
    np.save(content, INPUTS)
    with zipfile.ZipFile("a.npz", "w") as archive:
        archive.writestr("inputs.npy", content.getvalue())
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("inputs.npy", content.getvalue())


def fifo() -> None:
    Path("a.npz").unlink()
    os.mkfifo("a.npz")


def flipped() -> None:
    content = bytearray(Path("a.npz").read_bytes())
    content[200] ^= 1
    Path("a.npz").write_bytes(content)


FILE = "problem.data_file is 'a.npz'; "
IN, OUT = (
    "problem.data_file is 'a.npz', array 'inputs'",
    "problem.data_file is 'a.npz', array 'targets'",
)
A_CLASS = "for problem.labels = 'one_hot' it must hold a class, an integer, a row"


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda: Path("a.npz").unlink(), f"{FILE}there is no such file; name a .npy or .npz file, relative to this folder."),
        (lambda: (Path("a.npz").unlink(), Path("a.npz").mkdir()), f"{FILE}it is no regular file; name a .npy or .npz file, relative to this folder."),
        (fifo, f"{FILE}it is no regular file; name a .npy or .npz file, relative to this folder."),
        (lambda: Path("a.npz").write_text("1 2 3"), f"{FILE}it is no .npy or .npz file; write one with numpy.save or numpy.savez."),
        (lambda: Path("a.npz").write_bytes(pickle.dumps(print)), f"{FILE}it is no .npy or .npz file; write one with numpy.save or numpy.savez."),
        (lambda: truncate("a.npz", 300), f"{FILE}it cannot be read: File is not a zip file."),
        (flipped, f"{FILE}it cannot be read: Bad CRC-32 for file 'inputs.npy'."),
        (lambda: promise((2**40, 2**20)), f"{FILE}it cannot be read: its header says {2**63} bytes of numbers, and it holds 0."),
        (lambda: headed("{'descr': '<f8', 'shape': ("), f"{FILE}it cannot be read: its header is none that numpy.save writes."),
        (twice, f"{FILE}it cannot be read: it holds several arrays named 'inputs'."),
        (lambda: write(targets=np.array([{}] * 10)), f"{OUT}; it holds Python objects, which are never unpickled; save plain numbers."),
        (lambda: write(inputs=INPUTS > 0), f"{IN}; it has dtype bool; it must hold integers, or floats of at most 64 bits: save it with .astype(int)."),
        (lambda: write(inputs=np.zeros((10, 3), "M8[s]")), f"{IN}; it has dtype datetime64[s]; it must hold integers, or floats of at most 64 bits."),
        (lambda: write(inputs=np.float64(3)), f"{IN}; it has shape (); it must have a row a sample, not be empty."),
        (lambda: write(inputs=INPUTS[:, :0]), f"{IN}; it has shape (10, 0); it must have a row a sample, not be empty."),
        (lambda: write(inputs=with_nan()), f"{IN}; it holds values that are not finite, the first in row 4."),
        (lambda: write(targets=np.full(10, 2**53 + 1)), f"{OUT}; it holds integers above 2^53, which float64 does not hold exactly."),
        (lambda: write(targets=TARGETS[:9]), f"{IN}, of 10 rows; {OUT}, of 9: both must have a row a sample."),
        (lambda: write(targets=TARGETS[:, :, None]), f"{OUT}, of shape (10, 2, 1); it must be (N, d) or (N,)."),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_refused(spoil: Any, expected: str):
    spoil()
    # Neither sizes that then do not follow nor anything else is another mistake.
    assert problems() == [expected]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"data_file": ""}, "problem.data_file is ''; there is no such file; name a .npy or .npz file, relative to this folder."),
        ({"inputs": "x"}, "problem.inputs is 'x'; 'a.npz' has no such array. It has: 'classes', 'inputs', 'targets'."),
        ({"targets_file": "y.npy"}, "problem.targets_file is 'y.npy', and problem.data_file is 'a.npz', a .npz file, which holds the targets, too: leave one out."),
        ({"data_file": "y.npy"}, "problem.data_file is 'y.npy', which holds one array: name the .npy file of the targets, problem.targets_file, or put both arrays into a .npz file."),
        ({"data_file": "y.npy", "targets_file": "a.npz"}, "problem.targets_file is 'a.npz'; beside a .npy file of inputs it must be a .npy file."),
        ({"labels": "one_hot"}, f"{OUT}, of dtype float64; {A_CLASS}: save it with .astype(int)."),
        ({"labels": "one_hot", "targets": "wide"}, f"{FILE[:-2]}, array 'wide', of shape (10, 2); {A_CLASS}. (Targets that are numbers: problem.labels = \"none\".)"),
        ({"labels": "one_hot", "targets": "negative"}, f"{FILE[:-2]}, array 'negative', with classes from -1 to 1; they must be 0, 1, ..., below 10000 (or -1 and 1 for \"signs\")."),
        ({"labels": "one_hot", "targets": "classes", "signal_dim": 2}, "problem.signal_dim is 2; there are classes up to 2, which need 3 targets: leave it out, or give more."),
        ({"labels": "signs", "targets": "classes", "standardise": "both"}, "problem.standardise is 'both' and problem.labels is 'signs'; classes are not standardised: take 'inputs'."),
        ({"inputs": "huge", "standardise": "both"}, "problem.standardise is 'both'; column 0 of the inputs varies by 1.2e+200, whose square float64 does not hold: it must vary by 1e-140 to 1e+150, or not at all; multiply it by a factor before it is saved."),
        ({"targets": "tiny", "standardise": "both"}, "problem.standardise is 'both'; column 0 of the targets varies by 1e-200, whose square float64 does not hold: it must vary by 1e-140 to 1e+150, or not at all; multiply it by a factor before it is saved."),
        ({"signal_dim": 3}, "problem.signal_dim is 3; a sample has 2 targets: leave it out."),
        ({"measurement_dim": 4}, "problem.measurement_dim is 4; the inputs have 3 features: leave it out."),
        ({"num_samples": 11}, "problem.num_samples is 11; the file has 10 rows. Left out, all of them train."),
        ({"record": {"observables": ["test_error"]}}, "record.observables names 'test_error', which needs test samples; all samples of the problem train: lower problem.num_samples."),
        ({"num_samples": 7, "record": {"observables": ["test_error"], "num_test_samples": 4}}, "record.num_test_samples is 4; 3 samples do not train: lower it, or problem.num_samples."),
        ({"num_samples": 7, "record": {"observables": ["test_error"]}}, "record.num_test_samples is 100, as where a file does not say it; 3 samples do not train: lower it, or problem.num_samples."),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(keys: dict[str, Any], expected: str):
    huge, tiny = 1e200 * INPUTS, np.zeros((10, 1))
    huge[:, 0] = np.linspace(0.1e200, 1.3e200, 10)
    tiny[4] = 1e-200
    write(
        classes=CLASSES, wide=np.eye(10, 2, dtype=int), negative=CLASSES - 1, huge=huge, tiny=tiny
    )
    np.save("y.npy", TARGETS)
    if "It has: " in expected:
        np.savez("a.npz", inputs=INPUTS, targets=TARGETS, classes=CLASSES)
    assert problems(**keys) == [expected]


@pytest.mark.parametrize(
    ("arrays_of", "keys", "expected"),
    [
        ({"inputs": 0 * INPUTS}, {}, "inputs are of norm 0"),
        ({"targets": 0 * TARGETS}, {}, "targets are of norm 0"),
        ({"inputs": np.ones_like(INPUTS)}, {"standardise": "inputs"}, "inputs are the same in all rows that train"),
        ({"inputs": 1e80 * INPUTS}, {}, f"inputs are of norm {1e80 * np.linalg.norm(INPUTS):.3g}"),
        ({"targets": 1e-90 * TARGETS}, {"split": "seed", "num_samples": 7}, f"targets are of norm {1e-90 * np.linalg.norm(TARGETS):.3g}"),
        ({"targets": np.eye(10, 2) * (np.arange(10) > 0)[:, None]}, {"num_samples": 1}, "targets are of norm 0"),
    ],
)  # fmt: skip
def test_data_that_no_run_could_train_on_are_refused(
    arrays_of: dict[str, Any], keys: dict[str, Any], expected: str
):
    write(**arrays_of)
    rest = "; every run would end at step 0 as diverged: in float64 norms must lie between 1e-69 and 1e+76."
    wanted = f"problem.data_file is 'a.npz', whose training {expected}{rest}"
    assert problems(**keys) == [wanted]


def test_a_network_says_itself_whether_its_loss_is_squared():
    """Targets of zero leave nothing to learn by half the squared error; by another who knows."""
    write(targets=0 * TARGETS)
    with loaded():
        for name, network in NETWORKS.items():
            assert (name[1] in OWN_SQUARED) >= network.squared, name
        signs = document_of() | {"network": {"kind": "signs"}}
        assert Sweep.from_dict(signs).values["problem.signal_dim"] == (2,)
        for own in ({"kind": "tanh2", "width": 4}, {"kind": "linear_attention"}):
            with pytest.raises(SpecError, match="whose training targets are of norm 0"):
                Sweep.from_dict(document_of() | {"network": own})


def test_small_data_that_are_standardised_and_a_row_of_zeros_are_right():
    write(inputs=1e-90 * INPUTS, targets=np.eye(10, 2) * (np.arange(10) > 0)[:, None])
    assert sweep(standardise="inputs", num_samples=2).values["problem.num_samples"] == (2,)


def test_a_name_that_is_too_long_is_refused():
    (sentence,) = problems(data_file="x" * 300)
    assert sentence.endswith("; it cannot be read: File name too long.")


def test_a_file_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(arrays, "_LARGEST_BYTES", 300)
    expected = f"{FILE}it cannot be read: it holds more than 0 GiB, which is the most."
    assert problems() == [expected]
    # Zeros take next to nothing in the file.
    np.savez_compressed("a.npz", inputs=np.zeros((10_000, 3)), targets=np.zeros(10_000))
    assert problems() == [expected]


def test_what_is_pickled_is_never_run():
    class Evil:
        def __reduce__(self):
            return Path.touch, (Path("pwned"),)

    write(inputs=np.array([Evil()] * 10, dtype=object))
    assert "never unpickled" in problems()[0]
    # Where nobody asks for it, it is in nobody's way.
    write(extra=np.array([Evil()], dtype=object))
    assert len(drawn()[0]) == 2
    assert not Path("pwned").exists()


def plan(**keys: Any) -> Plan:
    return make_plan(sweep(**keys))


def test_the_content_is_part_of_a_run(tmp_path: Path):
    first = plan()
    (name,) = first.sweep.values["problem.data_file"]
    assert name.startswith("a.npz#sha256=")
    write(classes=CLASSES)
    assert plan().run_ids == first.run_ids
    # Given or not, sizes are the same run.
    assert plan(signal_dim=2, num_samples=10).run_ids == first.run_ids
    prepare(first.sweep, tmp_path / "results")
    changed = INPUTS.copy()
    changed[9, 2] += 1e-9
    write(inputs=changed, classes=CLASSES)
    assert plan().run_ids != first.run_ids
    with pytest.raises(StoreError, match="another sweep"):
        prepare(sweep(), tmp_path / "results")
    (failed,) = [e for e in told_by_a_worker(tmp_path / "results") if e["kind"] == "failed"]
    assert failed["text"].startswith(f"problem.data_file is '{name}'; but the arrays in the file")
    assert "Restore the file, or run the changed one into another folder" in failed["text"]
    with pytest.raises(ValueError, match="it was changed"):
        arrays.resolve_file(name)


def test_several_files_are_an_axis_and_their_sizes_move_with_it():
    np.savez("b.npz", inputs=INPUTS[:8, :2], targets=TARGETS[:8])
    found = sweep(data_file=["a.npz", "b.npz"])
    assert found.values["problem.measurement_dim"] == (3, 2)
    assert found.values["problem.num_samples"] == (10, 8)
    (axis,) = found.axes
    assert axis == (
        "problem.data_file",
        "problem.num_samples",
        "problem.measurement_dim",
        "problem.signal_dim",
    )
    columns = make_plan(found).settings
    assert columns["problem.num_samples"].tolist() == [10, 8]
    both = {"data_file": ["a.npz", "b.npz"], "labels": ["none", "one_hot"]}
    (sentence, *_) = problems(**both)
    assert sentence == (
        "problem.num_samples follows from problem.data_file and problem.labels, which vary apart; "
        "move them together: name them in one list of sweep.zip."
    )


def test_it_is_explained():
    text = explain("from_file")
    assert "if left out it follows from data_file, targets_file, inputs," in text.replace(
        "\n    ", " "
    )
    assert text.index("\nsplit") > text.index("\ndata_file")


@pytest.mark.slow
def test_runs_in_worker_processes_and_what_they_say_of_a_changed_file(tmp_path: Path):
    record = {"observables": ["loss", "test_error"], "num_test_samples": 3, "count": 4}
    sections = document_of(split="seed", num_samples=7, standardise="inputs", record=record)
    sections |= {"sweep": {"seeds": 2}, "training": {"learning_rate": 0.01, "num_steps": 20}}
    done = dlnsweep.run(sections, out=tmp_path / "results", workers=1)
    assert list(done.runs()["status"]) == ["finished"] * 2
    np.savez("a.npz", inputs=INPUTS[::-1], targets=TARGETS)
    with pytest.raises(StoreError, match="another sweep"):
        dlnsweep.run(sections, out=tmp_path / "results", workers=1)


@pytest.mark.slow
def test_a_linear_network_learns_it_as_in_numpy():
    np.savez("a.npz", inputs=INPUTS, targets=TARGETS)
    record = {"observables": ["loss", "off_subspace_error"], "count": 6}
    sections = document_of(split="seed", num_samples=7, standardise="inputs", record=record)
    sections |= {"sweep": {"seeds": 2, "kernel": "dense"}}
    sections |= {"training": {"learning_rate": 0.01, "num_steps": 40}}
    plan = make_plan(Sweep.from_dict(sections))
    trained = train_rows(plan)
    for row in range(2):
        assert_follows(plan, row, trained, row)
