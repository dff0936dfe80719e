"""One reading of a sweep: its sections, keys, values and figures, with all mistakes collected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from dlnsweep.contracts import plugins
from dlnsweep.contracts.keys import known_settings, may_vary
from dlnsweep.contracts.network import NetworkKind, find_network
from dlnsweep.settings.base import Settings, description
from dlnsweep.settings.sections import SECTIONS, SweepSettings
from dlnsweep.settings.sentences import MOST_MISTAKES, did_you_mean, show, show_key
from dlnsweep.spec import consistency, jumps, kinds, spans, warm_start, ways, weights
from dlnsweep.spec.axes import read_seeds, read_setting
from dlnsweep.spec.blocks import Blocks, check_columns, read_blocks
from dlnsweep.spec.derived import check_reads, derive, is_formula, is_number, read_formula, spread
from dlnsweep.spec.follows import follow_constraints, followed
from dlnsweep.spec.formulas import Formula
from dlnsweep.spec.naming import name_and_source
from dlnsweep.spec.refine import check_refine
from dlnsweep.spec.samples import OPTIONS, Sample, check_options, draw, is_sample, read_sample
from dlnsweep.spec.size import too_many_runs
from dlnsweep.spec.space import Derived, Space
from dlnsweep.spec.until import check_until
from dlnsweep.theory import prescription

_WITH_KINDS = ("problem", "network")
_OUTSIDE_RUNS = (
    "sweep.seeds",
    "sweep.zip",
    "sweep.max_runs",
    "sweep.check_jumps",
    "sweep.block",
    "sweep.refine",
    "sweep.until",
    "sweep.go_on_from",
    "sweep.warm_start",
    *OPTIONS,
)


class Reader:
    """One reading of a document; collects the mistakes.

    `values` holds the settings that are right by themselves, so that conditions on several
    settings are checked wherever they can be, and all mistakes are reported at once.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.problems: list[str] = []
        self.values: dict[str, tuple[Any, ...]] = {}
        self.varying: list[str] = []
        self.given: set[str] = set()
        self.prescribed = prescription.prescribed(document)
        self.zipped = _zipped(document)
        # What moves with a setting, as it follows from it.
        self.followers: dict[str, list[str]] = {}
        # Formulas that are not computed yet, and what has been computed.
        self.formulas: dict[str, Formula] = {}
        self.derived: dict[str, Derived] = {}
        # What moves together without being zipped; what is sampled may be wrong by itself.
        self.sampled: list[str] = []
        self.samples: dict[str, Sample] = {}
        self.blocks = Blocks()
        self.classes: dict[str, type[Settings]] = {}

    def read(self) -> dict[str, Any] | None:
        """Return the attributes of a `Sweep`; None if there are mistakes, then in `problems`."""
        broken = plugins.load()
        self._check_keys()
        name, source, unnamed = name_and_source(self.document)
        self.problems += unnamed
        self.classes, problems = kinds.settings_classes(self.document)
        too_many = too_many_runs(self.document, self.classes, self._places())
        self.problems += [*problems, *filter(None, [too_many])]
        self._read_blocks(expand=not too_many)
        for section, settings in self.classes.items():
            self._section(section, settings, expand=not too_many)
        self._join(expand=not too_many)
        order = {f"{s}.{k}": i for i, (s, k) in enumerate(self._places())}
        self.varying.sort(key=lambda key: order.get(key, len(order)))
        self._check_formulas()
        self._compute()
        for section, settings in self.classes.items():
            self._follow(section, settings)
        # Some read what follows from others.
        self._compute()
        values, given = self.values, self.given
        self.problems += [
            *consistency.check_observables(values),
            *ways.check_honoured(values),
            *ways.check_generic(values),
            *ways.check_decays(values),
            *consistency.check_stopping(values),
            *ways.check_kernel(values),
            *jumps.check_jumps(values),
            *jumps.check_places(values),
            *spans.check_spans(values),
            *consistency.check_width(values),
            *consistency.check_scales(values),
            *consistency.check_recording(values, given),
            *weights.check_weights(values),
            *warm_start.check_warm_start(values),
            *consistency.check_read(values),
            *consistency.check_used(self.classes, values, given),
            *prescription.check_prescription(values, given),
        ]
        seeds = self._seeds()
        if not too_many:
            self._check_constraints(self._space())
        if self.formulas and not self.problems:
            # What they read follows from what they set.
            self.problems += [f"{key}: its formula refers to itself." for key in self.formulas]
        figures, wrong = self._figures(seeds)
        self.problems = kinds.without_its_keys([*self.problems, *wrong], self.document)
        if self.problems:
            # What is not known may be what a broken entry point would have brought.
            self.problems += broken
            return None
        assert name is not None
        options = SweepSettings(**{k: values[f"sweep.{k}"][0] for k in SweepSettings.model_fields})
        columns = {k: v for k, v in values.items() if k not in _OUTSIDE_RUNS}
        return {
            "name": name,
            "source": source,
            "values": columns,
            "axes": self._axes(),
            "derived": self.derived,
            "samples": self.samples,
            "blocks": self.blocks.keys,
            "seeds": seeds,
            "options": options,
            "figures": figures,
            "document": self.document,
        }

    def _check_keys(self) -> None:
        known = ["name", "source", "problem", "network", *SECTIONS, "figure"]
        for key in self.document:
            if key not in known:
                # A key that stands above all sections, or in --set without its section.
                hint = self._hint(key, known, known_settings())
                self.problems.append(f"{show_key(key)} is not a section or key{hint}")

    def _hint(self, key: str, known: Collection[str], elsewhere: Iterable[str]) -> str:
        """Return what was meant by an unknown key, for as many mistakes as are told."""
        return did_you_mean(key, known, elsewhere) if len(self.problems) < MOST_MISTAKES else "."

    def _places(self) -> Iterable[tuple[str, str]]:
        """Yield the section and key of each setting that the file gives, in the file's order."""
        for section, raw in self.document.items():
            if section in self.classes and isinstance(raw, dict):
                yield from ((section, k) for k in raw if k in self.classes[section].model_fields)

    def _section(self, section: str, settings: type[Settings], *, expand: bool) -> None:
        raw = self.document.get(section, {})
        if not isinstance(raw, dict):
            self.problems.append(f"{section} is {show(raw)}; it must be a table, [{section}].")
            return
        if section == "network" and (strange := kinds.strange_network(self.document)):
            self.problems.append(strange)
            return
        known = self._known_settings()
        for key in raw:
            # One of another kind is not judged where the problem's kind is wrong: that is said.
            if key not in settings.model_fields and f"{section}.{key}" not in known:
                hint = self._hint(key, settings.model_fields, known)
                shown = f"{section}.{show_key(key)}"
                self.problems.append(f"{shown} is not a key of [{section}]{hint}")
        for key, field in settings.model_fields.items():
            dotted = f"{section}.{key}"
            if is_sample(raw.get(key)):
                self.given.add(dotted)
                self.sampled.append(dotted)
                sample, problems = read_sample(settings, key, raw[key], dotted)
                self.problems += problems
                self.samples |= {dotted: sample} if sample else {}
            elif is_formula(raw.get(key)):
                self.given.add(dotted)
                formula, problems = read_formula(settings, key, raw[key], dotted)
                self.problems += problems
                self.formulas |= {dotted: formula} if formula else {}
            elif key in raw:
                self.given.add(dotted)
                values, several, problems = self._values(settings, key, raw[key], dotted, expand)
                if problems and dotted == "network.kind" and isinstance(raw[key], str):
                    problems = [kinds.unknown_network(raw[key], self.document)]
                self.problems += kinds.of_a_plugin(problems, raw[key], field.metadata)
                if not problems:
                    self.values[dotted] = values
                    self.varying += [dotted] if several and len(values) > 1 else []
            elif dotted in self.prescribed or key in settings.follows:
                continue
            elif field.is_required() and dotted not in self.blocks.keys:
                info = description(settings, key)
                what = f" ({info.text})" if info else ""
                self.problems.append(f"{dotted} is missing; it has no default{what}.")
            elif not field.is_required():
                self.values[dotted] = (self._default(dotted, field),)

    def _follow(self, section: str, settings: type[Settings]) -> None:
        """Set what follows from other settings of a section, where the file leaves it out."""
        for key, rule in settings.follows.items():
            dotted = f"{section}.{key}"
            sources = [f"{section}.{source}" for source in rule.keys]
            if dotted in self.given or not self.values.keys() >= set(sources):
                continue
            if set(sources) & self.derived.keys():
                found = [rule.value(*row) for row in self._space().rows(sources)]
                if None not in found:
                    self.values[dotted], self.derived[dotted] = spread(
                        found, sources, self._space()
                    )
                continue
            moving = [source for source in sources if source in self.varying]
            if len({group for group in self._axes() if set(group) & set(moving)}) > 1:
                self.problems.append(
                    f"{dotted} follows from {' and '.join(moving)}, which vary apart; move them "
                    "together: name them in one list of sweep.zip."
                )
                continue
            moves = [source in moving for source in sources]
            if found := followed(rule, [self.values[source] for source in sources], moves):
                self.values[dotted] = found
            if found and moving:
                self.followers.setdefault(moving[0], []).append(dotted)

    def _read_blocks(self, *, expand: bool) -> None:
        options = self.document.get("sweep")
        if isinstance(options, dict) and "block" in options:
            self.blocks, problems = read_blocks(
                options["block"], self.classes, self._known_settings(), expand
            )
            self.problems += problems

    def _join(self, *, expand: bool) -> None:
        """Draw what is sampled, and join blocks: the settings of each are one axis."""
        values = self.values
        problems = list(check_options(self.sampled, values, self.given))
        if self.samples and not problems and {*OPTIONS} <= values.keys():
            count, seed, sampler = (values[key][0] for key in OPTIONS)
            count = count if expand else min(count, 2)
            drawn = draw(self.samples, count, seed, sampler)
            for key, column in drawn.items():
                # As if the file gave them: the same runs.
                section, _, name = key.partition(".")
                settings = self.classes[section]
                drawn[key], _, more = read_setting(settings, name, [*column], key, distinct=False)
                problems += more
            self._set_together({} if problems else drawn)
        elsewhere = {
            **dict.fromkeys(self.sampled, "which is sampled"),
            **dict.fromkeys(self.formulas, "which is a formula"),
            **dict.fromkeys(self.zipped, "which is zipped"),
            **dict.fromkeys(self.prescribed, "which training.prescription sets"),
        }
        wrong = list(check_columns(self.blocks, values, self.given, elsewhere))
        if self.blocks.tables and not wrong:
            self._set_together(self.blocks.columns(values))
        self.given |= {*self.blocks.keys}
        self.problems += [*problems, *wrong]

    def _set_together(self, columns: Mapping[str, tuple[Any, ...]]) -> None:
        self.values |= columns
        self.varying += [key for key, column in columns.items() if len(set(column)) > 1]

    def _check_formulas(self) -> None:
        known = {
            f"{section}.{key}": section != "sweep" and is_number(settings, key)
            for section, settings in self.classes.items()
            for key in settings.model_fields
        }
        for key, problems in check_reads(self.formulas, known, self.prescribed).items():
            self.problems += problems
            del self.formulas[key]

    def _compute(self) -> None:
        """Compute the formulas that read what is known, those that others read first."""
        while ready := [k for k, f in self.formulas.items() if {*f.reads} <= self.values.keys()]:
            for dotted in ready:
                formula, settings = (
                    self.formulas.pop(dotted),
                    self.classes[dotted.partition(".")[0]],
                )
                values, found, problems = derive(formula, settings, dotted, self._space())
                self.problems += problems
                if found is not None:
                    self.values[dotted], self.derived[dotted] = values, found

    def _values(
        self, settings: type[Settings], key: str, raw: Any, dotted: str, expand: bool
    ) -> tuple[tuple[Any, ...], bool, list[str]]:
        if dotted == "sweep.seeds" and isinstance(raw, dict):
            seeds, problems = read_seeds(raw, dotted)
            return (list(seeds) if expand else 1,), False, problems
        return read_setting(
            settings, key, raw, dotted, expand=expand, distinct=dotted not in self.zipped
        )

    def _default(self, dotted: str, field: Any) -> Any:
        network = self._network()
        if dotted == "record.observables" and network is not None:
            return list(network.observables)
        return field.get_default(call_default_factory=True)

    def _network(self) -> NetworkKind | None:
        pair = [self.values.get(f"{section}.kind", (None,))[0] for section in _WITH_KINDS]
        return None if None in pair else find_network(*pair)

    def _seeds(self) -> tuple[int, ...] | range:
        seeds = self.values.get("sweep.seeds", (1,))[0]
        if isinstance(seeds, int):
            # Too many seeds are reported; len() does not take all of Python's integers.
            return range(min(seeds, 2**31))
        if not seeds:
            self.problems.append("sweep.seeds is an empty list; give at least one seed.")
        if len(set(seeds)) < len(seeds):
            twice = next(seed for seed, count in Counter(seeds).items() if count > 1)
            self.problems.append(f"sweep.seeds names the seed {twice} twice; give each seed once.")
        return tuple(seeds)

    def _axes(self) -> tuple[tuple[str, ...], ...]:
        groups = [*self.values.get("sweep.zip", ([],))[0], [*self.samples], [*self.blocks.keys]]
        group_of = {
            key: tuple(k for k in group if k in self.values and k not in self.derived)
            for group in groups
            for key in group
        }
        own = dict.fromkeys(group_of.get(key, (key,)) for key in self.varying)
        return tuple((*group, *self._followers_of(group)) for group in own)

    def _space(self) -> Space:
        # What is missing has a default that stands for nothing: nothing is said about it.
        unknown = {key for key, *_ in consistency.missing(self.classes, self.values, self.given)}
        values = {key: found for key, found in self.values.items() if key not in unknown}
        return Space(values, self._axes(), self.derived)

    def _followers_of(self, group: Sequence[str]) -> list[str]:
        return [follower for key in group for follower in self.followers.get(key, ())]

    def _known_settings(self) -> list[str]:
        known = list(known_settings()) if "problem" not in self.classes else []
        mine = [f"{s}.{k}" for s, settings in self.classes.items() for k in settings.model_fields]
        return list(dict.fromkeys([*mine, *known]))

    def _varying_by_prescription(self) -> Sequence[str]:
        return self.prescribed if set(self.varying) & set(prescription.READS) else ()

    def _check_constraints(self, space: Space) -> None:
        groups, known = self.values.get("sweep.zip", ([],))[0], self._known_settings()
        own = {
            **dict.fromkeys((*self.derived, *self.formulas), "a formula"),
            **dict.fromkeys(self.samples, "which is sampled"),
        }
        zipped = dict.fromkeys(self.zipped, "which is zipped")
        found = list(consistency.check_zip(groups, self.values, self.varying, known, own))
        self.problems += found
        fixed = {
            f"{section}.{key}": "which is no number that can vary"
            for section, settings in self.classes.items()
            for key in settings.model_fields
            if not (is_number(settings, key) and may_vary(settings, key))
        }
        self.problems += check_refine(self.values, self.varying, known, own | zipped | fixed)
        if found:
            # It is not known which values meet.
            return
        self.problems += check_until(self.values, space, known)
        constraints = [c for settings in self.classes.values() for c in settings.constraints]
        for section, settings in self.classes.items():
            constraints += follow_constraints(section, settings)
        network = self._network()
        constraints += network.constraints if network is not None else ()
        for constraint in constraints:
            sentence = consistency.check_constraint(constraint, space)
            self.problems += [sentence] if sentence else []
        self.problems += consistency.check_problem_observables(space)

    def _figures(self, seeds: Sequence[int]) -> tuple[tuple[Any, ...], list[str]]:
        # It loads what only figures need.
        from dlnsweep.spec.figures.of_sweep import read_figures

        computed = [key for key in self.derived if len(self.values[key]) > 1]
        varying = [*self.varying, *self._varying_by_prescription(), *computed, "seed"]
        # Which settings vary is known only where all are right.
        space, right = self._space(), not self.problems
        settings = [*self._known_settings(), "seed"]
        tables = self.document.get("figure")
        return read_figures(tables, space, settings, varying if right else None, seeds)


def _zipped(document: Mapping[str, Any]) -> set[str]:
    options = document.get("sweep")
    groups = options.get("zip") if isinstance(options, dict) else None
    lists = [g for g in groups if isinstance(g, list)] if isinstance(groups, list) else []
    return {key for group in lists for key in group if isinstance(key, str)}
