"""Rows by key in Redis, with the batch id in the same transaction."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from etl.errors import ConfigError, FencedError, SinkError
from etl.row_json import encode_rows
from etl.secrets import MASK, register_secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl
    from redis import Redis
    from redis.client import Pipeline

    from etl.sinks.contract import SinkSite
    from etl.sinks.key_value import KeyedBatch
    from etl.sinks.key_value_options import KeyValueOptions

_WAIT_S, _ANSWER_S = 10, 120
_SCANNED = 10_000
_SUPERSEDED = "superseded"


class RedisStore:
    """Keys ``<table>:<key>``, each a hash of the columns or their JSON; ``<table>:_etl:<app id>`` names the batch."""

    def __init__(self, options: KeyValueOptions, site: SinkSite) -> None:
        self._options = options
        self._seam = site.seam
        self._where = site.table
        self._prefix = f"{options.table}:"
        self._own = f"{self._prefix}_etl:"
        self._client: Redis | None = None
        if password := urlsplit(options.url).password:
            register_secret(password)

    def refuse(self, rows: pl.Schema) -> None:
        """Refuse nothing: every value has a text."""

    def refuse_values(self, frame: pl.DataFrame) -> None:
        """Refuse nothing: every value has a text."""

    def held(self, app_id: str) -> int | None:
        """Return the newest batch under a name. Raises SinkError, FencedError."""
        return self._number(self._get(f"{self._own}{app_id}"))

    def claimed(self, pipeline: str) -> int | None:
        """Return the newest batch of a pipeline under any name. Raises SinkError."""
        found = self._get(f"{self._own}claim:{pipeline}")
        return None if found is None else int(found)

    def _get(self, key: str) -> str | None:
        import redis

        try:
            found = self._open().get(key)
        except redis.RedisError as exc:
            raise self._refusal(exc) from exc
        return None if found is None else str(found)

    def _number(self, found: str | None) -> int | None:
        if found == _SUPERSEDED:
            raise FencedError("a full refresh took the place of this checkpoint's batches", where=self._where)
        return None if found is None else int(found)

    def apply(self, batch: KeyedBatch) -> None:
        """Carry out a batch in one MULTI. *Repeat*: safe. Raises SinkError, FencedError."""
        import redis

        try:
            with self._open().pipeline(transaction=True) as pipe:
                if self._queue(pipe, batch):
                    self._seam.effect("key_value.commit", pipe.execute)
        except (redis.RedisError, OSError) as exc:
            held = self.held(batch.app_id)  # the answer may be lost, and the batch there
            if held is None or held < batch.batch_id:
                raise self._refusal(exc) from exc

    def _queue(self, pipe: Pipeline, batch: KeyedBatch) -> bool:
        """Put the commands of a batch behind MULTI; tell whether it is not there yet.

        Its batch key is watched: where another runner is faster, nothing is carried out.
        """
        own = f"{self._own}{batch.app_id}"
        pipe.watch(own)  # type: ignore[no-untyped-call]
        found: Any = pipe.get(own)
        held = self._number(found)
        if held is not None and held >= batch.batch_id:
            return False
        gone = [] if batch.superseded is None else list(self._all_keys())
        newer = self._newer(batch)
        pipe.multi()
        for first in range(0, len(gone), _SCANNED):
            pipe.delete(*gone[first : first + _SCANNED])
        for app_id in batch.superseded or ():
            pipe.set(f"{self._own}{app_id}", _SUPERSEDED)
        for key in self._keys(batch.deletes):
            if key not in newer:
                pipe.delete(key)
        self._put(pipe, batch, newer)
        pipe.set(own, batch.batch_id)
        pipe.set(f"{self._own}claim:{batch.pipeline}", batch.batch_id)
        return True

    def _put(self, pipe: Pipeline, batch: KeyedBatch, newer: set[str]) -> None:
        """Set every row: as a whole, so that a column that is null now is gone."""
        for key, raw in zip(self._keys(batch.upserts), _documents(batch.upserts), strict=True):
            if key in newer:
                continue
            if self._options.value == "json":
                pipe.set(key, raw)
                continue
            pipe.delete(key)
            pipe.hset(key, mapping={name: _text(value) for name, value in json.loads(raw).items()})

    def _newer(self, batch: KeyedBatch) -> set[str]:
        """Return the keys whose row has a greater sequence than that of the batch."""
        sequence = self._options.sequence_by
        if sequence is None or batch.superseded is not None:
            return set()
        import polars as pl

        both = pl.concat([batch.upserts.select(batch.deletes.columns), batch.deletes])
        keys = list(self._keys(both))
        given = both[sequence]
        asked = self._open().pipeline(transaction=False)
        for key in keys:
            asked.hget(key, sequence)
        found = [None if each is None else json.dumps(each) for each in asked.execute()]
        there = _read(found, given)
        is_newer = there.is_not_null() & (given.is_null() | (given < there).fill_null(value=False))
        return {key for key, is_so in zip(keys, is_newer, strict=True) if is_so}

    def _keys(self, frame: pl.DataFrame) -> Iterator[str]:
        """Return the key of every row; within a part of one, ``%`` and ``:`` are written ``%25`` and ``%3A``."""
        import polars as pl

        names = self._options.primary_key
        parts = [
            pl.Series([_text(value) for value in _values(frame[name])], dtype=pl.String)
            .str.replace_all("%", "%25", literal=True)
            .str.replace_all(":", "%3A", literal=True)
            for name in names
        ]
        keys = pl.DataFrame({str(number): part for number, part in enumerate(parts)})
        joined = keys.select(pl.concat_str(pl.lit(self._prefix), pl.concat_str(pl.all(), separator=":"))).to_series()
        return iter(joined.to_list())

    def _all_keys(self) -> Iterator[str]:
        """Return the keys of all rows."""
        pattern = "".join(f"\\{letter}" if letter in "*?[]\\^-" else letter for letter in self._prefix)
        for key in self._open().scan_iter(match=f"{pattern}*", count=_SCANNED):
            if not str(key).startswith(self._own):
                yield str(key)

    def _open(self) -> Redis:
        if self._client is None:
            try:
                import redis
            except ImportError as exc:
                raise ConfigError(
                    "key_value needs the package redis",
                    where=self._where,
                    hint="pip install 'lakehouse-etl[key_value]'",
                ) from exc
            try:
                self._client = redis.Redis.from_url(
                    self._options.url, decode_responses=True, socket_timeout=_ANSWER_S, socket_connect_timeout=_WAIT_S
                )
            except ValueError as exc:
                raise ConfigError(f"`url` is not that of a Redis: {exc}", where=self._where) from exc
        return self._client

    def _refusal(self, exc: Exception) -> SinkError:
        parts = urlsplit(self._options.url)
        host = parts.netloc.rpartition("@")[2]
        shown = parts._replace(netloc=f"{MASK}@{host}" if "@" in parts.netloc else host).geturl()
        return SinkError(
            f"{shown}: {' '.join(str(exc).split())[:300] or type(exc).__name__}",
            where=self._where,
            hint="look at the server, then run again: the batch is applied once",
        )


def _documents(frame: pl.DataFrame) -> Iterator[str]:
    """Return each row as a JSON object, without what is null."""
    import polars as pl

    if not frame.height:
        return iter(())
    return (raw.decode() for raw in encode_rows(frame.select(pl.struct(pl.all()).alias("row"))["row"]))


def _values(column: pl.Series) -> list[Any]:
    """Return the values of a column as JSON has them."""
    import polars as pl

    rows: Any = (
        encode_rows(column.to_frame("value").select(pl.struct("value").alias("row"))["row"]) if column.len() else []
    )
    return [json.loads(raw).get("value") for raw in rows]


def _text(value: Any) -> str:  # noqa: ANN401  a JSON value
    """Return a value as a field of a hash holds it: text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _read(texts: list[str | None], like: pl.Series) -> pl.Series:
    """Return fields of hashes as values of the type of ``like``; what is none of it counts as null."""
    import polars as pl

    plain = pl.Series([None if text is None else json.loads(text) for text in texts], dtype=pl.String)
    if isinstance(like.dtype, pl.Datetime):
        return plain.str.to_datetime(time_unit="us", time_zone=like.dtype.time_zone, strict=False)
    if isinstance(like.dtype, pl.Date):
        return plain.str.to_date(strict=False)
    if isinstance(like.dtype, pl.Time):
        return plain.str.to_time(strict=False)
    return plain.cast(like.dtype, strict=False)
