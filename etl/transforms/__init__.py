"""What happens to rows: one class per transform, registered by its key in the pipeline file."""

from __future__ import annotations

from etl.registry import Registry

TRANSFORMS = Registry(
    {
        "filter": "etl.transforms.filter:Filter",
        "select": "etl.transforms.project:Select",
        "with_columns": "etl.transforms.project:WithColumns",
        "rename": "etl.transforms.rename:Rename",
        "drop": "etl.transforms.rename:Drop",
        "cast": "etl.transforms.values:Cast",
        "fill_null": "etl.transforms.values:FillNull",
        "explode": "etl.transforms.reshape:Explode",
        "unnest": "etl.transforms.reshape:Unnest",
        "unpivot": "etl.transforms.reshape:Unpivot",
        "parse": "etl.transforms.parse:Parse",
        "sql": "etl.transforms.sql:Sql",
        "union": "etl.transforms.union:Union",
        "group_by": "etl.transforms.group_by:GroupBy",
        "join": "etl.transforms.join:Join",
        "watermark": "etl.transforms.watermark:Watermark",
        "deduplicate": "etl.transforms.deduplicate:Deduplicate",
        "join_stream": "etl.transforms.join_stream:JoinStream",
        "stateful": "etl.transforms.stateful:KeyedFunction",
        "python": "etl.transforms.python:Python",
        "map_batches": "etl.transforms.map_batches:MapBatches",
    }
)
"""Key to class; each takes ``(options, site)`` and has its ``options_model``."""
