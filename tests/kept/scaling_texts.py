"""results/kept/scaling/README.md."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from kept.numbers import AtMost
from kept.plans import planned
from kept.scaling import WINDOW, features_of, mean_losses, published
from kept.tables import sweep, table
from kept.text import Part, Statement, says

FILE = "results/kept/scaling/README.md"
# The sizes v and m of the larger runs.
LARGE = (4000, 1000)


def _scaling() -> Iterator[Statement]:
    rows, file = table("scaling/scaling_law.csv"), sweep("scaling_law")
    runs, steps, _ = planned("scaling_law")
    problem, seeds = file["problem"], file["sweep"]["seeds"]
    assert len(rows.rows) == runs
    size, ambient = problem["measurement_dim"], problem["ambient_dim"]
    yield says(
        "{} runs of {} steps of one fresh sample each, linear regression on {} random features of "
        "{} coordinates, {} seeds. The loss is half the mean squared error on {} samples",
        runs, steps, size, ambient, seeds, problem["num_samples"],
    )  # fmt: skip
    yield says("from step {} to step {}, fitted", *WINDOW)
    pairs = list(zip(problem["data_exponent"], problem["target_exponent"], strict=True))
    groups = [rows.where(data_exponent=a, target_exponent=b) for a, b in pairs]
    assert all(sorted(own.column("seed")) == list(range(seeds)) for own in groups)
    flat = [number for pair in pairs for number in pair]
    yield says("| | α = {}, β = {} | α = {}, β = {} | α = {}, β = {} |", *flat)
    cells = " | ".join(["{} ({} to {})"] * len(groups))
    for words, name in (("measured", "exponent"), ("derived, these sizes", "derived")):
        columns = [own.column(name) for own in groups]
        found = [(median(each), min(each), max(each)) for each in columns]
        yield says(f"| {words} | {cells} |", *(number for each in found for number in each))
    wide = table("scaling/scaling_law_large.csv")
    large = [wide.where(data_exponent=a, target_exponent=b) for a, b in pairs]
    assert all(sorted(own.column("seed")) == list(range(seeds)) for own in large)
    for words, name in (("measured", "exponent"), ("derived", "derived")):
        columns = [own.column(name) for own in large]
        found = [(median(each), min(each), max(each)) for each in columns]
        yield says(f"| {words}, v = {{}}, m = {{}} | {cells} |",
                   *LARGE, *(number for each in found for number in each))  # fmt: skip
    # "to the range of ten seeds"
    assert all(
        min(own.column("exponent")) <= published(*pair) <= max(own.column("exponent"))
        for own, pair in zip(large, pairs, strict=True)
    )
    limits = [published(*pair) for pair in pairs]
    yield says("| published, sizes without end | {} | {} | {} |", *limits)
    yield says("a recursion of {} numbers", size)
    losses = zip(rows.column("loss"), rows.column("derived_loss"), strict=True)
    yield says("the measured loss is {} times it", median(a / b for a, b in losses))
    yield says("because {} features end", size)
    yield says(
        "are {} runs of {} steps, `--set name=scaling_law_large --set problem.ambient_dim={} "
        "--set problem.measurement_dim={} --set training.num_steps={}`",
        len(wide.rows), WINDOW[1], *LARGE, WINDOW[1],
    )  # fmt: skip
    # One run anew.
    rate, own = file["training"]["learning_rate"], features_of(0, ambient, size)
    last = mean_losses(own, *pairs[0], rate, steps)[-1]
    assert abs(last / groups[0].one("derived_loss", seed=0) - 1) < 1e-4


def _transfer() -> Iterator[Statement]:
    rows, file = table("scaling/mup_transfer.csv"), sweep("mup_transfer")
    runs, steps, _ = planned("mup_transfer")
    network, problem, seeds = file["network"], file["problem"], file["sweep"]["seeds"]
    wide = sum(rows.where(width=4096).column("num_runs"))
    assert sum(rows.column("num_runs")) == runs + wide
    yield says("the table needs, {} runs (of", wide)
    yield says(
        "{} runs of {} steps of gradient descent on all samples, tanh networks of {} layers on {} "
        "samples of a tanh teacher, {} seeds,",
        runs, steps, network["depth"], problem["num_samples"], seeds,
    )  # fmt: skip
    yield says("none of the {} runs diverged", seeds)
    widths, level, bests = [*network["width"], 4096], 0.1, {}
    yield says("median error is below {}, the one", level)
    yield says("| | width {} | {} | {} | {} |", *widths)
    for kind in ("standard", "mup"):
        found = []
        for width in widths:
            own = rows.where(parametrization=kind, width=width, num_diverged=0)
            errors = own.by("learning_rate", "regression_error_median")
            below = min(rate for rate, error in errors.items() if error < level)
            found.append((below, min(errors, key=errors.__getitem__), max(errors)))
        below, best, largest = zip(*found, strict=True)
        bests[kind] = best
        yield says(f"| {kind}, least below {{}} | {{}} | {{}} | {{}} | {{}} |", level, *below)
        yield says(f"| {kind}, best | {{}} | {{}} | {{}} | {{}} |", *best)
        yield says(f"| {kind}, largest | {{}} | {{}} | {{}} | {{}} |", *largest)
    rates = sorted(set(rows.column("learning_rate")))
    grid = rates[1] / rates[0]
    yield says(
        "by a factor of {} over these widths where 1 over the width would be {} (a step of the "
        "grid is {})",
        bests["standard"][0] / bests["standard"][-1], widths[-1] / widths[0], grid,
    )  # fmt: skip
    assert max(bests["mup"]) / min(bests["mup"]) < grid * 1.001
    apart = []
    for rate in (r for r in rates if 0.09 < r < 0.6):
        own = rows.where(parametrization="mup", learning_rate=rate, width=widths[1:])
        medians = own.column("regression_error_median")
        apart.append(100 * (max(medians) / min(medians) - 1))
    yield says("are within {} % of each other", AtMost(max(apart)))


PARTS = [
    Part(FILE, "Exponents of the loss in the step (arXiv:2405.15074)", _scaling),
    Part(
        FILE,
        "The best learning rate over the width (arXiv:2011.14522, arXiv:2203.03466)",
        _transfer,
        settings=(
            "from 256 on medians at rates from 0.1 to 0.56",
            "Width 4096 has",
            "network.width=4096` would",
            "--set network.width=4096 --set network.parametrization=standard",
            "{from=1e-4,to=0.017782794,count=10",
            "standard_4096\n",
            "--set network.width=4096 --set network.parametrization=mup",
            "{from=0.1,to=10,count=9",
            "mup_4096\n",
            "results/standard_4096/mup",
            "results/mup_4096/mup",
        ),
    ),
]
