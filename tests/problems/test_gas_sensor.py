"""The reader of the UCI gas-sensor text format: what it reads, and what it says of the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dlnsweep.errors import SpecError
from dlnsweep.problems import gas_sensor


def line(gas: int, concentration: float, features) -> str:
    return f"{gas};{concentration:.6f} " + " ".join(f"{i}:{v:.6f}" for i, v in features) + " \n"


def lines(count: int = 5, gas: int = 1, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, 129))
    return [line(gas, row[0], enumerate(row[1:], start=1)) for row in rows]


def written(folder: Path, text: str) -> str:
    path = folder / "gas.dat"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_it_reads_ethanol_and_standardises_it(tmp_path):
    name = written(tmp_path, "".join([*lines(4), *lines(3, gas=2, seed=1), *lines(2, seed=2)]))
    resolved = gas_sensor.resolve_file(name)
    features, concentrations = gas_sensor.read_file(resolved)
    rows = np.concatenate(
        [np.random.default_rng(s).normal(size=(n, 129)) for s, n in [(0, 4), (2, 2)]]
    )
    rows = np.round(rows, 6)
    standard = (rows - np.mean(rows, 0)) / np.std(rows, 0)
    np.testing.assert_allclose(features, standard[:, 1:], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(concentrations, standard[:, 0], rtol=1e-9, atol=1e-12)


def test_the_content_is_part_of_the_name(tmp_path):
    name = written(tmp_path, "".join(lines()))
    resolved = gas_sensor.resolve_file(name)
    assert resolved.startswith(name + "#sha256=")
    assert gas_sensor.resolve_file(resolved) == resolved
    written(tmp_path, "".join(lines(seed=3)))
    assert gas_sensor.resolve_file(name) != resolved
    with pytest.raises(ValueError, match="but the data in the file have the digest"):
        gas_sensor.resolve_file(resolved)
    with pytest.raises(SpecError, match=r"they were changed\. Restore the file"):
        gas_sensor.read_file.__wrapped__(resolved)


GOOD = lines()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "it has 0 measurements of ethanol (class 1); two are needed."),
        (GOOD[0], "it has 1 measurements of ethanol (class 1); two are needed."),
        (GOOD[0] + "\n", "line 2 begins with ''; it must be CLASS;CONCENTRATION 1:VALUE ... "),
        (GOOD[0] + GOOD[1].replace(";", " ", 1), "line 2 begins with '1 "),
        (GOOD[0].rpartition(" 128")[0], "line 1 has 127 features; it must have 128."),
        (GOOD[0] + GOOD[1].replace(" 7:", " 8:", 1), "line 2: feature 7 is '8:"),
        (GOOD[0].replace(" 7:", " 7:x", 1), "line 1: feature 7 is 'x"),
        (GOOD[0].replace("1;", "1;nan", 1), "line 1: the concentration is 'nan"),
        ("é" + GOOD[0], "it is no text file in ASCII."),
        (GOOD[0] * 2, "the concentration is the same in all measurements, and cannot be"),
    ],
)  # fmt: skip
def test_what_it_says(tmp_path, text: str, sentence: str):
    with pytest.raises(ValueError) as caught:
        gas_sensor.resolve_file(written(tmp_path, text))
    assert str(caught.value).startswith(sentence)


def test_what_is_no_file(tmp_path):
    with pytest.raises(ValueError, match="there is no such file; name one, relative to this"):
        gas_sensor.resolve_file(str(tmp_path / "none.dat"))


def test_nothing_is_executed_or_unpickled(tmp_path):
    import pickle

    (tmp_path / "gas.dat").write_bytes(pickle.dumps(print))
    with pytest.raises(ValueError, match=r"line 1 begins with|no text file in ASCII"):
        gas_sensor.resolve_file(str(tmp_path / "gas.dat"))
