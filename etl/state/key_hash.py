"""The hash that state is sorted by: our own, the same for ever, on every machine and in every version.

Values that are equal have equal hashes, whatever the width of their type: so a key may become a wider one without any
file being written anew. Golden values stand in the tests; a change of any would need another name in the records.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    Hashes = npt.NDArray[np.uint64]
    Numbers = npt.NDArray[np.int64]

NAME = "etl-1"
_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_NULL, _NUMBER, _FLOAT, _TEXT = 0x6E756C6C, 0x6E756D62, 0x666C6F74, 0xD6E8FEB86659FD93
_NAN = 0x7FF8000000000000
_LONG = 256
"""Texts of more bytes are hashed one by one: a step for every eight bytes of the longest would take longer."""
_CHUNK = 1 << 15
"""Texts that are hashed together: as many as keep all that is done to them in the cache of a core."""


def hash_keys(keys: pl.DataFrame, names: Sequence[str], bits: int = 64) -> Hashes:
    """Return a hash for each row over the columns ``names``, in order; the same one everywhere where there are none.

    ``bits`` says how many of them count: with few, different keys meet.
    """
    import numpy as np

    found = np.full(keys.height, _GOLDEN, np.uint64)
    for name in names:
        found += np.uint64(_GOLDEN)
        found ^= _hash_column(keys.get_column(name))
        _mix(found)
    return found if bits == 64 else found >> np.uint64(64 - bits) << np.uint64(64 - bits)  # noqa: PLR2004


def order_of(hashes: Hashes) -> Numbers:
    """Return the order that sorts hashes; equal ones keep theirs.

    By two pieces of 16 bits, which numpy sorts in linear time; what is left out of place after that costs next to
    nothing. Three times as fast as sorting the whole hashes.
    """
    import numpy as np

    order = np.argsort((hashes >> np.uint64(32)).astype(np.uint16), kind="stable")
    order = order[np.argsort((hashes >> np.uint64(48)).astype(np.uint16)[order], kind="stable")]
    return order[np.argsort(hashes[order], kind="stable")]


def _mix(words: Hashes) -> None:
    """Spread every bit over all others, in place. *Source*: splitmix64, Stafford's thirteenth variant."""
    import numpy as np

    words ^= words >> np.uint64(30)
    words *= np.uint64(_FIRST)
    words ^= words >> np.uint64(27)
    words *= np.uint64(_SECOND)
    words ^= words >> np.uint64(31)


def _hash_column(column: pl.Series) -> Hashes:
    import numpy as np
    import polars as pl

    if column.dtype == pl.Null:
        return np.full(len(column), _NULL, np.uint64)
    if isinstance(column.dtype, pl.Decimal):
        text = column.cast(pl.String)
        column = text.str.strip_chars_end("0").str.strip_chars_end(".") if column.dtype.scale else text
    found = _hash_texts(column) if column.dtype in (pl.String, pl.Binary) else _words(column)
    if column.null_count():
        found[column.is_null().to_numpy()] = _NULL
    return found


def _words(column: pl.Series) -> Hashes:
    """Return numbers, moments and truths as 64 bits, alike for equal values of any width."""
    import numpy as np
    import polars as pl

    if column.dtype.is_float():
        column = column.cast(pl.Float64).fill_null(0.0)
        floats: npt.NDArray[np.float64] = column.to_numpy() + 0.0  # the zero that has a sign becomes the other
        words = floats.view(np.uint64)
        words[np.isnan(floats)] = _NAN
        words += np.uint64(_FLOAT)
        return words
    if isinstance(column.dtype, pl.Datetime):
        column = column.dt.epoch("us")
    physical = column.to_physical()
    wide = physical.cast(pl.UInt64 if physical.dtype.is_unsigned_integer() else pl.Int64).fill_null(0)
    return wide.to_numpy().view(np.uint64) + np.uint64(_NUMBER)


def _hash_texts(column: pl.Series) -> Hashes:
    import numpy as np

    content, starts, lengths = _bytes_of(column)
    words = np.ndarray((len(content) - 7,), "<u8", content, strides=(1,))  # at every byte the eight from there on
    found: Hashes = lengths.astype(np.uint64) * np.uint64(_TEXT)
    is_long = lengths > _LONG
    for row in np.flatnonzero(is_long):
        text = content[starts[row] : starts[row] + lengths[row]].tobytes()
        found[row] = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
    short = np.where(is_long, 0, lengths)
    for begin in range(0, len(found), _CHUNK):
        rows = slice(begin, begin + _CHUNK)
        _add_words(found[rows], words, starts[rows], short[rows])
    return found


def _add_words(found: Hashes, words: Hashes, starts: Numbers, lengths: Numbers) -> None:
    """Take the bytes of texts into their hashes, in place: first the words that all of them have, then the others."""
    import numpy as np

    done = 0
    while done + 8 <= lengths.min():
        _add_word(found, words[starts + done])
        done += 8
    rows = np.flatnonzero(lengths > done)
    while rows.size:
        left = lengths[rows] - done
        spare = np.maximum(8 - left, 0).astype(np.uint64) * np.uint64(8)
        hashes = found[rows]
        _add_word(hashes, words[starts[rows] + done] << spare)
        found[rows] = hashes
        rows, done = rows[left > 8], done + 8  # noqa: PLR2004


def _add_word(hashes: Hashes, words: Hashes) -> None:
    import numpy as np

    hashes ^= words
    hashes *= np.uint64(_GOLDEN)
    hashes ^= hashes >> np.uint64(32)


def _bytes_of(column: pl.Series) -> tuple[npt.NDArray[np.uint8], Numbers, Numbers]:
    """Return the bytes of all values, eight more, and where each value starts and how long it is; null has none."""
    import numpy as np
    import polars as pl

    array = column.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, content = array.buffers()
    ends = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    first, last = (int(ends[0]), int(ends[-1])) if len(ends) else (0, 0)
    flat = np.zeros(last - first + 8, np.uint8)
    if content is not None:
        flat[:-8] = np.frombuffer(content, np.uint8)[first:last]
    lengths = np.diff(ends)
    if column.null_count():
        lengths[column.is_null().to_numpy()] = 0
    return flat, ends[:-1] - first, lengths
