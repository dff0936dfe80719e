"""Footers of Parquet files: any changed bit is noticed before anything is read by them."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import store_samples as samples

from dlnsweep.errors import StoreError
from dlnsweep.store import Store
from dlnsweep.store.bounds import Unfit
from dlnsweep.store.footers import check_footer, with_checksum
from dlnsweep.store.records import curves_parquet, runs_parquet

TABLE = pa.table({"run_id": [1, 1, 2], "step": [0, 10, 0], "loss": [1.0, 0.5, 2.0]})


def refused(data: bytes) -> bool:
    try:
        check_footer(io.BytesIO(data), len(data))
    except Unfit:
        return True
    return False


@pytest.mark.parametrize("content", [curves_parquet(TABLE), runs_parquet([TABLE, TABLE])])
def test_every_changed_bit_of_a_footer_is_refused(content: bytes) -> None:
    length = int.from_bytes(content[-8:-4], "little")
    assert not refused(content)
    for place in range(len(content) - 8 - length, len(content) - 8):
        for bit in range(8):
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            assert refused(bytes(changed)), (place, bit)


def test_a_footer_that_claims_more_than_the_file_is_refused() -> None:
    assert refused(b"PAR1" + b"\xff\xff\xff\x7fPAR1")


def test_other_tools_read_the_file_and_what_they_write_is_read() -> None:
    content = curves_parquet(TABLE)
    assert pq.read_table(io.BytesIO(content)).equals(TABLE)
    pandas = pytest.importorskip("pandas")
    assert pandas.read_parquet(io.BytesIO(content)).equals(TABLE.to_pandas())
    rewritten = io.BytesIO()
    pq.write_table(TABLE, rewritten)
    assert not refused(rewritten.getvalue())
    # All that stood there stands there still.
    before, after = rewritten.getvalue(), with_checksum(pa.py_buffer(rewritten.getvalue()))
    length = 8 + int.from_bytes(before[-8:-4], "little")
    assert after.startswith(before[:-length])
    assert after.endswith(before[-length:])


@pytest.mark.parametrize("what", ["curves", "outcomes", "runs"])
def test_a_folder_says_which_file_was_changed(tmp_path: Path, what: str) -> None:
    root = tmp_path / "a"
    samples.complete(root)
    path = root / "runs.parquet" if what == "runs" else root / what / "batch-000000.parquet"
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)

    def read() -> None:
        store = Store.open(root)
        store.runs_table()
        store.read_batch(what, 0)

    with pytest.raises(StoreError, match=r"its footer was changed after it was written") as told:
        read()
    assert str(path) in str(told.value)
