from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from typing import Any

import attr
import pytest
from openlineage.client import OpenLineageClient, facet_v2
from openlineage.client.serde import Serde
from openlineage.client.transport.http import HttpConfig, HttpTransport

from etl.errors import EtlError
from etl.operations.workspace import Workspace
from etl.seam import Seam
from etl.secrets import register_secret
from etl.serve_options import ServeOptions
from etl.service.attendants import Premises
from etl.service.contract import Happening
from etl.service.lineage import LineageTelling, is_wanted
from etl.service.lineage_events import Facts, events_of
from tests.fleets import Stage, at, batch
from tests.receiving import receiving

NOON = at("2026-01-01T12:00:00+00:00")
FACTS = Facts("shop", "orders", "", {"orders": ("/in/*.csv",)}, {"silver.orders": "s3://lake/silver/orders"}, None)


def told(happening: Happening, facts: Facts = FACTS) -> list[dict[str, Any]]:
    """Return the events as they are sent."""
    return [json.loads(Serde.to_json(event)) for event in events_of(happening, facts)]


def facet_classes() -> dict[str, type]:
    """Return the library's facets by the address of their schema."""
    modules = [module for _, module in inspect.getmembers(facet_v2, inspect.ismodule)]
    classes = [each for module in modules for _, each in inspect.getmembers(module, inspect.isclass)]
    return {each._get_schema(): each for each in classes if hasattr(each, "_get_schema")}


def facets_in(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every facet of an event."""
    if isinstance(value, dict):
        if "_schemaURL" in value:
            yield value
        for inner in value.values():
            yield from facets_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from facets_in(inner)


def test_a_batch_is_told_when_it_began_and_that_it_is_complete() -> None:
    began, ended = told(Happening(NOON, "orders", "committed", "batch 3", batch(batch_id=3)))

    assert [began["eventType"], ended["eventType"]] == ["START", "COMPLETE"]
    assert [began["eventTime"], ended["eventTime"]] == ["2026-01-01T11:59:59.750000+00:00", "2026-01-01T12:00:00+00:00"]
    assert began["run"]["runId"] == ended["run"]["runId"]
    assert ended["job"]["namespace"] == "shop"
    assert ended["job"]["name"] == "orders"
    (given,), (made,) = ended["inputs"], ended["outputs"]
    assert (given["namespace"], given["name"]) == ("file", "/in")
    assert given["inputFacets"]["inputStatistics"]["rowCount"] == 10
    assert given["inputFacets"]["inputStatistics"]["size"] == 1000
    assert (made["namespace"], made["name"]) == ("s3://lake", "silver/orders")
    assert made["facets"]["version"]["datasetVersion"] == "3"
    assert made["outputFacets"]["outputStatistics"]["rowCount"] == 8


def test_the_same_batch_has_the_same_run_id_however_often_it_is_told_and_another_one_another() -> None:
    first, again = (told(Happening(NOON, "orders", "committed", "", batch(batch_id=3)))[0] for _ in range(2))
    other = told(Happening(NOON, "orders", "committed", "", batch(batch_id=4)))[0]

    assert first["run"]["runId"] == again["run"]["runId"] != other["run"]["runId"]


def test_a_failure_is_told_with_its_reason_and_without_secrets() -> None:
    register_secret("zq71secret")
    facts = Facts("shop", "orders", "", {"orders": ("https://me:zq72pw@host/a",)}, {}, None)

    _, ended = told(Happening(NOON, "orders", "failed", "no way to zq71secret\x1b[2J"), facts)

    assert ended["eventType"] == "FAIL"
    assert ended["run"]["facets"]["errorMessage"]["message"] == "no way to ***\\x1b[2J"
    assert "zq71" not in json.dumps(ended)
    assert "zq72" not in json.dumps(ended)


def test_every_facet_is_as_the_library_declares_it(stage: Stage, home: Workspace, run_one: Callable[[], None]) -> None:
    run_one()
    known = facet_classes()
    with receiving() as inbox:
        telling = LineageTelling(premises(stage, home), client(inbox.url), "shop")
        stage.say("orders", "committed", result=batch())
        events = [json.loads(inbox.next().body) for _ in range(2)]
        telling.close()

    found = [facet for event in events for facet in facets_in(event)]
    names = set()
    for facet in found:
        declared = known[facet["_schemaURL"]]
        names.add(declared.__name__)
        attributes = {each.name.lstrip("_"): each for each in attr.fields(declared)}
        given = {name: value for name, value in facet.items() if not name.startswith("_")}
        assert set(given) <= set(attributes)
        declared(**given)
    assert names == {
        "ColumnLineageDatasetFacet",
        "DatasetVersionDatasetFacet",
        "InputStatisticsInputDatasetFacet",
        "JobTypeJobFacet",
        "OutputStatisticsOutputDatasetFacet",
        "ProcessingEngineRunFacet",
        "SchemaDatasetFacet",
        "TagsRunFacet",  # the client adds it
    }
    table = events[1]["outputs"][0]["facets"]
    assert [field["name"] for field in table["schema"]["fields"]][:2] == ["order_id", "amount"]
    (origin,) = table["columnLineage"]["fields"]["amount"]["inputFields"]
    assert origin["name"] == str(home.folder / "landing" / "orders")
    assert origin["field"] == "amount"
    assert origin["transformations"] == [{"type": "DIRECT"}]


def test_what_cannot_be_delivered_is_sent_again_in_order(stage: Stage, home: Workspace) -> None:
    with receiving(503, 200, 200) as inbox:
        telling = LineageTelling(premises(stage, home), client(inbox.url), "shop")
        stage.say("orders", "committed", result=batch(batch_id=7))
        kinds = [json.loads(inbox.next().body)["eventType"] for _ in range(3)]
        telling.close()

    assert kinds == ["START", "START", "COMPLETE"]


def test_a_pipeline_whose_file_is_gone_is_told_all_the_same(stage: Stage, home: Workspace) -> None:
    (home.folder / "pipelines" / "orders.yml").unlink()
    with pytest.raises(EtlError):
        Workspace(home.folder).specs(["orders"])

    with receiving() as inbox:
        telling = LineageTelling(premises(stage, home), client(inbox.url), "shop")
        stage.say("orders", "failed", "its file is gone")
        events = [json.loads(inbox.next().body) for _ in range(2)]
        telling.close()

    assert [event["eventType"] for event in events] == ["START", "FAIL"]
    assert [event["outputs"] for event in events] == [[], []]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"OPENLINEAGE_URL": ""}, False),
        ({"OPENLINEAGE_URL": "http://x"}, True),
        ({"OPENLINEAGE_CONFIG": "/etc/openlineage.yml"}, True),
        ({"OPENLINEAGE__TRANSPORT__TYPE": "console"}, True),
        ({"OPENLINEAGE_URL": "http://x", "OPENLINEAGE_DISABLED": "True"}, False),
    ],
)
def test_events_are_sent_where_variables_say_where_to(environment: dict[str, str], expected: bool) -> None:
    assert is_wanted(environment) is expected


def premises(stage: Stage, home: Workspace) -> Premises:
    return Premises(home, stage, Seam(), ServeOptions(), list[str]().append)


def client(url: str) -> OpenLineageClient:
    config = HttpConfig(url=url, retry={"total": 0})
    return OpenLineageClient(transport=HttpTransport(config))
