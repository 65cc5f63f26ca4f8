"""What is there: the files that a source's patterns match and its exclusions leave."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import Path

from etl.sources.file_discovery import FoundFile, Known
from etl.sources.file_names import split
from etl.sources.file_options import FileOptions
from etl.sources.file_pattern import Pattern, parse_pattern, split_scheme
from etl.sources.file_places import Places


class FileListing:
    """The patterns of one source over the places that they name.

    An exclusion without a slash goes by the name alone.
    """

    def __init__(self, options: FileOptions, places: Places) -> None:
        self._places = places
        self._patterns = [parse_pattern(places.localised(text)) for text in options.patterns]
        excluded = [places.localised(text) for text in options.exclude]
        self._excluded_paths = [parse_pattern(text) for text in excluded if "/" in text]
        self._excluded_names = [parse_pattern(f"**/{text}") for text in excluded if "/" not in text]

    def find(self, known: Known) -> Iterator[FoundFile]:
        """Return the files that are not ``known``, perhaps twice. Raises SourceError for an unlisted folder."""
        has_exclusions = bool(self._excluded_names or self._excluded_paths)
        for pattern in self._patterns:
            for found in self._places.at(pattern.root).files.find(pattern, known):
                if not has_exclusions or self._why_excluded(found.path) is None:
                    yield found

    def local_roots(self, folder: Path) -> tuple[str, ...]:
        """Return the folders of the local disk that the patterns start from, whole, as far as they are there."""
        local = [pattern.root for pattern in self._patterns if not split_scheme(pattern.root)[1]]
        roots = dict.fromkeys(folder / root for root in local)
        return tuple(str(root) for root in roots if root.is_dir())

    def refreshed(self, file: FoundFile) -> FoundFile | None:
        """Return a listed file as it is now, None when it is gone; a remote listing is taken at its word."""
        return self._places.at(file.path).files.refreshed(file)

    def look(self, path: str) -> FoundFile | str:
        """Return the file at ``path``, or the reason why the source does not read it."""
        reason = "not below any path of the source"
        files = self._places.at(path).files
        for pattern in map(files.settled, self._patterns):
            relative = pattern.relative(path)
            if relative is None:
                continue
            if (why := pattern.why_not(relative)) is None:
                return self._why_excluded(path) or files.look(path, pattern)
            reason = why
        return reason

    def relative(self, path: str) -> str:
        """Return ``path`` as seen from the nearest root that holds it, else its name."""
        below = [relative for pattern in self._patterns if (relative := pattern.relative(path))]
        return min(below, key=len, default=posixpath.basename(path))

    def reaches(self, folder: str) -> Pattern | None:
        """Return the pattern that would read files in ``folder``, None where there is none."""
        for pattern in self._patterns:
            relative = "" if folder == pattern.root else pattern.relative(folder)
            if relative is not None and pattern.reaches(relative):
                return pattern
        return None

    def _why_excluded(self, path: str) -> str | None:
        for pattern in self._excluded_names:
            if pattern.why_not(split(path)[1]) is None:
                return f"excluded by {pattern.segments[-1].text!r}"
        for pattern in self._excluded_paths:
            relative = pattern.relative(path)
            if relative is not None and pattern.why_not(relative) is None:
                return f"excluded by {pattern.text!r}"
        return None
