"""Sinks that are no tables: staged in the checkpoint, delivered from there, told once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from etl.balance import Tally
from etl.errors import ConfigError, FencedError, SinkError
from etl.model import Manifest
from etl.project import default_project
from etl.seam import Seam
from etl.sinks.alert import AlertSink
from etl.sinks.alert_options import AlertOptions
from etl.sinks.console import ConsoleOptions, ConsoleSink
from etl.sinks.contract import Edit, SinkSite
from etl.sinks.memory_rows import MemoryOptions, MemoryRows, rows_in_memory
from etl.sinks.python import PythonSink, PythonSinkOptions
from etl.sinks.receiver import Receiver
from etl.storage import LocalStorage
from etl.testing import FailingSeam, ManualClock
from tests.receiving import Inbox, closed_port, receiving

Rows = Sequence[Mapping[str, Any]]
ROWS: Rows = [{"id": 1, "kind": "a"}, {"id": 2, "kind": "b\x1b[2J"}, {"id": 1, "kind": "c"}]


def site_of(folder: Path, table: str, seam: Seam | None = None) -> SinkSite:
    storage = LocalStorage(folder / "sinks" / "s", Seam())
    project = default_project(folder)
    return SinkSite(table, storage.url, storage, seam or Seam(), project=project, pipeline="orders")


def staged(sink: Receiver, batch_id: int, rows: Rows = ROWS) -> Manifest:
    frame, tally = pl.DataFrame(rows), Tally()
    schema = sink.prepare(frame.schema)
    files = sink.stage(batch_id, f"{batch_id}" * 32, frame.lazy(), tally)
    return Manifest(batch_id, f"{batch_id}" * 32, {"main": files}, {"main": schema}, {}, tally.counts())


def alert_of(folder: Path, to: str, seam: Seam | None = None, **options: Any) -> AlertSink:
    given = AlertOptions.model_validate({"to": to, **options})
    sink = AlertSink(given, site_of(folder, given.target, seam or ManualClock()))
    sink.bind("one/main", "orders")
    return sink


def sent(inbox: Inbox) -> list[dict[str, Any]]:
    found = []
    while not inbox.is_empty():
        request = inbox.next()
        found.append({**json.loads(request.body), "idempotency": request.headers["Idempotency-Key"]})
    return found


def test_a_batch_tells_of_each_key_once_its_last_row(tmp_path: Path) -> None:
    with receiving() as inbox:
        sink = alert_of(tmp_path, inbox.url, primary_key=["id"], title="{_pipeline} {id}", message="{kind} in {_batch}")
        manifest = staged(sink, 0)
        sink.commit(manifest, {})
        alert_of(tmp_path, inbox.url, primary_key=["id"]).commit(manifest, {})
        told = sent(inbox)

    assert manifest.rows["written"] == 2
    assert [(each["title"], each["text"], each["key"]) for each in told] == [
        ("orders 2", "orders 2\nb\\x1b[2J in 0", [2]),
        ("orders 1", "orders 1\nc in 0", [1]),
    ]
    assert len({each["idempotency"] for each in told}) == 2


def test_what_a_dead_receiver_does_not_take_waits_and_is_sent_with_a_later_batch(tmp_path: Path) -> None:
    port = f"http://127.0.0.1:{closed_port()}"
    down = alert_of(tmp_path, port)
    down.commit(staged(down, 0, ROWS[:2]), {})
    told = down.backlog()
    assert told.startswith("alert:http: 2 notifications wait: the webhook cannot be reached")

    with receiving() as inbox:
        for waiting in (tmp_path / "sinks" / "s" / "outbox").iterdir():
            assert json.loads(waiting.read_text())["to"] == "to-1"
        up = alert_of(tmp_path, inbox.url)
        up.commit(staged(up, 1, ROWS[2:]), {})
        rows = [each["row"]["kind"] for each in sent(inbox)]

    assert Counter(rows) == Counter(["a", "b\\x1b[2J", "c"])
    assert up.backlog() == ""


def test_an_answer_that_says_no_is_tried_again(tmp_path: Path) -> None:
    with receiving(500, 503) as inbox:
        sink = alert_of(tmp_path, inbox.url)
        sink.commit(staged(sink, 0, ROWS[:1]), {})
        told = sent(inbox)

    assert [each["key"] for each in told] == [0, 0, 0]
    assert len({each["idempotency"] for each in told}) == 1
    assert sink.backlog() == ""


def test_what_waits_too_long_is_set_aside(tmp_path: Path) -> None:
    clock = ManualClock()
    sink = alert_of(tmp_path, f"http://127.0.0.1:{closed_port()}", clock, give_up_after="1h")
    sink.commit(staged(sink, 0, ROWS[:1]), {})
    clock.advance(timedelta(hours=2).total_seconds())
    sink.tend()

    assert sink.backlog() == "alert:http: 1 were given up"


def test_beyond_a_limit_a_message_says_how_many_more(tmp_path: Path) -> None:
    with receiving() as inbox:
        sink = alert_of(tmp_path, inbox.url, max_per_batch=1)
        sink.commit(staged(sink, 0), {})
        told = sent(inbox)

    assert [each.get("more") for each in told] == [None, 2]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"message": "{price}"}, "`message` names price, which is not among the columns: id, kind"),
        ({"primary_key": ["_batch"]}, "`primary_key` names _batch"),
        ({"to": "ops"}, "`to` names 'ops'; `alerts:` in etl.yml has none"),
    ],
)
def test_what_a_text_cannot_say_is_refused(tmp_path: Path, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        staged(alert_of(tmp_path, **{"to": "http://127.0.0.1/", **options}), 0)


def test_the_screen_shows_the_first_rows_without_control_characters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sink = ConsoleSink(ConsoleOptions(rows=2), site_of(tmp_path, "console"))
    sink.bind("one/main", "orders")
    manifest = staged(sink, 0)
    sink.commit(manifest, {})
    sink.commit(manifest, {})

    told = capsys.readouterr()
    assert told.out == ""
    assert "\x1b" not in told.err
    assert told.err.splitlines()[0] == "orders, batch 0: 3 rows"
    assert told.err.splitlines()[1] == '  {"id": 1, "kind": "a"}'
    assert told.err.splitlines()[-1] == "  … 1 more"


TAKE = "CALLS = []\n\ndef take(frame, batch):\n    {body}\n"


def python_of(folder: Path, body: str) -> PythonSink:
    (folder / "transforms").mkdir(exist_ok=True)
    (folder / "transforms" / "taking.py").write_text(TAKE.format(body=body))
    sink = PythonSink(PythonSinkOptions(function="taking:take"), site_of(folder, "python:taking:take"))
    sink.bind("one/main", "orders")
    return sink


def test_a_function_is_handed_a_batch_with_its_name(tmp_path: Path) -> None:
    log = tmp_path / "log"
    words = "f'{batch.pipeline} {batch.batch_id} {batch.attempt} {frame.height}'"
    sink = python_of(tmp_path, f"__import__('pathlib').Path({str(log)!r}).write_text({words})")
    manifest = staged(sink, 0)
    sink.commit(manifest, {})
    sink.commit(manifest, {})

    assert log.read_text() == f"orders 0 {'0' * 32} 3"


def test_a_function_that_fails_is_named_with_its_line_and_gets_the_batch_again(tmp_path: Path) -> None:
    sink = python_of(tmp_path, "raise RuntimeError('no room')")
    manifest = staged(sink, 0)
    with pytest.raises(SinkError, match="no room") as caught:
        sink.commit(manifest, {})

    assert "taking.py" in str(caught.value)
    assert sink.last_batch_id() is None
    assert sink.missing(manifest) == []


def test_rows_in_memory_are_those_of_the_checkpoint_that_counts(tmp_path: Path) -> None:
    sink = MemoryRows(MemoryOptions(table="seen"), site_of(tmp_path, "memory:seen"))
    sink.bind("one/main", "orders")
    sink.commit(staged(sink, 0, ROWS[:1]), {})
    sink.commit(staged(sink, 1, ROWS[1:2]), {})
    assert rows_in_memory("seen")["id"].to_list() == [1, 2]

    other = MemoryRows(MemoryOptions(table="seen"), site_of(tmp_path / "next", "memory:seen"))
    other.bind("two/main", "orders", ["one/main"])
    other.commit(staged(other, 0, ROWS[2:]), {})
    assert rows_in_memory("seen")["kind"].to_list() == ["c"]
    with pytest.raises(ConfigError, match="memory:nothing"):
        rows_in_memory("nothing")


def test_staged_rows_that_are_lost_are_noticed_and_others_are_left(tmp_path: Path) -> None:
    sink = MemoryRows(MemoryOptions(table="lost"), site_of(tmp_path, "memory:lost"))
    sink.bind("one/main", "orders")
    manifest = staged(sink, 0)
    (file,) = manifest.tables["main"]
    assert sink.missing(manifest) == []
    sink.discard(0, {file.path})
    assert sink.missing(manifest) == []
    sink.discard(0, ())
    assert sink.missing(manifest) == [file.path]


def test_rows_of_a_file_cannot_be_taken_back(tmp_path: Path) -> None:
    sink = MemoryRows(MemoryOptions(), site_of(tmp_path, "memory:rows"))
    assert sink.revise(0, "a", Edit({})) == ((), None)
    with pytest.raises(SinkError, match="cannot be taken back"):
        sink.revise(0, "a", Edit({}, frozenset({"a.ndjson"})))


def test_a_runner_that_is_second_to_deliver_is_fenced(tmp_path: Path) -> None:
    first = MemoryRows(MemoryOptions(table="raced"), site_of(tmp_path, "memory:raced"))
    first.bind("one/main", "orders")
    manifest = staged(first, 0)
    first.commit(manifest, {})
    first.record(manifest)
    with pytest.raises(FencedError, match="another runner delivered the batch"):
        first.record(replace(manifest, attempt="f" * 32))


def test_what_is_delivered_is_swept_but_for_the_newest_records(tmp_path: Path) -> None:
    sink = MemoryRows(MemoryOptions(table="swept"), site_of(tmp_path, "memory:swept", FailingSeam()))
    sink.bind("one/main", "orders")
    for number in range(4):
        sink.commit(staged(sink, number), {})
    sink.tend()
    left = sorted(path.name for path in (tmp_path / "sinks" / "s").rglob("*") if path.is_file())

    assert left == ["0000000002.json", "0000000003.json"]
    assert sink.last_batch_id() == 3
