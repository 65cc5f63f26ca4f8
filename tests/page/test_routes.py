"""Every route is known here, and each is denied to whoever is not meant: by what is sent over the wire."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from etl.service.web.app import routes
from etl.service.web.guard import OPEN
from tests.asking import Asked, bearer

LOOKS = (
    *("/", "/metrics", "/ui", "/ui/", "/ui/graph", "/ui/events", "/ui/static/{file}", "/ui/sign-in"),
    *("/ui/pipelines/{name}", "/ui/pipelines/{name}/batches/{batch:int}", "/ui/pipelines/{name}/files"),
    *("/ui/pipelines/{name}/quarantine", "/ui/pipelines/{name}/schema", "/ui/pipelines/{name}/table"),
    *("/ui/pipelines/{name}/rewind", "/ui/pipelines/{name}/report"),
)
ACTS = (
    *("/ui/pipelines/{name}/run", "/ui/pipelines/{name}/pause", "/ui/pipelines/{name}/resume"),
    *("/ui/pipelines/{name}/rewind", "/ui/pipelines/{name}/quarantine", "/ui/pipelines/{name}/quarantine/resolve"),
)
REQUESTS = [*(("GET", path) for path in LOOKS), *(("POST", path) for path in (*ACTS, "/ui/sign-in"))]
GUARDED = [each for each in REQUESTS if each[1] != "/ui/sign-in"]


def test_every_route_is_in_the_list_above(looked: Asked) -> None:
    assert sorted(set(declared(looked))) == sorted(REQUESTS)


def test_only_the_way_in_and_its_looks_are_open() -> None:
    assert {("GET", "/ui/sign-in"), ("POST", "/ui/sign-in"), ("GET", "/ui/static/page.css")} == OPEN


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_a_route_is_denied_without_the_token(looked: Asked, method: str, path: str) -> None:
    own = own_headers(looked)
    cookie = looked.page.site.access.cookie

    assert looked.ask(real(path), method, own).status == 401
    assert looked.ask(real(path), method, [*own, bearer("not the token")]).status == 401
    assert looked.ask(real(path), method, [*own, bearer("")]).status == 401
    assert looked.ask(real(path), method, [*own, ("Cookie", f"{cookie}=not-the-cookie")]).status == 401


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example", ""])
@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_a_route_is_denied_under_another_name(looked: Asked, method: str, path: str, host: str) -> None:
    assert looked.ask(real(path), method, [bearer(), ("Host", host)]).status in (400, 421)


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_a_route_is_denied_to_other_sites(looked: Asked, method: str, path: str) -> None:
    for site in ("cross-site", "same-site", "something-new"):
        assert looked.ask(real(path), method, [bearer(), ("Sec-Fetch-Site", site)]).status == 403
    for origin in ("https://evil.example", "null", f"http://{looked.host}.evil.example", f"http://localhost:{1}"):
        assert looked.ask(real(path), method, [bearer(), ("Origin", origin)]).status == 403


@pytest.mark.parametrize("path", ACTS)
def test_nothing_is_done_by_a_page_that_only_looks(looked: Asked, path: str) -> None:
    answer = looked.do(real(path), action="discard", batch="0", confirm="orders")

    assert answer.status == 409
    assert "this page only looks" in answer.text
    assert looked.fleet.done == []


@pytest.mark.parametrize("path", ACTS)
def test_nothing_is_done_by_a_request_that_says_not_where_it_comes_from(acting_once: Asked, path: str) -> None:
    cookie = acting_once.page.site.access
    headers = [("Cookie", f"{cookie.cookie}={cookie.cookie_value}")]

    assert acting_once.ask(real(path), "POST", headers).status == 403
    assert acting_once.fleet.done == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"])
def test_other_methods_are_not_answered(looked: Asked, method: str) -> None:
    assert looked.ask("/ui/", method, [bearer()]).status == 405


@pytest.mark.parametrize("path", [path for path in LOOKS if path != "/ui/events"])
def test_every_answer_tells_browsers_what_it_may_do(looked: Asked, path: str) -> None:
    answer = looked.look(real(path))

    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'; base-uri 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["cache-control"] in ("no-store", "private, max-age=3600")
    assert "server" not in answer.headers


def declared(asked: Asked) -> Iterator[tuple[str, str]]:
    for route in routes(asked.page.site):
        for method in set(route.methods or ()) - {"HEAD"}:  # type: ignore[attr-defined]
            yield method, route.path  # type: ignore[attr-defined]


def real(path: str) -> str:
    return path.replace("{name}", "orders").replace("{batch:int}", "0").replace("{file}", "page.js")


def own_headers(asked: Asked) -> list[tuple[str, str]]:
    return [("Origin", f"http://{asked.host}"), ("Sec-Fetch-Site", "same-origin")]
