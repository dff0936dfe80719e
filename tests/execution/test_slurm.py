"""The job script for SLURM, checked by a shell and run with a stand-in for Python."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from sweep_samples import write

from dlnsweep.cli.app import main
from dlnsweep.errors import SpecError
from dlnsweep.execution.slurm import Resources, job_script

# Says what it was called with, as the job would call dlnsweep.
STAND_IN = "#!{python}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n"


def directives(script: str) -> list[str]:
    return [line[8:] for line in script.splitlines() if line.startswith("#SBATCH ")]


def test_the_script_asks_for_what_was_given() -> None:
    resources = Resources("2-00:00:00", 8, "16G", 2, ("partition=gpu,long", "exclusive"))
    script = job_script("fig4.a-b_c", Path("x.toml"), 32, resources, Path("out"))
    assert script.startswith("#!/bin/bash\n#SBATCH --job-name=fig4.a-b_c\n")
    assert directives(script) == [
        "--job-name=fig4.a-b_c",
        "--array=1-32",
        "--nodes=1",
        "--ntasks=1",
        "--cpus-per-task=8",
        "--mem=16G",
        "--time=2-00:00:00",
        "--signal=B:TERM@120",
        "--gpus-per-node=2",
        "--output=slurm-%x-%A_%a.out",
        "--open-mode=append",
        "--partition=gpu,long",
        "--exclusive",
    ]
    # SLURM reads directives only before the first command.
    assert script.index("set -euo") > script.rindex("#SBATCH")
    assert "--workers 2 " in script
    mine = Resources(options=("output=log/%a.txt", "open-mode=truncate"))
    found = directives(job_script("a", Path("a.toml"), 1, mine, Path("o")))
    assert [line for line in found if "output" in line] == ["--output=log/%a.txt"]
    assert [line for line in found if "open-mode" in line] == ["--open-mode=truncate"]


@pytest.mark.parametrize("odd", ["plain", "a b", "it's", 'say "$HOME"', "`touch x`;&|<>*?#", "ü"])
def test_names_reach_dlnsweep_as_they_are(odd: str, tmp_path: Path, monkeypatch) -> None:
    stand_in = tmp_path / f"python {odd.replace('/', '')}"
    stand_in.write_text(STAND_IN.format(python=sys.executable))
    stand_in.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(stand_in))
    file, out = tmp_path / odd / "sweep.toml", tmp_path / odd / "results"
    overrides = [f'source="{odd}"', "training.weight_decay=[1e-1, 1e-2]"]
    script = tmp_path / "job.sh"
    script.write_text(job_script("a", file, 8, Resources(cores=3), out, overrides))
    checked = subprocess.run(["bash", "-n", script], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    done = subprocess.run(
        ["bash", script],
        cwd=tmp_path,
        env={"SLURM_ARRAY_TASK_ID": "5", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [
        "-m", "dlnsweep", "run", str(file), "--out", str(out), "--set", overrides[0], "--set",
        overrides[1], "--workers", "3", "--shard", "5/8",
    ]  # fmt: skip
    # Submitted as a plain job it says so, and does not compute a wrong shard.
    alone = subprocess.run(["bash", script], env={}, capture_output=True, text=True, check=False)
    assert alone.returncode == 1
    assert "SLURM_ARRAY_TASK_ID: unbound variable" in alone.stderr


def test_what_sbatch_would_not_take_is_refused() -> None:
    with pytest.raises(SpecError) as raised:
        Resources("soon", 1, "4 G", 0, ("partition=a b", "--x", "a=$(rm)", "x=1\n#", "array=1-9"))
    assert str(raised.value).splitlines() == [
        "--time is 'soon'; it must be a time as sbatch takes it, such as 04:00:00, 2-00:00:00 or "
        "90 (minutes).",
        "--memory is '4 G'; it must be a size as sbatch takes it, such as 4G.",
        *(
            f"--sbatch is {option!r}; it must be the long name of an option of sbatch without its "
            "dashes, with a value of letters, digits and _.,:@%+/[]- if it takes one, such as "
            "partition=gpu."
            for option in ("partition=a b", "--x", "a=$(rm)", "x=1\n#")
        ),
        "--sbatch is 'array=1-9', but the script sets array itself.",
    ]


@pytest.mark.parametrize("time", ["90", "90:00", "04:00:00", "2-00", "2-00:30", "2-00:30:00"])
def test_times_of_sbatch_are_taken(time: str) -> None:
    assert Resources(time=time).time == time


def test_the_command_prints_the_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path)
    arguments = ["slurm", file, "--shards", 4, "--out", tmp_path, "--sbatch", "account=a.b"]
    monkeypatch.setattr(sys, "argv", ["dlnsweep", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    expected = job_script("small", file, 4, Resources(options=("account=a.b",)), tmp_path)
    assert capsys.readouterr().out == expected
    # A wrong file is found now, not by the jobs.
    file.write_text("name = 3")
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
