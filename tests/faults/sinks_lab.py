"""A pipeline with a sink of every kind, in a process whose children die at a given effect."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import psycopg
import redis
import sqlalchemy.dialects.postgresql.psycopg  # imported before the fork
import sqlalchemy.dialects.sqlite  # noqa: F401

from etl.config.loader import load
from etl.config.wiring import wire
from etl.pipeline import Pipeline
from etl.seam import Seam
from tests.faults import crash_lab
from tests.readers import table_rows

Rows = list[dict[str, Any]]
BATCHES: list[Rows] = [
    [{"id": 1, "kind": "a", "n": 10}, {"id": 2, "kind": "a", "n": 20}],
    [{"id": 1, "kind": "b", "n": 11}, {"id": 3, "kind": "a", "n": 30}, {"id": 3, "kind": "b", "n": 31}],
    [{"id": 2, "kind": "gone", "n": 21}, {"id": 4, "kind": "a", "n": 40}],
]
IN_TABLE = Counter(json.dumps([row["id"], row["kind"], row["n"]]) for rows in BATCHES for row in rows)
BY_KEY = {1: ("b", 11), 3: ("b", 31), 4: ("a", 40)}
TOLD = Counter({(0, 1, 10): 1, (0, 2, 20): 1, (1, 1, 11): 1, (1, 3, 31): 1, (2, 2, 21): 1, (2, 4, 40): 1})
"""What is sent, by batch, id and n: of a key in a batch the last row."""

TAKEN = {number: [[row["id"], row["n"]] for row in rows] for number, rows in enumerate(BATCHES)}
"""What the function is handed, by batch."""

_PIPELINE = """
source: {{type: files, path: "in/*.ndjson", batch: {{max_files: 1}}}}
sinks:
  - {{type: delta, table: silver.orders}}
  - {{type: key_value, name: cache, url: "{redis}", table: "{table}", {keys}}}
  - {{type: key_value, name: db, url: "sqlite:///rows.db", table: orders, {keys}}}
  - {{type: key_value, name: server, url: "{postgres}", table: "{table}", {keys}}}
  - {{type: alert, to: "{hook}", primary_key: [id], columns: [id, n]}}
  - {{type: python, function: "taking:take", columns: [id, n]}}
  - {{type: delta, table: gold.newest, write_mode: merge, {keys}}}
"""
_KEYS = "primary_key: [id], delete_when: \"kind = 'gone'\""
_FUNCTION = """
import json, os

def take(frame, batch):
    line = json.dumps([batch.batch_id, batch.attempt, [list(row) for row in frame.rows()]])
    with open({path!r}, "a") as file:
        file.write(line + "\\n")
"""


def prepare(folder: Path, servers: dict[str, str], hook: str) -> None:
    """Lay out the project; ``servers`` are the URLs of ``redis`` and ``postgres``, and the name of the ``table``."""
    for name in ("in", "pipelines", "transforms"):
        (folder / name).mkdir(parents=True)
    (folder / "etl.yml").write_text("lake: lake\n")
    (folder / "pipelines" / "orders.yml").write_text(_PIPELINE.format(keys=_KEYS, hook=hook, **servers))
    (folder / "transforms" / "taking.py").write_text(_FUNCTION.format(path=str(folder / "taken.ndjson")))
    (folder / "servers.json").write_text(json.dumps(servers))
    for number, rows in enumerate(BATCHES):
        (folder / "in" / f"{number}.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows))


def pipeline_of(folder: Path, seam: Seam) -> Pipeline:
    """Return the pipeline of the project."""
    project, specs = load(folder)
    return wire(specs[0], project, seam)


def table_of(folder: Path, name: str) -> Counter[str]:
    """Return the rows of a Delta table of the lake."""
    table = folder / "lake" / name
    rows = table_rows(table) if (table / "_delta_log").exists() else []
    return Counter(json.dumps([row["id"], row["kind"], row["n"]]) for row in rows)


def by_key(folder: Path) -> dict[str, dict[int, tuple[str, int]]]:
    """Return what each server holds, by id."""
    servers = json.loads((folder / "servers.json").read_text())
    table = servers["table"]
    query = "SELECT id, kind, n FROM {}"
    with sqlite3.connect(folder / "rows.db") as connection:
        in_sqlite = connection.execute(query.format("orders")).fetchall()
    connection.close()
    with psycopg.connect(servers["postgres"]) as server:
        in_postgres = server.execute(query.format(table)).fetchall()
    with redis.Redis.from_url(servers["redis"], decode_responses=True) as client:
        keys = [key for key in client.scan_iter(f"{table}:*") if ":_etl:" not in key]
        in_redis = [(int(row["id"]), row["kind"], int(row["n"])) for row in map(client.hgetall, keys)]
    found = {"sqlite": in_sqlite, "postgres": in_postgres, "redis": in_redis}
    return {name: {key: (kind, n) for key, kind, n in rows} for name, rows in found.items()}


def taken(folder: Path) -> Counter[str]:
    """Return the calls of the function, as it wrote them down."""
    path = folder / "taken.ndjson"
    return Counter(path.read_text().splitlines() if path.exists() else ())


crash_lab.PIPELINES |= {"sinks": pipeline_of}

if __name__ == "__main__":
    crash_lab.main()
