"""The statements of Theorem 2.3 against runs that were made to satisfy or to break them."""

from __future__ import annotations

from dataclasses import replace
from math import exp, log, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import store_samples as samples

import dlnsweep
from dlnsweep.analysis.claims import (
    STATEMENTS,
    Demands,
    Run,
    Statement,
    claims_table,
    claims_text,
    conditions,
)
from dlnsweep.errors import SpecError
from dlnsweep.settings.training import BY_LAYER, GENERIC_ONLY
from dlnsweep.spec.sweep import Sweep
from dlnsweep.theory import formulas as theory
from dlnsweep.theory import proof as theory_proof
from dlnsweep.theory.curves import THEORY_CURVES
from dlnsweep.theory.setup import Setup

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
FREE: dict[str, Any] = {"training.weight_decay": 0.0}
NARROW: dict[str, Any] = {"network.width": 100}
NAMES: tuple[str, ...] = (
    "one", "recursion", "tau", "tau order", "two", "ten", "first layer", "off", "off order",
    "eleven", "exponent", "best step", "start lower", "start middle", "start upper",
    "start error", "start output", "output", "lower", "upper", "middle", "displacement", "kept",
    "higher", "spectrum", "upper later", "lower later", "displacement later", "higher later",
    "spectrum later", "decayed", "free",
)  # fmt: skip
JUDGES: dict[str, Statement] = dict(zip(NAMES, STATEMENTS, strict=True))


def made(
    speed: float = 0.1,
    level: float = 1e-3,
    off: float = 1.0,
    recorded: dict[str, Any] | None = None,
    **settings: Any,
) -> Run:
    """A run that contracts by exp(-speed) a step down to a level, with an off-subspace decay.

    What is `recorded` is a number or a function of the steps.
    """
    steps = np.unique(np.geomspace(1, 2 * T, 200).astype(int)).astype(float)
    steps = np.concatenate([[0.0], steps])
    first = theory.first_layer_off_range(M, S, WIDTH)
    decayed = off * first * (1 - ETA * DECAY / M) ** steps
    return Run(
        Setup(SETTINGS | settings, np.nan),
        steps,
        np.maximum(1.5 * np.exp(-speed * steps), level),
        decayed,
        {
            name: np.array([value(t) if callable(value) else value for t in steps], dtype=float)
            for name, value in (recorded or {}).items()
        },
    )


def test_a_run_that_satisfies_everything():
    for name in ("one", "recursion", "tau", "two", "off"):
        statement = JUDGES[name]
        verdict = statement.judge(made())
        assert not verdict.why_not
        assert verdict.margin > 1
        assert statement.constant is not None
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
    large: dict[str, Any] = {"training.weight_decay": L / 34.9}
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
    verdict = JUDGES["eleven"].judge(run)
    assert JUDGES["eleven"].tight(verdict) == pytest.approx(run.off[after] * WIDTH**1.5)
    exponent = JUDGES["exponent"].tight(JUDGES["exponent"].judge(run))
    assert WIDTH**-exponent == pytest.approx(run.off[after])
    cut = replace(run, steps=run.steps[:after], error=run.error[:after], off=run.off[:after])
    assert JUDGES["eleven"].judge(cut).why_not == "the run ends before T"
    ten = JUDGES["ten"]
    assert ten.tight(ten.judge(replace(run, error=run.error * 0 + 0.2))) == pytest.approx(
        0.2 / GAMMA
    )
    # (74) with the run's own first layer: what its norm is at step 0.
    wide = (sqrt(WIDTH) + sqrt(M - S)) / sqrt(M)
    own = made(recorded={"first_layer_off_range": lambda t: wide / 4 if t == 0 else 0.0})
    assert JUDGES["off"].judge(own).margin == pytest.approx(1 / 2)


# tau is the first record with 1.5 exp(-t / 10) <= 0.4.
TAU = next(t for t in made().steps if 1.5 * exp(-t / 10) <= 0.4)


def gains(before: tuple[float, float], after: tuple[float, float], late: float = 1.0) -> Any:
    """Values up to tau, from then to T, and a factor of them beyond T."""
    return {
        f"{name}_gain_{end}": lambda t, k=k: (
            before[k] if t < TAU else after[k] if t <= T else late * after[k]
        )
        for name in ("upper", "lower")
        for k, end in enumerate(("min", "max"))
    }


def test_events_are_judged_up_to_tau_and_from_tau_to_the_horizon():
    inside = made(recorded=gains((0.8, 1.2), (0.8, 1.24), late=100))
    for name in ("upper", "lower"):
        verdict = JUDGES[name].judge(inside)
        # The first record of phase 2 counts for both.
        assert verdict.margin == pytest.approx(1.25 / 1.24)
        assert verdict.tight == pytest.approx(0.24)
        start = JUDGES[f"start {name}"].judge(inside)
        assert (start.margin, start.tight) == pytest.approx((1, 0.2))
    later = JUDGES["upper later"].judge(inside)
    assert later.margin == pytest.approx(min(0.8 * 7 / 5, 9 / 7 / 1.24))
    assert later.tight == pytest.approx(0.24)
    # From below nothing keeps W_{i:1} Y in phase 2.
    sunk = made(recorded=gains((0.8, 1.2), (1e-9, 1.28)))
    assert JUDGES["lower later"].judge(sunk).margin == pytest.approx(9 / 7 / 1.28)
    assert JUDGES["lower later"].tight(JUDGES["lower later"].judge(sunk)) == pytest.approx(1.28)
    assert JUDGES["upper later"].judge(sunk).margin < 1e-8
    low = made(recorded=gains((0.6, 1.0), (0.72, 1.28)))
    assert JUDGES["start upper"].judge(low).margin == pytest.approx(0.75)
    assert JUDGES["start upper"].judge(low).tight == pytest.approx(0.4)
    assert JUDGES["upper"].judge(low).margin == pytest.approx(0.8)
    assert JUDGES["upper later"].judge(low).margin > 1
    never = made(level=0.9, recorded=gains((0.8, 1.2), (0.8, 1.2)))
    assert JUDGES["upper later"].judge(never).why_not == "no record between tau and T"
    one = made(recorded=gains((0.8, 1.2), (0.8, 1.2)) | {"upper_gain_max": 1.3})
    assert JUDGES["upper"].judge(one).margin < 1 < JUDGES["lower"].judge(one).margin


def test_middle_layers_are_measured_for_their_constant_is_not_stated():
    run = made(recorded={"middle_gain_max": lambda t: 2.5 if t <= T else 99.0})
    assert JUDGES["middle"].judge(run).why_not == "no layer between the first and the last"
    deep = replace(run, setup=Setup({**run.setup.settings, "network.depth": 4}, np.nan))
    for name in ("middle", "start middle"):
        assert JUDGES[name].constant is None
        # T is the same: the learning rate is.
        tight = JUDGES[name].tight(JUDGES[name].judge(deep))
        assert tight == pytest.approx(2.5 / sqrt(4))


def test_the_spectrum_of_p_is_judged_by_the_singular_values_of_the_signals():
    # gamma and so tau are as before: sigma_min^2 is a quarter, and so is lambda.
    kappa: dict[str, Any] = {"problem.condition_number": 2.0, "training.weight_decay": DECAY / 4}
    low, high = 81 / 1024 * L / 4 / M, 3 * L / M
    recorded = {
        "curvature_min": lambda t: low * (1.5 if t < TAU else 1.4),
        "curvature_max": lambda t: high / 1.2 if t <= TAU else 9.0,
    }
    run = made(recorded=recorded, **kappa)
    assert JUDGES["spectrum"].judge(run).margin == pytest.approx(1.2)
    # In phase 2 from sigma_min^2 / (10 m) to 2 L sigma_max^2 / m.
    assert JUDGES["spectrum later"].judge(run).margin == pytest.approx(2 * L / M / 9)
    flat = made(recorded=recorded | {"curvature_max": 0.01}, **kappa)
    assert JUDGES["spectrum later"].judge(flat).margin == pytest.approx(1.4 * low * 40 * M)


def test_the_higher_order_terms_are_judged_in_both_phases():
    recorded = {"higher_order_term": lambda t: 0.02 if t == TAU else 0.01 if t < TAU else 0.015}
    verdict = JUDGES["higher"].judge(made(recorded=recorded))
    assert verdict.margin == pytest.approx(17 / 1024 / 0.02)
    assert JUDGES["higher"].tight(verdict) == pytest.approx(0.02)
    # eta / m = 1 / L.
    late = JUDGES["higher later"].judge(made(recorded=recorded))
    assert late.margin == pytest.approx(3 / 80 / L / 0.02)


def test_displacements_and_the_norm_of_the_output():
    run = made(recorded={"displacement": lambda t: 5.0 if t <= TAU else 7.0, "output_norm": 1.5})
    # kappa = 1, so sr(X) = s = 2.
    assert JUDGES["displacement"].judge(run).margin == pytest.approx(110 * sqrt(D * S) / L / 5)
    later = JUDGES["displacement later"]
    assert later.tight(later.judge(run)) == pytest.approx(12 / (sqrt(D * S) * log(WIDTH)))
    assert JUDGES["start output"].judge(run).margin == pytest.approx(1.2 * sqrt(D / M) / 1.5)
    assert JUDGES["output"].judge(run).margin == pytest.approx(1.25 * sqrt(D / M) / 1.5)
    assert JUDGES["start error"].judge(run).margin == pytest.approx((1.2 * sqrt(2) + 1) / 1.5)
    kept = JUDGES["kept"].judge(run)
    assert kept.margin == pytest.approx((1 - ETA * DECAY / M) ** TAU / (1 - 1 / (20 * L)))


def test_the_sketch_is_about_two_layers_and_equal_singular_values():
    run = made()
    order = JUDGES["tau order"]
    assert order.tight(order.judge(run)) == pytest.approx(TAU / log(sqrt(D / M) / GAMMA))
    off = JUDGES["off order"]
    first = theory.first_layer_off_range(M, S, WIDTH)
    assert off.tight(off.judge(run)) == pytest.approx(first / sqrt(WIDTH / M))
    kappa: dict[str, Any] = {"problem.condition_number": 2.0}
    for name in ("tau order", "off order"):
        reason = "Section 2.1 is about L = 2 and kappa = 1"
        assert JUDGES[name].judge(made(**kappa)).why_not == reason


def test_the_first_layer_decays_off_the_range_and_the_best_step_is_found():
    exact = made(recorded={"first_layer_off_range": lambda t: 3 * (1 - ETA * DECAY / M) ** t})
    assert JUDGES["first layer"].judge(exact).margin > 1
    slow = made(recorded={"first_layer_off_range": lambda t: 3 * (1 - 0.99 * ETA * DECAY / M) ** t})
    assert JUDGES["first layer"].judge(slow).margin < 1
    best = JUDGES["best step"]
    at = made().steps[100]
    run = made(recorded={"noisy_test_error": lambda t: abs(t - at)})
    assert best.tight(best.judge(run)) == pytest.approx(ETA * DECAY * at)
    falling = best.judge(made(recorded={"noisy_test_error": lambda t: 1 / (t + 1)}))
    assert falling.why_not == "the test error is smallest at the first or the last record"


def test_the_recursion_is_applied_between_records():
    steps = np.array([0.0, 1.0, 4.0])
    shrink, added = 1 - 1 / 16, 5 * ETA * DECAY / (2 * M) * sqrt(D / M) * sqrt(S)
    levels = [2.0]
    for _ in range(4):
        levels.append(shrink * levels[-1] + added)
    residual = np.array([2.0, levels[1], levels[4] * 1.01])
    run = replace(made(), steps=steps, error=residual / sqrt(S), off=residual)
    assert JUDGES["recursion"].judge(run).margin == pytest.approx(1 / 1.01)


def test_the_corollary_is_judged_with_and_without_decay():
    noise: dict[str, Any] = {"record.test_noise": 0.1}
    run = made(recorded={"noisy_test_error": lambda t: 0.12 if t >= T else 9.0}, **noise)
    # kappa = 1, so sr(X) = s = 2.
    order = GAMMA * sqrt(2) + WIDTH**-1.5 + 0.1 * sqrt(2)
    decayed = JUDGES["decayed"]
    assert decayed.tight(decayed.judge(run)) == pytest.approx(0.12 / order)
    short = replace(run, steps=np.minimum(run.steps, T - 1))
    assert decayed.judge(short).why_not == "the run ends before T"
    free = made(recorded={"noisy_test_error": 0.5}, **noise, **FREE)
    # ||y||^2 is about 1 + m sigma^2; beta is the error at the end.
    order = 0.1 * (sqrt(D * (M - S) / M) - sqrt(S)) - 1e-3 * sqrt(S) * sqrt(1 + M * 0.01)
    verdict = JUDGES["free"].judge(free)
    assert JUDGES["free"].tight(verdict) == pytest.approx(0.5 / order)
    reason = "the right side of (20) is not positive"
    unfit = replace(free, error=free.error * 0 + 0.3)
    assert JUDGES["free"].judge(unfit).why_not == reason
    square: dict[str, Any] = {"problem.subspace_dim": 12}
    small = made(recorded={"noisy_test_error": 0.5}, **noise, **square)
    assert JUDGES["free"].judge(small).why_not == reason


# A run inside every condition: a weight decay that (29) allows, and an isometry.
FINE: dict[str, Any] = {"training.weight_decay": L / (400 * 35)}
ISOMETRY: dict[str, Any] = {"isometry_min": 0.95, "isometry_max": 1.04}


def test_conditions_are_those_of_the_theorem():
    asked = Demands()
    assert conditions(made(recorded=ISOMETRY, **FINE), asked) == ""
    assert conditions(made(recorded=ISOMETRY), asked) == (
        "weight decay above L sigma_min^2/(400*35) of (29)"
    )
    assert conditions(made(recorded=ISOMETRY), Demands(any_decay=True)) == ""
    assert conditions(made(**FINE), asked, decayed=False) == "weight decay"
    free = made(recorded=ISOMETRY, **FREE)
    assert conditions(free, asked) == "no weight decay"
    assert conditions(free, asked, decayed=False) == ""
    narrow = made(recorded=ISOMETRY, **FINE, **NARROW)
    assert conditions(narrow, asked) == "width below (70) and width below Lemma A.25"
    assert conditions(narrow, Demands(any_width=True)) == ""
    # Wide enough for (70), 8 d sr log(d_w)^2 = 64 log(d_w)^2 here, not for 4 L m log(d_w) * 31.
    small: dict[str, Any] = {
        "network.width": 9_000, "problem.signal_dim": 8, "problem.measurement_dim": 7,
        "problem.subspace_dim": 1, "training.learning_rate": 3.5,
    }  # fmt: skip
    assert conditions(made(recorded=ISOMETRY, **FINE, **small), asked) == "width below Lemma A.25"
    # Remark 2.5: any smaller step size.
    for factor, reason in ((0.01, ""), (1.0, ""), (1.01, "learning rate above (29)")):
        rate: dict[str, Any] = {"training.learning_rate": factor * ETA}
        assert conditions(made(recorded=ISOMETRY, **FINE, **rate), asked) == reason


def test_delta_is_measured_and_never_assumed():
    for low, high, delta in [(0.9, 1.04, 0.19), (0.5, 1.1, 0.75), (0.9, 1.5, 1.25)]:
        run = made(recorded={"isometry_min": low, "isometry_max": high}, **FINE)
        assert conditions(run, Demands(isometry=delta + 0.001)) == ""
        found = conditions(run, Demands(isometry=delta - 0.001))
        assert found == f"delta above {delta - 0.001:g}"
        assert conditions(run, Demands()) == "delta above 0.1"
    reason = "delta not known: add isometry_min and isometry_max to record.observables"
    assert conditions(made(**FINE), Demands()) == reason
    assert conditions(made(recorded={"isometry_min": 1.0}, **FINE), Demands(1.0)) == reason
    assert conditions(made(**FINE), Demands(isometry=np.inf)) == ""
    assert theory_proof.ISOMETRY == Demands().isometry == 0.1


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"problem.operator": "gaussian"}, ""),
        # Any A that is an isometry on the subspace.
        ({"problem.operator": "dct"}, ""),
        ({"problem.operator": "file"}, ""),
        # Runs that are older than the setting.
        ({"problem.operator": None}, ""),
        ({"training.minibatch_size": 4}, "training.minibatch_size is not 0"),
        ({"network.layer_init_scale": 0.5}, "network.layer_init_scale is not 1.0"),
        ({"network.product_init_scale": 2.0}, "network.product_init_scale is not 1.0"),
        ({"problem.kind": "noisy_subspace"}, "problem.kind is not subspace"),
        ({"problem.kind": "union_of_subspaces"}, "problem.kind is not subspace"),
    ],
)
def test_what_the_theorem_is_not_about(settings: dict[str, Any], reason: str):
    assert conditions(made(recorded=ISOMETRY, **FINE, **settings), Demands()) == reason


# Without minibatches their order is none.
@pytest.mark.parametrize("key", sorted(set(GENERIC_ONLY) - {"minibatch_order"}))
def test_what_only_the_generic_way_does_is_no_gradient_descent_of_the_theorem(key: str):
    words = {"schedule": "cosine", **dict.fromkeys(BY_LAYER, "1, 0.5")}
    setting, off, on = f"training.{key}", GENERIC_ONLY[key], words.get(key, 0.5)
    without: dict[str, Any] = {setting: off}
    with_it: dict[str, Any] = {setting: on}
    assert conditions(made(recorded=ISOMETRY, **FINE, **without), Demands()) == ""
    found = conditions(made(recorded=ISOMETRY, **FINE, **with_it), Demands())
    assert found == f"{setting} is not {off}"
    # Nor are the lines that say how weights decay, to all digits, or which sharpness is stable.
    for name in ("first_layer_decay", "all_layers_decay", "stability_threshold"):
        assert THEORY_CURVES[name].why_not({setting: [on]})
        assert THEORY_CURVES[name].why_not({setting: [on, off]}) == ""


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
    demands = Demands(np.inf, any_decay=True)
    table: Any = claims_table(results, by=["network.width"], demands=demands)
    assert len(table) == 2 * len(STATEMENTS)
    counts = ["satisfied", "violated", "measured", "not_applicable"]
    assert (table[counts].sum(axis=1) == 4).all()
    narrow = table[table["network.width"] == 20]
    assert (narrow["not_applicable"] == 4).all()
    told = narrow.set_index("source")["why_not"]
    # A smaller learning rate is inside the theorem, by Remark 2.5.
    assert told["(74)"] == "width below (70) and width below Lemma A.25 (4)"
    # What was not recorded is said, not passed over.
    for statement in STATEMENTS:
        found = set(table.loc[table["statement"] == statement.name, "why_not"])
        if statement.needs:
            names = " and ".join(statement.needs)
            assert found == {f"not recorded: add {names} to record.observables (4)"}
        else:
            assert not any("not recorded" in reason for reason in found)
    assert narrow["worst_margin"].isna().all()
    wide = table[table["network.width"] == 100_000].set_index("source")
    assert wide.loc["Lemma A.26", "satisfied"] == 4
    assert wide.loc[["(32)", "(75)"], "measured"].tolist() == [2, 2]
    assert wide.loc[["(32)", "(75)"], ["satisfied", "violated"]].to_numpy().sum() == 0
    assert wide.loc[["(32)", "(75)"], ["constant", "worst_margin"]].isna().all(axis=None)
    # Against the records themselves: the largest residual of both runs beside the level.
    runs: Any = dlnsweep.open_results(results).runs()
    chosen = runs[runs["network.width"] == 100_000]
    curves: Any = dlnsweep.open_results(results).curves()
    curves = curves[curves["run_id"].isin(chosen["run_id"])]
    gamma = 0.02 / sqrt(6 / 8)
    worst = 0.0
    for _, curve in curves.groupby("run_id"):
        horizon = 2 * 6 * log(1e5) / (curve["training.learning_rate"].iloc[0] * 0.02)
        below = curve.loc[curve["regression_error"] <= 80 * gamma / 2, "step"].min()
        inside = curve[(curve["step"] >= below) & (curve["step"] <= horizon)]
        worst = max(worst, inside["regression_error"].max())
    level = 80 * 0.02 * sqrt(8 / 6)
    assert wide.loc["Lemma A.26", "worst_margin"] == pytest.approx(level / worst)
    assert wide.loc["Lemma A.26", "tight"] == pytest.approx(80 * worst / level)


def test_the_text_numbers_the_statements(results: Path):
    text = claims_text(claims_table(results, demands=Demands(np.inf, any_decay=True)))
    for i, statement in enumerate(STATEMENTS, 1):
        assert f"{i}. {statement.name}  [{statement.source}]" in text
    assert "not applicable because:" in text
    assert "width below (70)" in text
    assert "unstated" in text
    assert text.endswith(
        "note: judged outside the theorem's conditions, 4 runs: weight decay above L sigma_min^2/"
        "(400*35) of (29) and delta not known: add isometry_min and isometry_max to "
        "record.observables\n"
        "note: (74) is taken with ||W_1(0) P_perp|| of a wide Gaussian layer, not the run's own: "
        "add first_layer_off_range to record.observables"
    )


def test_without_the_isometry_no_run_counts_as_inside_the_theorem(results: Path):
    table: Any = claims_table(results)
    assert (table[["satisfied", "violated", "measured"]] == 0).all(axis=None)
    assert "delta not known" in table.set_index("source").loc["(74)", "why_not"]
    assert table.attrs["notes"][0].startswith("(74) is taken with")


def test_what_was_recorded_is_judged(tmp_path: Path):
    document = {
        "name": "events",
        "problem": {
            "kind": "subspace", "signal_dim": 8, "measurement_dim": 6, "subspace_dim": 1,
            "num_samples": 20,
        },
        "network": {"depth": 2, "width": 300},
        "training": {
            "learning_rate": 3.0, "weight_decay": [0.02, 0.0], "step_rule": "fan_in",
            "num_steps": 1200,
        },
        "record": {"count": 20, "test_noise": 0.1, "observables": [
            "regression_error", "off_subspace_error", "noisy_test_error", "output_norm",
            "upper_gain_min", "upper_gain_max", "lower_gain_min", "lower_gain_max",
            "middle_gain_max", "curvature_min", "curvature_max", "higher_order_term",
            "displacement", "first_layer_off_range", "isometry_min", "isometry_max",
        ]},
        "sweep": {"seeds": 2},
    }  # fmt: skip
    dlnsweep.run(Sweep.from_dict(document), tmp_path, workers=0)
    demands = Demands(2.0, any_width=True, any_decay=True)
    table: Any = claims_table(tmp_path / "events", demands=demands)
    # Those with weight decay have more than (29) allows, those without have none.
    notes = table.attrs["notes"]
    assert [note.partition(":")[0] for note in notes] == [
        "judged outside the theorem's conditions, 2 runs"
    ] * 2
    assert sorted("weight decay above" in note for note in notes) == [False, True]
    assert all(note.endswith("width below (70) and width below Lemma A.25") for note in notes)
    rows = table.set_index("statement")
    for name, statement in JUDGES.items():
        row = rows.loc[statement.name]
        if name in ("start middle", "middle", "best step"):
            continue
        judged = row["measured"] if statement.constant is None else (
            row["satisfied"] + row["violated"]
        )  # fmt: skip
        assert judged == 2, name
        reason = "weight decay (2)" if name == "free" else "no weight decay (2)"
        assert row["why_not"] == reason, name
    middle = rows.loc[JUDGES["middle"].name, "why_not"]
    assert "no layer between the first and the last (2)" in middle
    # The lowest record that a run of these has, against the table.
    curves: Any = dlnsweep.open_results(tmp_path / "events").curves()
    first = curves[(curves["step"] == 0) & (curves["training.weight_decay"] > 0)]
    for which in ("upper", "lower"):
        lowest, highest = first[f"{which}_gain_min"].min(), first[f"{which}_gain_max"].max()
        found = rows.loc[JUDGES[f"start {which}"].name]
        assert found["worst_margin"] == pytest.approx(min(lowest / 0.8, 1.2 / highest))
        assert found["tight"] == pytest.approx(max(1 - lowest, highest - 1))


def test_what_cannot_be_tested_has_a_sentence(results: Path, tmp_path: Path):
    with pytest.raises(SpecError, match="by is 'depth'; it must be a setting, such as"):
        claims_table(results, by=["depth"])
    samples.complete(tmp_path / "other")
    with pytest.raises(SpecError, match="did not record regression_error and off_subspace_error"):
        claims_table(tmp_path / "other")
