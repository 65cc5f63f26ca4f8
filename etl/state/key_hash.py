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

NAME = "etl-1"
_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_NULL, _NUMBER, _FLOAT, _TEXT = 0x6E756C6C, 0x6E756D62, 0x666C6F74, 0x74657874
_NAN = 0x7FF8000000000000
_LONG = 256
"""Texts of more bytes are hashed one by one: a step for every eight bytes of the longest would take longer."""


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
    if column.dtype in (pl.String, pl.Binary):
        found = _hash_texts(column)
    else:
        found = _words(column)
        _mix(found)
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
    found = lengths.astype(np.uint64) + np.uint64(_TEXT)
    _mix(found)
    is_long = lengths > _LONG
    rows, done = np.flatnonzero((lengths > 0) & ~is_long), 0
    while rows.size:
        left = lengths[rows] - done
        spare = np.maximum(8 - left, 0).astype(np.uint64) * np.uint64(8)
        hashes = found[rows] ^ (words[starts[rows] + done] << spare)
        _mix(hashes)
        found[rows] = hashes
        rows, done = rows[left > 8], done + 8  # noqa: PLR2004
    for row in np.flatnonzero(is_long):
        text = content[starts[row] : starts[row] + lengths[row]].tobytes()
        found[row] = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
    return found


def _bytes_of(column: pl.Series) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
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
