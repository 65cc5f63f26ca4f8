"""A version of the state of a transform: which immutable files it is made of. One small record a batch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from etl.errors import StateError
from etl.model import as_fields
from etl.state.contract import Fingerprint, TableLayout
from etl.state.fingerprints import fingerprint_from_json, fingerprint_to_json
from etl.state.key_hash import NAME
from etl.state.layouts import layout_from_json, layout_to_json

FORMAT = 1


@dataclass(frozen=True, slots=True)
class StateFile:
    """A file of rows, sorted by the hash of their key. ``puts`` of its ``rows`` are no tombstones.

    ``min_us`` and ``max_us`` bound the time at which its rows leave: a minimum of None says that none ever does, a
    maximum of None that some never do. ``batch_id`` wrote it, and so decides which columns it can have.
    """

    path: str
    rows: int
    puts: int
    size_bytes: int
    checksum: str
    batch_id: int
    min_us: int | None = None
    max_us: int | None = None

    def is_dead(self, cut_us: int | None) -> bool:
        """Tell whether all rows have left at a time."""
        return not self.puts or (cut_us is not None and self.max_us is not None and self.max_us <= cut_us)


@dataclass(frozen=True, slots=True)
class Run:
    """What the batches ``first`` to ``last`` changed. Rows whose time is at or before ``cut_us`` have left."""

    file: StateFile
    first: int
    last: int
    cut_us: int | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The rows of a partition after batch ``upto``; no file where there were none."""

    file: StateFile | None
    upto: int
    cut_us: int | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """The keys whose hashes are ``low`` to ``high``: the newest snapshot, and the one to fall back on."""

    low: int
    high: int
    now: Snapshot
    former: Snapshot


@dataclass(frozen=True, slots=True)
class TableVersion:
    """A table: the snapshots of its partitions, and the runs of changes since, oldest first, without a gap.

    A run that every partition has taken in is kept for as long as a former snapshot may need it. ``since`` names the
    batch from which on files hold a column, where that is not the first; ``credit`` is how many bytes may be folded.
    """

    layout: TableLayout
    runs: tuple[Run, ...] = ()
    parts: tuple[Part, ...] = ()
    since: Mapping[str, int] = field(default_factory=dict)
    credit: int = 0

    @property
    def live(self) -> tuple[Run, ...]:
        """The runs that some newest snapshot does not know."""
        upto = min((part.now.upto for part in self.parts), default=-1)
        return tuple(run for run in self.runs if run.last > upto)

    def files(self) -> Iterator[StateFile]:
        """Yield every file, those to fall back on too."""
        yield from (run.file for run in self.runs)
        for part in self.parts:
            yield from (shot.file for shot in (part.now, part.former) if shot.file is not None)

    @property
    def live_files(self) -> tuple[StateFile, ...]:
        """The files that a read of all rows opens."""
        snapshots = tuple(part.now.file for part in self.parts if part.now.file is not None)
        return (*snapshots, *(run.file for run in self.live))


@dataclass(frozen=True, slots=True)
class Version:
    """The state of a transform after a batch."""

    batch_id: int
    fingerprint: Fingerprint
    tables: Mapping[str, TableVersion]
    hash_bits: int = 64


def encode_version(version: Version, *, where: str) -> bytes:
    """Return the record of a version: JSON, a line for each run and partition."""
    tables = ",\n".join(f"{_text(name)}: {_table_text(table, where)}" for name, table in version.tables.items())
    head = {
        "version": FORMAT,
        "kind": "state",
        "batch_id": version.batch_id,
        "hash": NAME,
        "hash_bits": version.hash_bits,
        "fingerprint": fingerprint_to_json(version.fingerprint),
    }
    return f'{_text(head)[:-1]},"tables":{{\n{tables}}}}}\n'.encode()


def _table_text(table: TableVersion, where: str) -> str:
    head = {"layout": layout_to_json(table.layout, where=where), "since": dict(table.since), "credit": table.credit}
    runs = ",\n  ".join(_text({**as_fields(run), "file": as_fields(run.file)}) for run in table.runs)
    parts = ",\n  ".join(_text(_part_to_json(part)) for part in table.parts)
    return f'{_text(head)[:-1]},\n "runs":[{runs}],\n "parts":[{parts}]}}'


def _part_to_json(part: Part) -> dict[str, Any]:
    hashes = {"low": f"{part.low:016x}", "high": f"{part.high:016x}"}
    return {**hashes, "now": _snapshot_to_json(part.now), "former": _snapshot_to_json(part.former)}


def _snapshot_to_json(shot: Snapshot) -> dict[str, Any]:
    return {**as_fields(shot), "file": None if shot.file is None else as_fields(shot.file)}


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def decode_version(content: bytes, *, where: str) -> Version:
    """Return the version in a record whose checksum held. Raises StateError where a later release wrote it."""
    body: dict[str, Any] = json.loads(content)
    if (body["version"], body["hash"]) != (FORMAT, NAME):
        raise StateError(
            f"written by format version {body['version']}, hash {body['hash']}; this release reads {FORMAT}, {NAME}",
            where=where,
            hint="run a release that knows this format",
        )
    tables = {name: _table_from_json(table) for name, table in body["tables"].items()}
    return Version(body["batch_id"], fingerprint_from_json(body["fingerprint"]), tables, body["hash_bits"])


def _table_from_json(body: Mapping[str, Any]) -> TableVersion:
    runs = (Run(**{**run, "file": StateFile(**run["file"])}) for run in body["runs"])
    parts = (
        Part(int(part["low"], 16), int(part["high"], 16), _snapshot(part["now"]), _snapshot(part["former"]))
        for part in body["parts"]
    )
    return TableVersion(layout_from_json(body["layout"]), tuple(runs), tuple(parts), body["since"], body["credit"])


def _snapshot(body: Mapping[str, Any]) -> Snapshot:
    return Snapshot(None if body["file"] is None else StateFile(**body["file"]), body["upto"], body["cut_us"])


def equal_ranges(count: int) -> list[tuple[int, int]]:
    """Return the hashes cut into so many ranges of one size: the first and the last of each.

    >>> equal_ranges(2)
    [(0, 9223372036854775807), (9223372036854775808, 18446744073709551615)]
    """
    borders = [2**64 * number // count for number in range(count + 1)]
    return [(low, high - 1) for low, high in pairwise(borders)]
