"""What becomes of input that the reading schema does not foresee: the policies of ``schema_contract``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.model import Schema

NewColumns: TypeAlias = Literal["evolve", "rescue", "ignore", "quarantine", "fail"]
TypeChange: TypeAlias = Literal["widen", "rescue", "quarantine", "fail"]
MissingColumns: TypeAlias = Literal["null", "quarantine", "fail"]

RESCUED = "_rescued_data"
"""The column that keeps, as a JSON object, what a row has and its columns cannot hold. Null for a row that fits."""


@dataclass(frozen=True, slots=True)
class SchemaContract:
    """The three policies of one source; they hold at any depth, in fields of structs and items of lists as well.

    ``new_columns``: a name that the schema lacks. ``type_change``: a value that its column cannot hold; under ``widen``
    the column takes a type that holds both where there is one, else the row is quarantined. ``missing_columns``: a name
    of the schema that a row (JSON) or a file (CSV, Parquet, …) lacks; a JSON null is a value, not a lack.
    """

    new_columns: NewColumns = "evolve"
    type_change: TypeChange = "widen"
    missing_columns: MissingColumns = "null"

    @property
    def rescues(self) -> bool:
        """Whether rows may have something in ``_rescued_data``."""
        return "rescue" in (self.new_columns, self.type_change)

    @property
    def evolves(self) -> bool:
        """Whether input may change the reading schema after the first batch."""
        return self.new_columns == "evolve" or self.type_change == "widen"


EVOLVE = SchemaContract()
RESCUE = SchemaContract("rescue", "rescue", "null")
STRICT = SchemaContract("quarantine", "quarantine", "null")
CONTRACTS = {"evolve": EVOLVE, "rescue": RESCUE, "strict": STRICT}


@dataclass(frozen=True, slots=True)
class Survey:
    """What a look at all of the input found, before any of it counts.

    ``schema`` is the known schema, evolved as far as the contract allows, in the order of the rows: no row that would
    be rejected has a part in it. ``wide`` are the integer columns and fields (dotted paths, ``[]`` for items) that hold
    a number beyond 2**53, so that they can never become ``float64``. ``unreadable`` are files that cannot be read as a
    whole, each with the reason. ``origins`` says for columns that are new or changed in which file that was first seen.
    """

    schema: Schema
    wide: frozenset[str] = frozenset()
    unreadable: Mapping[str, str] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)
