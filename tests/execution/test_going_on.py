"""Runs that go on from another folder: found by their settings, told, refused with a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sweep_samples import BARE, write

import dlnsweep
from dlnsweep.errors import SpecError, StoreError
from dlnsweep.execution import origins
from dlnsweep.execution.events import Event
from dlnsweep.execution.origins import origins_of
from dlnsweep.numerics import code
from dlnsweep.plan.plan import make_plan
from dlnsweep.results import Results
from dlnsweep.spec.sweep import Sweep
from dlnsweep.store import Store

# Recorded at 0, 10, 20, ...
SHORT = {"training.num_steps": 30, "record.count": 4, "record.spacing": '"linear"'}
# Of observables of size 1 over some ten products, in calls of other numbers of runs.
LAST_DIGITS = 1e-12
LONG = {**SHORT, "training.num_steps": 60, "record.count": 7}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = BARE.replace("[record]\n", '[record]\nweights = "final"\n')
    return write(tmp_path_factory.mktemp("sweeps"), text)


@pytest.fixture(scope="module")
def ended(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(file, tmp_path_factory.mktemp("ended"), SHORT).path


def overrides(settings: Mapping[str, Any]) -> list[str]:
    return [f"{key}={value}" for key, value in settings.items()]


def run(file: Path, out: Path, settings: Mapping[str, Any], **options: Any) -> Results:
    return dlnsweep.run(file, out, overrides=overrides(settings), workers=0, **options)


def going(ended: Path | str, **more: Any) -> dict[str, Any]:
    return {**LONG, "sweep.go_on_from": f'"{ended}"', **more}


def test_runs_go_on_and_new_ones_begin(file: Path, ended: Path, tmp_path: Path) -> None:
    three = {"sweep.seeds": 3}
    whole = run(file, tmp_path / "whole", {**LONG, **three})
    events: list[Event] = []
    results = run(file, tmp_path / "on", going(ended, **three), on_event=events.append)
    notes = [event.text for event in events if event.kind == "note"]
    assert notes == [
        f"4 runs go on from {ended}, step 30; 2 begin at step 0, as there is none of their settings"
    ]
    resumed = sum(event.run_steps for event in events if event.kind == "resumed")
    assert resumed == 4 * 30
    # In other batches, whose records may differ in last digits.
    for mine, other in ((results.curves(), whole.curves()), (results.runs(), whole.runs())):
        keys = [name for name in ("run_id", "step") if name in other]
        mine, other = (frame.sort_values(keys, ignore_index=True) for frame in (mine, other))
        pd.testing.assert_frame_equal(mine, other, rtol=LAST_DIGITS, atol=LAST_DIGITS)
    for run_id in whole.runs()["run_id"]:
        wanted = whole.weights(int(run_id))
        for name, found in results.weights(int(run_id)).items():
            np.testing.assert_allclose(found, wanted[name], rtol=0, atol=LAST_DIGITS)
    receipts = [results.store.files.read_json(f"receipts/batch-{n:06d}.json") for n in (0, 1)]
    assert [receipt.get("went_on_from_step") for receipt in receipts] == [None, 30]
    # What they have been told, they know: the same command again computes nothing.
    assert run(file, tmp_path / "on", going(ended, **three)).store.verify() == []
    # It is done, and stays so without that folder; the file alone says what is missing.
    ended.rename(tmp_path / "moved")
    try:
        again = run(file, tmp_path / "on", going(ended, **three))
        with pytest.raises(
            StoreError, match=r"go_on_from: .* is not a folder.* do without it; for"
        ):
            origins_of(make_plan(Sweep.from_file(file, overrides(going(ended, **three)))))
        began = Sweep.from_file(file, overrides(going("", **three)))
        assert origins_of(make_plan(began)) is None
    finally:
        (tmp_path / "moved").rename(ended)
    assert again.runs()["status"].tolist() == ["finished"] * 6
    # Runs that are added when that folder has vanished begin at step 0, as rounds may add some.
    events.clear()
    ended.rename(tmp_path / "moved")
    try:
        more = going(ended, **{"sweep.seeds": 4})
        results = run(file, tmp_path / "on", more, on_event=events.append)
    finally:
        (tmp_path / "moved").rename(ended)
    notes = [event.text for event in events if event.kind == "note"]
    assert len(notes) == 1
    assert notes[0].startswith(f"new runs begin at step 0: {ended}: is not a folder")
    assert results.runs()["status"].tolist() == ["finished"] * 8


def test_what_cannot_go_on_is_told_before_anything_is_written(
    file: Path, ended: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(said: str, **more: Any) -> None:
        chosen = Sweep.from_file(file, overrides(going(ended, **more)))
        with pytest.raises(SpecError, match=said):
            origins_of(make_plan(chosen))

    refused(
        r"of 30 steps in .* and of 60 steps here are not recorded at the same steps up to 30 "
        r"\(step 10 only there\).*record\.spacing = \"linear\" with record\.count = 7 has them all",
        **{"record.count": 4},
    )
    refused(
        r"no run that is done with the settings of a run here, but for training\.num_steps and "
        r"when it is recorded: network\.width is \[8\] there and \[9\] here",
        **{"network.width": 9},
    )
    refused("record.observables is .* there and .* here", **{"record.observables": ["loss"]})
    refused(
        r"record\.weights names 30, which does not lie beyond step 30",
        **{"record.weights": [30, 60]},
    )
    refused("or none with no more steps", **{"training.num_steps": 20, "record.count": 3})
    # The same folder is another sweep's; where it could be gone on from, that is said.
    with pytest.raises(StoreError, match=rf'also set sweep\.go_on_from = "{ended}"'):
        run(file, ended.parent, LONG)
    monkeypatch.setattr(code, "code_of_numbers", lambda: "other")
    refused("was computed by another version of dlnsweep's code")
    # As of a folder whose receipts do not say: damaged, or older.
    monkeypatch.setattr(origins, "LIBRARIES", ("nosuch",))
    monkeypatch.setattr(origins, "versions", lambda: {"nosuch": "0"})
    refused("was computed by nosuch of no known version")
    bare = run(file, tmp_path / "bare", {**SHORT, "record.weights": [30]}).path
    with pytest.raises(SpecError, match=r"keeps no final states, as its record\.weights is not"):
        run(file, tmp_path / "none", going(bare))
    assert not (tmp_path / "none").exists()
    assert Store.open(ended).verify() == []
