"""JSON files that carry their own checksum, so that any changed byte of them is noticed."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa


def render_json(value: dict[str, Any]) -> bytes:
    """Return the one way in which a JSON value is written to a file."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def seal(value: dict[str, Any]) -> bytes:
    """Return `value` as JSON that carries its own checksum."""
    return render_json({**value, "checksum": _checksum(value)})


def is_sealed(data: bytes) -> bool:
    """Tell whether `data` is, to the byte, what `seal` once returned."""
    try:
        value = json.loads(data)
        if not isinstance(value, dict):
            return False
        # A flipped byte in white space leaves the value as it was, so the bytes are compared too.
        return value.pop("checksum", None) == _checksum(value) and data == seal(value)
    except (ValueError, RecursionError):
        return False


def _checksum(value: dict[str, Any]) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return sha256(canonical.encode())


def sha256(data: bytes | pa.Buffer) -> str:
    """Return the SHA-256 of a content, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def now() -> str:
    """Return the present time for a receipt."""
    return datetime.now(UTC).isoformat(timespec="seconds")
