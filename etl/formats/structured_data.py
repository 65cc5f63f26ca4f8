"""Structured data of RFC 5424 (``[id name="value"]``) as a list of elements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.formats.log_patterns import SD_ELEMENT, SD_ID, SD_PARAM, SD_PARAM_NAMED

if TYPE_CHECKING:
    import polars as pl

    from etl.model import TypeTree

STRUCTURED_DATA: TypeTree = {
    "list": {"struct": {"id": "string", "params": {"list": {"struct": {"name": "string", "value": "string"}}}}}
}
"""Its type: names may come twice and order counts, so that no struct with a field per name could hold it."""

_ESCAPED = r'\\(["\\\]])'


def structured(texts: pl.Series) -> pl.Series:
    r"""Return structured data as ``STRUCTURED_DATA``; null for null and ``-``.

    Of escapes ``\"``, ``\\`` and ``\]`` are read; any other backslash stands for itself, as the RFC has it.
    """
    import polars as pl

    present = texts.to_frame("text").select(pl.when(pl.col("text") != "-").then(pl.col("text"))).to_series()
    elements = present.str.extract_all(SD_ELEMENT)
    texts_of_elements = _flat(elements)
    params = texts_of_elements.str.extract_all(SD_PARAM)
    pairs = _flat(params).alias("pair").to_frame().select(pl.col("pair").str.extract_groups(SD_PARAM_NAMED))
    pairs = pairs.unnest("pair").with_columns(pl.col("value").str.replace_all(_ESCAPED, "${1}"))
    inner = pl.DataFrame(
        [
            texts_of_elements.str.extract(SD_ID).alias("id"),
            _listed(pairs.to_struct("pair"), params.list.len()).alias("params"),
        ]
    )
    return _listed(inner.to_struct("element"), elements.list.len()).alias("structured_data")


def _flat(lists: pl.Series) -> pl.Series:
    """Return the items of all lists, one after the other."""
    return lists.drop_nulls().explode(empty_as_null=False)


def _listed(items: pl.Series, lengths: pl.Series) -> pl.Series:
    """Return ``items`` as lists of these lengths; null where the length is."""
    import polars as pl
    import pyarrow as pa

    ends = lengths.fill_null(0).cast(pl.Int64).cum_sum()
    starts = pl.concat([pl.Series([0], dtype=pl.Int64), ends.cast(pl.Int64)])
    mask = lengths.is_null().to_arrow()
    lists = pa.LargeListArray.from_arrays(pa.array(starts.to_arrow(), pa.int64()), items.to_arrow(), mask=mask)
    return pl.Series(lists)
