"""Which tables are refused because an append would break what they promise their readers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from etl.errors import SinkError
from etl.sinks.delta_features import refuse_unkept
from etl.sinks.delta_log import Head
from tests.unit.sinks.tables import append, make_sink

ROWS = pl.DataFrame({"id": [1]})


def our_table(root: Path, batches: int = 1) -> Path:
    sink = make_sink(root)
    for batch_id in range(batches):
        append(sink, batch_id, ROWS)
    return root


def kept(**changes: Any) -> Head:
    fields = [{"name": "id", "type": "long", "nullable": True, "metadata": changes.pop("field", {})}]
    metadata = {
        "schemaString": json.dumps({"type": "struct", "fields": fields}),
        "configuration": changes.pop("settings", {}),
    }
    return Head(0, "t", metadata, {"minReaderVersion": 1, "minWriterVersion": 2, **changes}, None)


@pytest.mark.parametrize(
    "head",
    [
        kept(),
        kept(settings=None),
        kept(settings={"delta.columnMapping.mode": "none", "delta.enableRowTracking": "false"}),
        kept(settings={"delta.appendOnly": "true", "delta.enableChangeDataFeed": "true"}),
        kept(minWriterVersion=7, writerFeatures=["appendOnly", "timestampNtz", "deletionVectors", "v2Checkpoint"]),
        kept(minWriterVersion=6, writerFeatures=None),
        kept(field={"comment": "the key"}),
    ],
)
def test_table_whose_promises_an_append_keeps_is_taken(head: Head) -> None:
    refuse_unkept(head, "silver.t")


@pytest.mark.parametrize(
    ("head", "named"),
    [
        (kept(minWriterVersion=7, writerFeatures=["columnMapping", "appendOnly"]), "columnMapping"),
        (kept(minWriterVersion=7, writerFeatures=["rowTracking", "icebergCompatV2"]), "icebergCompatV2, rowTracking"),
        (kept(minWriterVersion=8), "writer version 8"),
        (kept(settings={"delta.constraints.positive": "id > 0"}), "delta.constraints.positive"),
        (kept(settings={"delta.columnMapping.mode": "name"}), "delta.columnMapping.mode"),
        (kept(settings={"delta.enableRowTracking": "true"}), "delta.enableRowTracking"),
        (kept(settings={"delta.enableInCommitTimestamps": "true"}), "delta.enableInCommitTimestamps"),
        (kept(field={"delta.generationExpression": "1"}), "delta.generationExpression"),
        (kept(field={"delta.invariants": "{}"}), "delta.invariants"),
        (kept(field={"delta.identity.start": 1}), "delta.identity.start"),
    ],
)
def test_table_that_promises_what_an_append_would_break_is_refused(head: Head, named: str) -> None:
    with pytest.raises(SinkError, match=f"the table uses {named}, which this release cannot keep") as caught:
        refuse_unkept(head, "silver.t")
    assert (caught.value.where, caught.value.hint) == ("silver.t", "write to a table without it")


def test_check_constraint_of_a_real_table_is_refused(tmp_path: Path) -> None:
    our_table(tmp_path)
    DeltaTable(tmp_path).alter.add_constraint({"positive": "id > 0"})
    with pytest.raises(SinkError, match=r"delta\.constraints\.positive"):
        append(make_sink(tmp_path), 1, ROWS)
