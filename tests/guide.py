"""The words of Spark's guide: batches of a time and a word each, and the transforms that are asked of them."""

from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from etl.rejects import WATERMARK
from etl.transforms import TRANSFORMS
from etl.transforms.contract import TransformSite
from tests.flowing import MAIN, Flowed, flow

Word = tuple[str | None, str | None]
"""A time of 5 March 2024 (``12:14`` or ``12:14:30``), and a word."""

SLIDING: dict[str, Any] = {"column": "at", "every": "5m", "period": "10m"}
TUMBLING: dict[str, Any] = {"column": "at", "every": "10m"}
SESSIONS: dict[str, Any] = {"column": "at", "session_gap": "5m"}
GUIDE: list[list[Word]] = [
    [("12:07", "dog"), ("12:08", "owl")],
    [("12:14", "dog"), ("12:09", "cat")],
    [("12:15", "cat"), ("12:08", "dog"), ("12:13", "owl"), ("12:21", "owl")],
    [("12:04", "donkey"), ("12:17", "owl")],
]
"""The batches of the guide's pictures, with windows of 10 minutes that slide by 5, and 10 minutes of delay."""

JOIN: dict[str, Any] = {
    "with": "clicks",
    "on": {"word": "ad"},
    "within": {"column": "at", "other": "clicked_at", "after": "1h"},
}


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2024-03-05T{text}")


def words(rows: list[Word], time: str = "at", word: str = "word") -> pl.DataFrame:
    times = [None if text is None else at(text) for text, _ in rows]
    numbers = pl.Series(range(len(rows)), dtype=pl.Int64)
    return pl.DataFrame(
        {time: times, word: [text for _, text in rows], "_source_file": ["f"] * len(rows), "_source_offset": numbers},
        schema={time: pl.Datetime("us"), word: pl.String, "_source_file": pl.String, "_source_offset": pl.Int64},
    )


def step(key: str, value: Any, source: str = "", time: str = "at") -> Any:
    kind: Any = TRANSFORMS[key]
    site = TransformSite(Path(), 1, source, has_watermark=True, time_column=time)
    return kind(kind.options_model.model_validate(value), site)


def clock(delay: str = "10m", *, source: str = "", column: str = "at", **more: Any) -> Any:
    return step("watermark", {"column": column, "delay": delay, "max_ahead": "36500d", **more}, source)


def counted(window: dict[str, Any], **more: Any) -> Any:
    return step("group_by", {"by": ["word"], "window": window, "aggregate": {"n": "COUNT(*)"}, **more})


def run(steps: list[Any], *batches: list[Word]) -> Flowed:
    return flow(steps, [{MAIN: words(rows)} for rows in batches])


def found(frame: pl.DataFrame, *names: str) -> list[tuple[Any, ...]]:
    """Return rows, sorted, with moments as ``12:14``."""
    rows = frame.select(names or [name for name in frame.columns if not name.startswith("_source")]).rows()
    return sorted(
        (tuple(f"{value:%H:%M}" if isinstance(value, datetime) else value for value in row) for row in rows), key=repr
    )


def late(flowed: Flowed) -> list[tuple[Any, ...]]:
    return [row for frame in flowed.late for row in found(frame, "at", "word", WATERMARK)]


# what we claim to be the same
