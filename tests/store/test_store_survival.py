"""Whatever fails or dies, and whenever: nothing torn, nothing lost, and a retry succeeds."""

# What is made to fail is `os`, so `os` is what is spoken of.
# ruff: noqa: PTH105, PTH208

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import store_samples as samples
from faults import (
    WRITING,
    FaultyOs,
    Killed,
    count_operations,
    faults,
    full_disk,
)
from sweep_samples import PATIENCE

from dlnsweep.errors import StoreError
from dlnsweep.store import Store, system


@pytest.fixture
def _quick_disk(monkeypatch):
    monkeypatch.setattr(system, "os", FaultyOs(-1, full_disk, False))


def assert_sound(root: Path) -> None:
    assert [p for p in Store.open(root).verify() if not p.leftover] == []


def tree(root: Path) -> list[str]:
    return sorted(str(p.relative_to(root)) for p in root.rglob("*"))


@pytest.mark.usefixtures("_quick_disk")
@pytest.mark.parametrize("lasting", [False, True])
def test_full_disk_during_creation(tmp_path, lasting):
    create = lambda root: Store.create(root, samples.plan(), samples.ENVIRONMENT)  # noqa: E731
    reference = create(tmp_path / "whole")
    total = count_operations(lambda: create(tmp_path / "counted/deep"))
    for number in range(1, total + 1):
        home = tmp_path / str(number)
        home.mkdir()
        root = home / "deep/er"
        with faults(number, lasting=lasting), pytest.raises(StoreError) as caught:
            create(root)
        assert "No space left on device" in str(caught.value)
        assert "free space on this disk and run the same command again" in str(caught.value)
        if Store.exists(root):
            # Only the very last synchronisation failed.
            assert_sound(root)
        else:
            assert tree(home) == []
        assert samples.data_files(create(root).root) == samples.data_files(reference.root)


@pytest.mark.usefixtures("_quick_disk")
@pytest.mark.parametrize("lasting", [False, True])
def test_full_disk_during_a_commit(tmp_path, lasting):
    whole = samples.data_files(samples.complete(tmp_path / "whole").root)

    def half(name: str) -> Store:
        store = Store.create(tmp_path / name, samples.plan(), samples.ENVIRONMENT)
        samples.commit(store, 0)
        return store

    counted = half("counted")
    total = count_operations(lambda: samples.commit(counted, 1))
    for number in range(1, total + 1):
        store = half(str(number))
        with faults(number, lasting=lasting), pytest.raises(StoreError, match="No space left"):
            samples.commit(store, 1)
        assert os.listdir(store.root / "_staging") == ["lock"]
        assert_sound(store.root)
        before = samples.data_files(store.root)
        assert all(whole[name] == content for name, content in before.items())
        samples.commit(store, 1)
        assert samples.data_files(store.root) == whole
        assert store.verify() == []


def enlarge(root: Path) -> Store:
    large = samples.plan((0.1, 0.01, 0.3))
    store = Store.open(root)
    store.check_accepts(large)
    store.extend(samples.some_rows(large, store.missing_rows(large.run_ids)), samples.ENVIRONMENT)
    return store


@pytest.mark.usefixtures("_quick_disk")
@pytest.mark.parametrize(("failure", "lasting"), [(full_disk, False), (Killed, True)])
def test_failure_at_any_moment_of_an_enlargement(tmp_path, failure, lasting):
    small = samples.plan((0.1, 0.01))
    whole = samples.data_files(enlarge(samples.complete(tmp_path / "whole", small).root).root)
    counted = samples.complete(tmp_path / "counted", small).root
    total = count_operations(lambda: enlarge(counted))
    for number in range(1, total + 1):
        root = samples.complete(tmp_path / str(number), small).root
        with pytest.raises((StoreError, Killed)), faults(number, failure, lasting):
            enlarge(root)
        assert_sound(root)
        assert samples.data_files(enlarge(root).root) == whole
        assert Store.open(root).verify() == []


@pytest.mark.usefixtures("_quick_disk")
def test_death_at_any_operation_of_creation_and_commit(tmp_path):
    whole = samples.data_files(samples.complete(tmp_path / "whole").root)

    def sweep(root: Path) -> Store:
        store = Store.open(root) if Store.exists(root) else None
        store = store or Store.create(root, samples.plan(), samples.ENVIRONMENT)
        for number, _ in store.batches():
            if number not in store.done():
                samples.commit(store, number)
        return store

    total = count_operations(lambda: sweep(tmp_path / "counted"))
    for number in range(1, total + 1):
        root = tmp_path / str(number)
        with pytest.raises(Killed), faults(number, Killed, lasting=True):
            sweep(root)
        if Store.exists(root):
            assert_sound(root)
        store = sweep(root)
        assert samples.data_files(root) == whole
        leftovers = store.gc()
        assert all(path.parent.name == "_staging" for path in leftovers)
        assert samples.data_files(root) == whole
        assert store.verify() == []
        assert os.listdir(root / "_staging") == ["lock"]


def test_order_in_which_a_commit_reaches_the_disk(tmp_path):
    store = Store.create(tmp_path / "a", samples.plan(), samples.ENVIRONMENT)
    log: list[tuple[str, str]] = []
    paths: dict[int, str] = {}

    class LoggingOs(FaultyOs):
        def __getattr__(self, name):
            original = getattr(os, name)

            def operation(*args, **kwargs):
                result = original(*args, **kwargs)
                if name == "open":
                    paths[result] = str(args[0])
                elif name in ("write", "fsync"):
                    log.append((name, paths[args[0]]))
                elif name == "replace":
                    log.append((str(args[0]), str(args[1])))
                return result

            return operation if name in WRITING else original

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(system, "os", LoggingOs(-1, full_disk, False))
        samples.commit(store, 0)
    moves = [
        i for i, (_, target) in enumerate(log) if "_staging" not in target and "batch" in target
    ]
    targets = [Path(log[i][1]).relative_to(store.root).parts[0] for i in moves]
    assert targets == ["receipts", "outcomes", "curves"]
    for i in moves:
        source, target = log[i]
        last_write = max(k for k, entry in enumerate(log) if entry == ("write", source))
        assert last_write < log.index(("fsync", source)) < i
        assert log[i + 1] == ("fsync", str(Path(target).parent))


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.EROFS, "choose a folder that you may write with --out DIR"),
        (errno.EACCES, "choose a folder that you may write with --out DIR"),
        (errno.EDQUOT, "free space within your quota"),
        (errno.EFBIG, "raise the file size limit"),
        (errno.EIO, "mend this and run the same command again"),
    ],
)
def test_refusals_of_the_system_say_what_to_do(tmp_path, code, advice):
    failure = lambda: OSError(code, os.strerror(code))  # noqa: E731
    root = tmp_path / "a"
    with faults(1, failure, lasting=True), pytest.raises(StoreError) as caught:
        Store.create(root, samples.plan(), {})
    assert str(caught.value).startswith(f"{root}: cannot create it ({os.strerror(code)})")
    assert advice in str(caught.value)
    assert not root.exists()
    assert caught.value.exit_status == 3


def test_read_only_folder_can_still_be_read(tmp_path):
    store = samples.complete(tmp_path / "a")
    with faults(0, lambda: OSError(errno.EROFS, "Read-only file system"), lasting=True):
        again = Store.open(store.root)
        again.check_accepts(samples.plan())
        again.extend(samples.some_rows(samples.plan(), np.arange(0)), {})
        assert again.status().done == 12
        assert again.verify() == []
        assert again.gc(dry_run=True) == []


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_gc_that_may_not_write_is_told_of_no_other_folder(tmp_path, code):
    store = samples.complete(tmp_path / "a")
    with (
        faults(1, lambda: OSError(code, os.strerror(code)), lasting=True),
        pytest.raises(StoreError) as caught,
    ):
        store.gc()
    assert "--out" not in str(caught.value)
    assert str(caught.value).endswith(
        "files are removed only where you may write; --dry-run tells which would go."
    )


def test_short_writes_are_completed(tmp_path):
    class ShortOs(FaultyOs):
        def __getattr__(self, name):
            if name == "write":
                return lambda descriptor, data: os.write(descriptor, data[:1000])
            return super().__getattr__(name)

    whole = samples.data_files(samples.complete(tmp_path / "whole").root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(system, "os", ShortOs(-1, full_disk, False))
        samples.complete(tmp_path / "a")
    assert samples.data_files(tmp_path / "a") == whole


def test_file_systems_without_locks_commit_but_do_not_clean_up(tmp_path, monkeypatch):
    def no_locks(descriptor, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(system.fcntl, "flock", no_locks)
    store = samples.complete(tmp_path / "a")
    assert store.verify() == []
    with pytest.raises(StoreError, match="has no file locks, so this cannot be done safely"):
        store.gc()


def test_gc_waits_for_a_commit(tmp_path):
    store = Store.create(tmp_path / "a", samples.plan(), samples.ENVIRONMENT)
    reached, go_on = threading.Event(), threading.Event()

    class SlowOs(FaultyOs):
        def __getattr__(self, name):
            if name != "replace":
                return super().__getattr__(name)

            def replace(source, target):
                os.replace(source, target)
                if "outcomes" in str(target):
                    reached.set()
                    assert go_on.wait(10)

            return replace

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(system, "os", SlowOs(-1, full_disk, False))
        committing = threading.Thread(target=samples.commit, args=(store, 0))
        committing.start()
        assert reached.wait(10)
        removed: list[list[Path]] = []
        cleaning = threading.Thread(target=lambda: removed.append(Store.open(store.root).gc()))
        cleaning.start()
        cleaning.join(0.1)
        assert cleaning.is_alive()
        go_on.set()
        committing.join(10)
        cleaning.join(10)
    assert removed == [[]]
    assert store.done() == {0}
    assert store.verify() == []


def test_many_runners_create_and_commit_the_same(tmp_path):
    whole = samples.data_files(samples.complete(tmp_path / "whole").root)
    errors: list[BaseException] = []

    def run() -> None:
        try:
            store = Store.create(tmp_path / "a", samples.plan(), samples.ENVIRONMENT)
            for number, _ in store.batches():
                samples.commit(store, number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert errors == []
    assert samples.data_files(tmp_path / "a") == whole
    assert Store.open(tmp_path / "a").verify() == []
    assert os.listdir(tmp_path / "a/_staging") == ["lock"]


RUNNER = """
import sys
from pathlib import Path
import numpy as np
import store_samples as samples
from dlnsweep.store import Store

plan = samples.plan(tuple((1 + np.arange(40)) / 1000))
root = Path(sys.argv[1])
store = Store.open(root) if Store.exists(root) else Store.create(root, plan, samples.ENVIRONMENT)
for number in sorted(set(dict(store.batches())) - store.done()):
    samples.commit(store, number)
    print("committed", flush=True)
"""


def decays() -> tuple[float, ...]:
    return tuple((1 + np.arange(40)) / 1000)


def start(root: Path) -> subprocess.Popen[str]:
    folders = os.pathsep.join([str(Path(samples.__file__).parent), str(Path(__file__).parents[2])])
    return subprocess.Popen(
        [sys.executable, "-c", RUNNER, str(root)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": folders},
    )


def test_kill_9_while_committing(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    total = len(samples.complete(whole, samples.plan(decays())).batches())
    instants = random.Random(0)
    done = 0
    for _ in range(3):
        with start(killed) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "committed\n"
            time.sleep(instants.uniform(0, 0.02))
            process.send_signal(signal.SIGKILL)
            told = process.stdout.read().count("committed\n")
        assert_sound(killed)
        # At most the batch in progress is lost; it may also have been committed but not told.
        now_done = len(Store.open(killed).done())
        assert 0 <= now_done - (done + 1 + told) <= 1
        done = now_done
        if done == total:
            # A fast disk: nothing is left to be killed in.
            break
    with start(killed) as process:
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert samples.data_files(killed) == samples.data_files(whole)
    store = Store.open(killed)
    store.gc()
    assert store.verify() == []
