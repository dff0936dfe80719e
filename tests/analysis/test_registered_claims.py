"""Claims that anyone can register, and this package's own: records that keep or break them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import guides
import numpy as np
import pandas as pd
import pytest
import store_samples as samples
from sweep_samples import write

import dlnsweep
from dlnsweep.analysis.claims import claims_table, claims_text
from dlnsweep.analysis.claims.families import judged
from dlnsweep.analysis.claims.table import _nothing_judged  # pyright: ignore
from dlnsweep.cli.app import app
from dlnsweep.contracts.claim import CLAIMS, Claim, Records
from dlnsweep.errors import SpecError

NAME = "the last error is below a tenth of the first"


@pytest.fixture
def registered() -> Iterator[Claim]:
    """A stranger's claim, of runs with two values of the decay."""

    def judge(run: Records) -> float:
        assert run.settings["network.depth"] == 2
        error = run.values["error"]
        return 0.1 * error[0] / error[-1] if run.steps[-1] > 0 else np.nan

    claim = Claim(NAME, "me", ("error",), judge, {"training.weight_decay": (0.1, 0.01)})
    yield dlnsweep.register_claim(claim)
    del CLAIMS[NAME]


def test_a_strangers_claim_judges_the_runs_that_it_is_about(tmp_path: Path, registered: Claim):
    samples.complete(tmp_path / "results")
    table: Any = claims_table(tmp_path / "results", by=["training.weight_decay"])
    assert set(table["statement"]) == {NAME}
    runs: Any = dlnsweep.open_results(tmp_path / "results").runs()
    about = runs["training.weight_decay"].isin([0.1, 0.01])
    diverged = int((runs["status"][about] == "diverged").sum())
    counts = table[["satisfied", "violated", "not_applicable"]].sum()
    # Errors of the samples fall by 1 + the last step, whatever the run.
    last = samples.STEPS[-1]
    margin = 0.1 * (1 + last)
    held = counts["satisfied"] if margin >= 1 else counts["violated"]
    assert held == about.sum() - diverged > 0
    assert counts.sum() == len(runs)
    assert np.nanmin(table["worst_margin"]) == pytest.approx(margin, rel=1e-12)
    reasons = " ".join(table["why_not"])
    assert "training.weight_decay is not 0.1 or 0.01 (" in reasons
    assert f"diverged ({(runs['status'] == 'diverged').sum()})" in reasons
    assert claims_text(table).startswith(f"1. {NAME}  [me]\n")


def test_a_record_that_is_no_number_is_told_apart_from_none(registered: Claim):
    row = pd.Series({"status": "finished", "network.depth": 2, "training.weight_decay": 0.1})
    curve = pd.DataFrame({"step": [0, 1], "error": [1.0, np.nan]})
    margin, why_not = judged(registered, row, curve)
    assert np.isnan(margin)
    assert why_not == "error is no number in a record"
    assert judged(registered, row, curve.head(1))[1] == "no record that it is about"


def test_without_a_claim_about_them_runs_are_the_theorems(tmp_path: Path):
    samples.complete(tmp_path / "results")
    with pytest.raises(SpecError, match=r"did not record regression_error and off_subspace_error"):
        claims_table(tmp_path / "results")


def test_networks_that_have_no_such_errors_are_not_told_to_record_them():
    # An mlp's off-subspace error is refused by the sweep file.
    settings = dict.fromkeys(key for each in CLAIMS.values() for key in each.needs)
    runs = pd.DataFrame([settings | {"problem.kind": "teacher", "network.kind": "mlp"}]).fillna("-")
    missing = ["regression_error", "off_subspace_error"]
    assert _nothing_judged(runs, missing) == (
        "its networks have no off_subspace_error, which Theorem 2.3 is about; "
        "no registered claim is about its runs."
    )
    claim = Claim(NAME, "me", ("nc1", "loss"), lambda run: 1.0, {"network.kind": ("mlp",)})
    dlnsweep.register_claim(claim)
    try:
        assert _nothing_judged(runs.assign(final_loss=[1.0]), missing).endswith(
            f"; add nc1 for '{NAME}' to record.observables and run again."
        )
        linear = runs.assign(**{"network.kind": ["deep_linear"]})
        assert _nothing_judged(linear, missing) == (
            "the sweep did not record regression_error and off_subspace_error, which the "
            "statements are about; add them for Theorem 2.3 to record.observables and run again."
        )
    finally:
        del CLAIMS[NAME]


def test_what_a_claim_of_recorded_observables_is_not_about_is_said(tmp_path: Path):
    samples.complete(tmp_path / "results")
    claim = Claim(NAME, "me", ("error",), lambda run: 1.0, {"training.weight_decay": (7.0,)})
    dlnsweep.register_claim(claim)
    try:
        with pytest.raises(SpecError, match=rf"'{NAME}' is not about them: training.weight_decay"):
            claims_table(tmp_path / "results")
    finally:
        del CLAIMS[NAME]


def test_the_guides_statement_by_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, guides.block("own_networks", "A statement of your own", "python"), "falls.py")
    training = {"num_steps": 20, "optimizer": ["gradient_descent", "adam"]}
    document = {
        "name": "falling",
        "problem": {"kind": "separable", "measurement_dim": 3, "num_samples": 8, "margin": 0.5},
        "network": {"kind": "mlp", "depth": 1, "width": 1},
        # One rate below 2 / L, L the largest eigenvalue of Y Y^T, and one far above it.
        "training": training | {"learning_rate": [1e-4, 10.0]},
        "record": {"observables": ["loss"], "count": 21, "spacing": "linear"},
        "sweep": {"seeds": 2},
    }
    dlnsweep.run(dlnsweep.Sweep.from_dict(document), workers=0)
    try:
        app(["claims", "results/falling", "--plugin", "falls.py", "--csv", "told.csv"],
            standalone_mode=False)  # fmt: skip
        table = pd.read_csv("told.csv")
    finally:
        CLAIMS.pop("the loss falls from record to record", None)
    assert "the loss falls from record to record" in capsys.readouterr().out
    counts = table[["satisfied", "violated", "not_applicable"]].sum()
    assert counts.to_dict()["satisfied"] == 2
    assert "training.optimizer is not gradient_descent" in " ".join(table["why_not"])


def test_a_name_stands_for_one_claim(registered: Claim):
    with pytest.raises(ValueError, match=f"^a claim named '{NAME}' is registered already$"):
        dlnsweep.register_claim(registered)
    with pytest.raises(ValueError, match=r"^claim 'x': it must name the observables that it is "):
        dlnsweep.register_claim(Claim("x", "me", (), lambda _: 1.0))


STEPS = np.arange(0.0, 601.0, 10.0)
TRAINING = {
    "training.learning_rate": 0.5, "training.weight_decay": 0.01, "training.loss": "squared",
    "training.data_fit_scale": 1.0, "training.optimizer": "gradient_descent",
    "network.depth": 4, "problem.margin": 0.8, "problem.num_classes": 4,
    "problem.samples_per_class": 5, "network.width": 10,
}  # fmt: skip


def margin_of(start: str, **values: np.ndarray) -> float:
    (claim,) = (each for name, each in CLAIMS.items() if name.startswith(start))
    assert set(claim.observables) == set(values)
    return claim.judge(Records(TRAINING, STEPS, values))


def test_the_packages_own(monkeypatch: pytest.MonkeyPatch):
    one = np.ones(len(STEPS))
    # 2 / eta = 4; before the last third it may be anything.
    late = STEPS >= 400
    assert margin_of("the sharpness is", sharpness=np.where(late, 4.0, 9.0)) == pytest.approx(1.1)
    assert margin_of("the sharpness is", sharpness=np.where(STEPS == 400, 4.5, 1.0)) < 1
    # Where the largest eigenvalue is negative, or nothing but zero, there is no edge.
    assert margin_of("the sharpness is", sharpness=-one) == np.inf
    assert margin_of("the sharpness is", sharpness=0 * one) == np.inf
    assert np.isnan(margin_of("the sharpness is", sharpness=np.nan * one))
    # L sigma^(2 - 2/L) = 4, at records with a loss below 1e-12.
    loss = np.where(STEPS == 600, 1e-13, 1.0)
    sharp = np.where(STEPS == 600, 5.0, 1.0)
    # Near one, it may be flatter by three times the residual, 3 sqrt(2e-13).
    assert margin_of("no minimiser", sharpness=sharp, loss=loss) == pytest.approx(5 / 4, rel=2e-6)
    for off, holds in ((2.9, True), (3.1, False)):
        flat = np.where(STEPS == 600, 4.0 * (1 - off * 2e-13**0.5), 1.0)
        assert (margin_of("no minimiser", sharpness=flat, loss=loss) >= 1) is holds
    assert np.isnan(margin_of("no minimiser", sharpness=sharp, loss=one))
    assert margin_of("no l2_margin", l2_margin=0.4 * one) == pytest.approx(2, rel=1e-5)
    assert (
        margin_of("no l2_margin", l2_margin=0.81 * one)
        < 1
        <= margin_of("no l2_margin", l2_margin=0.8 * one)
    )
    assert np.isnan(margin_of("no l2_margin", l2_margin=np.nan * one))
    # 0.8 / 4^2.
    assert margin_of("no margin of", margin=0.04 * one) == pytest.approx(1.25, rel=1e-5)
    for name, rate in (("nc1", 0.06), ("nc2", 0.02)):
        slow = {name: np.exp(-0.98 * rate * 0.5 * STEPS)}
        assert margin_of(name.upper(), **slow) == pytest.approx(0.05 / 0.02, rel=1e-9)
        assert margin_of(name.upper(), **{name: np.exp(-1.1 * rate * 0.5 * STEPS)}) < 1
        assert np.isnan(margin_of(name.upper(), **{name: 1e-30 * one}))
    # Three coordinates have no room for four orthogonal means.
    monkeypatch.setitem(TRAINING, "network.width", 3)
    assert np.isnan(margin_of("NC2", nc2=np.exp(-0.01 * STEPS)))


def test_what_rounding_in_float32_leaves_breaks_no_statement(monkeypatch: pytest.MonkeyPatch):
    # In float64 these are numbers of the run: 1e-15 and 1e-7 are where float32 comes to rest.
    rest = {"nc1": np.full(len(STEPS), 1e-15), "nc2": np.full(len(STEPS), 1e-7)}
    for name, values in rest.items():
        assert margin_of(name.upper(), **{name: values}) < 1
    monkeypatch.setitem(TRAINING, "sweep.precision", "float32")
    for name, values in rest.items():
        assert np.isnan(margin_of(name.upper(), **{name: values}))
    # What is not at rest yet is judged as in float64.
    for name, rate in (("nc1", 0.06), ("nc2", 0.02)):
        for times, margin in ((0.98, 2.5), (1.1, 0.5)):
            falling = np.exp(-times * rate * 0.5 * STEPS)
            assert margin_of(name.upper(), **{name: falling}) == pytest.approx(margin, rel=1e-9)
    # The residual of a sharpness in float32 may be 1e-4 of it; that of a margin is some roundings.
    loss, sharp = np.where(STEPS == 600, 1e-15, 1.0), np.where(STEPS == 600, 4 * (1 - 1e-4), 1.0)
    assert margin_of("no minimiser", sharpness=sharp, loss=loss) >= 1
    assert margin_of("no minimiser", sharpness=sharp - 4e-3, loss=loss) < 1
    one = np.ones(len(STEPS))
    assert margin_of("no l2_margin", l2_margin=0.8 * (1 + 5e-6) * one) >= 1
    assert margin_of("no l2_margin", l2_margin=0.8 * (1 + 2e-5) * one) < 1


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_no_run_that_descends_to_a_minimiser_breaks_the_statement_about_them(
    tmp_path: Path, precision: str
):
    document = {
        "name": "arriving",
        "problem": {"kind": "matrix_approximation", "num_rows": 1, "num_columns": 1},
        "network": {"kind": "deep_linear", "depth": [2, 3], "width": 1, "initializer": "balanced"},
        "training": {
            "learning_rate": 0.02,
            "num_steps": 2000,
            # With its rates what is recorded as the sharpness is no eigenvalue of the Hessian.
            "step_rule": ["uniform", "fan_in"],
        },
        # Many records between a loss of 1e-12 and rounding.
        "record": {"observables": ["loss", "sharpness"], "count": 2001, "spacing": "linear"},
        "sweep": {"seeds": 12, "precision": precision},
    }
    dlnsweep.run(dlnsweep.Sweep.from_dict(document), out=tmp_path, workers=0)
    table: Any = claims_table(tmp_path / "arriving")
    row = table[table["statement"].str.startswith("no minimiser")].iloc[0]
    # From below, and from above: half of the products begin with the other sign, and stay away.
    assert row["violated"] == 0
    assert row["satisfied"] >= 6
    assert "training.step_rule is not uniform (24)" in row["why_not"]
