"""results/kept/conventions/README.md."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import isclose

from dlnsweep.theory.formulas import plateau
from kept.numbers import AtMost
from kept.tables import Table, sweep, table
from kept.text import Part, Statement, says

FILE = "results/kept/conventions/README.md"
LITERAL, SCALED = 1.0, 1 / 16


def _plateaus(rows: Table, scale: float, decay: float | None = None) -> list[float]:
    """Return the regression errors over lambda at one data-fit scale, from small to large."""
    rows = rows.where(data_fit_scale=scale)
    errors = rows.column("regression_error_median")
    decays = rows.column("weight_decay") if decay is None else [decay] * len(errors)
    return sorted(error / own for error, own in zip(errors, decays, strict=True))


def _side_by_side() -> Iterator[Statement]:
    fig2 = table("conventions/fig2.csv")
    decay = sweep("fig2_conventions")["training"]["weight_decay"]
    first = fig2.where(data_fit_scale=LITERAL).by("subspace_dim", "off_subspace_error_median")
    second = fig2.where(data_fit_scale=SCALED).by("subspace_dim", "off_subspace_error_median")
    literal, scaled = _plateaus(fig2, LITERAL, decay), _plateaus(fig2, SCALED, decay)
    yield says(
        "the convention moves the plateau, {} to {} λ against {} to {} λ, and what comes before "
        "it; the off-subspace errors are the same within {} %",
        literal[0], literal[-1], scaled[0], scaled[-1],
        AtMost(100 * max(abs(first[s] / second[s] - 1) for s in first)),
    )  # fmt: skip

    fig3, file = table("conventions/fig3.csv"), sweep("fig3_conventions")
    decay = file["training"]["weight_decay"]
    m, s = file["problem"]["measurement_dim"], file["problem"]["subspace_dim"]
    literal, scaled = _plateaus(fig3, LITERAL, decay), _plateaus(fig3, SCALED, decay)
    # lambda = 1: the plateau over lambda.
    formula = [plateau(1.0, m, s, depth) for depth in file["network"]["depth"]]
    yield says(
        "end before the plateau ({} to {} λ, still rising towards {} to {} λ)",
        literal[0], literal[-1], min(formula), max(formula),
    )  # fmt: skip
    yield says("end on it ({} to {} λ)", scaled[0], scaled[-1])
    last = fig3.where(data_fit_scale=LITERAL).by("depth", "off_subspace_error_median")
    yield says("at the end of the lower row L = 5 is at {} of L = 2", last[5] / last[2])

    fig4 = table("conventions/fig4.csv")
    literal, scaled = _plateaus(fig4, LITERAL), _plateaus(fig4, SCALED)
    # The least weight decay has not reached its own, as the text says.
    yield says("plateaus of {} to {} λ literally", literal[1], literal[-1])
    yield says("of {} to {} λ with c = 1/16; proportional", scaled[0], scaled[-1])


_INITIAL = {
    "1 / fan_in": 1.0,
    "1 / (3 fan_in)": 3**-0.5,
    "2 / fan_in, He's": 2**0.5,
}
# As the table of the text names them: the variance, c, the depths that are stable.
_ROWS = (
    ("1 / fan_in", "1/4", (2, 3)),
    ("1 / fan_in", "1/8", (2, 3, 5)),
    ("1 / fan_in", "1/16", (2, 3, 5)),
    ("1 / fan_in", "1/32", (2, 3, 5)),
    ("1 / (3 fan_in)", "1", (2, 3, 5)),
    ("1 / (3 fan_in)", "1/16", (2, 3, 5)),
    ("2 / fan_in, He's", "1/16", (2, 3)),
)


def _with(rows: Table, initial: str, scale: str) -> Table:
    wanted = [x for x in set(rows.column("layer_init_scale")) if isclose(x, _INITIAL[initial])]
    return rows.where(layer_init_scale=wanted, data_fit_scale=float(Fraction(scale)))


def _falls(rule: str, initial: str, scale: str) -> dict[int, float]:
    """Return the off-subspace errors at step 2917 over those at step 0, of medians, by depth."""
    start, after = (
        _with(table(f"conventions/at_{step}.csv", step_rule=rule), initial, scale).by(
            "depth", "off_subspace_error_median"
        )
        for step in (0, 2917)
    )
    return {depth: after[depth] / start[depth] for depth in start if after[depth] != ""}


def _table() -> Iterator[Statement]:
    rows = table("conventions/summary.csv")
    decay = sweep("conventions")["training"]["weight_decay"]
    one, fan_in = (rows.where(step_rule=rule) for rule in ("uniform", "fan_in"))
    for initial, scale, stable in _ROWS:
        own = _with(one, initial, scale)
        diverged = own.by("depth", "num_diverged")
        assert tuple(depth for depth in diverged if not diverged[depth]) == stable
        errors = own.by("depth", "regression_error_median")
        fall = _falls("uniform", initial, scale)
        listed = "all" if len(stable) == 3 else "L = 2, 3"
        default = ", PyTorch's default" if scale == "1" else ""
        holes = ", ".join("{}" for _ in stable)
        yield says(
            f"| one η | {initial}{default} | {scale} | {listed} | {holes} | {holes} |",
            *(errors[depth] / decay for depth in stable), *(fall[depth] for depth in stable),
        )  # fmt: skip
    stated = _with(one, "1 / fan_in", "1")
    assert stated.column("num_diverged") == stated.column("num_runs")
    assert not any(fan_in.column("num_diverged"))
    slow = [
        fall
        for initial in _INITIAL
        for scale in ("1", "1/4", "1/8", "1/16", "1/32")
        for fall in _falls("fan_in", initial, scale).values()
    ]
    yield says("| any | any | all | not reached | {} to {} |", min(slow), max(slow))
    over = [
        error * scale / decay
        for error, scale in zip(
            one.column("regression_error_median"), one.column("data_fit_scale"), strict=True
        )
        if error != ""
    ]
    yield says("that of the global minimum, {} to {} λ/c, whatever", min(over), max(over))
    yield says("{} runs diverged.)", sum(rows.column("num_diverged")))
    rate = sweep("conventions")["training"]["learning_rate"]
    yield says("at step 2917 (ηλt = {})", rate * decay * 2917)
    yield says(
        "{} seeds a cell, {} runs.", rows.column("num_runs")[0], sum(rows.column("num_runs"))
    )


PARTS = [
    Part(
        FILE,
        "",
        _table,
        settings=(
            "d = 64, m = 32, s = 4, n = 1000, d_w = 1000, η = 1/10, λ = 10⁻³, 50 000 steps",
            "L = 2, 3, 5;",
            'over λ, L = 2, 3, 5. "Depth"',
            "at step 0, L = 2, 3, 5:",
            "roughly 20 λ in Figure 3 and about 10 λ in Figure 4",
            "stable at η = 1/10",
            "1 / fan_in (stated) | 1 (stated)",
            "c of 1/8 to 1/16",
            "c = 1/16",
            "(c = 1, which",
            "a variance of 1 / (3 fan_in)",
        ),
    ),
    Part(
        FILE,
        "Figures 2, 3 and 4, literally and with c = 1/16",
        _side_by_side,
        settings=(
            "(c = 1) and its data fit scaled by 1/16",
            "Figure 2: 3 runs a curve, float32, dense kernel, 5 minutes",
            "Figure 3: 3 runs a curve, 7 minutes; Figure 4: 5 runs a curve, 5 minutes",
            "tolerance of 1e-3",
            "have 10 runs a curve",
            "η = 1/10",
            "η = 1/100",
            "c = 1",
            "c = 1/16",
            "the paper's 20 λ",
            "L = 5 begins",
            "(λ = 10⁻⁴ has not",
        ),
    ),
]
