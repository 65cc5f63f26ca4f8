"""A pipeline with a sink of every kind: each has every batch, once, whatever fails."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults.sinks_lab import BY_KEY, IN_TABLE, TAKEN, TOLD, by_key, prepare, table_of, taken
from tests.faults.test_crash_at_every_step import FAILURES, Lab, effects, finish
from tests.key_servers import RedisServer
from tests.receiving import Inbox, receiving


@dataclass
class Place:
    """The laboratory, the servers, and what the webhook has got."""

    lab: Lab
    redis: str
    postgres: str
    inbox: Inbox
    made: int = 0
    folders: list[Path] = field(default_factory=list)

    def prepare(self, folder: Path) -> Path:
        """Lay out a project, with names of its own on the servers."""
        self.made += 1
        self.sent()
        table = f"orders_{self.made}"
        prepare(folder, {"redis": self.redis, "postgres": self.postgres, "table": table}, self.inbox.url)
        return folder

    def sent(self) -> list[tuple[str, tuple[int, int, int]]]:
        """Return what has come in since: key, and batch, id and n of the row."""
        found = []
        while not self.inbox.is_empty():
            request = self.inbox.next()
            body = json.loads(request.body)
            row = (body["batch_id"], body["row"]["id"], body["row"]["n"])
            found.append((request.headers["Idempotency-Key"], row))
        return found


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = Lab("tests.faults.sinks_lab")
    yield made
    made.close()


@pytest.fixture
def place(lab: Lab, redis_url: str, postgres_url: str) -> Iterator[Place]:
    with receiving() as inbox:
        yield Place(lab, redis_url, postgres_url, inbox)


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that a test may kill."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


def check(place: Place, folder: Path, *, may_repeat: bool) -> None:
    """Compare every receiver with what it must have got; one call or message may have come twice, as it was."""
    assert table_of(folder, "silver/orders") == IN_TABLE
    assert table_of(folder, "gold/newest") == Counter(json.dumps([key, *rest]) for key, rest in BY_KEY.items())
    assert by_key(folder) == {"sqlite": BY_KEY, "postgres": BY_KEY, "redis": BY_KEY}
    sent = place.sent()
    assert Counter(row for _, row in dict(sent).items()) == TOLD
    assert {row for _, row in sent} == TOLD.keys()
    calls = taken(folder)
    assert {batch: rows for batch, _, rows in map(json.loads, calls)} == TAKEN
    assert len(calls) == len(TAKEN)
    assert len(sent) - len(dict(sent)) + calls.total() - len(calls) <= may_repeat


def fail_and_restart(place: Place, folder: Path, at: int, failure: str) -> bool:
    """Fail at an effect, run again, compare; return whether the first run survived."""
    ended = place.lab.run(place.prepare(folder), "sinks", at, failure)
    has_survived = (folder / "effects.json").exists() and len(effects(folder)) < at
    assert has_survived or ended["signal"] == 9 or not failure.startswith("kill")
    assert finish(place.lab, folder, "sinks") == 1, f"effect {at}"
    check(place, folder, may_repeat=failure != "kill_before")
    return has_survived


OURS = ("receiver.", "key_value.", "alert.", "python.")
"""What effects of sinks that are no tables begin with; those of tables have suites of their own."""

MOMENTS = {"key_value.commit": -1, "alert.send": -2, "python.call": -1, "table.commit.publish": -2}
"""Effects of the last batch at which every run of the suite kills, each by its place among those of its name."""


@pytest.fixture(scope="module")
def names(lab: Lab, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The effects of a run that nothing befalls, of which Redis stands for all servers."""
    folder = tmp_path_factory.mktemp("whole") / "p"
    with receiving() as inbox:
        prepare(folder, {"redis": redis_server.url, "postgres": f"sqlite:///{folder}/2.db", "table": "w"}, inbox.url)
        lab.run(folder, "sinks")
    return effects(folder)


@pytest.mark.parametrize("moment", MOMENTS)
def test_every_sink_has_every_batch_once_when_a_run_is_killed_in_a_commit(
    place: Place, names: list[str], tmp_path: Path, moment: str
) -> None:
    places = [number for number, effect in enumerate(names, 1) if effect == moment]
    assert not fail_and_restart(place, tmp_path / "p", places[MOMENTS[moment]], "kill_after")


@pytest.mark.slow
@pytest.mark.parametrize("failure", FAILURES)
def test_every_sink_has_every_batch_once_when_a_run_fails_at_any_effect_of_a_sink(
    place: Place, names: list[str], tmp_path: Path, failure: str
) -> None:
    places = [number for number, effect in enumerate(names, 1) if effect.startswith(OURS)]
    assert len(places) > 100
    for at in places:
        assert not fail_and_restart(place, tmp_path / str(at), at, failure)


def test_a_redis_that_dies_in_a_run_and_returns_holds_every_batch_once(
    place: Place, own_redis: RedisServer, tmp_path: Path
) -> None:
    """The sinks before it have the batch by then, those behind it have not: both go on where they were."""
    place.redis = own_redis.url
    folder = place.prepare(tmp_path / "p")
    own_redis.kill()
    assert place.lab.run(folder, "sinks")["exit"] == 1
    assert "run again: the batch is applied once" in (folder / "error.txt").read_text()
    own_redis.start()
    assert finish(place.lab, folder, "sinks") == 1
    check(place, folder, may_repeat=False)
