"""The batches of a pipeline as the logs of its tables tell them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from etl.checkpoint.table_records import KeptBatch, kept_batches
from etl.errors import ConfigError

if TYPE_CHECKING:
    from etl.flow import Flow
    from etl.sinks.past import LoggedVersion, Past


@dataclass(slots=True)
class TableBatches:
    """What one table tells of the newest identity of a pipeline.

    ``kept`` are the batches that its commits keep; ``versions`` and ``committed_ms`` those that it holds. ``rewound``
    is the batch that it was brought back to last, and in which version. ``former`` are the identities before, newest
    first.
    """

    table: str
    table_id: str
    identity: str = ""
    former: tuple[str, ...] = ()
    kept: dict[int, KeptBatch] = field(default_factory=dict)
    versions: dict[int, int] = field(default_factory=dict)
    committed_ms: dict[int, int] = field(default_factory=dict)
    rewound: tuple[int, int] | None = None
    oldest: int = 0

    def take(self, found: LoggedVersion) -> None:
        """Take in a version of the pipeline, the next one. Raises CheckpointError."""
        info = found.info
        if "etl.rewind" in info:
            self._go_back(int(info["etl.rewind"]), found.version)
        elif info["etl.pipeline_id"] != self.identity:
            self._go_back(-1, found.version)
            self.rewound = None
        if self.identity not in ("", info["etl.pipeline_id"]):
            self.former = (self.identity, *self.former)
        self.identity = info["etl.pipeline_id"]
        for each in kept_batches(info, where=f"{self.table}, version {found.version}"):
            self.kept[each.plan.batch_id] = each
        if "etl.batch_id" in info:
            batch = int(info["etl.batch_id"])
            self.versions[batch] = found.version
            self.committed_ms[batch] = int(info.get("timestamp", 0))

    def _go_back(self, upto: int, version: int) -> None:
        for known in (self.kept, self.versions, self.committed_ms):
            for batch in [batch for batch in known if batch > upto]:
                del known[batch]
        self.rewound = (upto, version)


def batches_of_tables(flow: Flow) -> dict[str, TableBatches]:
    """Return what the tables of a pipeline tell, by role, those alone that hold batches of it.

    Raises ConfigError for a table that keeps no log of its versions and for tables that disagree, CheckpointError,
    TableStateError.
    """
    found: dict[str, TableBatches] = {}
    for role, past in _pasts(flow):
        head = past.head()
        if head is None:
            continue
        table = TableBatches(flow.sinks[role].table, head.table_id, oldest=min(past.logged(), default=0))
        for version in past.versions():
            if version.info.get("etl.pipeline") == flow.name and "etl.pipeline_id" in version.info:
                table.take(version)
        if table.identity:
            found[role] = table
    if len({table.identity for table in found.values()}) > 1:
        raise ConfigError(
            "its tables hold batches of different checkpoints: a full refresh or a rewind was under way",
            where=flow.name,
            hint=f"put a copy of the checkpoint back, or build the tables anew: etl run {flow.name} --full-refresh",
        )
    return found


def _pasts(flow: Flow) -> Iterator[tuple[str, Past]]:
    for role, sink in flow.sinks.items():
        past: Past | None = getattr(sink, "past", None)
        if past is None:
            raise ConfigError(
                "keeps no log from which records can be made again: tables alone do",
                where=sink.table,
                hint=f"put a copy of the checkpoint back, or build it anew: etl run {flow.name} --full-refresh",
            )
        yield role, past


def joined(tables: Mapping[str, TableBatches]) -> dict[int, KeptBatch]:
    """Return the batches that any of the tables keeps; the own table, which is committed last, has the last word."""
    every: dict[int, KeptBatch] = {}
    for role in sorted(tables, key=lambda role: role == "main"):
        every |= tables[role].kept
    return dict(sorted(every.items()))
