"""Where results may stand: a local folder, or an address in an object store (s3://bucket/path)."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from dlnsweep.errors import StoreError

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

    Raises:
        StoreError: If it is an address with more in it than a place, such as a password.
    """
    if isinstance(address, Path):
        if _FLATTENED.match(str(address)):
            raise StoreError(
                f"{address}: a Path cannot hold an address like s3://bucket/path, because it drops "
                "a slash; give the address as a string."
            )
        return address
    if not _SCHEME.match(address):
        return Path(address)
    parts = urlsplit(address)
    if parts.username is not None or parts.password is not None:
        # The address itself is not shown: it may be a secret.
        raise StoreError(f"{parts.scheme}://...@: holds credentials, but {_ENVIRONMENT}.")
    if parts.query or parts.fragment:
        raise StoreError(f"{address}: has a '?' or '#' in it, but {_ENVIRONMENT}.")
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise StoreError(f"{address}: names another machine; give file:///path.")
        return Path(unquote(parts.path))
    if not parts.netloc.strip("."):
        raise StoreError(f"{address}: names no bucket; give {parts.scheme}://bucket/path.")
    return address.rstrip("/")


def join(place: Location, *names: str) -> Location:
    """Return what stands below a place."""
    if isinstance(place, Path):
        return place.joinpath(*names)
    return "/".join([place, *names])
