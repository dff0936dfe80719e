"""The gallery: in a checkout, in an installed package, and where a name is wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sweep_samples import REPOSITORY
from typer.testing import CliRunner

from dlnsweep.cli.app import app
from dlnsweep.errors import SpecError
from dlnsweep.spec import gallery
from dlnsweep.spec.file import read
from dlnsweep.spec.sweep import Sweep

FILES = sorted((REPOSITORY / "sweeps").glob("*.toml"))


def test_all_sweeps_of_a_checkout_are_in_it():
    assert gallery.names() == [path.stem for path in FILES]
    # This package lies in the checkout, or was installed from it.
    for path in FILES:
        assert gallery.find(path.stem).read_bytes() == path.read_bytes()


def test_a_name_stands_wherever_a_sweep_file_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert Sweep.from_file("gallery:smoke") == Sweep.from_file(REPOSITORY / "sweeps/smoke.toml")
    changed = Sweep.from_file("gallery:smoke.toml", ["sweep.seeds=7"])
    assert len(changed.seeds) == 7
    # A mistake in it is told by the name that was given.
    with pytest.raises(SpecError, match=r"^gallery:smoke: training\.num_steps"):
        Sweep.from_file("gallery:smoke", ["training.num_steps=-1"])


def test_a_job_script_names_it_as_it_is(monkeypatch: pytest.MonkeyPatch):
    script = CliRunner().invoke(app, ["slurm", "gallery:smoke", "--shards", "2"]).output
    assert " run gallery:smoke --out " in script


def test_an_installed_package_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    package = tmp_path / "site-packages" / "dlnsweep"
    (package / "gallery").mkdir(parents=True)
    # What lies beside it is another package's.
    (package.parent / "sweeps").mkdir()
    shutil.copy(REPOSITORY / "sweeps" / "smoke.toml", package / "gallery")
    monkeypatch.setattr(gallery, "_PACKAGE", package)
    assert gallery.names() == ["smoke"]
    assert read(Path("gallery:smoke"))["name"] == "smoke"
    shutil.rmtree(package / "gallery")
    with pytest.raises(SpecError, match=r"has no gallery .* install it anew"):
        gallery.find("smoke")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("gallery:fig3_dept", "'fig3_dept' is no sweep of the gallery; did you mean 'fig3_depth'?"),
        ("gallery:../secret", "is no sweep of the gallery"),
        ("gallery:", "'' is no sweep of the gallery; `dlnsweep gallery` lists them."),
        ("gallery:\x1b[2J", r"\x1b[2J"),
    ],
)
def test_a_wrong_name_is_told(name: str, told: str):
    with pytest.raises(SpecError) as caught:
        read(Path(name))
    assert told in str(caught.value)
    assert str(caught.value).isprintable()


def test_the_command_lists_them_and_prints_one():
    listed = CliRunner().invoke(app, ["gallery"], catch_exceptions=False).output.splitlines()
    assert [line.split()[0] for line in listed[: len(FILES)]] == gallery.names()
    assert any(line.endswith("arXiv:2502.15522, Figure 3") for line in listed)
    assert listed[-2] == "Run one: dlnsweep run gallery:quickstart"
    printed = CliRunner().invoke(app, ["gallery", "smoke"], catch_exceptions=False).output
    assert printed == (REPOSITORY / "sweeps" / "smoke.toml").read_text(encoding="utf-8")
