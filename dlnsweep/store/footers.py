"""The footer of a Parquet file, checked before it is parsed.

Pages carry checksums of their own, the footer none: one flipped bit in it can give a column the
name or the place of another, or end the process, since pyarrow cannot refuse all of what it finds
there. So files of ours hold the SHA-256 of their footer in the bytes before it, of which the format
makes no use. Tables that another tool rewrote, or an earlier version wrote, are read without.
"""

from __future__ import annotations

import hashlib
from typing import Any

import pyarrow as pa

from dlnsweep.store.bounds import Unfit

# The length of the footer, and the magic word.
_END = 8
_MAGIC = b"PAR1"
_MARK = b"dlnsweep footer:"
_LENGTH = len(_MARK) + hashlib.sha256().digest_size
_MAX_BYTES = 32 * 2**20


def with_checksum(content: pa.Buffer) -> bytes:
    """Return the content of a Parquet file with the checksum of its footer before the footer."""
    data = content.to_pybytes()
    start = len(data) - _END - int.from_bytes(data[-_END:-4], "little")
    footer = data[start:]
    return b"".join((data[:start], _MARK, hashlib.sha256(footer).digest(), footer))


def check_footer(source: Any, size: int) -> None:
    """Refuse a footer that is larger than any of ours, or not as it was written.

    Args:
        source: The file, open for reading.
        size: Its size in bytes.

    Raises:
        Unfit: If it is one.
    """
    source.seek(max(0, size - _END))
    end = source.read(_END)
    claimed = int.from_bytes(end[:4], "little")
    # Of a file that ends otherwise pyarrow says what it is not.
    if len(end) < _END or end[4:] != _MAGIC:
        return
    if claimed > min(size, _MAX_BYTES):
        raise Unfit(f"its footer claims {claimed} bytes")
    start = size - _END - claimed - _LENGTH
    if start < 0:
        return
    source.seek(start)
    found = source.read(_LENGTH + claimed)
    if not found.startswith(_MARK):
        return
    digest, footer = found[len(_MARK) : _LENGTH], found[_LENGTH:]
    if hashlib.sha256(footer + end).digest() != digest:
        raise Unfit("its footer was changed after it was written")
