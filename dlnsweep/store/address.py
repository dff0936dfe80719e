"""Where results may stand: a local folder, or an address in an object store (s3://bucket/path)."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from dlnsweep.errors import StoreError
from dlnsweep.machine.paths import absolute

# A local folder, or the address of an object store as text without a slash at its end.
Location = Path | str

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_FLATTENED = re.compile(r"(s3|gs|gcs|az|abfs|abfss|memory|file):/")
_ENVIRONMENT = (
    "an address says where results stand and nothing else: keys, region and endpoint come from "
    "the environment (AWS_ACCESS_KEY_ID, AWS_REGION, AWS_ENDPOINT_URL, or a profile)"
)


def location(address: str | Path) -> Location:
    """Return a local folder as a path, and an address in an object store as text.

    Args:
        address: A path, "file:///path", or such as "s3://bucket/path".

    Returns:
        A path is absolute, with its `~` expanded: later it is only joined.

    Raises:
        SpecError: If it is no path.
        StoreError: If it is an address with more in it than a place, such as a password.
    """
    if not isinstance(address, str):
        if _FLATTENED.match(str(address)):
            raise StoreError(
                f"{address}: a Path cannot hold an address like s3://bucket/path, because it drops "
                "a slash; give the address as a string."
            )
        return absolute(address, "the folder")
    if address.lower().startswith("file:"):
        return _local(address)
    if not _SCHEME.match(address):
        if _FLATTENED.match(address):
            raise StoreError(
                f"{address}: an address has two slashes, such as s3://bucket/path; write "
                f"./{address} for a folder of this name."
            )
        return absolute(address, "the folder")
    parts = urlsplit(address)
    if parts.username is not None or parts.password is not None:
        # The address itself is not shown: it may be a secret.
        raise StoreError(f"{parts.scheme}://...@: holds credentials, but {_ENVIRONMENT}.")
    if parts.query or parts.fragment:
        shown = f"{parts.scheme}://{parts.netloc}{parts.path}"
        raise StoreError(f"{shown}?...: has a '?' or '#' in it, but {_ENVIRONMENT}.")
    if not parts.netloc.strip("."):
        raise StoreError(f"{address}: names no bucket; give {parts.scheme}://bucket/path.")
    return address.rstrip("/")


def _local(address: str) -> Path:
    """Return the folder of a `file:` address: file:///path, file:/path or file:///~/path."""
    parts = urlsplit(address)
    if parts.query or parts.fragment:
        raise StoreError(
            f"file:{parts.path}?...: has a '?' or '#' in it, which a file: address writes "
            "%3F and %23; or give the path as it is, without file:."
        )
    path = unquote(parts.path)
    if parts.netloc.startswith("~"):
        path = f"{parts.netloc}{path}"
    elif parts.netloc not in ("", "localhost"):
        raise StoreError(f"{address}: names another machine; give file:///path.")
    elif path.startswith("/~"):
        path = path[1:]
    elif not path.startswith("/"):
        raise StoreError(f"{address}: is not absolute; give file:///path, or the path as it is.")
    return absolute(path, "the folder")


def join(place: Location, *names: str) -> Location:
    """Return what stands below a place."""
    if isinstance(place, Path):
        return place.joinpath(*names)
    return "/".join([place, *names])
