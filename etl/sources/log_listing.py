"""What is there: the files that the patterns of logs match."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from etl.sources.file_discovery import FoundFile, Known
from etl.sources.file_listing import FileListing
from etl.sources.file_names import from_text
from etl.sources.file_places import Places
from etl.sources.log_handles import LogHandles
from etl.sources.log_options import LogOptions


class LogListing(FileListing):
    """The patterns of one source. A path without any glob character may be a file that is not there just now."""

    def __init__(self, options: LogOptions, places: Places, handles: LogHandles) -> None:
        # The listing asks options for nothing but patterns and exclusions, which both sources have.
        super().__init__(cast("Any", options), places)
        self._handles = handles
        self._written = self._patterns

    def find(self, known: Known) -> Iterator[FoundFile]:
        """Return the files that are not ``known``, perhaps twice. Raises SourceError for an unlisted folder."""
        self._settle()
        return super().find(known)

    def look(self, path: str) -> FoundFile | str:
        """Return the file at ``path``, or the reason why the source does not read it."""
        self._settle()
        return super().look(path)

    def local_roots(self, folder: Path) -> tuple[str, ...]:
        """Return the folders that the patterns start from, whole, as far as they are there."""
        self._settle()
        return super().local_roots(folder)

    def takes(self, text: str) -> bool:
        """Tell whether a pattern takes a path, be something there or not."""
        path = from_text(text)
        if self._why_excluded(path) is not None:
            return False
        relatives = ((pattern, pattern.relative(path)) for pattern in self._patterns)
        return any(relative and pattern.why_not(relative) is None for pattern, relative in relatives)

    def _settle(self) -> None:
        self._patterns = [
            pattern.as_file()
            if pattern.is_literal and not os.path.isdir(self._handles.whole(from_text(pattern.root)))
            else pattern
            for pattern in self._written
        ]
