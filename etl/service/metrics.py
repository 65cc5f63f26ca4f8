"""The figures of a service for Prometheus, as docs/metrics.md lists them. A scrape reads memory alone."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.service.counting import Count, Counts
from etl.service.gauges import gauges_of, service_gauges
from etl.service.watch import join_watch, leave_watch

if TYPE_CHECKING:
    from etl.seam import Seam
    from etl.service.attendants import Premises
    from etl.service.contract import Fleet, Served
    from etl.service.outbox import Traffic
    from etl.service.watch import Watch

PATH = "/metrics"
_PLAIN: dict[str, tuple[str, Callable[[Count], float]]] = {
    "etl_batches": ("Committed batches.", lambda count: count.batches),
    "etl_bytes_read": ("Bytes of input of committed batches.", lambda count: count.bytes_read),
    "etl_failures": ("Runs that failed.", lambda count: count.failures),
}
"""What has one figure for each pipeline: its text, and where the figure is."""


@dataclass(eq=False)
class Metrics:
    """Everything that is measured of a service."""

    fleet: Fleet
    watch: Watch
    seam: Seam

    def __post_init__(self) -> None:
        """Begin to count."""
        from prometheus_client import CollectorRegistry, ProcessCollector

        self._counts = Counts()
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        self._leave = self.fleet.listen(self._counts.hear)

    def exposition(self) -> tuple[bytes, str]:
        """Return the figures in Prometheus' text format, and its content type."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    def describe(self) -> list[Any]:
        """Return nothing: the registry need not collect before it is asked."""
        return []

    def collect(self) -> Iterator[Any]:
        """Yield every family of figures; called by the registry."""
        from prometheus_client.core import GaugeMetricFamily

        from etl import __version__

        build = GaugeMetricFamily("etl_build_info", "Version of what is running.", labels=("version", "python"))
        build.add_metric((__version__, platform.python_version()), 1)
        yield build
        served = self.fleet.served()
        counts = self._counts.now()
        yield from counts_of(served, {each.name: counts.get(each.name, Count()) for each in served})
        yield from service_gauges(served)
        yield from gauges_of(self.watch.seen(), counts, self.seam)
        yield from _traffic(self.watch.traffic())

    def close(self) -> None:
        """Count no more."""
        self._leave()


def counts_of(served: Sequence[Served], counts: Mapping[str, Count]) -> Iterator[Any]:
    """Yield what is counted from the start of the process on."""
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

    rows = CounterMetricFamily(
        "etl_rows", "Rows of committed batches, by what became of them.", labels=("pipeline", "fate")
    )
    took = HistogramMetricFamily(
        "etl_batch_duration_seconds", "How long steps of batches took.", labels=("pipeline", "step")
    )
    for name, count in counts.items():
        for fate, number in sorted(count.rows.items()):
            rows.add_metric((name, fate), number)
        for step, durations in count.durations.items():
            took.add_metric((name, step), durations.upto(), durations.sum_s)
    yield from (rows, took)
    for metric, (text, figure) in _PLAIN.items():
        family = CounterMetricFamily(metric, text, labels=("pipeline",))
        for name, count in counts.items():
            family.add_metric((name,), figure(count))
        yield family
    missed = CounterMetricFamily(
        "etl_missed_ticks", "Ticks that came while the pipeline could not run.", labels=("pipeline",)
    )
    for each in served:
        missed.add_metric((each.name,), each.missed)
    yield missed


def _traffic(traffic: Sequence[Traffic]) -> Iterator[Any]:
    """Yield what was sent to others, and what could not be."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    labels = ("outbox",)
    sent = CounterMetricFamily("etl_messages_sent", "Messages and events that were delivered.", labels=labels)
    dropped = CounterMetricFamily("etl_messages_dropped", "Messages and events that never will be.", labels=labels)
    waiting = GaugeMetricFamily("etl_messages_waiting", "Messages and events not delivered yet.", labels=labels)
    for each in traffic:
        sent.add_metric((each.name,), each.sent)
        dropped.add_metric((each.name,), each.dropped)
        waiting.add_metric((each.name,), each.waiting)
    yield from (sent, dropped, waiting)


_measured: dict[int, Metrics] = {}


@dataclass(frozen=True)
class Measuring:
    """The attendant that counts."""

    premises: Premises

    def close(self) -> None:
        """End it. *Repeat*: safe."""
        metrics = _measured.pop(id(self.premises.fleet), None)
        if metrics is not None:
            metrics.close()
            leave_watch(self.premises)


def start(premises: Premises) -> Measuring:
    """Begin to count."""
    _measured[id(premises.fleet)] = Metrics(premises.fleet, join_watch(premises), premises.seam)
    return Measuring(premises)


def metrics_of(fleet: Fleet) -> Metrics | None:
    """Return what is measured of a fleet, None where nothing is."""
    return _measured.get(id(fleet))
