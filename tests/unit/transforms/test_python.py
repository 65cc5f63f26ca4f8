from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from etl.errors import ConfigError, TransformError

ROWS = pl.DataFrame({"id": [1, 2, 3], "_source_file": ["f"] * 3})


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def written(body: str, name: str = "shop.py") -> None:
        path = tmp_path / "transforms" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"import polars as pl\n{body}\n")

    return written


@pytest.mark.parametrize(
    ("body", "ids", "expected"),
    [
        ("rows.filter(pl.col('id') > 1)", [2, 3], {"filtered": 1}),
        ("rows.with_columns(pl.col('id') * 10)", [10, 20, 30], {}),
        ("rows.with_columns(n=pl.lit([1, 2])).explode('n').drop('n')", [1, 1, 2, 2, 3, 3], {"added": 3}),
        ("rows.filter(pl.col('id') < 0)", [], {"filtered": 3}),
    ],
)
def test_python_calls_the_function_and_counts_the_difference(
    apply: Any, write: Any, body: str, ids: list[int], expected: dict[str, int]
) -> None:
    write(f"def change(rows):\n    return {body}")

    rows, counts = apply("python", "shop:change", ROWS)

    assert rows["id"].to_list() == ids
    assert counts == expected


def test_python_finds_a_module_in_a_folder_below(apply: Any, write: Any) -> None:
    write("def same(rows):\n    return rows", "deep/er/shop.py")

    assert apply("python", "deep.er.shop:same", ROWS)[0].height == 3


@pytest.mark.parametrize(
    ("body", "name", "message"),
    [
        ("x = 1", "shop:gone", "shop.py has no function 'gone'"),
        ("def clean(rows):\n    return rows", "shop:claen", "did you mean 'clean'?"),
        ("x = 1", "shop:x", "shop:x is no function"),
        ("raise ValueError('no')", "shop:x", "shop:x failed: ValueError: no"),
        ("def f(:", "shop:f", "shop:f failed: SyntaxError"),
        ("", "missing:f", "no file"),
        ("", "../shop:f", "'../shop:f' is no function"),
        ("", "/etc/passwd:f", "is no function"),
        ("", "..shop:f", "is no function"),
        ("", "shop", "is no function"),
        ("", "shop:a.b", "is no function"),
    ],
)
def test_python_refuses_when_it_is_made(make: Any, write: Any, body: str, name: str, message: str) -> None:
    write(body)

    with pytest.raises(ConfigError) as caught:
        make("python", name)

    assert message in caught.value.message
    assert caught.value.where == "transforms[2].python"
    assert caught.value.hint


def test_python_refuses_a_link_that_leads_out_of_the_folder(make: Any, tmp_path: Path) -> None:
    (tmp_path / "transforms").mkdir()
    (tmp_path / "outside.py").write_text("def f(rows):\n    return rows\n")
    (tmp_path / "transforms" / "shop.py").symlink_to(tmp_path / "outside.py")

    with pytest.raises(ConfigError, match="leads out of transforms/"):
        make("python", "shop:f")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("rows.collect()", "shop:f returned DataFrame, not a LazyFrame"),
        ("None", "shop:f returned NoneType"),
        ("rows.select('id')", "shop:f drops the system columns _source_file"),
        ("rows.select('gone')", "shop:f failed: ColumnNotFoundError"),
        ("1 / 0", "shop:f failed: ZeroDivisionError: division by zero"),
    ],
)
def test_python_refuses_what_the_function_does_with_no_rows(refuse: Any, write: Any, body: str, message: str) -> None:
    write(f"def f(rows):\n    return {body}")

    assert message in refuse("python", "shop:f", dict(ROWS.schema)).message


def test_python_names_the_function_when_it_fails_at_the_call_with_rows(make: Any, write: Any) -> None:
    write("seen = []\ndef f(rows):\n    seen.append(1)\n    return rows if len(seen) < 2 else {}['k']")
    step = make("python", "shop:f")

    with pytest.raises(TransformError, match=r"transforms\[2\].python: shop:f failed: KeyError: 'k'"):
        step.apply(ROWS.lazy(), None, None)


def test_python_leaves_no_trace_in_the_interpreter(make: Any, write: Any) -> None:
    write("import sys\nsys.path.insert(0, '/nowhere')\ndef json(rows):\n    return rows", "json.py")
    import json

    make("python", "json:json")

    assert "/nowhere" not in sys.path
    assert sys.modules["json"] is json
