"""A trace of every batch for OpenTelemetry, sent to where its own environment variables say."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from etl.errors import TransientError
from etl.secrets import register_environment, scrubbed
from etl.service.outbox import Outbox
from etl.service.quiet import quieted
from etl.service.watch import join_watch, leave_watch

if TYPE_CHECKING:
    from datetime import datetime

    from etl.model import BatchResult
    from etl.service.attendants import Premises
    from etl.service.contract import Happening

STEPS = ("plan", "stage", "commit")
"""The steps of a batch, in order; each is a span inside that of the batch."""
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Tell whether the variables of OpenTelemetry say where traces go."""
    is_off = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    is_off = is_off or environment.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() == "none"
    return not is_off and any(environment.get(name) for name in _ENDPOINTS)


class Spans:
    """Spans made of what happens; all those of one happening together."""

    def __init__(self) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

        from etl import __version__

        ended: list[Any] = []

        class Keep(SpanProcessor):
            def on_end(self, span: Any) -> None:  # noqa: ANN401  a library that is imported late
                ended.append(span)

        given = {"service.version": __version__}
        if "OTEL_SERVICE_NAME" not in os.environ:
            given["service.name"] = "lakehouse-etl"
        provider = TracerProvider(resource=Resource.create(given), shutdown_on_exit=False)
        provider.add_span_processor(Keep())
        self._tracer = provider.get_tracer("etl", __version__)
        self._ended = ended
        self._lock = threading.Lock()

    def of_batch(self, happening: Happening, result: BatchResult) -> Sequence[Any]:
        """Return the spans of a batch: its own, and one for each step."""
        from opentelemetry.trace import set_span_in_context

        started_at = happening.at - timedelta(seconds=result.seconds.get("total", 0.0))
        with self._lock:
            whole = self._tracer.start_span("batch", attributes=dict(_attributes(result)), start_time=_ns(started_at))
            at = started_at
            for step in (each for each in STEPS if each in result.seconds):
                span = self._tracer.start_span(step, context=set_span_in_context(whole), start_time=_ns(at))
                at = min(at + timedelta(seconds=result.seconds[step]), happening.at)
                span.end(_ns(at))
            whole.end(_ns(happening.at))
            return self._taken()

    def of_failure(self, happening: Happening) -> Sequence[Any]:
        """Return the span of a run that failed; when it began is not known."""
        from opentelemetry.trace import Status, StatusCode

        attributes = {"etl.pipeline": scrubbed(happening.pipeline)}
        with self._lock:
            span = self._tracer.start_span("run", attributes=attributes, start_time=_ns(happening.at))
            span.set_status(Status(StatusCode.ERROR, scrubbed(happening.message) or "a run failed"))
            span.end(_ns(happening.at))
            return self._taken()

    def _taken(self) -> Sequence[Any]:
        found = tuple(self._ended)
        self._ended.clear()
        return found


def _ns(at: datetime) -> int:
    return round(at.timestamp() * 1e6) * 1000


def _attributes(result: BatchResult) -> Iterator[tuple[str, str | int]]:
    yield "etl.pipeline", scrubbed(result.pipeline)
    yield "etl.batch_id", result.batch_id
    yield "etl.bytes_read", result.bytes_read
    for fate, number in result.rows.items():
        yield f"etl.rows.{fate}", number
    for table, version in result.tables.items():
        yield f"etl.table.{scrubbed(table)}", version
    if result.watermark is not None:
        yield "etl.watermark", result.watermark


class Tracing:
    """The attendant that sends traces."""

    def __init__(self, premises: Premises, exporter: Any) -> None:  # noqa: ANN401  a library that is imported late
        self._premises, self._exporter, self._spans = premises, exporter, Spans()
        self._heard = quieted("opentelemetry")
        quieted("urllib3")
        self._outbox: Outbox[Sequence[Any]] = Outbox("traces", self._send, premises.seam, premises.tell, bound=1000)
        join_watch(premises).outboxes.append(self._outbox.traffic)
        self._outbox.start()
        self._leave = premises.fleet.listen(self.hear)

    def hear(self, happening: Happening) -> None:
        """Have a batch told, or a run that failed."""
        if happening.result is not None:
            self._outbox.put(self._spans.of_batch(happening, happening.result))
        elif happening.kind == "failed":
            self._outbox.put(self._spans.of_failure(happening))

    def close(self) -> None:
        """End it. *Repeat*: safe."""
        self._leave()
        self._outbox.close()
        self._exporter.shutdown()
        leave_watch(self._premises)

    def _send(self, spans: Sequence[Any]) -> None:
        from opentelemetry.sdk.trace.export import SpanExportResult

        if self._exporter.export(spans) is not SpanExportResult.SUCCESS:
            raise TransientError(self._heard.taken() or "the collector did not take it", where="traces")


def start(premises: Premises) -> Tracing | None:
    """Begin to send; nothing where no variable says where to."""
    if not is_wanted(os.environ):
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    register_environment(os.environ)
    return Tracing(premises, OTLPSpanExporter())
