"""results/kept/reduced_inputs/README.md."""

from __future__ import annotations

from collections.abc import Iterator

import span_samples as samples

from dlnsweep.problems.teacher import TeacherSettings
from kept.numbers import AtMost
from kept.plans import planned
from kept.tables import sweep, table
from kept.text import GUIDES, Part, Statement, says

FILE = "results/kept/reduced_inputs/README.md"


def _beside() -> Iterator[Statement]:
    runs = table("reduced_inputs/random_runs.csv")
    families, settings = len(set(runs.column("family"))), len(runs.rows)
    assert set(runs.column("endings")) == {"finished", "finished; diverged"}
    assert runs.column("endings").count("finished; diverged") == 1
    assert settings == samples.SETS * families
    assert samples.SETS == samples.SEEDS == 5
    yield says(
        "{} random runs ({} settings, of {} programs a way with five sets of numbers each, and "
        "five seeds", samples.SEEDS * settings, settings, families,
    )  # fmt: skip
    yield says(
        "is {} off over {} steps, relative to the largest value of its run; allowed were {}.",
        AtMost(max(runs.column("deviation"))), samples.STEPS, samples.ALLOWED,
    )  # fmt: skip
    cells, steps = [], table("reduced_inputs/steps.csv")
    for row in steps.rows:
        ratio = row["generic, ms"] / row["reduced_inputs, ms"]
        assert abs(ratio / row["times faster"] - 1) < 1e-2
        cells += [row["d"], row["n"], row["k"], row["times faster"]]
    lines = [f"| {{}} | {{}} | {{}} | {name} | {{}} |" for name in steps.column("activation")]
    yield says(" ".join(lines), *cells)
    last = steps.rows[-1]
    yield says("d / n times faster, {} in the last two lines", last["d"] / last["n"])
    law = table("reduced_inputs/law.csv")
    assert law.column("d") == [1e2, 1e12]
    yield says("takes {} times as long at d = 10¹²", law.one("beside", d=1e12))


def _neuron() -> Iterator[Statement]:
    rows, file = (
        table("reduced_inputs/high_dimensional_teacher.csv"),
        sweep("high_dimensional_teacher"),
    )
    runs, *_ = planned("high_dimensional_teacher")
    assert runs == sum(rows.column("num_runs"))
    dims = file["problem"]["measurement_dim"]
    assert [d // 2 for d in dims] == file["problem"]["num_samples"]
    width = file["network"]["width"]
    yield says(
        "{} runs in a minute: n = d / 2 samples by their law, d = {} to {}, networks of {} neurons",
        runs, dims[0], dims[-1], width,
    )  # fmt: skip
    every = rows.where(trained_layers="all")
    yield says("training errors of at most {})", AtMost(max(every.column("training_error"))))
    lazy, rich = (every.where(richness=g).by("measurement_dim", "test_error") for g in (0.05, 10))
    yield says(
        "{} to {} lazy (γ = {}), {} to {} rich (γ = {})", lazy[32], lazy[512], 0.05, rich[32],
        rich[512], 10,
    )  # fmt: skip
    assert file["sweep"]["block"][0]["network"]["richness"] == [10.0, 0.05]
    last = rows.where(trained_layers="last")
    peak = max(last.column("test_error"))
    place = last.one("num_samples", test_error=peak)
    assert place == width
    fitted = last.by("num_samples", "training_error")
    assert all((error < 0.01) == (n < width) for n, error in fitted.items())
    yield says("has its peak, {}, where there are as many, n = {}", peak, place)


def _shape() -> Iterator[Statement]:
    file = sweep("cifar_shape")
    problem = file["problem"]
    runs, steps, *_ = planned("cifar_shape")
    assert (runs, problem["num_classes"]) == (4, 10)
    yield says(
        "{} samples of {} inputs, {} steps", problem["num_samples"], problem["measurement_dim"],
        steps,
    )  # fmt: skip


def _front_page() -> Iterator[Statement]:
    most = TeacherSettings.model_fields["measurement_dim"].metadata
    assert any(getattr(each, "le", None) == 10**15 for each in most)
    runs, steps = table("reduced_inputs/random_runs.csv"), table("reduced_inputs/steps.csv")
    settings = len(runs.rows)
    yield says("In {} random runs of {} settings", samples.SEEDS * settings, settings)
    yield says("within {} of the generic way's", AtMost(max(runs.column("deviation"))))
    ratios = steps.where(n=1000).column("times faster")
    yield says("takes {} (tanh) and {} (relu) times less", *ratios)


PARTS = [
    Part(
        f"{GUIDES}/kernels.md",
        "More inputs than samples",
        _front_page,
        settings=("thousand images of 3072 inputs",),
    ),
    Part(
        FILE,
        "Beside the generic way",
        _beside,
        settings=("(n = 40, k = 50): a step", "as at d = 100", "medians of 25 turns"),
    ),
    Part(FILE, "One ReLU neuron of many inputs", _neuron),
    Part(FILE, "Data of the shape of CIFAR", _shape),
]
