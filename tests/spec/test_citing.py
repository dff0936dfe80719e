"""What is cited: the numbers that definitions say, and nothing that is not known."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from dlnsweep.contracts import plugins
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.spec.citing import bibtex


def numbers(text: str) -> list[str]:
    return re.findall(r"^@misc\{arXiv:(\d{4}\.\d{4,5}),$", text, re.MULTILINE)


def test_each_number_once_with_what_it_is_for():
    plugins.load()
    kinds = {"problem.kind": ["subspace", "teacher"], "training.optimizer": ["adam"]}
    text = bibtex("arXiv:2502.15522, Figure 3; arXiv:1802.06509", kinds)
    assert numbers(text) == ["2502.15522", "1802.06509", "2406.06158", "1412.6980"]
    assert "note = {what the sweep is about, subspace}" in text
    assert text.rstrip().splitlines()[-4].startswith("@software{dlnsweep")
    assert "author" not in text


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
