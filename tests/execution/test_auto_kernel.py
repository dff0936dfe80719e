# ruff: noqa: E501  (what is told stands in one line)

"""Which kernel `auto` takes is settled when a results folder is begun, and stays what it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spec_samples import sweep

from dlnsweep.cli.files import _vectors_here
from dlnsweep.contracts.network import AUTO_TAKES, network_of
from dlnsweep.errors import RunError
from dlnsweep.execution.preparing import DASK, prepare
from dlnsweep.execution.ways import auto_kernel
from dlnsweep.execution.ways.auto_kernel import of_new, settings_in
from dlnsweep.execution.workers.worker import _inputs
from dlnsweep.plan.plan import Plan, make_plan
from dlnsweep.spec.sweep import Sweep
from dlnsweep.store import Store

# Where runs fill vectors, where they do not, and beside a kernel by hand.
TAKEN = {AUTO_TAKES: "simd_all"}
FEW = {AUTO_TAKES: "simd_samples"}
OWN = {AUTO_TAKES: "simd"}


@pytest.fixture(autouse=True)
def llvm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether llvmlite is installed or not: nothing is compiled here."""
    use(monkeypatch, True)


def use(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    monkeypatch.setattr(auto_kernel, "is_usable", lambda: there)
    monkeypatch.setattr("dlnsweep.simd.llvm.is_installed", lambda: there)
    monkeypatch.setattr(auto_kernel, "is_installed", lambda: there)
    has(monkeypatch, "AVX2", "avx2", "fma")


def has(monkeypatch: pytest.MonkeyPatch, instructions: str, *features: str) -> None:
    """Feign what the processor can do."""
    monkeypatch.setattr("dlnsweep.simd.llvm.features", lambda: frozenset(features))
    monkeypatch.setattr("dlnsweep.simd.llvm.instruction_set", lambda: instructions)


TEACHER = {"kind": "teacher", "signal_dim": 1, "measurement_dim": 2, "num_samples": 3}


def tiny(
    seeds: int = 8, width: Any = 2, num_steps: Any = 100, problem: Any = None, **options: Any
) -> Sweep:
    return sweep(
        problem=TEACHER | (problem or {}),
        network={"kind": "mlp", "depth": 2, "width": width, "activation": "tanh"},
        training={"learning_rate": 0.1, "num_steps": num_steps},
        sweep={"seeds": seeds, **options},
    )


def would_take(plan: Plan) -> dict[str, str]:
    return settings_in(of_new(plan))


def sizes(root: Path) -> list[int]:
    return [len(rows) for _, rows in Store.open(root).batches()]


def taken(root: Path) -> dict[str, Any]:
    """Return what a worker is told of it, of every batch of a folder."""
    store = Store.open(root)
    told = [_inputs(store, number)[1] for number, _ in store.batches()]
    assert all(one == told[0] for one in told)
    return {key: value for key, value in told[0].items() if key == AUTO_TAKES}


def test_a_new_folder_takes_it_and_an_enlarged_one_keeps_it(tmp_path: Path):
    root = tmp_path / "new"
    prepare(tiny(), root)
    assert taken(root) == TAKEN
    prepare(tiny(10), root)
    assert taken(root) == TAKEN
    # A part of its runs, too few to begin a folder with it.
    prepare(tiny(2), root)
    assert taken(root) == TAKEN
    # It is no setting: runs are what they were.
    assert AUTO_TAKES not in Store.open(root).runs_table().column_names
    assert AUTO_TAKES not in Store.open(root).sweep["sweep"]["shared"]


def test_a_folder_that_was_begun_without_it_never_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    root = tmp_path / "old"
    use(monkeypatch, False)
    prepare(tiny(), root)
    use(monkeypatch, True)
    prepare(tiny(), root)
    assert taken(root) == {}
    prepare(tiny(10), root)
    assert taken(root) == {}


def test_without_llvm_such_a_folder_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    root = tmp_path / "new"
    prepare(tiny(), root)
    use(monkeypatch, False)
    with pytest.raises(RunError) as caught:
        prepare(tiny(), root)
    assert str(caught.value) == (
        'its folder was begun where sweep.kernel = "auto" takes vector instructions, which need '
        "llvmlite: install it (pip install 'dlnsweep[simd]'), or take the same steps in another "
        "folder with --set sweep.kernel=generic."
    )
    assert taken(root) == TAKEN


def test_on_a_processor_without_fma_such_a_folder_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    root = tmp_path / "results" / tiny().name
    prepare(tiny(), root)
    has(monkeypatch, "", "sse2", "avx")
    with pytest.raises(RunError) as caught:
        prepare(tiny(10), root)
    said = (
        f'{root}: was begun where sweep.kernel = "auto" takes vector instructions, and this '
        "processor has no fused multiply-add: another kernel would train what is left, and round "
        "otherwise. Go on where there is one, or take the same steps in another folder with --set "
        "sweep.kernel=generic."
    )
    assert str(caught.value) == said
    # Nothing was added to it.
    assert len(Store.open(root).known_run_ids()) == 8
    monkeypatch.chdir(tmp_path)
    (found,) = _vectors_here(tiny())
    # Folders are told by whole paths, or as they were given.
    assert found.partition(": was begun")[2] == said.partition(": was begun")[2]
    assert found.startswith("not possible here: ")


def test_check_and_plan_tell_what_run_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """By `auto` or asked for; and in a folder that was begun without it, that it is not taken."""
    monkeypatch.chdir(tmp_path)
    for given, words, when in (
        (tiny(), "one run a lane (simd) or samples of one run in the lanes (simd_samples)", "that pays"),
        (tiny(2), "samples of one run in the lanes (simd_samples)", "that pays"),
        (tiny(2, kernel="simd_samples"), "samples of one run in the lanes (simd_samples)", "they can be"),
        (tiny(2, kernel="simd"), "one run a lane (simd)", "they can be"),
    ):  # fmt: skip
        (said,) = auto_kernel.told(make_plan(given))
        assert f"where {when}, {words};" in said
        assert said.startswith(f"steps of {len(given.seeds)} runs are")
    plan = make_plan(tiny())
    assert auto_kernel.told(make_plan(tiny(kernel="generic"))) == []
    use(monkeypatch, False)
    assert auto_kernel.told(plan) == auto_kernel.told(make_plan(tiny(kernel="simd"))) == []
    prepare(tiny(), Path("results") / plan.sweep.name)
    use(monkeypatch, True)
    assert auto_kernel.of_here(plan) == {} != auto_kernel.of_new(plan)
    assert auto_kernel.told(plan) == []


def test_where_vectors_are_asked_for_and_there_are_none_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    sweep = tiny(kernel="simd")
    assert prepare(sweep, tmp_path / "here").note == ""
    assert _vectors_here(sweep) == []
    has(monkeypatch, "", "sse2", "avx")
    said = (
        'sweep.kernel is "simd", and this processor has no fused multiply-add: the generic way '
        "trains what is computed here, which rounds otherwise than vector instructions; outcomes "
        "say which it was"
    )
    assert prepare(sweep, tmp_path / "here").note == said
    assert prepare(sweep, tmp_path / "new").note == said
    assert _vectors_here(sweep) == [said]


def test_runs_that_go_on_have_the_kernel_that_began_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with_it, without = tmp_path / "with", tmp_path / "without"
    prepare(tiny(), with_it)
    use(monkeypatch, False)
    prepare(tiny(), without)
    assert would_take(make_plan(tiny(go_on_from=str(with_it)))) == TAKEN
    use(monkeypatch, True)
    assert would_take(make_plan(tiny(go_on_from=str(without)))) == {}


def test_it_is_taken_where_it_can_pay_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert would_take(make_plan(tiny())) == TAKEN
    # Too few runs for a vector, which samples may fill; another kernel asked for; too few steps
    # beside a kernel by hand.
    assert would_take(make_plan(tiny(7))) == FEW
    assert would_take(make_plan(tiny(kernel="generic"))) == {}
    assert would_take(make_plan(sweep(sweep={"seeds": 8}))) == {}
    # Runs that cannot be trained together: several sizes, or lengths, of too few each.
    for several in ({"width": [2, 3]}, {"num_steps": [100, 200]}):
        assert would_take(make_plan(tiny(7, **several))) == FEW
        assert would_take(make_plan(tiny(8, **several))) == TAKEN
    # Twice as many have place in a vector.
    assert would_take(make_plan(tiny(15, precision="float32"))) == FEW
    assert would_take(make_plan(tiny(16, precision="float32"))) == TAKEN
    # Wide ones are trained on the span of their samples, whichever comes first.
    spanned = {"measurement_dim": 256, "num_samples": 16}
    for widths in ([8, 1], [1, 8]):
        both = make_plan(tiny(width=widths, num_steps=10**6, problem=spanned))
        assert [network_of(row).kernel_of(row) for row in (both.row(0), both.row(8))] == [
            {8: "reduced_inputs", 1: "auto"}[width] for width in widths
        ]
        assert would_take(both) == TAKEN
    # Of what other machines have nothing is known here.
    prepare(tiny(), tmp_path / "dask", how=f"{DASK}of two")
    assert taken(tmp_path / "dask") == {}
    use(monkeypatch, False)
    assert would_take(make_plan(tiny())) == {}


def test_long_runs_have_batches_that_fill_a_vector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    long = {"seeds": 16, "num_steps": 10**10}
    prepare(tiny(**long), tmp_path / "new")
    assert sizes(tmp_path / "new") == [8, 8]
    prepare(tiny(**long, kernel="simd"), tmp_path / "asked")
    assert sizes(tmp_path / "asked") == [8, 8]
    use(monkeypatch, False)
    prepare(tiny(**long), tmp_path / "without")
    assert sizes(tmp_path / "without") == [1] * 16
    # What is added is cut as the folder asks for.
    use(monkeypatch, True)
    prepare(tiny(**{**long, "seeds": 24}), tmp_path / "new")
    assert sizes(tmp_path / "new") == [8, 8, 8]
    prepare(tiny(**{**long, "seeds": 24}), tmp_path / "without")
    assert sizes(tmp_path / "without") == [1] * 24


def linear(seeds: int = 8, width: Any = 2, num_steps: Any = 10**8) -> Sweep:
    return sweep(
        problem=TEACHER,
        network={"kind": "deep_linear", "depth": 2, "width": width},
        training={"learning_rate": 0.1, "num_steps": num_steps, "minibatch_size": 1},
        sweep={"seeds": seeds},
    )


def test_beside_a_kernel_by_hand_it_is_taken_where_it_saves_more_than_to_compile_it(
    tmp_path: Path,
):
    assert would_take(make_plan(linear())) == OWN
    assert would_take(make_plan(linear(num_steps=10**5))) == {}
    assert would_take(make_plan(linear(7))) == {}
    # Many runs of few steps.
    assert would_take(make_plan(linear(10**4, num_steps=10**6))) == OWN
    # Wide ones have steps of too many operations, and batches as they would have without.
    assert would_take(make_plan(linear(width=10**4))) == {}
    prepare(linear(16, [2, 10**4]), tmp_path / "both")
    assert taken(tmp_path / "both") == OWN
    # Those of vectors by what these take.
    assert sizes(tmp_path / "both") == [16] + [1] * 16
    # Which kernel trains such runs only a pilot can tell: they are batched as for that.
    pilot = sweep(
        problem=TEACHER, network={"kind": "deep_linear", "depth": 2, "width": 2},
        training={"learning_rate": 0.1, "num_steps": 10**10}, sweep={"seeds": 8},
    )  # fmt: skip
    assert would_take(make_plan(pilot)) == OWN


@pytest.mark.parametrize("value", [True, 1, "Simd", ["simd"], {"simd": 1}, None])
def test_what_a_folder_may_not_say_is_as_good_as_nothing(tmp_path: Path, value: Any):
    root = tmp_path / "strange"
    prepare(tiny(), root)
    description = json.loads((root / "sweep.json").read_text())
    assert description["sweep"]["auto_takes"] == "simd_all"
    description["sweep"]["auto_takes"] = value
    (root / "sweep.json").write_text(json.dumps(description))
    assert taken(root) == {}


def test_the_ids_of_runs_are_those_of_the_generic_way_that_nothing_asks_for(
    monkeypatch: pytest.MonkeyPatch,
):
    there = make_plan(tiny()).run_ids
    use(monkeypatch, False)
    assert np.array_equal(make_plan(tiny()).run_ids, there)


def test_batches_are_cut_by_what_vector_instructions_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    sizes_by_kernel = {}
    for there in (True, False):
        use(monkeypatch, there)
        root = tmp_path / str(there)
        prepare(tiny(seeds=1000, num_steps=100_000), root)
        sizes_by_kernel[there] = sizes(root)
    plan = make_plan(tiny(seeds=1000, num_steps=100_000))
    told, least = settings_in({"auto_takes": "simd"}), 2.0
    vectors, generic = plan.cost(0, told), plan.cost(0)
    assert vectors.step_flops == generic.step_flops
    assert vectors.seconds < generic.seconds / 10
    # Two seconds, or more, of each.
    assert len(sizes_by_kernel[True]) <= max(1, 1000 * vectors.seconds // least)
    assert len(sizes_by_kernel[False]) > len(sizes_by_kernel[True])
    # A network whose step is longer than pays costs what it costs by the other kernel.
    wide = make_plan(tiny(width=20_000))
    assert wide.cost(0, told) == wide.cost(0)
