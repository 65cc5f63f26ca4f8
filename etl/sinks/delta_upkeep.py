"""The upkeep of one Delta table: its log summarised, small files made into large ones, what nobody needs deleted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from etl.sinks.delta_bins import BinRules, bins_of
from etl.sinks.delta_compaction import Compacted, Compaction
from etl.sinks.delta_health import TableHealth, health_of
from etl.sinks.delta_log_cleanup import old_entries
from etl.sinks.delta_past import TablePast
from etl.sinks.delta_vacuum import Holds, Leftover, leftovers

if TYPE_CHECKING:
    from etl.sinks.contract import SinkSite
    from etl.sinks.delta_bins import Bin
    from etl.sinks.delta_log import DeltaLog, Head
    from etl.sinks.delta_options import DeltaOptions
    from etl.sinks.upkeep_options import MaintainOptions

_INTERVAL = re.compile(r"(?:interval )?(\d+) (second|minute|hour|day|week)s?", re.IGNORECASE)
_UNIT_S = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0, "week": 604_800.0}
_SUMMARISE_EVERY = 100
_SUMMARISE_COMPACTED_EVERY = 10
_LOOK_AGAIN_EVERY = 4
_ORDERED_BINS = 4
"""How many files of the target size are laid in order together: so many are held in memory then."""


@dataclass(frozen=True, slots=True)
class Pending:
    """Files of a version that are to be compacted, bin by bin."""

    head: Head
    bins: tuple[Bin, ...]

    @property
    def files(self) -> int:
        """How many files there are in all bins."""
        return sum(map(len, self.bins))

    @property
    def size_bytes(self) -> int:
        """How large they are together."""
        return sum(file["size_bytes"] for files in self.bins for file in files)


class TableUpkeep:
    """What keeps a table quick, off the hot path. ``log`` is that of its writer in this process.

    Nothing of it needs a lease: files are exchanged by compare-and-swap, and only what nobody needs is deleted.
    """

    def __init__(self, options: DeltaOptions, site: SinkSite, log: DeltaLog) -> None:
        self._options = options
        self._site = site
        self._log = log
        self._compaction = Compaction(options, site, log)
        self._summarised_at: int | None = None
        self._looked_at: int | None = None
        self._waiting: Pending | None = None

    @property
    def table(self) -> str:
        """The table's name for people."""
        return self._site.table

    @property
    def policy(self) -> MaintainOptions:
        """What is done without being asked."""
        return self._options.maintain

    @property
    def past(self) -> TablePast:
        """What the table has been."""
        return TablePast(self._site.storage, self._site.storage_options, self._site.seam, "")

    def head(self) -> Head | None:
        """Return the newest version, None where there is no table. Raises TableStateError."""
        return self._log.head()

    def transactions(self, app_ids: Sequence[str]) -> dict[str, int]:
        """Return the newest batch that the table holds under each of some names, without those that it has not."""
        from deltalake import DeltaTable

        table = DeltaTable(self._site.url, storage_options=dict(self._site.storage_options) or None)
        found = {app_id: table.transaction_version(app_id) for app_id in app_ids}
        return {app_id: version for app_id, version in found.items() if version is not None}

    def kept_by_property_s(self) -> float | None:
        """Return for how long the table itself says that files are kept, None where it does not."""
        head = self._log.head()
        settings = {} if head is None else head.metadata.get("configuration") or {}
        return interval_s(settings.get("delta.deletedFileRetentionDuration") or "")

    def health(self) -> TableHealth | None:
        """Return how the table stands, None where there is none. Raises TableStateError."""
        head = self._log.head()
        if head is None:
            return None
        files, summary = self._log.live_files(head), self._log.checkpoint_version()
        return health_of(head.version, files, self.past.logged(), summary, self._options.target_file_size)

    def summarise(self, every: int = _SUMMARISE_EVERY) -> bool:
        """Summarise the table's log for readers where so many versions came since; tell whether it was done."""
        head = self._log.head()
        if head is None:
            return False
        if self._summarised_at is None:
            self._summarised_at = self._log.checkpoint_version()
        if head.version - self._summarised_at < every:
            return False
        self._log.write_checkpoint()
        self._summarised_at = head.version
        return True

    def pending(self, min_files: int = 2, *, is_tiered: bool = False) -> Pending | None:
        """Return what there is to compact, None where there is no table. Raises SinkError for a table to be left so."""
        head = self._log.head()
        if head is None:
            return None
        self._compaction.refuse(head)
        target = self._options.target_file_size
        most = target * _ORDERED_BINS if self._options.z_order_by else target
        rules = BinRules(target, min_files, most, is_tiered)
        return Pending(head, tuple(bins_of(self._log.live_files(head), rules)))

    def compact(self, pending: Pending, number: int) -> Compacted | None:
        """Write one bin anew; None where another writer came in between. Raises SinkError, BalanceError."""
        return self._compaction.carry_out(pending.head, pending.bins[number])

    def compact_next(self) -> Compacted | None:
        """Write the next bin anew that the policy asks for, None where there is none. At most a few files at once."""
        min_files = self.policy.min_files
        head = self._log.head()
        if min_files is None or head is None or head.version + 1 < min_files:
            return None
        if self._waiting is None:
            known = self._looked_at
            if known is not None and head.version - known < max(1, min_files // _LOOK_AGAIN_EVERY):
                return None
            self._waiting, self._looked_at = self.pending(min_files, is_tiered=True), head.version
        waiting = self._waiting
        if waiting is None or not waiting.bins:
            if waiting is not None and waiting.head.version < head.version:
                self.summarise(_SUMMARISE_COMPACTED_EVERY)
            self._waiting = None
            return None
        self._waiting = Pending(waiting.head, waiting.bins[1:])
        return self.compact(waiting, 0)

    def leftovers(self, holds: Holds, keep_s: float) -> list[Leftover]:
        """Return the files that no version of the last so many seconds has and nobody holds. Raises TableStateError."""
        head = self._log.head()
        if head is None:
            return []
        now = self._site.seam.now()
        return leftovers(self.past, head, holds, now - timedelta(seconds=keep_s), now)

    def delete(self, path: str) -> None:
        """Delete a leftover. *Repeat*: safe."""
        self._site.storage.remove(path, effect="vacuum.remove")

    def old_entries(self, holds: Holds, keep_s: float) -> list[str]:
        """Return the log entries that nobody needs, the oldest first: deleted in this order, the rest stays whole."""
        head = self._log.head()
        if head is None:
            return []
        cutoff = self._site.seam.now() - timedelta(seconds=keep_s)
        return old_entries(self.past, head, holds.floor, cutoff)

    def forget(self, path: str) -> None:
        """Delete an old log entry. *Repeat*: safe."""
        self._site.storage.remove(path, effect="log.remove")


def interval_s(text: str) -> float | None:
    """Return the seconds of an interval as Delta's properties spell it, None for what is none.

    >>> interval_s("interval 2 days"), interval_s("")
    (172800.0, None)
    """
    found = _INTERVAL.fullmatch(text.strip())
    return None if found is None else float(found[1]) * _UNIT_S[found[2].lower()]
