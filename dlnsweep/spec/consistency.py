"""Conditions on several settings of a sweep together, each yielding its mistakes as sentences.

Each looks only at settings that are right by themselves: what is wrong alone has been reported,
and is left out of `values`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from dlnsweep.contracts.network import find_network
from dlnsweep.contracts.observable import OBSERVABLES, VIEWS
from dlnsweep.contracts.problem import PROBLEMS, Problem
from dlnsweep.networks.layered.proof import CURVATURES, why_no_curvature
from dlnsweep.settings.base import Constraint, Settings
from dlnsweep.settings.sections import RecordSettings
from dlnsweep.settings.sentences import MOST_MISTAKES, did_you_mean, show, show_key
from dlnsweep.settings.sizes import SIZES
from dlnsweep.spec.space import Space

# A middle layer of this width takes 34 GB in float64.
WIDEST_DRAWN = 65_536

Values = Mapping[str, Sequence[Any]]


def check_scales(values: Values) -> Iterator[str]:
    """Check that the squares of initial weights fit into the precision."""
    precision = values.get("sweep.precision", ("float64",))[0]
    most = SIZES[precision][1]
    for key, largest in (
        ("network.layer_init_scale", most),
        ("network.relative_init_scale", most),
        ("network.product_init_scale", most**2),
    ):
        # A tenth, and ten times: room for the weights that the factor is on.
        for value in values.get(key, ()):
            if isinstance(value, int | float) and not 10 / largest <= value <= largest / 10:
                yield (
                    f"{key} is {value:g}; in {precision} it must lie between {10 / largest:g} and "
                    f"{largest / 10:g}, or squares of weights underflow or overflow."
                )


def check_observables(values: Values) -> Iterator[str]:
    """Check the names under record.observables."""
    names = values.get("record.observables", (None,))[0]
    if names is None:
        return
    if not names:
        yield "record.observables is empty; name at least one observable."
    for i, name in enumerate(names):
        if name not in OBSERVABLES:
            hint = did_you_mean(name, OBSERVABLES) if i < MOST_MISTAKES else "."
            yield f"record.observables[{i}] is {show(name)}, which is not known{hint}"
        elif name in names[:i]:
            yield f"record.observables[{i}] is {show(name)}, as is an earlier one; name it once."
    if "noisy_test_error" in names and 0.0 in values.get("record.test_noise", ()):
        yield "record.test_noise is 0; noisy_test_error needs it to be positive."
    yield from _check_views(names, values)
    yield from _check_noise_levels(names, values.get("record.noise_levels", (None,))[0])


def _check_views(names: Sequence[str], values: Values) -> Iterator[str]:
    """Check that nothing is recorded that the kind of network does not have."""
    problem, kind = (values.get(key, (None,))[0] for key in ("problem.kind", "network.kind"))
    if problem is None or kind is None:
        return
    network = find_network(problem, kind)
    for name in names:
        if name in OBSERVABLES and not network.has(OBSERVABLES[name]):
            one = OBSERVABLES[name]
            users = " and ".join(VIEWS[view] for view in one.views)
            how = (
                ""
                if one.is_ours
                else " (Yours: Observable(..., views=()) is one of every network.)"
            )
            yield (
                f"record.observables names {show(name)}, which is for {users}; "
                f"network.kind is {show(kind)}, which has "
                f"{', '.join(network.known_observables())}.{how}"
            )


def _check_noise_levels(names: Sequence[str], levels: Sequence[float] | None) -> Iterator[str]:
    """Check that noise levels are given where, and only where, an observable uses them."""
    if levels is None:
        return
    users = [name for name, one in OBSERVABLES.items() if one.over_noise_levels]
    asked = [name for name in names if name in users]
    if asked and not levels:
        yield (
            f"record.noise_levels is empty; {asked[0]} needs the standard deviations of the noise, "
            "such as [0.01, 0.1, 1.0]."
        )
    if levels and not asked:
        yield (
            f"record.noise_levels is given, which only {', '.join(users)} uses; add it to "
            "record.observables, or leave the levels out."
        )
    twice = [level for i, level in enumerate(levels) if level in levels[:i]]
    if twice:
        yield f"record.noise_levels names {show(twice[0])} twice; give each level once."


# Keys of [record] that only some observables read.
_READ_BY_SOME = ("rank_threshold", "test_noise", "num_test_samples")


def check_read(values: Values) -> Iterator[str]:
    """Check that nothing of [record] is an axis that no recorded observable reads.

    One value is left alone: what is recorded can be changed by --set, and what a file says of an
    observable that is left out for once need not go with it.
    """
    names = values.get("record.observables", (None,))[0]
    if names is None or set(names) - OBSERVABLES.keys():
        return
    for key in _READ_BY_SOME:
        several = len(values.get(f"record.{key}", ())) > 1
        if several and not any(OBSERVABLES[name].uses(key) for name in names):
            users = [name for name, one in OBSERVABLES.items() if one.reads is not None]
            users = [name for name in users if OBSERVABLES[name].uses(key)]
            yield (
                f"record.{key} has several values, but only {', '.join(users)} "
                f"{'reads' if len(users) == 1 else 'read'} it: all its runs would be the same; add "
                f"{'it' if len(users) == 1 else 'one'} to record.observables, or give one value."
            )


def check_stopping(values: Values) -> Iterator[str]:
    """Check that training.stop_when can end a run, by what is recorded."""
    condition = values.get("training.stop_when", (None,))[0]
    if condition is not None:
        yield from condition.mistakes("training.stop_when")
    names = values.get("record.observables", (None,))[0]
    if condition is None or names is None or set(names) - OBSERVABLES.keys():
        return
    scalars = [n for n in names if n in OBSERVABLES and OBSERVABLES[n].size is None]
    if condition.observable not in scalars:
        yield (
            f"training.stop_when.observable is {show(condition.observable)}; it must be a "
            f"recorded scalar observable: {', '.join(scalars) or 'none is recorded'}."
        )


def check_recording(values: Values, given: Collection[str]) -> Iterator[str]:
    """Check that the keys of [record] fit its spacing, and its steps the number of steps."""
    if not {"record.spacing", "record.steps"} <= values.keys():
        return
    spacing, steps = values["record.spacing"][0], values["record.steps"][0]
    if spacing == "explicit":
        if not steps:
            yield 'record.steps is empty; spacing = "explicit" needs it.'
        if "record.count" in given:
            yield 'record.count is given, which spacing = "explicit" does not use; leave it out.'
        longest = max(values.get("training.num_steps", ()), default=None)
        beyond = [step for step in steps if longest is not None and step > longest]
        if beyond:
            yield (
                f"record.steps names {beyond[0]}; it must not exceed training.num_steps, which is "
                f"{longest}."
            )
    elif steps:
        yield (
            f'record.steps is given, which needs record.spacing = "explicit"; it is '
            f"{show(spacing)}."
        )


def missing(
    classes: Mapping[str, type[Settings]], values: Values, given: Collection[str]
) -> Iterator[tuple[str, str, str]]:
    """Yield the settings without which a choice means nothing and that the file leaves out.

    Yields:
        The setting, the one that chooses, and what it chose.
    """
    for section, settings in classes.items():
        for key, use in settings.used_by.items():
            dotted, chooser = f"{section}.{key}", f"{section}.{use.chooser}"
            users = [choice for choice in values.get(chooser, ()) if choice in use.choices]
            if users and use.needed and dotted not in given:
                yield dotted, chooser, users[0]


def check_used(
    classes: Mapping[str, type[Settings]], values: Values, given: Collection[str]
) -> Iterator[str]:
    """Check that what some choices read is given where they need it, and nowhere else.

    Args:
        classes: The settings class of each section.
        values: The values of the settings that are right.
        given: The settings that the file gives.
    """
    for section, settings in classes.items():
        for key, use in settings.used_by.items():
            dotted, chosen = f"{section}.{key}", values.get(f"{section}.{use.chooser}", ())
            users = [choice for choice in chosen if choice in use.choices]
            if chosen and dotted in given and not users:
                yield (
                    f"{dotted} is given, but {', '.join(chosen)} does not use it; it belongs to "
                    f"{', '.join(use.choices)}."
                )
    for dotted, chooser, chosen in missing(classes, values, given):
        yield f"{dotted} is missing; {chooser} = {show(chosen)} has no default for it."


def check_zip(
    groups: Sequence[Sequence[str]],
    values: Values,
    varying: Sequence[str],
    known: Sequence[str],
    others: Mapping[str, str],
) -> Iterator[str]:
    """Check that sweep.zip names axes of equal lengths, each once.

    Args:
        groups: The lists of keys.
        values: The values of the settings that are right.
        varying: The settings with several values.
        known: All settings.
        others: For settings that can move with none, what they are.
    """
    taken: set[str] = set()
    for i, group in enumerate(groups):
        place = f"sweep.zip[{i}]"
        if len(group) < 2:
            yield f"{place} names {len(group)} keys; it must name two or more."
        for key in group:
            if key not in known:
                hint = did_you_mean(key, known) if len(taken) < MOST_MISTAKES else "."
                yield f"{place} names '{show_key(key)}', which is not a setting{hint}"
            elif key in others:
                yield f"{place} names '{key}', {others[key]}; leave it out."
            elif key in values and key not in varying:
                yield (
                    f"{place} names '{key}', which has one value only; give it a list, or leave "
                    "it out."
                )
            elif key in taken:
                yield f"{place} names '{key}', which is zipped already; name it once."
            taken.add(key)
        lengths = {
            key: len(values[key])
            for key in group
            if key in values and key in varying and key not in others
        }
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{key} has {count}" for key, count in lengths.items())
            yield f"{place} zips axes of unequal lengths: {listed} values."
        elif len(lengths) == len(group) > 1:
            yield from _repeated(place, {key: values[key] for key in group})


def _repeated(place: str, columns: Values) -> Iterator[str]:
    """Check that no tuple of zipped values comes twice."""
    first: dict[tuple[Any, ...], int] = {}
    for i, row in enumerate(zip(*columns.values(), strict=True)):
        if row in first:
            shown = ", ".join(f"{k} = {show(v)}" for k, v in zip(columns, row, strict=True))
            yield f"{place} has {shown} twice, at [{first[row]}] and [{i}]; give it once."
            return
        first[row] = i


def check_constraint(constraint: Constraint, space: Space) -> str:
    """Return the first combination for which a condition does not hold, as a sentence."""
    if not all(key in space.values for key in constraint.keys):
        return ""
    for found in space.rows(constraint.keys):
        if not constraint.holds(*found):
            if callable(constraint.sentence):
                return constraint.sentence(*found)
            return constraint.sentence.format(*(show(v) for v in found))
    return ""


def check_problem_observables(space: Space) -> Iterator[str]:
    """Check that the problem and its sizes allow what is recorded."""
    values = space.values
    names = [n for n in values.get("record.observables", ((),))[0] or () if n in OBSERVABLES]
    problem = PROBLEMS.get(values.get("problem.kind", ("",))[0])
    if problem is None or problem.task != "samples":
        return
    for name in names:
        if OBSERVABLES[name].needs_test_samples and problem.draw_test is None:
            yield (
                f"record.observables names {show(name)}, which needs test samples; "
                f"problem.kind = {show(problem.kind)} draws none."
            )
        if OBSERVABLES[name].needs_isometry and problem.isometry is None:
            yield (
                f"record.observables names {show(name)}, which needs an operator on one subspace; "
                f"problem.kind = {show(problem.kind)} has none."
            )
    fields = list(problem.settings.model_fields)
    keys = tuple(f"problem.{field}" for field in fields)
    tested = [name for name in names if OBSERVABLES[name].needs_test_samples]
    if tested and problem.num_test is not None:
        yield from _check_test_samples(problem, tested, space)
    if not set(CURVATURES) & set(names):
        return
    reasons: list[str] = []

    def holds(*found: Any) -> bool:
        settings: Any = problem.settings.model_construct(**dict(zip(fields, found, strict=True)))
        reasons.append(why_no_curvature(problem.rank_of(settings), settings.signal_dim))
        return not reasons[-1]

    if check_constraint(Constraint(keys, holds, "too large"), space):
        yield f"record.observables: {reasons[-1]}"


def _check_test_samples(problem: Problem, names: Sequence[str], space: Space) -> Iterator[str]:
    """Check that there are as many test samples as are asked for."""
    fields = list(problem.settings.model_fields)
    keys = (*(f"problem.{field}" for field in fields), "record.num_test_samples")

    def left(*found: Any) -> int:
        settings: Any = problem.settings.model_construct(**dict(zip(fields, found, strict=False)))
        assert problem.num_test is not None
        return problem.num_test(settings) - found[-1]

    def sentence(*found: Any) -> str:
        most = left(*found) + found[-1]
        if most < 1:
            return (
                f"record.observables names {show(names[0])}, which needs test samples; all samples "
                "of the problem train: lower problem.num_samples."
            )
        unsaid = RecordSettings.model_fields["num_test_samples"].default
        default = ", as where a file does not say it" if found[-1] == unsaid else ""
        return (
            f"record.num_test_samples is {found[-1]}{default}; {most} samples do not train: lower "
            "it, or problem.num_samples."
        )

    if found := check_constraint(Constraint(keys, lambda *f: left(*f) >= 0, sentence), space):
        yield found


def check_width(values: Values) -> Iterator[str]:
    """Check that no weights are drawn that no machine holds."""
    if not {"network.width", "network.initial_weights", "network.depth"} <= values.keys():
        return
    widest = max(values["network.width"])
    if "drawn" in values["network.initial_weights"] and widest > WIDEST_DRAWN:
        yield (
            f"network.width is {widest}; drawn weights are limited to {WIDEST_DRAWN}. Set "
            'network.initial_weights = "law" for wider networks.'
        )
