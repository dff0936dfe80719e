"""How often each promise of survival was tried, and how often broken: a guide's table.

`python -m tests.benchmarks.survival [NAME...]` prints one row a promise; `--quick` is for trying
the script. What is lost is counted as the promise says: a batch beyond those in progress, a byte
that differs from an undisturbed run, a file that is torn, a damage that is not found.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

sys.path.extend(
    str(Path(__file__).parents[1] / room) for room in (".", "samples", "execution", "machine")
)

import test_survival as small
from faults import FaultyOs, Killed, count_operations, faults
from sweep_samples import REPOSITORY, SMALL, terminal_command, write
from test_hostile import HOSTILE

from dlnsweep.engine import batch, descent, journal
from dlnsweep.errors import Interrupted, SpecError, StoreError
from dlnsweep.execution.preparing import prepare
from dlnsweep.execution.workers import worker
from dlnsweep.spec.sweep import Sweep
from dlnsweep.store import Store, system
from tests.benchmarks.tables import Table
from tests.benchmarks.tables import machine as measured_on

# Some tenths of a second a batch, so that a kill finds something to destroy.
KILLED = SMALL.replace('"small"', '"killed"').replace("[30, 40, 50]", "{steps}")
DRIVER = """
import sys
from pathlib import Path
from dlnsweep.engine import descent
from dlnsweep.execution.workers import worker
from dlnsweep.store.store import Store
descent._SEGMENT_SECONDS = 0.02
root = Path(sys.argv[1])
store = Store.open(root)
print("ready", flush=True)
for number in dict(store.batches()):
    if number not in store.done():
        worker.execute_batch(root, number, checkpoint_seconds=0.02)
"""


class Row(NamedTuple):
    """A row of the table."""

    promise: str
    tries: int
    losses: int
    note: str


@contextlib.contextmanager
def folder_of(name: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=f"survival-{name}-") as home:
        yield Path(home)


def driver(root: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", DRIVER, str(root)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def _wait_for_a_change(root: Path) -> None:
    def seen() -> set[tuple[str, int]]:
        folders = [root / name for name in ("curves", "checkpoints")]
        return {(str(p), p.stat().st_mtime_ns) for p in folders if p.exists()}

    before, deadline = seen(), time.monotonic() + 60
    while seen() == before and time.monotonic() < deadline:
        time.sleep(0.005)


def kill_9(quick: bool) -> Row:
    """Kill a process at random instants; count batches lost beyond the one in progress."""
    tries, batches = (3, 4) if quick else (50, 40)
    instants = random.Random(0)
    losses = resumed = while_training = 0
    with folder_of("kill") as home:
        steps = [20_000 + 100 * i for i in range(batches)]
        sweep = Sweep.from_file(write(home, KILLED.replace("{steps}", str(steps))))
        whole = prepare(sweep, home / "whole").store
        with driver(whole.root) as process:
            began = time.monotonic()
            process.communicate()
            print(f"undisturbed: {time.monotonic() - began:.1f} s", file=sys.stderr)
        reference = small.results(whole.root)
        assert len(whole.done()) == batches, "with nothing to lose nothing could be lost"
        store = prepare(sweep, home / "killed").store
        before: dict[str, bytes] = {}
        kept_before: set[int] = set()
        for k in range(tries):
            with driver(store.root) as process:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
                if k % 2:
                    # While importing and compiling, too.
                    time.sleep(instants.uniform(0, 8.0))
                else:
                    _wait_for_a_change(store.root)
                    time.sleep(instants.uniform(0, 1.0))
                process.send_signal(signal.SIGKILL)
                process.communicate()
            now = small.results(store.root)
            wrong = [n for n, data in now.items() if reference[n] != data]
            broken = [p for p in store.verify() if not p.leftover]
            lost = before.keys() - now.keys()
            losses += bool(wrong or broken or lost)
            before = now
            kept = {p.name for p in (store.root / "checkpoints").glob("*.npz")}
            while_training += bool(kept)
            for number in store.done() - kept_before:
                receipt = store.files.read_json(f"receipts/batch-{number:06d}.json")
                resumed += receipt["resumed_seconds"] > 0
            kept_before = store.done()
            print(f"kill {k + 1}: {len(kept_before)} of {batches} done", file=sys.stderr)
            if len(kept_before) == batches:
                shutil.rmtree(store.root)
                store = prepare(sweep, home / "killed").store
                before, kept_before = {}, set()
        with driver(store.root) as process:
            process.communicate()
        losses += small.results(store.root) != reference
        store.gc()
        losses += store.verify() != []
    note = f"{while_training} kills left a checkpoint, {resumed} batches went on from one"
    return Row("kill -9 at a random instant: nothing committed is lost, same bytes after", tries,
               losses, note)  # fmt: skip


@contextlib.contextmanager
def tiny(home: Path) -> Iterator[tuple[Path, dict[str, bytes]]]:
    """Batches of a moment with a checkpoint at every segment, on a disk that does not wait."""
    with (
        mock.patch.object(descent, "_FIRST_SEGMENT_STEPS", 10),
        mock.patch.object(descent.TimedBudget, "__call__", return_value=10),
        mock.patch.object(journal, "_LARGEST_SHARE", np.inf),
        mock.patch.object(system, "os", FaultyOs(-1, small.full_disk, lasting=False)),
    ):
        sweep = write(home)
        store = small.folder(sweep, home / "reference")
        small.work(store)
        yield sweep, small.results(store.root)


def _attempt(check: Callable[[], None]) -> int:
    """Return 1 if a check fails."""
    try:
        check()
    except Exception as error:
        print(f"LOST: {error!r}", file=sys.stderr)
        return 1
    return 0


def operations(quick: bool) -> Row:
    """Let the n-th file operation fail in every way, for every n, from nothing to the last byte."""
    tries = losses = 0
    eio = lambda: OSError(5, "Input/output error")  # noqa: E731
    ways: list[tuple[Any, bool]] = [
        (small.full_disk, False), (small.full_disk, True), (eio, False), (Killed, True)
    ]  # fmt: skip
    with folder_of("operations") as home, tiny(home) as (sweep, reference):

        def everything(out: Path) -> None:
            small.work(small.folder(sweep, out, small.STEPS[:1]))
            small.work(small.folder(sweep, out, small.STEPS[:2]))

        total = count_operations(lambda: everything(home / "counted"))
        for failure, lasting in ways[:1] if quick else ways:
            for number in range(1, total + 1, 20 if quick else 1):
                out = home / "out"
                # A failing checkpoint does not end a batch, so nothing may be raised.
                with contextlib.suppress(StoreError, Killed), faults(number, failure, lasting):
                    everything(out)

                def check(out: Path = out) -> None:
                    if Store.exists(out / "small"):
                        small.assert_sound(out / "small", reference)
                    small.work(small.folder(sweep, out, small.STEPS[:2]))
                    small.assert_completes(out / "small", reference)

                tries, losses = tries + 1, losses + _attempt(check)
                shutil.rmtree(out)
    ways_text = "once and for good (no space), once (I/O error), or the process dies"
    return Row("the n-th open, mkdir, write, fsync or replace fails: no torn or half-visible file",
               tries, losses, f"every n up to {total}; {ways_text}")  # fmt: skip


def going_on(quick: bool) -> Row:
    """Let a batch that goes on from another folder die at every file operation and segment."""
    tries, losses, total = _from_another("go_on_from", quick)
    return Row("runs that go on from another folder die or are stopped: bytes of whole runs", tries,
               losses, f"every file operation up to {total}, and after every segment")  # fmt: skip


def warm_start(quick: bool) -> Row:
    """Let a batch that begins with another folder's weights die at every operation and segment."""
    tries, losses, total = _from_another("warm_start", quick)
    promise = "runs that begin with another folder's weights die or are stopped: same bytes"
    note = f"every file operation up to {total}, and after every segment"
    return Row(promise, tries, losses, note)


def _from_another(key: str, quick: bool) -> tuple[int, int, int]:
    """Return tries, losses and file operations of runs that begin with what another folder has.

    Args:
        key: How: of [sweep].
        quick: Try a few only.
    """
    tries = losses = 0
    with folder_of(key) as home, tiny(home):
        sweep = write(home, small.KEEPING, "keeping.toml")
        ended = small.going(sweep, home / "ended", small.ENDED)
        small.work(ended)
        # Runs that go on are those that began at step 0; such as begin with weights are others.
        alone = {} if key == "go_on_from" else {key: ended.root}
        whole = small.going(sweep, home / "whole", small.LONGER, **alone)
        small.work(whole)
        wanted = small.results(whole.root)
        counted = small.going(sweep, home / "counted", small.LONGER, **{key: ended.root})
        total = count_operations(lambda: small.work(counted))
        for number in range(1, total + 1, 20 if quick else 1):
            for ending in (Killed, Interrupted):

                def check(number: int = number, ending: Any = ending) -> None:
                    out = home / "out"
                    store = small.going(sweep, out, small.LONGER, **{key: ended.root})
                    if ending is Killed:
                        with contextlib.suppress(Killed), faults(number, Killed, lasting=True):
                            small.work(store)
                    else:
                        with contextlib.suppress(Interrupted):
                            small.work(store, small.Survival.counted(number, lambda: True))
                    small.assert_sound(store.root, wanted)
                    small.assert_completes(store.root, wanted)
                    shutil.rmtree(out)

                tries, losses = tries + 1, losses + _attempt(check)
    return tries, losses, total


def limits(quick: bool) -> Row:
    """Limit the size of files; then a file system that is really full, where one can be made."""
    tries = losses = 0
    with folder_of("limits") as home, tiny(home) as (sweep, reference):
        largest = max(map(len, reference.values()))
        for k, size in enumerate(np.linspace(1, largest, 3 if quick else 20).astype(int)):
            out = home / str(k)

            def check(out: Path = out, size: int = int(size)) -> None:
                store = small.folder(sweep, out)
                with contextlib.suppress(StoreError), small.largest_file(size):
                    small.work(store)
                small.assert_sound(store.root, reference)
                small.assert_completes(store.root, reference)

            tries, losses = tries + 1, losses + _attempt(check)
    return Row("a file-size limit (RLIMIT_FSIZE): ends cleanly and goes on", tries, losses,
               "1 byte to the largest file")  # fmt: skip


FULL = """
set -e
mount -t tmpfs -o size=$2 none "$1"
cd "$1"
set +e
"$3" -m dlnsweep run "$4" --out out --workers 1 --no-figure -q 2> "$5"
echo $? > "$5.code"
mount -o remount,size=64m "$1"
"$3" -m dlnsweep run "$4" --out out --workers 1 --no-figure -q 2>> "$5" || exit 1
cp -r out "$6"
"""


def full_disk(quick: bool) -> Row:
    """Run on a file system of a few pages until it is full, make it larger, and go on."""
    tries = losses = 0
    ended = 0
    promise = "a full disk (tmpfs): ends with a sentence and goes on"
    if not shutil.which("unshare"):
        return Row(promise, 0, 0, "no unshare here")
    with folder_of("disk") as home:
        steps = list(range(100, 112))
        sweep = write(home, KILLED.replace("{steps}", str(steps)))
        whole = prepare(Sweep.from_file(sweep), home / "whole").store
        small.work(whole)
        reference = small.results(whole.root)
        for k, pages in enumerate([12] if quick else [6, 12, 20, 30, 40]):
            disk, said, copy = home / f"disk{k}", home / f"said{k}", home / f"copy{k}"
            disk.mkdir()
            done = subprocess.run(
                ["unshare", "-rm", "sh", "-c", FULL, "sh", str(disk), f"{4 * pages}k",
                 sys.executable, str(sweep), str(said), str(copy)],
                env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, check=False,
            )  # fmt: skip
            if done.returncode and not said.exists():
                return Row(promise, 0, 0, "no file system could be mounted here")
            text = said.read_text()
            clean = "Traceback" not in text and "No space left on device" in text
            ended += clean
            root = copy / "killed"
            right = done.returncode == 0 and small.results(root) == reference
            code = Path(f"{said}.code").read_text().strip()
            tries, losses = tries + 1, losses + (not right or not (clean or code == "0"))
    return Row(promise, tries, losses, f"{ended} were ended by it")


def lanes(quick: bool) -> Row:
    """Let one lane after another diverge; count lanes beside it whose bits change."""
    tries = losses = 0
    document: dict[str, Any] = {
        "name": "lanes",
        "problem": {"kind": "subspace", "signal_dim": 6, "measurement_dim": 4, "subspace_dim": 2,
                    "num_samples": 12},
        "network": {"depth": 3, "width": 8},
        "sweep": {"seeds": 1, "kernel": "dense"},
        "record": {"count": 8, "observables": ["regression_error"]},
    }  # fmt: skip
    kinds: dict[str, dict[str, Any]] = {
        "gradient descent": {}, "float32": {"sweep": {"precision": "float32"}},
        "Adam": {"training": {"optimizer": "adam"}},
        "minibatches": {"training": {"minibatch_size": 3}},
        "momentum": {"training": {"optimizer": "momentum"}},
        "ReLU": {"network": {"kind": "linear_then_relu"}},
        "wide": {"network": {"width": 400}},
    }  # fmt: skip
    rates = [0.001, 0.002, 0.003, 0.004]
    for name, changes in list(kinds.items())[: 1 if quick else None]:

        def train(rates: list[float], changes: dict[str, Any] = changes) -> Any:
            training = {"num_steps": 60, "weight_decay": 0.1, "learning_rate": rates}
            merged = document | {"training": training}
            merged = {k: v | changes.get(k, {}) if isinstance(v, dict) else v
                      for k, v in merged.items()}  # fmt: skip
            from dlnsweep.plan.plan import make_plan

            plan = make_plan(Sweep.from_dict(merged))
            return batch.train_batch(
                plan.settings, plan.shared, int(plan.settings["network.width"][0])
            )

        calm = train(rates)
        for lane in range(4):
            rough = train([1e60 if i == lane else rate for i, rate in enumerate(rates)])
            others = [i for i in range(4) if i != lane]
            same = all(
                rough.observables[k][others].tobytes() == v[others].tobytes()
                for k, v in calm.observables.items()
            )
            diverged = rough.status[lane] == "diverged"
            tries, losses = tries + 1, losses + (not same or not diverged)
            if not same or not diverged:
                print(f"LOST: {name}, lane {lane}: {rough.status}", file=sys.stderr)
    return Row("a lane diverges (to infinity, NaN): the others keep their bits", tries, losses,
               ", ".join(kinds))  # fmt: skip


CALLER = """
import sys
import dlnsweep
dlnsweep.run(sys.argv[1], sys.argv[2], workers=2)
"""


def polite(quick: bool) -> Row:
    """Stop runs with two worker processes politely; count those that do not keep every batch."""
    ways = [
        (place, name)
        for place in ("shell", "terminal", "Python")
        for name in ("INT", "TERM", "HUP", "USR1", "USR2", "XCPU")
    ]
    # What nohup, or the background of a script, lets this process ignore, its children would, too.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    tries = losses = batches = 0
    chance = random.Random(0)
    for place, name in ways[::6] if quick else ways * 2:
        with folder_of("polite") as home:
            kept = _stopped(home, place, getattr(signal, f"SIG{name}"), chance.uniform(0, 2))
        tries, losses, batches = tries + 1, losses + (kept < 2), batches + kept
        print(f"{place}, SIG{name}: {kept} of 2 batches kept", file=sys.stderr)
    signals = ", ".join(dict.fromkeys(name for _, name in ways))
    note = f"{batches} checkpoints; from a shell, a terminal and Python: {signals}"
    return Row("a polite stop with two workers keeps both running batches", tries, losses, note)


def _stopped(home: Path, place: str, number: int, wait: float) -> int:
    """Stop a run some time after its batches have begun; return how many it kept."""
    from test_stopping import ENDLESS

    sweep, root = write(home, ENDLESS), home / "small"
    command = [sys.executable, "-m", "dlnsweep", "run", str(sweep), "--out", str(home),
               "--workers", "2", "--no-figure"]  # fmt: skip
    options: dict[str, Any] = {"stderr": subprocess.PIPE, "start_new_session": True}
    ours = theirs = None
    if place == "Python":
        command = [sys.executable, "-c", CALLER, str(sweep), str(home)]
    if place == "terminal":
        ours, theirs = os.openpty()
        command = [sys.executable, *terminal_command(command[1:])]
        options |= dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
    bare = {k: v for k, v in os.environ.items() if k in ("HOME", "PATH", "LANG")}
    bare |= {"TERM": "dumb", "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(command, env=bare, **options)
    try:
        deadline = time.monotonic() + 300
        while len(_begun(root)) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(wait)
        if ours is not None and number == signal.SIGINT:
            os.write(ours, b"\x03")
        else:
            process.send_signal(number)
        if ours is None:
            process.communicate(timeout=400)
        else:
            os.close(theirs or 0)
            with contextlib.suppress(OSError):
                while os.read(ours, 65536):
                    pass
            process.wait(400)
    finally:
        process.kill()
        process.wait()
        if ours is not None:
            os.close(ours)
    expected = 130 if place != "Python" else -number
    if process.returncode != expected:
        print(f"LOST: status {process.returncode}, not {expected}", file=sys.stderr)
        return 0
    problems = Store.open(root).verify()
    return len(list(root.glob("checkpoints/*.npz"))) if not problems else 0


def _begun(root: Path) -> list[Any]:
    """Return the batches that a runner says it is computing."""
    found: list[Any] = []
    for path in root.glob("runners/*.json"):
        with contextlib.suppress(OSError, ValueError):
            found += json.loads(path.read_text())["batches"]
    return found


def two_runners(quick: bool) -> Row:
    """Let two processes work on one folder at the same time."""
    tries, losses = (1 if quick else 5), 0
    with folder_of("two") as home:
        steps = [60_000 + 1000 * i for i in range(6)]
        sweep = Sweep.from_file(write(home, KILLED.replace("{steps}", str(steps))))
        reference: dict[str, bytes] = {}
        for k in range(tries):
            store = prepare(sweep, home / str(k)).store
            processes = [driver(store.root) for _ in range(2)]
            codes = [process.wait() for process in processes]
            for process in processes:
                process.communicate()
            found = small.results(store.root)
            reference = reference or found
            store.gc()
            losses += codes != [0, 0] or found != reference or store.verify() != []
            losses += len(found) != 12
    return Row("two runners on one folder: same bytes, nothing torn", tries, losses, "processes")


# Two sweeps with rounds, of some tenths of a second each.
_WITH_ROUNDS = {
    "refine": {
        "training": {"learning_rate": [0.01, 30.0], "num_steps": 4000},
        "sweep": {"seeds": 3, "refine": {"between": "training.learning_rate"}},
    },
    "until": {
        "training": {"learning_rate": 0.05, "weight_decay": [0.01, 0.1], "num_steps": 4000},
        "sweep": {
            "seeds": 4,
            "until": {
                "observable": "regression_error", "width": 0.3, "relative": True, "most_seeds": 60,
            },
        },
    },
}  # fmt: skip
ROUNDS = """
import json, sys
import dlnsweep
print("ready", flush=True)
dlnsweep.run(
    json.loads(sys.argv[1]), sys.argv[2], workers=0, checkpoint_seconds=0.02,
    shard=sys.argv[3] or None,
)
"""
_COMMON_OF_ROUNDS = {
    "problem": {
        "kind": "subspace", "signal_dim": 6, "measurement_dim": 4, "subspace_dim": 2,
        "num_samples": 12,
    },
    "network": {"depth": 2, "width": 8},
    "record": {"count": 5, "observables": ["regression_error"]},
}  # fmt: skip


def _start_rounds(document: dict[str, Any], out: Path, shard: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", ROUNDS, json.dumps(document), str(out), shard]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "JAX_PLATFORMS": "cpu"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def with_rounds(quick: bool) -> Row:
    """Kill a sweep with rounds at random instants until it is done; compare it with a whole one."""
    tries = losses = within = 0
    chance = random.Random(0)
    for name, asked in _WITH_ROUNDS.items():
        with folder_of(name) as home:
            document = {"name": name, **_COMMON_OF_ROUNDS, **asked}
            with _start_rounds(document, home / "whole") as process:
                process.communicate()
            reference = small.results(home / "whole" / name)
            for k in range(1 if quick else 5):
                out, wait = home / str(k), 2.0
                while True:
                    with _start_rounds(document, out) as process:
                        assert process.stdout is not None
                        process.stdout.readline()
                        with contextlib.suppress(subprocess.TimeoutExpired):
                            # Longer and longer, so that it comes to an end.
                            process.wait(wait + chance.uniform(0, 1.5))
                        ended = process.poll() is not None
                        process.kill()
                        process.communicate()
                    wait += 0.2
                    tries += not ended
                    done = small.results(out / name) if Store.exists(out / name) else {}
                    within += not ended and 0 < len(done) < len(reference)
                    losses += any(reference.get(each) != data for each, data in done.items())
                    if ended:
                        break
                store = Store.open(out / name)
                store.gc()
                losses += small.results(out / name) != reference or store.verify() != []
    note = f"[sweep.refine] and [sweep.until]; {within} kills with some rounds done"
    return Row("kill -9 within rounds: the same rounds, same bytes after", tries, losses, note)


def rounds_by_shards(quick: bool) -> Row:
    """Kill one of two shards of a sweep with rounds, again and again, until both have ended."""
    tries = losses = within = 0
    chance = random.Random(0)
    for name, asked in _WITH_ROUNDS.items():
        with folder_of(name) as home:
            # Three batches a round.
            training = {**asked["training"], "num_steps": [4000, 4001, 4002]}
            document = {"name": name, **_COMMON_OF_ROUNDS, **asked, "training": training}
            with _start_rounds(document, home / "whole") as process:
                process.communicate()
            reference = small.results(home / "whole" / name)
            for k in range(1 if quick else 3):
                out, wait = home / str(k), 4.0
                root = out / name
                shards = ("1/2", "2/2")
                both = {shard: _start_rounds(document, out, shard) for shard in shards}
                while both:
                    victim = chance.choice(sorted(both))
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        both[victim].wait(wait + chance.uniform(0, 3.0))
                    ended = both[victim].poll() is not None
                    both[victim].kill()
                    both[victim].communicate()
                    done = small.results(root) if Store.exists(root) else {}
                    losses += any(reference.get(each) != data for each, data in done.items())
                    losses += ended and both[victim].returncode != 0
                    if ended:
                        del both[victim]
                    else:
                        tries += 1
                        within += 0 < len(done) < len(reference)
                        wait += 0.5
                        both[victim] = _start_rounds(document, out, victim)
                store = Store.open(root)
                store.gc()
                losses += small.results(root) != reference or store.verify() != []
    note = f"[sweep.refine] and [sweep.until], two shards; {within} kills with some rounds done"
    return Row(
        "kill -9 of a shard within rounds: the same rounds, same bytes after", tries, losses, note
    )


def killers(quick: bool) -> Row:
    """A batch that kills every worker is reported, and the rest completes."""
    from test_execution import STAND_IN

    from dlnsweep.execution.workers import process as worker_process
    from dlnsweep.execution.workers.local import LocalExecutor

    tries, losses = (1 if quick else 10), 0
    ways = ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(9)", "os.abort()"]
    with folder_of("killers") as home:
        for k in range(tries):
            body = f"def work(batch):\n    if batch == {k % 4}: {ways[k % 3]}\n    done(batch)"
            script = STAND_IN.replace("{body}", body)

            def command(module: str, *parts: str, script: str = script) -> list[str]:
                return [sys.executable, "-c", script, *parts]

            with mock.patch.object(worker_process, "python_command", command), mock.patch.dict(
                os.environ, {"JAX_PLATFORMS": "cpu"}
            ):  # fmt: skip
                events: list[Any] = []
                failures = LocalExecutor(2)(home, range(4), events.append, lambda: False)
            done = {e.batch for e in events if e.kind == "done"}
            losses += set(failures) != {k % 4} or done != set(range(4)) - {k % 4}
    return Row("a batch that kills its worker every time is reported, the rest completes", tries,
               losses, "SIGKILL, exit, abort")  # fmt: skip


def flipped(quick: bool) -> Row:
    """Flip a random bit of a random file; count those that `verify` does not find."""
    tries, losses = (20 if quick else 1000), 0
    chance = random.Random(0)
    with folder_of("flipped") as home, tiny(home) as (sweep, _):
        store = small.folder(sweep, home)
        small.work(store)
        more = small.folder(sweep, home, (*small.STEPS, 60))
        asked = iter([False, True])
        with contextlib.suppress(Interrupted):
            small.work(more, lambda: next(asked))
        paths = sorted(p for p in store.root.rglob("*") if p.is_file() and p.name != "lock")
        kinds = {p.suffix if p.parent == store.root else p.parent.name for p in paths}
        for k in range(tries):
            path = paths[k % len(paths)]
            good = path.read_bytes()
            bad = bytearray(good)
            bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
            path.write_bytes(bytes(bad))
            try:
                found = {p.path for p in Store.open(store.root).verify() if not p.leftover}
            except StoreError as error:
                found = {path} if str(path) in str(error) else set()
            path.write_bytes(good)
            losses += path not in found
    return Row("a flipped bit in any file is found, and the file named", tries, losses,
               f"{len(paths)} files: {', '.join(sorted(kinds))}")  # fmt: skip


def orders(quick: bool) -> Row:
    """Compute the batches in random orders, in this process and in workers."""
    import dlnsweep

    tries = losses = 0
    with folder_of("orders") as home:
        sweep = write(home)
        reference = small.results(dlnsweep.run(sweep, home / "whole", workers=0).path)
        for k in range(2 if quick else 20):
            store = small.folder(sweep, home / f"order{k}")
            numbers = list(dict(store.batches()))
            random.Random(k).shuffle(numbers)
            for number in numbers:
                worker.execute_batch(store.root, number)
            tries, losses = tries + 1, losses + (small.results(store.root) != reference)
        for workers in (1, 2, 3):
            found = small.results(dlnsweep.run(sweep, home / f"w{workers}", workers=workers).path)
            tries, losses = tries + 1, losses + (found != reference)
    return Row("results are the same in any order and with any number of workers", tries, losses,
               f"{tries - 3} orders; 1 to 3 workers beside none")  # fmt: skip


def hostile(_quick: bool) -> Row:
    """Refuse hostile sweep files, each within a second."""
    losses, slowest = 0, 0.0
    with folder_of("hostile") as home:
        for name, content in HOSTILE.items():
            path = home / "hostile.toml"
            path.write_bytes(content)
            # Not by the clock on the wall: the machine may have other work.
            began = time.process_time()
            try:
                Sweep.from_file(path)
                refused = False
            except SpecError:
                refused = True
            taken = time.process_time() - began
            slowest = max(slowest, taken)
            losses += not refused or taken > 1
            if not refused or taken > 1:
                print(f"LOST: {name}: {taken:.2f} s, refused: {refused}", file=sys.stderr)
    return Row("hostile sweep files are refused within a second", len(HOSTILE), losses,
               f"the slowest took {slowest:.2f} s")  # fmt: skip


def machine(quick: bool) -> Row:
    """Run the state machine of tests/test_survival.py many times."""
    examples = 10 if quick else 200
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-q", "--timeout", "7200",
         str(REPOSITORY / "tests/test_survival.py"), "-k", "any_order"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "DLNSWEEP_MANY": str(examples)},
        capture_output=True, text=True, check=False, cwd=REPOSITORY,
    )  # fmt: skip
    if done.returncode:
        print(done.stdout[-4000:], file=sys.stderr)
    return Row("start, kill, resume, duplicate, fill, damage, clean, verify in random order",
               examples, int(done.returncode != 0), "histories of up to 25 events")  # fmt: skip


PROMISES = {
    "kill": kill_9, "rounds": with_rounds, "shards": rounds_by_shards, "polite": polite,
    "operations": operations,
    "going_on": going_on, "warm_start": warm_start,
    "limits": limits,
    "disk": full_disk, "lanes": lanes, "two": two_runners,
    "killers": killers, "flipped": flipped, "orders": orders,
    "hostile": hostile, "machine": machine,
}  # fmt: skip


def _rows(path: Path | None) -> dict[str, Row]:
    """Return the rows of an earlier table, which stay where they are not tried anew."""
    if path is None or not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return {
            each["name"]: Row(
                each["promise"], int(each["tries"]), int(each["losses"]), each["note"]
            )
            for each in rows
        }


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PROMISES))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--csv", type=Path, help="also put the rows into this file's table")
    arguments = parser.parse_args()
    kept, where = _rows(arguments.csv), measured_on()
    print("| promise | tries | losses | |\n|---|---|---|---|", flush=True)
    losses = 0
    for name in arguments.names or PROMISES:
        row = PROMISES[name](arguments.quick)
        losses += row.losses
        print(f"| {row.promise} | {row.tries} | {row.losses} | {row.note} |", flush=True)
        kept[name] = row
        if arguments.csv:
            table = Table("What survives", ["name", *Row._fields])
            for each in filter(kept.get, PROMISES):
                table.add(each, *kept[each])
            table.write_csv(arguments.csv, where)
    return int(losses > 0)


if __name__ == "__main__":
    sys.exit(main())
