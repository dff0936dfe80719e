"""The cache of compiled programs: the files alone, then what JAX makes of them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from sweep_samples import BARE, data_files, write

import dlnsweep
from dlnsweep.numerics import compile_cache, runtime
from dlnsweep.numerics.compile_cache import CompileCache, problem, wanted_folder, why_unusable

KEY = "jit_batched-0123456789abcdef"
PROGRAM = bytes(range(256)) * 40


@pytest.fixture
def cache(tmp_path: Path) -> CompileCache:
    assert not why_unusable(tmp_path / "cache")
    return CompileCache(tmp_path / "cache", "host")


def files_of(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_what_is_put_is_got(cache: CompileCache) -> None:
    assert cache.get(KEY) is None
    cache.put(KEY, PROGRAM)
    assert cache.get(KEY) == PROGRAM
    assert cache.get(KEY + "0") is None
    assert CompileCache(cache.folder, "host").get(KEY) == PROGRAM
    assert CompileCache(cache.folder, "another CPU").get(KEY) is None
    assert [stat.S_IMODE(p.stat().st_mode) for p in files_of(cache.folder)] == [0o600]


@pytest.mark.parametrize("place", [0, 31, 32, 5000, -1])
def test_a_flipped_byte_is_as_good_as_no_file(cache: CompileCache, place: int) -> None:
    cache.put(KEY, PROGRAM)
    path = cache.path_of(KEY)
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    assert cache.get(KEY) is None
    # It is gone, so that a whole one can take its place.
    assert files_of(cache.folder) == []
    cache.put(KEY, PROGRAM)
    assert cache.get(KEY) == PROGRAM


@pytest.mark.parametrize("length", [0, 10, 32, 33, 10_000])
def test_a_truncated_file_is_as_good_as_no_file(cache: CompileCache, length: int) -> None:
    cache.put(KEY, PROGRAM)
    os.truncate(cache.path_of(KEY), length)
    assert cache.get(KEY) is None


def test_a_file_under_another_name_is_not_taken(cache: CompileCache) -> None:
    cache.put(KEY, PROGRAM)
    cache.path_of(KEY).rename(cache.path_of("another program"))
    assert cache.get("another program") is None


def test_what_others_could_have_written_is_not_taken(cache: CompileCache) -> None:
    cache.put(KEY, PROGRAM)
    cache.path_of(KEY).chmod(0o620)
    assert cache.get(KEY) is None
    cache.put(KEY, PROGRAM)
    target = cache.path_of(KEY).rename(cache.folder / "elsewhere")
    cache.path_of(KEY).symlink_to(target)
    assert cache.get(KEY) is None


def test_the_cache_is_bounded_and_keeps_what_was_used_last(tmp_path: Path) -> None:
    size = 1000
    cache = CompileCache(tmp_path, "host", max_bytes=10 * (size + 32))
    stale = tmp_path / "left-by-a-killed-process.part"
    stale.write_bytes(b"")
    os.utime(stale, (0, 0))
    for number in range(10):
        cache.put(f"{number}", bytes(size))
        os.utime(cache.path_of(f"{number}"), (number, number))
    assert cache.get("0") is not None  # ... which makes it the youngest
    cache.put("10", bytes(size))
    kept = [n for n in range(11) if cache.get(f"{n}") is not None]
    # Eight tenths of the bound stay: room for the next ones.
    assert kept == [0, 4, 5, 6, 7, 8, 9, 10]
    assert not stale.exists()
    cache.put("too large", bytes(11 * size))
    assert cache.get("too large") is None


def test_a_folder_that_cannot_be_written_does_no_harm(cache: CompileCache) -> None:
    cache.folder.rmdir()
    cache.put(KEY, PROGRAM)
    assert cache.get(KEY) is None


def test_where_the_folder_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLNSWEEP_COMPILE_CACHE", str(tmp_path / "mine"))
    assert wanted_folder() == tmp_path / "mine"
    for off in ("off", "OFF", "0", ""):
        monkeypatch.setenv("DLNSWEEP_COMPILE_CACHE", off)
        assert wanted_folder() is None
        assert problem() == ""
    monkeypatch.delenv("DLNSWEEP_COMPILE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert wanted_folder() == tmp_path / "xdg" / "dlnsweep"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/paths/are/ignored")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert wanted_folder() == tmp_path / ".cache" / "dlnsweep"
    assert problem() == ""
    assert stat.S_IMODE((tmp_path / ".cache" / "dlnsweep").stat().st_mode) == 0o700


def test_a_folder_that_others_can_write_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setenv("DLNSWEEP_COMPILE_CACHE", str(folder))
    for mode in (0o770, 0o702, 0o1777):
        folder.chmod(mode)
        assert problem() == (
            f"{folder}: others can write to it (mode {mode:04o}), so compiled programs are not "
            f"kept there; chmod 700 {folder}, or set DLNSWEEP_COMPILE_CACHE to another folder or "
            "to 'off'."
        )
    folder.chmod(0o700)
    assert problem() == ""
    link = tmp_path / "link"
    link.symlink_to(folder)
    assert "is a link" in why_unusable(link)
    file = tmp_path / "file"
    file.write_text("")
    assert "is no folder" in why_unusable(file)
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    assert "belongs to another user" in why_unusable(folder)


def test_machine_code_is_kept_apart_by_cores_and_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = compile_cache.host(1), compile_cache.host(2)
    monkeypatch.setenv("NPROC", "1")
    assert len({one, two, compile_cache.host(2)}) == 3


def test_the_users_process_is_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import jax
    from jax._src import compilation_cache

    monkeypatch.setenv("DLNSWEEP_COMPILE_CACHE", str(tmp_path))
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = [getattr(jax.config, name) for name in names]
    with runtime.numerics():
        with runtime.numerics():
            pass
        assert isinstance(compilation_cache._cache, CompileCache)
    assert compilation_cache._cache is None
    assert [getattr(jax.config, name) for name in names] == before
    # A cache of the user's own is not touched.
    monkeypatch.setattr(type(jax.config), "jax_compilation_cache_dir", "/mine", raising=False)
    with runtime.numerics():
        assert compilation_cache._cache is None


REDUCED = (
    BARE.replace("width = 8", "width = 64")
    .replace("[30, 40, 50]", "300")
    .replace("[1e-2, 1e-3]", "1e-2")
    .replace("seeds = 2", 'seeds = 1\nkernel = "reduced"')
)


@pytest.mark.parametrize(
    # The cache sees texts; that of the reduced kernel is the longer one to compile.
    "text",
    [BARE, pytest.param(REDUCED, marks=pytest.mark.slow)],
    ids=["dense", "reduced"],
)
def test_a_program_from_the_cache_gives_the_same_bits(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jax import monitoring

    from dlnsweep.engine.programs import PROGRAMS

    path, folder = write(tmp_path, text), tmp_path / "cache"
    monkeypatch.setenv("DLNSWEEP_COMPILE_CACHE", str(folder))
    events: list[str] = []
    monitoring.register_event_listener(lambda event, **_: events.append(event))

    def run(name: str) -> tuple[int, int]:
        PROGRAMS.clear()
        events.clear()
        dlnsweep.run(path, tmp_path / name, workers=0)
        read, compiled = (
            events.count(f"/jax/compilation_cache/cache_{word}") for word in ("hits", "misses")
        )
        return read, compiled

    read, compiled = run("cold")
    assert read == 0
    assert compiled >= 2
    assert len(files_of(folder)) == compiled
    # The largest is the one that trains. Compiled again where its file is broken, else read.
    broken = max(files_of(folder), key=lambda path: path.stat().st_size)
    os.truncate(broken, broken.stat().st_size // 2)
    read, again = run("warm")
    assert read >= 1
    assert again == 1
    assert data_files(tmp_path / "warm") == data_files(tmp_path / "cold")
