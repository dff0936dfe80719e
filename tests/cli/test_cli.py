"""The command line as a user meets it: what it prints, its exit status, what it leaves behind."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pandas
import pytest
from sweep_samples import (
    LONG,
    QUICK,
    REPOSITORY,
    SMALL,
    everything_below,
    start,
    wait_until,
    workers_of,
    write,
)

import dlnsweep
from dlnsweep.cli import app as cli
from dlnsweep.errors import DlnsweepError, Interrupted, SpecError
from dlnsweep.execution.preparing import prepare
from dlnsweep.figures import folder as drawing
from dlnsweep.figures.drawn import up_to_date

# The text that interrupts a terminal's foreground process.
CONTROL_C = b"\x03"
# What is said of the small sweep's figure wherever it is checked.
MIXES = (
    "figure: its medians mix runs of every training.num_steps (3 values), which neither hue nor "
    "panel_by shows.\n"
)
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., SimpleNamespace]:
    """Return a function that runs a command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> SimpleNamespace:
        monkeypatch.setattr(sys, "argv", ["dlnsweep", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return SimpleNamespace(status=ended.value.code or 0, out=said.out, err=said.err)

    return run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder of a finished run of the small sweep; its file stands beside it."""
    folder = tmp_path_factory.mktemp("finished")
    return dlnsweep.run(write(folder), folder, workers=0, figures=False).path


def test_help_and_version(command) -> None:
    shown = command("--help")
    assert shown.status == 0
    for name in ("run", "slurm", "check", "plan", "status", "figure", "verify", "gc", "init"):
        assert re.search(rf"^  {name} ", shown.out, re.M)
    assert command("--version").out == f"dlnsweep {dlnsweep.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("nosuch",), "No such command 'nosuch'"),
        (("run",), "Missing argument 'FILE'"),
        (("run", "a.toml", "--workers", "-1"), "Invalid value for '--workers'"),
        (("status", "a", "b"), "unexpected extra argument"),
    ],
)
def test_a_wrong_command_line_ends_with_2(command, arguments: tuple[str, ...], text: str) -> None:
    ended = command(*arguments)
    assert (ended.status, ended.out) == (2, "")
    assert text in ended.err


def test_check(command, tmp_path: Path) -> None:
    path = write(tmp_path)
    ended = command("check", path)
    assert (ended.status, ended.err) == (0, "")
    assert ended.out == (
        f"{path}: right; 12 runs: training.weight_decay (2) x training.num_steps (3) x seed (2)\n"
        f"note: {MIXES}"
    )
    ended = command("check", path, "--set", "sweep.seeds=5", "--set", "training.num_steps=7")
    assert ended.out == f"{path}: right; 10 runs: training.weight_decay (2) x seed (5)\n"


def test_check_looks_at_all_files_whatever_the_first_has(command, tmp_path: Path) -> None:
    right, wrong = write(tmp_path), tmp_path / "wrong.toml"
    wrong.write_text(right.read_text().replace("[training]", "[trianing]"))
    missing = tmp_path / "missing.toml"
    ended = command("check", wrong, missing, right)
    assert ended.status == 2
    assert ended.out.startswith(f"{right}: right; 12 runs")
    assert ended.err.startswith(f"dlnsweep: {wrong}:\n")
    assert "did you mean 'training'" in ended.err
    assert f"dlnsweep: {missing}:\n" in ended.err


def test_check_names_the_file_in_what_it_finds_by_trying_and_stops_when_it_is_asked_to(
    command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path)

    def fail(*_: object) -> None:
        raise SpecError("it is wrong.", "so is that.")

    monkeypatch.setattr("dlnsweep.execution.trial.check_network", fail)
    ended = command("check", path)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err == f"dlnsweep: {path}: it is wrong.\n{path}: so is that.\n"

    def stop(*_: object) -> None:
        raise Interrupted("it was asked to.")

    monkeypatch.setattr("dlnsweep.execution.trial.check_network", stop)
    ended = command("check", path, path)
    assert ended.status == 130
    assert ended.err.count("it was asked to.") == 1


def test_check_counts_the_runs_that_will_be_run(command, tmp_path: Path) -> None:
    changes = (
        "training.optimizer=['gradient_descent', 'momentum']",
        "training.momentum=[0.5, 0.9]",
    )
    sets = [part for change in (*changes, "training.num_steps=2") for part in ("--set", change)]
    ended = command("check", write(tmp_path), *sets)
    assert (ended.status, ended.err) == (0, "")
    assert re.search(
        r"right; 12 runs: .* seed \(2\)\n  4 of 16 combinations differ from", ended.out
    )


def test_set_says_what_is_wrong(command, tmp_path: Path) -> None:
    path = write(tmp_path)
    ended = command("check", path, "--set", "training.weigth_decay=1.0", "--set", "name=[")
    assert (ended.status, ended.out) == (2, "")
    assert "name=[" in ended.err
    ended = command("check", path, "--set", "training.weigth_decay=1.0")
    assert "did you mean 'weight_decay'" in ended.err


def test_a_wrong_sweep_starts_nothing(tmp_path: Path) -> None:
    """Exit status 2, all mistakes, no folder, no JAX."""
    path = write(
        tmp_path,
        SMALL.replace("learning_rate = 0.05", "learning_rate = -1.0").replace(
            "depth = 2", "depth = 0"
        ),
    )
    code = (
        "import sys\nfrom dlnsweep.cli.app import main\n"
        "try:\n    main()\nfinally:\n    print('jax' in sys.modules)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, "run", path],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "False\n")
    assert ended.stderr.startswith("dlnsweep: ")
    assert "training.learning_rate is -1.0" in ended.stderr
    assert "network.depth is 0" in ended.stderr
    assert everything_below(tmp_path) == ["sweep.toml"]


def test_a_missing_file_is_a_sentence(command) -> None:
    ended = command("run", "nosuch.toml")
    assert ended.status == 2
    assert ended.err.startswith("dlnsweep: nosuch.toml: the sweep file cannot be read")


def test_plan_without_a_probe(command, tmp_path: Path) -> None:
    ended = command("plan", write(tmp_path), "--no-probe", "--workers", "2")
    assert (ended.status, ended.err) == (0, "")
    said = dict(
        re.split(r"  +", line, maxsplit=1)
        for line in ended.out.splitlines()
        if not line.startswith("note: ")
    )
    assert list(said) == [
        "runs", "compiled programs", "batches", "workers", "run-steps", "memory a worker",
        "rows of curves", "Parquet",
    ]  # fmt: skip
    assert [said[key] for key in ("runs", "compiled programs", "batches", "workers")] == [
        "12", "1", "3", "2",
    ]  # fmt: skip
    assert said["run-steps"] == "480"
    assert everything_below(tmp_path) == ["sweep.toml"]


def test_plan_measures_the_time(command, tmp_path: Path) -> None:
    ended = command("plan", write(tmp_path), "--workers", "1")
    assert (ended.status, ended.err) == (0, "")
    assert re.search(
        r"^time +(\d+ min )?\d+ s to (\d+ min )?\d+ s on this machine, as busy as now, "
        r"of which starting workers \d+ s and compiling (\d+ min )?\d+ s "
        r"\(measured on 1 of 1 programs, by [a-z_]+: [\d.e+]+ [kM]? ?run-steps/s"
        r"(; what was measured a run here need not compile again)?\)$",
        ended.out,
        re.M,
    )


def test_plan_measures_nothing_of_what_is_refused(command, tmp_path: Path) -> None:
    wide = ("--set=network.depth=3", "--set=network.width=23000", '--set=record.weights="final"')
    ended = command("plan", write(tmp_path), *wide, "--workers", "1")
    assert (ended.status, ended.err) == (0, "")
    assert "not possible: record.weights keeps " in ended.out
    assert "of weights of one run; at most 4 GB are allowed: keep fewer steps" in ended.out
    assert "\ntime " not in ended.out


def test_what_is_done_waits_for_nothing_heavy(command, finished: Path) -> None:
    """Neither for JAX, nor for what reads and draws: the figures are as they were drawn."""
    sweep = finished.parent / "sweep.toml"
    command("run", sweep, "--out", finished.parent)
    code = "import sys; from dlnsweep.cli.app import main; main(); print(*sorted(sys.modules))"
    ended = subprocess.run(
        [sys.executable, "-c", code, "run", sweep, "--out", finished.parent],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        check=True,
    )
    assert "the figures are up to date" in ended.stderr
    loaded = ended.stdout.splitlines()[-1].split()
    assert not {"jax", "pandas", "matplotlib", "scipy"} & {*loaded}


def test_help_waits_for_nothing_that_checks_files() -> None:
    """Pydantic took as long as all else that `--help` does."""
    code = (
        "import sys; from dlnsweep.cli.app import main\n"
        "try: main()\nfinally: print(*sorted(sys.modules))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, "--help"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        check=True,
    )
    assert "verify" in ended.stdout
    loaded = ended.stdout.splitlines()[-1].split()
    assert "typer" in loaded
    assert not {"pydantic", "numpy", "jax", "pandas", "matplotlib"} & {*loaded}


def test_run_again_draws_and_says_so(command, finished: Path) -> None:
    shutil.rmtree(finished / "figures", ignore_errors=True)
    ended = command("run", finished.parent / "sweep.toml", "--out", finished.parent)
    assert ended.status == 0
    assert re.fullmatch(
        rf"dlnsweep: {re.escape(MIXES)}"
        rf"dlnsweep: {finished}: 0 of 12 runs to do\n"
        rf"dlnsweep: {finished}: 12 runs done, 0 diverged; \d+ s of computing\n",
        ended.err,
    )
    assert ended.out.splitlines() == [
        str(finished / "figures" / name) for name in ("curves.png", "curves.pdf")
    ]
    assert all(Path(line).stat().st_size > 1000 for line in ended.out.splitlines())


def test_figures_that_are_up_to_date_are_not_drawn_again(
    command, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "small"
    shutil.copytree(finished, folder)
    shutil.rmtree(folder / "figures", ignore_errors=True)
    drawn: list[object] = []
    draw = drawing.draw_figures
    monkeypatch.setattr(drawing, "draw_figures", lambda *a: drawn.append(a) or draw(*a))
    path = write(tmp_path, QUICK)

    def run(*sets: str) -> tuple[int, str, str]:
        drawn.clear()
        ended = command("run", path, "--out", tmp_path, *sets)
        assert ended.status == 0
        return len(drawn), ended.out, ended.err.splitlines()[-1]

    first = run()
    assert first[0] == 1
    again = run()
    assert again[:2] == (0, first[1])
    assert again[2].endswith(f"up to date; `dlnsweep figure {folder}` draws them again")
    # Other settings of the figure; another content of its file.
    title = ("--set", "figure.title=other")
    assert run(*title)[0] == 1
    (folder / "figures" / "curves.png").write_bytes(b"changed")
    assert run(*title)[0] == 1
    # A version that is not the same; a record that cannot be used.
    results = dlnsweep.open_results(folder)
    figures = drawing.stored_figures(results)
    assert up_to_date(results.store, figures)
    monkeypatch.setattr("dlnsweep.figures.drawn.__version__", "other")
    assert not up_to_date(results.store, figures)
    monkeypatch.undo()
    (folder / "figures" / "drawn.json").write_text("[")
    assert not up_to_date(results.store, figures)
    assert command("verify", folder).status == 0


def test_quiet_runs_in_this_process(command, tmp_path: Path) -> None:
    ended = command("run", write(tmp_path), "--workers", "0", "--quiet", "--no-figure")
    assert (ended.status, ended.out, ended.err) == (0, "", "")
    assert len(list((tmp_path / "results" / "small" / "curves").iterdir())) == 3


def test_plain_progress_is_a_few_lines(command, tmp_path: Path) -> None:
    ended = command("run", write(tmp_path), "--workers", "0", "--no-figure")
    lines = ended.err.splitlines()
    assert lines[0] == f"dlnsweep: {tmp_path / 'results/small'}: 12 of 12 runs to do"
    assert lines[-2].startswith("dlnsweep: 12 of 12 runs done")
    assert 3 <= len(lines) <= 6


def test_status(command, finished: Path) -> None:
    ended = command("status", finished)
    assert (ended.status, ended.err) == (0, "")
    assert re.fullmatch(
        r"small: 12 of 12 runs done\n  3 of 3 batches\n  0 runs diverged, 0 stopped early\n"
        r"  \d+ s of computing\n",
        ended.out,
    )


@pytest.mark.parametrize("name", ["status", "figure", "verify", "gc"])
def test_a_folder_without_results_is_a_sentence(command, tmp_path: Path, name: str) -> None:
    ended = command(name, tmp_path / "nosuch")
    assert (ended.status, ended.out) == (3, "")
    assert ended.err == (
        f"dlnsweep: {tmp_path / 'nosuch'}: is not a folder, so it is not the results folder of a "
        "sweep; give the folder that `dlnsweep run` made (results/<name>).\n"
    )
    assert everything_below(tmp_path) == []


def test_figure(command, finished: Path, tmp_path: Path) -> None:
    ended = command("figure", finished)
    assert (ended.status, ended.err) == (0, "")
    assert [Path(line).name for line in ended.out.splitlines()] == ["curves.png", "curves.pdf"]
    other = write(tmp_path, QUICK.replace('"curves"', '"final"').replace(
        'hue = "training.weight_decay"', 'x = "training.weight_decay"'
    ))  # fmt: skip
    ended = command("figure", finished, "--file", other)
    assert [Path(line).name for line in ended.out.splitlines()] == ["final.png"]


def test_figure_of_a_file_without_one(command, finished: Path, tmp_path: Path) -> None:
    bare = write(tmp_path, SMALL.partition("[figure]")[0])
    ended = command("figure", finished, "--file", bare)
    assert (ended.status, ended.out) == (2, "")
    assert "has no [figure]; add one" in ended.err


def test_verify_finds_a_flipped_byte(command, finished: Path, tmp_path: Path) -> None:
    ended = command("verify", finished)
    assert (ended.status, ended.out) == (0, f"{finished}: every file is as it was committed\n")
    path = finished / "curves" / "batch-000001.parquet"
    right = path.read_bytes()
    try:
        path.write_bytes(right[:100] + bytes([right[100] ^ 1]) + right[101:])
        ended = command("verify", finished)
    finally:
        path.write_bytes(right)
    assert (ended.status, ended.out) == (3, "")
    assert ended.err.startswith(f"dlnsweep: {path}: was changed after it was written")
    assert len(ended.err.splitlines()) == 1


def test_gc(command, finished: Path) -> None:
    left = finished / "_staging" / f"{'0' * 32}-batch-000009.parquet"
    left.write_bytes(b"part of a file")
    ended = command("gc", finished, "--dry-run")
    assert ended.out == f"{left}\n{finished}: 1 files would be removed\n"
    assert left.exists()
    ended = command("gc", finished)
    assert ended.out == f"{left}\n{finished}: 1 files removed\n"
    assert not left.exists()
    assert command("gc", finished).out == f"{finished}: 0 files removed\n"
    assert command("verify", finished).status == 0


def test_init_writes_a_file_that_is_right(command, tmp_path: Path) -> None:
    ended = command("init")
    assert (ended.status, ended.err) == (0, "")
    assert ended.out == (
        "sweep.toml: written; try `dlnsweep check sweep.toml`, then `dlnsweep run sweep.toml`\n"
    )
    assert command("check", "sweep.toml").status == 0
    before = (tmp_path / "sweep.toml").read_bytes()
    ended = command("init")
    assert ended.status == 2
    assert "there is a file of this name already, which is kept" in ended.err
    assert (tmp_path / "sweep.toml").read_bytes() == before
    assert "cannot be written" in command("init", "nosuch/a.toml").err


def test_explain(command) -> None:
    ended = command("explain", "training")
    assert ended.status == 0
    for word in ("learning_rate", "weight_decay", "traced", "static"):
        assert word in ended.out
    assert "subspace" in command("explain").out
    ended = command("explain", "nosuch")
    assert (ended.status, ended.out) == (2, "")
    assert "'nosuch' is not known" in ended.err


def test_another_sweep_in_the_folder(command, finished: Path, tmp_path: Path) -> None:
    path = write(tmp_path, SMALL.replace("depth = 2", "depth = 3"))
    before = everything_below(finished)
    ended = command("run", path, "--out", finished.parent)
    assert (ended.status, ended.out) == (3, "")
    assert ended.err.startswith(f"dlnsweep: {MIXES}dlnsweep: {finished}: holds another sweep")
    assert "network.depth" in ended.err
    assert "--out DIR" in ended.err
    assert everything_below(finished) == before


def test_other_files_in_the_folder(command, tmp_path: Path) -> None:
    (tmp_path / "results" / "small").mkdir(parents=True)
    (tmp_path / "results" / "small" / "thesis.tex").write_text("mine")
    path = write(tmp_path)
    before = everything_below(tmp_path)
    ended = command("run", path)
    assert (ended.status, ended.out) == (3, "")
    assert ended.err.startswith(
        f"dlnsweep: {MIXES}dlnsweep: {tmp_path / 'results/small'}: is not empty (thesis.tex)"
    )
    assert everything_below(tmp_path) == before


def test_a_path_below_a_file(command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    path = write(tmp_path)
    ended = command("run", path, "--out", tmp_path / "file" / "out")
    assert (ended.status, ended.out) == (3, "")
    assert "a part of this path is a file; give another --out DIR" in ended.err
    assert everything_below(tmp_path) == ["file", "sweep.toml"]


@pytest.fixture
def mounted(tmp_path: Path):
    """Return a function that mounts a small file system, if this process may."""
    mounts: list[Path] = []

    def mount(*options: str) -> Path:
        path = tmp_path / f"mount{len(mounts)}"
        path.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", path],
            capture_output=True,
            check=False,
        )
        if done.returncode:
            pytest.skip("this process may not mount file systems")
        mounts.append(path)
        return path

    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux may mount file systems")
    yield mount
    for path in mounts:
        subprocess.run(["umount", path], check=True)


def test_a_read_only_folder(command, tmp_path: Path, mounted) -> None:
    folder = mounted("size=64k", "ro")
    ended = command("run", write(tmp_path), "--out", folder)
    assert (ended.status, ended.out) == (3, "")
    assert ended.err == (
        f"dlnsweep: {MIXES}"
        f"dlnsweep: {folder / 'small'}: cannot create it (Read-only file system); every committed "
        "batch is kept; choose a folder that you may write with --out DIR.\n"
    )


def test_a_full_disk(command, tmp_path: Path, mounted) -> None:
    tiny = mounted("size=16k")
    ended = command("run", write(tmp_path), "--out", tiny, "--workers", "0", "--no-figure")
    assert (ended.status, ended.out) == (3, "")
    assert "(No space left on device)" in ended.err
    assert everything_below(tiny) == []
    nearly_full = mounted("size=1m")
    prepare(dlnsweep.Sweep.from_file(tmp_path / "sweep.toml"), nearly_full / "small")
    before = everything_below(nearly_full)
    free = os.statvfs(nearly_full)
    # A receipt fits, and half of the rest.
    (nearly_full / "other").write_bytes(bytes((free.f_bavail - 2) * free.f_bsize))
    arguments = ("run", tmp_path / "sweep.toml", "--out", nearly_full, "--no-figure")
    ended = command(*arguments, "--workers", "1")
    assert ended.status == 3
    assert "free space on this disk and run the same command again" in ended.err
    assert everything_below(nearly_full / "small") == [
        name.removeprefix("small/") for name in before if name != "small"
    ]
    (nearly_full / "other").unlink()
    assert command(*arguments, "--workers", "0").status == 0
    assert command("verify", nearly_full / "small").status == 0


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    process = start("explain", "training", cwd=tmp_path)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(240) == 0


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("dlnsweep.spec.sweep.Sweep.from_file", broken)
    monkeypatch.setattr(sys, "argv", ["dlnsweep", "check", "a.toml"])
    with pytest.raises(ZeroDivisionError, match="a bug"):
        cli.main()


def test_every_error_class_has_its_exit_status(command, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {}
    for error in DlnsweepError.__subclasses__():

        def fail(*_: object, error: type[DlnsweepError] = error) -> None:
            raise error("a sentence.")

        monkeypatch.setattr("dlnsweep.spec.sweep.Sweep.from_file", fail)
        ended = command("check", "a.toml")
        found[error.__name__] = (ended.status, ended.err)
    sentence = "dlnsweep: a sentence.\n"
    assert found == {
        "SpecError": (2, sentence),
        "StoreError": (3, sentence),
        "RunError": (4, sentence),
        "FigureError": (6, sentence),
        "Interrupted": (130, sentence),
    }


def test_an_interruption_outside_a_run_ends_with_130(
    command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dlnsweep.spec.sweep.Sweep.from_file", interrupted)
    ended = command("check", "a.toml")
    assert (ended.status, ended.err) == (130, "dlnsweep: stopped.\n")


def test_an_interruption_before_and_after_the_runs_says_what_is_kept(
    command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    path = write(tmp_path, QUICK)
    arguments = ("run", path, "--workers", "0", "--out", tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("dlnsweep.execution.preparing.prepare", interrupted)
        ended = command(*arguments)
    assert ended.status == 130
    assert "stopped while runs were planned; the same command begins again, and" in ended.err
    with monkeypatch.context() as patch:
        patch.setattr(drawing, "draw_missing_figures", interrupted)
        ended = command(*arguments)
    assert ended.status == 130
    kept = f"stopped while figures were drawn: the runs are kept; `dlnsweep figure {tmp_path}/"
    assert kept in ended.err


def test_control_c_while_runs_are_planned_says_a_sentence(tmp_path: Path) -> None:
    """Before anybody can know how many runs there are to do."""
    path = write(tmp_path, LONG)
    arguments = ("run", path, "--workers", "1", "--out", tmp_path)
    with on_a_terminal(*arguments, cwd=tmp_path) as (process, keyboard, shown):
        wait_until((tmp_path / "long").exists)
        os.write(keyboard, CONTROL_C)
        wait_until(lambda: (shown(), process.poll())[1] is not None)
        text = ANSI.sub("", shown())
    assert process.returncode == 130
    assert re.search(r"dlnsweep: (stopped|ended at once)", text)
    assert "Traceback" not in text


@contextlib.contextmanager
def on_a_terminal(
    *arguments: str | Path, cwd: Path, columns: int = 60, kind: str = "xterm"
) -> Iterator[tuple[subprocess.Popen[str], int, Callable[[], str]]]:
    """Start the command line on a terminal.

    Yields:
        The process, the end of the terminal at which the user sits, and a function that returns
        what has been shown so far.
    """
    ours, theirs = pty.openpty()
    try:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = start(*arguments, cwd=cwd, terminal=theirs, environment={"TERM": kind})
    finally:
        os.close(theirs)
    os.set_blocking(ours, False)
    said = b""

    def shown() -> str:
        nonlocal said
        with contextlib.suppress(OSError):
            while more := os.read(ours, 65536):
                said += more
        return said.decode(errors="replace")

    try:
        yield process, ours, shown
    finally:
        os.close(ours)


def test_control_c_on_a_terminal(tmp_path: Path) -> None:
    """The bar stays on its line; Ctrl-C ends with 130, says how to resume, leaves no worker."""
    path = write(tmp_path, LONG)
    arguments = ("run", path, "--workers", "1", "--out", tmp_path)
    with on_a_terminal(*arguments, cwd=tmp_path) as (process, keyboard, shown):
        wait_until(lambda: re.search(r"steps/s| left|/24 runs", shown()))
        os.write(keyboard, CONTROL_C)
        wait_until(lambda: (shown(), process.poll())[1] is not None)
        text = ANSI.sub("", shown())
    assert process.returncode == 130
    assert "starting, 0 s" in text
    assert "compiling on 1 worker" in text
    assert re.search(
        r"stopped: \d+ of 24 runs are done and kept in \S+; the same command goes on from there",
        text,
    )
    assert "Traceback" not in text
    drawn = [line for line in re.split(r"[\r\n]+", text) if " % " in line]
    assert drawn
    # Room is left for the ^C that the terminal writes behind it.
    assert max(map(len, drawn)) <= 60 - 2
    assert not workers_of(tmp_path / "long")


def test_control_c_on_a_terminal_without_cursor(tmp_path: Path) -> None:
    """What could not be moved back is not drawn: lines as in a file, and the same end."""
    path = write(tmp_path, LONG)
    arguments = ("run", path, "--workers", "1", "--out", tmp_path)
    with on_a_terminal(*arguments, cwd=tmp_path, kind="dumb") as (process, keyboard, shown):
        # A worker starts while runs are planned: nothing is to be gone on with yet.
        wait_until(lambda: "runs to do" in shown() and workers_of(tmp_path / "long"))
        os.write(keyboard, CONTROL_C)
        wait_until(lambda: (shown(), process.poll())[1] is not None)
        text = shown()
    assert process.returncode == 130
    lines = text.replace("^C", "").splitlines()
    assert all(line.startswith("dlnsweep: ") for line in lines), text
    assert lines[-1].endswith("; the same command goes on from there.")
    assert not ANSI.search(text)
    assert not workers_of(tmp_path / "long")


def test_a_table_is_written_with_every_digit(command, finished: Path, tmp_path: Path) -> None:
    ended = command("summary", finished, "--csv", tmp_path / "a.csv")
    assert (ended.status, ended.err) == (0, "")
    frame = pandas.read_csv(tmp_path / "a.csv")
    expected = dlnsweep.open_results(finished).summary(
        ["training.weight_decay", "training.num_steps"]
    )
    column = "regression_error_median"
    assert frame[column].tolist() == expected[column].tolist()
    assert f"{expected[column][0]:.4g}" in ended.out
    assert str(expected[column][0]) not in ended.out


@pytest.mark.parametrize("place", ["nosuch/a.csv", ".", "/dev/full"])
@pytest.mark.parametrize("name", ["summary", "transition"])
def test_a_table_that_cannot_be_written_is_a_sentence(
    command, finished: Path, name: str, place: str
) -> None:
    options = ["--x", "training.num_steps", "--success", "regression_error < 0.5"]
    ended = command(name, finished, "--csv", place, *(options if name == "transition" else []))
    assert (ended.status, ended.out) == (2, "")
    assert re.fullmatch(
        rf"dlnsweep: {re.escape(place)}: the table cannot be written \(.+\); name .+\n", ended.err
    )


def test_a_limit_of_two_sizes_is_refused(command, finished: Path) -> None:
    options = ["--in", "training.weight_decay", "--of", "regression_error"]
    ended = command("extrapolate", finished, *options)
    assert (ended.status, ended.out) == (2, "")
    assert "the setting to extrapolate in is 'training.weight_decay', which has " in ended.err


def test_a_summary_over_a_refined_axis_says_so(
    command, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    axis = "training.weight_decay"
    monkeypatch.setattr("dlnsweep.analysis.boundaries.refined_axis", lambda sweep: axis)
    note = f"note: {axis} is refined: rows are over its values, most of them close to the boundary"
    assert command("summary", finished, "--by", "training.num_steps").err == f"{note}\n"
    for shown in ([], ["--by", "seed", "--pivot", axis]):
        ended = command("summary", finished, *shown)
        assert (ended.status, ended.err) == (0, "")


def test_latex_has_the_formulas_of_the_network(command, finished: Path, tmp_path: Path) -> None:
    document = {
        "name": "fitted",
        "problem": {"kind": "separable", "measurement_dim": 3, "num_samples": 8, "margin": 0.5},
        "network": {"kind": "mlp", "depth": 1, "width": 1},
        "training": {"learning_rate": 0.01, "num_steps": 2, "loss": "logistic"},
        "record": {"observables": ["loss"]},
    }
    fitted = dlnsweep.run(document, tmp_path, workers=0).path
    text = command("summary", fitted, "--format", "latex").out
    # It had W_{L:1} Y - X, which is a deep linear network's and not this loss.
    assert r"loss $c\,\ell(f(Y),X)+\frac{\lambda}{2}\|\theta\|^2$" in text
    both = command("summary", fitted, finished, "--format", "latex", "--of", "loss").out
    assert "loss" in both
    assert "W_{L:1}" not in both


def test_a_summary_in_other_formats(command, finished: Path, tmp_path: Path) -> None:
    ended = command("summary", finished, "--format", "csv", "--csv", tmp_path / "a.csv")
    assert (ended.status, ended.err) == (0, "")
    assert ended.out == (tmp_path / "a.csv").read_text()
    pivot = ("--pivot", "training.weight_decay", "--by", "training.num_steps")
    ended = command("summary", finished, *pivot, "--of", "regression_error", "--format", "json")
    rows = json.loads(ended.out)
    expected = dlnsweep.open_results(finished).summary(
        ["training.num_steps", "training.weight_decay"], "regression_error"
    )
    assert [row["training.weight_decay=0.01"] for row in rows[:3]] == [
        expected["regression_error_median"][place] for place in (1, 3, 5)
    ]
    text = command("summary", finished, *pivot, "--format", "latex").out
    assert text.startswith("\\begin{tabular}")
    assert r"weight decay $\lambda $ = 0.001" in text
    # On a terminal the settings stand at the beginning of each line.
    assert command("summary", finished, *pivot).out.split()[:2] == [
        "observable", "training.num_steps",
    ]  # fmt: skip
    ended = command("summary", finished, "--pivot", "training.weight_decy")
    assert ended.status == 2
    assert "did you mean 'training.weight_decay'?" in ended.err
