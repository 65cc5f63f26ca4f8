"""What an ``alert`` sink has sent, and what still waits to be sent: small records in the checkpoint."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from etl.errors import RecordExistsError
from etl.storage import put_if_absent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.seam import Seam
    from etl.storage import Storage

SENT, WAITING, GIVEN_UP = "sent", "outbox", "dead"


@dataclass(frozen=True, slots=True)
class Notification:
    """What is to be told to whom. ``since`` is when it was first tried, ``reason`` why it was not taken."""

    batch_id: int
    key: str
    to: str
    title: str
    text: str
    fields: dict[str, Any] = field(default_factory=dict)
    since: str = ""
    reason: str = ""

    @property
    def name(self) -> str:
        """The name of its record."""
        return f"{self.batch_id:010d}-{self.key}.json"


class Outbox:
    """Records of one sink: what was ``sent`` of the batch under way, what waits, what was given up."""

    def __init__(self, storage: Storage, seam: Seam) -> None:
        self._storage = storage
        self._seam = seam

    def settled(self, batch_id: int) -> set[str]:
        """Return the names of what of a batch needs no sending any more: sent, waiting for a later try, or given up."""
        folders = (SENT, WAITING, GIVEN_UP)
        return {name for each in folders for name in self._names(each) if name.startswith(f"{batch_id:010d}-")}

    def waiting(self) -> Iterator[Notification]:
        """Yield what waits, oldest first."""
        for name in self._names(WAITING):
            yield Notification(**json.loads(self._storage.read(f"{WAITING}/{name}")))

    def count(self) -> tuple[int, int]:
        """Return how many wait, and how many were given up."""
        return len(self._names(WAITING)), len(self._names(GIVEN_UP))

    def _names(self, folder: str) -> list[str]:
        return [name for name in self._storage.list(folder) if name.endswith(".json") and not name.startswith(".")]

    def sent(self, note: Notification) -> None:
        """Keep in mind that one was sent; it waits no longer."""
        self._put(f"{SENT}/{note.name}", b"{}", "alert.sent")
        if self._storage.size(f"{WAITING}/{note.name}") is not None:
            self._storage.remove(f"{WAITING}/{note.name}", effect="alert.unqueue")

    def keep(self, note: Notification, reason: str) -> None:
        """Keep one for a later try. What waits already stays as it is."""
        kept = replace(note, since=note.since or self._seam.now().isoformat(), reason=reason)
        self._put(f"{WAITING}/{note.name}", _encoded(kept), "alert.queue")

    def give_up(self, note: Notification) -> None:
        """Set one aside for good."""
        self._put(f"{GIVEN_UP}/{note.name}", _encoded(note), "alert.give_up")
        self._storage.remove(f"{WAITING}/{note.name}", effect="alert.unqueue")

    def _put(self, path: str, content: bytes, effect: str) -> None:
        try:
            put_if_absent(self._storage, path, content, effect=effect, seam=self._seam)
        except RecordExistsError:
            return

    def forget_before(self, batch_id: int) -> None:
        """Remove the records of what was sent for earlier batches."""
        for name in self._names(SENT):
            if int(name[:10]) < batch_id:
                self._storage.remove(f"{SENT}/{name}", effect="alert.forget")

    def sweep(self) -> None:
        """Remove what a crash left half written."""
        for folder in (SENT, WAITING, GIVEN_UP):
            self._storage.sweep(folder, older_than_s=0.0, effect="alert.sweep")


def _encoded(note: Notification) -> bytes:
    return json.dumps(asdict(note), ensure_ascii=False, default=str).encode("utf-8", "surrogatepass")
