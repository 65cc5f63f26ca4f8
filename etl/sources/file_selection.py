"""Which of the files found come next: order, stability, changes, duplicates, limits."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf
from operator import itemgetter

from etl.errors import SourceChangedError, SourceError
from etl.model import ReadLimit
from etl.seam import Seam
from etl.sources.file_discovery import FoundFile
from etl.sources.file_ledger import FileLedger, Version
from etl.sources.file_names import from_text, to_text
from etl.sources.file_options import FileOptions
from etl.sources.file_units import FileUnits, UnitRow, unit_of


@dataclass(frozen=True, slots=True)
class Questions:
    """What selection asks of the outside, a file at a time.

    ``digest`` is of the content, ``proof`` of what a file that may grow is known by; ``tail`` is where its new part
    begins.
    """

    refreshed: Callable[[FoundFile], FoundFile | None]
    digest: Callable[[FoundFile], str]
    rows: Callable[[FoundFile], int]
    proof: Callable[[FoundFile], str]
    tail: Callable[[FoundFile, Version], int]


class FileSelection:
    """The choice of one source."""

    def __init__(self, options: FileOptions, ledger: FileLedger, seam: Seam, questions: Questions) -> None:
        self._options = options
        self._ledger = ledger
        self._seam = seam
        self._ask = questions
        self._watched: dict[str, tuple[int, int]] = {}
        self._put_off: dict[str, tuple[int, int]] = {}
        self._unchanged: dict[str, tuple[int, int]] = {}
        self.duplicates: dict[str, UnitRow] = {}

    def candidates(self, found: Iterable[FoundFile]) -> list[FoundFile]:
        """Return the files that may be read now, in order. Raises SourceError for a change to be refused."""
        chosen = {file.path: file for file in found if self._is_due(file)}
        files = [chosen[path] for path in sorted(chosen)]
        if self._options.order == "modified":
            files.sort(key=itemgetter(FoundFile._fields.index("modified_ns")))
        return files

    def is_settled(self, file: FoundFile) -> bool:
        """Tell whether the ledger holds this file (this version of it, where versions count)."""
        if self.duplicates and file.path in self.duplicates:
            return True
        if file.name not in self._ledger.known(file.folder):
            return False
        version = self._ledger.version(file.path)
        return version is None or version.is_same(file) or self._options.on_change == "ignore"

    def wait_s(self, file: FoundFile) -> float:
        """Return how many seconds a file must still stay as it is before it counts as stable."""
        if not self._options.stable_for:
            return 0.0
        now_ns = int(self._seam.now().timestamp() * 1e9)
        size_bytes, since_ns = self._watched.get(file.path, (file.size_bytes, file.modified_ns))
        if size_bytes != file.size_bytes:
            since_ns = now_ns
        since_ns = max(since_ns, file.modified_ns)
        wait_s = self._options.stable_for - (now_ns - since_ns) / 1e9
        if wait_s > 0:
            self._watched[file.path] = (file.size_bytes, since_ns)
        else:
            self._watched.pop(file.path, None)
        return max(wait_s, 0.0)

    def take(self, candidates: Iterable[FoundFile], limit: ReadLimit) -> FileUnits:
        """Return the first candidates within ``limit``, at least one unless all are gone or duplicates.

        Every file is looked at once more; under ``identity: content`` it is read for its digest. One that changes
        meanwhile is left for the next look.
        """
        taken: list[FoundFile] = []
        digests: list[str | None] = []
        starts: list[int | None] = []
        fresh: dict[str, str] = {}
        self.duplicates = {path: row for path, row in self.duplicates.items() if self._ledger.holder(row.digest or "")}
        total_bytes = total_rows = 0
        max_bytes = inf if limit.max_bytes is None else limit.max_bytes
        max_rows = inf if limit.max_rows is None else limit.max_rows
        for listed in candidates:
            if limit.max_files is not None and len(taken) >= limit.max_files:
                break
            file = self._ask.refreshed(listed)
            if file is None or (file is not listed and self.is_settled(file)):
                continue
            try:
                start = self._start(file)
                total_bytes += file.size_bytes - (start or 0)
                total_rows += 0 if limit.max_rows is None else self._ask.rows(file)
                if taken and (total_bytes > max_bytes or total_rows > max_rows):
                    break
                digest = self._digest(file, fresh)
            except (FileNotFoundError, SourceChangedError):
                continue
            if file.path not in self.duplicates and file.path not in self._unchanged:
                taken.append(file)
                digests.append(digest)
                starts.append(start)
        return FileUnits.found(taken, digests, self.duplicates.values(), starts)

    def _start(self, file: FoundFile) -> int | None:
        """Return where the new part of a file begins that has grown, None where it is read whole."""
        former = self._ledger.version(file.path)
        if self._options.on_change != "append_tail" or former is None:
            return None
        start = self._ask.tail(file, former)
        if start == file.size_bytes:
            self._unchanged[file.path] = (file.size_bytes, file.modified_ns)
        return start or None

    def _is_due(self, file: FoundFile) -> bool:
        if self.is_settled(file):
            return False
        if self._options.on_change == "fail" and file.name in self._ledger.known(file.folder):
            raise SourceError(
                "changed after it was read",
                where=to_text(file.path),
                hint="`on_change: ignore` keeps the rows of the first version, `reingest` adds those of the new one",
            )
        if self._is_put_off(file) or self._is_unchanged(file):
            return False
        return not self._options.stable_for or self.wait_s(file) == 0

    def _is_unchanged(self, file: FoundFile) -> bool:
        """Tell whether a file that has only another time was found to have nothing new."""
        if not self._unchanged:
            return False
        if self._unchanged.get(file.path) == (file.size_bytes, file.modified_ns):
            return True
        self._unchanged.pop(file.path, None)
        return False

    def put_off(self, units: Iterable[UnitRow]) -> None:
        """Leave files alone that could not be read, until they change or are no longer young."""
        self._put_off |= {from_text(unit.path): (unit.size_bytes, unit.modified_ns) for unit in units}

    def _is_put_off(self, file: FoundFile) -> bool:
        seen = self._put_off.get(file.path)
        if seen is None:
            return False
        age_s = self._seam.now().timestamp() - file.modified_ns / 1e9
        if seen == (file.size_bytes, file.modified_ns) and age_s < self._options.unready_for:
            return True
        del self._put_off[file.path]
        return False

    def _digest(self, file: FoundFile, fresh: dict[str, str]) -> str | None:
        """Return what the file is known by; under ``identity: content`` known content makes it a duplicate.

        Empty files are all alike and say nothing: each is a file of its own.
        """
        if self._options.on_change == "append_tail":
            return self._ask.proof(file)
        if self._options.identity != "content" or file.size_bytes == 0:
            return None
        digest = self._ask.digest(file)
        same_as = self._ledger.holder(digest) or fresh.get(digest)
        if same_as is not None:
            self.duplicates[file.path] = unit_of(file, digest, same_as)
        else:
            fresh[digest] = to_text(file.path)
        return digest
