from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from dlnsweep.errors import StoreError
from dlnsweep.figures import folder as drawing
from dlnsweep.machine import places
from dlnsweep.machine.places import claim
from dlnsweep.numerics.runtime import python_command, usable_cores
from dlnsweep.store.layout import open_files


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Other processes of this machine may hold real places.
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_no_two_take_the_same_place() -> None:
    first, second = claim("core", ["3", "4"]), claim("core", ["3", "4"])
    assert first is not None
    assert second is not None
    assert (first.name, second.name) == ("3", "4")
    assert claim("core", ["3", "4"]) is None
    gpu = claim("gpu", ["3"])
    assert gpu is not None
    first.release()
    third = claim("core", ["4", "3"])
    assert third is not None
    assert third.name == "3"
    for place in (second, third, gpu):
        place.release()


def test_a_place_is_free_when_its_process_ends() -> None:
    code = (
        "from dlnsweep.machine.places import claim\n"
        "print(claim('gpu', ['a']).name, flush=True); input()"
    )
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, {str(Path(places.__file__).parents[1])!r}); {code}",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "a\n"
    assert claim("gpu", ["a"]) is None
    holder.kill()
    holder.communicate()
    free = claim("gpu", ["a"])
    assert free is not None
    free.release()


def test_without_locks_the_first_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = claim("gpu", ["../x", "b"])
    assert odd is not None
    assert odd.name == "../x"
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    for _ in range(2):
        place = claim("core", ["1", "2"])
        assert place is not None
        assert place.name == "1"


def test_without_any_folder_for_temporary_files_the_first_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nowhere() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    place = claim("core", ["1", "2"])
    assert place is not None
    assert place.name == "1"


def test_a_figure_for_an_object_store_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(prefix: str) -> str:
        raise FileNotFoundError(2, f"No usable temporary directory found for {prefix}")

    pytest.importorskip("fsspec")
    monkeypatch.setattr(tempfile, "TemporaryDirectory", nowhere)
    files = open_files("memory://somewhere")
    with pytest.raises(StoreError, match="none can be written on this machine; set TMPDIR"):
        drawing._put(files, None, "curves", ["png"])


def test_a_folder_of_locks_that_others_can_write_is_not_used(tmp_path: Path) -> None:
    place = claim("core", ["1"])
    assert place is not None
    (folder,) = tmp_path.iterdir()
    folder.chmod(0o777)
    second = claim("core", ["1"])
    assert second is not None
    assert second.name == "1"
    place.release()


def test_two_workers_take_different_cores(tmp_path: Path) -> None:
    cores = usable_cores()
    if len(cores) < 2:
        pytest.skip("needs two cores")
    command = python_command("dlnsweep.worker", str(tmp_path), "--cores", ",".join(map(str, cores)))
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    allowed = []
    for process in started:
        assert process.stdout is not None
        assert '"ready"' in process.stdout.readline()
        status = Path(f"/proc/{process.pid}/status").read_text()
        allowed.append(status.partition("Cpus_allowed_list:")[2].split()[0])
    for process in started:
        process.communicate()
    assert sorted(allowed) == sorted(map(str, cores[:2]))
