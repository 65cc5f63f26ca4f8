"""The way in: a token becomes a cookie."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import parse_qs

from etl.service.web.access import ROOT

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from etl.service.web.site import Site

Endpoint: TypeAlias = "Callable[[Request], Awaitable[Response]]"
_WEEK_S = 7 * 86_400


def bound(site: Site, act: Callable[[Site, Request, dict[str, str]], Response]) -> Endpoint:
    """Return the endpoint of a handler: it gets the site and the fields of the form, and runs in a thread."""
    from starlette.concurrency import run_in_threadpool

    async def answer(request: Request) -> Response:
        form = fields(await request.body()) if request.method == "POST" else {}
        return await run_in_threadpool(act, site, request, form)

    return answer


def fields(body: bytes) -> dict[str, str]:
    r"""Return the fields of a form; of a field that comes several times, its values line by line.

    >>> fields(b"rule=parse&row=a&row=b")
    {'rule': 'parse', 'row': 'a\nb'}
    """
    try:
        found = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=2_000)
    except ValueError:
        return {}
    return {name: "\n".join(values) for name, values in found.items()}


def ask(site: Site, *, is_wrong: bool = False) -> Response:
    """Return the form that asks for the token."""
    return site.page("sign_in.html", {"is_wrong": is_wrong}, 401)


def arrive(site: Site, request: Request, form: dict[str, str]) -> Response:
    """Take the token of the address that ``etl serve`` prints."""
    del form
    given = request.query_params.get("token")
    return ask(site) if given is None else _taken(site, given)


def sign_in(site: Site, request: Request, form: dict[str, str]) -> Response:
    """Take the token of the form."""
    del request
    return _taken(site, form.get("token", ""))


def _taken(site: Site, given: str) -> Response:
    """Return the cookie for the right token.

    The answer is a page that goes on by itself and no redirect: a redirect after a link on another site would arrive
    without the cookie, which is strict.
    """
    if not site.access.is_token(given.strip()):
        return ask(site, is_wrong=True)
    answer = site.page("signed_in.html", {})
    answer.set_cookie(
        site.access.cookie, site.access.cookie_value, max_age=_WEEK_S, path=ROOT, httponly=True, samesite="strict"
    )
    return answer
