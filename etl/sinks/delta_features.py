"""Which Delta tables this library may write to: those whose promises to readers it keeps.

*Source*: Delta protocol, "Table Features".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.errors import SinkError

if TYPE_CHECKING:
    from etl.sinks.delta_log import Head

_KEPT_FEATURES = frozenset(
    (
        "appendOnly",
        "changeDataFeed",
        "checkConstraints",
        "deletionVectors",
        "generatedColumns",
        "invariants",
        "timestampNtz",
        "v2Checkpoint",
        "vacuumProtocolCheck",
    )
)
_NEWEST_WRITER = 7
_UNKEPT_SETTINGS = (
    "delta.constraints.",
    "delta.columnMapping.mode",
    "delta.enableRowTracking",
    "delta.enableInCommitTimestamps",
)
_UNKEPT_FIELD_KEYS = ("delta.generationExpression", "delta.invariants", "delta.identity.start")


def refuse_unkept(head: Head, table: str) -> None:
    """Refuse a table that promises its readers what an append by this library would break. Raises SinkError."""
    features = set(head.protocol.get("writerFeatures") or ()) - _KEPT_FEATURES
    writer = head.protocol.get("minWriterVersion", 0)
    if writer > _NEWEST_WRITER:
        features.add(f"writer version {writer}")
    settings = head.metadata.get("configuration") or {}
    unkept = [
        name for name in settings if name.startswith(_UNKEPT_SETTINGS) and settings[name] not in ("none", "false")
    ]
    unkept += [key for field in head.fields for key in field.get("metadata", {}) if key.startswith(_UNKEPT_FIELD_KEYS)]
    if features or unkept:
        raise SinkError(
            f"the table uses {', '.join(sorted(features) + unkept)}, which this release cannot keep",
            where=table,
            hint="write to a table without it",
        )


def refuse_irreplaceable(head: Head, table: str) -> None:
    """Refuse a table whose files must not be taken out, or that may hold files with deletion vectors. Raises SinkError.

    A file with a deletion vector is taken out under both names, of which deltalake tells one.
    """
    settings = head.metadata.get("configuration") or {}
    if settings.get("delta.appendOnly") == "true":
        raise SinkError(
            "the table is append-only, so that its rows cannot be replaced",
            where=table,
            hint="take delta.appendOnly off the table, or write to another one; then etl run again",
        )
    if "deletionVectors" in (head.protocol.get("readerFeatures") or ()):
        raise SinkError(
            "the table may hold deletion vectors, which this release cannot replace",
            where=table,
            hint="purge them and drop the feature, or write to another table; then etl run again",
        )
