"""Sending a message to people: a webhook, or any service that Apprise knows."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field

from etl.errors import ConfigError, TransientError
from etl.model import Json
from etl.options import DurationS, Options
from etl.secrets import register_password, register_secret, scrubbed, scrubbed_value

Condition: TypeAlias = Literal["failure", "degraded", "freshness", "quarantine"]
CONDITIONS: tuple[Condition, ...] = ("failure", "degraded", "freshness", "quarantine")
TIMEOUT_S = 10.0
"""How long a receiver may take to answer."""


def _with_scheme(url: str) -> str:
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://[^/\s]", url) is None or not url.isprintable():
        raise ValueError("not a URL; write https://… for a webhook, or a URL of Apprise (slack://…, mailto://…)")
    return url


class ReceiverOptions(Options):
    """Somebody who is told: an entry of ``alerts:``."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")]
    url: Annotated[str, AfterValidator(_with_scheme)] = Field(
        description="http(s):// is a webhook that is posted JSON, anything else a URL of Apprise (extra alerts)"
    )
    when: list[Condition] = Field(default=list(CONDITIONS), min_length=1, description="what is told; default: all")
    pipelines: list[str] | None = Field(default=None, min_length=1, description="whose alerts; default: of all")
    remind: DurationS = Field(default=21600.0, gt=0, description="how long until what lasts is told again")


@dataclass(frozen=True, slots=True)
class Receiver:
    """Somebody who is told. ``url`` is secret as a whole."""

    name: str
    url: str = field(repr=False)
    when: tuple[Condition, ...] = CONDITIONS
    pipelines: tuple[str, ...] | None = None
    remind_s: float = 21600.0

    def wants(self, condition: str, pipeline: str) -> bool:
        """Tell whether it is to be told of a condition of a pipeline."""
        return condition in self.when and (self.pipelines is None or pipeline in self.pipelines)


@dataclass(frozen=True, slots=True)
class Message:
    """What is told: a line, what there is to say about it, and the same for machines. Scrubbed when it is sent.

    A webhook gets the ``key`` as ``Idempotency-Key``: of two messages with the same key one is a repetition.
    """

    title: str
    text: str = ""
    fields: Mapping[str, Json] = field(default_factory=dict)
    is_trouble: bool = True
    key: str = ""


def receiver_of(options: ReceiverOptions) -> Receiver:
    """Return the receiver of an entry; its URL is hidden from now on."""
    register_secret(options.url)
    register_password(options.url)
    chosen = None if options.pipelines is None else tuple(options.pipelines)
    return Receiver(options.name, options.url, tuple(options.when), chosen, options.remind)


def send(receiver: Receiver, message: Message, timeout_s: float = TIMEOUT_S) -> None:
    """Send a message and wait for the answer. *Repeat*: sends it again.

    Raises TransientError where it was not taken, ConfigError where it can never be: an unknown kind of URL, or a
    library that is not installed.
    """
    title, text = scrubbed(message.title), scrubbed(message.text, keep="\n")
    if receiver.url.lower().startswith(("http://", "https://")):
        content = {"title": title, "text": f"{title}\n{text}".rstrip(), **scrubbed_value(message.fields)}
        headers = {"Idempotency-Key": message.key} if message.key else {}
        _post(receiver, json.dumps(content, ensure_ascii=False, default=str).encode(), headers, timeout_s)
    else:
        _hand_to_apprise(receiver, Message(title, text, is_trouble=message.is_trouble), timeout_s)


def _post(receiver: Receiver, content: bytes, added: Mapping[str, str], timeout_s: float) -> None:
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, build_opener

    url, headers = _without_password(receiver.url)
    headers |= {"Content-Type": "application/json; charset=utf-8", "User-Agent": "lakehouse-etl", **added}
    request = Request(url, content, headers, method="POST")  # noqa: S310  http and https alone
    try:
        with build_opener(_no_redirects()).open(request, timeout=timeout_s):
            return
    except HTTPError as exc:
        exc.close()
        raise TransientError(f"the webhook answered {exc.code}", where=receiver.name) from None
    except URLError as exc:
        raise TransientError(
            f"the webhook cannot be reached: {scrubbed(str(exc.reason))}", where=receiver.name
        ) from None
    except (OSError, HTTPException, ValueError) as exc:
        told = scrubbed(f"{type(exc).__name__}: {exc}")
        raise TransientError(f"the webhook cannot be reached: {told}", where=receiver.name) from None


def _no_redirects() -> type:
    """Return what treats a redirect as any other answer that is no success: what is sent goes to nobody else."""
    from urllib.request import HTTPRedirectHandler

    class Stay(HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            return None

    return Stay


def _without_password(url: str) -> tuple[str, dict[str, str]]:
    """Return a URL without ``user:password@``, and the header that says the same."""
    parts = urlsplit(url)
    login, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, {}
    word = base64.b64encode(unquote(login).encode()).decode()
    register_secret(word)
    return parts._replace(netloc=host).geturl(), {"Authorization": f"Basic {word}"}


def _hand_to_apprise(receiver: Receiver, message: Message, timeout_s: float) -> None:
    import logging

    try:
        import apprise
    except ModuleNotFoundError:
        hint = "pip install 'lakehouse-etl[alerts]', or give the https:// URL of a webhook"
        raise ConfigError("needs Apprise, which is not installed", where=receiver.name, hint=hint) from None
    logging.getLogger("apprise").propagate = False  # it would write parts of the URL to the standard error stream
    service = apprise.Apprise()
    if not service.add(receiver.url):
        scheme = receiver.url.partition(":")[0]
        raise ConfigError(f"Apprise knows no such URL of {scheme}://", where=receiver.name, hint="look at its wiki")
    kind = apprise.NotifyType.FAILURE if message.is_trouble else apprise.NotifyType.SUCCESS
    answer = service.notify(message.text or message.title, message.title, kind, timeout=timeout_s)
    if not answer:
        told = [scrubbed(str(entry)).partition(" - ")[2] for entry in answer.logs()]
        why = told[-1] if told else "no reason given"
        raise TransientError(f"Apprise could not deliver it: {why}", where=receiver.name)
