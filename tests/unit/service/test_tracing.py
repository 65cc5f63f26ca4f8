from __future__ import annotations

import gzip
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from etl.operations.workspace import Workspace
from etl.seam import Seam
from etl.secrets import register_secret
from etl.serve_options import ServeOptions
from etl.service.attendants import Premises
from etl.service.tracing import Tracing, is_wanted
from tests.fleets import Stage, at, batch
from tests.receiving import Sent, receiving


def spans_of(sent: Sent) -> dict[str, Any]:
    """Return the spans of a request by name."""
    body = gzip.decompress(sent.body) if sent.headers.get("Content-Encoding") == "gzip" else sent.body
    request = ExportTraceServiceRequest.FromString(body)
    return {
        span.name: span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans
    }


def tracing(stage: Stage, home: Workspace, url: str) -> Tracing:
    premises = Premises(home, stage, Seam(), ServeOptions(), list[str]().append)
    return Tracing(premises, OTLPSpanExporter(endpoint=f"{url}/v1/traces", timeout=5))


def test_a_batch_is_a_trace_with_a_span_for_each_step(stage: Stage, home: Workspace) -> None:
    with receiving() as inbox:
        sending = tracing(stage, home, inbox.url)
        stage.say("orders", "committed", result=batch(batch_id=3, watermark="2025-12-31T00:00:00+00:00"))
        spans = spans_of(inbox.next())
        sending.close()

    assert set(spans) == {"batch", "plan", "stage", "commit"}
    whole = spans["batch"]
    assert {span.trace_id for span in spans.values()} == {whole.trace_id}
    assert {spans[step].parent_span_id for step in ("plan", "stage", "commit")} == {whole.span_id}
    ended_ns = int(at("2026-01-01T00:00:00+00:00").timestamp()) * 1_000_000_000
    assert (whole.end_time_unix_nano, whole.start_time_unix_nano) == (ended_ns, ended_ns - 250_000_000)
    assert spans["stage"].start_time_unix_nano == ended_ns - 240_000_000
    assert spans["commit"].end_time_unix_nano == ended_ns
    attributes = {each.key: each.value.string_value or each.value.int_value for each in whole.attributes}
    assert attributes == {
        "etl.pipeline": "orders",
        "etl.batch_id": 3,
        "etl.bytes_read": 1000,
        "etl.rows.read": 10,
        "etl.rows.written": 8,
        "etl.rows.filtered": 1,
        "etl.rows.quarantined": 1,
        "etl.table.silver.orders": 3,
        "etl.watermark": "2025-12-31T00:00:00+00:00",
    }


def test_a_failure_is_a_span_with_its_reason_and_without_secrets(stage: Stage, home: Workspace) -> None:
    register_secret("zq61secret")

    with receiving() as inbox:
        sending = tracing(stage, home, inbox.url)
        stage.say("orders", "failed", "zq61secret is full\x1b[2J")
        span = spans_of(inbox.next())["run"]
        sending.close()

    assert span.status.code == 2
    assert span.status.message == "*** is full\\x1b[2J"


def test_a_collector_that_refuses_stops_nothing_and_is_asked_again(
    stage: Stage, home: Workspace, capfd: pytest.CaptureFixture[str]
) -> None:
    with receiving(400, 200) as inbox:
        sending = tracing(stage, home, inbox.url)
        stage.say("orders", "committed", result=batch())
        first, second = spans_of(inbox.next()), spans_of(inbox.next())
        sending.close()

    assert first["batch"].trace_id == second["batch"].trace_id
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_traces_are_sent_where_variables_say_where_to(environment: dict[str, str], expected: bool) -> None:
    assert is_wanted(environment) is expected
