"""Avro schemas: which Arrow type each becomes, and how."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, TypeAlias

from etl.formats.avro_values import Converter, Leaf, uuid_text
from etl.schema import MAX_DEPTH

Avro: TypeAlias = "str | list[Avro] | dict[str, Any]"

_PLAIN = {
    "null": "null",
    "boolean": "bool",
    "int": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "bytes": "binary",
    "string": "string",
    "enum": "string",
}
_WIDER = ("int", "long", "float", "double")
_BUILT = ("record", "error", "array", "map", "fixed")
_KEPT = ("type", "name", "namespace", "size", "symbols", "items", "values")
_MAX_DIGITS = 38


class UnknownTypeError(ValueError):
    """An Avro type that has no column type."""


def bare(avro: Avro) -> Avro:
    """Return a schema without logical types: what is decoded with it are plain numbers and bytes."""
    if isinstance(avro, list):
        return [bare(each) for each in avro]
    if isinstance(avro, str):
        return avro
    if isinstance(avro["type"], dict | list):
        return bare(avro["type"])
    kept: dict[str, Any] = {key: avro[key] for key in _KEPT if key in avro}
    for key in ("items", "values"):
        if key in kept:
            kept[key] = bare(kept[key])
    if "fields" in avro:
        kept["fields"] = [{"name": each["name"], "type": bare(each["type"])} for each in avro["fields"]]
    return kept


class Types:
    """The named types of one schema, and the Arrow types of all."""

    def __init__(self) -> None:
        self._named: dict[str, Avro] = {}
        self._open: list[str] = []

    def root(self, avro: Avro) -> dict[str, Converter]:
        """Return how each field of the records of a file becomes an array. Raises UnknownTypeError."""
        if not isinstance(avro, dict) or avro.get("type") != "record":
            raise UnknownTypeError("its values are no records")
        return self.fields(avro)

    def fields(self, record: dict[str, Any], depth: int = 0) -> dict[str, Converter]:
        """Return how each field of a record becomes an array. Raises UnknownTypeError."""
        space = self._space(record, "")
        self._named[self._full(record["name"], space)] = record
        self._open.append(self._full(record["name"], space))
        found = {each["name"]: self.of(each["type"], space, depth + 1) for each in record["fields"]}
        self._open.pop()
        return found

    def of(self, avro: Avro, space: str, depth: int) -> Converter:
        """Return how values of a type become an array."""
        if depth > MAX_DEPTH:
            raise UnknownTypeError(f"types nest deeper than {MAX_DEPTH} levels")
        if isinstance(avro, list):
            return self.of(_one_branch(avro), space, depth)
        if isinstance(avro, str):
            return _leaf({"type": avro}) if avro in _PLAIN else self._by_name(avro, space, depth)
        kind = avro["type"]
        if isinstance(kind, dict | list) or (kind not in _PLAIN and kind not in _BUILT):
            return self.of(kind, space, depth)
        return self._built(avro, space, depth)

    def _built(self, avro: dict[str, Any], space: str, depth: int) -> Converter:
        kind = avro["type"]
        if kind in ("enum", "fixed"):
            self._named[self._full(avro["name"], self._space(avro, space))] = avro
        if kind in ("record", "error"):
            return Converter(fields=self._record(avro, space, depth))
        if kind == "array":
            return Converter(item=_with_size(self.of(avro["items"], space, depth + 1)))
        if kind == "map":
            return Converter(value=self.of(avro["values"], space, depth + 2))
        return _leaf(avro)

    def _record(self, avro: dict[str, Any], space: str, depth: int) -> dict[str, Converter]:
        return self.fields(avro | {"namespace": self._space(avro, space)}, depth)

    def _by_name(self, name: str, space: str, depth: int) -> Converter:
        full = self._full(name, space)
        if full in self._open:
            raise UnknownTypeError(f"type {full} holds itself")
        if full not in self._named:
            raise UnknownTypeError(f"type {full} is not defined")
        return self.of(self._named[full], full.rpartition(".")[0], depth)

    @staticmethod
    def _space(avro: dict[str, Any], outer: str) -> str:
        name = str(avro.get("name", ""))
        return name.rpartition(".")[0] if "." in name else str(avro.get("namespace", outer) or "")

    @staticmethod
    def _full(name: str, space: str) -> str:
        return name if "." in name or not space else f"{space}.{name}"


def _one_branch(union: list[Avro]) -> Avro:
    """Return the type of a union without null: the one that is left, or the widest of numbers."""
    left = [each for each in union if each != "null"]
    if not left:
        return "null"
    if len(left) == 1:
        return left[0]
    if all(each in _WIDER for each in left):
        words = [str(each) for each in left]
        if {"long", "float"} <= set(words) or {"int", "float"} <= set(words):
            return "double"
        return max(words, key=_WIDER.index)
    names = ", ".join(str(each.get("name", each["type"])) if isinstance(each, dict) else str(each) for each in union)
    raise UnknownTypeError(f"a union of {names} has no column type")


def _with_size(item: Converter) -> Converter:
    """Refuse items that take no bytes: a few bytes could stand for any number of them."""
    import pyarrow as pa

    if item.leaf is not None and pa.types.is_null(item.leaf.arrow):
        raise UnknownTypeError("an array of nulls has no column type")
    if item.fields is not None and not item.fields:
        raise UnknownTypeError("an array of empty records has no column type")
    return item


def _leaf(avro: dict[str, Any]) -> Converter:
    import pyarrow as pa

    kind, logical = str(avro["type"]), avro.get("logicalType")
    if logical == "decimal" and kind in ("bytes", "fixed"):
        return Converter(_decimal(avro))
    if logical == "uuid" and kind == "fixed" and avro.get("size") == 16:  # noqa: PLR2004  the bytes of a UUID
        return Converter(Leaf(pa.string(), pa.string(), uuid_text))
    moments = {
        ("int", "date"): pa.date32(),
        ("int", "time-millis"): pa.time32("ms"),
        ("long", "time-micros"): pa.time64("us"),
        ("long", "timestamp-millis"): pa.timestamp("ms", "UTC"),
        ("long", "timestamp-micros"): pa.timestamp("us", "UTC"),
        ("long", "timestamp-nanos"): pa.timestamp("ns", "UTC"),
        ("long", "local-timestamp-millis"): pa.timestamp("ms"),
        ("long", "local-timestamp-micros"): pa.timestamp("us"),
        ("long", "local-timestamp-nanos"): pa.timestamp("ns"),
    }
    plain = pa.binary(avro["size"]) if kind == "fixed" else pa.type_for_alias(_PLAIN[kind])
    if logical == "duration" and kind == "fixed":
        raise UnknownTypeError("a duration has no column type")
    found = moments.get((kind, str(logical)), plain)
    return Converter(Leaf(found, plain))


def _decimal(avro: dict[str, Any]) -> Leaf:
    import pyarrow as pa

    precision, scale = int(avro.get("precision", 0)), int(avro.get("scale", 0))
    if not (0 < precision <= _MAX_DIGITS and 0 <= scale <= precision):
        raise UnknownTypeError(f"decimal({precision},{scale}) has no column type")

    def number(content: bytes) -> Decimal:
        # scaleb would round to the 28 digits of the context
        return Decimal(f"{int.from_bytes(content, 'big', signed=True)}E-{scale}")

    dtype = pa.decimal128(precision, scale)
    return Leaf(dtype, dtype, number)
