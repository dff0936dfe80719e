"""Which two kernels are compared on a sweep's runs, and why they cannot be, as sentences."""

from __future__ import annotations

from collections.abc import Sequence

from dlnsweep.contracts.network import BY_DEFINITION, BY_VECTORS, REDUCED_INPUTS, network_of
from dlnsweep.contracts.optimizer import OPTIMIZERS
from dlnsweep.contracts.problem import is_by_law
from dlnsweep.errors import SpecError
from dlnsweep.execution.comparison import AS_AUTO, AS_JUMPS
from dlnsweep.execution.ways import auto_jumps
from dlnsweep.execution.ways.auto_kernel import of_new, settings_in
from dlnsweep.networks.layered.reducible import reasons_not_reduced
from dlnsweep.plan.plan import Plan
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.settings.sentences import show
from dlnsweep.settings.training import GENERIC_ONLY
from dlnsweep.settings.warm_start import WARM_START
from dlnsweep.spec.spans import check_spans
from dlnsweep.spec.warm_start import NOT_BY

# What judges a kernel if nothing else is asked for.
JUDGES = {"reduced": "dense"} | dict.fromkeys(
    ("dense", *BY_VECTORS, "jumps", REDUCED_INPUTS, AS_AUTO, AS_JUMPS), "generic"
)


def choose_kernels(
    plan: Plan, chosen: Sequence[int], kernel: str = "", judge: str = ""
) -> tuple[str, str]:
    """Return the kernel to look at and its judge.

    Args:
        plan: The sweep's plan.
        chosen: Rows of its run table.
        kernel: One of `JUDGES`. Empty: the one that `sweep.kernel` names; for
            "auto" the one that it takes in a new folder: time jumps where it tries them on one of
            the runs (`AS_JUMPS`), else the reduced one where it tries that on one,
            vector instructions where it has them (`AS_AUTO`), else the dense one.
        judge: "dense" or "generic". Empty: the dense kernel for the reduced one, the generic way
            for the others.

    Raises:
        SpecError: If one of them cannot train one of the runs; with a sentence for each reason,
            which also says what to do.
    """
    rows = [plan.row(i) for i in chosen]
    asked = network_of(rows[0]).kernel_of(rows[0])
    if not kernel and asked == "generic" and "dense" in network_of(rows[0]).kernels:
        raise SpecError(
            'there is nothing to compare: sweep.kernel is "generic", which is the judge; look at '
            "another kernel with --kernel dense."
        )
    if not kernel:
        kernel = asked if asked in JUDGES else _taken_by_auto(plan, chosen)
    judge = judge or JUDGES[kernel]
    if judge == kernel:
        raise SpecError(f"the {kernel} kernel cannot judge itself; take --judge generic.")
    problems = [sentence for row in rows for sentence in _problems(row, kernel, judge)]
    if problems:
        raise SpecError(*dict.fromkeys(problems))
    return kernel, judge


def _taken_by_auto(plan: Plan, chosen: Sequence[int]) -> str:
    """Return the kernel that "auto" takes for some runs in a folder that is begun here now."""
    rows = [plan.row(i) for i in chosen]
    widths = [plan.program_widths[plan.programs[i]] for i in chosen]
    each = list(zip(rows, widths, strict=True))
    if auto_jumps.of_new(plan) and any(auto_jumps.gradients_allowed(*one) for one in each):
        return AS_JUMPS
    if any(not network_of(row).why_full(row, width) for row, width in each):
        return "dense" if any(map(_why_not_reducible, rows)) else "reduced"
    told = settings_in(of_new(plan))
    by_vectors = any(network_of(row).takes_vectors(row | told, width) for row, width in each)
    return AS_AUTO if by_vectors else "dense"


def _problems(row: RunSettings, kernel: str, judge: str) -> list[str]:
    """Return why two kernels cannot be compared on a run; each reason by itself."""
    network = network_of(row)
    kind = f"network.kind = {show(network.kind)}"
    if kernel == AS_AUTO:
        # Of which steps they are.
        kernel = "dense" if network.has_own_kernel else "simd"
    if kernel == AS_JUMPS:
        kernel = "jumps"
    if "dense" not in network.kernels and kernel not in BY_DEFINITION:
        return [f"there is nothing to compare: {kind} is trained by the generic way alone."]
    if judge not in network.kernels:
        return [
            f"there is nothing to compare: {kind} follows no gradient alone, so the generic way "
            "cannot train it."
        ]
    if kernel == REDUCED_INPUTS and kernel not in network.kernels:
        return [
            f"there is nothing to compare: {kind} says of no layer that it is all that inputs "
            f"meet, so the {kernel} kernel cannot train it."
        ]
    if kernel not in (*network.kernels, "reduced"):
        return [f"there is nothing to compare: {kind} is not trained by the {kernel} kernel."]
    found = _why_not_reducible(row) if kernel == "reduced" else []
    if kernel == REDUCED_INPUTS:
        forced = {key: [value] for key, value in row.items()} | {"sweep.kernel": [kernel]}
        found += [f"there is nothing to compare: {why}" for why in check_spans(forced)]
    for key, nothing in GENERIC_ONLY.items() if kernel not in BY_DEFINITION else ():
        value = row.number(f"training.{key}", nothing)
        if value != nothing:
            found.append(
                f"there is nothing to compare: training.{key} is {show(value)}, which the generic "
                "way alone carries out; compare a file without it."
            )
    name = row["training.optimizer"]
    if kernel not in BY_DEFINITION and OPTIMIZERS[name].asks:
        found.append(
            f"there is nothing to compare: training.optimizer is {show(name)}, which the generic "
            "way alone trains with; compare a file with another one."
        )
    if kernel in NOT_BY and row.get(WARM_START):
        found.append(
            f"there is nothing to compare: {WARM_START} is given, and the {kernel} kernel draws "
            "the weights that it starts from; compare another one with --kernel dense or generic."
        )
    if is_by_law(row):
        found.append(
            'there is nothing to compare: problem.inputs = "law" draws no inputs that another '
            "kernel could train on; compare drawn ones with --set problem.inputs=gaussian and "
            "--set problem.measurement_dim=..., of a size that can be held."
        )
    if row.get("network.initial_weights") == "law":
        found.append(
            'there is nothing to compare: initial_weights = "law" draws no weights that another '
            "kernel could train; compare drawn ones with --set network.initial_weights=drawn, and "
            "--set network.width=... if they are too wide for the memory."
        )
    return found


def _why_not_reducible(row: RunSettings) -> list[str]:
    """Return why the reduced kernel cannot train a run; each reason by itself."""
    if not network_of(row).reducible:
        return [
            "there is nothing to compare: the reduced kernel trains linear networks only, and "
            f"network.kind is {show(row['network.kind'])}."
        ]
    reasons = reasons_not_reduced(
        row["training.optimizer"],
        row["network.depth"],
        row["record.observables"],
        row["training.minibatch_size"],
        num_steps=row["training.num_steps"],
    )
    return [
        "there is nothing to compare: the reduced kernel cannot train this "
        f"({reason.sentence}); compare what it can with {reason.on_command_line}."
        for reason in reasons
    ]
