"""Rows by key in a table of SQLite or PostgreSQL, with the batch id in the same transaction."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

from etl.errors import ConfigError, FencedError, SinkError
from etl.secrets import register_secret
from etl.sinks.key_value_tables import BATCHES, SqlTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import polars as pl
    from sqlalchemy import URL, Connection, Engine

    from etl.sinks.contract import SinkSite
    from etl.sinks.key_value import KeyedBatch
    from etl.sinks.key_value_options import KeyValueOptions

T = TypeVar("T")
_ROWS_PER_STATEMENT = 5_000
_WAIT_S = 10


class SqlStore:
    """A table of a database; ``_etl_batches`` beside it says which batches it holds."""

    def __init__(self, options: KeyValueOptions, site: SinkSite) -> None:
        self._options = options
        self._site = site
        self._where = site.table
        self._url = self._checked()
        self._table = SqlTable(options, self._where)
        self._engine: Engine | None = None

    def _checked(self) -> URL:
        """Return the URL, with an SQLite file whole. Raises ConfigError."""
        try:
            import sqlalchemy
        except ImportError as exc:
            raise self._lacks("sqlalchemy") from exc
        try:
            url = sqlalchemy.make_url(self._options.url)
        except sqlalchemy.exc.ArgumentError as exc:
            raise ConfigError(
                "`url` is not that of a database",
                where=self._where,
                hint="write sqlite:///file.db or postgresql://user:password@host/database",
            ) from exc
        if url.password:
            register_secret(str(url.password))
        if url.get_backend_name() == "sqlite":
            folder = "" if self._site.project is None else str(self._site.project.folder)
            return url.set(database=os.path.join(folder, url.database or ""))
        return url.set(drivername="postgresql+psycopg")

    def _lacks(self, package: str) -> ConfigError:
        return ConfigError(
            f"key_value needs the package {package}",
            where=self._where,
            hint="pip install 'lakehouse-etl[key_value]'",
        )

    def refuse(self, rows: pl.Schema) -> None:
        """Refuse columns that cannot be stored. Raises ConfigError."""
        self._table.refuse(rows)

    def refuse_values(self, frame: pl.DataFrame) -> None:
        """Refuse values that the database would change or reject. Raises SinkError."""
        self._table.refuse_values(frame)

    def held(self, app_id: str) -> int | None:
        """Return the newest batch under a name. Raises SinkError, FencedError."""
        found = self._asked(lambda connection: self._row_of(connection, app_id))
        if found is not None and found.superseded:
            raise FencedError("a full refresh took the place of this checkpoint's batches", where=self._where)
        return None if found is None else int(found.batch_id)

    def claimed(self, pipeline: str) -> int | None:
        """Return the newest batch of a pipeline under any name. Raises SinkError."""
        return self._asked(lambda connection: self._claim_of(connection, pipeline))

    def _asked(self, question: Callable[[Connection], T]) -> T | None:
        """Return the answer of the database, None where it has none of our tables."""
        import sqlalchemy

        if self._is_missing_file():
            return None
        try:
            with self._open().connect().execution_options(only_reads=True) as connection:
                inspector = sqlalchemy.inspect(connection)
                schema = self._table.schema
                if not all(inspector.has_table(name, schema) for name in (BATCHES, self._table.name)):
                    return None
                return question(connection)
        except sqlalchemy.exc.SQLAlchemyError as exc:
            raise self._refusal(exc) from exc

    def _is_missing_file(self) -> bool:
        """Tell whether there is no SQLite file yet, which merely looking must not make."""
        return self._url.get_backend_name() == "sqlite" and not os.path.exists(str(self._url.database))

    def _row_of(self, connection: Connection, app_id: str) -> Any:  # noqa: ANN401  a row of SQLAlchemy
        import sqlalchemy

        batches = self._table.batches()
        of_ours = (batches.c.app_id == app_id) & (batches.c.table_name == self._table.name)
        return connection.execute(sqlalchemy.select(batches).where(of_ours)).first()

    def _claim_of(self, connection: Connection, pipeline: str) -> int | None:
        import sqlalchemy

        batches = self._table.batches()
        ours = (batches.c.pipeline == pipeline) & (batches.c.table_name == self._table.name) & ~batches.c.superseded
        return connection.execute(sqlalchemy.select(sqlalchemy.func.max(batches.c.batch_id)).where(ours)).scalar()

    def apply(self, batch: KeyedBatch) -> None:
        """Carry out a batch in one transaction. *Repeat*: safe. Raises SinkError, FencedError."""
        import sqlalchemy

        seam = self._site.seam
        try:
            with self._open().connect() as connection, connection.begin() as transaction:
                if seam.effect("key_value.write", lambda: self._write(connection, batch)):
                    seam.effect("key_value.commit", transaction.commit)
        except (sqlalchemy.exc.SQLAlchemyError, OSError) as exc:
            if not self._has_landed(batch):
                raise self._refusal(exc) from exc

    def _has_landed(self, batch: KeyedBatch) -> bool:
        """Tell whether a batch is there although the answer was lost. Raises SinkError where nobody can tell."""
        held = self.held(batch.app_id)
        return held is not None and held >= batch.batch_id

    def _write(self, connection: Connection, batch: KeyedBatch) -> bool:
        """Write the batch id, then the rows; tell whether the batch was not there before. Raises FencedError."""
        if not self._take(connection, batch):
            return False
        table = self._table.ready(connection, batch.schema)
        if batch.superseded is not None:
            connection.execute(table.delete())
        self._execute(connection, self._table.deletion(table), self._table.keys_of(batch.deletes))
        self._execute(connection, self._table.upsert(table, batch.schema), self._table.rows_of(batch))
        return True

    def _take(self, connection: Connection, batch: KeyedBatch) -> bool:
        """Write the batch id where it is newer than what is there, which locks its row until the end."""
        self._table.make_batches(connection)
        before = self._row_of(connection, batch.app_id)
        if before is not None and before.superseded:
            raise FencedError("a full refresh took the place of this checkpoint's batches", where=self._where)
        if batch.superseded:
            connection.execute(self._table.supersede(batch.superseded))
        return bool(connection.execute(self._table.take(batch, self._site.seam.now().isoformat())).rowcount)

    def _execute(self, connection: Connection, statement: Any, rows: Iterator[list[dict[str, Any]]]) -> None:  # noqa: ANN401
        for some in rows:
            for first in range(0, len(some), _ROWS_PER_STATEMENT):
                connection.execute(statement, some[first : first + _ROWS_PER_STATEMENT])

    def _open(self) -> Engine:
        """Return the engine; SQLite begins a transaction with its first statement, DDL too."""
        if self._engine is None:
            import sqlalchemy

            is_file = self._url.get_backend_name() == "sqlite"
            arguments = {"timeout": _WAIT_S} if is_file else {"connect_timeout": _WAIT_S}
            try:
                self._engine = sqlalchemy.create_engine(
                    self._url, connect_args=arguments, poolclass=sqlalchemy.NullPool, hide_parameters=True
                )
            except ImportError as exc:
                raise self._lacks("psycopg") from exc
            if is_file:
                sqlalchemy.event.listen(self._engine, "connect", _without_implicit_transactions)
                sqlalchemy.event.listen(self._engine, "begin", _begin)
        return self._engine

    def _refusal(self, exc: Exception) -> SinkError:
        cause = getattr(exc, "orig", None) or exc
        told = " ".join(str(cause).split()) or type(cause).__name__
        return SinkError(
            f"{self._url.render_as_string(hide_password=True)}: {told[:300]}",
            where=self._where,
            hint="look at the server and the rights of the user, then run again: the batch is applied once",
        )


def _without_implicit_transactions(connection: Any, _record: object) -> None:  # noqa: ANN401  of the driver
    connection.isolation_level = None


def _begin(connection: Connection) -> None:
    only_reads = connection.get_execution_options().get("only_reads")
    connection.exec_driver_sql("BEGIN" if only_reads else "BEGIN IMMEDIATE")  # else two writers may wait for each other
