"""The guard in front of every route: host, origin, token, method and size are looked at before anything else runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any, NamedTuple

from etl.service.web.access import ROOT, SIGN_IN, Access

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BODY_BYTES = 65_536
BODY_WAIT_S = 10.0
OPEN = frozenset({("GET", SIGN_IN), ("POST", SIGN_IN), ("GET", f"{ROOT}/static/page.css")})
"""What is answered without a token, by method and exact path: the way in, and what it looks like."""

_UNKNOWN = 401
_METHODS = ("GET", "HEAD", "POST")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),  # with no-referrer a form's Origin would be null
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
_LOG = logging.getLogger("etl.page")


class Refusal(NamedTuple):
    """Why a request is not answered."""

    status: int
    reason: str


BROKEN = Refusal(500, "internal error; the log of the service has the cause")


class Guard:
    """Denies by default: what is not refused here has the token, comes from this page or from no page at all.

    ``ask`` makes the answer to a person who has no token yet.
    """

    def __init__(self, app: ASGIApp, access: Access, ask: Callable[[], Response]) -> None:
        self._app = app
        self._access = access
        self._ask = ask

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no route of ours is a WebSocket
            await send({"type": "websocket.close", "code": 1008})
            return
        refusal = refusal_of(scope, self._access)
        answer = _protected(send)
        if refusal is not None:
            await self._refuse(refusal, scope, receive, answer)
            return
        body, refusal = await _body(scope, receive)
        if refusal is not None:
            await self._refuse(refusal, scope, receive, answer)
            return
        await self._pass_on(scope, _again(body, receive), answer)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_begun = is_whole = False

        async def noticed(message: Message) -> None:
            nonlocal is_begun, is_whole
            is_begun = True
            is_whole = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, receive, noticed)
        except Exception as exc:  # the person gets no traceback; whoever runs the service gets the cause
            _LOG.error("%s %s: %s: %s", scope["method"], ascii(scope["path"]), type(exc).__name__, ascii(str(exc)))
            if is_begun and not is_whole:
                raise
            if not is_begun:
                await self._refuse(BROKEN, scope, receive, send)

    async def _refuse(self, refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.responses import PlainTextResponse

        is_person = refusal.status == _UNKNOWN and scope["method"] == "GET" and "text/html" in _header(scope, b"accept")
        answer = self._ask() if is_person else PlainTextResponse(f"{refusal.reason}\n", refusal.status)
        answer.headers["connection"] = "close"  # what is left of its body is not read
        if refusal.status == _UNKNOWN:
            answer.headers["www-authenticate"] = "Bearer"
        await answer(scope, receive, send)


def refusal_of(scope: MutableMapping[str, Any], access: Access) -> Refusal | None:
    """Return why a request is refused, None where it is not."""
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if len(hosts) != 1 or hosts[0].decode("latin-1").lower() not in access.hosts:
        return Refusal(421, "this host name is not served; name it in etl.yml under serve: hosts")
    if scope["method"] not in _METHODS:
        return Refusal(405, "only GET, HEAD and POST are answered")
    return _foreign(scope, access) or _unknown(scope, access)


def _foreign(scope: MutableMapping[str, Any], access: Access) -> Refusal | None:
    """Refuse what another page caused: everything, but for a person who follows a link to the way in."""
    site, origin = _header(scope, b"sec-fetch-site"), _header(scope, b"origin")
    is_link = scope["method"] == "GET" and scope["path"] == SIGN_IN and _header(scope, b"sec-fetch-mode") == "navigate"
    if site not in ("", "same-origin", "none") and not is_link:
        return Refusal(403, "asked for by another site")
    if origin and not access.is_own_origin(origin.lower()):
        return Refusal(403, "asked for by another origin")
    is_unsafe = scope["method"] == "POST"
    if is_unsafe and not (origin or site) and not _header(scope, b"authorization"):
        return Refusal(403, "neither a page of this service nor a token in the header Authorization asks for this")
    return None


def _unknown(scope: MutableMapping[str, Any], access: Access) -> Refusal | None:
    if (scope["method"], scope["path"]) in OPEN or _is_known(scope, access):
        return None
    return Refusal(_UNKNOWN, "no token, or a wrong one; etl serve prints the address that has it")


def _is_known(scope: MutableMapping[str, Any], access: Access) -> bool:
    scheme, _, given = _header(scope, b"authorization").partition(" ")
    if scheme:
        return scheme.lower() == "bearer" and access.is_token(given.strip())
    if not f"{scope['path']}/".startswith(f"{ROOT}/"):
        return False
    try:
        found = SimpleCookie(_header(scope, b"cookie")).get(access.cookie)
    except CookieError:
        return False
    return found is not None and access.is_cookie(found.value)


def _header(scope: MutableMapping[str, Any], wanted: bytes) -> str:
    """Return a header, all of its values joined, so that none hides behind another."""
    values = [value.decode("latin-1") for name, value in scope["headers"] if name == wanted]
    return ", ".join(values)


async def _body(scope: Scope, receive: Receive) -> tuple[bytes, Refusal | None]:
    """Return the whole body of a request, within its limits of size and time."""
    if scope["method"] != "POST":
        return b"", None
    body = b""
    try:
        async with asyncio.timeout(BODY_WAIT_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return b"", Refusal(400, "the request broke off")
                body += message.get("body", b"")
                if len(body) > MOST_BODY_BYTES:
                    return b"", Refusal(413, f"more than {MOST_BODY_BYTES} bytes")
                if not message.get("more_body", False):
                    return body, None
    except TimeoutError:
        return b"", Refusal(408, "the request took too long to arrive")


def _again(body: bytes, receive: Receive) -> Receive:
    """Return what hands out a body that was read already, and then what further happens to the connection."""
    is_given = False

    async def given() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return given


def _protected(send: Send) -> Send:
    """Return a ``send`` that adds what browsers are told about every answer."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = {name.lower() for name, _ in message["headers"]}
            kept = () if b"cache-control" in given else ((b"cache-control", b"no-store"),)
            message = {**message, "headers": [*message["headers"], *_HEADERS, *kept]}
        await send(message)

    return sent
