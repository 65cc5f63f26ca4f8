from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from contextlib import suppress

import pytest

from etl.errors import ConfigError
from etl.operations.workspace import Workspace
from etl.seam import Seam
from etl.secrets import mask
from etl.serve_options import ServeOptions
from etl.service.attendants import Premises
from etl.service.web import server
from etl.service.web.access import access_to, refuse_open
from etl.service.web.attendant import start
from etl.service.web.guard import MOST_BODY_BYTES
from etl.service.web.streams import MOST_STREAMS
from tests.asking import TOKEN, Asked, bearer
from tests.fleets import Stage

LINK = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Accept", "text/html")]


def test_the_token_in_an_address_signs_in(looked: Asked) -> None:
    answer = looked.ask(f"/ui/sign-in?token={TOKEN}", headers=LINK)

    cookie = answer.headers["set-cookie"]
    assert answer.status == 200
    assert cookie.startswith(f"etl_{looked.port}=")
    assert "; HttpOnly; " in cookie
    assert "Path=/ui" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    assert looked.ask("/ui/", headers=[("Cookie", cookie.partition(";")[0])]).status == 200


def test_a_token_that_was_drawn_is_told_once_and_is_a_secret_from_then_on(shop: Workspace) -> None:
    told: list[str] = []
    page = start(Premises(shop, Stage(), Seam(), ServeOptions(port=0), lambda text: told.append(mask(text))))
    assert page is not None
    try:
        token = page.site.access.token
        assert told == [f"status page: http://127.0.0.1:{page.site.access.port}/ui/sign-in?token={token}"]
        assert mask(f"the token is {token}") == "the token is ***"
    finally:
        page.close()


def test_a_token_of_the_settings_is_never_told(looked: Asked) -> None:
    assert looked.page.address == f"http://{looked.host}/ui/"


def test_a_wrong_token_gets_no_cookie(looked: Asked) -> None:
    for given in ("", "x", TOKEN[:-1], TOKEN + "x", "%00", TOKEN.upper()):
        answer = looked.ask(f"/ui/sign-in?token={given}")
        assert answer.status == 401
        assert "set-cookie" not in answer.headers


def test_a_person_without_a_token_is_asked_for_it(looked: Asked) -> None:
    answer = looked.ask("/ui/pipelines/orders", headers=[("Accept", "text/html,*/*")])

    assert answer.status == 401
    assert "<h1>Sign in</h1>" in answer.text
    assert "orders" not in answer.text


def test_the_cookie_opens_nothing_outside_the_page(looked: Asked) -> None:
    access = looked.page.site.access

    assert looked.ask("/metrics", headers=[("Cookie", f"{access.cookie}={access.cookie_value}")]).status == 401
    assert looked.ask("/metrics", headers=[bearer()]).status == 404  # nothing is measured in this test


@pytest.mark.parametrize(
    "headers",
    [
        [("Host", "{host}"), ("Host", "evil.example")],
        [("Host", "{host}, evil.example")],
        [("Host", "evil.example"), ("X-Forwarded-Host", "{host}")],
        [("Host", "user@{host}")],
    ],
)
def test_a_host_that_is_told_twice_or_otherwise_is_refused(looked: Asked, headers: Sequence[tuple[str, str]]) -> None:
    given = [(name, value.replace("{host}", looked.host)) for name, value in headers]

    assert looked.ask("/ui/", headers=[bearer(), *given]).status in (400, 421)


def test_two_authorizations_are_none(looked: Asked) -> None:
    assert looked.ask("/ui/", headers=[bearer("wrong"), bearer()]).status == 401
    assert looked.ask("/ui/", headers=[("Authorization", f"Basic {TOKEN}")]).status == 401


def test_a_body_that_is_too_long_is_refused(looked: Asked) -> None:
    origin = ("Origin", f"http://{looked.host}")

    answer = looked.ask("/ui/sign-in", "POST", [origin], b"token=" + b"x" * MOST_BODY_BYTES)

    assert answer.status == 413


def test_a_client_that_sends_no_headers_is_dropped(looked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEADER_WAIT_S", 0.2)
    with socket.create_connection(("127.0.0.1", looked.port), timeout=10) as client:
        client.sendall(b"GET /ui/ HTTP/1.1\r\nHost: ")
        with suppress(ConnectionResetError):
            assert client.recv(100) == b""


def test_more_pages_than_there_is_room_for_are_turned_away(looked: Asked) -> None:
    request = f"GET /ui/events HTTP/1.1\r\nHost: {looked.host}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
    clients = [socket.create_connection(("127.0.0.1", looked.port), timeout=10) for _ in range(MOST_STREAMS)]
    try:
        for client in clients:
            client.sendall(request)
            assert client.recv(12) == b"HTTP/1.1 200"
        assert looked.look("/ui/events").status == 503
    finally:
        for client in clients:
            client.close()
    deadline = time.monotonic() + 10
    while looked.page.site.streams.count and time.monotonic() < deadline:
        pass
    assert looked.page.site.streams.count == 0


def test_an_error_of_the_page_itself_tells_no_inside(looked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> object:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr(looked.page.site.fleet, "served", broken)

    answer = looked.look("/ui/")

    assert answer.status == 500
    assert answer.text == "internal error; the log of the service has the cause\n"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "etl.example.com"])  # noqa: S104
def test_nothing_listens_beyond_this_machine_without_a_token(shop: Workspace, host: str) -> None:
    with pytest.raises(ConfigError, match="is reached from other machines, and no token is set"):
        refuse_open(ServeOptions(host=host))
    with pytest.raises(ConfigError):
        start(Premises(shop, Stage(), Seam(), ServeOptions(host=host, port=0), lambda _: None))


def test_a_token_is_drawn_anew_for_each_start() -> None:
    one, other = (access_to(ServeOptions(), Seam(), 8765) for _ in range(2))

    assert one.token != other.token
    assert len(one.token) >= 32
    assert one.token not in repr(one)


def test_hosts_are_those_of_loopback_and_of_the_settings() -> None:
    access = access_to(ServeOptions(host="10.0.0.5", token=TOKEN, hosts=["ETL.example.com"]), Seam(), 8765)

    assert sorted(access.hosts) == [
        *("10.0.0.5:8765", "127.0.0.1:8765", "[::1]:8765", "etl.example.com", "localhost:8765"),
    ]


def test_a_port_that_is_taken_is_told(shop: Workspace, looked: Asked) -> None:
    with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{looked.port}"):
        start(Premises(shop, Stage(), Seam(), ServeOptions(port=looked.port), lambda _: None))


def test_no_page_listens_nowhere(shop: Workspace) -> None:
    assert start(Premises(shop, Stage(), Seam(), ServeOptions(), lambda _: None, has_page=False)) is None
