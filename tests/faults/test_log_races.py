"""A log that is rotated between any two system calls of a look, a plan or a reading."""

from __future__ import annotations

import builtins
import gzip
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from etl.errors import SourceChangedError
from tests.log_watch import Watch

CALLS = ((os, "stat"), (os, "fstat"), (os, "pread"), (os, "scandir"), (os.path, "islink"), (builtins, "open"))
HEADER = "the same first line\n"


class Moment:
    """Something that happens right before the ``number``-th system call from now on."""

    def __init__(self, number: int, act: Callable[[], object]) -> None:
        self.left = number
        self.act: Callable[[], object] | None = act

    def pass_by(self) -> None:
        self.left -= 1
        if self.left < 0 and self.act is not None:
            act, self.act = self.act, None
            act()


@contextmanager
def at(moment: Moment) -> Iterator[None]:
    """Let a moment come during the block."""
    before = [(place, name, getattr(place, name)) for place, name in CALLS]

    def watched(call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            moment.pass_by()
            return call(*arguments, **named)

        return run

    try:
        for place, name, call in before:
            setattr(place, name, watched(call))
        yield
    finally:
        for place, name, call in before:
            setattr(place, name, call)


def rename(watch: Watch) -> list[str]:
    watch.rename("app.log", "app.log.1")
    return []


def rename_and_create(watch: Watch) -> list[str]:
    watch.rename("app.log", "app.log.1")
    watch.write(HEADER)
    return [HEADER.strip()]


def rename_and_write_on(watch: Watch) -> list[str]:
    watch.rename("app.log", "app.log.1")
    watch.write("late\n", "app.log.1")
    watch.write(f"{HEADER}new\n")
    return ["late", HEADER.strip(), "new"]


def rename_twice(watch: Watch) -> list[str]:
    watch.rename("app.log", "app.log.1")
    watch.write(f"{HEADER}between\n")
    watch.rename("app.log.1", "app.log.2")
    watch.rename("app.log", "app.log.1")
    watch.write(HEADER)
    return [HEADER.strip(), "between", HEADER.strip()]


def move_away_and_back(watch: Watch) -> list[str]:
    away = watch.root.parent / f"{watch.root.name}-away"
    os.rename(watch.path("app.log"), away)
    watch.later = [lambda: os.rename(away, watch.path("app.log.1"))]
    return []


def copy_and_truncate(watch: Watch) -> list[str]:
    watch.copytruncate()
    watch.write("new\n")
    return ["new"]


def rename_and_compress(watch: Watch) -> list[str]:
    raw = watch.path("app.log").read_bytes()
    watch.path("app.log").unlink()
    watch.path("app.log.1.gz").write_bytes(gzip.compress(raw))
    watch.write("new\n")
    return ["new"]


def rename_and_compress_later(watch: Watch) -> list[str]:
    def compress() -> None:
        watch.path("app.log.1.gz").write_bytes(gzip.compress(watch.path("app.log.1").read_bytes()))
        watch.path("app.log.1").unlink()

    watch.rename("app.log", "app.log.1")
    watch.later = [compress]
    return []


ACTS = [
    rename,
    rename_and_create,
    rename_and_write_on,
    rename_twice,
    move_away_and_back,
    copy_and_truncate,
    rename_and_compress,
    rename_and_compress_later,
]


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize(
    "is_new", [pytest.param(False, id="running"), pytest.param(True, id="restarted", marks=pytest.mark.slow)]
)
def test_each_line_is_taken_once_whenever_a_log_is_rotated(
    tmp_path: Path, act: Callable[[Watch], list[str]], is_new: bool
) -> None:
    number, is_over = 0, False
    while not is_over:
        is_over = rotated_at(tmp_path / f"{number}", number, act, is_new=is_new)
        number += 1
    assert number > 20


def rotated_at(root: Path, number: int, act: Callable[[Watch], list[str]], *, is_new: bool) -> bool:
    """Rotate before a system call and tell whether there was none so late."""
    root.mkdir()
    watch = Watch(root)
    watch.write(HEADER)
    watch.take()
    watch.write("a\nb\n")
    if is_new:
        watch.restart()
    written = [HEADER.strip(), "a", "b"]
    moment = Moment(number, lambda: written.extend(act(watch)))
    with at(moment):
        planned = watch.plan()
        if planned is not None:
            try:
                watch.lines += watch.frame(planned)["line"].to_list()
            except SourceChangedError as exc:
                watch.lines += watch.frame(watch.amend(exc))["line"].to_list()
    if moment.act is not None:
        moment.act()
    watch.take()
    for each in watch.later:
        each()
    watch.drain()
    watch.write("last\n")
    watch.drain()
    assert sorted(watch.lines) == sorted([*written, "last"]), f"before call {number}"
    assert watch.lost == [] or (is_new and act is move_away_and_back), f"before call {number}"
    return moment.left >= 0
