"""``python``: a function of the project's own, LazyFrame to LazyFrame."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, ClassVar

from pydantic import RootModel

from etl.balance import Tally, observed, rows_by_file
from etl.errors import ConfigError, TransformError
from etl.model import BatchPlan
from etl.transforms.columns import STRICT, refuse_changes, system_columns
from etl.transforms.contract import TransformSite
from etl.user_functions import UserFunction

if TYPE_CHECKING:
    import polars as pl


class PythonOptions(RootModel[str]):
    """``module:function``; the module lies in the project's ``transforms/`` folder."""

    model_config = STRICT


class Difference:
    """Rows that came out less rows that went in, of each file and of none, kept in the tally while they flow.

    What is more counts as ``added``, what is less as ``filtered``.
    """

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._lock = threading.Lock()
        self._net: dict[str | None, int] = {}

    def see(self, frame: pl.DataFrame, sign: int) -> None:
        """Take in rows that came out (``sign`` 1) or went in (-1)."""
        named = rows_by_file(frame)
        files: dict[str | None, int] = {None: frame.height - sum(named.values())}
        files.update(named.items())
        with self._lock:
            for file, rows in files.items():
                self._change(file, sign * rows)

    def _change(self, file: str | None, rows: int) -> None:
        before = self._net.get(file, 0)
        after = self._net[file] = before + rows
        for fate, more in (("added", max(after, 0) - max(before, 0)), ("filtered", max(-after, 0) - max(-before, 0))):
            self._tally.add(fate, more)
            if file is not None:
                self._tally.add_of_files(fate, {file: more})


class Python:
    """Calls the function; the difference in rows is counted as ``filtered`` or ``added``."""

    label = "python"
    adds_rows: ClassVar[bool] = True
    options_model: ClassVar[type[PythonOptions]] = PythonOptions

    def __init__(self, options: PythonOptions, site: TransformSite) -> None:
        self._where = site.place(self.label)
        self._function = UserFunction(options.root, site.folder, self._where)

    def output_schema(self, given: pl.Schema) -> pl.Schema:
        """Return the columns that the function gives for no rows. Raises ConfigError."""
        import polars as pl

        refuse_changes(given, self._where)
        try:
            found = self._call(pl.LazyFrame(schema=given))
            schema = found.collect().schema
        except TransformError as exc:
            raise ConfigError(exc.message, where=exc.where, hint=exc.hint) from exc
        except Exception as exc:
            raise self._function.broken(ConfigError, exc) from exc
        lost = [name for name in system_columns(given) if name not in schema]
        if lost:
            raise ConfigError(
                f"{self._function.name} drops the system columns {', '.join(lost)}",
                where=self._where,
                hint="keep them: rows.select(…, *lost) or with_columns instead of select",
            )
        return schema

    def apply(self, rows: pl.LazyFrame, _plan: BatchPlan, tally: Tally) -> pl.LazyFrame:
        """Return what the function makes of ``rows``. Raises TransformError."""
        self.output_schema(rows.collect_schema())
        difference = Difference(tally)
        taken = observed(rows, lambda frame: difference.see(frame, -1))
        return observed(self._call(taken), lambda frame: difference.see(frame, 1))

    def _call(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        import polars as pl

        found = self._function(rows)
        if not isinstance(found, pl.LazyFrame):
            raise TransformError(
                f"{self._function.name} returned {type(found).__name__}, not a LazyFrame",
                where=self._where,
                hint="return the rows, without collect()",
            )
        return found
