"""Sweep files made to hang, crash, or write elsewhere: each is refused with a sentence, at once.

How fast is measured by `tests/benchmarks/survival.py`; here a time limit only keeps out hanging.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from sweep_samples import SMALL, everything_below

from dlnsweep.errors import SpecError
from dlnsweep.spec.sweep import Sweep

WHOLE = SMALL.encode()


def with_line(old: str, new: str) -> bytes:
    assert old in SMALL
    return SMALL.replace(old, new).encode()


HOSTILE: dict[str, bytes] = {
    "nested lists": b"a = " + b"[" * 2000 + b"]" * 2000,
    "nested lists in a setting": with_line("width = 8", "width = " + "[" * 1500 + "]" * 1500),
    "nested tables": b"a = " + b"{b = " * 700 + b"1" + b"}" * 700,
    "a dotted key of 40 KB": b"a" + b".a" * 20_000 + b" = 1",
    "a dotted key over many lines": b"\n".join(b"a" + b".a" * 2000 + b" = 1" for _ in range(15)),
    "a dotted table": b"[a" + b".a" * 2000 + b"]",
    "ten thousand keys": WHOLE + b"".join(b"k%d=1\n" % i for i in range(7000)),
    "ten thousand tables": b"".join(b"[t%d]\n" % i for i in range(6000)),
    "four thousand figures": WHOLE + b'[[figure]]\nkind="curves"\n' * 2000,
    "NUL": WHOLE.replace(b"small", b"sm\0all"),
    "NUL bytes": bytes(60_000),
    "one long line": b"# " + b"x" * 60_000,
    "one long string": with_line('"small"', '"' + "x" * 4000 + '"'),
    "not UTF-8": b"\xff" * 60_000,
    "a megabyte": b"#\n" * 500_000,
    "an integer of 4000 digits": with_line("depth = 2", "depth = " + "9" * 4000),
    "an integer beyond 64 bits": with_line("signal_dim = 8", "signal_dim = 99999999999999999999"),
    "a signal of 2^62": with_line("signal_dim = 8", f"signal_dim = {2**62}"),
    "samples of 2^62": with_line("num_samples = 20", f"num_samples = {2**62}"),
    "a width of 2^62": with_line("width = 8", f"width = {2**62}"),
    "a depth of 2^62": with_line("depth = 2", f"depth = {2**62}"),
    "2^62 records": with_line("count = 10", f"count = {2**62}"),
    "2^62 seeds": with_line("seeds = 2", f"seeds = {2**62}"),
    "10^12 values of an axis": with_line(
        "learning_rate = 0.05", "learning_rate = { from = 0.1, to = 1.0, count = 1000000000000 }"
    ),
    "10^24 runs": with_line(
        "learning_rate = 0.05", "learning_rate = { from = 0.1, to = 1.0, count = 1000000 }"
    )
    .replace(b"[1e-2, 1e-3]", b"{ from = 0.1, to = 1.0, count = 1000000 }")
    .replace(b"[30, 40, 50]", b'{ from = 1, to = 1000000, count = 1000000, spacing = "integer" }'),
    "10^300 steps": with_line("[30, 40, 50]", "1e300"),
    "infinite": with_line("learning_rate = 0.05", "learning_rate = inf"),
    "beyond float": with_line("learning_rate = 0.05", "learning_rate = 1e999"),
    "NaN": with_line("learning_rate = 0.05", "learning_rate = nan"),
    "NaN among others": with_line("[1e-2, 1e-3]", "[1e-2, nan]"),
    "a date": with_line("learning_rate = 0.05", "learning_rate = 1979-05-27T07:32:00Z"),
    "out of the folder": with_line('"small"', '"../../small"'),
    "an absolute path": with_line('"small"', '"/tmp/small"'),
    "a hidden folder": with_line('"small"', '".git"'),
    "a path with backslashes": with_line('"small"', "'..\\..\\small'"),
    "an option": with_line('"small"', '"-rf"'),
    "escape sequences": with_line('"small"', '"\\u001b[2J"'),
    "text turned round": with_line('"small"', '"sm\\u202eall"'),
    "a device as operator": with_line(
        'kind = "subspace"', 'kind = "subspace"\noperator = "file"\noperator_file = "/dev/zero"'
    ),
    "code as operator": with_line(
        'kind = "subspace"', 'kind = "subspace"\noperator = "file"\noperator_file = "evil.py"'
    ),
    "code as observable": with_line('"regression_error", ', "\"__import__('os').abort()\", "),
    "an attribute as kind": with_line('kind = "subspace"', 'kind = "__class__"'),
    "an attribute as optimizer": with_line(
        "learning_rate = 0.05", 'learning_rate = 0.05\noptimizer = "__init__"'
    ),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.toml"
    path.write_bytes(HOSTILE[name])
    with pytest.raises(SpecError) as caught:
        Sweep.from_file(path)
    problems = caught.value.problems
    assert problems
    assert all(problem.isprintable() for problem in problems)
    assert all("hostile.toml" in problem and len(problem) < 2000 for problem in problems)
    assert everything_below(tmp_path) == ["hostile.toml"]


def test_the_file_that_they_are_made_from_is_right(tmp_path: Path) -> None:
    path = tmp_path / "sound.toml"
    path.write_bytes(WHOLE)
    assert Sweep.from_file(path).num_runs == 12
