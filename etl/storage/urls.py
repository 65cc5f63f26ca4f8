"""From a URL and the options of `etl.yml` to a storage or a filesystem."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from etl.errors import StorageError
from etl.seam import Seam
from etl.storage.contract import Storage
from etl.storage.local import LocalStorage
from etl.storage.objects import ObjectStorage


def open_storage(
    url: str, seam: Seam, options: Mapping[str, Mapping[str, str]] | None = None, *, is_shared: bool = False
) -> Storage:
    """Return the storage at ``url``: an absolute local path, ``file://…`` or any fsspec URL.

    ``options`` are by scheme, as under ``storage:`` in ``etl.yml``; ``is_shared`` as for a LocalStorage.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme == "file":
        return LocalStorage(Path(rest if separator else url), seam, is_shared=is_shared)
    filesystem, root = open_filesystem(url, (options or {}).get(scheme, {}))
    return ObjectStorage(url, filesystem, root, seam)


def open_filesystem(url: str, options: Mapping[str, str]) -> tuple[Any, str]:
    """Return the fsspec filesystem of ``url`` and the path on it.

    Raises StorageError where the package for the scheme is missing.
    """
    import fsspec

    scheme = url.partition("://")[0]
    keywords = fsspec_options(scheme, options)
    try:
        filesystem = fsspec.filesystem(scheme, **keywords)
    except (ImportError, ValueError) as exc:
        raise StorageError(str(exc), where=url, hint=f"pip install 'lakehouse-etl[{scheme}]'") from exc
    return filesystem, str(filesystem._strip_protocol(url))  # noqa: SLF001  fsspec's own way


def fsspec_options(scheme: str, options: Mapping[str, str]) -> dict[str, Any]:
    """Return keyword arguments of the filesystem of ``scheme`` for options spelt as object stores do."""
    if scheme != "s3":
        return dict(options)
    known = {
        "access_key_id": "key",
        "secret_access_key": "secret",
        "session_token": "token",
        "endpoint_url": "endpoint_url",
    }
    keywords: dict[str, Any] = {known[name]: value for name, value in options.items() if name in known and value}
    if region := options.get("region"):
        keywords["client_kwargs"] = {"region_name": region}
    return {**keywords, "use_listings_cache": False}


def object_store_options(scheme: str, options: Mapping[str, str]) -> dict[str, str]:
    """Return options as Polars and deltalake take them, from those of ``storage:`` in ``etl.yml``.

    What is not given they find in the usual ``AWS_…`` variables by themselves.
    """
    given = {name: value for name, value in options.items() if value}
    if scheme == "s3":
        given = {name if name.startswith("aws_") else f"aws_{name}": value for name, value in given.items()}
        if given.get("aws_endpoint_url", os.environ.get("AWS_ENDPOINT_URL", "")).startswith("http://"):
            given["aws_allow_http"] = "true"
    return given
