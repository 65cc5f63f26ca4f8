"""A log that is followed: how far it was read, what it was when it was last looked at, where it lies now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from etl.model import Json
from etl.sources.log_identity import Mark, Status

Key = tuple[str, int]
"""The name of a log: the path where it was first seen, as text, and the how-manieth log it was there."""

_NOTHING = Mark()
_KEPT_MARKS = 7


@dataclass(slots=True)
class Tail:
    """A log that is followed.

    ``path`` (text) is where it lies now, None where its name is gone. ``born_ns`` (0 is unknown) and ``marks`` prove
    that it is this log, the marks at rising lengths: a copy may be shorter than what was seen. ``seen_bytes`` is its
    uncompressed size at the last look. ``is_skipped`` marks one that is known and not read, ``is_gone`` one of which
    nothing is left: it is remembered in case its folder was only away.
    What follows is known to this process alone: ``status`` as of the last look (None: look at it anew), whether that
    look was so soon after a write that the next must not rely on it, up to where no record ends behind ``offset``, and
    the path on disk.
    """

    origin: str
    generation: int
    path: str | None
    device: int
    inode: int
    born_ns: int = 0
    offset: int = 0
    marks: tuple[Mark, ...] = ()
    seen_bytes: int = 0
    modified_ns: int = 0
    is_packed: bool = False
    is_skipped: bool = False
    is_gone: bool = False
    status: Status | None = None
    is_racy: bool = True
    searched: int = 0
    whole: str = ""

    @property
    def key(self) -> Key:
        """The name of the log."""
        return self.origin, self.generation

    @property
    def mark(self) -> Mark:
        """The mark of all that was seen."""
        return self.marks[-1] if self.marks else _NOTHING

    def prove(self, mark: Mark) -> None:
        """Take a mark of this log in."""
        if mark.length > self.mark.length:
            self.marks = (*self.marks[-_KEPT_MARKS:], mark)

    def prove_copied(self, mark: Mark) -> None:
        """Take in where a copy of this log ends, which may be before what was seen of it."""
        marks = {each.length: each for each in (*self.marks, mark)}
        self.marks = tuple(marks[length] for length in sorted(marks))

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode."""
        return self.device, self.inode

    @property
    def unread_bytes(self) -> int:
        """How many bytes were seen and not planned."""
        return 0 if self.is_skipped or self.is_gone else max(0, self.seen_bytes - self.offset)

    def to_json(self) -> dict[str, Json]:
        """Return what must survive a restart."""
        told: dict[str, Json] = {
            "origin": self.origin,
            "generation": self.generation,
            "path": self.path,
            "device": self.device,
            "inode": self.inode,
            "born_ns": self.born_ns,
            "offset": self.offset,
            "marks": [list(mark) for mark in self.marks],
            "seen_bytes": self.seen_bytes,
            "modified_ns": self.modified_ns,
        }
        flags = ("is_packed", "is_skipped", "is_gone")
        return told | {name: True for name in flags if getattr(self, name)}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Tail:
        """Return what ``to_json`` wrote."""
        return cls(**{**told, "marks": tuple(Mark(*mark) for mark in told["marks"])})
