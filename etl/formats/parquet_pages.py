"""The page headers of a Parquet file, looked at before a library that trusts them does."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, TypeAlias

Fields: TypeAlias = "dict[int, Any]"

_CODECS = (0, 1, 6)
"""None, Snappy and Zstandard. Polars does not look at the checksum of gzip, pyarrow does."""
_FOOTER_SHARE = 50
"""A file of which so small a part is footer is worth the look."""
_TAIL_BYTES = 8

_GROUPS, _CHUNKS, _GROUP_ROWS, _OF_CHUNK = 4, 1, 3, 3
_PATH, _CODEC, _CHUNK_VALUES, _PLAIN_BYTES, _BYTES, _FIRST_PAGE, _DICTIONARY_PAGE = 3, 4, 5, 6, 7, 9, 11
_DATA, _DICTIONARY, _DATA_2 = 0, 2, 3
_KIND, _SIZE, _COMPRESSED, _OF_DATA, _OF_DICTIONARY, _OF_DATA_2 = 1, 2, 3, 5, 7, 8
_VALUES, _NULLS, _ROWS, _LEVELS, _REPEATS = 1, 2, 3, 5, 6
_TRUE, _FALSE, _BYTE, _NUMBERS, _DOUBLE, _BINARY, _LISTS, _STRUCT = 1, 2, 3, (4, 5, 6), 7, 8, (9, 10), 12


def are_sound(content: bytes, columns: Collection[str]) -> bool:
    """Tell whether the pages of flat columns add up to what the footer says, in a codec that is read safely.

    A negative count in a header ends the process inside Polars, which asks for as much memory, and looking at a
    damaged footer column by column ends it inside pyarrow.
    """
    names = {name.encode() for name in columns}
    size = int.from_bytes(content[-_TAIL_BYTES:-4], "little")
    if not 0 < size * _FOOTER_SHARE <= len(content):
        return False
    try:
        footer, _ = _struct(content, len(content) - _TAIL_BYTES - size)
        return all(_is_sound(content, chunk, rows) for chunk, rows in _chunks(footer, names))
    except (LookupError, ValueError, TypeError, RecursionError):
        return False


def _chunks(footer: Fields, names: Collection[bytes]) -> Iterator[tuple[Fields, int]]:
    for group in footer.get(_GROUPS, ()):
        for column in group[_CHUNKS]:
            chunk: Fields = column[_OF_CHUNK]
            if len(chunk[_PATH]) == 1 and chunk[_PATH][0] in names:
                yield chunk, group[_GROUP_ROWS]


def _is_sound(content: bytes, chunk: Fields, rows: int) -> bool:
    if chunk[_CODEC] not in _CODECS or chunk[_CHUNK_VALUES] != rows:
        return False
    place = chunk.get(_DICTIONARY_PAGE) or chunk[_FIRST_PAGE]
    end, left = place + chunk[_BYTES], rows
    if not 0 < place <= end <= len(content):
        return False
    while place < end:
        header, place = _struct(content, place)
        size = header[_COMPRESSED]
        if not (0 <= size <= end - place and 0 <= header[_SIZE] <= chunk[_PLAIN_BYTES]):
            return False
        if header[_KIND] == _DICTIONARY:
            if header[_OF_DICTIONARY][_VALUES] < 0:
                return False
        else:
            values = _values(header, size)
            if not 0 <= values <= left:
                return False
            left -= values
        place += size
    return left == 0


def _values(header: Fields, size: int) -> int:
    """Return how many values a page of data says that it has, -1 where it cannot be."""
    if header[_KIND] == _DATA:
        return int(header[_OF_DATA][_VALUES])
    page: Fields = header[_OF_DATA_2]
    values: int = page[_VALUES]
    is_possible = header[_KIND] == _DATA_2 and 0 <= page[_NULLS] <= values == page[_ROWS] and page[_REPEATS] == 0
    return values if is_possible and 0 <= page[_LEVELS] <= size else -1


def _struct(content: bytes, place: int) -> tuple[Fields, int]:
    """Return the fields of a struct and where it ends. Raises LookupError, ValueError and RecursionError.

    *Source*: Thrift compact protocol.
    """
    found: Fields = {}
    name = 0
    while byte := content[place]:
        place += 1
        if step := byte >> 4:
            name += step
        else:
            name, place = _number(content, place)
        kind = byte & 15
        if kind in (_TRUE, _FALSE):
            found[name] = kind == _TRUE
        else:
            found[name], place = _value(content, place, kind)
    return found, place + 1


def _value(content: bytes, place: int, kind: int) -> tuple[Any, int]:
    if kind in _NUMBERS:
        return _number(content, place)
    if kind == _BINARY:
        length, place = _varint(content, place)
        return content[place : place + length], place + length
    if kind == _STRUCT:
        return _struct(content, place)
    if kind in _LISTS:
        return _list(content, place)
    if kind in (_TRUE, _FALSE, _BYTE):
        return content[place], place + 1
    if kind == _DOUBLE:
        return None, place + 8
    raise ValueError(kind)


def _list(content: bytes, place: int) -> tuple[list[Any], int]:
    count, kind = content[place] >> 4, content[place] & 15
    place += 1
    if count == 15:  # noqa: PLR2004  a longer one has its length behind
        count, place = _varint(content, place)
    items = []
    for _ in range(count):
        item, place = _value(content, place, kind)
        items.append(item)
    return items, place


def _number(content: bytes, place: int) -> tuple[int, int]:
    found, place = _varint(content, place)
    return (found >> 1) ^ -(found & 1), place


def _varint(content: bytes, place: int) -> tuple[int, int]:
    found = shift = 0
    while True:
        byte = content[place]
        place += 1
        found |= (byte & 127) << shift
        if byte < 128:  # noqa: PLR2004  the highest bit says that more follows
            return found, place
        shift += 7
        if shift > 63:  # noqa: PLR2004
            raise ValueError(shift)
