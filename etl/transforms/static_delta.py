"""Delta tables as static tables: a version is read as long as its files are there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from etl.errors import ConfigError, MissingTableError, PinChangedError, TransformError
from etl.project import PLAIN_RECORDS, scheme_of
from etl.storage import object_store_options, open_filesystem
from etl.transforms.static_table import TablePlace

if TYPE_CHECKING:
    import polars as pl
    from deltalake import DeltaTable

    from etl.model import Json


class StaticDelta:
    """A Delta table, called ``name`` in errors; a pin is its identity and version."""

    def __init__(self, url: str, name: str, place: TablePlace) -> None:
        self._url = url
        self._name = name
        self._place = place
        self._options = object_store_options(scheme_of(url), place.project.options_for(url)) or None

    def pin(self) -> Json:
        """Return the identity of the table and its newest version. Raises MissingTableError, TransformError."""
        table = self._opened()
        return {"delta": str(table.metadata().id), "version": table.version()}

    def schema(self) -> pl.Schema:
        """Return the columns of the newest version. Raises MissingTableError, TransformError, ConfigError."""
        return self._rows(self._opened()).collect_schema()

    def load(self, pin: Json) -> pl.DataFrame:
        """Return the rows of the version. Raises PinChangedError where it was vacuumed or the table replaced."""
        from deltalake.exceptions import DeltaError
        from polars.exceptions import PolarsError

        pinned = cast("dict[str, Any]", pin)
        try:
            table = self._opened(pinned["version"])
            if str(table.metadata().id) == pinned["delta"]:
                return self._rows(table).collect()
        except (DeltaError, PolarsError, OSError, ValueError) as exc:
            reason = str(exc).split("\n", 1)[0]
        else:
            reason = "another table has its place"
        raise self._lost(pinned, reason)

    def _lost(self, pinned: dict[str, Any], reason: str) -> TransformError:
        """Return why a version cannot be read: for good, where there is a newer one, else perhaps for the moment."""
        message = f"version {pinned['version']} of {self._name} cannot be read: {reason}"
        if self.pin() != pinned:
            return PinChangedError(message, where=self._place.where, hint="its files were removed after the plan")
        return TransformError(message, where=self._place.where, hint="look at the table's files")

    def _opened(self, version: int | None = None) -> DeltaTable:
        """Return a version of the table. Raises MissingTableError; for the newest one TransformError."""
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        try:
            return DeltaTable(self._url, version=version, storage_options=self._options)
        except TableNotFoundError as exc:
            self._refuse_plain()
            raise MissingTableError(
                self._url,
                f"there is no table {self._name}",
                where=self._place.where,
                hint=f"run the pipeline that writes it first, or correct the name; looked for at {self._url}",
            ) from exc
        except (DeltaError, OSError, ValueError) as exc:
            if version is not None:
                raise
            message = f"{self._name} cannot be read: {exc}"
            raise TransformError(message, where=self._place.where, hint="look at the table's files") from exc

    def _refuse_plain(self) -> None:
        """Refuse a plain Parquet table of ours, which has no version to read. Raises ConfigError."""
        files, root = open_filesystem(
            self._url if "://" in self._url else f"file://{self._url}", self._place.project.options_for(self._url)
        )
        if files.exists(f"{root}/{PLAIN_RECORDS}"):
            raise ConfigError(
                f"{self._name} is a plain Parquet table, which has no versions to join",
                where=self._place.where,
                hint=f"let its pipeline write `type: delta`, or join its files: `path: {self._url}` in place of "
                "`table`; columns that stand in the names of folders are not in them",
            )

    def _rows(self, table: DeltaTable) -> pl.LazyFrame:
        import polars as pl

        rows = pl.scan_delta(table, storage_options=self._options)
        return rows.select(self._place.chosen(rows.collect_schema().names()))
