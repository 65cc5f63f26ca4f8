"""What happens, as lines of a log: for people, or a JSON object a line. Scrubbed, in UTC, each with its pipeline."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from etl.secrets import scrubbed, scrubbed_value

if TYPE_CHECKING:
    from etl.model import BatchResult
    from etl.service.contract import Happening

LogFormat: TypeAlias = Literal["console", "json"]

_LEVELS = {
    **dict.fromkeys(("started", "planned", "ended"), "debug"),
    **dict.fromkeys(("paused", "missed", "faulty"), "warning"),
    "failed": "error",
}
"""The level of each kind of happening; those that are not here are ``info``."""


def level_of(happening: Happening) -> str:
    """Return ``debug``, ``info``, ``warning`` or ``error``; debug is what happens at every tick, batch or none."""
    return _LEVELS.get(happening.kind, "info")


def line_of(happening: Happening, log_format: LogFormat) -> str:
    """Return a happening as one line, whatever is in it."""
    return json_line(happening) if log_format == "json" else console_line(happening)


def console_line(happening: Happening) -> str:
    """Return a line for people: moment, level, pipeline, batch, what happened."""
    result = happening.result
    batch = "" if result is None else f"batch {result.batch_id}"
    said = scrubbed(happening.message if result is None else _figures(result), keep="\n")
    what = " | ".join(part.strip() for part in said.splitlines() if part.strip())
    parts = (_moment(happening.at), f"{level_of(happening).upper():<7}", scrubbed(happening.pipeline), batch)
    return "  ".join(part for part in (*parts, happening.kind, what) if part)


def json_line(happening: Happening) -> str:
    """Return a line for machines, with stable keys; those that say nothing are left out."""
    result = happening.result
    fields: dict[str, Any] = {
        "at": _moment(happening.at),
        "level": level_of(happening),
        "event": happening.kind,
        "pipeline": happening.pipeline,
        "message": happening.message,
    }
    if result is not None:
        fields |= {
            "batch_id": result.batch_id,
            "rows": dict(result.rows),
            "bytes_read": result.bytes_read,
            "tables": dict(result.tables),
            "watermark": result.watermark,
            "seconds": dict(result.seconds),
        }
    told = {name: value for name, value in fields.items() if value not in ("", None)}
    return _plain_json(told)


def note_line(at: datetime, message: str, log_format: LogFormat) -> str:
    """Return something that the service itself has to say as one line."""
    if log_format == "json":
        return _plain_json({"at": _moment(at), "level": "info", "event": "service", "message": message})
    return f"{_moment(at)}  INFO     {scrubbed(message)}"


def _plain_json(fields: dict[str, Any]) -> str:
    # control characters are spelt by JSON itself; with ASCII alone no mark of direction gets through either
    return json.dumps(scrubbed_value(fields), default=str)


def _figures(result: BatchResult) -> str:
    rows = ", ".join(f"{number:,} {fate}" for fate, number in result.rows.items() if number or fate == "written")
    tables = ", ".join(f"{table} v{version}" for table, version in result.tables.items())
    return f"{rows}  {tables or 'no table changed'}  {result.seconds.get('total', 0.0):.2f} s"


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
