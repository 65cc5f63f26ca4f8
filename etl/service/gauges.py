"""How pipelines stand now, as figures for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from etl.secrets import scrubbed
from etl.service.contract import Phase

if TYPE_CHECKING:
    from etl.seam import Seam
    from etl.service.contract import Served
    from etl.service.counting import Count
    from etl.service.watch import Seen

Figure: TypeAlias = "tuple[str, str, Callable[[Any], float | None]]"

_OF_SERVED: tuple[Figure, ...] = (
    ("etl_consecutive_failures", "Failed runs since the last one that ended well.", lambda each: each.failures),
    ("etl_faulty_definition", "1 where an edited pipeline file cannot be taken.", lambda each: float(bool(each.fault))),
    ("etl_next_run_timestamp_seconds", "When it is started next.", lambda each: _timestamp(each.next_at)),
)
_OF_LOOKS: tuple[Figure, ...] = (
    ("etl_lag_files", "Files that no committed batch holds.", lambda status: status.lag_files),
    ("etl_lag_bytes", "Bytes that no committed batch holds.", lambda status: status.lag_bytes),
    ("etl_lag_seconds", "How long ago the log furthest behind was written to.", lambda status: status.lag_s),
    ("etl_lag_versions", "Versions of Delta tables that are not planned yet.", lambda status: status.lag_versions),
    ("etl_quarantine_open_rows", "Rejected rows that wait for a decision.", lambda status: status.open_rows),
)


def service_gauges(served: Sequence[Served]) -> Iterator[Any]:
    """Yield what the scheduler knows of each pipeline."""
    from prometheus_client.core import GaugeMetricFamily

    phases = GaugeMetricFamily(
        "etl_pipeline_phase", "1 for the phase that a pipeline is in.", labels=("pipeline", "phase")
    )
    for each in served:
        for phase in Phase:
            phases.add_metric((each.name, phase.value), float(each.phase is phase))
    yield phases
    for figure in _OF_SERVED:
        yield _family(figure, {each.name: each for each in served})


def gauges_of(seen: Mapping[str, Seen], counts: Mapping[str, Count], seam: Seam) -> Iterator[Any]:
    """Yield how far each pipeline has come: from its newest batch, and from the newest look at its sources."""
    now, now_s = seam.now().timestamp(), seam.monotonic()
    of_batches: tuple[Figure, ...] = (
        ("etl_last_batch_id", "The newest committed batch.", lambda known: known.result and known.result.batch_id),
        ("etl_last_commit_timestamp_seconds", "When it was committed.", lambda known: _timestamp(known.committed_at)),
        ("etl_watermark_timestamp_seconds", "Where event time stands.", _watermark),
        ("etl_watermark_delay_seconds", "The clock minus the watermark.", lambda known: _since(now, _watermark(known))),
        ("etl_lag_age_seconds", "How old the newest look is.", lambda known: _since(now_s, known.looked_s)),
    )
    for figure in of_batches:
        yield _family(figure, seen)
    statuses = {name: known.status for name, known in seen.items() if known.status is not None}
    for figure in _OF_LOOKS:
        yield _family(figure, statuses)
    succeeded = {name: _succeeded_at(known, counts.get(name)) for name, known in seen.items()}
    text = "When a run ended well; before the first of this process, the newest commit."
    yield _family(("etl_last_success_timestamp_seconds", text, _timestamp), succeeded)
    yield from _state(seen)


def _state(seen: Mapping[str, Seen]) -> Iterator[Any]:
    from prometheus_client.core import GaugeMetricFamily

    for unit in ("rows", "bytes"):
        text = f"What transforms remember after the newest batch, in {unit}."
        family = GaugeMetricFamily(f"etl_state_{unit}", text, labels=("pipeline", "transform"))
        for name, known in seen.items():
            for transform, size in ({} if known.result is None else known.result.state).items():
                family.add_metric((name, scrubbed(transform)), size[unit])
        yield family


def _family(figure: Figure, things: Mapping[str, Any]) -> Any:  # noqa: ANN401  a library that is imported late
    from prometheus_client.core import GaugeMetricFamily

    metric, text, value_of = figure
    family = GaugeMetricFamily(metric, text, labels=("pipeline",))
    for name, thing in things.items():
        value = value_of(thing)
        if value is not None:
            family.add_metric((name,), value)
    return family


def _timestamp(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()


def _watermark(known: Seen) -> float | None:
    mark = None if known.result is None else known.result.watermark
    return None if mark is None else datetime.fromisoformat(mark).timestamp()


def _since(now: float, then: float | None) -> float | None:
    return None if then is None else now - then


def _succeeded_at(known: Seen, count: Count | None) -> datetime | None:
    return known.committed_at if count is None or count.succeeded_at is None else count.succeeded_at
