"""The ``alert`` sink: rows become notifications, each sent once; a receiver that is down never stops the table."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from etl.errors import ConfigError, EtlError
from etl.notifying import Message, ReceiverOptions, receiver_of, send
from etl.notifying import Receiver as Addressee
from etl.row_json import encode_rows
from etl.sinks.alert_options import PLACEHOLDER, AlertOptions
from etl.sinks.alert_outbox import Notification, Outbox
from etl.sinks.changes import last_of_each, refuse_changes
from etl.sinks.receiver import Delivery, Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from etl.balance import Tally
    from etl.sinks.contract import SinkSite

_FIRST_PAUSE_S = 0.5
_MORE = "more"
_OWN = ("_pipeline", "_batch")
"""What a text may name beside columns."""


class AlertSink(Receiver):
    """Sends one notification a key and batch to every receiver, and keeps what it cannot send for later batches."""

    options_model = AlertOptions

    def __init__(self, options: AlertOptions, site: SinkSite) -> None:
        super().__init__(site)
        self._options = options
        self._receivers = _receivers(options, site)
        self._outbox = Outbox(site.storage, site.seam)
        self._down: dict[str, str] = {}

    def refuse(self, rows: pl.Schema) -> None:
        """Refuse rows without the columns that the key and the texts name. Raises ConfigError."""
        refuse_changes(rows, self.table)
        texts = {"title": self._options.title, "message": self._options.message}
        named = {key: PLACEHOLDER.findall(text) for key, text in texts.items()}
        named["primary_key"] = self._options.primary_key
        for key, columns in named.items():
            missing = [name for name in columns if name not in rows and (name not in _OWN or key == "primary_key")]
            if missing:
                raise ConfigError(
                    f"`{key}` names {', '.join(missing)}, which is not among the columns: {', '.join(rows)}",
                    where=self.table,
                    hint="name columns that reach the sink",
                )

    def arranged(self, rows: pl.LazyFrame, tally: Tally) -> pl.DataFrame:
        """Return the rows to be told, of a key the last one."""
        frame = rows.collect(engine="streaming")
        if not self._options.primary_key:
            return frame
        kept, others = last_of_each(frame, self._options.primary_key)
        tally.count("deduplicated", others)
        return kept

    def deliver(self, delivery: Delivery) -> None:
        """Send what waits from earlier batches, then the batch; what cannot be sent waits. *Repeat*: goes on.

        One whose answer was under way when a process ended is sent again, with the same ``Idempotency-Key``.
        """
        self._down.clear()
        self._flush()
        settled = self._outbox.settled(delivery.batch_id)
        for note in self._notifications(delivery):
            if note.name not in settled:
                self._send_or_keep(note, self._options.tries)

    def tend(self) -> None:
        """Try again what waits, once."""
        super().tend()
        self._outbox.sweep()
        self._flush()

    def drop_before(self, batch_id: int) -> None:
        """Remove what earlier batches left."""
        super().drop_before(batch_id)
        self._outbox.forget_before(batch_id)

    def backlog(self) -> str:
        """Return what there is to say of notifications that were not sent, nothing where there are none."""
        waiting, given_up = self._outbox.count()
        reason = next((note.reason for note in self._outbox.waiting()), "")
        told = [f"{waiting} notifications wait: {reason}"] if waiting else []
        told += [f"{given_up} were given up"] if given_up else []
        return f"{self.table}: {', '.join(told)}" if told else ""

    def _flush(self) -> None:
        oldest = self._seam.now() - timedelta(seconds=self._options.give_up_after)
        for note in self._outbox.waiting():
            if note.since and datetime.fromisoformat(note.since) < oldest:
                self._outbox.give_up(note)
            else:
                self._send_or_keep(note, 1)

    def _send_or_keep(self, note: Notification, tries: int) -> None:
        """Send one, or keep it: also where its receiver has not taken another of this batch."""
        receiver = self._receivers.get(note.to)
        if receiver is None:
            self._outbox.keep(note, "there is no such receiver any more")
            return
        if note.to in self._down:
            self._outbox.keep(note, self._down[note.to])
            return
        reason = self._tried(receiver, note, tries)
        if reason:
            self._down[note.to] = reason
            self._outbox.keep(note, reason)
        else:
            self._outbox.sent(note)

    def _tried(self, receiver: Addressee, note: Notification, tries: int) -> str:
        """Return why a notification was not taken after some tries, nothing where it was."""
        message = Message(note.title, note.text, note.fields, is_trouble=False, key=note.key)
        reason = ""
        for attempt in range(tries):
            if attempt:
                self._seam.sleep(_FIRST_PAUSE_S * 2**attempt * (0.5 + int(self._seam.new_id()[:4], 16) / 0xFFFF))
            try:
                self._seam.effect("alert.send", lambda: send(receiver, message, self._options.timeout))
            except (EtlError, OSError) as exc:
                reason = exc.message if isinstance(exc, EtlError) else str(exc)
            else:
                return ""
        return reason or "not taken"

    def _notifications(self, delivery: Delivery) -> Iterator[Notification]:
        """Yield what a batch has to tell, in the order of its rows: the first ones, then how many more there are."""
        import polars as pl

        limit, batch = self._options.max_per_batch, delivery.batch_id
        frame = delivery.frame.head(limit)
        raws: Any = encode_rows(frame.select(pl.struct(pl.all()).alias("row"))["row"]) if frame.height else []
        for number, raw in enumerate(raws):
            row: dict[str, Any] = json.loads(raw)
            key = [row.get(name) for name in self._options.primary_key] if self._options.primary_key else number
            text = self._filled(self._options.message, row, batch) or _listed(row)
            yield from self._addressed(batch, key, (self._filled(self._options.title, row, batch), text), {"row": row})
        more = delivery.frame.height - frame.height
        if more > 0:
            text = f"{more:,} more rows of batch {batch} are not told one by one (max_per_batch: {limit})"
            yield from self._addressed(batch, _MORE, (self._site.pipeline, text), {"more": more})

    def _addressed(
        self,
        batch: int,
        key: Any,  # noqa: ANN401  any JSON
        told: tuple[str, str],
        fields: dict[str, Any],
    ) -> Iterator[Notification]:
        known = {"pipeline": self._site.pipeline, "sink": self._site.role, "batch_id": batch}
        for name in self._receivers:
            words = json.dumps([self.app_id, batch, name, key], ensure_ascii=False, default=str)
            digest = hashlib.blake2b(words.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
            yield Notification(batch, digest, name, *told, {**known, "key": key, **fields})

    def _filled(self, text: str, row: dict[str, Any], batch: int) -> str:
        """Return a text with values in the place of names: nothing is evaluated, and values are not looked at again."""
        own = {"_pipeline": self._site.pipeline, "_batch": batch}
        return PLACEHOLDER.sub(lambda found: _shown({**own, **row}.get(found[1])), text)


def _shown(value: Any) -> str:  # noqa: ANN401  any JSON
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _listed(row: dict[str, Any]) -> str:
    return "\n".join(f"{name}: {_shown(value)}" for name, value in row.items())


def _receivers(options: AlertOptions, site: SinkSite) -> dict[str, Addressee]:
    """Return the receivers by a name that says nothing of their URL. Raises ConfigError for one that is not known."""
    known = {} if site.project is None else {each.name: each for each in site.project.receivers}
    found = {}
    for number, each in enumerate(options.named, 1):
        if "://" in each:
            name = f"to-{number}"
            found[name] = receiver_of(ReceiverOptions(name=name, url=each))
        elif each in known:
            found[each] = known[each]
        else:
            names = ", ".join(known) or "none"
            raise ConfigError(f"`to` names {each!r}; `alerts:` in etl.yml has {names}", where=site.table)
    return found
