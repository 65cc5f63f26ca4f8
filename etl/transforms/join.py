"""``join``: rows of the batch with those of a static table, whose version the plan fixes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from etl.balance import Tally
from etl.errors import TransformError
from etl.model import BatchPlan, Json
from etl.project import default_project
from etl.transforms.contract import TransformSite
from etl.transforms.join_asof import AsofSide
from etl.transforms.join_equal import EqualSide
from etl.transforms.join_layout import JoinLayout
from etl.transforms.join_options import JoinOptions
from etl.transforms.static_delta import StaticDelta
from etl.transforms.static_files import StaticFiles
from etl.transforms.static_sql import StaticSql
from etl.transforms.static_table import StaticTable, TablePlace
from etl.type_text import parse_type

if TYPE_CHECKING:
    import polars as pl


class Join:
    """Joins the rows with a static table, which is loaded whole and kept while its version stays."""

    label = "join"
    options_model: ClassVar[type[JoinOptions]] = JoinOptions

    def __init__(self, options: JoinOptions, site: TransformSite) -> None:
        self._options = options
        self._where = site.place(self.label)
        read = options.path or (options.table if options.url is None else None)
        self.pin_id = self._where if read is None else f"{self._where}: {read}"  # a query may hold several joins
        self.adds_rows = options.how in ("left", "inner")
        project = site.project or default_project(site.folder)
        options.read_urls(project)
        self._project = project
        declared = {name: parse_type(text, where=self._where) for name, text in (options.declared or {}).items()}
        self._place = TablePlace(project, self._where, options.wanted, declared or None)
        self._opened: StaticTable | None = None
        self._kept: tuple[Json, pl.Schema, tuple[JoinLayout, EqualSide | AsofSide]] | None = None

    def pin(self) -> Json:
        """Return the present version of the static table. Raises ConfigError, TransformError."""
        return self._table().pin()

    def output_schema(self, given: pl.Schema) -> pl.Schema:
        """Return ``given`` and the columns that are added, of the table as it is now. Raises ConfigError."""
        return JoinLayout(self._options, given, self._table().schema(), self._where).schema

    def static_origins(self, given: pl.Schema) -> tuple[str, Mapping[str, str]]:
        """Return the place of the static table, and the columns that are added with what they are called there."""
        options = self._options
        (place,) = options.read_urls(self._project) or (f"{options.url}#{options.table or 'query'}",)
        return place, JoinLayout(options, given, self._table().schema(), self._where).added_from

    def kept_keys(self, keys: Sequence[str]) -> list[str]:
        """Return the keys of a changing result as they are."""
        return list(keys)

    def apply(self, rows: pl.LazyFrame, plan: BatchPlan, tally: Tally) -> pl.LazyFrame:
        """Return the rows joined with the version that the plan pins; those dropped and added are counted.

        Raises PinChangedError where that version is no longer to be had, TransformError.
        """
        if self.pin_id not in plan.pins:
            raise TransformError("the plan pins no version of the static table", where=self._where)
        given = rows.collect_schema()
        layout, side = self._sides(plan.pins[self.pin_id], given)
        if isinstance(side, EqualSide):
            return side.joined(rows, layout.left, tally, self._where)
        return side.joined(rows, layout.left, layout.at[0])

    def _sides(self, pin: Json, given: pl.Schema) -> tuple[JoinLayout, EqualSide | AsofSide]:
        """Return how rows of these columns are joined with a version, made anew only where one of both is another."""
        if self._kept is None or self._kept[:2] != (pin, given):
            self._kept = None  # so that two versions need not be in memory at once
            static = self._table().load(pin)
            layout = JoinLayout(self._options, given, static.schema, self._where)
            self._kept = (pin, given, (layout, self._side(static, layout)))
        return self._kept[2]

    def _side(self, static: pl.DataFrame, layout: JoinLayout) -> EqualSide | AsofSide:
        how = self._options.how
        if how == "asof":
            return AsofSide(static, layout.right, layout.at[1], layout.added, layout.near)
        return EqualSide(static, layout.right, layout.added, how)

    def _table(self) -> StaticTable:
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    def _open(self) -> StaticTable:
        options, place = self._options, self._place
        if options.url is not None:
            return StaticSql(options.url, options.table, options.query, place)
        if options.path is None:
            name = str(options.table)
            return StaticDelta(place.project.table_url(name), name, place)
        url = place.project.url(options.path)
        if options.format != "delta":
            files = StaticFiles(url, options.format, options.format_options, place)
            if options.format is not None or not files.is_delta():
                return files
        return StaticDelta(url, options.path, place)
