"""What the explanation of configuration faults rests on: the errors of strict pydantic models."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    archive: str


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    number: int = 0
    choice: Literal["keep", "delete"] | Inner = "keep"
    names: list[str] | dict[str, str] = []


class Restructured(BaseModel):
    model_config = ConfigDict(strict=True)
    items: list[str]

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        return {"items": value}


def errors(model: type[BaseModel], value: object) -> list[tuple[str, tuple[int | str, ...]]]:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(value)
    return [(error["type"], error["loc"]) for error in caught.value.errors()]


def test_each_branch_of_a_union_gives_an_error_with_a_tag_that_the_value_does_not_have() -> None:
    assert errors(Outer, {"choice": {"archiv": "x"}}) == [
        ("literal_error", ("choice", "literal['keep','delete']")),
        ("missing", ("choice", "Inner", "archive")),
        ("extra_forbidden", ("choice", "Inner", "archiv")),
    ]
    assert errors(Outer, {"names": ["a", 1]}) == [
        ("string_type", ("names", "list[str]", 1)),
        ("dict_type", ("names", "dict[str,str]")),
    ]


def test_a_value_put_into_a_key_by_a_validator_is_located_at_that_key() -> None:
    assert errors(Restructured, ["a", 1]) == [("string_type", ("items", 1))]


@pytest.mark.parametrize("value", ["1", 1.0, True])
def test_a_strict_whole_number_takes_nothing_else(value: object) -> None:
    assert errors(Outer, {"number": value}) == [("int_type", ("number",))]


def test_a_strict_literal_takes_true_for_one() -> None:
    class Versioned(BaseModel):
        model_config = ConfigDict(strict=True)
        version: Literal[1]

    assert Versioned.model_validate({"version": True}).version == 1
