"""Everything that the handlers of the page share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import BoundedSemaphore, Lock
from typing import TYPE_CHECKING, Any

from etl.errors import ConfigError
from etl.service.web.reading import Reading
from etl.service.web.streams import Streams
from etl.service.web.text import environment, since

if TYPE_CHECKING:
    from starlette.responses import Response

    from etl.operations.workspace import Workspace
    from etl.seam import Seam
    from etl.service.contract import Fleet
    from etl.service.web.access import Access

_MOST_NOTICES = 50
MOST_ACTIONS = 4


class Notices:
    """What became of actions, by a number: told on the page that a person is sent to after one."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._told: OrderedDict[str, tuple[str, bool]] = OrderedDict()
        self._count = 0

    def add(self, text: str, *, is_good: bool = True) -> str:
        """Keep a notice and return its number."""
        with self._lock:
            self._count += 1
            self._told[str(self._count)] = (text, is_good)
            while len(self._told) > _MOST_NOTICES:
                self._told.popitem(last=False)
            return str(self._count)

    def find(self, number: str | None) -> tuple[str, bool] | None:
        """Return a notice and whether it is good news, None for a number that there is not, or no longer."""
        with self._lock:
            return self._told.get(number or "")


@dataclass(frozen=True)
class Site:
    """The service that the page shows, who may see it, and what is kept between requests."""

    workspace: Workspace
    fleet: Fleet
    seam: Seam
    access: Access
    streams: Streams
    reading: Reading
    notices: Notices = field(default_factory=Notices)
    acting: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(MOST_ACTIONS))

    def page(self, template: str, values: Mapping[str, Any], status: int = 200) -> Response:
        """Return a page."""
        from starlette.responses import HTMLResponse

        now = self.seam.now()
        shared = {
            "project": self.workspace.project.folder.name,
            "may_act": self.access.may_act,
            "now": now,
            "since": lambda text: since(text, now),
            "notice": None,
            "pipeline": None,
        }
        return HTMLResponse(environment().get_template(template).render({**shared, **values}), status)

    def known(self, name: str) -> str:
        """Return a name that a request gave, if a pipeline of the service has it. Raises ConfigError."""
        if not any(each.name == name for each in self.fleet.served()):
            raise ConfigError("no such pipeline")
        return name


def site_of(workspace: Workspace, fleet: Fleet, seam: Seam, access: Access) -> Site:
    """Return the site of a service."""
    streams = Streams()
    return Site(workspace, fleet, seam, access, streams, Reading(workspace, fleet, seam, streams))
