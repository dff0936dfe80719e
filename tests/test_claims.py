"""The statements of Theorem 2.3 against runs that were made to satisfy or to break them."""

from __future__ import annotations

from dataclasses import replace
from math import exp, log, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import dlnsweep
from dlnsweep import theory
from dlnsweep.claims import STATEMENTS, Run, _verdicts, claims_table, claims_text
from dlnsweep.errors import SpecError
from dlnsweep.spec import Sweep
from dlnsweep.theory_curves import Setup

D, M, S, L, WIDTH = 32, 16, 2, 2, 1e7
ETA = M / L
GAMMA = 0.01
DECAY = GAMMA * sqrt(M / D)
T = 2 * M * log(WIDTH) / (ETA * DECAY)
SETTINGS: dict[str, Any] = {
    "problem.kind": "subspace",
    "problem.signal_dim": D,
    "problem.measurement_dim": M,
    "problem.subspace_dim": S,
    "problem.num_samples": 50,
    "problem.condition_number": 1.0,
    "network.depth": L,
    "network.width": WIDTH,
    "network.initializer": "fan_in_normal",
    "training.optimizer": "gradient_descent",
    "training.learning_rate": ETA,
    "training.weight_decay": DECAY,
    "training.step_rule": "fan_in",
    "training.data_fit_scale": 1.0,
}
JUDGES = dict(zip(("one", "tau", "two", "off", "end"), STATEMENTS, strict=True))


def made(speed: float = 0.1, level: float = 1e-3, off: float = 1.0, **settings: Any) -> Run:
    """A run that contracts by exp(-speed) a step down to a level, with an off-subspace decay."""
    steps = np.unique(np.geomspace(1, 2 * T, 200).astype(int)).astype(float)
    steps = np.concatenate([[0.0], steps])
    first = theory.first_layer_off_range(M, S, WIDTH)
    decayed = off * first * (1 - ETA * DECAY / M) ** steps
    return Run(
        Setup(SETTINGS | settings, np.nan),
        steps,
        np.maximum(1.5 * np.exp(-speed * steps), level),
        decayed,
    )


def test_a_run_that_satisfies_everything():
    for statement in STATEMENTS[:4]:
        verdict = statement.judge(made())
        assert not verdict.why_not
        assert verdict.margin > 1
        assert statement.tight(verdict) < statement.constant


def test_phase_one_is_judged_by_its_slowest_contraction():
    # With (8) a step contracts by 1 - 1 / (32 kappa^2) at least.
    verdict = JUDGES["one"].judge(made(speed=0.1))
    assert verdict.margin == pytest.approx((1 - 1 / 32) / exp(-0.1))
    assert verdict.tight == pytest.approx(1 / (1 - exp(-0.1)))
    slow = JUDGES["one"].judge(made(speed=0.02))
    assert slow.margin < 1
    assert slow.tight == pytest.approx(1 / (1 - exp(-0.02)))
    assert JUDGES["one"].judge(made(level=1.5)).tight == np.inf
    # ||Phi|| <= 80 gamma ||X|| / L = 0.4 ||X|| at once.
    early = made()
    early = replace(early, error=early.error / 5)
    assert JUDGES["one"].judge(early).why_not == "phase 1 is over at the first record"


def test_tau_is_the_first_record_below_its_level():
    run = made(speed=0.1)
    tau = run.steps[np.argmax(1.5 * np.exp(-0.1 * run.steps) <= 80 * GAMMA / L)]
    bound = 32 * M / (ETA * L) * log(L / (35 * DECAY))
    verdict = JUDGES["tau"].judge(run)
    assert verdict.margin == pytest.approx(bound / tau)
    assert JUDGES["tau"].tight(verdict) == pytest.approx(32 * tau / bound)
    never = JUDGES["tau"].judge(made(level=0.9))
    assert never.margin < 1
    assert never.tight == np.inf
    short = made(level=0.9)
    short = replace(short, steps=short.steps[:5], error=short.error[:5], off=short.off[:5])
    assert JUDGES["tau"].judge(short).why_not == "the run ends in phase 1"
    large = {"training.weight_decay": L / 34.9}
    assert JUDGES["tau"].judge(made(**large)).why_not == "the bound's logarithm is negative"


def test_phase_two_is_judged_from_tau_to_the_horizon():
    bound = 80 * DECAY * sqrt(D / M)
    run = made(level=0.3)
    assert JUDGES["two"].judge(run).margin == pytest.approx(bound / run.error[
        (run.error <= 0.4) & (run.steps <= T)].max())  # fmt: skip
    # What comes after T does not count.
    late = replace(run, error=np.where(run.steps > T, 5.0, run.error))
    assert JUDGES["two"].judge(late) == JUDGES["two"].judge(run)
    bump = replace(run, error=np.where(run.steps == run.steps[120], 1.2, run.error))
    assert run.steps[120] < T
    assert JUDGES["two"].tight(JUDGES["two"].judge(bump)) == pytest.approx(80 * 1.2 / bound)


def test_the_off_subspace_bound():
    assert JUDGES["off"].judge(made(off=1.0)).margin == pytest.approx(2)
    broken = JUDGES["off"].judge(made(off=3.0))
    assert (broken.margin, JUDGES["off"].tight(broken)) == pytest.approx((2 / 3, 3))
    run = made(off=1.0)
    after = int(np.argmax(run.steps >= T))
    verdict = JUDGES["end"].judge(run)
    assert verdict.margin == pytest.approx(WIDTH**-1.5 / run.off[after])
    cut = replace(run, steps=run.steps[:after], error=run.error[:after], off=run.off[:after])
    assert JUDGES["end"].judge(cut).why_not == "the run ends before T"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"problem.operator": "gaussian"}, "width below (70)"),
        ({"problem.operator": "dct"}, "problem.operator is not gaussian"),
        ({"problem.operator": "file"}, "problem.operator is not gaussian"),
        # Runs that are older than the setting.
        ({"problem.operator": None}, "width below (70)"),
        ({}, "width below (70)"),
        ({"problem.kind": "noisy_subspace"}, "problem.kind is not subspace"),
        ({"problem.kind": "union_of_subspaces"}, "problem.kind is not subspace"),
    ],
)
def test_the_theorem_is_about_gaussian_measurements(settings: dict[str, Any], reason: str):
    curve = pd.DataFrame({"step": [0, 1], "regression_error": 1.0, "off_subspace_error": 1.0})
    row = pd.Series({**SETTINGS, "network.width": 5, "status": "finished", **settings})
    verdicts = dict(_verdicts(row, curve))
    assert {verdict.why_not for verdict in verdicts.values()} == {reason}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    document = {
        "name": "claims",
        "problem": {
            "kind": "subspace", "signal_dim": 8, "measurement_dim": 6, "subspace_dim": 1,
            "num_samples": 20,
        },
        "network": {"depth": 2, "width": [20, 100_000], "initial_weights": "law"},
        "training": {
            "learning_rate": [3.0, 1.0], "weight_decay": 0.02, "step_rule": "fan_in",
            "num_steps": 2500,
        },
        "record": {"count": 60, "observables": ["regression_error", "off_subspace_error"]},
        "sweep": {"seeds": 2, "tolerance": 1e-3, "kernel": "reduced"},
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("claims")
    dlnsweep.run(Sweep.from_dict(document), folder, workers=0)
    return folder / "claims"


def test_a_table_tells_what_held_from_what_did_not_apply(results: Path):
    table: Any = claims_table(results, by=["network.width"])
    assert len(table) == 2 * len(STATEMENTS)
    assert (table[["satisfied", "violated", "not_applicable"]].sum(axis=1) == 4).all()
    narrow = table[table["network.width"] == 20]
    assert (narrow["not_applicable"] == 4).all()
    assert set(narrow["why_not"]) == {"width below (70) (2); learning rate is not (8) (2)"} or set(
        narrow["why_not"]
    ) == {"learning rate is not (8) (2); width below (70) (2)"}
    assert narrow["worst_margin"].isna().all()
    wide = table[table["network.width"] == 100_000].set_index("source")
    assert (wide["not_applicable"] == 2).all()
    assert wide.loc["Lemma A.26", "satisfied"] == 2
    # Against the records themselves: the largest residual of both runs beside the level.
    runs: Any = dlnsweep.open_results(results).runs()
    chosen = runs[(runs["network.width"] == 100_000) & (runs["training.learning_rate"] == 3.0)]
    curves: Any = dlnsweep.open_results(results).curves()
    curves = curves[curves["run_id"].isin(chosen["run_id"])]
    gamma = 0.02 / sqrt(6 / 8)
    horizon = 2 * 6 * log(1e5) / (3 * 0.02)
    worst = 0.0
    for _, curve in curves.groupby("run_id"):
        below = curve.loc[curve["regression_error"] <= 80 * gamma / 2, "step"].min()
        inside = curve[(curve["step"] >= below) & (curve["step"] <= horizon)]
        worst = max(worst, inside["regression_error"].max())
    level = 80 * 0.02 * sqrt(8 / 6)
    assert wide.loc["Lemma A.26", "worst_margin"] == pytest.approx(level / worst)
    assert wide.loc["Lemma A.26", "tight"] == pytest.approx(80 * worst / level)


def test_the_text_numbers_the_statements(results: Path):
    text = claims_text(claims_table(results))
    for i, statement in enumerate(STATEMENTS, 1):
        assert f"{i}. {statement.name}  [{statement.source}]" in text
    assert "not applicable because:" in text
    assert "width below (70)" in text


def test_what_cannot_be_tested_has_a_sentence(results: Path, tmp_path: Path):
    with pytest.raises(SpecError, match="by is 'depth'; it must be a setting, such as"):
        claims_table(results, by=["depth"])
    document = {
        "name": "other",
        "problem": {
            "kind": "subspace", "signal_dim": 4, "measurement_dim": 3, "subspace_dim": 1,
            "num_samples": 5,
        },
        "network": {"depth": 2, "width": 5},
        "training": {"learning_rate": 0.01, "num_steps": 5},
        "record": {"observables": ["loss"]},
    }  # fmt: skip
    dlnsweep.run(Sweep.from_dict(document), tmp_path, workers=0)
    with pytest.raises(SpecError, match="did not record regression_error and off_subspace_error"):
        claims_table(tmp_path / "other")
