"""XLSX: one sheet, its header row, typed cells."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from pydantic import Field

from etl.errors import ConfigError, UnreadableFileError
from etl.formats.columnar import Batches, Columnar, Rows, damage
from etl.formats.compressed import seekable
from etl.formats.watched import Watched
from etl.formats.xlsx_cells import cell_type, column
from etl.options import Options
from etl.schema import arrow_type
from etl.schema_contract import EVOLVE, SchemaContract

if TYPE_CHECKING:
    from typing import BinaryIO

    from etl.formats.arrow_rows import Unfit
    from etl.formats.contract import FileOpener, Task
    from etl.model import Schema
    from etl.schema_contract import Survey

MAX_XML_BYTES = 500_000_000
"""The most that the parts of a workbook may hold uncompressed, all together."""

_BATCH_ROWS = 8_192
Cell: TypeAlias = "tuple[Any, str]"


class XlsxOptions(Options):
    """Which sheet of a workbook, and where its header is."""

    sheet: str | int = Field(default=1, description="The name of the sheet, or its number, from 1.")
    header_row: int = Field(default=1, ge=1, description="The row that names the columns, from 1.")


class Xlsx:
    """Reads one sheet of a workbook, through openpyxl; a row without any value is none.

    A formula has the value that was stored with it. Of merged cells the first has the value, the others are null.
    """

    options_model = XlsxOptions

    def __init__(self, options: XlsxOptions | None = None, contract: SchemaContract = EVOLVE) -> None:
        self.options = options or XlsxOptions()
        self._columnar = Columnar(self._rows, contract)

    def tasks(self, file: FileOpener, schema: Schema, wide: frozenset[str] = frozenset()) -> Iterator[Task]:
        """Return the one task of the file."""
        return self._columnar.tasks(file, schema, wide)

    def survey(self, file: FileOpener, known: Survey | None) -> Survey:
        """Return ``known`` with the other columns of the header, each with the type of its first value."""
        return self._columnar.survey(file, known)

    @contextmanager
    def _rows(self, file: FileOpener, schema: Schema) -> Iterator[Rows]:
        import pyarrow as pa

        with file.open() as opened:
            watched = Watched(seekable(opened, file.path))
            _check_parts(file, watched)
            with damage(file, watched, "not a whole XLSX file"), _parsing():
                sheet = self._sheet(file, watched)
                names = _header(file, sheet, self.options.header_row)
            with damage(file, watched, "data is damaged"), _parsing():
                trees = self._trees(sheet, names, schema)
            types = pa.schema([(name, arrow_type(tree)) for name, tree in trees.items()])

            def batches(columns: list[str]) -> Batches:
                chosen = {name: trees[name] for name in columns}
                found = _batches(self._cells(sheet, len(names)), [*names], chosen)
                while True:
                    with damage(file, watched, "data is damaged"), _parsing():
                        batch = next(found, None)
                    if batch is None:
                        return
                    yield batch

            yield Rows(types, batches)

    def _sheet(self, file: FileOpener, watched: Watched) -> Any:  # noqa: ANN401  openpyxl is untyped
        try:
            from openpyxl import load_workbook
        except ImportError as exc:
            hint = 'install it: pip install "lakehouse-etl[excel]"'
            raise ConfigError("the format xlsx needs the library openpyxl", where=file.path, hint=hint) from exc
        watched.seek(0)
        book = load_workbook(cast("BinaryIO", watched), read_only=True, data_only=True, keep_links=False)
        sheets, wanted = book.worksheets, self.options.sheet
        titles = [str(sheet.title) for sheet in sheets]
        if isinstance(wanted, int) and 1 <= wanted <= len(sheets):
            return sheets[wanted - 1]
        if wanted in titles:
            return sheets[titles.index(str(wanted))]
        raise UnreadableFileError(file.path, f"it has no sheet {wanted!r}", hint=f"its sheets: {', '.join(titles)}")

    def _cells(self, sheet: Any, width: int) -> Iterator[list[Cell]]:  # noqa: ANN401  openpyxl is untyped
        """Yield the rows below the header that hold a value."""
        for row in sheet.iter_rows(min_row=self.options.header_row + 1, max_col=width):
            cells = [(cell.value, str(cell.data_type)) for cell in row]
            if any(value is not None for value, _ in cells):
                yield cells + [(None, "n")] * (width - len(cells))

    def _trees(self, sheet: Any, names: list[str], schema: Schema) -> Schema:  # noqa: ANN401  openpyxl is untyped
        """Return the type of each column: the known one, else that of its first value."""
        trees = {name: schema[name] for name in names if schema.get(name, "null") != "null"}
        missing = {place: name for place, name in enumerate(names) if name not in trees}
        for cells in self._cells(sheet, len(names)) if missing else ():
            for place, name in list(missing.items()):
                if found := cell_type(*cells[place]):
                    trees[name] = found
                    del missing[place]
            if not missing:
                break
        return {name: trees.get(name, "null") for name in names}


@contextmanager
def _parsing() -> Iterator[None]:
    """Turn the errors of ZIP and XML parsers into ValueErrors."""
    import zlib
    from xml.etree.ElementTree import ParseError

    try:
        yield
    except (zipfile.BadZipFile, zlib.error, ParseError, TypeError, AttributeError, NotImplementedError) as exc:
        raise ValueError(str(exc) or type(exc).__name__) from exc
    except RuntimeError as exc:  # a part that is encrypted
        raise ValueError(str(exc)) from exc


def _check_parts(file: FileOpener, watched: Watched) -> None:
    """Refuse a workbook that would expand beyond all measure; zipfile reads no more of a part than it declares."""
    opened = cast("BinaryIO", watched)
    with damage(file, watched, "not a whole XLSX file"), _parsing(), zipfile.ZipFile(opened) as parts:
        size = sum(part.file_size for part in parts.infolist())
    if size > MAX_XML_BYTES:
        fault = f"its parts hold {size} bytes, more than {MAX_XML_BYTES}"
        raise UnreadableFileError(file.path, fault, hint="a decompression bomb, or a workbook to be split")


def _header(file: FileOpener, sheet: Any, row: int) -> list[str]:  # noqa: ANN401  openpyxl is untyped
    """Return the names of the columns, those behind the last one that has a name left out."""
    found = [cell.value for cells in sheet.iter_rows(min_row=row, max_row=row) for cell in cells]
    while found and found[-1] is None:
        found.pop()
    names = ["" if name is None else str(name) for name in found]
    for place, name in enumerate(names, 1):
        if not name or names.count(name) > 1:
            fault = f"column {name!r} stands twice" if name else f"column {place} has no name"
            raise UnreadableFileError(file.path, f"{fault} in the header", hint="correct it, or set header_row")
    return names


def _batches(rows: Iterator[list[Cell]], names: list[str], chosen: Schema) -> Batches:
    pending: list[list[Cell]] = []
    for cells in rows:
        pending.append(cells)
        if len(pending) == _BATCH_ROWS:
            yield _batch(pending, names, chosen)
            pending = []
    if pending:
        yield _batch(pending, names, chosen)


def _batch(rows: list[list[Cell]], names: list[str], chosen: Schema) -> Any:  # noqa: ANN401  pyarrow is imported late
    import pyarrow as pa

    unfit: Unfit = {}
    arrays = []
    for name, tree in chosen.items():
        place = names.index(name)
        array, wrong = column((row[place] for row in rows), tree)
        arrays.append(array)
        for row, (value, reason) in wrong.items():
            unfit.setdefault(row, {})[name] = value, ("type", f"column {name}: {reason}")
    if not arrays:
        return pa.record_batch([pa.nulls(len(rows))], names=[""]), unfit
    return pa.record_batch(arrays, names=list(chosen)), unfit
