"""Requests as they are, header by header: what a status page is asked with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from urllib.parse import urlencode

from etl.operations.workspace import Workspace
from etl.seam import Seam
from etl.serve_options import ServeOptions
from etl.service.attendants import Premises
from etl.service.web.attendant import StatusPage, opened
from tests.fleets import StillFleet

TOKEN = "a-token-for-tests-0123456789"


@dataclass(frozen=True)
class Answer:
    """What came back; the names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    text: str


@dataclass(frozen=True)
class Asked:
    """A page that listens, and the fleet behind it."""

    page: StatusPage
    fleet: StillFleet

    @property
    def port(self) -> int:
        return self.page.site.access.port

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def ask(self, path: str, method: str = "GET", headers: Sequence[tuple[str, str]] = (), body: bytes = b"") -> Answer:
        """Ask with exactly these headers; the Host header is the right one unless there is one among them."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            if not any(name.lower() == "host" for name, _ in headers):
                connection.putheader("Host", self.host)
            for name, value in headers:
                connection.putheader(name, value)
            if method == "POST":
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body or None)
            came = connection.getresponse()
            found = {name.lower(): value for name, value in came.getheaders()}
            return Answer(came.status, found, came.read().decode())
        finally:
            connection.close()

    def look(self, path: str) -> Answer:
        """Ask for a page with the token."""
        return self.ask(path, headers=[bearer()])

    def do(self, path: str, **fields: str) -> Answer:
        """Send a form as the page itself would."""
        own = [bearer(), ("Origin", f"http://{self.host}"), ("Sec-Fetch-Site", "same-origin")]
        return self.ask(path, "POST", own, urlencode(fields).encode())


def bearer(token: str = TOKEN) -> tuple[str, str]:
    return "Authorization", f"Bearer {token}"


def open_page(workspace: Workspace, *, actions: bool = False) -> Asked:
    """Return the status page of a project, listening on a free port."""
    fleet = StillFleet(workspace)
    options = ServeOptions(port=0, token=TOKEN, actions=actions)
    return Asked(opened(Premises(workspace, fleet, Seam(), options, lambda _: None)), fleet)
