"""The same rows of JSON in any batches and files give the same rows, rejects and schema."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import SchemaDriftError
from etl.formats.contract import Chunk, FileOpener
from etl.formats.ndjson import Ndjson
from etl.schema_contract import EVOLVE, RESCUED, SchemaContract, Survey
from etl.widening import fold

VALUES = (
    *("null", "1", "-7", "1.5", "-0.0", "9007199254740992", "9007199254740993", "1152921504606846976"),
    *("9223372036854775808", "10000000000000000000", "1e400", "NaN", '"x"', '"2024-01-01"', "true", '"\\ud800"'),
    *("{}", '{"p":1}', '{"p":1.5}', '{"p":"x","q":null}', '{"q":9007199254740993}', '{"p":{"r":[]}}', '{"p":1,"p":2}'),
    *("[]", "[null]", "[1]", "[1.5,null]", "[9007199254740993,1.5]", "[1,9007199254740993]", '["x"]', '[{"p":1},null]'),
    *('[{"p":1.5,"z":1}]', "[[1]]", '[1,"x"]', "[{}]"),
)
rows = st.one_of(
    st.lists(
        st.tuples(st.sampled_from("abu"), st.sampled_from(VALUES)), max_size=3, unique_by=lambda pair: pair[0]
    ).map(lambda pairs: "{" + ", ".join(f'"{name}": {value}' for name, value in pairs) + "}"),
    st.sampled_from(["null", '{"a":1}{"a":2}', '{"a":', '{"s":{"x":1}}', '{"s":{"x":"y","n":1}}', '{"s":{"x":1.5}}']),
)
RULES = dict.fromkeys(["type", "new_column", "missing_column"], "contract")
"""Which of them a row breaks that breaks several, depends on what is known by then."""


class Ingest:
    """A source in small: surveys and reads batch after batch, as the engine does."""

    def __init__(self, contract: SchemaContract, known: Survey | None, chunk_bytes: int) -> None:
        self.contract = contract
        self.known = known
        self.chunk_bytes = chunk_bytes
        self.fates: list[Any] = []

    def batch(self, files: list[list[str]]) -> None:
        if self.known is None:
            self._survey(files)
        for _ in range(3):
            try:
                chunks = self._read(files)
            except SchemaDriftError:
                self._survey(files)
            else:
                break
        else:
            raise AssertionError("the schema drifts for ever")
        for lines, found in zip(files, chunks, strict=True):
            self._note(lines, found)

    def _survey(self, files: list[list[str]]) -> None:
        form = Ndjson(contract=self.contract)
        before, known = self.known, self.known
        for lines in files:
            found = form.survey(self._file(lines), before)
            folded = found if known is None else fold(known, found, self.contract)
            known = form.survey(self._file(lines), known) if folded is None else folded
        self.known = known

    def _read(self, files: list[list[str]]) -> list[list[Chunk]]:
        assert self.known is not None
        form, schema, wide = Ndjson(contract=self.contract), self.known.schema, self.known.wide
        tasks = [list(form.tasks(self._file(lines), schema, wide)) for lines in files]
        return [[chunk for task in each for chunk in task()] for each in tasks]

    def _note(self, lines: list[str], chunks: list[Chunk]) -> None:
        assert self.known is not None
        fates: dict[int, Any] = {}
        for chunk in chunks:
            self.known = Survey(self.known.schema, self.known.wide | chunk.wide)
            for offset, row in zip(chunk.offsets.to_list(), chunk.frame.to_dicts(), strict=True):
                fates[offset] = pruned(row)
            if chunk.rejects is not None:
                for offset, raw, rule in chunk.rejects.select("_source_offset", "raw", "rule").rows():
                    assert offset not in fates
                    fates[offset] = (raw, RULES.get(rule, rule))
        assert len(fates) == len(lines)
        self.fates += [fates[offset] for offset in sorted(fates)]

    def _file(self, lines: list[str]) -> FileOpener:
        content = "".join(f"{line}\n" for line in lines).encode()
        return FileOpener("f", len(content), lambda: io.BytesIO(content), chunk_bytes=self.chunk_bytes)


def pruned(value: Any) -> Any:
    """Leave out fields that are null: a batch before the one that brought a field knows nothing of it."""
    if isinstance(value, dict):
        return {name: pruned(below) for name, below in value.items() if below is not None}
    return [pruned(item) for item in value] if isinstance(value, list) else value


def split(lines: list[str], cuts: list[int]) -> list[list[str]]:
    places = sorted({0, len(lines), *(cut % (len(lines) + 1) for cut in cuts)})
    return [lines[start:end] for start, end in pairwise(places)]


def outcome(ingest: Ingest) -> tuple[Any, ...]:
    assert ingest.known is not None
    return ingest.fates, list(ingest.known.schema.items()), ingest.known.wide


def compare(
    lines: list[str], batches: list[int], files: list[int], bounds: tuple[int, SchemaContract, Survey | None]
) -> None:
    chunk_bytes, contract, known = bounds
    one_by_one = Ingest(contract, known, 100_000)
    for line in lines:
        one_by_one.batch([[line]])
    together = Ingest(contract, known, chunk_bytes)
    for batch in split(lines, batches):
        together.batch(split(batch, files))
    assert outcome(together) == outcome(one_by_one)


cuts = st.lists(st.integers(0, 20), max_size=3)


@settings(max_examples=120, deadline=None)
@given(st.lists(rows, min_size=1, max_size=10), cuts, cuts, st.sampled_from([20, 60, 100_000]))
def test_any_split_gives_the_same_rows_rejects_and_inferred_schema(
    lines: list[str], batches: list[int], files: list[int], chunk_bytes: int
) -> None:
    compare(lines, batches, files, (chunk_bytes, EVOLVE, None))


@pytest.mark.slow
@settings(max_examples=3000, deadline=None)
@given(st.lists(rows, min_size=1, max_size=14), cuts, cuts, st.sampled_from([20, 60, 100_000]))
def test_any_of_many_splits_gives_the_same_rows_rejects_and_inferred_schema(
    lines: list[str], batches: list[int], files: list[int], chunk_bytes: int
) -> None:
    compare(lines, batches, files, (chunk_bytes, EVOLVE, None))


CONTRACTS = [
    SchemaContract(new, change, missing)
    for new in ("evolve", "rescue", "ignore", "quarantine")
    for change in ("widen", "rescue", "quarantine")
    for missing in ("null", "quarantine")
    if (new, missing) != ("evolve", "quarantine")
]


@pytest.mark.parametrize("contract", CONTRACTS, ids=str)
@settings(max_examples=10, deadline=None)
@given(st.lists(rows, min_size=1, max_size=8), cuts, cuts, st.sampled_from([30, 100_000]))
def test_any_split_gives_the_same_under_every_contract(
    contract: SchemaContract, lines: list[str], batches: list[int], files: list[int], chunk_bytes: int
) -> None:
    schema: dict[str, Any] = {"a": "int64", "u": "null", "s": {"struct": {"x": "float64"}}}
    known = Survey(schema | ({RESCUED: "string"} if contract.rescues else {}))
    compare(lines, batches, files, (chunk_bytes, contract, known))


@pytest.mark.slow
@settings(max_examples=2500, deadline=None)
@given(
    st.sampled_from(CONTRACTS),
    st.lists(rows, min_size=1, max_size=10),
    st.tuples(cuts, cuts),
    st.sampled_from([30, 100_000]),
)
def test_any_of_many_splits_gives_the_same_under_every_contract(
    contract: SchemaContract, lines: list[str], splits: tuple[list[int], list[int]], chunk_bytes: int
) -> None:
    schema: dict[str, Any] = {"a": "int64", "u": "null", "s": {"struct": {"x": "float64"}}}
    known = Survey(schema | ({RESCUED: "string"} if contract.rescues else {}))
    compare(lines, *splits, (chunk_bytes, contract, known))
