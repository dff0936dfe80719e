"""results/kept/long_runs, and the guide: time jumps beside gradient descent step by step."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from statistics import median
from typing import Any

import jump_samples as samples

from dlnsweep.engine import motion, rungs
from kept.jump_runs import counts
from kept.numbers import AtMost
from kept.plans import planned
from kept.tables import Table, sweep, table
from kept.text import GUIDES, Part, Statement, says

RATE = 0.05
FILE = "results/kept/long_runs/README.md"


def _front_page() -> Iterator[Statement]:
    yield says("with at most {} outputs on all samples", motion.MOST_OUTPUTS)
    (kept, runs, worst), memory = map(_kept_by_auto, ("estimates", "momentum"))
    yield says("{} of {} would be kept", kept, runs)
    yield says("and {} of {} by the\nother two", *memory[:2])
    yield says("largest errors are {} and {} times the tolerance", worst, memory[2])
    yield says("or, above {} or where two", rungs._KNOWN)
    border = [row["ratio"] for row in _fit(table("long_runs/border.csv"))[1::3]]
    yield says("takes {} to {} times as long by its steps", min(border), max(border))
    most = planned("vanishing_decay")[2]
    yield says("each to its end: {} billion steps", most / 1e9)


def _kept_by_auto(name: str) -> tuple[int, int, float]:
    """Return how many runs `auto` would keep, of how many, and their largest error."""
    runs = table(f"long_runs/{name}.csv").rows
    ended = [row for row in runs if row["ending"].startswith("finished")]
    kept = [row["error"] for row in ended if row["estimate"] <= samples.TOLERANCE]
    return len(kept), len(runs), max(kept) / samples.TOLERANCE


def _fit(rows: Table) -> list[dict[str, Any]]:
    """Return the runs that jumps hold for: of each network three numbers of steps."""
    return [row for row in rows.rows if row["learning rate"] == 0.02]


def _border() -> Iterator[Statement]:
    rows = table("long_runs/border.csv")
    fit = _fit(rows)
    unfit = [row for row in rows.rows if row["learning rate"] != 0.02]
    assert {row["kept of 3"] for row in fit} == {3}
    # As the text has it: all of one network, and two of three of the other.
    assert [row["kept of 3"] for row in unfit] == [0, 1]
    names = list(dict.fromkeys(row["network"] for row in fit))
    yield says("of {} small networks", len(names))
    cells, tenth = [], []
    for name in names:
        less, border, more = (row for row in fit if row["network"] == name)
        assert [row["tried"] for row in (less, border, more)] == ["no", "yes", "yes"]
        cells += [border[key] for key in ("steps", "by steps", "walks", "compiling", "ratio")]
        cells.append(more["ratio"])
        tenth.append(less["ratio"])
    line = f"|{' {} |' * 6}"
    for name, at in zip(names, range(0, len(cells), 6), strict=True):
        yield says(f"| {name} {line}", *cells[at : at + 6])
    yield says("a tenth as long it is {} to {} times", min(tenth), max(tenth))
    lost = [row["walks"] / row["by steps"] for row in unfit]
    whole = [(row["walks"] + row["compiling"]) / row["by steps"] for row in unfit]
    yield says("at most {} % of their time by steps", 100 * max(lost))
    yield says("with compiling at most {} %", 100 * max(whole))


def _allowed(row: dict[str, Any]) -> float:
    """Return a run's error over what is allowed."""
    return row["error"] / max(samples.TOLERANCE, samples.ESTIMATES * row["estimate"])


def _known(rows: Table) -> list[dict[str, Any]]:
    """Return the runs that have an estimate; ended as by the judge are all."""
    assert not any(" beside " in row["ending"] for row in rows.rows)
    kept = [row for row in rows.rows if "diverged" not in row["ending"]]
    return [row for row in kept if math.isfinite(row["estimate"])]


def _estimates() -> Iterator[Statement]:
    rows = table("long_runs/estimates.csv")
    programs = {*rows.column("family")}
    assert len(rows.rows) == len(programs) * samples.RUNS
    yield says(
        "{} random runs, {} of each of {} programs", len(rows.rows), samples.RUNS, len(programs)
    )
    names = {re.sub(r" \w+$", "", name) for name in rows.column("network")}
    depths = [int(name.split()[-1]) for name in rows.column("network") if "deep_linear" in name]
    assert len(names) > 4
    yield says("deep linear networks of depth {} to {},", min(depths), max(depths))
    yield says("at a tolerance of {} and", samples.TOLERANCE)
    yield from counts("estimates", samples.family)
    known = _known(rows)
    yield says("| runs that have an estimate | {} |", len(known))
    yield says("larger one of the tolerance and three estimates | {} |", max(map(_allowed, known)))
    beyond = sum(row["error"] > samples.TOLERANCE for row in known)
    yield says("within three estimates | {} |", beyond)
    above = sum(row["estimate"] > samples.TOLERANCE for row in known)
    yield says("| estimates above the tolerance | {} |", above)
    diverged = sum("diverged" in row["ending"] for row in rows.rows)
    infinite = len(rows.rows) - len(known) - diverged
    yield says("it is infinite | {} |", infinite)
    yield says("as by the judge | {} |", diverged)
    shares = sorted(_jumped(row["steps"]) for row in rows.rows)
    yield says(
        "{} % of the steps are jumped over, in the lowest tenth at most {} %",
        100 * median(shares), 100 * shares[len(shares) // 10],
    )  # fmt: skip
    fresh = table("long_runs/fresh.csv")
    programs = {*fresh.column("family")}
    assert len(fresh.rows) == len(programs) * samples.RUNS
    assert any("deep_prior" in name for name in fresh.column("network"))
    known = _known(fresh)
    infinite = [row for row in fresh.rows if math.isinf(row["estimate"])]
    diverged = sum("diverged" in row["ending"] for row in infinite)
    yield says("{} runs of each of {} (`--first 200", samples.RUNS, len(programs))
    yield says(
        "is among them): {}, and {} infinite estimates, {} of them of runs that diverge.",
        max(map(_allowed, known)), len(infinite), diverged,
    )  # fmt: skip
    yield says(
        "below {} of a run's largest value, and below {} of the off-subspace",
        samples.JUDGED, samples.JUDGED,
    )  # fmt: skip


def _with_momentum() -> Iterator[Statement]:
    rows = table("long_runs/momentum.csv")
    yield from counts("momentum", samples.with_memory)
    programs = {*rows.column("family")}
    assert len(rows.rows) == len(programs) * samples.RUNS
    assert {*rows.column("optimizer")} == {"momentum", "nesterov"}
    momenta = sorted(rows.column("momentum"))
    assert 0.5 <= momenta[0] < 0.53
    assert 0.97 < momenta[-1] <= 0.99
    # Of others nothing is known, and so it is said.
    kept = [row for row in rows.rows if not math.isinf(row["estimate"])]
    (late,) = [row for row in kept if " beside " in row["ending"]]
    assert late["ending"] == "diverged 10412 beside diverged 10413"
    known = [row for row in kept if "diverged" not in row["ending"]]
    yield says("{} runs, {} of each of {} programs", len(rows.rows), samples.RUNS, len(programs))
    yield says("| runs that have an estimate | {} |", len(known))
    yield says("larger one of the tolerance and three estimates | {} |", max(map(_allowed, known)))
    beyond = sum(row["error"] > samples.TOLERANCE for row in known)
    yield says("| errors beyond the tolerance | {} |", beyond)
    above = sum(row["estimate"] > samples.TOLERANCE for row in known)
    yield says("| estimates above the tolerance | {} |", above)
    yield says("it is infinite | {} |", len(rows.rows) - len(kept))
    none = [row for row in rows.rows if math.isinf(row["estimate"])]
    other = sum(" beside " in row["ending"] for row in none)
    yield says("end otherwise than by the judge | {} |", other)
    yield says("as by the judge | {} |", len(kept) - len(known) - 1)
    yield says("| one step before it | {} |", 1)
    # The run of which the text tells what its estimates were before, of each walk.
    (deep,) = (row for row in none if row["where"] == "off_subspace_error at 7927")
    assert deep["network"].endswith("deep_linear 6")
    yield says("was wrong by {}, which is {} times what", deep["error"],
               deep["error"] / (samples.ESTIMATES * 5.858e-4))  # fmt: skip
    (edge,) = (row for row in table("long_runs/fresh.csv").rows
               if math.isinf(row["estimate"]) and 0.1 < row["error"] < 0.2)  # fmt: skip
    assert edge["ending"].startswith("finished")
    yield says("and the judge is {} away", edge["error"])
    yield says("real steps alone, all but {},", sum(_jumped(row["steps"]) > 0 for row in none))
    shares = sorted(_jumped(row["steps"]) for row in known)
    yield says(
        "{} % of the steps are jumped over, in the lowest tenth at most {} %",
        100 * median(shares), 100 * shares[len(shares) // 10],
    )  # fmt: skip


def _vanishing() -> Iterator[Statement]:
    file, rows = sweep("vanishing_decay"), table("long_runs/vanishing_decay.csv")
    runs, fewest, most = planned("vanishing_decay")
    decays = rows.where(**{"network.depth": 2}).column("training.weight_decay")
    assert rows.where(**{"network.depth": 3}).column("training.weight_decay") == decays
    yield says(
        "{} networks of depth 2 and 3 with λ from {} down to {}", runs, decays[-1], decays[0]
    )
    rate = file["training"]["learning_rate"]
    yield says("until ηλT = {}: {} to {} steps", rate * decays[0] * most, fewest, most)
    yield says("tolerance of {} at every recorded one (largest estimate {})",
               file["sweep"]["tolerance"], max(rows.column("truncation_error")))  # fmt: skip
    least = [rows.where(**{"network.depth": L, "training.weight_decay": decays[0]}).rows[0]
             for L in (2, 3)]  # fmt: skip
    two, three = (each["steps_taken"] for each in least)
    yield says("median run takes {} (depth 2) and {} (depth 3) steps", two, three)
    yield says("the others, {} and {} times.", *(each["jumps"] for each in least))
    for name, words in (("ratio", "regression error over λ"), ("off", "off-subspace error")):
        middle = [each[name] for each in least]
        cells, values = ["at λ = {} | {} | {} |"] * 3, []
        for decay in (1e-7, 1e-4, 1e-2):
            found = [rows.where(**{"network.depth": L, "training.weight_decay": decay}).rows[0]
                     for L in (2, 3)]  # fmt: skip
            values += [decay, *(each[f"{name}_deviation"] for each in found)]
        yield says(
            f"| {words}, median, λ = {{}} | {{}} | {{}} | | largest deviation of a run from its "
            f"own at {{}}: {' | '.join(cells)}",
            decays[0], *middle, decays[0], *values,
        )  # fmt: skip
    # What is said of orders: corrections per decay of lambda, and none at depth 2.
    for name, depths in (("ratio", [3]), ("off", [2, 3])):
        for L in depths:
            of_depth = rows.where(**{"network.depth": L})
            found = of_depth.column(f"{name}_deviation")
            slopes = [a / b for a, b in zip(found[4:], decays[4:], strict=True)]
            assert max(slopes) < 1.2 * min(slopes)
    assert max(rows.where(**{"network.depth": 2}).column("ratio_deviation")) < 1e-6
    # And of the figure: of three layers it bends at the largest two.
    bends = [each > 2e-3 for each in rows.where(**{"network.depth": 3}).column("ratio_deviation")]
    assert bends == [False] * 6 + [True] * 2


def _once_more() -> Iterator[Statement]:
    rows = {row["what"]: row for row in table("long_runs/figures_again.csv").rows}
    inside, longer = (
        rows["inside all conditions"],
        rows["inside all conditions, smaller weight decay"],
    )
    exact = rows["nearly low rank, exactly so"]
    assert math.isinf(inside["estimate"])
    yield says(
        "| {} inside all conditions of Theorem A.2, beside the dense kernel at every record | {} | "
        "{} | {} | infinite | {} |",
        *(inside[name] for name in ("runs", "steps", "steps taken", "jumps", "deviation")),
    )  # fmt: skip
    names = ("runs", "steps", "steps taken", "jumps", "estimate")
    yield says("| {} of the same with γ = 2e-6 | {} | {} | {} | {} | |",
               *(longer[name] for name in names))  # fmt: skip
    yield says("| {} of open question (d), without a tail, beside their kept last step | {} | {} | "
               "{} | {} | {} |", *(exact[name] for name in names), exact["deviation"])  # fmt: skip
    claims = table("theorem_inside/longer.csv").rows
    held = [row for row in claims if row["satisfied"] + row["violated"] > 0]
    assert all(row["satisfied"] == longer["runs"] for row in held)
    yield says("each of its {} statements", len(held))
    yield says("kernel of up to {} rows", motion.MOST_OUTPUTS)


def _by_decay() -> Iterator[Statement]:
    rows = table("long_runs/jumps_by_decay.csv")
    kinds, cells, found = ("plain", "both"), [], {}
    for row in rows.rows:
        key = row["kind"], row["depth"], row["weight decay"], row["steps"]
        found[key] = row
    whole = sorted({(depth, decay, steps) for _, depth, decay, steps in found if
                    round(steps * decay * RATE) == 12})  # fmt: skip
    for depth, decay, steps in whole:
        cells += [depth, decay]
        for kind in kinds:
            row = found[kind, depth, decay, steps]
            cells += [row["jumps"], row["seconds"]]
    line = f"|{' {} |' * 6}"
    yield says(" ".join([line] * (len(cells) // 6)), *cells)
    # As the text has it: by the cube root, and by nothing.
    ratios = {}
    for depth in (2, 3):
        jumps = {kind: [found[kind, *case]["jumps"] for case in whole if case[0] == depth]
                 for kind in kinds}  # fmt: skip
        assert 1.6 < (jumps["plain"][0] / jumps["plain"][3]) ** (1 / 3) < 2.6
        assert max(jumps["both"]) < 2 * min(jumps["both"])
        for kind in kinds:
            long, short = (found[kind, depth, decay, steps]["seconds"]
                           for decay, steps in ((1e-7, 10**9), (1e-4, 10**6)))  # fmt: skip
            ratios[kind, depth] = long / short
    yield says(
        "at λ = {} beside a million at {} take {} (depth 2) and {} (depth 3) times the processor "
        "seconds, where plain jumps took {} and {} times",
        1e-7, 1e-4, *(ratios[kind, depth] for kind in ("both", "plain") for depth in (2, 3)),
    )  # fmt: skip
    yield says("it are the {} records", sweep("vanishing_decay")["record"]["count"])
    following = table("long_runs/following.csv")
    programs = {*following.column("family")}
    assert len(following.rows) == len(programs) * samples.RUNS
    assert all("deep_linear" in name for name in following.column("network"))
    known = _known(following)
    infinite = sum(math.isinf(row["estimate"]) for row in following.rows)
    yield says("{} runs of {} programs", len(following.rows), len(programs))
    yield says("three estimates: {}; {} have an", max(map(_allowed, known)), infinite)


def _floors() -> Iterator[Statement]:
    rows = table("long_runs/floors.csv")
    found = {row["work"]: row for row in rows.rows}
    times = ("seconds", "seconds again", "clock")
    cells, lines = [], []
    kept, started, within = [], [], []
    for work, steps in (("one run, 1e6 steps", ()), ("one run, 2000 steps", (2000,))):
        for tolerance in ("1e-4", "1e-6"):
            row = found[f"{work}, {tolerance}"]
            words = "{}" if steps else "a million"
            lines.append(f"| one run, {words} steps, to {{}} | {{}} | {{}} | {{}} | {{}} | {{}} |")
            cells += [*steps, float(tolerance), row["floor"], *(row[each] for each in times)]
            cells.append(row["clock in a session"])
            kept.append(row["clock in a session"] / row["floor"])
            started.append(row["clock"] - row["clock in a session"])
            within.append(row["clock"] < row["floor"])
    assert within == [False, True, False, False]
    last = found["one run, 1e6 steps, 1e-6"]
    yield says("keeps that of a million steps to {}, in {} s,", 1e-6, last["clock"])
    yield says("those of one run are kept in a session, in {} to {} of them",
               min(kept), AtMost(max(kept)))  # fmt: skip
    yield says("that starts Python first takes {} to {} s longer", min(started), max(started))
    for depth in (2, 3):
        short, long = (found[f"depth {depth}, {case}"]
                       for case in ("1e+06 steps at 0.0001", "1e+09 steps at 1e-07"))  # fmt: skip
        lines.append(f"| depth {depth}, a million steps at λ = {{}} | | {{}} | {{}} | {{}} | |")
        lines.append(
            f"| depth {depth}, a billion steps at λ = {{}} | twice that | {{}} | {{}} | {{}} | |"
        )
        cells += [1e-4, *(short[each] for each in times), 1e-7, *(long[each] for each in times)]
        assert all(long[each] < 2 * short[each] for each in times)
    for figure in ("Figure 4 whole", "Figure 3 whole"):
        lines.append(f"| {figure} | {{}} | {{}} | {{}} | {{}} | |")
        row = found[figure]
        assert row["clock"] < row["floor"]
        cells += [row["floor"], *(row[each] for each in times)]
    yield says(" ".join(lines), *cells)


def _factorizations() -> Iterator[Statement]:
    rows = table("long_runs/factorizations.csv").rows
    cells, line = [], f"|{' {} |' * 9}"
    for row in rows:
        cells += [row[name] for name in ("depth", "weight decay", "steps", "records", "jumps",
                                         "at first", "again", "dense", "again faster")]  # fmt: skip
    yield says(" ".join([line] * len(rows)), *cells)
    assert not any(row["error"] for row in rows)
    yield says("The dense kernel took {} steps", rows[0]["until"])
    yield says("The largest estimate is {};", max(row["estimate"] for row in rows))
    assert all(row["again faster"] > 20 for row in rows if row["depth"] > 2)
    yield says("and {} times with all that is compiled", rows[0]["times faster at first"])
    first = rows[0]
    step = first["dense"] / first["steps"]
    walked = first["again"] - 2 * first["steps taken"] * step
    yield says("what some {} steps of the dense", round(walked / step / 2 / first["jumps"], -1))
    (whole,) = table("long_runs/factorizations_whole.csv").rows
    assert whole["until"] == whole["steps"] == first["steps"]
    yield says("in {} s: no record differs by more than {}", whole["dense"], whole["error"])
    (four,) = [row for row in rows if row["depth"] == 4]
    yield says("depth 4 took {} real steps", round(four["steps taken"], -1))
    found = table("long_runs/layers.csv")
    programs = sorted({*found.column("family")})
    assert programs == list(range(len(programs)))
    assert len(found.rows) == len(programs) * samples.LAYERED_RUNS
    yield says("--families 11 --csv FILE`: {} random runs, {} of each of {} programs",
               len(found.rows), samples.LAYERED_RUNS, len(programs))  # fmt: skip
    outputs = []
    for number in programs:
        problem = samples.of_layers(number)["problem"]
        names = ("num_rows", "num_columns") if "num_rows" in problem else (
            "signal_dim", "subspace_dim")  # fmt: skip
        outputs.append(problem[names[0]] * problem[names[1]])
    yield says("with {} to {} outputs", min(outputs), max(outputs))
    known = _known(found)
    yield says("| runs that have an estimate | {} |", len(known))
    yield says("larger one of the tolerance and three estimates | {} |", max(map(_allowed, known)))
    yield says("| errors beyond the tolerance | {} |",
               sum(row["error"] > samples.TOLERANCE for row in known))  # fmt: skip
    yield says("| estimates above the tolerance | {} |",
               sum(row["estimate"] > samples.TOLERANCE for row in known))  # fmt: skip
    yield says("more than {} observed entries", motion.MOST_OUTPUTS)


def _beside_a_loop() -> Iterator[Statement]:
    rows = table("long_runs/against_loop.csv").rows
    names = ("width", "seconds", "seconds a step of the loop", "seconds of the loop", "times")
    lines = " ".join(f"| {{}} | {row['way']} | {{}} | {{}} | {{}} | {{}} |" for row in rows)
    yield says(lines, *(row[name] for row in rows for name in names))
    yield says("The floor of {} times is kept by the first", rows[0]["floor"])
    assert rows[0]["times"] > rows[0]["floor"]


def _figure_2() -> Iterator[Statement]:
    rows = table("long_runs/figure_2_times.csv").rows
    names = ("s", "seconds", "dense", "dense over it", "in a session", "dense there",
             "dense over it there", "estimate")  # fmt: skip
    assert {row["trained by"] for row in rows} == {"reduced"}
    lines = " ".join(f"|{' {} |' * len(names)}" for _ in rows)
    yield says(lines, *(row[name] for row in rows for name in names))
    yield says("The floor is {} times", rows[0]["floor"])
    last = rows[-1]
    yield says("of s = {} {} in the one measurement and {} in the other",
               last["s"], last["dense"], last["dense there"])  # fmt: skip
    errors = table("long_runs/figure_2_errors.csv")
    observables = ("regression_error", "off_subspace_error")
    worst = [max(max(row[name] for name in observables) for row in errors.where(s=s).rows)
             for s in (2, 4, 8)]  # fmt: skip
    yield says("at most {} for s = 2, {} for s = 4 and {} for s = 8,", *map(AtMost, worst))
    tolerance = 1e-4
    assert max(worst) < tolerance
    allowed = [
        max(row[name] for name in observables) / max(tolerance, 3 * row["estimate"])
        for row in errors.rows
    ]
    yield says("at most {}. Before", AtMost(max(allowed)))


def _plan() -> Iterator[Statement]:
    rows = table("long_runs/plan_times.csv")
    one, few = (rows.where(**{"walked for": most}) for most in (1.0, 0.3))
    assert len(one.rows) == len(few.rows)
    depths, decays = one.column("depth"), {*one.column("weight decay")} - {0.0}
    yield says("{} runs, of depth {} to {},", len(one.rows), min(depths), max(depths))
    yield says("λ from {} to {} or none", max(decays), min(decays))
    yield says("up to {} steps and {} processor seconds",
               max(one.column("steps")), max(one.column("seconds")))  # fmt: skip
    for words, found in (("for ten) is", one), ("say,", few)):
        ratios = found.column("ratio")
        yield says(f"{words} {{}} to {{}} times", min(ratios), max(ratios))


def _jumped(text: str) -> float:
    """Return the share of a run's steps that were jumped over, of what its outcome says."""
    found = re.match(r"([\d,]+) steps taken, ([\d,]+) in", text)
    assert found
    taken, beyond = (int(part.replace(",", "")) for part in found.groups())
    return beyond / (taken + beyond) if taken + beyond else 0.0


# What runs are counted by.
_OF_RUNS = ("κ of 1, 3 and 10", "of 8, of 16, of 2 to 5", "from 1e-7 to 0.1", "λ = 0 |")
PARTS = [
    Part(f"{GUIDES}/kernels.md", "Time jumps: any number of steps", _front_page),
    Part(FILE, "What the estimates are worth", _estimates, settings=("depth 1 to 6", *_OF_RUNS)),
    Part(FILE, "Where auto tries them", _border),
    Part(
        FILE,
        "Momentum and Nesterov's",
        _with_momentum,
        settings=(
            *_OF_RUNS,
            "of 0.5 to 0.99",
            "8.4e-3, more than 1 %, and 5.9e-4",
            "above 1e-4",
            "within 4e-4",
        ),
    ),
    Part(
        FILE,
        "Weight decay that vanishes",
        _vanishing,
        settings=("Σ^(2/L − 1)", "is nothing at L = 2;", "all seven decades", "Depth 3."),
    ),
    Part(
        FILE,
        "What other kernels made, once more",
        _once_more,
        settings=(
            "to 1e-6",
            "γ = 2e-6",
            "by 5e-6",
            "at step 0, where it is 0",
            "Figures 2, 3 and 4",
            "512 and 1 000 wide",
            "9 to 32 minutes",
            "depth 2 of Figure 3",
            "For s = 4 and more in Figure 2",
            "256 s,",
        ),
    ),
    Part(
        FILE,
        "Jumps where weight decay vanishes",
        _by_decay,
        settings=("λ^(−1/3)", "(h η λ)²", "Medians of 4 networks"),
    ),
    Part(
        FILE,
        "Beside the floors that were set",
        _floors,
        settings=("(L = 3, d_w = 1000)",),
    ),
    Part(
        FILE,
        "Factorizations of many outputs",
        _factorizations,
        settings=(
            "100 by 100 entries",
            "of rank 5,",
            "time jumps to 1e-6",
            "floor of 20 times",
            "of depth 2 to 5",
            "Depth 2 is slower",
        ),
    ),
    Part(
        FILE,
        "Ten million steps beside a loop in PyTorch",
        _beside_a_loop,
        settings=("(L = 3, n = 1000), 10⁷ steps to 1e-4", "50 steps are taken", "of 256 outputs"),
    ),
    Part(
        FILE,
        "Figure 2's sizes beside the dense kernel",
        _figure_2,
        settings=("a run of 30 000 steps to 1e-4", "of 200 and 1 400 steps"),
    ),
    Part(FILE, "What `plan` says of their time", _plan, settings=("first 0.3 s",)),
]
