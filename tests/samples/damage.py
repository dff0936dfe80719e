"""Structured damage of results folders, each drawn from a source of random choices.

A damage is done to one file or folder. Where checksums stand in the way of what is written, they
are made to fit (the folder is sealed again), since checks are weakest behind them.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dlnsweep.store.seals import render_json, seal, sha256

Damage = Callable[[Path, Random], str]

STEERING = "\x1b[2J\u202e\x9b\x07\r\ud800"
TEXTS = ("", "x", STEERING, "../../x", "/etc/passwd", "nan", "1e400", "a" * 20_000, "λ\n\0")
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 7, 2**31, 2**62, 2**63, -(2**80), 10**300, 0.5, -0.0, 1e300, 5e-324,
    [], {}, [[]], [None], [1, "x", {}], {"x": 1}, {"": None}, {"kind": "curves"}, [{"kind": []}],
    *TEXTS,
)  # fmt: skip
TYPES = (
    pa.null(), pa.bool_(), pa.int8(), pa.int32(), pa.int64(), pa.uint64(), pa.float16(),
    pa.float32(), pa.float64(), pa.string(), pa.large_string(), pa.binary(), pa.timestamp("s"),
    pa.date32(), pa.decimal128(10, 2), pa.list_(pa.float64()), pa.list_(pa.float64(), 2),
    pa.list_(pa.float64(), 0), pa.struct({"a": pa.int64()}), pa.dictionary(pa.int32(), pa.string()),
)  # fmt: skip
NUMBERS = (0, 1, -1, 2, 7, 2**31, 2**62, -(2**63), 10**6)
FLOATS = (float("nan"), float("inf"), -float("inf"), 0.0, -1.0, 1e308, 5e-324, 0.1, 1e18)
NAMES = ("x", "", "seed", "run_id", "step", "status", "a.b", "lane", "training.x", "network.depth",
         "final_x", "regression_error", STEERING.replace("\ud800", ""), "x" * 5000)  # fmt: skip


def files(root: Path, suffix: str = "") -> list[Path]:
    """Return the files of a folder in the order of their names."""
    return sorted(p for p in root.rglob(f"*{suffix}") if p.is_file() and not p.is_symlink())


def small_files(root: Path) -> list[Path]:
    """Return the files that can be read: an earlier damage may have made one a terabyte."""
    return [path for path in files(root) if path.stat().st_size < 10**8]


def flip(root: Path, random: Random) -> str:
    """Flip some bits of a file."""
    path = random.choice([path for path in small_files(root) if path.stat().st_size])
    data = bytearray(path.read_bytes())
    for _ in range(random.choice((1, 1, 8, 64))):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    path.write_bytes(data)
    return f"flip {path.name}"


def cut(root: Path, random: Random) -> str:
    """Cut a file off, fill its end with zeros, or make it longer."""
    path = random.choice(small_files(root))
    data, how = path.read_bytes(), random.choice(("short", "zeros", "long", "sparse", "empty"))
    at = random.randrange(len(data) + 1)
    if how == "sparse":
        with path.open("r+b") as file:
            file.truncate(2**40)
    else:
        zeros = bytes(len(data) - at)
        new = {"short": data[:at], "zeros": data[:at] + zeros, "long": data + data, "empty": b""}
        path.write_bytes(new[how])
    return f"{how} {path.name}"


def swap(root: Path, random: Random) -> str:
    """Put two files in each other's place, or one in the place of both."""
    first, second = random.choice(small_files(root)), random.choice(small_files(root))
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    if random.random() < 0.5:
        second.write_bytes(one)
    return f"swap {first.name} {second.name}"


def move(root: Path, random: Random) -> str:
    """Delete, rename or copy a file or a folder."""
    path = random.choice(sorted(root.rglob("*")))
    how = random.choice(("delete", "rename", "copy"))
    if how == "delete":
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        return f"delete {path.name}"
    name = random.choice((
        "batch-000009.parquet", "batch-000000.json", "batch-999999999.parquet", "batch-1.parquet",
        "x\x1b[31m\n.parquet", "-rf", "b" * 200, ".partial", "batch-000001.npz", "lock",
        os.fsdecode(b"\xff\xfe.parquet"),
    ))  # fmt: skip
    target = path.with_name(name)
    # Nothing of an earlier damage is copied: a device or a hole may be larger than the disk.
    inside = [path, *path.rglob("*")]
    harmless = all(not p.is_symlink() and (p.is_dir() or p in small_files(root)) for p in inside)
    if target.exists() or (how == "copy" and not harmless):
        return "nothing"
    if how == "rename":
        path.rename(target)
    elif path.is_dir():
        shutil.copytree(path, target)
    else:
        shutil.copy(path, target)
    return f"{how} {path.name} {name[:40]!r}"


def listening(path: Path) -> None:
    # The path of a socket has at most 108 bytes.
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def replace(root: Path, random: Random) -> str:
    """Put something in the place of a file or folder that is none."""
    path = random.choice(sorted(root.rglob("*")))
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    how = random.choice(("fifo", "folder", "link", "device", "dangling", "round", "file", "socket"))
    if how == "fifo":
        os.mkfifo(path)
    elif how == "folder":
        path.mkdir()
    elif how == "file":
        path.write_bytes(b"x")
    elif how == "socket":
        listening(path)
    else:
        to = {"link": "/etc", "device": "/dev/zero", "dangling": "/nowhere", "round": path.name}
        path.symlink_to(to[how])
    return f"{how} as {path.name}"


def write_json(root: Path, random: Random) -> str:
    """Change a value somewhere in a JSON file; seal the folder again, or not."""
    path = random.choice([p for p in files(root, ".json") if p.stat().st_size < 10**7])
    value = json.loads(path.read_text())
    place: Any = value
    trail = []
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = random.choice(keys)
        trail.append(str(key))
        if not isinstance(place[key], dict | list) or not place[key] or random.random() < 0.3:
            break
        place = place[key]
    how = random.choice(("delete", "replace", "replace", "replace", "add", "nan", "deep"))
    new = random.choice(VALUES)
    if how == "delete":
        del place[key]
    elif how == "add" and isinstance(place, dict):
        place[random.choice(TEXTS)] = new
    else:
        place[key] = new
    if how in ("nan", "deep"):
        place[key] = "HERE"
        text = json.dumps(value)
        other = random.choice(("NaN", "-Infinity", "1e999", "1" * 5000))
        path.write_text(
            text.replace('"HERE"', other if how == "nan" else "[" * 10**5 + "]" * 10**5)
        )
        return f"{how} in {path.name} {'.'.join(trail)}"
    _put_json(path, value, sealed=random.random() < 0.8)
    reseal(root)
    return f"{how} {str(new)[:20]!r} in {path.name} {'.'.join(trail)}"


def _put_json(path: Path, value: Any, *, sealed: bool) -> None:
    try:
        value.pop("checksum", None)
        path.write_bytes(seal(value) if sealed else render_json(value))
    except ValueError:
        # Half of a letter is no UTF-8, but JSON can escape it.
        path.write_text(json.dumps(value))


def write_table(root: Path, random: Random) -> str:
    """Change the schema or values of a table, which stays valid Parquet, and seal it again."""
    path = random.choice([p for p in files(root, ".parquet") if p.stat().st_size < 10**7])
    table = pq.read_table(path)
    how, change = random.choice(list(TABLES.items()))
    try:
        table, told = change(table, random)
        pq.write_table(table, path)
    except (pa.ArrowException, OverflowError, ValueError) as error:
        told = f"nothing: {type(error).__name__}"
    reseal(root)
    return f"{how} {told[:60]!r} in {path.parent.name}/{path.name}"


Changed = tuple[pa.Table, str]


def _retype(table: pa.Table, random: Random) -> Changed:
    name = _column(table, random)
    kind = random.choice(TYPES)
    try:
        new = table[name].cast(kind)
    except pa.ArrowException:
        new = pa.nulls(table.num_rows, kind)
    return _set(table, name, new), f"{name} {kind}"


def _fill(table: pa.Table, random: Random) -> Changed:
    name = _column(table, random)
    kind = table[name].type
    old = table[name].to_pylist()
    for place in range(len(old)):
        if random.random() < 0.7:
            old[place] = _value(kind, random)
    return _set(table, name, pa.array(old, kind)), name


def _same(table: pa.Table, random: Random) -> Changed:
    name = _column(table, random)
    value = _value(table[name].type, random)
    return _set(table, name, pa.array([value] * table.num_rows, table[name].type)), name


def _other(table: pa.Table, random: Random) -> Changed:
    name = _column(table, random)
    pool: Any = random.choice((NUMBERS, FLOATS, [text for text in TEXTS if "\ud800" not in text]))
    return _set(table, name, pa.array([random.choice(pool) for _ in range(table.num_rows)])), name


def _nulls(table: pa.Table, random: Random) -> Changed:
    name = _column(table, random)
    kept = [random.random() < 0.5 for _ in range(table.num_rows)]
    return _set(table, name, pa.array(table[name].to_pylist(), table[name].type, mask=kept)), name


def _drop(table: pa.Table, random: Random) -> Changed:
    name = _column(table, random)
    return table.drop_columns(name), name


def _rename(table: pa.Table, random: Random) -> Changed:
    name, new = _column(table, random), random.choice(NAMES)
    return table.rename_columns([new if n == name else n for n in table.column_names]), name


def _add(table: pa.Table, random: Random) -> Changed:
    name = random.choice(NAMES)
    return table.append_column(name, table[_column(table, random)]), name


def _rows(table: pa.Table, random: Random) -> Changed:
    count = random.choice((0, 1, table.num_rows, 2 * table.num_rows))
    rows = [random.randrange(table.num_rows) for _ in range(count)] if table.num_rows else []
    return table.take(pa.array(rows, pa.int64())), f"{count} rows"


def _empty(table: pa.Table, random: Random) -> Changed:
    kept = table.column_names[: random.randrange(len(table.column_names))]
    return table.select(kept), f"{len(kept)} columns"


TABLES: dict[str, Callable[[pa.Table, Random], Changed]] = {
    "retype": _retype, "fill": _fill, "same": _same, "other": _other, "nulls": _nulls,
    "drop": _drop, "rename": _rename, "add": _add, "rows": _rows, "empty": _empty,
}  # fmt: skip


def _column(table: pa.Table, random: Random) -> str:
    keys = [n for n in table.column_names if n in ("run_id", "batch", "lane", "step", "status")]
    return random.choice(keys if keys and random.random() < 0.3 else table.column_names)


def _set(table: pa.Table, name: str, column: Any) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, column)


def _value(kind: pa.DataType, random: Random) -> Any:
    if pa.types.is_fixed_size_list(kind):
        return [_value(kind.value_type, random) for _ in range(kind.list_size)]
    if pa.types.is_integer(kind):
        return random.choice(NUMBERS if kind.bit_width == 64 else NUMBERS[:5])
    if pa.types.is_floating(kind):
        return random.choice(FLOATS)
    if pa.types.is_string(kind):
        return random.choice([text for text in TEXTS if "\ud800" not in text])
    return random.random() < 0.5 if pa.types.is_boolean(kind) else None


def small_bytes(path: Path) -> bytes:
    """Return what a file holds; what was made huge, or no file, on purpose keeps its checksum."""
    # A pipe would be waited for, a device never end.
    if not path.is_file() or path.stat().st_size > 10**8:
        raise ValueError(path)
    return path.read_bytes()


def reseal(root: Path) -> None:
    """Make every checksum fit what stands in a folder, as one who forges a folder would."""
    for receipt in sorted((root / "receipts").glob("*.json")):
        try:
            if not receipt.is_file() or receipt.stat().st_size > 10**7:
                continue
            value = json.loads(receipt.read_bytes())
            for name in value["files"]:
                if receipt.name == "plan.json":
                    value["files"][name] = [sha256(small_bytes(root / name))]
                else:
                    data = small_bytes(root / name / receipt.with_suffix(".parquet").name)
                    value["files"][name] |= {"sha256": sha256(data), "bytes": len(data)}
            value.pop("checksum", None)
            receipt.write_bytes(seal(value))
        except (ValueError, TypeError, AttributeError, KeyError, OSError, RecursionError):
            # What was damaged on purpose names no files.
            continue


def zip_inside(root: Path, random: Random) -> str:
    """Change bytes of a checkpoint, whose checksum is made to fit."""
    found = [path for path in small_files(root) if path.suffix == ".npz"]
    if not found:
        return "nothing"
    path = random.choice(found)
    data = bytearray(path.read_bytes())
    for _ in range(random.choice((1, 4, 32))):
        data[random.randrange(len(data) - 64)] = random.randrange(256)
    data[-64:] = sha256(bytes(data[:-64])).encode()
    path.write_bytes(data)
    return f"inside {path.name}"


# The last two are where most of the code lies.
DAMAGES: tuple[Damage, ...] = (
    flip, cut, swap, move, replace, zip_inside,
    write_json, write_json, write_json, write_table, write_table, write_table, write_table,
)  # fmt: skip


def damage(root: Path, random: Random) -> str:
    """Do one to three damages to a folder; return what they were, for a message."""
    told = []
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        if root.is_dir() and files(root):
            try:
                told.append(random.choice(DAMAGES)(root, random))
            except (
                OSError, ValueError, IndexError, TypeError, AttributeError, RecursionError,
                pa.ArrowException,
            ):  # fmt: skip
                # What an earlier damage left cannot be damaged in this way.
                told.append("nothing")
    return "; ".join(told)
