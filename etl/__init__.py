"""Incremental ETL for lakehouse tables: files become Delta tables in micro-batches, every row exactly once.

Everything but the version is imported when it is first asked for, so that ``import etl`` is light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from etl.errors import EtlError
    from etl.operations.library import read_state, read_table, run
    from etl.transforms.keyed_call import Batch

__version__ = "0.4.0"
__all__ = ["Batch", "EtlError", "__version__", "read_state", "read_table", "run"]

_HOMES = {
    "Batch": "etl.transforms.keyed_call",
    "EtlError": "etl.errors",
    "read_state": "etl.operations.library",
    "read_table": "etl.operations.library",
    "run": "etl.operations.library",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401  whatever the name stands for
    """Import a public name. Raises AttributeError for any other."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'etl' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
