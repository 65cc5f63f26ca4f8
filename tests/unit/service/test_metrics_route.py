from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from etl.operations.workspace import Workspace
from etl.seam import Seam
from etl.serve_options import ServeOptions
from etl.service.attendants import ATTENDANTS, Premises, attended
from tests.fleets import Stage, batch

POSTS = tuple(each for each in ATTENDANTS if each.extra == "web")
TOKEN = "token-of-sixteen-characters"
KNOWN = {"Authorization": f"Bearer {TOKEN}"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(stage: Stage, home: Workspace, *, has_page: bool) -> Iterator[int]:
    """Serve what a service serves; the port."""
    options = ServeOptions(port=free_port(), token=TOKEN)
    premises = Premises(home, stage, Seam(), options, list[str]().append, has_page=has_page)
    with attended(premises, POSTS):
        stage.say("orders", "committed", result=batch())
        yield options.port


def answer(port: int, path: str, headers: dict[str, str]) -> tuple[int, str, str]:
    """Return the status, the content type and the body of an answer."""
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response.status, response.headers.get("Content-Type", ""), body


@pytest.mark.parametrize("has_page", [True, False])
def test_metrics_are_answered_behind_the_guard_with_the_page_and_without(
    stage: Stage,
    home: Workspace,
    has_page: bool,
) -> None:
    with served(stage, home, has_page=has_page) as port:
        status, kind, body = answer(port, "/metrics", KNOWN)
        refused = [
            answer(port, "/metrics", headers)[0]
            for headers in (
                {},
                {"Authorization": "Bearer wrong"},
                {**KNOWN, "Host": "elsewhere.example"},
                {**KNOWN, "Origin": "https://elsewhere.example"},
                {**KNOWN, "Sec-Fetch-Site": "cross-site"},
            )
        ]

    assert (status, kind) == (200, "text/plain; version=1.0.0; charset=utf-8")
    found = {sample.name: sample for each in text_string_to_metric_families(body) for sample in each.samples}
    assert found["etl_batches_total"].labels == {"pipeline": "orders"}
    assert found["etl_batches_total"].value == 1
    assert refused == [401, 401, 421, 403, 403]


def test_without_the_page_nothing_else_is_answered(stage: Stage, home: Workspace) -> None:
    with served(stage, home, has_page=False) as port:
        assert [answer(port, path, KNOWN)[0] for path in ("/", "/ui/", "/ui/pipelines/orders", "/ui/events")] == [
            404
        ] * 4


def test_the_address_that_is_told_is_the_one_that_answers(stage: Stage, home: Workspace) -> None:
    told: list[str] = []
    options = ServeOptions(port=0, token=TOKEN)
    with attended(Premises(home, stage, Seam(), options, told.append, has_page=False), POSTS):
        (line,) = told
        url = urlsplit(line.split()[-1])
        assert url.port is not None
        assert answer(url.port, url.path, KNOWN)[0] == 200
