"""The sample data is what its generator makes, and as untidy as the README says."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import json
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / "sample_data"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sample_data_generate", FOLDER / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


CUT_OFF = "web/access-2026-10-31.ndjson.gz"
ABSURD = {"A1309": ("paid", 5620.0)}
NEGATIVE = {"A1553": ("paid", -204.0)}
TORN = b'{"order_id": "A1071", "ordered_at": "2026-11-02T15:50:31Z'


def content(path: Path) -> bytes:
    is_whole = path.suffix == ".gz" and path != FOLDER / CUT_OFF
    return gzip.decompress(path.read_bytes()) if is_whole else path.read_bytes()


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content(path).split(b"\n") if line.strip() and line != TORN]


def committed() -> dict[str, bytes]:
    """Return what lies in the folder, uncompressed: the bytes of gzip differ between versions of zlib."""
    files = (path for path in FOLDER.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc"))
    return {path.relative_to(FOLDER).as_posix(): content(path) for path in files}


def test_the_generator_gives_the_committed_files_again(generator: ModuleType) -> None:
    generated = generator.generate()

    assert sorted(generated) == sorted(committed())
    for name, expected in committed().items():
        assert generated[name] == expected, name


def test_another_seed_gives_other_data(generator: ModuleType) -> None:
    assert generator.generate(seed=1) != generator.generate(seed=2)


def test_written_files_carry_no_time_of_day(generator: ModuleType, tmp_path: Path) -> None:
    generator.write(tmp_path, {"a/b.gz": b"x"})

    header = (tmp_path / "a" / "b.gz").read_bytes()[:8]

    assert header[:2] == b"\x1f\x8b"
    assert header[4:8] == b"\0\0\0\0"


def test_the_sample_data_is_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 1_000_000


def test_orders_are_616_and_one_delivery_comes_twice() -> None:
    orders = [order for path in (FOLDER / "orders").rglob("*") if path.is_file() for order in rows_of(path)]
    times = Counter(order["order_id"] for order in orders)

    assert len(times) == 616
    assert Counter(times.values()) == {1: 594, 2: 22}
    copy = FOLDER / "orders/2026-11-06/orders-20 (copy of 11-04).ndjson"
    assert copy.read_bytes() == (FOLDER / "orders/2026-11-04/orders-20.ndjson").read_bytes()


def test_orders_have_missing_and_negative_amounts_and_a_column_that_comes_later() -> None:
    orders = [order for path in (FOLDER / "orders").rglob("*") if path.is_file() for order in rows_of(path)]

    assert any(order["amount"] is None for order in orders)
    assert any(order["amount"] is not None and order["amount"] < 0 for order in orders)
    assert {order["ordered_at"][:10] for order in orders if "coupon" in order} == {
        f"2026-11-{day:02}" for day in range(9, 15)
    }


def test_a_late_file_holds_orders_of_an_earlier_day() -> None:
    late = rows_of(FOLDER / "orders/2026-11-09/late-till3.ndjson")

    assert {order["ordered_at"][:10] for order in late} == {"2026-11-07"}


def test_customer_lists_tell_unknown_from_known_to_be_empty() -> None:
    lines = [line for path in sorted((FOLDER / "customers").iterdir()) for line in path.read_text("utf-8").split("\n")]

    assert any(line.endswith(',""') for line in lines)
    assert any(",," in line for line in lines)
    assert any('Baker, Jr."' in line for line in lines)


def test_customers_are_120_in_three_lists() -> None:
    ids = []
    for path in sorted((FOLDER / "customers").iterdir()):
        with path.open(newline="", encoding="utf-8") as file:
            ids += [row["customer_id"] for row in csv.DictReader(file)]

    assert ids == [f"C{number:04}" for number in range(1, 121)]


def test_one_line_is_torn_and_stands_whole_behind_itself() -> None:
    lines = (FOLDER / "orders/2026-11-02/orders-20.ndjson").read_bytes().split(b"\n")

    assert lines[4] == TORN
    assert lines[5].startswith(TORN)
    torn = [path.name for path in (FOLDER / "orders").rglob("*.ndjson") if TORN + b"\n" in path.read_bytes()]
    assert torn == ["orders-20.ndjson"]


def test_two_orders_have_an_amount_that_cannot_be() -> None:
    orders = [order for path in (FOLDER / "orders").rglob("*") if path.is_file() for order in rows_of(path)]
    amounts = {order["order_id"]: (order["status"], order["amount"]) for order in orders if order["amount"] is not None}

    assert {key: found for key, found in amounts.items() if abs(found[1]) > 2000} == ABSURD
    assert {key: found for key, found in amounts.items() if (found[1] < 0) != (found[0] == "refunded")} == NEGATIVE


def test_one_customer_lacks_the_last_field() -> None:
    with (FOLDER / "customers/customers-2026-11-08.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))

    assert [row[0] for row in rows if len(row) != 8] == ["C0093"]


def test_one_transfer_broke_off_in_the_middle() -> None:
    cut_off = (FOLDER / CUT_OFF).read_bytes()

    assert len(cut_off) == 9000
    with pytest.raises(EOFError):
        gzip.decompress(cut_off)
