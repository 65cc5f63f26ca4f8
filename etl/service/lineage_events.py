"""OpenLineage events of batches: datasets with their columns, and which columns come from which."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from etl.secrets import scrubbed

if TYPE_CHECKING:
    from etl.model import BatchResult
    from etl.operations.lineage import Lineage, Origin
    from etl.service.contract import Happening

PRODUCER = "https://pypi.org/project/lakehouse-etl"
_MAGIC = "*?[{"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a pipeline beside its batches.

    ``reads`` are the places that each source reads, by its name; ``tables`` the tables that it writes, by name, its own
    first. ``lineage`` is None where the columns are not known.
    """

    namespace: str
    pipeline: str
    description: str
    reads: Mapping[str, tuple[str, ...]]
    tables: Mapping[str, str]
    lineage: Lineage | None


def events_of(happening: Happening, facts: Facts) -> tuple[Any, Any]:
    """Return the events of a batch, or of a run that failed: that it began, and what became of it.

    *Repeat*: the same events, the same run id.
    """
    from openlineage.client.event_v2 import Job, Run, RunEvent, RunState

    result = happening.result
    started_at = happening.at - timedelta(seconds=0.0 if result is None else result.seconds.get("total", 0.0))
    run = Run(_run_id(happening, facts), _run_facets(happening))
    job = Job(facts.namespace, scrubbed(facts.pipeline), _job_facets(facts))
    shared: dict[str, Any] = {"run": run, "job": job, "producer": PRODUCER}
    inputs, outputs = list(_inputs(result, facts)), list(_outputs(result, facts))
    state = RunState.FAIL if result is None else RunState.COMPLETE
    return (
        RunEvent(
            eventTime=started_at.isoformat(), eventType=RunState.START, inputs=inputs, outputs=outputs[:1], **shared
        ),
        RunEvent(eventTime=happening.at.isoformat(), eventType=state, inputs=inputs, outputs=outputs, **shared),
    )


def dataset_of(url: str) -> tuple[str, str]:
    """Return namespace and name of what lies at a URL, as OpenLineage names datasets; of a pattern, its folder.

    >>> dataset_of("/data/landing/**/*.csv"), dataset_of("s3://shop/lake/silver/orders")
    (('file', '/data/landing'), ('s3://shop', 'lake/silver/orders'))
    """
    segments = url.split("/")
    fixed = next((place for place, each in enumerate(segments) if any(char in each for char in _MAGIC)), len(segments))
    parts = urlsplit("/".join(segments[:fixed]) or "/")
    if parts.scheme in ("", "file"):
        return "file", scrubbed(parts.path or "/")
    host = parts.netloc.rpartition("@")[2]
    name = parts.path.lstrip("/") + (f"#{parts.fragment}" if parts.fragment else "")
    return scrubbed(f"{parts.scheme}://{host}"), scrubbed(name or "/")


def _run_id(happening: Happening, facts: Facts) -> str:
    from openlineage.client.uuid import generate_static_uuid

    result = happening.result
    what = "failed" if result is None else f"{result.batch_id}"
    return str(generate_static_uuid(happening.at, f"{facts.namespace}\0{facts.pipeline}\0{what}".encode()))


def _run_facets(happening: Happening) -> dict[str, Any]:
    from openlineage.client.facet_v2 import error_message_run, processing_engine_run

    from etl import __version__

    engine = processing_engine_run.ProcessingEngineRunFacet(__version__, "lakehouse-etl", __version__)
    facets: dict[str, Any] = {"processing_engine": engine}
    if happening.result is None:
        message = scrubbed(happening.message, keep="\n") or "a run failed"
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(message, "PYTHON")
    return facets


def _job_facets(facts: Facts) -> dict[str, Any]:
    from openlineage.client.facet_v2 import documentation_job, job_type_job

    facets: dict[str, Any] = {"jobType": job_type_job.JobTypeJobFacet("BATCH", "LAKEHOUSE_ETL", "PIPELINE")}
    if facts.description:
        facets["documentation"] = documentation_job.DocumentationJobFacet(scrubbed(facts.description, keep="\n"))
    return facets


def _inputs(result: BatchResult | None, facts: Facts) -> Iterator[Any]:
    from openlineage.client.event_v2 import InputDataset
    from openlineage.client.facet_v2 import input_statistics_input_dataset

    is_alone = sum(map(len, facts.reads.values())) == 1
    for source, urls in facts.reads.items():
        columns = {} if facts.lineage is None else facts.lineage.sources.get(source, {})
        for url in urls:
            given: dict[str, Any] = {}
            if is_alone and result is not None and result.resolution is None:
                read = result.rows.get("read", 0)
                given["inputStatistics"] = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
                    rowCount=read, size=result.bytes_read
                )
            yield InputDataset(*dataset_of(url), inputFacets=given, facets=_schema(columns))
    for place in sorted(_statics(facts)):
        yield InputDataset(*dataset_of(place))


def _statics(facts: Facts) -> set[str]:
    found = () if facts.lineage is None else facts.lineage.origins.values()
    return {origin.static for origins in found for origin in origins if origin.static}


def _outputs(result: BatchResult | None, facts: Facts) -> Iterator[Any]:
    """Yield the table, also where the batch left it alone, and the others that the batch changed."""
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import dataset_version_dataset, output_statistics_output_dataset

    changed = {} if result is None else result.tables
    for place, (table, url) in enumerate(facts.tables.items()):
        if place > 0 and table not in changed:
            continue
        facets = _columns(facts) if place == 0 else {}
        if table in changed:
            facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(str(changed[table]))
        given: dict[str, Any] = {}
        if place == 0 and result is not None:
            written = result.rows.get("written", 0)
            given["outputStatistics"] = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(written)
        yield OutputDataset(*dataset_of(url), outputFacets=given, facets=facets)


def _schema(columns: Mapping[str, str]) -> dict[str, Any]:
    from openlineage.client.facet_v2 import schema_dataset

    if not columns:
        return {}
    fields = [
        schema_dataset.SchemaDatasetFacetFields(scrubbed(name), scrubbed(kind), ordinal_position=place)
        for place, (name, kind) in enumerate(columns.items(), 1)
    ]
    return {"schema": schema_dataset.SchemaDatasetFacet(fields)}


def _columns(facts: Facts) -> dict[str, Any]:
    from openlineage.client.facet_v2 import column_lineage_dataset

    if facts.lineage is None:
        return {}
    fields = {
        scrubbed(name): column_lineage_dataset.Fields(list(_origins(origins, facts)))
        for name, origins in facts.lineage.origins.items()
        if origins
    }
    found: dict[str, Any] = _schema(facts.lineage.result)
    if fields:
        found["columnLineage"] = column_lineage_dataset.ColumnLineageDatasetFacet(fields)
    return found


def _origins(origins: Iterable[Origin], facts: Facts) -> Iterator[Any]:
    from openlineage.client.facet_v2 import column_lineage_dataset

    for origin in origins:
        for url in (origin.static,) if origin.static else facts.reads.get(origin.source, ()):
            direct = column_lineage_dataset.Transformation("DIRECT")
            yield column_lineage_dataset.InputField(*dataset_of(url), scrubbed(origin.column), [direct])
