"""Groups of an expression as columns, and what becomes of lines that do not fit: shared by the parsers of log lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from etl.formats.log_records import Parsed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import polars as pl

    from etl.formats.log_patterns import LinePattern

    Fault: TypeAlias = tuple[pl.Series, Callable[[pl.Series], pl.Series]]


def groups(lines: pl.Series, pattern: str) -> pl.DataFrame:
    """Return the groups of ``pattern`` as columns; all of them are null where it does not match."""
    import polars as pl

    return lines.alias("line").to_frame().select(pl.col("line").str.extract_groups(pattern)).unnest("line")


def overlaid(frame: pl.DataFrame, places: pl.Series, rows: pl.DataFrame) -> pl.DataFrame:
    """Return ``frame`` with ``rows`` at ``places`` instead of its own."""
    import polars as pl

    order = pl.int_range(frame.height, dtype=pl.UInt32, eager=True)
    order = order.scatter(places, pl.int_range(frame.height, frame.height + rows.height, dtype=pl.UInt32, eager=True))
    return pl.concat([frame, rows])[order]


def if_dash(name: str) -> pl.Expr:
    """Return a column with null for ``-``."""
    import polars as pl

    return pl.when(pl.col(name) != "-").then(pl.col(name))


def other(lines: pl.Series, pattern: LinePattern, is_other: pl.Series) -> Fault:
    """Return the fault of lines that do not match at all."""
    return is_other, lambda places: pattern.reasons(lines.gather(places))


def wrong(texts: pl.Series, is_wrong: pl.Series, words: str) -> Fault:
    """Return the fault of texts that stand where they should, and say what cannot be: ``name: text words``."""
    import polars as pl

    def reasons(places: pl.Series) -> pl.Series:
        return pl.select(pl.format(f"{texts.name}: {{}} {words}", texts.gather(places))).to_series()

    return is_wrong, reasons


def frame_of(columns: list[pl.Series], height: int) -> pl.DataFrame:
    """Return columns as a frame, which has its height without any too."""
    import polars as pl

    return pl.DataFrame(columns) if columns else pl.DataFrame(height=height)


def without(frame: pl.DataFrame, faults: Iterable[Fault]) -> Parsed:
    """Return the rows, null throughout where one of ``faults`` is true; the first that is says why."""
    import polars as pl

    found = []
    for is_faulty, words in faults:
        places = is_faulty.arg_true()
        if len(places):
            found.append(pl.DataFrame({"place": places, "reason": words(places)}))
    if not found:
        return Parsed(frame)
    bad = pl.concat(found).unique("place", keep="first", maintain_order=True)
    kept = pl.int_range(frame.height, dtype=pl.UInt32, eager=True).scatter(bad["place"], None)
    why = pl.repeat(None, frame.height, dtype=pl.UInt32, eager=True)
    why = why.scatter(bad["place"], pl.int_range(bad.height, dtype=pl.UInt32, eager=True))
    rows = frame.select(pl.all().gather(kept)) if frame.width else frame
    return Parsed(rows, bad["reason"].gather(why))
