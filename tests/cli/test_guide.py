"""`dlnsweep guide`, in a pipe and on a terminal."""

from __future__ import annotations

import io

import pytest
from typer.testing import CliRunner

from dlnsweep.cli import guide as module
from dlnsweep.cli.app import app
from dlnsweep.errors import SpecError


def said(*arguments: str) -> str:
    ended = CliRunner().invoke(app, ["guide", *arguments], catch_exceptions=False)
    assert ended.exit_code == 0
    return ended.output


def test_all_are_listed_with_their_titles():
    lines = said().splitlines()
    assert lines[0].split(maxsplit=1) == ["sweep_files", "From a claim to its figure"]
    assert {line.split()[0] for line in lines[:-2]} == set(module.guides())


@pytest.mark.parametrize("name", ["trust", "trust.md"])
def test_one_is_printed_as_it_is_written_into_a_pipe(name: str):
    assert said(name) == module.guides()["trust"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_one_is_set_on_a_terminal(monkeypatch: pytest.MonkeyPatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    module.guide("cookbook")
    text = terminal.getvalue()
    assert "Twenty questions" in text
    # Fences are no longer seen.
    assert "```" not in text


def test_an_unknown_name_is_told_with_what_was_meant():
    with pytest.raises(SpecError, match=r"no guide is called 'clutsers'.*mean 'clusters'\?"):
        module.guide("clutsers")
