"""What happens to rows: one class per transform, registered by its key in the pipeline file."""

from __future__ import annotations

from typing import Any

from etl.transforms.filter import Filter
from etl.transforms.parse import Parse
from etl.transforms.project import Select, WithColumns
from etl.transforms.python import Python
from etl.transforms.rename import Drop, Rename
from etl.transforms.reshape import Explode, Unnest, Unpivot
from etl.transforms.sql import Sql
from etl.transforms.values import Cast, FillNull

TRANSFORMS: dict[str, Any] = {
    "filter": Filter,
    "select": Select,
    "with_columns": WithColumns,
    "rename": Rename,
    "drop": Drop,
    "cast": Cast,
    "fill_null": FillNull,
    "explode": Explode,
    "unnest": Unnest,
    "unpivot": Unpivot,
    "parse": Parse,
    "sql": Sql,
    "python": Python,
}
"""Key to class; each takes ``(options, site)`` and has its ``options_model``."""
