from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from etl.sources.parallel import in_order


def counting(number: int, length: int) -> Callable[[], Iterator[tuple[int, int]]]:
    return lambda: ((number, index) for index in range(length))


def test_items_come_in_the_order_of_the_jobs() -> None:
    lengths = [3, 0, 1, 7, 2, 0, 5]
    jobs = (counting(number, length) for number, length in enumerate(lengths))
    assert list(in_order(jobs, 2)) == [
        (number, index) for number, length in enumerate(lengths) for index in range(length)
    ]


def test_no_jobs_give_no_items() -> None:
    assert list(in_order(iter(()), 2)) == []


class Panic(BaseException):
    """What a Rust panic is to Python: no Exception."""


@pytest.mark.parametrize("kind", [ValueError, Panic])
def test_an_error_is_raised_as_itself_after_the_items_before_it(kind: type[BaseException]) -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise kind("broken")

    items = in_order(iter([lambda: iter([0]), failing, lambda: iter([2])]), 2)
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(kind, match="broken"):
        next(items)


def test_only_a_few_jobs_are_begun_ahead_of_what_is_taken() -> None:
    begun: list[int] = []

    def jobs() -> Iterator[Callable[[], Iterator[int]]]:
        for number in range(100):
            begun.append(number)
            yield partial(iter, [number])

    items = in_order(jobs(), 2)
    assert next(items) == 0
    assert len(begun) == 3
    items.close()


def test_a_job_waits_while_its_items_are_not_taken_and_closing_ends_it() -> None:
    others = set(threading.enumerate())
    made: list[int] = []
    reached = threading.Event()

    def endless() -> Iterator[int]:
        number = 0
        while True:
            made.append(number)
            if number == 2:
                reached.set()
            yield number
            number += 1

    items = in_order(iter([endless]), 2)
    assert next(items) == 0
    assert reached.wait(10)
    items.close()
    assert len(made) <= 5
    assert set(threading.enumerate()) <= others
