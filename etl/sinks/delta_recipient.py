"""A Delta table as the recipient of a pipeline's batches: by which names, up to which, and where the next one goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.sinks.delta_beside import TableLogs
from etl.sinks.delta_checks import refuse_superseded
from etl.sinks.delta_past import TablePast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.sinks.contract import SinkSite
    from etl.sinks.delta_log import DeltaLog, Head


class Recipient:
    """A Delta table that knows which batches of a pipeline it holds."""

    def __init__(self, site: SinkSite) -> None:
        self._site = site
        self._logs = TableLogs(site)
        self._replaces: tuple[str, ...] | None = None
        self.table = site.table

    def bind(self, app_id: str, pipeline: str = "", replaces: Sequence[str] | None = None) -> None:
        """Take the names under which the table remembers this pipeline's batches."""
        self._logs.bind(app_id, pipeline)
        self._replaces = None if replaces is None else tuple(replaces)

    def build_beside(self) -> None:
        """Have batches go beside the table that readers see, until one of them ends the full refresh."""
        self._logs.build_beside()

    @property
    def is_beside(self) -> bool:
        """Whether the next batch goes beside the table."""
        return self._logs.is_beside

    @property
    def _log(self) -> DeltaLog:
        return self._logs.current

    @property
    def past(self) -> TablePast:
        """What the table has been."""
        return TablePast(self._site.storage, self._site.storage_options, self._site.seam, self._logs.own.app_id)

    def last_batch_id(self, expected: tuple[int, int] | None = None) -> int | None:
        """Return the newest batch that the table holds from this pipeline, None for none. Raises TableStateError."""
        if expected is not None and self._log.stands_at(*expected):
            return expected[0]
        head = self._log.head()
        if expected is not None:
            self._log.refuse_rollback_since(expected[1])
        refuse_superseded(head, self.table, self._log.refresh_command)
        return None if head is None else head.batch_id

    def claimed_batch_id(self) -> int | None:
        """Return the newest batch that the table holds from any checkpoint of this pipeline, None for none."""
        head = self._log.head()
        return None if head is None else head.claimed

    def table_id(self) -> str | None:
        """Return the identity of the table, None where there is none."""
        head = self._log.head()
        return None if head is None else head.table_id

    @property
    def is_to_be_replaced(self) -> bool:
        """Whether the next commit takes the place of all that the table holds."""
        head = self._log.head()
        return head is not None and self._is_replaced(head)

    def _is_replaced(self, head: Head) -> bool:
        """Tell whether the next batch takes the place of all that the table holds."""
        return self._replaces is not None and head.batch_id is None

    def clear(self) -> None:
        """Remove what full refreshes that are over, or given up, leave behind. *Repeat*: safe."""
        if self._replaces is not None:
            self._logs.clear(self._replaces)
