"""The state of one transform: versions in immutable files, of which each batch adds one."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.errors import StateError
from etl.model import StateRef
from etl.state.contract import Fingerprint, StateChange, StateTable, TableLayout
from etl.state.fingerprints import START_ANEW, fingerprint_from_json, fingerprint_to_json, refuse_other
from etl.state.layouts import layout_from_json, layout_to_json, refuse_other_layout
from etl.state.plain import PlainTable
from etl.storage import put_if_absent

if TYPE_CHECKING:
    from etl.seam import Seam
    from etl.storage import Storage

Tables = Mapping[str, StateTable]


@dataclass(frozen=True, slots=True)
class OpenState:
    """The tables of a version, as the transform of this definition sees them."""

    tables: Mapping[str, PlainTable]
    fingerprint: Fingerprint


class StateStore:
    """The versions of the state of one transform, below ``storage``."""

    def __init__(self, storage: Storage, seam: Seam, memory_bytes: int) -> None:
        self._storage = storage
        self._seam = seam
        self._memory_bytes = memory_bytes

    def open(self, ref: StateRef | None, layouts: Mapping[str, TableLayout], fingerprint: Fingerprint) -> OpenState:
        """Return the state after a batch, None for none yet. Nothing is written. Raises StateError."""
        import polars as pl

        if ref is None:
            return OpenState({name: PlainTable(layout) for name, layout in layouts.items()}, fingerprint)
        body = json.loads(self._read(ref.file, ref.checksum))
        refuse_other(fingerprint_from_json(body["fingerprint"]), fingerprint, where=self._storage.url)
        tables = {}
        for name, layout in layouts.items():
            found = body["tables"].get(name)
            if found is None:
                tables[name] = PlainTable(layout)
                continue
            refuse_other_layout(layout_from_json(found["layout"]), layout, where=f"{self._storage.url} {name}")
            frame = pl.read_ipc(self._read(found["file"], found["checksum"]))
            tables[name] = PlainTable(layout, _fit(frame, layout))
        return OpenState(tables, fingerprint)

    def _read(self, path: str, checksum: str) -> bytes:
        where = f"{self._storage.url}/{path}"
        try:
            content = self._storage.read(path)
        except FileNotFoundError as exc:
            raise StateError("is missing", where=where, hint=START_ANEW) from exc
        if _digest(content) != checksum:
            raise StateError("its bytes are not those that were written", where=where, hint=START_ANEW)
        return content

    def stage(self, batch_id: int, attempt: str, before: OpenState, changes: Mapping[str, StateChange]) -> StateRef:
        """Write the version after a batch, durably; nothing refers to it yet."""
        tables: dict[str, Any] = {}
        rows = size_bytes = 0
        for number, (name, table) in enumerate(before.tables.items()):
            after = table.changed(changes[name]) if name in changes else table
            (frame,) = after.scan()
            buffer = io.BytesIO()
            frame.write_ipc(buffer)
            path = f"{batch_id:010d}-{attempt}-{number}.arrow"
            self._put(path, buffer.getvalue(), "state.write")
            tables[name] = {
                "layout": layout_to_json(table.layout, where=f"{self._storage.url} {name}"),
                "file": path,
                "checksum": _digest(buffer.getvalue()),
            }
            rows, size_bytes = rows + frame.height, size_bytes + len(buffer.getvalue())
        body = {"version": 1, "fingerprint": fingerprint_to_json(before.fingerprint), "tables": tables}
        content = json.dumps(body).encode()
        path = f"{batch_id:010d}-{attempt}.json"
        self._put(path, content, "state.version")
        return StateRef(path, _digest(content), rows, size_bytes)

    def _put(self, path: str, content: bytes, effect: str) -> None:
        put_if_absent(self._storage, path, content, effect=effect, seam=self._seam)

    def discard(self, batch_id: int, keep_attempt: str | None) -> None:
        """Remove what other attempts at a batch left. *Repeat*: safe."""
        for name in self._storage.list():
            if name.startswith(f"{batch_id:010d}-"):
                attempt = name.split("-", 1)[1].rsplit(".", 1)[0].split("-")[0]
                if attempt != keep_attempt:
                    self._storage.remove(name, effect="state.discard")

    def collect(self, kept: Sequence[StateRef]) -> None:
        """Remove every file that no kept version needs. *Repeat*: safe."""
        needed = {ref.file for ref in kept}
        for ref in kept:
            body = json.loads(self._read(ref.file, ref.checksum))
            needed |= {table["file"] for table in body["tables"].values()}
        for name in self._storage.list():
            if name not in needed:
                self._storage.remove(name, effect="state.collect")


def _fit(frame: Any, layout: TableLayout) -> Any:  # noqa: ANN401
    import polars as pl

    columns = [
        pl.col(name).cast(dtype) if name in frame.columns else pl.lit(None, dtype).alias(name)
        for name, dtype in layout.columns.items()
    ]
    return frame.select(columns) if frame.width else pl.DataFrame(schema=layout.columns)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
