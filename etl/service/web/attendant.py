"""The status page as an attendant of the service: where it listens, who may come in, and its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.secrets import register_secret
from etl.service.web.access import access_to, first_address, refuse_open
from etl.service.web.app import application
from etl.service.web.server import PageServer, bind
from etl.service.web.site import Site, site_of
from etl.service.web.text import need_web

if TYPE_CHECKING:
    from etl.service.attendants import Premises


@dataclass(frozen=True, slots=True)
class StatusPage:
    """The page of a running service, at its ``address``."""

    site: Site
    server: PageServer
    leave: Callable[[], None]
    address: str

    def close(self) -> None:
        """End it. *Repeat*: safe."""
        self.leave()
        self.site.reading.close()
        self.site.streams.close()
        self.server.close()


def start(premises: Premises) -> StatusPage | None:
    """Listen, and tell the address. Raises ConfigError where that may not be, or is not possible."""
    if not premises.has_page:
        return None
    need_web()
    page = opened(premises)
    premises.tell(f"status page: {page.address}")
    register_secret(page.site.access.token)  # from here on: the one line above is meant to show it
    return page


def opened(premises: Premises) -> StatusPage:
    """Return the page, listening."""
    options = premises.options
    refuse_open(options)
    bound = bind(options.host, options.port)
    port: int = bound.getsockname()[1]
    access = access_to(options, premises.seam, port)
    site = site_of(premises.workspace, premises.fleet, premises.seam, access)
    server = PageServer(application(site), bound)
    leave = premises.fleet.listen(site.streams.hear)
    site.reading.start()
    server.start()
    return StatusPage(site, server, leave, first_address(access, options))
