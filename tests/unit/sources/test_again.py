from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest

from etl.balance import Tally
from etl.errors import CheckpointError, RowError, SchemaDriftError
from etl.formats.ndjson import Ndjson
from etl.model import PROVENANCE_COLUMNS, Schema
from etl.schema_contract import EVOLVE, RESCUE, Survey
from etl.sources.again import Rereader, again_units, is_again, records_of
from etl.sources.again_documents import documents
from tests.numbers_format import Numbers

SYSTEM = ("_source_file", "_source_offset")
N: Schema = {"n": "int64"}


def kept(raw: str | bytes | None, **changes: Any) -> dict[str, Any]:
    """Return a row of a quarantine table."""
    is_text = raw is None or isinstance(raw, str)
    row = {
        "row_id": "0-1",
        "raw": raw if is_text else "shown",
        "raw_bytes": None if is_text else raw,
        "form": "text",
        "context": None,
        "_source_file": "in/a.txt",
        "_source_offset": 10,
        "line": 2,
    }
    return row | changes


def through_json(units: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(units))
    return found


def reread(
    rows: list[dict[str, Any]], format_: Any = None, schema: Schema | None = None, contract: Any = EVOLVE
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], Tally]:
    """Read rows again; return those that are accepted, those that are not, and the counts."""
    format_ = format_ or Numbers()
    tally = Tally()
    reader = Rereader(lambda _: format_, contract)
    reading = reader.read(through_json(again_units(rows)), Survey(schema or N), SYSTEM, tally)
    return reading.rows.collect().to_dicts(), tally.rejected.take().to_dicts(), tally


def test_units_of_rows_read_again_are_told_from_others() -> None:
    assert is_again(again_units())
    assert not is_again({"path": []})


def test_units_take_no_file_from_the_source() -> None:
    units = again_units([kept("n=1")])

    assert (units["path"], units["size_bytes"], units["modified_ns"]) == ([], [], [])


def test_bytes_that_are_no_text_come_back_as_they_were() -> None:
    units = through_json(again_units([kept(b"\xff\x00"), kept("é")]))

    assert [record.raw for record in records_of(units)] == [b"\xff\x00", "é".encode()]


def test_units_that_are_torn_are_refused() -> None:
    with pytest.raises(CheckpointError, match="not those of rows read again"):
        records_of({"again": {"raw": ["n=1"]}})


def test_each_row_keeps_the_place_that_it_had() -> None:
    rows = [
        kept("n=1", _source_file="in/a.txt", _source_offset=70),
        kept("x", _source_file="in/b.txt", _source_offset=5, line=3),
        kept("n=2", _source_file="in/b.txt", _source_offset=0),
        kept("n=3", _source_file=None, _source_offset=None),
    ]

    accepted, refused, tally = reread(rows)

    assert accepted == [
        {"n": 1, "_source_file": "in/a.txt", "_source_offset": 70},
        {"n": 2, "_source_file": "in/b.txt", "_source_offset": 0},
        {"n": 3, "_source_file": None, "_source_offset": None},
    ]
    assert [(row["_source_file"], row["_source_offset"], row["line"]) for row in refused] == [("in/b.txt", 5, 3)]
    assert (refused[0]["raw"], refused[0]["rule"], refused[0]["reason"]) == (b"x", "syntax", "no number")
    assert (tally.counts()["read"], tally.counts()["quarantined"]) == (4, 1)
    assert tally.by_file() == {"in/a.txt": {"read": 1}, "in/b.txt": {"read": 2, "quarantined": 1}}


def test_a_record_that_is_no_row_any_more_is_rejected_and_its_neighbours_are_not() -> None:
    accepted, refused, _ = reread([kept("n=1"), kept("", _source_offset=4), kept("n=2", _source_offset=5)])

    assert [(row["n"], row["_source_offset"]) for row in accepted] == [(1, 10), (2, 5)]
    assert [(row["_source_offset"], row["reason"]) for row in refused] == [(4, "it no longer gives one row")]


def test_a_record_that_is_two_rows_now_is_rejected() -> None:
    accepted, refused, _ = reread([kept("n=1\nn=2"), kept("n=3")])

    assert [row["n"] for row in accepted] == [3]
    assert [row["raw"] for row in refused] == [b"n=1\nn=2"]


def test_a_record_that_spoils_the_whole_is_rejected_alone() -> None:
    accepted, refused, _ = reread([kept("n=1"), kept(b"n=\0", _source_offset=3), kept("n=2")])

    assert [row["n"] for row in accepted] == [1, 2]
    assert [(row["raw"], row["rule"], row["reason"]) for row in refused] == [(b"n=\0", "unreadable_file", "holds NUL")]


def test_nothing_to_read_gives_no_rows() -> None:
    accepted, refused, tally = reread([])

    assert (accepted, refused, tally.counts()["read"]) == ([], [], 0)


def test_json_is_read_in_the_types_of_the_schema() -> None:
    schema: Schema = {"n": "int64", "price": "decimal(10,2)", "on": "date"}

    accepted, refused, _ = reread([kept('{"n": 1, "price": "1.50", "on": "2026-01-02"}', form="json")], schema=schema)

    assert refused == []
    assert {name: str(value) for name, value in accepted[0].items()} == {
        "n": "1",
        "price": "1.50",
        "on": "2026-01-02",
        "_source_file": "in/a.txt",
        "_source_offset": "10",
    }


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ('{"n": "x"}', 'column n: "x" is not int64'),
        ('{"n": 1.5}', "column n: 1.5 is not int64"),
        ('{"n": true}', "column n: true is not int64"),
        ('{"n": 1, "gone": 2}', "no column gone is known any more"),
        ('{"n": 99999999999999999999}', "unexpected value while building Series of type Int64"),
    ],
)
def test_json_that_does_not_fit_is_rejected_alone(raw: str, reason: str) -> None:
    accepted, refused, _ = reread(
        [kept('{"n": 1}', form="json"), kept(raw, form="json"), kept('{"n": 2}', form="json")]
    )

    assert [row["n"] for row in accepted] == [1, 2]
    assert [(row["rule"], row["form"]) for row in refused] == [("type", "json")]
    assert refused[0]["reason"].startswith(reason)


def test_a_column_that_is_gone_and_was_null_loses_nothing() -> None:
    accepted, refused, _ = reread([kept('{"n": 1, "gone": null}', form="json")])

    assert ([row["n"] for row in accepted], refused) == ([1], [])


def test_a_file_that_is_gone_is_rejected_again() -> None:
    accepted, refused, tally = reread([kept(None, form="file", _source_offset=None, line=None)])

    assert accepted == []
    assert [(row["rule"], row["reason"], row["raw"]) for row in refused] == [
        ("unreadable_file", "it is no longer there", None)
    ]
    assert (tally.counts()["read"], tally.counts()["quarantined"]) == (1, 1)


def test_rescued_data_names_the_file_of_each_row() -> None:
    class Rescuing(Numbers):
        def _chunk(self, lines: Any, schema: Schema) -> Any:
            chunk = super()._chunk(lines, schema)
            frame = chunk.frame.with_columns(_rescued_data=pl.lit('{"x": 1}'))
            return type(chunk)(frame, chunk.rows, chunk.locate, chunk.rejects)

    schema: Schema = {"n": "int64", "_rescued_data": "string"}
    rows = [kept("n=1", _source_file="in/a.txt"), kept("n=2", _source_file="in/b.txt")]

    accepted, _, _ = reread(rows, Rescuing(), schema, RESCUE)

    assert [row["_rescued_data"] for row in accepted] == [
        '{"x": 1, "_source_file": "in/a.txt"}',
        '{"x": 1, "_source_file": "in/b.txt"}',
    ]


def test_when_a_file_was_changed_last_is_not_known_of_a_row_read_again() -> None:
    reader = Rereader(lambda _: Numbers(), EVOLVE)
    system = ("_source_file", "_source_modified_at")

    rows = reader.read(again_units([kept("n=1")]), Survey(N), system, Tally()).rows.collect()

    assert rows.to_dicts() == [{"n": 1, "_source_file": "in/a.txt", "_source_modified_at": None}]


def test_text_may_bring_columns_and_says_from_which_file() -> None:
    reader = Rereader(lambda _: Ndjson(), EVOLVE)
    units = again_units([kept('{"n": 1, "new": 2}')])

    with pytest.raises(SchemaDriftError):
        reader.read(units, Survey(N), SYSTEM, Tally()).rows.collect()
    found = reader.survey(units, Survey(N))

    assert found.schema == {"n": "int64", "new": "int64"}
    assert found.origins == {"new": "in/a.txt"}
    rows = reader.read(units, found, (), Tally()).rows.collect()
    assert rows.to_dicts() == [{"n": 1, "new": 2}]


def test_text_may_bring_the_first_columns_of_all() -> None:
    reader = Rereader(lambda _: Ndjson(), EVOLVE)

    assert reader.survey(again_units([kept('{"n": 1}')]), None).schema == N
    assert reader.survey(again_units(), None) == Survey({})


def test_a_contract_that_fails_still_fails() -> None:
    class Failing(Numbers):
        def _chunk(self, lines: Any, schema: Schema) -> Any:
            raise RowError("a new column", where="in/a.txt")

    with pytest.raises(RowError, match="a new column"):
        reread([kept("n=1")], Failing())


class Options:
    """The options of a format with a header."""

    header, delimiter, quote, escape, skip_lines = True, ";", '"', None, 2

    def __init__(self, **changes: Any) -> None:
        for name, value in {"encoding": "utf-8", **changes}.items():
            setattr(self, name, value)


def content(rows: list[dict[str, Any]], options: Options) -> list[bytes]:
    """Return the files in memory that rows become."""
    format_ = Numbers()
    format_.options = options  # type: ignore[attr-defined]
    found = documents(format_, "in/a.csv", records_of(again_units(rows)))
    return [document.opener()[0].open().read() for document in found]


def test_names_of_columns_stand_before_the_records_behind_the_lines_to_skip() -> None:
    rows = [
        kept("1;2", context='{"columns": ["a", "b \\"c\\""]}'),
        kept("3", context='{"columns": ["a", "b \\"c\\""]}'),
    ]

    assert content(rows, Options()) == [b'\n\n"a";"b ""c"""\n1;2\n3\n']
    assert content(rows, Options(escape="\\")) == [b'\n\n"a";"b \\"c\\""\n1;2\n3\n']
    assert content(rows, Options(quote="")) == [b'\n\na;b "c"\n1;2\n3\n']
    assert content(rows, Options(header=False, skip_lines=0)) == [b"1;2\n3\n"]


def test_a_record_with_an_open_quote_or_a_line_end_stands_alone() -> None:
    rows = [kept("1;2"), kept('"x'), kept("3"), kept('"a\nb"')]

    assert content(rows, Options(skip_lines=0)) == [b"1;2\n3\n", b'"x\n', b'"a\nb"\n']


@pytest.mark.parametrize(("codec", "mark"), [("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff")])
def test_utf16_is_written_in_the_order_of_its_bytes(codec: str, mark: bytes) -> None:
    row = kept("ä;2".encode(codec), context='{"columns": ["a", "b"]}')

    assert content([row], Options(encoding="utf-16", skip_lines=0)) == [mark + '"a";"b"\nä;2\n'.encode(codec)]


def test_rows_carry_the_columns_of_provenance_that_are_asked_for() -> None:
    reader = Rereader(lambda _: Numbers(), EVOLVE)

    rows = reader.read(again_units([kept("n=1")]), Survey(N), PROVENANCE_COLUMNS, Tally()).rows

    assert rows.collect_schema().names() == ["n", "_source_file", "_source_offset"]
