# ruff: noqa: E501  (a mistake and its sentence stand in one line of a table)

"""Measurement operators in sweep files: what they need, and files whose content counts."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spec_samples import document, problems, sweep

from dlnsweep.errors import SpecError, StoreError
from dlnsweep.execution.preparing import prepare
from dlnsweep.plan.plan import Plan, make_plan
from dlnsweep.problems.operators import read_file, resolve_file
from dlnsweep.spec.sweep import Sweep

# The samples have m = 4 and d = 8.
MATRIX = np.arange(32.0).reshape(4, 8)
FILE = {"problem__operator": "file", "problem__operator_file": "a.npy"}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", MATRIX)


def plan(**changes: Any) -> Plan:
    return make_plan(sweep(**changes))


def one_id(**changes: Any) -> int:
    (found,) = plan(**changes).run_ids.tolist()
    return found


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"problem__operator": "fourier"},
            "problem.operator is 'fourier'; it must be 'gaussian', 'dct', 'random_signs', 'blur' "
            "or 'file'.",
        ),
        (
            {"problem__operator": "blur"},
            "problem.blur_width is missing; problem.operator = 'blur' has no default for it.",
        ),
        (
            {"problem__operator": "blur", "problem__blur_width": 0},
            "problem.blur_width is 0; it must be positive.",
        ),
        (
            {"problem__blur_width": 1.5},
            "problem.blur_width is given, but gaussian does not use it; it belongs to blur.",
        ),
        (
            {"problem__operator": ["dct", "file"], "problem__operator_file": "a.npy",
             "problem__blur_width": 2.0},
            "problem.blur_width is given, but dct, file does not use it; it belongs to blur.",
        ),
        (
            {"problem__operator": "file"},
            "problem.operator_file is missing; problem.operator = 'file' has no default for it.",
        ),
        (
            {"problem__operator_file": "a.npy"},
            "problem.operator_file is given, but gaussian does not use it; it belongs to file.",
        ),
        (
            {**FILE, "problem__signal_dim": [8, 9]},
            "problem.operator_file is 'a.npy', of shape (4, 8); with problem.measurement_dim 4 and "
            "problem.signal_dim 9 it must be (4, 9).",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(changes: dict[str, Any], expected: str):
    assert problems(**changes) == [expected]


def save(array: Any) -> None:
    np.save("a.npy", array, allow_pickle=True)


def promise(shape: tuple[int, int]) -> None:
    """Write a header that promises more than the file holds."""
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    Path("a.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda: Path("a.npy").unlink(), "there is no such file; name a .npy file, relative to this folder."),
        (lambda: (Path("a.npy").unlink(), Path("a.npy").mkdir()), "there is no such file; name a .npy file, relative to this folder."),
        (lambda: Path("a.npy").write_text("1 2 3"), "it is no .npy file; write one with numpy.save."),
        (lambda: Path("a.npy").write_bytes(b""), "it is no .npy file; write one with numpy.save."),
        (lambda: save(np.array([[{}]])), "it cannot be read: Array can't be memory-mapped: Python objects in dtype."),
        (lambda: save(MATRIX > 3), "it has dtype bool; it must hold integers, or floats of at most 64 bits."),
        (lambda: save(MATRIX + 1j), "it has dtype complex128; it must hold integers, or floats of at most 64 bits."),
        (lambda: save(MATRIX[0]), "it has shape (8,); it must be a matrix, not empty."),
        (lambda: save(np.where(MATRIX == 3, np.nan, MATRIX)), "it holds values that are not finite."),
        (lambda: save(np.where(MATRIX == 3, np.inf, MATRIX)), "it holds values that are not finite."),
        (lambda: save(np.full((4, 8), -(2**53) - 1)), "it holds integers above 2^53, which float64 does not hold exactly."),
        (lambda: save(np.zeros((4, 8), int)), "it holds zeros only."),
    ],
)  # fmt: skip
def test_a_file_that_holds_no_operator_is_refused(spoil: Any, expected: str):
    spoil()
    assert problems(**FILE) == [f"problem.operator_file is 'a.npy'; {expected}"]


def test_a_file_shorter_than_it_says_is_refused():
    for shape in ((4, 8), (2**40, 2**20)):
        promise(shape)
        (sentence,) = problems(**FILE)
        assert sentence.startswith("problem.operator_file is 'a.npy'; it cannot be read: ")


def test_a_file_that_is_not_named_is_refused():
    assert problems(problem__operator="file", problem__operator_file="") == [
        "problem.operator_file is ''; there is no such file; name a .npy file, relative to this "
        "folder."
    ]


def test_the_content_is_part_of_a_run():
    first = one_id(**FILE)
    assert first == one_id(**FILE)
    (value,) = sweep(**FILE).values["problem.operator_file"]
    name, digest = value.split("#sha256=")
    assert name == "a.npy"
    assert len(digest) == 16
    # The digest of the matrix: another dtype or order in memory says the same.
    for same in (MATRIX.astype(np.int16), np.asfortranarray(MATRIX), -0.0 + MATRIX):
        np.save("a.npy", same)
        assert one_id(**FILE) == first
    changed = MATRIX.copy()
    changed[3, 7] += 1e-9
    ids = {first}
    for other in (changed, MATRIX[:, ::-1], -MATRIX):
        np.save("a.npy", other)
        ids.add(one_id(**FILE))
    assert len(ids) == 4
    np.save("a.npy", MATRIX)
    assert one_id(**FILE) == first


def test_a_resolved_name_means_the_same_and_is_checked():
    resolved = resolve_file("a.npy")
    assert resolve_file(resolved) == resolved
    pinned = {**FILE, "problem__operator_file": resolved}
    assert one_id(**pinned) == one_id(**FILE)
    np.save("a.npy", MATRIX + 1)
    digest = resolve_file("a.npy").partition("#sha256=")[2]
    # Messages show the first 60 characters of a value.
    assert problems(**pinned) == [
        f"problem.operator_file is '{resolved}'; but the matrix in the file has the digest "
        f"{digest}: it was changed."
    ]


def test_a_matrix_is_read_as_it_was_planned():
    np.save("b.npy", MATRIX.astype(np.float32))
    resolved = resolve_file("b.npy")
    found = read_file(resolved)
    assert found.dtype == np.float64
    assert np.array_equal(found, MATRIX)
    np.save("b.npy", MATRIX + 1)
    with pytest.raises(SpecError) as caught:
        read_file.__wrapped__(resolved)
    assert str(caught.value).startswith(
        f"problem.operator_file is '{resolved}'; but the matrix in the file has the digest "
    )
    assert str(caught.value).endswith(
        ": it was changed. Restore the file, or run the changed one into another folder with "
        "--out DIR."
    )


def test_results_of_another_content_are_never_mixed(tmp_path: Path):
    wanted = document(**FILE)
    folder = tmp_path / "results"
    prepare(Sweep.from_dict(wanted), folder)
    # The same content goes on, whatever it is called by now.
    assert prepare(Sweep.from_dict(wanted), folder).runs == 1
    np.save("a.npy", MATRIX + 1)
    with pytest.raises(StoreError, match=r"holds another sweep's results \(problem.operator_file "):
        prepare(Sweep.from_dict(wanted), folder)


def test_operators_are_an_axis_and_blank_what_they_do_not_use():
    np.save("b.npy", MATRIX + 1)
    found = plan(
        problem__operator=["gaussian", "blur", "file"],
        problem__blur_width=[1.5, 3.0],
        problem__operator_file=["a.npy", "b.npy"],
    )
    rows = [found.row(i) for i in range(found.num_runs)]
    seen = [
        (r["problem.operator"], r["problem.blur_width"], (r["problem.operator_file"] or "")[:5])
        for r in rows
    ]
    assert seen[1:3] == [("blur", 1.5, ""), ("blur", 3.0, "")]
    assert [(name, file) for name, _, file in seen[:1] + seen[3:]] == [
        ("gaussian", ""), ("file", "a.npy"), ("file", "b.npy"),
    ]  # fmt: skip
    assert [width for _, width, _ in seen[:1] + seen[3:]] == [None, None, None]
    # Blur widths are traced: one program for both.
    assert found.num_programs == 4
    assert rows[0].keys() == found.row(1).keys()
    assert one_id() == found.run_ids[0]
    assert one_id(problem__operator="blur", problem__blur_width=3) == found.run_ids[2]
    assert one_id(**{**FILE, "problem__operator_file": "b.npy"}) == found.run_ids[4]
