"""Glob patterns over paths: ``*  ?  [abc]  [!abc]  {a,b}  **``, matched name by name so that any legal name works."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from etl.sources.file_names import join, split, why_skipped

_MAGIC = frozenset("*?[{")
_ANY_DEPTH = "**"


@dataclass(frozen=True, slots=True)
class Segment:
    """One name of a pattern, between two slashes. ``regex`` is None for ``**``: any number of folders, none as well."""

    text: str
    regex: re.Pattern[str] | None


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern: the literal folder that it starts from, and the segments below.

    A *state* is the number of segments matched so far; a walk carries the set of states that a folder may be in.
    ``is_literal`` marks a path without any glob character: a file, or a folder with all that lies below.
    """

    text: str
    root: str
    segments: tuple[Segment, ...]
    is_literal: bool = False

    def start(self) -> frozenset[int]:
        """Return the states of the root."""
        return self._closed({0})

    def enter(self, states: frozenset[int], folder: str) -> frozenset[int]:
        """Return the states of a sub-folder; empty where nothing below it can match."""
        last = len(self.segments) - 1
        return self._closed(
            {state + (regex is not None) for state, regex in self._steps(states, folder) if state < last}
        )

    def takes(self, states: frozenset[int], name: str) -> bool:
        """Tell whether a file called ``name``, in a folder with these states, is read."""
        return name in self.taken(states, [name])

    def taken(self, states: frozenset[int], names: Iterable[str]) -> list[str]:
        """Return those of the ``names`` in a folder with these states whose files are read."""
        last = len(self.segments) - 1
        text, regex = self.segments[last].text, self.segments[last].regex
        if last not in states or regex is None:
            return []
        fits = regex.fullmatch
        return [name for name in names if fits(name) and why_skipped(name, text) is None]

    def only_files(self, states: frozenset[int]) -> bool:
        """Tell whether no sub-folder of a folder with these states can match."""
        last = len(self.segments) - 1
        return all(state == last and self.segments[state].regex is not None for state in states)

    def as_file(self) -> Pattern:
        """Return the pattern of a literal path that turned out to be a file: just that one, whatever its name."""
        folder, name = split(self.root)
        return Pattern(self.text, folder, (Segment(name, re.compile(re.escape(name))),), is_literal=True)

    def relative(self, path: str) -> str | None:
        """Return ``path`` as seen from the root, None when it lies elsewhere."""
        lead = join(self.root, "")
        return path.removeprefix(lead) if path.startswith(lead) else None

    def reaches(self, relative: str) -> bool:
        """Tell whether files in the folder at ``relative`` (to the root, which is empty) may match."""
        states = self.start()
        for folder in filter(None, relative.split("/")):
            states = self.enter(states, folder)
        return bool(states)

    def why_not(self, relative: str) -> str | None:
        """Return why the file at ``relative`` (to the root) is not read by this pattern, None when it is."""
        *folders, name = relative.split("/")
        states = self.start()
        for folder in folders:
            inner = self.enter(states, folder)
            if not inner:
                return self._reason(states, folder)
            states = inner
        return None if self.takes(states, name) else self._reason(states, name)

    def _reason(self, states: frozenset[int], name: str) -> str:
        skipped = [why_skipped(name, self.segments[state].text) for state in sorted(states) if self._fits(state, name)]
        return f"{skipped[0]} ({name!r})" if skipped and skipped[0] else f"not matched by {self.text!r}"

    def _steps(self, states: frozenset[int], name: str) -> list[tuple[int, re.Pattern[str] | None]]:
        """Return the states (with their regex) whose segment takes ``name``."""
        return [
            (state, self.segments[state].regex)
            for state in states
            if self._fits(state, name) and why_skipped(name, self.segments[state].text) is None
        ]

    def _fits(self, state: int, name: str) -> bool:
        regex = self.segments[state].regex
        return regex is None or regex.fullmatch(name) is not None

    def _closed(self, states: set[int]) -> frozenset[int]:
        """Add the states reached by letting ``**`` match no folder."""
        closed = set(states)
        for state in sorted(states):
            following = state
            while following < len(self.segments) - 1 and self.segments[following].regex is None:
                following += 1
                closed.add(following)
        return frozenset(closed)


def split_scheme(text: str) -> tuple[str, str, str]:
    """Return scheme, ``://`` and the rest of a URL; for a local path the first two are empty."""
    found = re.match(r"([a-z][a-z0-9+.-]*)(://)", text)
    return (found[1], found[2], text[found.end() :]) if found else ("", "", text)


def parse_pattern(text: str) -> Pattern:
    """Return the pattern of ``text``. Raises ValueError with the reason."""
    scheme, separator, rest = split_scheme(text)
    names = [name for name in rest.split("/") if name not in {"", "."}]
    if not names:
        raise ValueError("an empty path; name a folder, a file or a pattern")
    depth = next((index for index, name in enumerate(names) if _MAGIC.intersection(name)), len(names))
    is_literal = depth == len(names)
    below = [_ANY_DEPTH, "*"] if is_literal else names[depth:]
    if below[-1] == _ANY_DEPTH:
        below.append("*")
    lead = "/" if rest.startswith("/") and not separator else ""
    root = scheme + separator + lead + "/".join(names[:depth])
    return Pattern(text, root, tuple(_segment(name) for name in below), is_literal)


def _segment(text: str) -> Segment:
    return Segment(text, None if text == _ANY_DEPTH else re.compile(_regex_of(text), re.DOTALL))


def _regex_of(text: str) -> str:
    """Return the regular expression of one segment."""
    pieces: list[str] = []
    depth = position = 0
    while position < len(text):
        char = text[position]
        position += 1
        if char == "[":
            piece, position = _class_of(text, position)
        elif char in "{}":
            depth += 1 if char == "{" else -1
            piece = "(?:" if char == "{" else ")"
        elif char == "," and depth:
            piece = "|"
        else:
            piece = {"*": ".*", "?": "."}.get(char, re.escape(char))
        if depth < 0:
            raise ValueError(f"{text!r} has a '}}' without '{{'; write [}}] for the character itself")
        pieces.append(piece)
    if depth:
        raise ValueError(
            f"{text!r} has a '{{' without '}}'; a group may not hold '/', and [{{] is the character itself"
        )
    return "".join(pieces)


def _class_of(text: str, start: int) -> tuple[str, int]:
    """Return the regular expression of the class that opened just before ``start``, and where it ends."""
    negated = text[start : start + 1] == "!"
    first = start + negated
    end = text.find("]", first + 1)
    if end < 0:
        raise ValueError(f"{text!r} has a '[' without ']'; write [[] for the character itself")
    body = "".join(char if char == "-" else re.escape(char) for char in text[first:end])
    pattern = f"[{'^' if negated else ''}{body}]"
    try:
        re.compile(pattern)
    except re.error as exc:
        raise ValueError(f"{text[start - 1 : end + 1]!r} is not a set of characters: {exc}") from exc
    return pattern, end + 1
