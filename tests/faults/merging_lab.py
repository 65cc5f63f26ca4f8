"""Tables that batches change by key, or replace, in a process whose children die at a given effect."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from etl.model import PROVENANCE_COLUMNS
from etl.pipeline import Pipeline
from etl.seam import Seam
from etl.sinks.contract import SinkSite
from etl.sinks.delta import DeltaSink
from etl.sinks.delta_options import DeltaOptions
from etl.sinks.quarantine import Quarantine
from etl.storage import LocalStorage
from etl.testing import MemorySource, memory_pipeline
from etl.transforms.expectations import Expectations
from tests.faults import crash_lab
from tests.readers import table_rows

Rows = list[dict[str, Any]]
FAILING: dict[str, Any] = {"id": 99, "part": "p", "v": 0, "kind": "z"}
"""A row that no expectation lets pass."""

REJECTED = {"raw": b"{", "_source_offset": 9, "line": 9, "rule": "known_kind", "reason": "cut off"}
"""What a source rejects by itself: no expectation takes rows out of a changing result."""

PLAIN: list[Rows] = [
    [{"id": number, "part": part, "v": number, "kind": "a"} for number in range(4) for part in ("p", None)],
    [{"id": 0, "part": "p", "v": 10, "kind": "b"}, {"id": 0, "part": "p", "v": 11, "kind": "a"}, FAILING],
    [{"id": 1, "part": None, "v": 1, "kind": "a"}, {"id": 7, "part": "p", "v": 70, "kind": "c/é"}],
    [{"id": 2, "part": "p", "v": 2.5, "kind": "b"}, {"id": 0, "part": "p", "v": 12.0, "kind": "b"}],
]
"""Rows to be merged by id and part: of the third batch one is in the table, the fourth makes a column wider."""

CHANGING: list[Rows] = [
    [{"id": number, "part": "p", "v": number, "kind": "a", "_change": "insert"} for number in range(4)],
    [
        {"id": 0, "part": "p", "v": 10, "kind": "b", "_change": "update"},
        {"id": 1, "part": "p", "v": 1, "kind": "a", "_change": "delete"},
        {"id": 4, "part": None, "v": 4, "kind": "a", "_change": "insert"},
    ],
    [{"id": number, "part": "p", "v": 0, "kind": "a", "_change": "delete"} for number in (0, 2, 3)],
    [{"id": 1, "part": "p", "v": 100, "kind": "b", "_change": "insert"}],
]
SEQUENCED: list[Rows] = [
    [{"id": number, "part": "p", "v": 10, "kind": "a"} for number in range(4)],
    [{"id": 0, "part": "p", "v": 11, "kind": "gone"}, {"id": 9, "part": None, "v": 50, "kind": "gone"}, FAILING],
    [
        {"id": 0, "part": "p", "v": 10, "kind": "b"},
        {"id": 9, "part": None, "v": 40, "kind": "a"},
        {"id": 1, "part": "p", "v": 5, "kind": "gone"},
        {"id": 2, "part": "p", "v": 20, "kind": "c/é"},
    ],
    [{"id": 0, "part": "p", "v": 12, "kind": "b"}, {"id": 9, "part": None, "v": 49, "kind": "a"}],
]
"""Out of order by v; deletes (kind gone), one of them of what comes only later."""

INDEXED: list[Rows] = [
    [{"id": number, "part": "p", "v": number, "kind": "abc"[number % 3]} for number in range(12)],
    [{"id": number, "part": "p", "v": 10 * number, "kind": "a"} for number in (3, 6)],
    [{"id": 4, "part": "p", "v": 44, "kind": "b"}, {"id": 99, "part": "p", "v": 0, "kind": "z"}],
    [{"id": 3, "part": "p", "v": 33, "kind": "a"}, {"id": 5, "part": None, "v": 5, "kind": "b"}],
    [{"id": 5, "part": "p", "v": 55, "kind": "b"}, {"id": 6, "part": "p", "v": 6, "kind": "c"}],
]
"""Keys that lie in one of the files whose bounds hold them: the others get notes of their keys."""

BATCHES = {
    "indexed": INDEXED,
    "plain": PLAIN,
    "changing": CHANGING,
    "whole": PLAIN,
    "sequenced": SEQUENCED,
    "first": PLAIN,
    "partitions": PLAIN,
    "history": SEQUENCED,
}
BY_KEY: dict[str, Any] = {"write_mode": "merge", "primary_key": ["id", "part"]}
OPTIONS: dict[str, dict[str, Any]] = {
    "indexed": {**BY_KEY, "key_index_from": 1},
    "plain": BY_KEY,
    "changing": BY_KEY,
    "whole": {"write_mode": "overwrite"},
    "first": {**BY_KEY, "write_mode": "insert_only"},
    "partitions": {"write_mode": "replace_partitions"},
    "history": {**BY_KEY, "write_mode": "scd2", "sequence_by": "v", "delete_when": "kind = 'gone'"},
    "sequenced": {**BY_KEY, "sequence_by": "v", "delete_when": "kind = 'gone'"},
}


def merged(batches: Iterable[Rows]) -> list[Counter[str]]:
    """Return what the table must hold after each batch, by a dictionary; before the first one it is empty."""
    table: dict[Any, Mapping[str, Any]] = {}
    seen = [multiset(())]
    for rows in batches:
        for row in rows:
            if row["kind"] == "z":
                continue
            table.pop((row["id"], row["part"]), None)
            if row.get("_change") != "delete":
                table[row["id"], row["part"]] = row
        seen.append(multiset(table.values()))
    return seen


def replaced(batches: Iterable[Rows]) -> list[Counter[str]]:
    """Return what the table must hold after each batch where a batch is the table."""
    return [multiset(()), *(multiset(row for row in rows if row["kind"] != "z") for rows in batches)]


def newest(batches: Iterable[Rows]) -> list[Counter[str]]:
    """Return what the table must hold after each batch where the row of a key with the greatest ``v`` counts."""
    known: dict[Any, Mapping[str, Any]] = {}
    seen = [multiset(())]
    for rows in batches:
        for row in (row for row in rows if row["kind"] != "z"):
            key = row["id"], row["part"]
            known[key] = row if key not in known or row["v"] >= known[key]["v"] else known[key]
        seen.append(multiset(row for row in known.values() if row["kind"] != "gone"))
    return seen


def first(batches: Iterable[Rows]) -> list[Counter[str]]:
    """Return what the table must hold after each batch where the first row of a key stays, in a batch by its place."""
    table: dict[Any, Mapping[str, Any]] = {}
    seen = [multiset(())]
    for rows in batches:
        for row in rows:
            if row["kind"] != "z":
                table.setdefault((row["id"], row["part"]), row)
        seen.append(multiset(table.values()))
    return seen


def of_partitions(batches: Iterable[Rows]) -> list[Counter[str]]:
    """Return what the table must hold after each batch where the rows of a kind replace all others of it."""
    table: dict[str, Rows] = {}
    seen = [multiset(())]
    for rows in batches:
        kinds = {row["kind"] for row in rows} - {"z"}
        table |= {kind: [row for row in rows if row["kind"] == kind] for kind in kinds}
        seen.append(multiset(row for kept in table.values() for row in kept))
    return seen


def versions(batches: Iterable[Rows]) -> list[Counter[str]]:
    """Return what the table must hold after each batch where every version of a key is kept, in the order of ``v``."""
    events: dict[Any, dict[Any, Mapping[str, Any]]] = {}
    seen = [multiset(())]
    for rows in batches:
        for row in (row for row in rows if row["kind"] != "z"):
            events.setdefault((row["id"], row["part"]), {})[row["v"]] = row
        seen.append(multiset(version for known in events.values() for version in timeline(known)))
    return seen


def timeline(events: Mapping[Any, Mapping[str, Any]]) -> Rows:
    """Return the versions of one key, of its changes by their moment."""
    found: Rows = []
    kind = "gone"
    for at in sorted(events):
        if events[at]["kind"] == kind:
            continue
        if kind != "gone":
            found[-1]["valid_to"] = at
        kind = events[at]["kind"]
        if kind != "gone":
            found.append({**events[at], "valid_from": at, "valid_to": None})
    return [{**version, "is_current": version["valid_to"] is None} for version in found]


VALIDITY = ("valid_from", "valid_to", "is_current")


def multiset(rows: Iterable[Mapping[str, Any]]) -> Counter[str]:
    return Counter(
        json.dumps([row["id"], row["part"], float(row["v"]), row["kind"], *(row.get(name) for name in VALIDITY)])
        for row in rows
    )


VISIBLE = {
    "indexed": merged(INDEXED),
    "plain": merged(PLAIN),
    "changing": merged(CHANGING),
    "whole": replaced(PLAIN),
    "sequenced": newest(SEQUENCED),
    "first": first(PLAIN),
    "partitions": of_partitions(PLAIN),
    "history": versions(SEQUENCED),
}
"""What a reader may see at any moment; the last is what is there in the end."""


def found(folder: Path) -> Counter[str]:
    """Return what an independent reader finds in the table."""
    rows = table_rows(folder / "table") if (folder / "table" / "_delta_log").exists() else []
    for row in rows:
        row["kind"] = None if row["kind"] == "__HIVE_DEFAULT_PARTITION__" else row["kind"]
    return multiset(rows)


def pipeline_of(name: str, folder: Path, seam: Seam, partition_by: str = "kind") -> Pipeline:
    """Return the batches of a name into ``folder/table``, which another column than the key partitions."""
    source = MemorySource()
    is_changing = name == "changing"
    for number, rows in enumerate(BATCHES[name]):
        source.add(rows, rejected=[REJECTED] if is_changing and number == 1 else [])
    table = folder / "table"
    site = SinkSite("table", str(table), LocalStorage(table, seam), seam, provenance=PROVENANCE_COLUMNS)
    return memory_pipeline(
        source,
        DeltaSink(DeltaOptions(path=str(table), partition_by=[partition_by], **OPTIONS[name]), site),
        LocalStorage(folder / "checkpoint", seam),
        system=PROVENANCE_COLUMNS,
        expectations=None if is_changing else Expectations([crash_lab.EXPECTED]),
        quarantine=Quarantine(crash_lab.quarantine_sink(folder, seam)),
    )


crash_lab.PIPELINES |= {name: partial(pipeline_of, name) for name in BATCHES}

if __name__ == "__main__":
    crash_lab.main()
