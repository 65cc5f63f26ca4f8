from __future__ import annotations

import json

import pytest

from etl.notifying import Message, Receiver, send
from etl.operations.workspace import Workspace
from etl.secrets import register_secret
from etl.service.alerts import Alerting
from etl.service.contract import Phase
from etl.service.outbox import Outbox
from etl.service.watch import Watch
from tests.fleets import Stage, batch
from tests.receiving import receiving


class Told:
    """Alerts, and what they hand over to one receiver."""

    def __init__(self, stage: Stage, home: Workspace, receiver: Receiver) -> None:
        self.messages: list[Message] = []
        self.watch = Watch(home, stage, stage.clock)
        outbox = Outbox(receiver.name, self.messages.append, stage.clock, list[str]().append)
        self.outbox = outbox
        self.alerting = Alerting(stage, self.watch, stage.clock, [(receiver, outbox)])

    def titles(self) -> list[str]:
        """Look once, and return what was told since the last time."""
        before = len(self.messages)
        self.alerting.step()
        while self.outbox.step() is not None:
            pass
        return [message.title for message in self.messages[before:]]


@pytest.fixture
def told(stage: Stage, home: Workspace) -> Told:
    return Told(stage, home, Receiver("ops", "https://x"))


def test_a_failure_is_told_once_and_so_is_its_end(told: Told, stage: Stage) -> None:
    stage.put("orders", phase=Phase.DEGRADED, failures=1, reason="disk full")
    stage.say("orders", "failed", "disk full")
    assert told.titles() == ["orders: failing"]
    assert told.messages[0].text == "disk full"
    assert told.messages[0].fields == {
        "event": "begins",
        "pipeline": "orders",
        "condition": "failure",
        "reason": "disk full",
        "at": "2026-01-01T00:00:00+00:00",
    }
    stage.put("orders", failures=2)
    assert told.titles() == []

    stage.put("orders", phase=Phase.WAITING, failures=0, reason="")
    stage.say("orders", "recovered")
    assert told.titles() == []
    stage.clock.advance(60)
    assert told.titles() == ["orders: no more failing"]
    assert told.messages[-1].text == "it was: disk full (2 times in a row)"
    assert not told.messages[-1].is_trouble


def test_a_failure_that_is_over_before_the_next_look_is_told_too(told: Told, stage: Stage) -> None:
    stage.say("orders", "failed", "disk full")
    stage.say("orders", "recovered")

    assert told.titles() == ["orders: failing"]
    assert told.titles() == []
    stage.clock.advance(60)
    assert told.titles() == ["orders: no more failing"]


def test_what_is_promised_of_freshness_is_kept_an_eye_on(told: Told, stage: Stage) -> None:
    told.watch.look_at_all()
    stage.clock.advance(900)
    assert told.titles() == []
    stage.clock.advance(1)
    assert told.titles() == ["orders: stale"]

    stage.say("orders", "committed", result=batch())
    assert told.titles() == []
    stage.clock.advance(60)
    assert told.titles() == ["orders: no more stale"]


def test_what_is_promised_of_rejected_rows_is_judged_by_batches_with_rows(
    told: Told, stage: Stage, home: Workspace
) -> None:
    path = home.folder / "pipelines" / "orders.yml"
    path.write_text(path.read_text().replace("max_age: 15m", "max_quarantined: 0.05"))
    told.watch.look_at_all()
    stage.say("orders", "committed", result=batch())
    assert told.titles() == ["orders: rejecting too much"]

    stage.say("orders", "committed", result=batch(batch_id=1, rows={"read": 0}))
    stage.clock.advance(60)
    assert told.titles() == []
    stage.say("orders", "committed", result=batch(batch_id=2, rows={"read": 100, "quarantined": 5}))
    told.titles()
    stage.clock.advance(60)
    assert told.titles() == ["orders: no more rejecting too much"]


def test_a_receiver_is_told_only_of_what_it_wants(stage: Stage, home: Workspace) -> None:
    told = Told(stage, home, Receiver("ops", "https://x", when=("degraded",), pipelines=("orders",)))
    stage.put("users", fault="users.yml:1:1 no sink")
    stage.put("orders", failures=1, reason="disk full")
    assert told.titles() == []

    stage.put("orders", phase=Phase.PAUSED, failures=8)
    assert told.titles() == ["orders: degraded"]


def test_what_is_told_arrives_without_secrets_also_after_the_receiver_was_down(stage: Stage, home: Workspace) -> None:
    register_secret("zq50secret")
    with receiving(503) as inbox:
        receiver = Receiver("ops", inbox.url)
        said: list[str] = []
        outbox: Outbox[Message] = Outbox("ops", lambda message: send(receiver, message), stage.clock, said.append)
        alerting = Alerting(stage, Watch(home, stage, stage.clock), stage.clock, [(receiver, outbox)])
        stage.put("orders", failures=1, reason="cannot read s3://me:zq51@host with zq50secret\n\x1b[2J")
        alerting.step()
        outbox.step()
        stage.clock.advance(2)
        outbox.step()
        bodies = [inbox.next().body, inbox.next().body]

    assert bodies[0] == bodies[1]
    assert json.loads(bodies[0])["reason"] == "cannot read s3://me:***@host with ***\\n\\x1b[2J"
    assert b"zq5" not in bodies[0]
    assert said == [
        "ops: cannot be delivered, is tried again: TransientError: ops: the webhook answered 503",
        "ops: delivers again; 0 dropped since the start",
    ]


def test_alerts_in_threads_of_their_own_tell_what_happens(stage: Stage, home: Workspace) -> None:
    with receiving() as inbox:
        receiver = Receiver("ops", inbox.url)
        outbox: Outbox[Message] = Outbox(
            "ops", lambda message: send(receiver, message), stage.clock, list[str]().append
        ).start()
        alerting = Alerting(stage, Watch(home, stage, stage.clock), stage.clock, [(receiver, outbox)])
        alerting.start()
        stage.say("orders", "failed", "disk full")
        sent = json.loads(inbox.next().body)
        alerting.close()
        alerting.close()

    assert sent["title"] == "orders: failing"
    assert stage.listeners == [alerting._watch.hear]


def test_no_heap_of_reminders_waits_for_a_receiver_that_cannot_be_reached(told: Told, stage: Stage) -> None:
    stage.put("orders", phase=Phase.DEGRADED, failures=1, reason="disk full")
    for _ in range(5):
        told.alerting.step()
        stage.clock.advance(21600)

    assert told.titles() == ["orders: failing"]
    stage.clock.advance(21600)
    assert told.titles() == ["orders: still failing"]
