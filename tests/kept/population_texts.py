"""results/kept/population/README.md."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from statistics import median

from dlnsweep.analysis.limits import ANOTHER, ONE, UNTOLD
from dlnsweep.problems.population import PopulationSettings
from dlnsweep.theory.committee import plateau_slope, spurious_error
from kept.numbers import AtLeast, AtMost
from kept.plans import planned
from kept.scripts import script
from kept.tables import sweep, table
from kept.text import GUIDES, ROOT, Part, Statement, says

FILE = "results/kept/population/README.md"


def _speed() -> Iterator[Statement]:
    rows, bench = table("speed/population.csv"), script("population")
    yield says("ReLU, K = {}, M = {}, decay", bench.K, bench.M)
    names = ("d", "by hand in d dimensions", "ours", "ratio")
    cells = [row[name] for row in rows.rows for name in names]
    yield says(" ".join(["| {} | {} | {} | {} |"] * len(rows.rows)), *cells)
    apart = max(rows.column("largest deviation of w_k.w_l"))
    yield says("After {} steps inner products agree to {}", 200, AtMost(apart))
    notes = (ROOT / "results/kept/speed/population.csv").read_text(encoding="utf-8")
    over = float(notes.partition("over one at d = 10^2: ")[2].partition(" ")[0])
    yield says("takes {} of one at 10²", over)
    pairs = bench.K * (bench.K + bench.M)
    yield says("{} angles", (bench.K + bench.M) ** 2)
    assert 400 < pairs * (bench.K + bench.M) < 500


def _plateau() -> Iterator[Statement]:
    rows, file = table("population/soft_committee.csv"), sweep("soft_committee")
    runs, *_ = planned("soft_committee")
    assert runs == sum(rows.column("num_runs"))
    assert file["problem"]["num_teacher_neurons"] == file["network"]["width"]
    rate = file["training"]["learning_rate"]
    yield says(
        "eleven dimensions, {} seeds, η = {}; a run ends where its error falls below {}. {} runs",
        file["sweep"]["seeds"], rate, file["training"]["stop_when"]["below"], runs,
    )  # fmt: skip
    cells = []
    for width in file["network"]["width"]:
        slope = math.log(10) * plateau_slope("erf", width, width, rate)
        apart, alike = (rows.where(width=width, initial_correlation=r) for r in (0, 0.9999))
        late = alike.one("longer", input_dim=1e12)
        assert abs(late - slope) < 0.5 + 0.01 * slope
        steps = [apart.one("longer", input_dim=d) for d in (1000, 1e12)]
        longer = apart.column("longer")[1:]
        assert all(a >= b for a, b in itertools.pairwise(longer))
        cells += [width, slope, late, *steps]
    yield says(" ".join(["| {} | {} | {} | {} | {} |"] * 3), *cells)


def _minima() -> Iterator[Statement]:
    rows, file = table("population/relu_minima.csv"), sweep("relu_minima")
    assert planned("relu_minima")[0] == sum(rows.column("num_runs"))
    yield says("{} seeds each, 10⁴ steps; found: an error below 10⁻⁴", file["sweep"]["seeds"])
    cells = []
    for teachers in sorted(set(file["problem"]["num_teacher_neurons"])):
        own = rows.where(num_teacher_neurons=teachers)
        cells.append(teachers)
        for size in (100, 1e6):
            one = own.where(width=teachers, input_dim=size)
            cells += [one.column("num_found_all")[0], one.column("num_runs")[0]]
        for more in (1, 2):
            some = own.where(width=teachers + more)
            cells += [sum(some.column("num_found_all")), sum(some.column("num_runs"))]
    line = "| {} | {} of {} | {} of {} | {} of {} | {} of {} |"
    yield says(" ".join([line] * 5), *cells)
    some = [rows.where(num_teacher_neurons=n, width=n) for n in (8, 10)]
    gradient = max(max(each.column("largest_gradient")) for each in some)
    least = min(min(each.column("least_missed")) for each in some)
    yield says(
        "gradient norms of at most {}), with errors of {} and more", AtMost(gradient),
        AtLeast(least),
    )  # fmt: skip
    missed = [rows.where(num_teacher_neurons=n, width=n) for n in (8, 10, 12)]
    known = [spurious_error(n) for n in (8, 10, 12)]
    for each, value in zip(missed, known, strict=True):
        # The table has six digits.
        assert all(math.isclose(e, value, rel_tol=5e-6) for e in each.column("least_missed"))
    yield says("The least of these errors, {}, {} and {} for M = {}, {} and {}", *known, 8, 10, 12)


def _one_pass() -> Iterator[Statement]:
    rows, file = table("population/one_pass.csv"), sweep("one_pass")
    yield says("{} seeds, until ηt = {}. All inner products, at {} records",
               file["sweep"]["seeds"], 20, file["record"]["count"])  # fmt: skip
    training, sizes = file["training"], file["problem"]["input_dim"]
    taken = zip(training["learning_rate"], training["num_steps"], strict=True)
    assert all(math.isclose(rate * steps, 20) for rate, steps in taken)

    def from_ode(size: int, rate: float) -> float:
        return rows.one("from_ode", input_dim=size, learning_rate=rate)

    along = [(100, 5e-3), (1000, 5e-4), (10_000, 5e-5)]
    assert along == list(zip(sizes, training["learning_rate"], strict=True))[:3]
    cells = []
    for place, (size, rate) in enumerate([*along, (100, 5e-4), (100, 5e-5)]):
        cells += [size, rate, size * rate, from_ode(size, rate)]
        if place in (0, 3, 4):
            cells.append(rows.one("from_expected", input_dim=size, learning_rate=rate))
    line = "| {} | {} | {} | {} | {} |"
    short = "| {} | {} | {} | {} | |"
    yield says(" ".join([line, short, short, line, line]), *cells)
    ratios = [from_ode(*a) / from_ode(*b) for a, b in itertools.pairwise(along)]
    yield says("by factors of {} and {} for ten times the dimension (√10 = {})", *ratios, 10**0.5)
    expected = [
        rows.one("from_expected", input_dim=100, learning_rate=rate) for rate in (5e-3, 5e-4, 5e-5)
    ]
    ratios = [a / b for a, b in itertools.pairwise(expected)]
    yield says("by factors of {} and {} for a tenth of it", *ratios)


def _front_page() -> Iterator[Statement]:
    file = sweep("soft_committee")
    assert file["problem"]["input_dim"]["to"] == 1e12
    most = PopulationSettings.model_fields["input_dim"].metadata
    assert any(getattr(each, "le", None) == 10**15 for each in most)
    yield says("as ln(d), with the derived slope")


def _limits() -> Iterator[Statement]:
    rows, file = table("population/width_limits.csv"), sweep("width_limits")
    seeds = file["sweep"]["seeds"]
    yield says("{} seeds, cut into {} groups of ten", seeds, seeds // 10)
    yield says("κ = {}, λ = {}, fan-in", file["problem"]["condition_number"],
               file["training"]["weight_decay"])  # fmt: skip
    cells = []
    for depth in file["network"]["depth"]:
        for observable in file["record"]["observables"]:
            own = rows.where(depth=depth, observable=observable).rows
            law, count = own[0]["law"], len(own)
            assert count == seeds // 10
            held = sum(row["low"] <= law <= row["high"] for row in own)
            plain = sum(row["there_low"] <= law <= row["there_high"] for row in own)
            apart = sum(row["apart_low"] <= 0 <= row["apart_high"] for row in own)
            half = 50 * median((row["apart_high"] - row["apart_low"]) / law for row in own)
            told = sum(row["verdict"] == ONE for row in own)
            cells += [depth, law, held, count, plain, count, apart, count, half, told, count]
    line = "| {} | %s | {} | {} of {} | {} of {} | {} of {} | {} %% | {} of {} |"
    names = ["regression error", "off-subspace error"] * len(file["network"]["depth"])
    yield says(" ".join(line % name for name in names), *cells)
    yield says("all {} do", seeds)
    cells, lines = [], []
    for depth in file["network"]["depth"]:
        for observable in file["record"]["observables"]:
            own = table("population/width_limits_all.csv").where(depth=depth, observable=observable)
            (row,) = own.rows
            name = observable.replace("_", " ").replace("off sub", "off-sub")
            cells += [depth, row["order"], row["order_low"], row["order_high"]]
            law = rows.where(depth=depth, observable=observable).rows[0]["law"]
            if row["verdict"] == ONE:
                lines.append(
                    f"| {{}} | {name} | {{}}, {{}} to {{}} | order 1 | {{}}, {{}} to {{}} | {{}} |"
                )
                cells += [row["limit"], row["low"], row["high"], law]
                assert row["low"] <= law <= row["high"]
            else:
                assert row["verdict"].endswith(": no limit")
                lines.append(f"| {{}} | {name} | {{}}, {{}} to {{}} | no limit | | {{}} |")
                cells.append(law)
    yield says(" ".join(lines), *cells)


def _coverage() -> Iterator[Statement]:
    rows, bench = table("population/limit_coverage.csv"), script("width_limits")
    assert sum(rows.column("order_told")) == sum(rows.column("no_limit")) == 0
    yield says("of two layers in {} settings", len(rows.rows))
    yield says("at widths {}, {}, {} and {}, beside the mean of {} seeds",
               *bench.WIDTHS, bench.DRAWS)  # fmt: skip
    assert (bench.SWEEPS, bench.SEEDS, len(bench.FAMILIES)) == (20, 10, 4)
    yield says("The {} % interval", round(100 * bench.LEVEL))
    cells = []
    for sizes in bench.FAMILIES:
        own = rows.where(**dict(zip("dmsn", sizes, strict=True)))
        count, told, plain = (
            sum(own.column(name)) for name in ("sweeps", "held", "held_by_student")
        )
        cells += [*sizes, told, count, plain, count]
    whole = [sum(rows.column(name)) for name in ("held", "sweeps", "held_by_student", "sweeps")]
    line = "| {}, {}, {}, {} | {} of {} | {} of {} |"
    yield says(" ".join([line] * len(bench.FAMILIES)), *cells)
    yield says("| all | {} of {} | {} of {} |", *whole)
    law = table("population/law_limits.csv")
    assert bench.LAW_WIDTHS == (10**6, 10**9)
    near, far = (law.column(name) for name in ("apart_1e6", "apart_1e9"))
    factors = [a / b for a, b in zip(near, far, strict=True)]
    yield says("of {} seeds in {} of these settings", bench.LAW_SEEDS, len(law.rows))
    yield says("at most {} of the limit's apart at a width of 10⁶, and {} at 10⁹",
               AtMost(max(near)), AtMost(max(far)))  # fmt: skip
    yield says("by factors of {} to {} a setting less (√{} = {})",
               min(factors), max(factors), 1000, 1000**0.5)  # fmt: skip
    *whole, last = ([abs(z) for z in law.where(d=sizes[0]).column("apart_in_errors")]
                    for sizes in bench.FAMILIES)  # fmt: skip
    three = [z for each in whole for z in each]
    yield says("Means of these {} seeds are {} to {} of their errors from that of {} in three",
               bench.LAW_SEEDS, min(three), max(three), bench.DRAWS)  # fmt: skip
    assert max(law.where(d=8).column("apart_in_errors")) < 0
    yield says("and in the fourth {} to {} below", min(last), max(last))
    yield says("is {} % of the limit in the median", 100 * median(rows.column("half_over_law")))


def _orders() -> Iterator[Statement]:
    rows, bench = table("population/width_orders.csv"), script("width_limits")
    yield says("eight times apart, {}, {} and {}, {} of these settings, {} seeds",
               *bench.FAR_WIDTHS, len(rows.rows), bench.ORDER_SEEDS)  # fmt: skip
    verdicts = rows.column("verdict")
    (odd,) = rows.where(verdict=ANOTHER).rows
    yield says(
        "told of {}, nothing of {}, and of one (order {}, {} to {}; d = {}, weight decay {})",
        verdicts.count(ONE), verdicts.count(UNTOLD), odd["order"], odd["order_low"],
        odd["order_high"], odd["d"], odd["weight_decay"],
    )  # fmt: skip
    assert sum(rows.column("another")) == odd["another"]
    yield says("Sweeps of {} of the seeds tell order 1 in {} of {}, and another in {}",
               bench.ORDER_SWEEP, sum(rows.column("one")), sum(rows.column("sweeps")),
               odd["another"])  # fmt: skip


def _nonlinear() -> Iterator[Statement]:
    rows, bench = table("population/mlp_limits.csv"), script("mlp_limits")
    own = rows.where(parametrization="ntk").rows
    yield says("{} steps on eight samples", bench.STEPS)
    assert bench.SAMPLES == 8
    yield says("{} seeds at widths {}, {} and {}, and {} sweeps of ten",
               bench.SEEDS, *bench.WIDTHS["ntk"], own[0]["sweeps"])  # fmt: skip
    cells = []
    for row in own:
        cells += [row["depth"], row["mean_at_largest"], row["law"], row["limit"], row["low"],
                  row["high"], row["order"], row["order_low"], row["order_high"], row["held"],
                  row["sweeps"]]  # fmt: skip
        assert row["verdict"] == (ONE if row["activation"] == "erf" else ANOTHER)
    line = "| %s | {} | {} | {} | {}, {} to {} | {}, {} to {} | {} of {} |"
    yield says(" ".join(line % row["activation"] for row in own), *cells)
    held = [row["low"] <= row["law"] <= row["high"] for row in own]
    assert held == [True, True, True, False]
    erf, relu = rows.where(parametrization="standard").rows
    assert (erf["activation"], relu["activation"]) == ("erf", "relu")
    assert {row["verdict"] for row in (erf, relu)} == {ANOTHER}
    yield says("at a learning rate of {} / width", erf["learning_rate"])
    orders = [row[name] for row in (erf, relu) for name in ("order", "order_low", "order_high")]
    yield says("at widths {}, {} and {} the order is {} ({} to {}; erf) and {} ({} to {}; relu)",
               *bench.WIDTHS["standard"], *orders)  # fmt: skip
    yield says("would have ended at {} and {}", erf["limit"], relu["limit"])


PARTS = [
    Part(
        f"{GUIDES}/kernels.md",
        "All Gaussian inputs",
        _front_page,
        settings=(
            "N(0, I_d)", "program, up to 10¹⁵", "10² and 10¹² cost the same", "some 1e-15 are",
            "on (c/2) E (y − f(x))² + (λ/2)(Σ‖w_k‖² + ‖a‖²)",
        ),
    ),
    Part(
        FILE,
        "Speed",
        _speed,
        settings=("A step at d = 10¹²", "some 400 products"),
    ),
    Part(
        FILE,
        "The plateau from 100 to 10¹² dimensions (Saad and Solla 1995)",
        _plateau,
        settings=(
            "in half a minute on two cores", "beside ln(10) / (2 ln(1 + ηγ))", "(r = 0.9999), from "
            "10¹¹ to 10¹² | independent at the start, from 100 to 1 000 | from 10¹¹ to 10¹² |",
        ),
    ),
    Part(
        FILE,
        "ReLU: spurious minima, and one neuron more (arXiv:1712.08968)",
        _minima,
        settings=(
            "K = M, M + 1 and M + 2 ReLU neurons, 10² and 10⁶ dimensions",
            "| M | K = M, d = 10² | K = M, d = 10⁶ | K = M + 1, all | K = M + 2, all |",
            "for M = 8 and 10 all",
        ),
    ),
    Part(
        FILE,
        "Infinite width by extrapolation, beside the law",
        _limits,
        settings=(
            "widths 64, 128, 256 and 512 and, by their law, 10⁹", "with its 95 % interval",
            "| mean at 10⁹, all seeds |", "own ten values at 10⁹ | 0 is in", "| order 1 told |",
            "| mean at 10⁹ |", "as 1/width, and are found",
        ),
    ),
    Part(
        FILE,
        "How often an extrapolated interval holds a known limit",
        _coverage,
        settings=("the first row held 91 %", "falls as 1/√width"),
    ),
    Part(
        FILE,
        "The order in which a limit is neared",
        _orders,
        settings=("order 1 is told of",),
    ),
    Part(
        FILE,
        "A nonlinear network beside its limit",
        _nonlinear,
        settings=(
            "| loss at 256 |", "Of erf order 1 is told", "theory has the order 1/2",
            "goes to 0, it", "polynomials in 1/width",
        ),
    ),
    Part(
        FILE,
        "One pass through samples: the ODE, and the expected loss",
        _one_pass,
        settings=("K = M = 2, a fresh sample", "as d^(−1/2)"),
    ),
]  # fmt: skip
