"""results/kept/README.md."""

from __future__ import annotations

from collections.abc import Iterator

from kept.balance_texts import LONGER
from kept.plans import planned, planned_all
from kept.scripts import script
from kept.tables import table
from kept.text import Part, Statement, says

FILE = "results/kept/README.md"
# The folders whose README says which sweeps are theirs.
LINEAR = ("acceleration_*.toml", "autoencoder_eventually.toml", "completion.toml",
          "linear_*.toml", "low_rank_adaptation.toml", "norms_diverge*.toml", "sensing*.toml",
          "singular_values.toml")  # fmt: skip


def _runs_and_steps() -> Iterator[Statement]:
    for name in ("quickstart", "fig2_subspace_dim", "fig3_depth", "width_scaling",
                 "fig1a_robustness", "fig1b_relu", "conventions", "theorem_inside"):  # fmt: skip
        runs, fewest, most = planned(name)
        assert fewest == most
        yield says(f"| {name} | {{}} | {{}} |", runs, most)
    yield says("| theorem_inside: wide | {} | {} and {} |", *planned("theorem_inside_wide"))
    for name in ("fig4_weight_decay", "theorem_events", "theorem_2_3"):
        yield says(f"| {name} | {{}} | {{}} to {{}} |", *planned(name))
    three = [planned(f"fig{i}_conventions") for i in (2, 3, 4)]
    yield says(
        "conventions: fig2, fig3, fig4 | {}, {}, {} | {}; {}; {} |",
        *(runs for runs, _, _ in three), *(most for _, _, most in three),
    )  # fmt: skip
    yield says("linear_networks: scalar_chains | {} | {} |", *planned("scalar_chains")[:2])
    for folder, patterns in (
        ("open_questions", ["open_*.toml"]), ("deep_prior", ["prior_*.toml"]),
        ("linear_networks", LINEAR),
        ("classification", ("max_margin.toml", "neural_collapse.toml", "grokking*.toml")),
        ("feature_learning", ("sparse_recovery*.toml", "diagonal_map.toml", "lazy_rich.toml",
                              "get_rich_quick.toml")),
    ):  # fmt: skip
        found = planned_all(*patterns)
        runs = [n for n, _, _ in found]
        yield says(
            f"| {folder} | {{}} to {{}} each | up to {{}}",
            min(runs), max(runs), max(most for _, _, most in found),
        )  # fmt: skip
    (most,) = set(table("open_questions/best_weight_decay_long.csv").column("step"))
    yield says("100 000, and once {} |", most)
    five = [planned(name) for name in
            ("stability_boundary", "enough_seeds", "random_search", "random_points",
             "stability_limit")]  # fmt: skip
    ended = [planned(name) for name in ("early_stopping", "patience")]
    assert ended[0] == ended[1]
    yield says(
        "| asking | {} and {}, and more by rounds; {}; {}; {}; {} twice | {}; {}; {}; {}; {}; {} |",
        *(runs for runs, _, _ in (*five, ended[0])), *(most for _, _, most in (*five, ended[0])),
    )  # fmt: skip
    runs, steps, _ = planned("balance")
    yield says("| balance | {} | {}; {} |", runs, steps, LONGER)
    yield says("| warm_start | {} | {} |", *planned("warm_start")[:2])
    yield says("| attention | {} | {} |", *planned("attention_plateaus")[:2])
    yield says("| long_runs | {} | {} to {} |", *planned("vanishing_decay"))
    one, other = planned("scaling_law"), planned("mup_transfer")
    yield says("| scaling | {}; {} | {}; {} |", one[0], other[0], one[1], other[1])
    found = [planned(name) for name in ("soft_committee", "relu_minima", "one_pass")]
    runs, most = [n for n, _, _ in found], [steps for _, _, steps in found]
    more = planned("width_limits")
    yield says("| population | {}; {}; {}; {} | up to {}; {}; {}; {} |", *runs, more[0], *most,
               more[2])  # fmt: skip
    one, other = planned("high_dimensional_teacher"), planned("cifar_shape")
    yield says("| reduced_inputs | {}; {} | {}; {} |", one[0], other[0], one[2], other[2])
    found = planned_all("edge_of_stability*.toml", "flat_minima.toml")
    runs, most = [n for n, _, _ in found], max(steps for _, _, steps in found)
    yield says("| networks | {} to {} each | up to {} |", min(runs), max(runs), most)
    yield says("| networks: two_by_two | {} | {} |", *planned("two_by_two")[:2])
    hand = table("speed/own_network.csv").one("beside ours", peer="jit(vmap(scan)) by hand")
    yield says("written by hand, which takes {} times as long", hand)
    small = table("speed/small_networks.csv")
    hand, torch, beside, peak = (
        small.column(name)
        for name in ("by hand / simd", "PyTorch / simd", "otherwise / simd", "share of the peak")
    )
    yield says("by hand, which takes {} to {} times as long,", min(hand), max(hand))
    yield says("a PyTorch loop over the steps of all runs, {} to {} times,", min(torch), max(torch))
    yield says("what trains them otherwise, {} to {} times", min(beside), max(beside))
    yield says("they reach {} to {} of the cores' peak", min(peak), max(peak))
    sweep = script("million").document(10**6)["sweep"]
    yield says("| scale | {} planned,", script("million").DECAYS * sweep["seeds"])


PARTS = [
    Part(
        FILE,
        "",
        _runs_and_steps,
        settings=("--set record.count=30 --set sweep.seeds=2",),
    )
]
