"""Who may ask the status page, under which names it may be asked, and where it may listen."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import ip_address
from typing import TYPE_CHECKING

from etl.errors import ConfigError

if TYPE_CHECKING:
    from etl.seam import Seam
    from etl.serve_options import ServeOptions

ROOT = "/ui"
SIGN_IN = f"{ROOT}/sign-in"
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_PLAIN_HTTP = 80
_EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104  they are recognised, and refused without a token


@dataclass(frozen=True, slots=True)
class Access:
    """The token, the exact values that the Host header may have, and whether the page may change anything."""

    token: str = field(repr=False)
    hosts: frozenset[str]
    port: int
    may_act: bool = False

    @property
    def cookie(self) -> str:
        """The name of the cookie: cookies know no ports, so that it has the port in it."""
        return f"etl_{self.port}"

    @property
    def cookie_value(self) -> str:
        """What the cookie holds: made from the token, and no way back to it."""
        return hmac.new(self.token.encode(), b"status page", sha256).hexdigest()

    def is_token(self, given: str) -> bool:
        """Tell whether this is the token, in a time that does not depend on how much of it is right."""
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode())

    def is_cookie(self, given: str) -> bool:
        """Tell the same of a cookie."""
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.cookie_value.encode())

    def is_own_origin(self, origin: str) -> bool:
        """Tell whether an Origin header names this very page."""
        scheme, _, host = origin.partition("://")
        return scheme in ("http", "https") and host in self.hosts


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches what listens there.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0"), is_loopback("etl.example.com")
    (True, True, False, False)
    """
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def access_to(options: ServeOptions, seam: Seam, port: int) -> Access:
    """Return who may ask what listens on ``port``. Raises ConfigError beyond loopback without a token."""
    refuse_open(options)
    token = options.token if options.token is not None else seam.new_id() + seam.new_id()
    names = {*_LOOPBACK} | ({options.host} - {*_EVERYWHERE})
    own = {f"[{name}]" if ":" in name and not name.startswith("[") else name for name in names}
    hosts = {f"{name}:{port}" for name in own} | (own if port == _PLAIN_HTTP else set()) | set(options.hosts)
    return Access(token, frozenset(host.lower() for host in hosts), port, options.actions)


def refuse_open(options: ServeOptions) -> None:
    """Refuse to listen beyond this machine without a token of the operator's own. Raises ConfigError."""
    if options.token is None and not is_loopback(options.host):
        raise ConfigError(
            f"'{options.host}' is reached from other machines, and no token is set",
            where="serve.host",
            hint='set one in etl.yml: serve: {token: "${secret:page_token}"}, or leave host at 127.0.0.1',
        )


def first_address(access: Access, options: ServeOptions) -> str:
    """Return the URL for the person who started the service; a token that was drawn is in it, a given one is known."""
    host = options.host
    name = "127.0.0.1" if host in _EVERYWHERE else f"[{host}]" if ":" in host else host
    start = f"http://{name}:{access.port}"
    return f"{start}{SIGN_IN}?token={access.token}" if options.token is None else f"{start}{ROOT}/"
