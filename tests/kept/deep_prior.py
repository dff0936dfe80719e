"""results/kept/deep_prior/README.md."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from dlnsweep.theory.formulas import jacobian_limit
from kept.numbers import About, AtMost, Value
from kept.tables import sweep, table
from kept.text import ROOT, Part, Statement, says

FILE = "results/kept/deep_prior/README.md"


def _transition(name: str) -> tuple[dict[int, float], tuple[float, ...]]:
    """Return the widths at which half of the runs succeed, and the exponent with its interval."""
    text = (ROOT / "results/kept/deep_prior" / f"transition_{name}.txt").read_text("utf-8")
    rows = re.findall(r"^ +(\d+) +1000 +([\d.]+) ", text, re.MULTILINE)
    power = re.search(r"^ *problem\.\w+ +(-?[\d.]+) +(-?[\d.]+) +(-?[\d.]+)$", text, re.MULTILINE)
    assert power
    return {int(key): float(x) for key, x in rows}, tuple(map(float, power.groups()))


def _listed(values: Sequence[Value]) -> tuple[str, tuple[Value, ...]]:
    return ", ".join("{}" for _ in values), tuple(values)


def _success() -> Iterator[Statement]:
    km, exponent = _transition("km")
    yield says(
        "half of the networks succeed at k = {} for m = 3, {} for m = 10, {} for m = 20",
        km[3], km[10], km[20],
    )  # fmt: skip
    yield says("a power law k ~ m^{} (95 % bootstrap interval {} to {};", *exponent)
    kn, exponent = _transition("kn")
    wide = [x for n, x in kn.items() if n >= 20]
    yield says(
        "k is {} to {} for every n from 20 to 200 (exponent {}, {} to {}), and {} at n = m = 10",
        min(wide), max(wide), *exponent, kn[10],
    )  # fmt: skip


def _jacobian() -> Iterator[Statement]:
    limit = jacobian_limit("sigmoid")
    widths = table("deep_prior/jacobian.csv").by("width", "jacobian_min_median")
    assert list(widths) == sweep("prior_jacobian")["network"]["width"]
    holes, shares = _listed([value / limit for value in widths.values()])
    yield says(
        f"√(E φ'²) = {{}}, at n = 60 and at step 0: {holes} for "
        "k = 100, 200, 400, 1 000, 3 000, 10 000, 30 000",
        limit, *shares,
    )  # fmt: skip
    rows = table("deep_prior/trajectories.csv")
    ratios = rows.by("width", "jacobian_ratio_median")
    holes, values = _listed(list(ratios.values()))
    yield says(f"is {holes} in the median for k = 64, 256, 1024, 4096", *values)
    radius, allowed = (rows.by("width", f"{n}_median") for n in ("weight_radius", "allowed_radius"))
    yield says("R'/R is {} to {} (medians", radius[64] / allowed[64], radius[4096] / allowed[4096])


def _noise() -> Iterator[Statement]:
    errors = table("deep_prior/noise.csv").by("noise_level", "signal_error_median")
    holes, values = _listed([errors[level] for level in (0.01, 0.03, 0.1, 0.3)])
    yield says(f"signal error {holes} at the end", *values)
    for level in (0.01, 0.03, 0.1, 0.3):
        assert round(errors[level] / level, 2) == 1.55
    yield says("{} times the noise in each; at 1.0 it is {},", errors[0.1] / 0.1, errors[1.0])

    least = table("deep_prior/noise_min.csv").by("noise_level", "signal_error_median")
    holes, values = _listed(list(least.values()))
    yield says(f"The least error along the way is {holes} (", *values)
    saved = [100 * (1 - least[level] / errors[level]) for level in (0.01, 1.0)]
    yield says("helps by {} % at the least noise and by {} % at the largest", *saved)


def _width_bound() -> Iterator[Statement]:
    bounds = table("deep_prior/width_bound.csv").by("measurement_dim", "width_bound_median")
    half, _ = _transition("km")
    at = (3, 5, 10, 15, 20)
    holes, values = _listed([bounds[m] for m in at])
    yield says(f"median {holes} for m = 3, 5, 10, 15, 20 at n = 60", *values)
    holes, values = _listed([half[m] for m in at])
    yield says(f"Half of the networks succeed at {holes}:", *values)
    holes, values = _listed([About(bounds[m] / half[m]) for m in at])
    yield says(f"larger by factors of some {holes}.", *values)


def _losses() -> Iterator[Statement]:
    ends = table("deep_prior/step_size.csv").by("learning_rate", "loss_median")
    assert list(ends) == sweep("prior_step_size")["training"]["learning_rate"]
    yield says(
        "up to η = 8 the median loss ends below {}.",
        AtMost(max(loss for rate, loss in ends.items() if rate <= 8)),
    )
    yield says("At 30 it ends at {}, at 100 and 300 at {} and {};", ends[30], ends[100], ends[300])
    power = table("deep_prior/losses.csv", loss="power")
    yield says(
        "ends at {}, below its bound of {}.",
        power.one("loss_median"), power.one("loss_bound_median"),
    )  # fmt: skip
    ends = table("deep_prior/conditioning.csv").by("condition_number", "loss_median")
    yield says(
        "is below {} for κ = 1, 3, 10, 30 and {} for κ = 100",
        AtMost(max(loss for kappa, loss in ends.items() if kappa <= 30)), ends[100],
    )  # fmt: skip
    rows = table("deep_prior/injectivity.csv")
    least = rows.by("width", "restricted_injectivity_median")
    errors = rows.by("width", "signal_error_median")
    bounds = rows.by("width", "recovery_bound_median")
    narrow = [k for k in least if k <= 20]
    holes, values = _listed([least[k] for k in narrow])
    more, errors_of = _listed([errors[k] for k in narrow])
    yield says(
        f"{holes} for k = 2, 4, 8, 12, 16, 18, 20 with signal errors {more};",
        *values, *errors_of,
    )  # fmt: skip
    apart = [bounds[k] / errors[k] for k in narrow]
    yield says("which is {} to {} times larger in the medians", min(apart), max(apart))
    wide = [k for k in least if k > 20]
    assert all(least[k] == 0 for k in wide)
    holes, values = _listed([errors[k] for k in wide])
    yield says(f"the errors are {holes} at k = 24, 40, 80", *values)


def _all() -> Iterator[Statement]:
    for own in (_success, _jacobian, _noise, _width_bound, _losses):
        yield from own()


PARTS = [
    Part(
        FILE,
        "",
        _all,
        settings=(
            "20 x 20 cells of 50 networks each, 25 000 steps",
            "loss below 1e-7",
            "at n = 60",
            "the rows m = 1 and 2 lie",
            "at m = 10",
            "80 networks, n = 20, m = 5, widths 64 to 4096",
            "σ_min(J(0))/2",
            "the factor 1 − γσ_A²σ_min(J(0))²/4 a step",
            "σ_min(J(0))/√(E φ'²)",
            "k = 64 to 4096",
            "it tends to 1.",
            "m = n = 20, A of condition number 5, k = 500, 30 networks a level",
            "Noise of 0.01, 0.03, 0.1, 0.3 a measurement",
            "ψ(L(0))⁴",
            "(50 networks of width 1000)",
            "C' = 1",
            "n = 60, m = 10, k = 400, η in units of 1/P, 20 networks each",
            "above 2/P",
            "curvature at step 0",
            "n = 20, m = 5, k = 1000",
            "Σr⁴/4 (p = 4)",
            "m = 20, n = 60",
            "noise 0.01, 30 networks a width",
            "n = 20, m = 10, k = 1000",
            "N(0, 1/m)",
            "N(0, I_n)",
        ),
    ),
]
