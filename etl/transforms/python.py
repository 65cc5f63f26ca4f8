"""``python``: a function of the project's own, LazyFrame to LazyFrame."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import RootModel

from etl.balance import Tally, observed, rows_by_file
from etl.errors import ConfigError, EtlError, TransformError
from etl.model import BatchPlan
from etl.transforms.columns import STRICT, refuse_changes, system_columns
from etl.transforms.contract import TransformSite
from etl.vocabulary import nearest

if TYPE_CHECKING:
    import polars as pl

_NAME = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)")
FOLDER = "transforms"


class PythonOptions(RootModel[str]):
    """``module:function``; the module lies in the project's ``transforms/`` folder."""

    model_config = STRICT


class _Difference:
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
        self._name = options.root
        self._where = site.place(self.label)
        self._function = self._load(site.folder)

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
            raise self._broken(ConfigError, exc) from exc
        lost = [name for name in system_columns(given) if name not in schema]
        if lost:
            raise ConfigError(
                f"{self._name} drops the system columns {', '.join(lost)}",
                where=self._where,
                hint="keep them: rows.select(…, *lost) or with_columns instead of select",
            )
        return schema

    def apply(self, rows: pl.LazyFrame, _plan: BatchPlan, tally: Tally) -> pl.LazyFrame:
        """Return what the function makes of ``rows``. Raises TransformError."""
        self.output_schema(rows.collect_schema())
        difference = _Difference(tally)
        taken = observed(rows, lambda frame: difference.see(frame, -1))
        return observed(self._call(taken), lambda frame: difference.see(frame, 1))

    def _call(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        import polars as pl

        try:
            found = self._function(rows)
        except Exception as exc:
            raise self._broken(TransformError, exc) from exc
        if not isinstance(found, pl.LazyFrame):
            raise TransformError(
                f"{self._name} returned {type(found).__name__}, not a LazyFrame",
                where=self._where,
                hint="return the rows, without collect()",
            )
        return found

    def _broken(self, kind: type[EtlError], exc: Exception) -> EtlError:
        reason = exc.message if isinstance(exc, EtlError) else f"{type(exc).__name__}: {exc}".split("\n", 1)[0]
        return kind(f"{self._name} failed: {reason}", where=self._where, hint="look at the function")

    def _load(self, folder: Path) -> Callable[[Any], Any]:
        """Return the function. Raises ConfigError."""
        match = _NAME.fullmatch(self._name)
        if match is None:
            raise ConfigError(f"{self._name!r} is no function", where=self._where, hint="write module:function")
        module_name, function_name = match.groups()
        path = self._contained(folder / FOLDER, module_name)
        names = vars(self._module(path, module_name))
        if function_name not in names:
            known = [name for name, value in names.items() if inspect.isfunction(value)]
            raise ConfigError(
                f"{path.name} has no function {function_name!r}{nearest(function_name, known)}",
                where=self._where,
                hint=f"its functions are {', '.join(known) or 'none'}",
            )
        found = names[function_name]
        if not callable(found):
            raise ConfigError(f"{self._name} is no function", where=self._where, hint="write def, with one parameter")
        loaded: Callable[[Any], Any] = found
        return loaded

    def _contained(self, folder: Path, module_name: str) -> Path:
        """Return the module's file, which must lie below ``folder`` after links are followed. Raises ConfigError."""
        path = folder.joinpath(*module_name.split(".")).with_suffix(".py")
        if not path.is_file():
            raise ConfigError(f"no file {path}", where=self._where, hint=f"modules lie in the folder {FOLDER}/")
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ConfigError(f"{path} leads out of {FOLDER}/", where=self._where, hint="copy the file into the folder")
        return path.resolve()

    def _module(self, path: Path, module_name: str) -> object:
        """Return the module, loaded afresh under a name of its own: it can neither hide nor be hidden by another."""
        private = f"_etl_transforms.{module_name}"
        spec = importlib.util.spec_from_file_location(private, path)
        if spec is None or spec.loader is None:
            raise ConfigError(f"{path} cannot be loaded", where=self._where, hint="name a .py file")
        module = importlib.util.module_from_spec(spec)
        search_path = list(sys.path)
        try:
            spec.loader.exec_module(module)
        except Exception as exc:
            raise self._broken(ConfigError, exc) from exc
        finally:
            sys.path[:] = search_path
        return module
