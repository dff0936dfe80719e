"""Results in an object store: the same results, nothing half visible whatever request fails."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import object_samples as objects
import pytest
import store_samples as samples
from object_samples import BASE, ROOT, Bucket, Killed

from dlnsweep.errors import StoreError
from dlnsweep.results import open_results
from dlnsweep.store import Store, layout
from dlnsweep.store import objects as protocol
from dlnsweep.store.address import join, location


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch):
    """Let every address stand for a bucket."""
    monkeypatch.setattr(protocol, "_LOCK_PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(protocol, "_LOCK_PAUSE_SECONDS", 0.0)

    def chosen(bucket: Bucket) -> Bucket:
        files = objects.files_of(bucket)
        local = layout.LocalFiles
        monkeypatch.setattr(
            "dlnsweep.store.store.open_files",
            lambda root: files if isinstance(root, str) else local(root),
        )
        return bucket

    return chosen


def sweep(decays: tuple[float, ...] = (0.1, 0.01, 0.0, 0.5)) -> Store:
    """Create, enlarge or go on with a sweep, as the runner does."""
    plan = samples.plan(decays)
    if Store.exists(ROOT):
        store = Store.open(ROOT)
        store.check_accepts(plan)
        rows = store.missing_rows(plan.run_ids)
        store.extend(samples.some_rows(plan, rows), samples.ENVIRONMENT)
    else:
        store = Store.create(ROOT, plan, samples.ENVIRONMENT)
    for number, _ in store.batches():
        if number not in store.done():
            samples.commit(store, number)
    return store


def test_an_object_store_holds_what_a_folder_holds(use, tmp_path):
    local = samples.complete(tmp_path / "a")
    bucket = use(Bucket())
    store = samples.complete(ROOT)
    assert store.root == ROOT
    assert bucket.data() == samples.data_files(local.root)
    assert store.status() == local.status()
    assert store.verify() == store.gc() == []
    results, same = open_results(ROOT), open_results(local.root)
    assert results.runs().equals(same.runs())
    assert results.curves("error").equals(same.curves("error"))
    assert results.summary("seed", at="min").equals(same.summary("seed", at="min"))
    assert str(results.path) == ROOT


def test_puts_of_a_commit_are_in_order_and_nothing_is_staged(use):
    bucket = use(Bucket())
    store = Store.create(ROOT, samples.plan(), {})
    bucket.log.clear()
    assert samples.commit(store, 0)
    puts = [what.removeprefix(f"put {BASE}/") for what in bucket.log if what.startswith("put")]
    assert puts == [
        "receipts/batch-000000.json",
        "outcomes/batch-000000.parquet",
        "curves/batch-000000.parquet",
    ]
    assert not samples.commit(store, 0)
    assert not any("_staging" in name for name in bucket.objects)


@contextlib.contextmanager
def failing(bucket: Bucket, at: int, late: bool, lasting: bool) -> Iterator[None]:
    bucket.count, bucket.fails_at, bucket.late, bucket.lasting = 0, at, late, lasting
    try:
        yield
    finally:
        bucket.fails_at = 0


def assert_whole(bucket: Bucket, whole: dict[str, bytes]) -> None:
    """Check that everything visible is what it will be at the end, and what is done is whole."""
    found = bucket.data()
    assert all(whole[name] == data for name, data in found.items())
    if Store.exists(ROOT):
        store = Store.open(ROOT)
        assert [p for p in store.verify() if not p.leftover] == []
        assert len(open_results(ROOT).curves("error")["run_id"].unique()) == store.status().done


@pytest.mark.parametrize(
    ("late", "lasting", "death"),
    [
        (False, False, False),
        pytest.param(False, True, True, marks=pytest.mark.slow),
        pytest.param(True, False, False, marks=pytest.mark.slow),
        (True, True, True),
    ],
)
def test_any_request_may_fail(use, late, lasting, death):
    whole_bucket = use(Bucket())
    sweep()
    whole, total = whole_bucket.data(), whole_bucket.count
    for at in range(1, total + 1):
        bucket = use(Bucket())
        if death:
            bucket.failure = Killed
        with failing(bucket, at, late, lasting), contextlib.suppress(StoreError, Killed):
            sweep()
        assert_whole(bucket, whole)
        # A lock whose holder died ends by itself.
        bucket.age(minutes=6)
        store = sweep()
        assert bucket.data() == whole
        assert store.verify() == []
        bucket.age(days=2)
        store.gc()
        assert not any("_staging" in name for name in bucket.objects)
        assert store.verify() == []


@pytest.mark.parametrize("late", [False, True])
def test_any_request_of_an_enlargement_may_fail(use, late):
    whole_bucket = use(Bucket())
    sweep((0.1, 0.01))
    whole_bucket.count = 0
    sweep((0.1, 0.01, 0.3))
    whole, total = whole_bucket.data(), whole_bucket.count
    for at in range(1, total + 1):
        bucket = use(Bucket())
        sweep((0.1, 0.01))
        with failing(bucket, at, late, lasting=True), contextlib.suppress(StoreError):
            sweep((0.1, 0.01, 0.3))
        assert [p for p in Store.open(ROOT).verify() if not p.leftover] == []
        bucket.age(minutes=6)
        sweep((0.1, 0.01, 0.3))
        assert bucket.data() == whole


def test_a_lock_keeps_others_out_until_its_holder_is_dead(use):
    bucket = use(Bucket())
    files = objects.files_of(bucket)
    other = objects.files_of(bucket)
    with files.locked(exclusive=True):
        with pytest.raises(StoreError) as caught, other.locked(exclusive=True):
            pass
        assert "another runner is writing the plan here" in str(caught.value)
        assert f"remove {ROOT}/_staging/lock-" in str(caught.value)
        with other.locked(exclusive=False):
            pass
        bucket.age(minutes=6)
        with other.locked(exclusive=True):
            pass
    assert bucket.objects == {}


def test_gc_spares_what_a_running_commit_has_put(use):
    bucket = use(Bucket())
    store = samples.complete(ROOT)
    lost = f"{BASE}/curves/batch-000001.parquet"
    bucket.objects.pop(lost)
    assert store.gc() == store.gc(dry_run=True) == []
    bucket.age(days=2)
    names = [f"{ROOT}/receipts/batch-000001.json", f"{ROOT}/outcomes/batch-000001.parquet"]
    assert store.gc(dry_run=True) == names
    assert store.gc() == names
    assert store.verify() == []
    assert samples.commit(store, 1)
    assert store.verify() == []


def test_a_changed_object_is_found_and_a_damaged_one_refused(use):
    bucket = use(Bucket())
    store = samples.complete(ROOT)
    name = f"{BASE}/curves/batch-000000.parquet"
    data = bytearray(bucket.objects[name][0])
    data[40] ^= 1
    bucket.objects[name] = (bytes(data), bucket.objects[name][1])
    (problem,) = store.verify()
    assert problem.sentence.startswith(f"s3://{name}: was changed after it was written")
    with pytest.raises(StoreError, match="is damaged and cannot be read as Parquet"):
        open_results(ROOT).curves()


@pytest.mark.parametrize(
    ("failure", "advice"),
    [
        (
            OSError("AWS Error ACCESS_DENIED during PutObject operation: Access Denied."),
            "(AWS Error ACCESS_DENIED during PutObject operation: Access Denied); every committed "
            "batch is kept; check the keys in the environment",
        ),
        (OSError("AWS Error NO_SUCH_BUCKET during PutObject operation"), "make the bucket, or"),
        (
            OSError("AWS Error NETWORK_CONNECTION during HeadObject operation: curlCode: 7"),
            "check the network and the endpoint (AWS_ENDPOINT_URL)",
        ),
        (ConnectionError("reset"), "check the network and the endpoint"),
        (OSError("something else"), "mend this and run the same command again."),
    ],
)
def test_refusals_of_the_store_say_what_to_do(use, failure, advice):
    bucket = use(Bucket())
    store = Store.create(ROOT, samples.plan(), {})
    bucket.failure = lambda: failure
    with failing(bucket, 1, late=False, lasting=True), pytest.raises(StoreError) as caught:
        samples.commit(store, 0)
    assert str(caught.value).startswith(f"{ROOT}/")
    assert advice in str(caught.value)
    assert caught.value.exit_status == 3


def test_what_fails_while_a_file_is_read_is_not_called_damage(use):
    bucket = use(Bucket())
    samples.complete(ROOT)
    results = open_results(ROOT)
    bucket.failure = lambda: OSError("AWS Error NETWORK_CONNECTION during GetObject operation")
    with failing(bucket, 2, late=False, lasting=True), pytest.raises(StoreError) as caught:
        results.runs()
    assert "is damaged" not in str(caught.value)
    assert "check the network" in str(caught.value)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("s3://key:secret@bucket/x", "s3://...@: holds credentials, but an address says where"),
        ("s3://bucket/x?endpoint_override=y", "has a '?' or '#' in it, but an address says where"),
        ("s3://bucket/x#y", "has a '?' or '#' in it"),
        ("s3:///x", "s3:///x: names no bucket; give s3://bucket/path."),
        ("file://host/x", "file://host/x: names another machine; give file:///path."),
        (Path("s3://bucket/x"), "s3:/bucket/x: a Path cannot hold an address"),
        ("nosuch://bucket/x", "nothing that is installed reads nosuch://; give a folder, or an"),
    ],
)
def test_addresses_that_are_refused(address, sentence):
    with pytest.raises(StoreError) as caught:
        Store.open(address)
    assert sentence in str(caught.value)
    assert "secret" not in str(caught.value)


def test_addresses_and_paths():
    assert location("results/a") == Path("results/a").absolute()
    assert location("file:///tmp/a%20b") == Path("/tmp/a b")
    assert location("s3://bucket/a/") == "s3://bucket/a"
    assert location(Path("a")) == Path("a").absolute()
    assert join("s3://bucket/a", "b") == "s3://bucket/a/b"
    assert layout.results_folder("s3://bucket/a/", "fig4") == "s3://bucket/a/fig4"
    assert layout.results_folder("results", "fig4") == Path("results/fig4").absolute()
    with pytest.raises(StoreError, match="cannot name a results folder"):
        layout.results_folder("s3://bucket", "../x")


def test_a_file_address_is_a_folder(tmp_path):
    samples.complete(tmp_path / "a")
    assert Store.open(f"file://{tmp_path}/a").root == tmp_path / "a"


def test_fsspec_file_systems_hold_results_too(tmp_path):
    pytest.importorskip("fsspec")
    root = "memory://results/sample"
    store = samples.complete(root)
    assert store.verify() == []
    assert Store.open(root).status().done == 12
    assert len(open_results(root).curves("error")) == len(
        open_results(samples.complete(tmp_path / "a").root).curves("error")
    )


@pytest.mark.skipif(
    "AWS_ENDPOINT_URL" not in os.environ or "DLNSWEEP_TEST_BUCKET" not in os.environ,
    reason="needs a server: AWS_ENDPOINT_URL and DLNSWEEP_TEST_BUCKET (an empty bucket)",
)
def test_a_real_server_holds_the_same(tmp_path):
    root = f"s3://{os.environ['DLNSWEEP_TEST_BUCKET']}/{os.getpid()}/sample"
    local = samples.complete(tmp_path / "a")
    store = samples.complete(root)
    assert store.status() == local.status()
    assert store.verify() == store.gc() == []
    assert open_results(root).runs().equals(open_results(local.root).runs())
