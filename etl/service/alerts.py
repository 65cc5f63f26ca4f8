"""Telling people, by the receivers of ``alerts:``, that something is wrong with a pipeline, and that it is over."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from etl.notifying import Message, Receiver, send
from etl.service.conditions import Ledger, News, Trouble, rejected_share, troubles_of
from etl.service.outbox import Outbox
from etl.service.watch import Seen, join_watch, leave_watch

if TYPE_CHECKING:
    from datetime import datetime

    from etl.model import BatchResult
    from etl.seam import Seam
    from etl.service.attendants import Premises
    from etl.service.contract import Fleet, Happening
    from etl.service.watch import Watch

TICK_S = 5.0
"""How often it is looked whether something is wrong, beside whenever something happens."""
_PAUSE_S = 0.2
"""How long it waits between two looks at least, however much happens."""

_WORDS: dict[News, str] = {"begins": "", "lasts": "still ", "over": "no more "}
_TITLES = {"failure": "failing", "degraded": "degraded", "freshness": "stale", "quarantine": "rejecting too much"}


class Alerting:
    """What is wrong with the pipelines of a fleet, told to every receiver that wants to know."""

    def __init__(
        self, fleet: Fleet, watch: Watch, seam: Seam, outboxes: Sequence[tuple[Receiver, Outbox[Message]]]
    ) -> None:
        self._fleet, self._watch, self._seam = fleet, watch, seam
        self._desks = [(receiver, Ledger(receiver.remind_s), outbox) for receiver, outbox in outboxes]
        self._newest: dict[str, BatchResult] = {}
        self._failed: dict[str, str] = {}
        self._lock = threading.Lock()
        self._news, self._is_over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="etl-alerts", daemon=True)
        self._leave = fleet.listen(self.hear)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """Look once more, and send what is to be sent. *Repeat*: safe."""
        if self._is_over.is_set():
            return
        self._leave()
        self._is_over.set()
        self._news.set()
        if self._thread.is_alive():
            self._thread.join(timeout=_PAUSE_S * 5)
        for _, _, outbox in self._desks:
            outbox.close()

    def hear(self, happening: Happening) -> None:
        """Take note: what fails and is well again before the next look is told, too."""
        with self._lock:
            if happening.kind == "failed":
                self._failed[happening.pipeline] = happening.message
            elif happening.kind == "removed":
                self._newest.pop(happening.pipeline, None)
            elif happening.result is not None and rejected_share(happening.result) is not None:
                self._newest[happening.pipeline] = happening.result
        if happening.kind not in ("planned", "noted"):
            self._news.set()

    def step(self) -> None:
        """Look at everything once, and hand over what is to be told."""
        now = self._seam.now()
        troubles = list(self._troubles(now))
        for receiver, ledger, outbox in self._desks:
            wanted = [each for each in troubles if receiver.wants(each.condition, each.pipeline)]
            for news, trouble in ledger.step(wanted, self._seam.monotonic()):
                if news != "lasts" or not outbox.traffic().waiting:  # no heap of reminders for who cannot be reached
                    outbox.put(message_of(news, trouble, now))

    def _troubles(self, now: datetime) -> Iterator[Trouble]:
        with self._lock:
            failed, self._failed = self._failed, {}
            newest = dict(self._newest)
        known = self._watch.seen()
        for served in self._fleet.served():
            name, seen = served.name, known.get(served.name, Seen(now))
            found = list(troubles_of(served, seen, newest.get(name, seen.result), now))
            yield from found
            if name in failed and not any(each.condition == "failure" for each in found):
                yield Trouble(name, "failure", failed[name] or "a run failed")

    def _work(self) -> None:
        while not self._is_over.is_set():
            self._news.wait(TICK_S)
            self._news.clear()
            self.step()
            self._is_over.wait(_PAUSE_S)
        self.step()


def message_of(news: News, trouble: Trouble, at: datetime) -> Message:
    """Return what is told of a condition."""
    title = f"{trouble.pipeline}: {_WORDS[news]}{_TITLES[trouble.condition]}"
    fields = {
        "event": news,
        "pipeline": trouble.pipeline,
        "condition": trouble.condition,
        "reason": trouble.text,
        "at": at.isoformat(),
    }
    text = f"it was: {trouble.text}" if news == "over" else trouble.text
    return Message(title, text, fields, is_trouble=news != "over")


def start(premises: Premises) -> Attending | None:
    """Begin to look; nothing where nobody is to be told."""
    receivers = premises.workspace.project.receivers
    if not receivers:
        return None
    watch = join_watch(premises)
    outboxes = [(each, _outbox(each, premises)) for each in receivers]
    watch.outboxes += [outbox.traffic for _, outbox in outboxes]
    alerting = Alerting(premises.fleet, watch, premises.seam, outboxes)
    alerting.start()
    return Attending(alerting, premises)


def _outbox(receiver: Receiver, premises: Premises) -> Outbox[Message]:
    box: Outbox[Message] = Outbox(
        f"alerts {receiver.name}", lambda message: send(receiver, message), premises.seam, premises.tell
    )
    return box.start()


class Attending:
    """The attendant that tells people."""

    def __init__(self, alerting: Alerting, premises: Premises) -> None:
        self._alerting, self._premises = alerting, premises

    def close(self) -> None:
        """End it. *Repeat*: safe."""
        self._alerting.close()
        leave_watch(self._premises)
