"""The settings of one run: what it does not use, and where they come from."""

from __future__ import annotations

import numpy as np
import pytest

from dlnsweep.errors import StoreError
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.settings.training import TrainingSettings

COLUMNS = {
    "seed": np.array([0, 1]),
    "training.learning_rate": np.array([0.1, 0.2]),
    "training.momentum": np.array([np.nan, 0.9]),
    "training.optimizer": np.array(["gradient_descent", "momentum"], dtype=object),
    "problem.data_file": np.array(["", None], dtype=object),
}


def test_what_tables_write_for_a_setting_that_is_not_used_is_none() -> None:
    first, second = (RunSettings.at(COLUMNS, index) for index in (0, 1))
    assert first["training.momentum"] is None
    assert first["problem.data_file"] is None
    assert second["problem.data_file"] is None
    assert (second["training.momentum"], second["seed"]) == (0.9, 1)
    assert type(second["seed"]) is int
    assert type(second["training.momentum"]) is float
    assert (first.number("training.momentum", 0.5), second.number("training.momentum", 0.5)) == (
        0.5,
        0.9,
    )
    assert first.number("of.a.later.version", 2.0) == 2.0


def test_zero_is_used() -> None:
    run = RunSettings({"training.weight_decay": 0.0, "network.bias": False})
    assert run.number("training.weight_decay", 0.1) == 0.0
    assert run["network.bias"] is False


def test_what_all_runs_have_in_common_is_joined_and_what_differs_replaced() -> None:
    run = RunSettings.at(COLUMNS, 1, {"record.observables": ("loss",), "seed": 7})
    assert run["record.observables"] == ("loss",)
    assert run["seed"] == 7
    other = run | {"training.momentum": float("nan"), "training.optimizer": "adam"}
    assert isinstance(other, RunSettings)
    assert (other["training.momentum"], other["training.optimizer"]) == (None, "adam")
    assert run["training.optimizer"] == "momentum", "it is not changed itself"


def test_a_section_has_defaults_where_the_run_has_nothing() -> None:
    default = TrainingSettings.model_fields["momentum"].default
    sections = [
        RunSettings.at(COLUMNS, index, {"training.num_steps": 9}).section(
            "training", TrainingSettings
        )
        for index in (0, 1)
    ]
    assert [each.momentum for each in sections] == [default, 0.9]
    assert [each.learning_rate for each in sections] == [0.1, 0.2]


def test_what_no_sweep_writes_is_damage() -> None:
    with pytest.raises(StoreError, match=r"runs\.parquet, has no column 'network\.kind'"):
        RunSettings.at(COLUMNS, 0)["network.kind"]
    wrong = RunSettings({"training.learning_rate": -1.0, "training.num_steps": 9})
    with pytest.raises(StoreError, match=r"training\.learning_rate is -1\.0; .* damaged"):
        wrong.section("training", TrainingSettings)
