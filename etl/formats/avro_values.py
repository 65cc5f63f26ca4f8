"""Decoded Avro values as Arrow arrays."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from etl.model import Json


@dataclass(frozen=True, slots=True)
class Leaf:
    """How a scalar is decoded: its Arrow type, the type that its decoded values have first, a change of each value."""

    arrow: pa.DataType
    decoded: pa.DataType
    change: Callable[[Any], Any] | None = None


@dataclass(frozen=True, slots=True)
class Converter:
    """How decoded values become an array: a scalar, a record, an array's items or a map's values."""

    leaf: Leaf | None = None
    fields: dict[str, Converter] | None = None
    item: Converter | None = None
    value: Converter | None = None

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type."""
        return self.dtype(decoded=False)

    def dtype(self, *, decoded: bool) -> pa.DataType:
        """Return the Arrow type, or that of what is decoded."""
        import pyarrow as pa

        if self.leaf is not None:
            return self.leaf.decoded if decoded else self.leaf.arrow
        if self.fields is not None:
            return pa.struct([pa.field(name, each.dtype(decoded=decoded)) for name, each in self.fields.items()])
        if self.item is not None:
            return pa.list_(self.item.dtype(decoded=decoded))
        inner = self.value.dtype(decoded=decoded) if self.value else pa.null()
        return pa.map_(pa.string(), inner)

    @property
    def is_direct(self) -> bool:
        """Whether decoded values go into an array as they are."""
        if self.leaf is not None:
            return self.leaf.change is None
        below = [
            *(self.fields or {}).values(),
            *([self.item] if self.item else []),
            *([self.value] if self.value else []),
        ]
        return all(each.is_direct for each in below)

    def array(self, values: list[Any]) -> pa.Array:
        """Return decoded values as an array. Raises what pyarrow raises for text that is not UTF-8."""
        import pyarrow as pa

        if not self.is_direct:
            values = [self.changed(value) for value in values]
        decoded = self.dtype(decoded=True)
        found = pa.array(values, decoded)
        return found if decoded == self.arrow else _relabelled(found, self.arrow)

    def changed(self, value: Any) -> Any:  # noqa: ANN401  any decoded value
        """Return a decoded value as it goes into an array."""
        if value is None or self.is_direct:
            return value
        if self.leaf is not None:
            return self.leaf.change(value) if self.leaf.change else value
        if self.fields is not None:
            return {name: each.changed(value[name]) for name, each in self.fields.items()}
        if self.item is not None:
            return [self.item.changed(each) for each in value]
        inner = self.value or self
        return [(key, inner.changed(each)) for key, each in value.items()]


def _relabelled(array: pa.Array, dtype: pa.DataType) -> pa.Array:
    """Return plain numbers as the moments that they count, at any depth."""
    import pyarrow as pa

    if pa.types.is_struct(dtype):
        inner = [_relabelled(each, dtype.field(place).type) for place, each in enumerate(array.flatten())]
        return pa.StructArray.from_arrays(inner, fields=list(dtype), mask=array.is_null())
    if pa.types.is_list(dtype):
        return pa.ListArray.from_arrays(
            array.offsets, _relabelled(array.values, dtype.value_type), mask=array.is_null()
        )
    if pa.types.is_map(dtype):
        items = _relabelled(array.items, dtype.item_type)
        return pa.MapArray.from_arrays(array.offsets, array.keys, items, mask=array.is_null())
    return array if array.type == dtype else array.view(dtype)


def uuid_text(content: bytes) -> str:
    """Return the text of the 16 bytes of a UUID."""
    first, second, third, fourth, fifth = struct.unpack(">4s2s2s2s6s", content)
    return "-".join(part.hex() for part in (first, second, third, fourth, fifth))


def decoded_json(value: Any) -> Json:  # noqa: ANN401  any decoded value
    """Return a decoded value as JSON tells it; text that is not UTF-8 and bytes as Base64."""
    if isinstance(value, dict):
        return {
            str(key).encode("utf-8", "backslashreplace").decode(): decoded_json(each) for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [decoded_json(each) for each in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, str) and not value.isascii():
        content = value.encode("utf-8", "surrogateescape")
        return base64.b64encode(content).decode() if "\udc80" <= max(value) <= "\udcff" else value
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
