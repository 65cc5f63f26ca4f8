from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import IO, Any

from prometheus_client.parser import text_string_to_metric_families

from tests.receiving import Inbox, receiving

TOKEN = "zq41-token-of-the-page"
PIPELINE = """
source: {type: files, path: landing/*.ndjson}
transforms:
  - filter: id >= 0
sink: {type: delta, table: silver.orders}
trigger: {every: 200ms}
"""


def settled(shop: Path, url: str) -> None:
    """Write the files of a project that is served, with a receiver of alerts whose address is secret."""
    (shop / "gate").unlink()
    (shop / "pipelines" / "orders.yml").write_text(PIPELINE)
    alerts = f"[{{name: ops, url: '{url}/zq42-secret-path'}}]"
    (shop / "etl.yml").write_text(f"serve: {{port: 0, token: {TOKEN}}}\nalerts: {alerts}\n")


def events(stream: IO[str], told: list[str]) -> Iterator[dict[str, Any]]:
    """Yield every line of a log as the object that it must be, and keep it."""
    for line in stream:
        told.append(line)
        yield json.loads(line)


def figures(port: int) -> dict[str, float]:
    """Return what is measured of the pipeline, where a metric has one figure."""
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    text = connection.getresponse().read().decode()
    connection.close()
    families = text_string_to_metric_families(text)
    samples = [sample for family in families for sample in family.samples]
    return {sample.name: sample.value for sample in samples if sample.labels == {"pipeline": "orders"}}


def told_of(inbox: Inbox) -> dict[str, Any]:
    """Return the next message."""
    content: dict[str, Any] = json.loads(inbox.next().body)
    return {name: content[name] for name in ("event", "pipeline", "condition")}


def test_a_service_is_measured_logs_json_and_tells_people(shop: Path, start: Any) -> None:
    told: list[str] = []
    with receiving() as inbox:
        settled(shop, inbox.url)
        process = start("serve", "--no-page", "--log-format", "json")
        log = events(process.stderr, told)
        port = int(next(log)["message"].rpartition(":")[2].partition("/")[0])
        batch = next(line for line in log if line["event"] == "committed")
        measured = figures(port)

        file = shop / "pipelines" / "orders.yml"
        file.write_text(PIPELINE.replace("id >= 0", "idd >= 0"))
        fault = next(line for line in log if line["event"] == "faulty")
        message = told_of(inbox)
        process.send_signal(signal.SIGTERM)
        _ = list(log)

    assert process.wait(timeout=60) == 0
    assert {name: batch[name] for name in ("level", "pipeline", "batch_id", "tables")} == {
        "level": "info",
        "pipeline": "orders",
        "batch_id": 0,
        "tables": {"silver.orders": 0},
    }
    assert batch["rows"]["written"] == 6
    assert measured["etl_batches_total"] == 1
    assert measured["etl_last_batch_id"] == 0
    assert measured["etl_consecutive_failures"] == 0
    assert fault["level"] == "warning"
    assert "did you mean 'id'" in fault["message"]
    assert message == {"event": "begins", "pipeline": "orders", "condition": "degraded"}
    assert "zq4" not in "".join(told)
