"""The file system of an address in an object store; keys come from the environment alone."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

import pyarrow.fs as pafs

from dlnsweep.errors import StoreError

_PYARROW = ("gs", "gcs", "abfs", "abfss", "hdfs")


def file_system(address: str) -> tuple[pafs.FileSystem, str]:
    """Return the file system of an address, and the path in it.

    Args:
        address: As `location` returns it: scheme, bucket and path only.

    Raises:
        StoreError: If nothing installed knows the scheme.
    """
    parts = urlsplit(address)
    if parts.scheme == "s3":
        return _s3(parts.netloc), parts.netloc + parts.path
    if parts.scheme in _PYARROW:
        return pafs.FileSystem.from_uri(address)
    return _fsspec(address, parts.scheme)


def _s3(bucket: str) -> pafs.FileSystem:
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    options: dict[str, Any] = {"connect_timeout": 10.0, "request_timeout": 60.0}
    if endpoint:
        split = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
        options |= {"endpoint_override": split.netloc + split.path, "scheme": split.scheme}
    elif not (os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")):
        # A request to the wrong region is refused; the bucket's name tells the right one.
        options["region"] = pafs.resolve_s3_region(bucket)
    try:
        # A small object is then put by one request.
        return pafs.S3FileSystem(**options, allow_delayed_open=True)
    except TypeError:
        # An older pyarrow does not know it.
        return pafs.S3FileSystem(**options)


def _fsspec(address: str, scheme: str) -> tuple[pafs.FileSystem, str]:
    try:
        import fsspec
    except ImportError:
        fsspec = None
    if fsspec is None or scheme not in fsspec.available_protocols():
        raise StoreError(
            f"{address}: nothing that is installed reads {scheme}://; give a folder, or an "
            f"s3://, gs:// or abfss:// address, or install the fsspec package for {scheme}."
        )
    try:
        found, path = fsspec.url_to_fs(address)
    except ImportError as error:
        raise StoreError(f"{address}: {error}.") from error
    return pafs.PyFileSystem(pafs.FSSpecHandler(found)), path
