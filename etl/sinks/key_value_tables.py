"""The tables of a ``key_value`` database: their columns, the statements on them, values as the driver takes them."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from etl.errors import ConfigError, SinkError
from etl.schema import decimal_digits, from_polars, is_list, is_struct

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl
    from sqlalchemy import Connection, Table
    from sqlalchemy.types import TypeEngine

    from etl.model import Schema, TypeTree
    from etl.sinks.key_value import KeyedBatch
    from etl.sinks.key_value_options import KeyValueOptions

BATCHES = "_etl_batches"
_ROWS_AT_ONCE = 50_000
_KEY, _SEQUENCE = "etl_key_", "etl_sequence"
_WIDER = {(int, float), (int, Decimal), (float, Decimal)}
"""What a column of PostgreSQL may become when rows of a wider type come."""


class SqlTable:
    """The table of a ``key_value`` sink, and ``_etl_batches`` beside it."""

    def __init__(self, options: KeyValueOptions, where: str) -> None:
        self._options = options
        self._where = where
        self._is_sqlite = options.server == "sqlite"
        schema, _, self.name = options.table.rpartition(".")
        self.schema = schema or None

    def refuse(self, rows: pl.Schema) -> None:
        """Refuse columns that cannot be stored, or put in order. Raises ConfigError."""
        sequence = self._options.sequence_by
        for name, tree in from_polars(rows).items():
            if self._is_sqlite and name == sequence and (tree == "uint64" or _digits(tree) is not None):
                raise ConfigError(
                    f"the sequence_by column {name!r} is {tree}, which SQLite keeps as text and orders as such",
                    where=self._where,
                    hint="cast it to int64, or use a moment",
                )
            if len(name.encode()) > 63:  # noqa: PLR2004  PostgreSQL cuts longer names
                raise ConfigError(f"the column {name!r} has a name longer than 63 bytes", where=self._where)

    def refuse_values(self, frame: pl.DataFrame) -> None:
        """Refuse values that the database would change or reject. Raises SinkError."""
        import polars.selectors as cs

        kind, condition, hint = (
            ("NaN", cs.float().is_nan(), "SQLite keeps NaN as null; use fill_nan in a transform, or say null")
            if self._is_sqlite
            else ("a NUL character", cs.string().str.contains("\0", literal=True), "PostgreSQL keeps no such text")
        )
        told = frame.select(condition.any())
        found = told.row(0, named=True) if told.width else {}
        columns = [name for name, is_there in found.items() if is_there]
        if columns:
            raise SinkError(f"{kind} in {', '.join(columns)}", where=self._where, hint=hint)

    def batches(self) -> Table:
        """Return ``_etl_batches``."""
        import sqlalchemy as sa

        return sa.Table(
            BATCHES,
            sa.MetaData(),
            sa.Column("app_id", sa.Text, primary_key=True),
            sa.Column("table_name", sa.Text, primary_key=True),
            sa.Column("pipeline", sa.Text, nullable=False),
            sa.Column("batch_id", sa.BigInteger, nullable=False),
            sa.Column("superseded", sa.Boolean, nullable=False),
            sa.Column("applied_at", sa.Text, nullable=False),
            schema=self.schema,
        )

    def make_batches(self, connection: Connection) -> None:
        """Make ``_etl_batches`` where it is missing."""
        self.batches().create(connection, checkfirst=True)

    def supersede(self, app_ids: Sequence[str]) -> Any:  # noqa: ANN401  a statement of SQLAlchemy
        """Return the statement after which batches under these names are refused."""
        batches = self.batches()
        return (
            batches.update()
            .where(batches.c.app_id.in_(app_ids) & (batches.c.table_name == self.name))
            .values(superseded=True)
        )

    def take(self, batch: KeyedBatch, at: str) -> Any:  # noqa: ANN401
        """Return the statement that writes a batch id where it is newer than what is there."""
        batches = self.batches()
        row = {
            "app_id": batch.app_id,
            "table_name": self.name,
            "pipeline": batch.pipeline,
            "batch_id": batch.batch_id,
            "superseded": False,
            "applied_at": at,
        }
        statement = self._insert(batches).values(row)
        return statement.on_conflict_do_update(
            index_elements=["app_id", "table_name"],
            set_={"batch_id": statement.excluded.batch_id, "applied_at": statement.excluded.applied_at},
            where=batches.c.batch_id < statement.excluded.batch_id,
        )

    def ready(self, connection: Connection, columns: Schema) -> Table:
        """Return the table with at least these columns; made, or grown, where it is not so. Raises SinkError."""
        import sqlalchemy as sa

        table = self._declared(columns)
        inspector = sa.inspect(connection)
        if not inspector.has_table(self.name, self.schema):
            table.create(connection)
            return table
        there = {column["name"]: column["type"] for column in inspector.get_columns(self.name, self.schema)}
        for column in table.columns:
            if column.name not in there:
                self._alter(connection, table, f"ADD COLUMN {self._spelt(connection, column)}")
            else:
                self._fit(connection, table, column, there[column.name])
        return table

    def _fit(self, connection: Connection, table: Table, column: Any, there: TypeEngine[Any]) -> None:  # noqa: ANN401
        """Widen a column of PostgreSQL; SQLite's take any number. Raises SinkError where the types do not fit."""
        has, wants = there.python_type, column.type.python_type
        if has is wants or (wants, has) in _WIDER:
            return
        if (has, wants) not in _WIDER:
            raise SinkError(
                f"the column {column.name!r} is {there} there, the rows have {column.type}",
                where=self._where,
                hint="cast it in a transform, or alter the table",
            )
        if not self._is_sqlite:
            kind = column.type.compile(connection.dialect)
            name = connection.dialect.identifier_preparer.quote(column.name)
            self._alter(connection, table, f"ALTER COLUMN {name} TYPE {kind}")

    def _alter(self, connection: Connection, table: Table, what: str) -> None:
        name = connection.dialect.identifier_preparer.format_table(table)
        connection.exec_driver_sql(f"ALTER TABLE {name} {what}".replace("%", "%%"))

    def _spelt(self, connection: Connection, column: Any) -> str:  # noqa: ANN401
        from sqlalchemy.schema import CreateColumn

        return str(CreateColumn(column).compile(dialect=connection.dialect))

    def _declared(self, columns: Schema) -> Table:
        import sqlalchemy as sa

        keys = self._options.primary_key
        ordered = [*keys, *(name for name in columns if name not in keys)]
        declared = [
            sa.Column(name, self._type(columns[name]), primary_key=name in keys, autoincrement=False)
            for name in ordered
        ]
        return sa.Table(self.name, sa.MetaData(), *declared, schema=self.schema)

    def _type(self, tree: TypeTree) -> TypeEngine[Any]:
        """Return the type of a column; what SQLite has no exact type for is text there."""
        import sqlalchemy as sa

        digits = _digits(tree)
        if digits is not None or tree == "uint64":
            return sa.Text() if self._is_sqlite else sa.Numeric(*(digits or (20, 0)))
        if is_list(tree) or is_struct(tree):
            return sa.Text()
        simple: dict[Any, TypeEngine[Any]] = {
            "boolean": sa.Boolean(),
            "date": sa.Date(),
            "timestamp": sa.DateTime(),
            "timestamp(UTC)": sa.DateTime(timezone=True),
            "time": sa.Time(),
            "binary": sa.LargeBinary(),
            "float32": sa.Double(),
            "float64": sa.Double(),
        }
        return simple.get(tree, sa.BigInteger() if "int" in str(tree) else sa.Text())

    def upsert(self, table: Table, columns: Schema) -> Any:  # noqa: ANN401
        """Return the statement that brings rows in; one with a smaller sequence than is there does nothing."""
        keys, sequence = self._options.primary_key, self._options.sequence_by
        statement = self._insert(table)
        others = {name: statement.excluded[name] for name in columns if name not in keys}
        if not others:
            return statement.on_conflict_do_nothing(index_elements=keys)
        where = None if sequence is None else self._is_not_older(table.c[sequence], statement.excluded[sequence])
        return statement.on_conflict_do_update(index_elements=keys, set_=others, where=where)

    def deletion(self, table: Table) -> Any:  # noqa: ANN401
        """Return the statement that takes rows out by key; one with a greater sequence stays."""
        import sqlalchemy as sa

        sequence = self._options.sequence_by
        statement = table.delete()
        for number, name in enumerate(self._options.primary_key):
            column = table.c[name]
            statement = statement.where(column == sa.bindparam(f"{_KEY}{number}", type_=column.type))
        if sequence is not None:
            column = table.c[sequence]
            statement = statement.where(self._is_not_older(column, sa.bindparam(_SEQUENCE, type_=column.type)))
        return statement

    def _is_not_older(self, there: Any, given: Any) -> Any:  # noqa: ANN401
        """Return the condition that ``given`` is no older than what is there; null is the oldest, text is bytes."""
        import sqlalchemy as sa

        ordered = there.collate("C") if isinstance(there.type, sa.Text) and not self._is_sqlite else there
        return there.is_(None) | (ordered <= given)

    def rows_of(self, batch: KeyedBatch) -> Iterator[list[dict[str, Any]]]:
        """Yield the rows to be there, some at a time, as the driver takes them."""
        for part in batch.upserts.iter_slices(_ROWS_AT_ONCE):
            yield from ([rows] if (rows := self._plain(part, batch.schema).to_dicts()) else [])

    def keys_of(self, deletes: pl.DataFrame) -> Iterator[list[dict[str, Any]]]:
        """Yield the keys to be gone, some at a time, under the names that ``deletion`` gives them."""
        names = {name: f"{_KEY}{number}" for number, name in enumerate(self._options.primary_key)}
        if self._options.sequence_by is not None:
            names[self._options.sequence_by] = _SEQUENCE
        for part in deletes.iter_slices(_ROWS_AT_ONCE):
            plain = self._plain(part, from_polars(part.schema)).rename(names)
            yield from ([rows] if (rows := plain.to_dicts()) else [])

    def _plain(self, frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
        """Return columns of values that the driver takes: nested ones as JSON, numbers that SQLite lacks as text."""
        import polars as pl

        changed = []
        for name, tree in schema.items():
            if is_list(tree) or is_struct(tree):
                texts = [None if value is None else _json(value) for value in frame[name].to_list()]
                changed.append(pl.Series(name, texts, dtype=pl.String))
            elif self._is_sqlite and (tree == "uint64" or _digits(tree) is not None):
                changed.append(frame[name].cast(pl.String))
        return frame.with_columns(changed)

    def _insert(self, table: Table) -> Any:  # noqa: ANN401
        from sqlalchemy.dialects import postgresql, sqlite

        return sqlite.insert(table) if self._is_sqlite else postgresql.insert(table)


def _digits(tree: TypeTree) -> tuple[int, int] | None:
    """Return precision and scale of a decimal, None for any other type."""
    return decimal_digits(tree) if isinstance(tree, str) else None


def _json(value: Any) -> str:  # noqa: ANN401  a list or struct
    return json.dumps(value, ensure_ascii=False, default=str)
