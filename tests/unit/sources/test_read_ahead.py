"""A guess at the next input: used when it was right, dropped without a trace when it was not."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator

import pytest

from etl.sources.parallel import in_order
from etl.sources.read_ahead import ReadAhead


def numbers(upto: int, seen: list[int]) -> Generator[int, None, None]:
    for number in range(upto):
        seen.append(number)
        yield number


def test_right_guess_gives_every_item_once_in_order() -> None:
    ahead: ReadAhead[int] = ReadAhead()
    seen: list[int] = []
    ahead.begin("batch 1", numbers(3, seen))
    pieces = ahead.take("batch 1")
    assert pieces is not None
    assert list(pieces) == [0, 1, 2]
    assert seen == [0, 1, 2]


def test_guess_is_given_once() -> None:
    ahead: ReadAhead[int] = ReadAhead()
    ahead.begin("batch 1", numbers(3, []))
    first = ahead.take("batch 1")
    assert ahead.take("batch 1") is None
    assert first is not None
    first.close()


def test_wrong_guess_is_dropped_and_its_iterator_closed() -> None:
    ahead: ReadAhead[int] = ReadAhead()
    ended: list[str] = []

    def watched() -> Generator[int, None, None]:
        try:
            yield 1
            yield 2
        finally:
            ended.append("closed")

    ahead.begin("batch 1", watched())
    assert ahead.take("batch 2") is None
    assert ended == ["closed"]


def test_empty_guess_gives_nothing() -> None:
    ahead: ReadAhead[int] = ReadAhead()
    ahead.begin("batch 1", numbers(0, []))
    pieces = ahead.take("batch 1")
    assert pieces is not None
    assert list(pieces) == []


def test_failure_ahead_is_raised_where_the_items_are_taken() -> None:
    def broken() -> Generator[int, None, None]:
        yield from (1 for _ in [int("x")])

    ahead: ReadAhead[int] = ReadAhead()
    ahead.begin("batch 1", broken())
    pieces = ahead.take("batch 1")
    assert pieces is not None
    with pytest.raises(ValueError, match="invalid literal"):
        list(pieces)


def test_failure_of_a_guess_that_is_dropped_is_nobodys() -> None:
    def broken() -> Generator[int, None, None]:
        yield from (1 for _ in [int("x")])

    ahead: ReadAhead[int] = ReadAhead()
    ahead.begin("batch 1", broken())
    ahead.close()
    ahead.close()


def test_closing_ends_the_threads_of_parsers_that_wait_to_hand_over() -> None:
    before = threading.active_count()
    ahead: ReadAhead[int] = ReadAhead()

    def job() -> Iterator[int]:
        return iter(range(100))

    ahead.begin("batch 1", in_order(iter([job] * 10), 2))
    ahead.close()
    assert threading.active_count() <= before + 1  # the thread that began may still be on its way out
