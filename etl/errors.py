"""What can go wrong, as one tree.

::

    EtlError                  message, where, hint
    ├── ConfigError           the project or a pipeline file is wrong (exit code 2)
    │   └── MissingTableError     a static table that does not exist
    ├── TransientError        a retry may cure it
    │   ├── TableMovedError       another writer changed files that a batch rewrites
    │   └── UnknownOutcomeError   a write may or may not have landed, and cannot be read back
    ├── StorageError          a filesystem refused
    │   └── RecordExistsError     somebody else's record has the name
    ├── CheckpointError       the checkpoint is torn, foreign or has a gap (exit code 4)
    ├── TableStateError       checkpoint and table disagree (exit code 4)
    ├── StateError            what a transform remembers is damaged, or of another definition (exit code 4)
    ├── LeaseHeldError        another runner holds the pipeline (exit code 3)
    ├── FencedError           a runner with a higher epoch took over (exit code 3)
    ├── SourceError           input cannot be listed or read
    │   ├── SourceChangedError    bytes are no longer those of the plan
    │   │   └── NotReadyError         a file that cannot be read yet: it may still be written
    │   ├── UnreadableFileError   a file that cannot be read as a whole
    │   ├── SchemaDriftError      input has columns that the schema lacks
    │   └── RowError              a row does not fit; names file, row and reason
    ├── TransformError        an expression or a function failed
    │   └── PinChangedError       a static table is no longer to be had as the plan pins it
    ├── QuarantineError       a batch with more rejected rows than it may have
    ├── SinkError             a table cannot take the batch
    └── BalanceError          the rows of a batch do not add up
"""

from __future__ import annotations


class EtlError(Exception):
    """A failure with what it hit and the next step.

    ``where`` names the thing that failed (a file, a column, a table); ``hint`` is what to
    do next, a command where there is one. Both may be empty.
    """

    exit_code = 1

    def __init__(self, message: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        """Return ``where: message`` and the hint on a line of its own."""
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}\n  {self.hint}" if self.hint else text


class ConfigError(EtlError):
    """A fault in ``etl.yml``, a pipeline file or an argument."""

    exit_code = 2


class MissingTableError(ConfigError):
    """A static table that does not exist, or not yet: ``url`` is where it would be."""

    def __init__(self, url: str, message: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(message, where=where, hint=hint)
        self.url = url


class TransientError(EtlError):
    """A failure that a retry may cure."""


class TableMovedError(TransientError):
    """A table whose files another writer changed since a batch read them; the batch is staged again."""


class UnknownOutcomeError(TransientError):
    """A write whose outcome cannot be read back; nothing may be cleaned up or sent again."""


class StorageError(EtlError):
    """A filesystem that refused."""


class RecordExistsError(StorageError):
    """A record of the same name, written by somebody else; ``content`` is what it holds."""

    def __init__(self, path: str, content: bytes) -> None:
        super().__init__("a record of this name exists already", where=path)
        self.content = content


class CheckpointError(EtlError):
    """A checkpoint that cannot be trusted."""

    exit_code = 4


class TableStateError(EtlError):
    """A table that disagrees with the checkpoint. ``kind`` is the protocol's word for it."""

    exit_code = 4

    def __init__(self, kind: str, message: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(f"{kind}: {message}", where=where, hint=hint)
        self.kind = kind


class StateError(EtlError):
    """State of a transform that cannot be read, or that was made by another definition."""

    exit_code = 4


class LeaseHeldError(EtlError):
    """Another live runner holds the pipeline."""

    exit_code = 3


class FencedError(EtlError):
    """A runner with a higher epoch took the pipeline over; this one stops and deletes nothing."""

    exit_code = 3


class SourceError(EtlError):
    """Input that cannot be listed or read."""


class SourceChangedError(SourceError):
    """Input whose bytes are no longer those of the plan. ``path`` is the unit."""

    def __init__(self, path: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, where=path, hint=hint)
        self.path = path


class NotReadyError(SourceChangedError):
    """Files that cannot be read as a whole and are so young that they may still be written: ``paths``."""

    def __init__(self, paths: tuple[str, ...], message: str, *, hint: str = "") -> None:
        super().__init__(paths[0], message, hint=hint)
        self.paths = paths


class UnreadableFileError(SourceError):
    """A file that cannot be read as a whole: cut off, damaged, of another format. ``path`` is the unit."""

    def __init__(self, path: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, where=path, hint=hint)
        self.path = path


class SchemaDriftError(SourceError):
    """Input with columns or fields that the reading schema lacks; the engine widens it and reads again."""


class RowError(SourceError):
    """A row that does not fit: ``where`` is ``file:row``, the message the reason."""


class TransformError(EtlError):
    """An expression or a function that failed on real rows."""


class PinChangedError(TransformError):
    """A static table that can no longer be read as the plan pins it; its version is pinned anew where that may be."""


class QuarantineError(EtlError):
    """A batch with more rejected rows than ``max_fraction`` allows; nothing of it was committed."""


class SinkError(EtlError):
    """A table that cannot take the batch."""


class BalanceError(EtlError):
    """A batch whose rows do not add up; nothing was committed."""
