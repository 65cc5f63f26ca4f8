"""``key_value`` on every server: rows by key, the batch id in the same transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from etl.balance import Tally
from etl.errors import ConfigError, FencedError, SinkError, TableStateError
from etl.model import Manifest
from etl.seam import Seam
from etl.sinks.contract import SinkSite
from etl.sinks.key_value import KeyValueSink
from etl.sinks.key_value_options import KeyValueOptions
from etl.storage import LocalStorage
from etl.testing import crash_at

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Server:
    """A place for rows by key, and what a reader of its own finds there: rows by id."""

    options: Mapping[str, Any]
    read: Callable[[], dict[int, dict[str, Any]]]
    folder: Path

    def open(self, app_id: str = "one/main", seam: Seam | None = None, **options: Any) -> KeyValueSink:
        """Return a sink as another run would have it."""
        given = {"table": "rows", "primary_key": ["id"], **self.options, **options}
        chosen = KeyValueOptions.model_validate(given)
        storage = LocalStorage(self.folder / app_id, Seam())
        sink = KeyValueSink(chosen, SinkSite(chosen.target, storage.url, storage, seam or Seam(), pipeline="orders"))
        sink.bind(app_id, "orders")
        return sink


def staged(sink: KeyValueSink, batch_id: int, rows: Rows, tally: Tally | None = None) -> Manifest:
    frame = pl.DataFrame(rows)
    schema = sink.prepare(frame.schema)
    files = sink.stage(batch_id, f"{batch_id}" * 32, frame.lazy(), tally or Tally())
    return Manifest(batch_id, f"{batch_id}" * 32, {"main": files}, {"main": schema}, {}, {})


def put(sink: KeyValueSink, batch_id: int, rows: Rows) -> int:
    return sink.commit(staged(sink, batch_id, rows), {})


def redis_server(folder: Path, url: str, value: str) -> Server:
    import redis

    def read() -> dict[int, dict[str, Any]]:
        found = {}
        with redis.Redis.from_url(url, decode_responses=True) as client:
            for key in client.scan_iter("rows:*"):
                if key.startswith("rows:_etl:"):
                    continue
                if value == "json":
                    row = json.loads(client.get(key))
                else:
                    texts: dict[str, str] = client.hgetall(key)
                    row = {name: text if name == "kind" else json.loads(text) for name, text in texts.items()}
                assert key == f"rows:{row['id']}"
                found[row["id"]] = {"kind": None, "n": None, **row}
        return found

    return Server({"url": url, "value": value}, read, folder)


def sql_server(folder: Path, url: str) -> Server:
    def read() -> dict[int, dict[str, Any]]:
        import sqlalchemy

        address = url.replace("postgresql://", "postgresql+psycopg://")
        engine = sqlalchemy.create_engine(address, poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            if not sqlalchemy.inspect(connection).has_table("rows"):
                return {}
            rows = connection.execute(sqlalchemy.text("SELECT * FROM rows")).mappings()
            return {row["id"]: dict(row) for row in rows}

    return Server({"url": url}, read, folder)


@pytest.fixture(params=["redis", "redis as json", "sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Server:
    """Every server in turn, empty."""
    if request.param.startswith("redis"):
        value = "json" if request.param.endswith("json") else "hash"
        return redis_server(tmp_path, request.getfixturevalue("redis_url"), value)
    if request.param == "sqlite":
        return sql_server(tmp_path, f"sqlite:///{tmp_path}/rows.db")
    return sql_server(tmp_path, request.getfixturevalue("postgres_url"))


FIRST: Rows = [{"id": 1, "kind": "a", "n": 1}, {"id": 2, "kind": None, "n": 2}]


def row(number: int, kind: str | None, n: int | None) -> dict[str, Any]:
    return {"id": number, "kind": kind, "n": n}


def test_rows_are_there_by_their_key_as_a_whole(server: Server) -> None:
    sink = server.open()
    assert sink.table_id() is None
    put(sink, 0, FIRST)
    put(sink, 1, [{"id": 1, "kind": None, "n": 10}, {"id": 3, "kind": "c", "n": 3}])

    assert server.read() == {1: row(1, None, 10), 2: row(2, None, 2), 3: row(3, "c", 3)}
    assert server.open().last_batch_id() == 1


def test_the_newest_row_of_a_key_counts_and_changes_delete(server: Server) -> None:
    put(server.open(), 0, FIRST)
    tally = Tally()
    rows: Rows = [
        {"id": 1, "kind": "b", "n": 5, "_change": "update"},
        {"id": 1, "kind": "c", "n": 6, "_change": "update"},
        {"id": 2, "kind": None, "n": 2, "_change": "delete"},
        {"id": 9, "kind": None, "n": 2, "_change": "delete"},
    ]
    sink = server.open()
    sink.commit(staged(sink, 1, rows, tally), {})

    assert server.read() == {1: row(1, "c", 6)}
    assert (tally.counts()["written"], tally.counts()["deduplicated"]) == (3, 1)


def test_a_condition_deletes(server: Server) -> None:
    put(server.open(), 0, FIRST)
    put(
        server.open(delete_when="kind = 'gone'"), 1, [{"id": 1, "kind": "gone", "n": 0}, {"id": 4, "kind": "d", "n": 4}]
    )

    assert server.read() == {2: row(2, None, 2), 4: row(4, "d", 4)}


def test_a_batch_is_applied_once_however_often_it_is_committed(server: Server) -> None:
    sink = server.open()
    manifest = staged(sink, 0, FIRST)
    sink.commit(manifest, {})
    put(sink, 1, [{"id": 1, "kind": "b", "n": 7}])

    assert server.open().commit(manifest, {}) == 0
    assert server.read()[1] == row(1, "b", 7)


def test_an_answer_that_is_lost_is_looked_up(server: Server) -> None:
    sink = server.open(seam=crash_at("key_value.commit", "error_after"))
    put(sink, 0, FIRST)

    assert server.open().last_batch_id() == 0
    assert server.read() == {1: row(1, "a", 1), 2: row(2, None, 2)}


def test_a_transaction_that_fails_leaves_nothing(server: Server) -> None:
    put(server.open(), 0, FIRST)
    sink = server.open(seam=crash_at("key_value.commit", "error_before"))
    with pytest.raises(SinkError, match=r"key_value\.commit failed"):
        put(sink, 1, [{"id": 1, "kind": "x", "n": 9}, {"id": 8, "kind": "x", "n": 9}])

    assert server.open().last_batch_id() == 0
    assert server.read() == {1: row(1, "a", 1), 2: row(2, None, 2)}


def test_with_a_sequence_older_rows_and_deletes_do_nothing(server: Server) -> None:
    if server.options.get("value") == "json":
        with pytest.raises(ValueError, match="'sequence_by' goes with 'value: hash'"):
            server.open(sequence_by="n")
        return
    options: dict[str, Any] = {"sequence_by": "n", "delete_when": "kind = 'gone'"}
    put(server.open(**options), 0, [row(1, "a", 10), row(2, "a", 10), row(3, "a", None), row(4, "a", 10)])
    put(server.open(**options), 1, [row(1, "old", 9), row(2, "gone", 9), row(3, "b", 1), row(4, "gone", 10)])
    put(server.open(**options), 2, [row(1, "same", 10), row(2, "new", 11), row(3, "null", None)])

    assert server.read() == {1: row(1, "same", 10), 2: row(2, "new", 11), 3: row(3, "b", 1)}


def test_a_full_refresh_takes_the_place_of_all_rows_and_fences_the_old_checkpoint(server: Server) -> None:
    old = server.open()
    put(old, 0, FIRST)
    late = staged(old, 1, [{"id": 5, "kind": "late", "n": 5}])
    new = server.open("two/main")
    new.bind("two/main", "orders", ["one/main"])
    seen = [new.is_to_be_replaced]
    put(new, 0, [{"id": 3, "kind": "c", "n": 3}])

    assert server.read() == {3: row(3, "c", 3)}
    assert [*seen, new.is_to_be_replaced] == [True, False]
    with pytest.raises(FencedError, match="a full refresh took the place"):
        server.open().commit(late, {})
    assert server.read() == {3: row(3, "c", 3)}


def test_a_checkpoint_that_was_lost_is_noticed(server: Server) -> None:
    put(server.open(), 0, FIRST)
    other = server.open("two/main")

    assert other.claimed_batch_id() == 0
    with pytest.raises(TableStateError, match="it holds batch 0 of another checkpoint"):
        put(other, 0, FIRST)


def test_a_new_column_is_added(server: Server) -> None:
    put(server.open(), 0, FIRST)
    put(server.open(), 1, [{"id": 1, "kind": "a", "n": 1, "more": True}, {"id": 4, "kind": "d", "n": 4, "more": None}])

    found = server.read()
    assert [bool(found[key].get("more")) for key in (1, 2, 4)] == [True, False, False]


def test_a_batch_of_deletes_alone_may_come_first(server: Server) -> None:
    put(server.open(), 0, [{"id": 1, "kind": "a", "n": 1, "_change": "delete"}])

    assert server.read() == {}
    assert server.open().last_batch_id() == 0


def test_a_key_without_a_value_is_refused(server: Server) -> None:
    with pytest.raises(SinkError, match=r"1 rows have no value in the primary_key \(id\)"):
        put(server.open(), 0, [{"id": None, "kind": "a", "n": 1}, {"id": 1, "kind": "a", "n": 1}])


def test_a_fraction_is_no_key(server: Server) -> None:
    with pytest.raises(ConfigError, match="the primary_key column 'id' is a Float64"):
        put(server.open(), 0, [{"id": 1.5, "kind": "a", "n": 1}])


@pytest.mark.parametrize("url", ["redis://me:zq77secret@127.0.0.1:{}/0", "postgresql://me:zq77secret@127.0.0.1:{}/db"])
def test_a_server_that_is_down_is_named_without_its_password(tmp_path: Path, url: str) -> None:
    from tests.receiving import closed_port

    server = Server({"url": url.format(closed_port())}, dict, tmp_path)
    with pytest.raises(SinkError) as caught:
        put(server.open(), 0, FIRST)

    assert "zq77secret" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)
    assert "run again" in str(caught.value.hint)
