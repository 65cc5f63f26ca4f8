"""What stands beside the pipelines of a service and is told what they do: log, status page, metrics, alerts.

An attendant is a module of ``etl.service`` with a function ``start(premises) -> Attendant | None`` and a line in
``ATTENDANTS``. It is started before the first pipeline runs, so that ``premises.fleet.listen`` misses nothing, must
return at once (what serves or sends does so in daemon threads of its own) and is closed, all of them at once and the
first one last, after the last run has ended. None: it has nothing to do here, because nobody asked for it.

A library that it needs and that is not installed is no reason not to run pipelines: the import error is told, with the
extra to install. What ``start`` raises otherwise ends the service before a pipeline is started.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from etl.operations.workspace import Workspace
    from etl.seam import Seam
    from etl.serve_options import ServeOptions
    from etl.service.contract import Fleet
    from etl.service.log_lines import LogFormat


class Attendant(Protocol):
    """Something that was started and is to be ended."""

    def close(self) -> None:
        """End it; what it still has to send has a few seconds. *Repeat*: safe."""


@dataclass(frozen=True, slots=True)
class Premises:
    """Where attendants work. ``options`` are ``serve:`` of ``etl.yml`` with those of the command line over them.

    ``tell`` has the service itself say something in its log, ``log`` writes a whole line of it, which is ``console`` or
    ``json`` by ``log_format``; where there is no ``log``, ``tell`` does both.
    """

    workspace: Workspace
    fleet: Fleet
    seam: Seam
    options: ServeOptions
    tell: Callable[[str], None]
    log_format: LogFormat = "console"
    has_page: bool = True
    log: Callable[[str], None] | None = None


@dataclass(frozen=True, slots=True)
class Post:
    """An attendant: its name for people, its module, and the extra that its libraries come with."""

    name: str
    module: str
    extra: str = ""


ATTENDANTS: tuple[Post, ...] = (
    Post("log", "etl.service.console"),
    Post("metrics", "etl.service.metrics", "web"),
    Post("alerts", "etl.service.alerts"),
    Post("traces", "etl.service.tracing", "telemetry"),
    Post("lineage", "etl.service.lineage", "telemetry"),
    Post("status page", "etl.service.web.attendant", "web"),
    Post("metrics without a page", "etl.service.web.alone", "web"),
)
"""In the order in which they are started."""


@contextmanager
def attended(premises: Premises, posts: Sequence[Post] = ATTENDANTS) -> Iterator[None]:
    """Have the attendants there for the length of the block."""
    present: list[Attendant] = []
    try:
        for post in posts:
            attendant = _started(post, premises)
            if attendant is not None:
                present.append(attendant)
        yield
    finally:
        _end(present)


def _end(present: Sequence[Attendant]) -> None:
    """End all at once, so that several receivers that hang take no longer than one; the first, the log, last."""
    if len(present) > 1:
        with ThreadPoolExecutor(len(present) - 1, "etl-closing") as pool:
            list(pool.map(lambda each: each.close(), present[1:]))
    for first in present[:1]:
        first.close()


def _started(post: Post, premises: Premises) -> Attendant | None:
    try:
        started: Attendant | None = import_module(post.module).start(premises)
    except ModuleNotFoundError as exc:
        if not post.extra or (exc.name or "etl").partition(".")[0] == "etl":
            raise
        premises.tell(f"no {post.name}: {exc.name} is not installed; pip install 'lakehouse-etl[{post.extra}]'")
        return None
    return started
