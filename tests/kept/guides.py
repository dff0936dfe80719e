"""The guides: what is neither a figure of the paper nor a kernel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import log2
from typing import Any, get_args

from dlnsweep import errors
from dlnsweep.analysis import transitions
from dlnsweep.cli import app as cli
from dlnsweep.cli import outermost
from dlnsweep.execution import checkpoint, folders
from dlnsweep.networks.layered import kind as layered
from dlnsweep.networks.layered.kind import Depth
from dlnsweep.numerics import compile_cache, krylov
from dlnsweep.problems import arrays
from dlnsweep.settings.sections import SweepSettings
from dlnsweep.settings.sizes import SIZES
from dlnsweep.settings.training import TrainingSettings
from dlnsweep.spec import file as sweepfile
from dlnsweep.store import bounds
from kept.numbers import AtLeast, AtMost
from kept.plans import planned
from kept.scripts import script, stated
from kept.tables import sweep, table
from kept.text import GUIDES, ROOT, Part, Statement, says

CHOOSING = f"{GUIDES}/choosing.md"
TRAIN = "tests/single/test_train.py"
MIB = 2**20
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def bounds_of(annotated: Any) -> tuple[int, int]:
    """Return the least and the largest value of a setting."""
    _, field = get_args(annotated)
    least, largest = field.metadata
    return least.ge, largest.le


def _commands() -> Iterator[Statement]:
    yield says("with a {} % interval by sign tests", 100 * transitions.LEVEL)


def _folders() -> Iterator[Statement]:
    yield says("nor are more than {} folders", folders._MOST_FOLDERS)


def _stopping() -> Iterator[Statement]:
    yield says("from its checkpoint (every {} minutes,", checkpoint.DEFAULT_SECONDS / 60)


def _statuses() -> Iterator[Statement]:
    for words, status in (
        ("{} the sweep file or an option is wrong,", errors.SpecError.exit_status),
        ("{} the results folder cannot be used,", errors.StoreError.exit_status),
        ("{} batches failed,", errors.RunError.exit_status),
        ("{} what a command had to say", cli._NOT_SAID),
        ("{} a figure could not be drawn", errors.FigureError.exit_status),
        ("{} a bug (", outermost.BUG_STATUS),
        ("{} stopped, by whichever", errors.Interrupted.exit_status),
    ):
        yield says(words, status)


def _depths() -> Iterator[Statement]:
    yield says("`deep_linear` of any depth >= {},", bounds_of(Depth)[0])


def _observables() -> Iterator[Statement]:
    yield says("by Lanczos to {};", krylov.TOLERANCES["float64"])


def _own_data() -> Iterator[Statement]:
    yield says("{} GiB of arrays", arrays._LARGEST_BYTES / 2**30)


def _two_papers() -> Iterator[Statement]:
    prior = sweep("prior_success_km")
    success, stop = prior["figure"]["success"], prior["training"]["stop_when"]
    assert success == stop
    assert success["observable"] == "loss"
    yield says(
        "{} networks a cell, success is a loss below {} within {} steps",
        prior["sweep"]["seeds"], success["below"], prior["training"]["num_steps"],
    )  # fmt: skip
    completion, sensing = sweep("completion")["problem"], sweep("sensing")["problem"]
    observed = completion["num_observed"]
    assert observed == sensing["num_measurements"]
    yield says(
        "{} × {} matrices of rank {}, of which {} or {} entries are observed",
        completion["num_rows"], completion["num_columns"], completion["rank"], *observed,
    )  # fmt: skip
    yield says("depth 3 and 4 recover the matrix from {} entries where", observed[0])
    yield says("The same from {} and {} Gaussian measurements", *observed)
    # As said: depth 3 and 4 recover from the fewer ones, depth 2 does not.
    for name in ("completion", "sensing"):
        few = table(f"linear_networks/{name}.csv").where(**{
            "num_observed" if name == "completion" else "num_measurements": observed[0]
        })  # fmt: skip
        error = "reconstruction_error_median"
        assert max(few.where(depth=[3, 4]).column(error)) < 1e-2
        assert min(few.where(depth=2).column(error)) > 1e-2


def _questions() -> Iterator[Statement]:
    seeds = [sweep(path.stem)["sweep"]["seeds"] for path in (ROOT / "sweeps").glob("open_*.toml")]
    yield says("at least {} seeds a point", AtLeast(min(seeds)))


def _machines() -> Iterator[Statement]:
    yield says("(at most {} MiB);", compile_cache.MAX_BYTES // MIB)
    runs = 10**6
    rows = runs * script("million").document(runs)["record"]["count"]
    yield says("at {} runs and {} rows.", runs, rows)


def _survival() -> Iterator[Statement]:
    for row in table("survival/survival.csv").rows:
        # Numbers that stand alone, not those of float32 and USR1.
        note, number = str(row["note"]), r"\b\d+(?:\.\d+)?\b"
        values = [float(found) for found in re.findall(number, note)]
        yield says(
            f"| {row['promise']} | {{}} | {{}} | {re.sub(number, '{}', note)} |",
            row["tries"], row["losses"], *values,
        )  # fmt: skip
    damaged = table("survival/fuzz.csv")
    each = damaged.by("command", "tries")
    yield says(
        f"never a traceback, a hang, {{}} s of a core or {{}} GB | {{}} | {{}} | "
        f"{', '.join(f'{name} {{}}' for name in each)}; the slowest took {{}} s, "
        "the largest {} GB;",
        20, 1, sum(each.values()), sum(damaged.column("losses")), *each.values(),
        max(damaged.column("slowest")), max(damaged.column("largest_gb")),
    )  # fmt: skip


def _beside_peers() -> Iterator[Statement]:
    lines: list[str] = []
    holes: list[Any] = []
    tables = [table(f"speed/field_networks{of}.csv").rows for of in ("", "_jax_0_12")]
    peers = script("field_networks").PEERS
    for older, newer in zip(*tables, strict=True):
        assert older["step"] == newer["step"]
        # The name of a network has its sizes, which are those of the table.
        network, number = str(older["step"]), r"\b\d+\b"
        holes += [int(found) for found in re.findall(number, network)]
        for row, name, jax in ((older, re.sub(number, "{}", network), "0.10"), (newer, "", "0.12")):
            lines.append(f"| {name} | `{jax}` | {{}} | {{}} | {{}} | {{}} |".replace("|  |", "| |"))
            holes += [AtLeast(row[f"{who} / ours"]) for who in peers]
    yield says("\n".join(lines), *holes)
    ours, by_hand = (
        [newer[who] / older[who] for older, newer in zip(*tables, strict=True)]
        for who in ("ours", peers[0])
    )
    yield says(
        "take as long by both, to {} %:", AtMost(100 * max(abs(ratio - 1) for ratio in ours))
    )
    ways = ["simd", "simd_samples", "simd_samples", "simd_samples", "simd"]
    assert all([row["way"] for row in rows] == ways for rows in tables)
    less = [100 * (1 - share) for share in by_hand]
    fewer = [less[row] for row in (0, 1, 3)]
    yield says("take {} to {} % less by jax", min(fewer), max(fewer))
    yield says("nearer there, {} % less in the third and {} % more in the last", less[2], -less[4])
    floors = [case[0].target for case in script("field_networks").cases()]
    yield says("Floors of {}, {}, {}, {} and {} times were set", *floors)
    older, newer = (
        [row[f"{peers[0]} / ours"] >= floor for row, floor in zip(rows, floors, strict=True)]
        for rows in tables
    )
    assert all(older)
    assert newer == [True, True, True, False, True]


def _at_the_peak() -> Iterator[Statement]:
    rows = table("speed/peak.csv").rows
    by_hand = table("speed/field_networks_jax_0_12.csv").by(
        "step", script("field_networks").PEERS[0]
    )
    inner = [row for row in rows if row["its products, us"] == row["its products, us"]]
    # The second, third and fourth of the table.
    assert inner == rows[1:4]
    double, single = (inner[place]["a large product, Gflop/s"] for place in (0, -1))
    least, own = ([row[f"{who}, us"] for row in inner] for who in ("at the peak", "its products"))
    yield says(
        "a large product goes at {} Gflop/s a core in float64 and {} in float32", double, single
    )
    yield says("fourth row would take {}, {} and {} µs of a core", *least)
    yield says("products of matrices take {}, {} and {} by XLA", *own)
    for words, times in (("more than {}, {} and {} times as fast", least),
                         ("with XLA's products, than {}, {} and {} times", own)):  # fmt: skip
        # By the clock on two cores what a core takes counts half.
        limits = [2 * by_hand[row["step"]] / time for row, time in zip(inner, times, strict=True)]
        yield says(words, *limits)
    ours = table("speed/field_networks_jax_0_12.csv").by("step", "ours")
    taken = [2 * ours[row["step"]] / time for row, time in zip(inner, least, strict=True)]
    yield says("ours take {}, {} and {} times as long as the products", *taken)
    floor = script("field_networks").cases()[3][0].target
    assert limits[-1] < 2 * by_hand[inner[-1]["step"]] / least[-1] < floor
    yield says("the floor of {} that was set for the fourth", floor)


def _step_settings() -> Iterator[Statement]:
    bench = script("step_settings")
    sizes = [(samples, precision) for samples, precision, _ in bench.SIZES]
    own = [table("speed/step_settings.csv", samples=n, precision=p) for n, p in sizes]
    times = [each.by("setting", "a step") for each in own]
    ratios = [each.by("setting", "beside none") for each in own]
    assert [list(each) for each in ratios] == [list(bench.CASES)] * len(sizes)
    made = bench.document(*bench.SIZES[0], {})
    yield says(
        "tanh network of width {}, {} inputs and {} outputs by the generic way",
        made["network"]["width"], made["problem"]["measurement_dim"],
        made["problem"]["signal_dim"],
    )  # fmt: skip
    head = [word for n, p in sizes for word in (f"{{}} samples, {p}", "|")][:-1]
    yield says(" ".join(head), *(n for n, _ in sizes))
    row = " | {}" * len(sizes)
    yield says("the plain step" + row.replace("{}", "{} µs"), *(each["none"] for each in times))
    for name, words in {
        "ema_decay": "`ema_decay`",
        "clip_norm": "`clip_norm`",
        "sam_radius": "`sam_radius`, a second gradient",
        "label_noise": "`label_noise`, a random number for each target",
    }.items():
        yield says(f"with {words}{row}", *(each[name] for each in ratios))
    few = ("schedule", "warmup_steps", "learning_rate_factors", "weight_decay_factors")
    most = [AtMost(max(each[name] for name in few)) for each in ratios]
    yield says(f"or factors a layer, at most{row}", *most)


def _speed() -> Iterator[Statement]:
    alone = table("speed/before_after.csv").by("what", "now")
    milli, micro = 1e3, 1e6
    for words, width, unit in (
        ("d_w = 1000, L = 3 | {} ms in float32, {} ms in float64", 1000, milli),
        ("d_w = 100 | {} µs in float32, {} µs in float64", 100, micro),
    ):
        steps = [alone[f"a step, d_w={width}, L=3, {kind}"] for kind in ("float32", "float64")]
        yield says(words, *(unit * seconds for seconds in steps))
    yield says("d_w = 16, L = 2 | {} µs in float64", micro * alone["a step, d_w=16, L=2, float64"])
    runs, steps = 2, 200_000
    yield says(
        "of two runs of {} steps with their drawing, pilots and rehearsals | {} µs |",
        steps, micro * alone["training, 2 runs, reduced"] / (runs * steps),
    )  # fmt: skip
    yield says("with their files | {} s |", alone["4 000 tiny runs with their files"])
    plan = {row["job"]: row for row in table("scale/million.csv").rows}["plan"]
    yield says("| {} s, {} GB |", plan["seconds"], plan["gigabytes"])

    def peer(name: str, who: str, ours: str, time: str, column: str = "who") -> AtLeast:
        times = table(f"speed/{name}.csv").by(column, time)
        return AtLeast(times[who] / times[ours])

    row, run_step, mine = "microseconds a run-step", "µs a run-step", "ours: one process a core"
    yield says("on 4 reduced samples | {} times |",
               peer("sixteen_runs", "jit(vmap(scan)), 4 samples", mine, row, "way"))  # fmt: skip
    yield says("matrix_completion.csv)) | `jit(vmap(scan))` over all | {} times |",
               peer("matrix_completion", "jit(vmap(scan))", mine, row, "way"))  # fmt: skip
    reduced = table("speed/reduced.csv").by("tolerance", "PyTorch / ours")
    document = script("reduced")._document(3, steps, [0], 1e-4)
    yield says(
        "d_w = {}, L = 3, n = {}, of four runs of {} steps with their drawing and pilots, "
        "tolerance {} ([reduced]",
        document["network"]["width"], document["problem"]["num_samples"], steps,
        document["sweep"]["tolerance"],
    )  # fmt: skip
    yield says("PyTorch loop on all samples | {} times |", AtLeast(reduced[1e-4]))
    yield says("the same, tolerance {} | | {} times |", 1e-6, AtLeast(reduced[1e-6]))
    # The better of the loops, beside all cores.
    per_step = "microseconds a network and step"
    loops = [peer("deep_prior", f"loop, {threads}", "ours, 2 cores", per_step)
             for threads in ("one thread", "2 threads")]  # fmt: skip
    yield says("network by network | {} times |", min(loops, key=lambda ratio: ratio.value))
    yield says("PyTorch loop, run by run | {} times |",
               peer("factorization", "PyTorch loop", "ours", run_step))  # fmt: skip
    yield says("`torch.func` over all 12 | {} times |",
               peer("factorization", "torch.func", "ours", run_step))  # fmt: skip
    yield says("NumPy, a process a core | {} times |",
               peer("two_layer", "NumPy pool", "ours", "microseconds"))  # fmt: skip
    beside = table("speed/own_network.csv").by("peer", "beside ours")
    by_hand, loop = AtLeast(beside["jit(vmap(scan)) by hand"]), AtLeast(beside["PyTorch loop"])
    yield says("own_network.csv)) | `jit(vmap(scan))` by hand | {} times |", by_hand)
    yield says("| | PyTorch loop over its networks | {} times |", loop)
    runs, steps, most = planned("two_layer")
    assert steps == most
    yield says("a grid of {} networks and {} steps", runs, steps)
    small = table("speed/small_networks.csv")
    hand, torch = (small.by("step", f"{peer} / simd") for peer in ("by hand", "PyTorch"))
    yield says("of depth 3, {}×{}, five samples, {} runs", 5, 5, script("small_networks").RUNS)
    words = "`jit(vmap(scan))` by hand | {} times |\n| | PyTorch, all runs at once | {} times |"
    for row, before, numbers in (
        ("linear, depth 3, 5 x 5, n = 5", "small_networks.csv)) | ", ()),
        ("linear, depth 10, 5 x 5, n = 5", "| the same, depth {} | ", (10,)),
        ("relu, d = 10, k = 16, n = 20", "width {}, {} samples, likewise | ", (16, 20)),
    ):
        yield says(before + words, *numbers, AtLeast(hand[row]), AtLeast(torch[row]))
    yield from _beside_peers()
    yield from _at_the_peak()
    products, by_rows, tanh, _, own, theirs, large = table("speed/step_parts.csv").rows
    assert own["what"].startswith("ours")
    assert theirs["what"].startswith("jit(vmap(scan))")
    yield says(
        "of {} µs that a run-step takes on a core, its two products with the samples take {} by "
        "rows of samples, as its are made ({} Gflop/s; a large\nproduct by the same library: {}), "
        "and the `tanh` between them {}. As one writes them the products take {} ({} Gflop/s), and "
        "`jit(vmap(scan))` takes {} of all",
        own["us"], by_rows["us"], by_rows["Gflop/s"], large["Gflop/s"], tanh["us"], products["us"],
        products["Gflop/s"], theirs["us"],
    )  # fmt: skip
    sharp, bench = table("speed/sharpness.csv", precision="float64"), script("sharpness")
    generic, vectors = (
        {
            row["samples"]: 100 * row["share of 10^5 steps"]
            for row in sharp.rows
            if row["kernel"] == k
        }
        for k in ("generic", "simd_samples")
    )
    yield says(
        "{} of them add {} % to 10⁵ steps of a tanh network of width 64 on {} samples, "
        "{} % on {}, by the generic way",
        bench._RECORDS, generic[20], 20, generic[200], 200,
    )  # fmt: skip
    yield says("they add {} % on {} samples, {} % on {} (float64",
               vectors[20], 20, vectors[200], 200)  # fmt: skip
    yield says("At most {} % was asked for", 100 * bench._MOST)
    yield from _step_settings()
    small, paper, single = table("speed/tangent_kernel.csv").rows
    bench = script("tangent_kernel")
    assert bench.CORES == 2
    names = ("kernel distance, ms", "by derivatives, ms", "hours")
    yield says("with the paper's {} runs, {} steps and {} records, at",
               bench.RUNS, bench.STEPS, bench.RECORDS)  # fmt: skip
    yield says(
        "({} samples of {} inputs) that is\n{} ms a record, {} ms by the derivatives of all "
        "outputs, and {} hours of two cores for all",
        small["samples"], small["inputs"], *(small[name] for name in names),
    )  # fmt: skip
    yield says(
        "at the paper's size ({} samples of {} inputs) {} ms, {} ms, and {} hours,",
        paper["samples"], paper["inputs"], *(paper[name] for name in names),
    )  # fmt: skip
    share = paper["its products, us"] / paper["step, us"]
    yield says("and {} % of a step\nare its two products", 100 * share)
    alone = paper["its products, us"] * 1e-6 * bench.RUNS * bench.STEPS / bench.CORES / 3600
    yield says("would take less than {} hours. In float32 all of it takes {} hours",
               alone, single["hours"])  # fmt: skip
    (took,) = table("feature_learning/get_rich_quick_times.csv").rows
    assert took["runs"] == bench.RUNS
    whole = took["seconds"] / bench.CORES / 3600
    yield says("with all its files, {} hours", whole)
    assert single["precision"] == "float32"
    assert single["samples"] == paper["samples"]
    large, bench = table("speed/population.csv", d=100_000), script("population")
    yield says("of {} ReLU neurons and a teacher of {} on", bench.K, bench.M)
    yield says("expected loss, {} inputs, one run", 100_000)
    yield says("`jit(value_and_grad)` by hand | {} times |", large.column("ratio")[0])


def _foundations() -> Iterator[Statement]:
    # Of numbers of size 1 in float32: the last place, and half of it, in which a sum is lost.
    unit = 2.0**-24
    yield says("errors agree with float64 to some {} of ‖X‖", unit)
    power = str(int(log2(layered.COARSE_DECAY))).translate(_RAISED)
    yield says(f"only below ηλ = 2{power}; above, plateaus agree to {{}} √(d_w/8) / (ηλ)", unit / 2)
    single, double = SIZES["float32"], SIZES["float64"]
    yield says("norms from {} to {} in float32 and from {} to {} in float64;", *single, *double)
    factor = TrainingSettings.model_fields["divergence_factor"].default
    yield says("`training.divergence_factor` (default {})", factor)
    depths = [len(dims) - 1 for dims, _, _ in stated(TRAIN, "SHAPES")]
    yield says(
        "of depth {} to {} (dense kernel) agree to {} relative",
        min(depths), max(depths), stated(TRAIN, "AGREEMENT"),
    )  # fmt: skip
    yield says("W_1(0)P⊥ holds to {}.", stated(TRAIN, "EXACT"))


def _refused() -> Iterator[Statement]:
    yield says(
        "refused above {} KiB, {} KiB a line or {} million runs;",
        sweepfile.LARGEST_FILE // 1024, sweepfile.LONGEST_LINE // 1024,
        SweepSettings.model_fields["max_runs"].default // 10**6,
    )  # fmt: skip
    yield says("at most {} times its file's size (or {} MiB);",
               bounds._LARGEST_RATIO, bounds._FREE_BYTES // MIB)  # fmt: skip


PARTS = [
    Part(
        f"{GUIDES}/sweep_files.md",
        "Enough seeds",
        settings=("with a probability of 95 % or more",),
    ),
    Part(
        f"{GUIDES}/commands.md",
        "Commands",
        _commands,
        settings=("95 % intervals by Student", "the order 1/width is checked"),
    ),
    Part(f"{GUIDES}/commands.md", "Stopping and going on", _stopping),
    Part(f"{GUIDES}/tables.md", "What lies where", _folders),
    Part(
        f"{GUIDES}/commands.md",
        "Exit status",
        _statuses,
        settings=("0 all well, 1 `compare` found a deviation",),
    ),
    Part(CHOOSING, "Problems", settings=("two classes, 1 and -1, of",)),
    Part(CHOOSING, "Networks", _depths),
    Part(CHOOSING, "Training", settings=("(c/2)‖", "(λ/2)Σ")),
    Part(CHOOSING, "Observables", _observables),
    Part(
        CHOOSING,
        "Networks in pure functions",
        settings=("W_1 y)) / γ", "(I + W_1) A y", "Table 3"),
    ),
    Part(CHOOSING, "Schedules, noise and sharpness-aware steps", settings=("et al. 2021",)),
    Part(f"{GUIDES}/own_problems.md", "Your own data", _own_data, settings=("of CIFAR-5k",)),
    Part(f"{GUIDES}/papers.md", "Two more papers", _two_papers),
    Part(f"{GUIDES}/papers.md", "Questions that the paper leaves open", _questions),
    Part(
        f"{GUIDES}/own_networks.md",
        "A network in pure functions",
        settings=("(λ/2)", "`divergence_factor`²", 'version="1"'),
    ),
    Part(f"{GUIDES}/clusters.md", "Ways to compute a sweep", _machines),
    Part(f"{GUIDES}/trust.md", "What survives", _survival),
    Part(
        f"{GUIDES}/speed.md",
        "Tables",
        _speed,
        settings=(
            "(d = 64, m = 32, s = 4, n = 1000;",
            "dense kernel, d_w = 1000, L = 3 |",
            "the same, d_w = 100 |",
            "the same, d_w = 16, L = 2 |",
            "reduced kernel, d_w = 400, L = 3, tolerance 1e-4",
            "| 4 000 tiny runs (d_w = 16, L = 2, 100 steps)",
            "16 runs, d_w = 1000, L = 3, float32",
            "on 4 reduced samples",
            "12 runs, three 100×100 matrices",
            "k = 200, n = 60, m = 10, d = 500, 50 networks a cell",
            "matrix completion, 100×100, depth 3, 12 runs",
            "over all 12 |",
            "width 50, n = 1000, 100 inputs",
            "own, 32 runs",
            "at d_w = 1000 the memory traffic",
            "at 100×100 and rank 100",
            "at d_w = 16 dispatch",
        ),
    ),
    Part(
        f"{GUIDES}/trust.md",
        "Arithmetic, identity, divergence",
        _foundations,
        settings=('"weights/2"', "diverged at step 0", "its value at step 0"),
    ),
    Part(f"{GUIDES}/design.md", "The house", settings=("f_{j-1}",)),
    Part(f"{GUIDES}/trust.md", "Security", _refused, settings=("mode 0700", "127.0.0.1")),
]
