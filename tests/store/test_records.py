from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlnsweep.store import records


def naive_rows(run_ids, steps, values, num_rows):
    rows = []
    for lane in range(len(run_ids)):
        for k in range(num_rows[lane]):
            rows.append((int(run_ids[lane]), int(steps[k]), float(values[lane, k])))
    return sorted(rows)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_curves_are_the_valid_rows_sorted_by_run_and_step(data):
    lanes, count = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 5))
    run_ids = np.array(
        data.draw(
            st.lists(st.integers(-(2**62), 2**62), min_size=lanes, max_size=lanes, unique=True)
        )
    )
    num_rows = np.array(data.draw(st.lists(st.integers(0, count), min_size=lanes, max_size=lanes)))
    steps = np.arange(count) ** 2
    values = np.arange(lanes * count, dtype=np.float64).reshape(lanes, count)
    table = records.curves_table(run_ids, steps, {"loss": values}, num_rows)
    found = list(
        zip(*(table[name].to_pylist() for name in ("run_id", "step", "loss")), strict=True)
    )
    assert found == naive_rows(run_ids, steps, values, num_rows)


def test_vectors_stand_beside_their_run_and_keep_their_type():
    values = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    table = records.curves_table(
        np.array([9, 4]), np.array([0, 5]), {"singular_values": values}, np.array([2, 1])
    )
    assert table.schema.field("singular_values").type.list_size == 3
    assert table.schema.field("singular_values").type.value_type == pa.float32()
    assert table["run_id"].to_pylist() == [4, 9, 9]
    expected = [[6, 7, 8], [0, 1, 2], [3, 4, 5]]
    assert table["singular_values"].to_pylist() == expected


def test_a_lane_without_records_and_a_batch_without_any():
    table = records.curves_table(
        np.array([1, 2]), np.array([0]), {"v": np.zeros((2, 1, 4))}, np.array([0, 0])
    )
    assert table.num_rows == 0
    read = pq.read_table(pa.BufferReader(records.curves_parquet(table)))
    assert read.schema == table.schema


@pytest.mark.parametrize(
    ("observables", "num_rows", "sentence"),
    [
        ({"loss": np.zeros((2, 4))}, [3, 3], r"loss has shape \(2, 4\), not \(2, 3, ...\)"),
        ({"loss": np.zeros((2, 3, 1, 1))}, [3, 3], "a number or a vector"),
        ({}, [3, 4], "num_rows must be 2 numbers from 0 to 3"),
        ({}, [3], "num_rows must be 2 numbers from 0 to 3"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(observables, num_rows, sentence):
    with pytest.raises(ValueError, match=sentence):
        records.curves_table(np.array([1, 2]), np.arange(3), observables, np.array(num_rows))


def outcomes():
    return records.outcomes_table(
        np.array([8, 3]),
        status=["finished", "diverged"],
        diverged_step=np.array([-1, 40]),
        last_step=np.array([100, 40]),
        kernel=["reduced", "dense"],
        kernel_reason=["asked for", "no gain"],
        truncation_error=np.array([1e-9, np.nan]),
        final={"loss": np.array([0.5, np.inf]), "norms": np.array([[1.0, 2.0], [3.0, 4.0]])},
    )


def test_outcomes_are_sorted_and_say_null_where_there_is_nothing():
    assert outcomes().to_pydict() == {
        "run_id": [3, 8],
        "status": ["diverged", "finished"],
        "diverged_step": [40, None],
        "last_step": [40, 100],
        "kernel": ["dense", "reduced"],
        "kernel_reason": ["no gain", "asked for"],
        "truncation_error": [None, 1e-9],
        "final_loss": [np.inf, 0.5],
        "final_norms": [[3.0, 4.0], [1.0, 2.0]],
    }


def test_outcomes_begin_with_the_stated_schema():
    schema = outcomes().schema
    assert schema.names[: len(records.OUTCOMES_SCHEMA)] == records.OUTCOMES_SCHEMA.names
    for field in records.OUTCOMES_SCHEMA:
        assert schema.field(field.name).type == field.type


def test_settings_keep_their_types_and_unused_ones_are_null():
    table = records.settings_table(
        {
            "a": np.array([1, 2]),
            "b": np.array([0.5, np.nan]),
            "c": np.array(["x", None], dtype=object),
            "d": np.array([True, False]),
            "e": np.array([None, 3], dtype=object),
        }
    )
    kinds = [pa.int64(), pa.float64(), pa.string(), pa.bool_(), pa.int64()]
    assert table.schema.types == kinds
    assert table.to_pydict() == {
        "a": [1, 2],
        "b": [0.5, None],
        "c": ["x", None],
        "d": [True, False],
        "e": [None, 3],
    }


def curves():
    rng = np.random.default_rng(0)
    return records.curves_table(
        np.array([5, 2]),
        np.arange(50),
        {"loss": rng.random((2, 50)), "norms": rng.random((2, 50, 3))},
        np.array([50, 50]),
    )


def test_encodings_are_the_measured_ones():
    metadata = pq.ParquetFile(pa.BufferReader(records.curves_parquet(curves()))).metadata
    columns = [metadata.row_group(0).column(i) for i in range(4)]
    assert [c.compression for c in columns] == ["ZSTD"] * 4
    assert ["RLE_DICTIONARY" in c.encodings for c in columns] == [True, True, False, False]
    assert ["BYTE_STREAM_SPLIT" in c.encodings for c in columns] == [False, False, True, True]


def test_same_input_gives_the_same_bytes():
    assert records.curves_parquet(curves()) == records.curves_parquet(curves())
    assert records.outcomes_parquet(outcomes()) == records.outcomes_parquet(outcomes())


def test_page_checksums_find_a_flipped_byte():
    data = bytearray(records.curves_parquet(curves()))
    data[300] ^= 1
    with pytest.raises(OSError, match="CRC"):
        pq.ParquetFile(pa.BufferReader(bytes(data)), page_checksum_verification=True).read()
