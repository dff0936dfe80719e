"""What is said of something that is not done, in a file and on the command line."""

from __future__ import annotations

import shlex
import tomllib

import pytest

from dlnsweep.settings.reasons import Reason


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("training.optimizer", "gradient_descent"),
        ("network.depth", 2),
        ("record.observables", ["regression_error", "loss"]),
    ],
)
def test_a_remedy_is_what_can_be_typed(key: str, value: object) -> None:
    reason = Reason("some", "it does not", {key: value})
    assert reason.in_file.startswith("set ")
    section, name = key.split(".")
    assert tomllib.loads(reason.in_file.removeprefix("set "))[section][name] == value
    option, typed = shlex.split(reason.on_command_line)
    assert option == "--set"
    name, _, text = typed.partition("=")
    found = text if isinstance(value, str) else tomllib.loads(f"x = {text}")["x"]
    assert (name, found) == (key, value)


def test_a_key_can_be_left_out_and_there_can_be_no_remedy() -> None:
    both = Reason("two", "it does not", {"record.weights": None, "network.depth": 2})
    assert both.in_file == "leave record.weights out and set network.depth = 2"
    assert both.on_command_line == "--set record.weights= --set network.depth=2"
    none = Reason("never", "it cannot")
    assert (none.in_file, none.on_command_line) == ("", "")
