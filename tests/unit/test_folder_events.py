"""One watch for all who want to hear of folders."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from etl.folder_events import FolderEvents, Subscription

LONG_S = 20.0


def watchers() -> int:
    return [thread.name for thread in threading.enumerate()].count("etl-watch")


@pytest.fixture
def events() -> Iterator[FolderEvents]:
    """Return a watch for whoever subscribes; it is over in the end."""
    made = FolderEvents()
    yield made
    for subscription in list(made.subscriptions):
        made.unsubscribe(subscription)


def subscribed(events: FolderEvents, *folders: Path) -> tuple[Subscription, threading.Event]:
    """Subscribe, and wait until the watch has begun, of which the subscriber is woken."""
    woken = threading.Event()
    subscription = events.subscribe([str(folder) for folder in folders], woken.set)
    assert woken.wait(LONG_S)
    woken.clear()
    return subscription, woken


def test_whoever_is_concerned_is_woken_and_nobody_else_by_one_thread(tmp_path: Path, events: FolderEvents) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "inside").mkdir()
    first, first_woken = subscribed(events, tmp_path / "in")
    second, second_woken = subscribed(events, tmp_path / "inside")

    (tmp_path / "inside" / "a.ndjson").write_text("{}\n")

    assert second_woken.wait(LONG_S)
    assert not first_woken.is_set()
    assert (first.is_watched, second.is_watched, watchers()) == (True, True, 1)
    events.unsubscribe(first)
    events.unsubscribe(second)
    assert watchers() == 0


def test_who_subscribed_before_hears_on_when_others_come_and_go(tmp_path: Path, events: FolderEvents) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    first, woken = subscribed(events, tmp_path / "a")
    second, _ = subscribed(events, tmp_path / "b")
    events.unsubscribe(second)
    subscribed(events, tmp_path / "b")

    (tmp_path / "a" / "1").write_text("")

    assert woken.wait(LONG_S)
    assert first.is_watched


def test_a_folder_that_is_not_there_gives_no_events_and_leaves_the_others_theirs(
    tmp_path: Path, events: FolderEvents
) -> None:
    (tmp_path / "there").mkdir()
    missing = events.subscribe([str(tmp_path / "there"), str(tmp_path / "missing")], lambda: None)
    _, woken = subscribed(events, tmp_path / "there")

    (tmp_path / "there" / "1").write_text("")

    assert woken.wait(LONG_S)
    assert not missing.is_watched
