"""A query over a SQL database as a static table: its rows are known by a hash of all of them."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from etl.errors import ConfigError, MissingTableError, PinChangedError, TransformError
from etl.schema import to_polars
from etl.secrets import register_secret
from etl.transforms.casting import check_cast, exact_cast
from etl.transforms.static_table import TablePlace

if TYPE_CHECKING:
    import polars as pl
    from sqlalchemy import URL, Engine, Select

    from etl.model import Json


class StaticSql:
    """The rows of a ``query``, or of a ``table``, of the database at ``url``; a pin is their number and a hash.

    The rows that were pinned last are kept, so that a batch joins what its plan was made of. Nothing is committed in
    the database.
    """

    def __init__(self, url: str, table: str | None, query: str | None, place: TablePlace) -> None:
        self._place = place
        self._table = table
        self._query = query
        self._url = self._checked(url)
        self._engine: Engine | None = None
        self._read: tuple[Json, pl.DataFrame] | None = None

    def pin(self) -> Json:
        """Read the rows and return their hash. Raises TransformError, ConfigError."""
        return self._fetched()[0]

    def schema(self) -> pl.Schema:
        """Return the columns of the query, which is read for that. Raises TransformError, ConfigError."""
        return self._fetched()[1].schema

    def load(self, pin: Json) -> pl.DataFrame:
        """Return the rows; reads them again where others were read last. Raises PinChangedError where they differ."""
        found, frame = self._read if self._read is not None and self._read[0] == pin else self._fetched()
        if found != pin:
            raise PinChangedError(
                f"the rows of {self._named()} are no longer those that were planned",
                where=self._place.where,
                hint="a database keeps no versions; run again",
            )
        return frame

    def _fetched(self) -> tuple[Json, pl.DataFrame]:
        """Read the rows, and keep them with their pin."""
        frame = self._rows()
        self._read = ({"rows": frame.height, "hash": content_hash(frame)}, frame)
        return self._read

    def _named(self) -> str:
        return f"{self._table or 'the query'} ({self._url.render_as_string(hide_password=True)})"

    def _checked(self, text: str) -> URL:
        """Return the URL, an SQLite file whole. Raises ConfigError."""
        try:
            import sqlalchemy
        except ImportError as exc:
            raise self._refusal("a database needs another package", "pip install 'lakehouse-etl[sql]'") from exc
        try:
            url = sqlalchemy.make_url(text)
        except sqlalchemy.exc.ArgumentError as exc:
            raise self._refusal("`url` is not that of a database", "write sqlite:///file.db, postgresql://…") from exc
        if url.password:
            register_secret(str(url.password))
        if url.get_backend_name() != "sqlite":
            return url
        if url.database in (None, "", ":memory:"):
            raise self._refusal("`url` names no file", "write sqlite:///folder/file.db")
        return url.set(database=self._place.project.url(str(url.database)))

    def _refusal(self, message: str, hint: str) -> ConfigError:
        return ConfigError(message, where=self._place.where, hint=hint)

    def _rows(self) -> pl.DataFrame:
        """Return the rows as they are now. Raises TransformError, ConfigError."""
        import polars as pl
        from polars.exceptions import PolarsError
        from sqlalchemy.exc import SQLAlchemyError

        try:
            found = pl.read_database(self._statement(), self._connected(), infer_schema_length=None)
        except (SQLAlchemyError, PolarsError) as exc:
            reason = str(getattr(exc, "orig", None) or exc).split("\n", 1)[0]
            hint = "look at the query and the database; a column of several types needs a CAST in the query"
            raise TransformError(f"{self._named()}: {reason}", where=self._place.where, hint=hint) from exc
        return found.select(self._typed(found[name]) for name in self._place.chosen(found.columns))

    def _typed(self, values: pl.Series) -> pl.Series:
        """Return a column with its declared type, moments in UTC. Raises TransformError, ConfigError."""
        import polars as pl

        if values.dtype == pl.Object:
            message = f"{values.name} has values of no type that a table keeps"
            raise TransformError(message, where=self._place.where, hint="write CAST(… AS TEXT) in the query")
        kind = to_polars(self._place.declared or {}).get(values.name, values.dtype)
        if isinstance(kind, pl.Datetime):
            kind = pl.Datetime("us", kind.time_zone and "UTC")
        if kind == values.dtype:
            return values
        try:
            check_cast(values.dtype, kind)
        except ConfigError as exc:
            raise ConfigError(f"{values.name}: {exc.message}", where=self._place.where, hint=exc.hint) from exc
        found, is_lost = exact_cast(values, kind)
        if is_lost.any():
            message = f"{values.name}: {values.filter(is_lost)[0]!r} cannot become {kind} unchanged"
            raise TransformError(message, where=self._place.where, hint="correct its type in `schema`, or the query")
        return found

    def _statement(self) -> str | Select[*tuple[Any, ...]]:
        import sqlalchemy

        if self._table is None:
            return str(self._query)
        schema, _, name = self._table.rpartition(".")
        table = sqlalchemy.table(name, schema=schema or None)
        wanted = self._place.wanted
        if wanted is None:
            return sqlalchemy.select(sqlalchemy.text("*")).select_from(table)
        return sqlalchemy.select(*(sqlalchemy.column(each) for each in wanted)).select_from(table)

    def _connected(self) -> Engine:
        """Return the engine, made once; a file of SQLite is opened for reading only. Raises ConfigError."""
        import sqlalchemy
        from sqlalchemy.pool import NullPool

        if self._engine is None:
            url = self._url
            if url.get_backend_name() == "sqlite":
                self._refuse_missing(str(url.database))
                url = url.set(
                    database=f"file:{quote(str(url.database))}", query={**url.query, "mode": "ro", "uri": "true"}
                )
            try:
                self._engine = sqlalchemy.create_engine(url, poolclass=NullPool)
            except (ImportError, sqlalchemy.exc.ArgumentError) as exc:
                raise self._refusal(f"{url.drivername}: {exc}", "install the driver of this database") from exc
        return self._engine

    def _refuse_missing(self, path: str) -> None:
        if not os.path.exists(path):
            raise MissingTableError(path, f"no file {path}", where=self._place.where, hint="correct the url")


def content_hash(frame: pl.DataFrame) -> str:
    """Return a hash of the rows, in whatever order they are, and of their types."""
    digest = hashlib.blake2b(repr(frame.schema).encode(), digest_size=16)
    digest.update(frame.hash_rows(seed=0).sort().to_numpy().tobytes())
    return digest.hexdigest()
