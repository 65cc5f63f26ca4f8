"""What every source keeps, whatever it reads from."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from deltalake import write_deltalake

from etl.balance import Tally
from etl.model import PlannedInput, ReadLimit
from etl.schema_contract import Survey
from etl.sources.again import again_units
from etl.sources.contract import Source, SourceSite
from etl.sources.delta_options import DeltaSourceOptions
from etl.sources.delta_source import DeltaSource
from etl.sources.file_options import FileOptions
from etl.sources.files import FileSource
from etl.sources.log_options import LogOptions
from etl.sources.log_source import LogSource
from etl.storage import LocalStorage, object_store_options, open_filesystem
from etl.testing import ManualClock, MemorySource
from tests.servers import S3Bucket


@dataclass(frozen=True, slots=True)
class Setup:
    """A source that can be opened anew over the same input and ledger, and fed one unit of ids at a time.

    ``first_unit`` is the least that it takes of the ids 1, 2 and 3.
    """

    open: Callable[[], Source]
    add: Callable[[int, list[int]], None]
    first_unit: tuple[int, ...] = (1, 2, 3)


def file_setup(root: Path) -> Setup:
    (root / "in").mkdir()

    def add(number: int, ids: list[int]) -> None:
        (root / "in" / f"{number}.jsonl").write_text("".join(f'{{"id": {each}}}\n' for each in ids))

    clock = ManualClock()
    site = SourceSite("s", root, LocalStorage(root / "ledger", clock), clock)
    return Setup(lambda: FileSource(FileOptions(path="in", order="name"), None, site), add)


def object_setup(root: Path, bucket: S3Bucket) -> Setup:
    filesystem, name = open_filesystem(bucket.url, bucket.options)

    def add(number: int, ids: list[int]) -> None:
        filesystem.pipe_file(f"{name}/in/{number}.jsonl", "".join(f'{{"id": {each}}}\n' for each in ids).encode())

    clock = ManualClock()
    site = SourceSite("s", root, LocalStorage(root / "ledger", clock), clock, bucket.storage_options)
    return Setup(lambda: FileSource(FileOptions(path=f"{bucket.url}/in", order="name"), None, site), add)


def log_setup(root: Path) -> Setup:
    (root / "in").mkdir()

    def add(number: int, ids: list[int]) -> None:
        (root / "in" / f"{number}.log").write_text("".join(f'{{"id": {each}}}\n' for each in ids))

    clock = ManualClock()
    site = SourceSite("s", root, LocalStorage(root / "ledger", clock), clock)
    return Setup(lambda: LogSource(LogOptions(path="in", format="ndjson"), None, site), add, (1,))


def delta_setup(root: Path) -> Setup:
    def add(_: int, ids: list[int]) -> None:
        write_deltalake(root / "table", pl.DataFrame({"id": ids}), mode="append")

    clock = ManualClock()
    site = SourceSite("s", root, LocalStorage(root / "ledger", clock), clock)
    return Setup(lambda: DeltaSource(DeltaSourceOptions(path="table"), None, site), add)


def delta_object_setup(root: Path, bucket: S3Bucket) -> Setup:
    def add(_: int, ids: list[int]) -> None:
        options = object_store_options("s3", bucket.options)
        write_deltalake(f"{bucket.url}/table", pl.DataFrame({"id": ids}), mode="append", storage_options=options)

    clock = ManualClock()
    site = SourceSite("s", root, LocalStorage(root / "ledger", clock), clock, bucket.storage_options)
    return Setup(lambda: DeltaSource(DeltaSourceOptions(path=f"{bucket.url}/table"), None, site), add)


def memory_setup() -> Setup:
    source = MemorySource()
    return Setup(lambda: source, lambda _, ids: source.add([{"id": each} for each in ids]))


OBJECTS = [pytest.param(f"{kind} on S3", marks=pytest.mark.s3) for kind in ("files", "delta")]


@pytest.fixture(params=["files", "logs", "delta", "memory", *OBJECTS])
def setup(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Setup]:
    if request.param == "files":
        yield file_setup(tmp_path)
    elif request.param == "logs":
        yield log_setup(tmp_path)
    elif request.param == "delta":
        yield delta_setup(tmp_path)
    elif request.param == "memory":
        yield memory_setup()
    elif request.param == "delta on S3":
        yield delta_object_setup(tmp_path, request.getfixturevalue("s3_bucket"))
    else:
        yield object_setup(tmp_path, request.getfixturevalue("s3_bucket"))


NO_LIMIT = ReadLimit()
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def latest(source: Source, after: PlannedInput | None, limit: ReadLimit = NO_LIMIT) -> PlannedInput:
    planned = source.latest(after.span.end if after else None, limit)
    assert planned is not None
    return planned


def ids(source: Source, planned: PlannedInput) -> list[int]:
    known = source.survey(planned, None, NOW)
    return source.read(planned, known, (), Tally()).rows.collect()["id"].to_list()


def test_nothing_new_is_none(setup: Setup) -> None:
    source = setup.open()
    source.restore([])
    assert source.latest(None, NO_LIMIT) is None


def test_looking_takes_nothing_and_accepting_does(setup: Setup) -> None:
    setup.add(0, [1])
    source = setup.open()
    first = latest(source, None)
    assert latest(source, None) == first
    source.accept(0, first)
    assert source.latest(first.span.end, NO_LIMIT) is None


def test_spans_follow_one_another_and_offsets_are_not_empty(setup: Setup) -> None:
    for number in range(3):
        setup.add(number, [number])
    source = setup.open()
    plans: list[PlannedInput] = []
    for batch_id in range(3):
        plans.append(latest(source, plans[-1] if plans else None, ReadLimit(max_files=1)))
        source.accept(batch_id, plans[-1])
    assert [plan.span.start for plan in plans] == [None, plans[0].span.end, plans[1].span.end]
    assert all(plan.span.end for plan in plans)
    assert [each for plan in plans for each in ids(source, plan)] == [0, 1, 2]


def test_at_least_one_unit_is_taken(setup: Setup) -> None:
    setup.add(0, [1, 2, 3])
    source = setup.open()
    assert ids(source, latest(source, None, ReadLimit(max_files=1, max_bytes=1))) == [*setup.first_unit]


def test_reading_again_gives_the_same_rows_each_counted_as_read(setup: Setup) -> None:
    setup.add(0, [1, 2])
    setup.add(1, [3])
    source = setup.open()
    planned = latest(source, None)
    known = source.survey(planned, None, NOW)
    assert known == Survey({"id": "int64"})
    for _ in range(2):
        tally = Tally()
        reading = source.read(planned, known, ("_source_file", "_source_offset", "_source_modified_at"), tally)
        frame = reading.rows.collect()
        assert frame["id"].to_list() == [1, 2, 3]
        assert frame.columns == ["id", "_source_file", "_source_offset", "_source_modified_at"]
        assert frame.schema["_source_offset"] == pl.Int64
        assert frame.schema["_source_modified_at"] == pl.Datetime("us", "UTC")
        assert tally.counts()["read"] == 3


def test_a_restored_source_goes_on_where_the_plans_end_and_a_repeated_plan_does_no_harm(setup: Setup) -> None:
    setup.add(0, [1])
    first = latest(setup.open(), None)
    setup.add(1, [2])
    source = setup.open()
    for _ in range(2):
        source.restore([(0, first)])
    second = latest(source, first)
    assert ids(source, second) == [2]


def test_a_source_is_let_go_of_once_its_rows_are_read(setup: Setup) -> None:
    setup.add(0, [1, 2])
    source = setup.open()
    if isinstance(source, MemorySource):
        return  # the setup holds it
    planned = latest(source, None)
    assert ids(source, planned) == [1, 2]
    source.close()
    told = weakref.ref(source)
    del source
    gc.collect()
    assert told() is None


def test_rows_of_the_quarantine_are_read_again_and_are_no_input(setup: Setup) -> None:
    setup.add(0, [1])
    source = setup.open()
    first = latest(source, None)
    source.accept(0, first)
    row = {"row_id": "0-0", "raw": '{"id": 7}', "raw_bytes": None, "form": "text", "context": None, "line": None}
    units = again_units([{**row, "_source_file": "x.jsonl", "_source_offset": 5}])
    again = replace(first, units=units, files=0, size_bytes=0)
    assert ids(source, again) == [7]
    source.acknowledge(1, again)
    anew = setup.open()
    anew.restore([(0, first), (1, again)])
    assert anew.latest(first.span.end, NO_LIMIT) is None
    setup.add(1, [2])
    assert ids(anew, latest(anew, first)) == [2]


def test_acknowledging_and_folding_may_repeat_and_change_nothing_that_is_offered(setup: Setup) -> None:
    setup.add(0, [1])
    source = setup.open()
    planned = latest(source, None)
    source.accept(0, planned)
    for _ in range(2):
        source.acknowledge(0, planned)
        source.fold(0)
    assert source.latest(planned.span.end, NO_LIMIT) is None
    assert source.folded_upto is None or source.folded_upto >= 0
