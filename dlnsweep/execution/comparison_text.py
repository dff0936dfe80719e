"""What two kernels on a sample of runs have shown, as text: a table, and a verdict."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dlnsweep.contracts.network import BY_VECTORS
from dlnsweep.execution.comparison import DENSE_STEPS, ESTIMATED, Pair, allowed


def table(pairs: Sequence[Pair]) -> str:
    """Return the comparison as text, one line a run."""
    columns: dict[str, list[str]] = {}
    for pair in pairs:
        for name, text in _cells(pair, pairs).items():
            columns.setdefault(name, []).append(text)
    whole = [[name, *texts] for name, texts in columns.items()]
    padded = [[text.ljust(max(map(len, column))) for text in column] for column in whole]
    return "\n".join("  ".join(line).rstrip() for line in zip(*padded, strict=True))


def _cells(pair: Pair, pairs: Sequence[Pair]) -> dict[str, str]:
    own, others = pair.seconds
    kernel, judge = pair.kernels
    cells = dict(pair.label)
    for name in dict.fromkeys(name for other in pairs for name in other.deviations):
        found = pair.deviations.get(name)
        cells[name] = f"{found.largest:.1e} at {found.step}" if found else "-"
    if kernel in ESTIMATED:
        cells["estimate"] = f"{pair.estimate:.1e}"
    if any(other.bursts >= 0 for other in pairs):
        cells["bursts"] = f"{pair.bursts:.1e}" if pair.bursts >= 0 else "-"
    if any(ending != "finished" for other in pairs for ending in other.endings):
        a, b = pair.endings
        cells["ending"] = a if a == b else f"{a}, {judge} {b}"
    cells[kernel] = f"{own:.3g} s"
    cells[judge] = f"{others:.3g} s"
    cells[f"{judge}/{kernel}"] = f"{others / own:.2g}" if own > 0 else "-"
    if kernel in (*ESTIMATED, *BY_VECTORS, DENSE_STEPS):
        cells["bases" if kernel == "reduced" else "outcome"] = pair.kernel_reason
    return cells


def summary(pairs: Sequence[Pair], tolerance: float) -> str:
    """Return the worst deviation beside what was promised, and the verdict: two lines."""
    found = [
        (deviation.largest, name, deviation.step, pair.label["seed"])
        for pair in pairs
        for name, deviation in pair.deviations.items()
    ]
    estimate = max((pair.estimate for pair in pairs if pair.estimate >= 0), default=np.nan)
    worst = "no deviation to measure (all runs diverged)"
    if found:
        largest, name, step, seed = max(found)
        worst = f"worst deviation {largest:.1e} ({name}, seed {seed}, step {step})"
        worst = worst if largest else "no deviation beyond rounding"
    promised = f"tolerance {tolerance:.1e}, largest estimate {estimate:.1e}"
    if bursts := [pair.bursts for pair in pairs if pair.bursts >= 0]:
        promised += f", by bursts of steps {max(bursts):.1e}"
    if pairs[0].kernels[0] not in ESTIMATED:
        promised = f"rounding may make {allowed('dense', tolerance):.1e}"
    return f"{worst}; {promised}\n{_verdict(pairs, tolerance)}"


def _verdict(pairs: Sequence[Pair], tolerance: float) -> str:
    wrong = [pair for pair in pairs if not pair.is_right(tolerance)]
    kernel, judge = pairs[0].kernels
    runs = "1 run" if len(pairs) == 1 else f"{len(pairs)} runs"
    if not wrong and not any(pair.deviations for pair in pairs):
        return f"{runs} diverged at the same steps by both kernels; nothing else can be compared."
    unknown = [pair for pair in pairs if pair.promises_nothing]
    which = runs if len(unknown) == len(pairs) else f"{len(unknown)} of {runs}"
    open_ = (
        f"nothing to hold {which} to: an infinite estimate says that nothing is "
        f"known of the numbers ({_named(unknown)})"
    )
    if not wrong and len(unknown) == len(pairs):
        return f"{open_}."
    if not wrong:
        held = [pair for pair in pairs if not pair.promises_nothing]
        runs = "1 run" if len(held) == 1 else f"{len(held)} runs"
        worst = max((d.largest for pair in held for d in pair.deviations.values()), default=0.0)
        limit = "the tolerance" if worst <= tolerance else "three times its estimate"
        limit = limit if kernel in ESTIMATED else "rounding"
        other = "the generic way" if judge == "generic" else "the dense one"
        said = f"right: on {runs} the {kernel} kernel agrees with {other} to {limit}"
        return f"{said}; {open_}." if unknown else f"{said}."
    more = "the tolerance and three times the estimate" if kernel in ESTIMATED else "rounding"
    return (
        f"NOT right: on {len(wrong)} of {runs} the kernels disagree by more than {more}, or on how "
        f"the run ends ({_named(wrong)}). Please report this table; until that is settled run the "
        f"sweep with --set sweep.kernel={judge}."
    )


def _named(pairs: Sequence[Pair]) -> str:
    return "; ".join(
        ", ".join(f"{name} {text}" for name, text in pair.label.items()) for pair in pairs
    )
