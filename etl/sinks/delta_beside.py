"""The table that a full refresh builds beside the one that readers see: a log of its own in the table's folder.

Data files lie at their final places from the beginning, so that one version of the table's own log takes them all in.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from etl.errors import SinkError
from etl.model import StagedFile
from etl.sinks.delta_log import DeltaLog
from etl.sinks.delta_past import TablePast

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from etl.sinks.contract import SinkSite
    from etl.storage import Storage

_FOLDER = "_refresh"


class TableLogs:
    """The log that batches go to: the table's, or while a full refresh is under way one that only its batches see."""

    def __init__(self, site: SinkSite) -> None:
        self._site = site
        self._own = DeltaLog(site.storage, site.storage_options, site.seam)
        self._beside: DeltaLog | None = None
        self._is_settled = True

    @property
    def own(self) -> DeltaLog:
        """The table's log, which readers see."""
        return self._own

    @property
    def current(self) -> DeltaLog:
        """The log that the next batch goes to."""
        return self._beside if self.is_beside and self._beside is not None else self._own

    @property
    def is_beside(self) -> bool:
        """Whether that is the one beside: until the table holds a batch of ours, or is known to be no longer ours."""
        if not self._is_settled:
            head = self._own.head()
            if head is not None and head.batch_id is not None:
                self._beside = None
            self._is_settled = True
        return self._beside is not None

    def bind(self, app_id: str, pipeline: str) -> None:
        """Take the names under which the table remembers batches; they go to the table."""
        self._own.app_id, self._own.pipeline = app_id, pipeline
        self.arrive()

    def build_beside(self) -> None:
        """Have batches go to the log beside, unless the table holds one of them already."""
        folder = self._folder(self._own.app_id)
        self._beside = DeltaLog(folder, self._site.storage_options, self._site.seam)
        self._beside.app_id, self._beside.pipeline = self._own.app_id, self._own.pipeline
        self._beside.effect = "refresh.commit"
        self._is_settled = False

    def arrive(self) -> None:
        """Have batches go to the table."""
        self._beside, self._is_settled = None, True

    def _folder(self, app_id: str) -> Storage:
        return self._site.storage.at(f"{_FOLDER}/{_identity(app_id)}")

    def files(self, gone: Collection[str]) -> list[StagedFile]:
        """Return the data files of the table beside, but those ``gone``, as its log writes them.

        Raises SinkError where one of them does not lie there whole.
        """
        log = self.current
        head = log.head()
        past = TablePast(self._folder(log.app_id), self._site.storage_options, self._site.seam, log.app_id)
        live: dict[str, StagedFile] = {}
        for number in range(0 if head is None else head.version + 1):
            version = past.version(number)
            for path in version.removed:
                live.pop(path, None)
            live |= {path: _staged(path, add) for path, add in version.added.items()}
        for path in map(unquote, gone):
            live.pop(path, None)
        self._refuse_lost(live.values(), log.refresh_command)
        return list(live.values())

    def _refuse_lost(self, files: Iterable[StagedFile], refresh_command: str) -> None:
        for file in files:
            if self._site.storage.size(file.path) != file.size_bytes:
                raise SinkError(
                    f"{file.path}, which the full refresh has written, is gone or has another size",
                    where=self._site.table,
                    hint=f"the table is as it was; put the file back, or begin again: {refresh_command}",
                )

    def clear(self, replaced: Sequence[str]) -> None:
        """Remove the logs of refreshes that are over: ours, once it is done, and those of app ids that it replaced.

        Data files stay, for vacuum. *Repeat*: safe.
        """
        over = {_identity(app_id) for app_id in replaced} | (set() if self.is_beside else {_identity(self._own.app_id)})
        storage = self._site.storage
        for name in storage.list(_FOLDER):
            if name in over:
                for path in storage.find(f"{_FOLDER}/{name}"):
                    storage.remove(path, effect="refresh.remove")


def _identity(app_id: str) -> str:
    return app_id.partition("/")[0]


def _staged(path: str, add: Mapping[str, Any]) -> StagedFile:
    """Return a file as its add action describes it; its rows are counted in the batch that wrote it."""
    statistics = json.loads(add["stats"])
    return StagedFile(path, add["size"], statistics["numRecords"], add["partitionValues"], statistics, is_rewrite=True)
