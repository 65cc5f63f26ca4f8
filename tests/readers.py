"""Readers of tables that share no code with the library under test: the Delta log by hand, the rows by DuckDB."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import duckdb


def table_files(table: Path) -> list[str]:
    """Return the data files of the newest version, by replaying the JSON commits."""
    live: dict[str, None] = {}
    for commit in sorted((table / "_delta_log").glob("*.json")):
        for line in commit.read_text().splitlines():
            action = json.loads(line)
            if "add" in action:
                live[unquote(action["add"]["path"])] = None
            if "remove" in action:
                live.pop(unquote(action["remove"]["path"]), None)
    return [str(table / path) for path in live]


def committed_files(table: Path) -> list[str]:
    """Return the data files that any version has, or had."""
    commits = sorted((table / "_delta_log").glob("*.json"))
    actions = [json.loads(line) for commit in commits for line in commit.read_text().splitlines()]
    return [str(table / unquote(action["add"]["path"])) for action in actions if "add" in action]


def table_rows(table: Path, without: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return every row of the newest version; columns ``without`` are left out."""
    files = table_files(table)
    if not files:
        return []
    chosen = f"* EXCLUDE ({', '.join(without)})" if without else "*"
    options = "union_by_name=true, hive_partitioning=true, hive_types_autocast=false"
    query = f"SELECT {chosen} FROM read_parquet($files, {options})"
    with duckdb.connect() as connection:
        result = connection.sql(query, params={"files": files})
        names = [column[0] for column in result.description]
        if "TIMESTAMP WITH TIME ZONE" in map(str, result.types):  # as Python's own values they need a library of zones
            return list(result.to_arrow_table().to_pylist())
        return [dict(zip(names, values, strict=True)) for values in result.fetchall()]
