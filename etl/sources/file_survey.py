"""What the files of a plan hold, before any of their rows counts: schema, wide integers, files that cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from etl.errors import NotReadyError, UnreadableFileError
from etl.schema_changes import schema_changes
from etl.schema_contract import RESCUED, SchemaContract, Survey
from etl.widening import fold

if TYPE_CHECKING:
    from etl.sources.file_units import UnitRow

_NOT_READY_HINT = "it is read once it is whole; where it stays as it is, it goes to the quarantine"


@dataclass(frozen=True, slots=True)
class Look:
    """What one file holds: ``found`` is None where the file is gone and may be; ``fault`` why it cannot be read."""

    found: Survey | None = None
    fault: str = ""


class FileSurvey:
    """Surveys of one source's files. ``look_at`` is the format's survey of one file, from any thread."""

    def __init__(
        self, look_at: Callable[[UnitRow, Survey | None], Survey | None], contract: SchemaContract, unready_for_s: float
    ) -> None:
        self._look_at = look_at
        self._contract = contract
        self._unready_for_s = unready_for_s

    def of(self, files: Iterable[UnitRow], known: Survey | None, now: datetime, workers: int) -> Survey:
        """Return ``known`` evolved by the files, in their order. Raises NotReadyError and as the format does.

        Each file is looked at by itself first, side by side; one whose rows mean something else after those before it
        is looked at again behind them.
        """
        units = list(files)
        with ThreadPoolExecutor(workers) as pool:
            looks = list(pool.map(partial(self._look, known=known), units))
        unreadable = {unit.path: look.fault for unit, look in zip(units, looks, strict=True) if look.fault}
        self._refuse_unfinished([unit for unit in units if unit.path in unreadable], unreadable, now)
        state = known
        origins: dict[str, str] = {}
        for unit, look in zip(units, looks, strict=True):
            if look.found is None:
                continue
            after = self._folded(unit, state, look.found, is_first=state is known)
            for change in schema_changes({} if state is None else state.schema, after.schema):
                origins.setdefault(change.column.split(".", 1)[0].removesuffix("[]"), unit.path)
            state = after
        whole = state or Survey({})
        schema = dict(whole.schema)
        if self._contract.rescues:
            schema.setdefault(RESCUED, "string")
        return replace(whole, schema=schema, unreadable=unreadable, origins=origins)

    def _look(self, unit: UnitRow, known: Survey | None) -> Look:
        try:
            return Look(self._look_at(unit, known))
        except UnreadableFileError as exc:
            return Look(fault=f"{exc.message}; {exc.hint}" if exc.hint else exc.message)

    def _folded(self, unit: UnitRow, state: Survey | None, found: Survey, *, is_first: bool) -> Survey:
        if is_first or state is None:
            return found
        folded = fold(state, found, self._contract)
        return folded if folded is not None else self._look_at(unit, state) or state

    def _refuse_unfinished(self, units: list[UnitRow], faults: dict[str, str], now: datetime) -> None:
        """Refuse a plan with unreadable files that may still be written. Raises NotReadyError."""
        oldest_ns = int((now.timestamp() - self._unready_for_s) * 1e9)
        young = tuple(unit.path for unit in units if unit.modified_ns > oldest_ns)
        if young:
            more = f", and {len(young) - 1} more" if len(young) > 1 else ""
            raise NotReadyError(young, f"not ready: {faults[young[0]]}{more}", hint=_NOT_READY_HINT)
