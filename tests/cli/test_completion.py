"""Completion at TAB: what is offered, and in real shells, each in a terminal of its own."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from sweep_samples import BARE, PATIENCE, REPOSITORY, write

from dlnsweep.cli.app import app
from dlnsweep.cli.completing import answer
from dlnsweep.cli.completion import Shell, completion

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a sweep file, a results folder, and names that a shell would run."""
    folder = tmp_path_factory.mktemp("completion")
    write(folder, BARE, "mine.toml")
    write(folder, BARE, "$(touch bad).toml")
    made = folder / "results" / "small"
    made.mkdir(parents=True)
    described = {"sweep": {"axes": [["network.depth"]]}, "observables": ["train_loss", "`reboot`"]}
    (made / "sweep.json").write_text(json.dumps(described))
    (folder / "results" / "; reboot").mkdir()
    return folder


@pytest.fixture(autouse=True)
def _there(place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(place)


def offered(*words: str) -> list[str]:
    return answer("zsh", words, COMMANDS)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["su"], ["summary"]),
        (["--v"], ["--version"]),
        (["run", "m"], ["mine.toml"]),
        (["run", "gallery:fig3"], ["gallery:fig3_conventions", "gallery:fig3_depth"]),
        (["run", "$"], []),
        (["check", "mine.toml", "gallery:smok"], ["gallery:smoke"]),
        (["run", "mine.toml", "m"], []),
        (["run", "mine.toml", "--set", "training.num"], ["training.num_steps="]),
        # Settings of the file's kinds only.
        (["run", "mine.toml", "--set", "problem.sub"], ["problem.subspace_dim="]),
        (["run", "mine.toml", "--set", "problem.teacher"], []),
        (["figure", "results/kept", "--set", "figure.legend_n"], ["figure.legend_names="]),
        (["figure", "results/kept", "--set", "training.num"], []),
        (["run", "--se"], ["--set"]),
        (["run", "--quiet", "m"], ["mine.toml"]),
        (["summary", ""], ["results/"]),
        (["summary", "results/"], ["results/small"]),
        (["summary", "results/small", "--pivot", ""], ["network.depth", "seed"]),
        (["summary", "results/small", "--of", ""], ["train_loss"]),
        (["summary", "results/small", "--format", "l"], ["latex"]),
        (["export", "results/small", "a.csv", "--where", "n"], ["network.depth="]),
        (["diff", "mine.toml", "results/"], ["results/small"]),
        (["explain", "deep_p"], ["deep_prior"]),
        (["guide", "clu"], ["clusters"]),
        (["gallery", "fig3_d"], ["fig3_depth"]),
        (["completion", "f"], ["fish"]),
        (["nosuch", ""], []),
    ],
)
def test_what_is_offered(words: list[str], expected: list[str]):
    assert offered(*words) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("dlnsweep summ", ["summary"]),
        ("dlnsweep run gallery:fig3_d", ["fig3_depth"]),
        ("dlnsweep run mine.toml --set training.num", ["training.num_steps="]),
        ("dlnsweep run mine.toml --set name=", []),
        ("dlnsweep run 'mi", ["mine.toml"]),
        ("dlnsweep status results/small ", []),
    ],
)
def test_bash_replaces_what_stands_behind_a_colon_only(line: str, expected: list[str]):
    assert answer("bash", [line], COMMANDS) == expected


def asked(*words: str) -> str:
    code = "import sys; from dlnsweep.cli.app import main; main(); print(*sorted(sys.modules))"
    return subprocess.run(
        [sys.executable, "-c", code, "_complete", *words],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    ).stdout


def test_an_answer_needs_nothing_heavy_and_a_mistake_is_none():
    found = asked("zsh", "run", "mine.toml", "--set", "training.num").splitlines()
    assert found[0] == "training.num_steps="
    assert not {"jax", "pandas", "pyarrow", "matplotlib", "numpy"} & set(found[-1].split())
    (bad := Path("results/bad")).mkdir()
    (bad / "sweep.json").write_text("[")
    found = asked("zsh", "summary", "results/bad", "--of", "").splitlines()
    shutil.rmtree(bad)
    assert len(found) == 1


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a PATH by which `dlnsweep` is this one."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "dlnsweep"
    program.write_text(
        f'#!/bin/sh\nPYTHONPATH={REPOSITORY} exec {sys.executable} -m dlnsweep "$@"\n'
    )
    program.chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def typed(shell: list[str], path: str, steps: list[tuple[str, str]]) -> None:
    """Type into a terminal; keys follow when what the last ones shall show is shown."""
    terminal, inside = pty.openpty()
    process = subprocess.Popen(
        shell,
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
        env={"PATH": path, "TERM": "vt100", "HOME": str(Path.cwd())},
    )
    os.close(inside)
    try:
        for keys, awaited in steps:
            os.write(terminal, keys.encode())
            shown = ""
            end = time.monotonic() + PATIENCE
            while awaited not in shown:
                assert time.monotonic() < end, shown
                if select.select([terminal], [], [], 1)[0]:
                    shown += os.read(terminal, 4096).decode(errors="replace")
    finally:
        process.kill()
        process.wait()
        os.close(terminal)


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_a_tab_in_a_real_shell(name: str, path: str):
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    shell = [name, "--norc", "-i"] if name == "bash" else [name, "-f", "-i"]
    steps = [
        (f'eval "$(dlnsweep completion {name})"; echo rea""dy\n', "ready"),
        ("dlnsweep run gallery:fig3_d\t", "epth"),
        ("--set training.num_st\t", "eps="),
        # No space came behind "=".
        ("7\x01echo \n", "fig3_depth --set training.num_steps=7\r\n"),
    ]
    typed(shell, path, steps)


def test_a_tab_in_fish(path: str):
    if not shutil.which("fish"):
        pytest.skip("fish is not installed")
    script = "dlnsweep completion fish | source; complete -C 'dlnsweep run gallery:fig3_d'"
    found = subprocess.run(
        ["fish", "--no-config", "-c", script],
        capture_output=True,
        text=True,
        env={"PATH": path, "HOME": str(Path.cwd())},
        check=True,
    )
    assert found.stdout == "gallery:fig3_depth\n"


def test_each_shell_has_a_script(capsys: pytest.CaptureFixture[str]):
    for shell in Shell:
        completion(shell)
        assert f"dlnsweep _complete {shell if shell != 'fish' else 'fish $before'}" in (
            capsys.readouterr().out
        )
