"""Small records on any filesystem: read, list, put_if_absent, replace, remove, sync.

A record appears whole or not at all. Locally: temporary file, fsync, hard link to the final name, fsync of the
folder. On object stores: a conditional create. Every write is an effect of the seam.
"""

from etl.storage.contract import Storage
from etl.storage.local import LocalStorage
from etl.storage.objects import ObjectStorage
from etl.storage.probe import probe_conditional_create
from etl.storage.publishing import put_if_absent
from etl.storage.urls import fsspec_options, object_store_options, open_filesystem, open_storage

__all__ = [
    "LocalStorage",
    "ObjectStorage",
    "Storage",
    "fsspec_options",
    "object_store_options",
    "open_filesystem",
    "open_storage",
    "probe_conditional_create",
    "put_if_absent",
]
