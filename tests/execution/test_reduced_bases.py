"""What finds the bases of reduced runs is settled when a folder is begun, and stays what it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from spec_samples import sweep

from dlnsweep.cli.files import _vectors_here
from dlnsweep.contracts.network import BASES_BY_NUMPY, STEPS_BY_XLA, WHOLE_BASES
from dlnsweep.engine.programs import Programs
from dlnsweep.errors import RunError
from dlnsweep.execution.preparing import DASK, prepare
from dlnsweep.execution.runner import run
from dlnsweep.execution.ways import reduced_bases
from dlnsweep.execution.ways.reduced_bases import of_new
from dlnsweep.execution.workers.worker import _inputs
from dlnsweep.numerics.runtime import numerics
from dlnsweep.plan.plan import make_plan
from dlnsweep.reduced import chain
from dlnsweep.simd.llvm import is_usable
from dlnsweep.spec.sweep import Sweep
from dlnsweep.store import Store

WORD = {"reduced_bases": "llvm_later"}
TEACHER = {"kind": "teacher", "signal_dim": 1, "measurement_dim": 2, "num_samples": 3}


def use(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    monkeypatch.setattr(reduced_bases, "is_usable", lambda: there)
    monkeypatch.setattr("dlnsweep.simd.llvm.is_installed", lambda: there)


def asked(seeds: int = 2, kernel: str = "reduced", **options: Any) -> Sweep:
    return sweep(
        network={"kind": "deep_linear", "depth": 2, "width": 8},
        sweep={"seeds": seeds, "kernel": kernel, **options},
    )


def told(root: Path, word: str) -> set[bool]:
    store = Store.open(root)
    return {word in _inputs(store, number)[1] for number, _ in store.batches()}


def by_numpy(root: Path) -> set[bool]:
    return told(root, BASES_BY_NUMPY)


def test_a_folder_keeps_what_it_was_begun_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    new, old = tmp_path / "new", tmp_path / "old"
    use(monkeypatch, False)
    prepare(asked(), old)
    use(monkeypatch, True)
    prepare(asked(), new)
    for root, numpy in ((new, False), (old, True)):
        prepare(asked(3), root)
        assert by_numpy(root) == {numpy}
        assert told(root, STEPS_BY_XLA) == {numpy}
        assert told(root, WHOLE_BASES) == {numpy}
        assert of_new(make_plan(asked(go_on_from=str(root)))) == ({} if numpy else WORD)
    # Of what other machines have nothing is known here.
    prepare(asked(), tmp_path / "dask", how=f"{DASK}of two")
    assert by_numpy(tmp_path / "dask") == {True}
    for word in (True, ["llvm"], None):
        description = json.loads((new / "sweep.json").read_text())
        description["sweep"]["reduced_bases"] = word
        (new / "sweep.json").write_text(json.dumps(description))
        assert by_numpy(new) == {True}
    # Those that were begun when LLVM found the bases alone, and when all steps had the same.
    for word, by_xla in (("llvm", True), ("llvm_steps", False)):
        description["sweep"]["reduced_bases"] = word
        (new / "sweep.json").write_text(json.dumps(description))
        assert by_numpy(new) == {False}
        assert told(new, STEPS_BY_XLA) == {by_xla}
        assert told(new, WHOLE_BASES) == {True}
        taken = of_new(make_plan(asked(go_on_from=str(new))))
        assert taken == {"reduced_bases": word}


def test_only_where_a_run_may_be_reduced(monkeypatch: pytest.MonkeyPatch):
    use(monkeypatch, True)
    assert of_new(make_plan(asked())) == WORD
    assert of_new(make_plan(asked(kernel="dense"))) == {}
    # A short run of a small network is not to be reduced.
    assert of_new(make_plan(asked(kernel="auto"))) == {}
    wide = {"kind": "deep_linear", "depth": 3, "width": [8, 1000]}
    long = sweep(
        network=wide, training={"learning_rate": 0.1, "num_steps": 10**6}, sweep={"seeds": 1}
    )
    assert of_new(make_plan(long)) == WORD
    mlp = {"kind": "mlp", "depth": 2, "width": 3, "activation": "tanh"}
    assert of_new(make_plan(sweep(network=mlp, problem=TEACHER))) == {}


def test_without_llvm_such_a_folder_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    root = tmp_path / "results" / asked().name
    use(monkeypatch, True)
    prepare(asked(), root)
    use(monkeypatch, False)
    said = (
        "its folder was begun where LLVM's machine code finds the bases of reduced runs, which "
        "needs llvmlite: install it (pip install 'dlnsweep[simd]'), or compute it in another "
        "folder."
    )
    with pytest.raises(RunError) as caught:
        prepare(asked(3), root)
    assert str(caught.value) == said
    assert len(Store.open(root).known_run_ids()) == 2
    monkeypatch.chdir(tmp_path)
    assert _vectors_here(asked()) == [f"not possible here: {said}"]
    use(monkeypatch, True)
    monkeypatch.setattr("dlnsweep.simd.llvm.features", lambda: frozenset(("sse2",)))
    monkeypatch.setattr("dlnsweep.simd.llvm.instruction_set", lambda: "")
    with pytest.raises(RunError, match="finds the bases of reduced runs, and this processor has"):
        prepare(asked(3), root)


@pytest.mark.skipif(not is_usable(), reason="needs llvmlite")
def test_runs_and_receipts_are_of_what_the_folder_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    made: list[bool] = []
    advance = chain.Chain.advance

    def watched(self: Any, *arguments: Any) -> list[float]:
        made.append(self.compiled)
        return advance(self, *arguments)

    monkeypatch.setattr(chain.Chain, "advance", watched)
    for numpy in (False, True):
        made.clear()
        with monkeypatch.context() as here:
            if numpy:
                here.setattr(reduced_bases, "is_usable", lambda: False)
            root = tmp_path / str(numpy)
            run(asked(1), root, workers=0)
        assert set(made) == {not numpy}
        (file,) = root.glob("**/receipts/batch-*.json")
        receipt = json.loads(file.read_text())
        assert ("llvmlite" in receipt["versions"]) is not numpy
    # One does not get what was made for the other.
    programs, row = Programs(), make_plan(asked(1)).row(0)
    with numerics():
        drawn = [programs.draw(each, 8) for each in (row, row | {BASES_BY_NUMPY: True})]
        assert drawn[0] is not drawn[1]
        for own, compiled in zip(drawn, (True, False), strict=True):
            made.clear()
            assert not own.lane(row).prepared.refusal
            assert set(made) == {compiled}
