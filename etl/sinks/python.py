"""The ``python`` sink: a function of the project's own takes every batch, told which one it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from etl.errors import SinkError, TransformError
from etl.options import Options
from etl.project import default_project
from etl.sinks.receiver import Delivery, Receiver
from etl.user_functions import UserFunction

if TYPE_CHECKING:
    from etl.sinks.contract import SinkSite


class PythonSinkOptions(Options):
    """A function that takes the rows of a batch."""

    type: Literal["python"] = "python"
    function: str = Field(
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$", description="module:function(frame, batch) in transforms/"
    )

    @property
    def target(self) -> str:
        """What people call it."""
        return f"python:{self.function}"


@dataclass(frozen=True, slots=True)
class Batch:
    """What the function is told of a batch, beside its rows.

    After a crash it may be called again with the same ``batch_id``, ``attempt`` and rows. With ``is_refresh`` the batch
    is the first of a full refresh: the pipeline begins anew, and earlier batch ids come again, with other attempts.
    """

    pipeline: str
    batch_id: int
    attempt: str
    is_refresh: bool = False


class PythonSink(Receiver):
    """Calls the function with a frame and a ``Batch``, once a batch; again only where the process ended in the call."""

    options_model = PythonSinkOptions

    def __init__(self, options: PythonSinkOptions, site: SinkSite) -> None:
        from pathlib import Path

        super().__init__(site)
        project = site.project or default_project(Path())
        self._function = UserFunction(options.function, project.folder, site.table)

    def deliver(self, delivery: Delivery) -> None:
        """Call the function. Raises SinkError with the line at which it failed."""
        batch = Batch(delivery.pipeline, delivery.batch_id, delivery.attempt, delivery.replaces_all)
        try:
            self._seam.effect("python.call", lambda: self._function(delivery.frame, batch))
        except TransformError as exc:
            raise SinkError(
                exc.message, where=self.table, hint="mend the function; the batch is handed over again"
            ) from exc
