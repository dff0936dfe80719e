"""What is cited: the numbers that definitions say, and nothing that is not known."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

import dlnsweep
from dlnsweep.contracts import plugins
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.spec.citing import TITLES, USED, bibtex


def numbers(text: str) -> list[str]:
    return re.findall(r"^@misc\{arXiv:(\d{4}\.\d{4,5}),$", text, re.MULTILINE)


def test_each_number_once_with_what_it_is_for():
    plugins.load()
    kinds = {"problem.kind": ["subspace", "teacher"], "training.optimizer": ["adam"]}
    text = bibtex("arXiv:2502.15522, Figure 3; arXiv:1802.06509", kinds)
    assert numbers(text) == ["2502.15522", "1802.06509", "2406.06158", "1412.6980"]
    assert "note = {what the sweep is about, subspace}" in text
    papers, _, own = text.partition("@software{dlnsweep,")
    # What is not known of a paper is left out; of dlnsweep all that a style asks for is known.
    assert "author" not in papers
    fields = dict(re.findall(r"^  (\w+) = \{+(.*?)\}+,$", own, re.MULTILINE))
    assert fields.keys() == {"author", "title", "version", "year"}
    assert fields["year"].isdecimal()


def test_a_strangers_kind_says_its_own(monkeypatch: pytest.MonkeyPatch):
    plugins.load()

    def draw() -> None:
        """Draw what arXiv:1234.56789 draws."""

    mine = replace(PROBLEMS["subspace"], kind="my_kind", draw=draw)
    monkeypatch.setitem(PROBLEMS, "my_kind", mine)  # type: ignore[arg-type]
    text = bibtex("", {"problem.kind": ["my_kind"]})
    assert "1234.56789" in numbers(text)
    assert r"note = {my\_kind}" in text


def test_what_is_not_known_has_no_entry_and_a_source_is_no_bibtex():
    text = bibtex("arXiv:2502.15522}, author = {evil", {"problem.kind": ["nosuch"]})
    assert numbers(text) == ["2502.15522"]
    assert "evil" not in text


def test_a_network_is_that_of_the_problems_task():
    plugins.load()
    for problem, cited in (("subspace", False), ("matrix_completion", True)):
        text = bibtex("", {"problem.kind": [problem], "network.kind": ["deep_linear"]})
        assert ("1802.06509" in numbers(text)) == cited


def test_formulas_settings_and_kernels_are_cited_with_what_they_are():
    plugins.load()
    used = {
        "training.sam_radius": [0.05, 0.0],
        "training.schedule": ["constant", "cosine"],
        "network.parametrization": ["standard"],
        "kernel": ["dense", "reduced_inputs"],
    }
    text = bibtex("", used, ["plateau", "phase_1", "nosuch"])
    assert numbers(text)[:3] == ["2010.01412", "1608.03983", "2502.15522"]
    assert r"note = {sam\_radius 0.05}" in text
    assert r"note = {kernel reduced\_inputs, theory phase\_1}" in text
    # None is used where the radius is 0, or null.
    assert numbers(bibtex("", {"training.sam_radius": [0.0, float("nan"), None]})) == []


def test_titles_are_given_in_braces_of_their_own_and_only_where_they_are_known():
    text = bibtex("arXiv:2403.05395 and arXiv:2502.15522", {})
    (title,) = re.findall(r"^  title = \{\{(.*)\}\},$", text, re.MULTILINE)
    assert title == TITLES["2403.05395"]
    assert numbers(text) == ["2403.05395", "2502.15522"]


def test_each_number_stands_where_what_it_is_for_is_carried_out():
    """Beside its own table, in a module of the package: none is from memory."""
    root = Path(dlnsweep.__file__).parent
    said: Counter[str] = Counter()
    for path in root.rglob("*.py"):
        if path.name != "citing.py":
            said.update(re.findall(r"arXiv:(\d{4}\.\d{4,5})", path.read_text(encoding="utf-8")))
    wanted = {number for those in USED.values() for number in those} | set(TITLES)
    assert wanted <= set(said)
