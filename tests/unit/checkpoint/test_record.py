"""A record is read back as it was written, or refused: no damage makes another record of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from etl.checkpoint.record import Record, TornRecordError, _digest, decode_record, encode_record
from etl.errors import CheckpointError

RECORD = Record(
    "plan", "p-1", 7, 3, "a1", {"text": 'é "quoted",\n "checksum": "0"}', "number": 1.5, "none": None, "list": [1, {}]}
)
WRITTEN = """{
 "version": 4,
 "kind": "plan",
 "pipeline": "p-1",
 "batch_id": 7,
 "epoch": 3,
 "attempt": "a1",
 "body": {
  "end": 2},
 "checksum": "c0683bc97bddd4fb7735325922af7707"}
"""


def decode(content: bytes, kind: str = "plan", pipeline: str | None = "p-1") -> Record:
    return decode_record(content, kind=kind, pipeline=pipeline, where="offsets/7.json")


def resealed(text: str) -> bytes:
    """Return the text of a record with another content and the checksum that fits it."""
    body = text.rpartition(',\n "checksum"')[0]
    return f'{body},\n "checksum": "{_digest(body)}"}}\n'.encode()


def test_record_is_read_back_as_it_was_written() -> None:
    assert decode(encode_record(RECORD)) == RECORD


def test_record_without_a_batch_is_read_back_as_it_was_written() -> None:
    record = replace(RECORD, kind="pipeline", batch_id=None)
    assert decode(encode_record(record), kind="pipeline", pipeline=None) == record


def test_record_is_one_key_a_line_with_the_checksum_last() -> None:
    content = encode_record(replace(RECORD, body={"end": 2}))
    assert content.decode() == WRITTEN


def test_long_list_stands_on_one_line_and_is_read_back_as_it_was_written() -> None:
    record = replace(RECORD, body={"paths": [f"in/{number}.ndjson" for number in range(10_000)]})
    content = encode_record(record)
    assert content.count(b"\n") == 10
    assert decode(content) == record


def test_record_cut_off_at_any_byte_is_torn() -> None:
    content = encode_record(RECORD)
    for length in range(len(content)):
        with pytest.raises(TornRecordError, match="its checksum does not hold"):
            decode(content[:length])


@pytest.mark.parametrize("bit", [0x01, 0x20, 0x80])
def test_record_with_a_bit_flipped_in_any_byte_is_torn(bit: int) -> None:
    content = encode_record(RECORD)
    for index in range(len(content)):
        damaged = bytearray(content)
        damaged[index] ^= bit
        with pytest.raises(TornRecordError):
            decode(bytes(damaged))


def test_record_with_its_tail_zeroed_from_any_byte_is_torn() -> None:
    content = encode_record(RECORD)
    for index in range(len(content)):
        with pytest.raises(TornRecordError):
            decode(content[:index] + b"\0" * (len(content) - index))


@pytest.mark.parametrize("damage", ["twice", "space", "other JSON", "list"])
def test_record_with_something_added_is_torn(damage: str) -> None:
    content = encode_record(RECORD)
    damaged = {"twice": content * 2, "space": content + b" ", "other JSON": b'{"version": 1}\n', "list": b"[1]\n"}
    with pytest.raises(TornRecordError) as caught:
        decode(damaged[damage])
    assert caught.value.where == "offsets/7.json"
    assert caught.value.hint == "restore it from a copy of the checkpoint folder; nothing was changed"


def test_record_of_another_format_version_is_refused() -> None:
    content = encode_record(RECORD).decode().replace('"version": 4', '"version": 6')
    with pytest.raises(CheckpointError, match="written by format version 6; this release reads 1, 2, 3, 4, 5"):
        decode(resealed(content))


def test_record_without_a_format_version_is_refused() -> None:
    content = encode_record(RECORD).decode().replace('"version": 4', '"release": 4')
    with pytest.raises(CheckpointError, match="written by format version None"):
        decode(resealed(content))


def test_record_of_another_kind_is_refused() -> None:
    with pytest.raises(CheckpointError, match="is a plan, not a commit"):
        decode(encode_record(RECORD), kind="commit")


def test_record_of_another_pipeline_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"belongs to another pipeline \(p-1, not p-2\)") as caught:
        decode(encode_record(RECORD), pipeline="p-2")
    assert "give each its own" in caught.value.hint


def test_record_of_any_pipeline_is_read_when_none_is_asked_for() -> None:
    assert decode(encode_record(RECORD), pipeline=None).pipeline == "p-1"
