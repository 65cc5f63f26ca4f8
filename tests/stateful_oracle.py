"""What must be there after a history: late rows by a watermark reckoned anew, all else by DuckDB over the others."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import polars as pl

from etl.rejects import WATERMARK
from tests.stateful_chains import FIRST_WITHIN, Chain, Step
from tests.stateful_histories import NEVER, TYPES, Home, Row

Batch = tuple[datetime, Mapping[str, list[Row]]]


def _watermarks(batches: Sequence[Batch], home: Home) -> list[datetime | None]:
    """Return the watermark before each batch."""
    chain, idle = home.history.chain, timedelta(minutes=home.history.idle)
    newest: dict[str, datetime] = {}
    seen_at = dict.fromkeys(chain.sources, batches[0][0])
    found: list[datetime | None] = []
    before: datetime | None = None
    for batch_at, batch in batches:
        found.append(before)
        for source, rows in batch.items():
            times = [row["at"] for row in rows if row["at"] is not None and row["at"] < NEVER]
            if times:
                newest[source] = max([*times, *([newest[source]] if source in newest else [])])
                seen_at[source] = batch_at
        counted = [source for source in chain.sources if not idle or batch_at - seen_at[source] <= idle]
        if counted and all(source in newest for source in counted):
            after = min(newest[source] for source in counted) - timedelta(minutes=chain.delay)
            before = after if before is None else max(before, after)
    return found


def _judges(chain: Chain) -> dict[str, tuple[Step, int]]:
    """Return the step that decides which rows of a source are late, and how many minutes later than the first."""
    found = {name: (chain.steps[0], 0) for name in chain.sources if name != "right"}
    for place, step in enumerate(chain.steps):
        if step.source:
            found[step.source] = (step, sum(before.behind for before in chain.steps[:place]))
    return found


def _end(at: datetime, step: Step) -> datetime:
    """Return the moment that the watermark must reach for a row to be late."""
    if step.lateness == "window":
        since = datetime(1970, 1, 1)  # noqa: DTZ001  naive, as the column
        slide = timedelta(minutes=step.slide)
        first = at - (at - since) % slide - (timedelta(minutes=step.behind) - slide)
        return first + timedelta(minutes=step.behind)
    return at + timedelta(minutes=step.gap)


def check_late(home: Home) -> list[int]:
    """Fail where other rows are late than those behind the watermark; return their numbers.

    A session that is over takes rows with it that are not behind by themselves: of those it is only asked that they
    would have been part of one.
    """
    chain = home.history.chain
    batches = home.batches()
    late = Counter((row["n"], _naive(row[WATERMARK])) for row in home.late_rows())
    must: Counter[Any] = Counter()
    may: Counter[Any] = Counter()
    for (_, batch), before in zip(batches, _watermarks(batches, home), strict=True):
        for source, rows in batch.items():
            step, behind = _judges(chain)[source]
            mark = None if before is None else before - timedelta(minutes=behind)
            for row in filter(step.asks, rows if step.lateness != "never" else ()):
                if row["at"] is None:
                    must[row["n"], None] += 1
                elif mark is not None and _end(row["at"], step) <= mark:
                    must[row["n"], mark] += 1
                elif mark is not None and step.lateness == "session":
                    may[row["n"], mark] += 1
    assert not must - late, f"not late, and should be: {must - late}"
    assert not late - must - may, f"late, and should not be: {late - must - may}"
    assert all(count == 1 for (number, _), count in late.items() if number >= 0)
    return [number for number, _ in late]


def _naive(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None)


def _first_within(batches: Sequence[Batch], late: set[int]) -> Iterator[int]:
    """Yield the rows that ``deduplicate`` within 10 minutes keeps: batch by batch, in each by time and place."""
    kept: dict[str | None, list[datetime]] = {}
    for _, batch in batches:
        rows = [row for row in batch["main"] if row["n"] not in late]
        for row in sorted(rows, key=lambda row: (row["at"], row["n"])):
            if all(abs(row["at"] - at) > timedelta(minutes=10) for at in kept.get(row["k"], [])):
                kept.setdefault(row["k"], []).append(row["at"])
                yield row["n"]


def expected(home: Home, late: Sequence[int]) -> pl.DataFrame:
    """Return what the steps' queries make of all rows that are not late."""
    chain = home.history.chain
    with duckdb.connect(config={"threads": 1}) as con:
        for source, units in home.given.items():
            rows = [row for unit in units for row in unit if row["n"] not in late]
            con.register(f"frame_{source}", pl.DataFrame(rows, schema=TYPES).to_arrow())
            con.sql(f"CREATE TABLE on_time_{source} AS FROM frame_{source}")
        more = " UNION ALL FROM on_time_more" if chain.has_more else ""
        con.sql(f"CREATE TABLE step_0 AS FROM on_time_main{more}")
        if chain.steps[0] is FIRST_WITHIN:
            kept = list(_first_within(home.batches(), set(late)))
            con.register("first_within", pl.DataFrame({"n": kept}, schema={"n": pl.Int64}).to_arrow())
        for number, step in enumerate(chain.steps):
            con.sql(f"CREATE TABLE step_{number + 1} AS WITH given AS (FROM step_{number}) {_quoted(step.query)}")
        return pl.DataFrame(con.sql(f"FROM step_{len(chain.steps)}"))


def _quoted(query: str) -> str:
    """Return a query with the column ``at``, which is a word of DuckDB's own, in quotes."""
    return re.sub(r"\bat\b", '"at"', query)


def multiset(frame: pl.DataFrame, columns: Sequence[str]) -> Counter[Any]:
    """Return the rows, moments without a zone."""
    return (
        Counter(
            tuple(_naive(value) if isinstance(value, datetime) and value.tzinfo else value for value in row)
            for row in frame.select(columns).iter_rows()
        )
        if frame.width
        else Counter()
    )


def check(home: Home) -> None:
    """Fail where the tables are not what one query over all rows gives, or counts do not add up."""
    late = check_late(home)
    wanted = expected(home, late)
    chain, table = home.history.chain, home.table()
    columns = [name for name in wanted.columns if name != "n" or not chain.has_more]
    found = multiset(table, columns)
    should = multiset(wanted, columns)
    assert found == should, f"{chain}: too many {found - should}, too few {should - found}"
    counts = home.counts()
    given = sum(len(rows) for units in home.given.values() for rows in units)
    assert counts["read"] == given
    assert counts["late"] == len(late)
    if not chain.keys:
        assert counts["written"] == table.height
