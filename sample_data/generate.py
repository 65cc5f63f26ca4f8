"""Make the sample data: two weeks of a small tea shop, as untidy as such deliveries are.

The same seed gives the same bytes, on every machine: only ``Random.random`` is used, which Python keeps stable.
Run ``python sample_data/generate.py [FOLDER]``; without a folder the files beside this script are written anew.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import struct
import sys
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, TypeVar

SEED = 20261101
FIRST_DAY = datetime(2026, 11, 1, tzinfo=UTC)
DAYS = 14
ORDERS_PER_FILE = 22
VISITS_PER_DAY = 260

TEAS = [
    ("TEA-ASSAM-250", "Assam Mangalam", 9.9),
    ("TEA-DARJ-100", "Darjeeling First Flush", 14.5),
    ("TEA-SENCHA-100", "Sencha Uji", 12.0),
    ("TEA-ROOI-250", "Rooibos", 6.4),
    ("TEA-EARL-250", "Earl Grey", 8.2),
    ("POT-IRON-08", "Iron pot, 0.8 l", 39.0),
    ("CUP-PAIR", 'Two cups, "Kyoto"', 18.5),
    ("FILTER-100", "Paper filters, 100", 3.2),
]
FIRST_NAMES = [
    "Aino",
    "Bruno",
    "Chloé",
    "Dilara",
    "Edda",
    "Fionn",
    "Giulia",
    "Håkon",
    "Inês",
    "Jürgen",
    "Kwame",
    "Łucja",
]
LAST_NAMES = ["Baker, Jr.", "Çelik", "D'Amico", "García", "Janssen", "Lindqvist", "Müller", "Novák", "O'Brien", "Šimić"]
CITIES = [("DE", "Köln"), ("AT", "Graz"), ("FR", "Lyon"), ("NL", "Utrecht"), ("SE", "Malmö"), ("IT", "Torino")]
NOTES = [
    "",
    "call before delivery",
    'says "no plastic, please"',
    "prefers invoices by post; never e-mail",
    "two doors down",
]
AGENTS = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 26_1 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/142.0 Safari/537.36",
    "ExampleBot/2.1 (+https://bot.example/about)",
]

# An order of this worth, its decimal point lost, is beyond what the shop has ever sold.
WORTH_A_LOOK = 50

# From this day on the till sends the coupon that was used, and the web server how long an answer took.
COUPONS_FROM = 8
TIMINGS_FROM = 10

GZIP = b"\x1f\x8b"

T = TypeVar("T")
Files = dict[str, bytes]


class Dice(Random):
    """Choices built on ``random()`` alone: the other methods may change with the Python version."""

    def pick(self, choices: Sequence[T]) -> T:
        """Return one of ``choices``."""
        return choices[int(self.random() * len(choices))]

    def number(self, low: int, high: int) -> int:
        """Return a whole number from ``low`` to ``high``, both included."""
        return low + int(self.random() * (high - low + 1))

    def hits(self, chance: float) -> bool:
        """Return True with probability ``chance``."""
        return self.random() < chance


def generate(seed: int = SEED) -> Files:
    """Return every file of the sample data: path below the folder, content before compression."""
    dice = Dice(seed)
    customers = [_customer(dice, number) for number in range(1, 121)]
    return {**_orders(dice, customers), **_visits(dice), **_customer_lists(customers)}


def write(folder: Path, files: Files) -> None:
    """Write ``files`` below ``folder``; names ending in ``.gz`` are compressed, without a time stamp."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        is_plain = name.endswith(".gz") and not content.startswith(GZIP)
        path.write_bytes(gzip.compress(content, mtime=0) if is_plain else content)


def _customer(dice: Dice, number: int) -> dict[str, str]:
    country, city = dice.pick(CITIES)
    first, last = dice.pick(FIRST_NAMES), dice.pick(LAST_NAMES)
    joined = FIRST_DAY - timedelta(days=dice.number(1, 900))
    return {
        "customer_id": f"C{number:04}",
        "name": f"{first} {last}",
        "email": f"customer{number}@shop.example" if dice.hits(0.9) else "",
        "country": country,
        "city": city,
        "joined_on": f"{joined:%Y-%m-%d}",
        "newsletter": "true" if dice.hits(0.4) else "false",
        "note": dice.pick(NOTES),
    }


def _orders(dice: Dice, customers: list[dict[str, str]]) -> Files:
    """Return two deliveries a day, and what goes wrong with deliveries."""
    files: Files = {}
    number = 1000
    for day in range(DAYS):
        for hour in (12, 20):
            orders = []
            for _ in range(ORDERS_PER_FILE):
                number += 1
                orders.append(
                    _order(dice, number, FIRST_DAY + timedelta(days=day, hours=hour - 8), dice.pick(customers))
                )
            name = f"orders/{FIRST_DAY + timedelta(days=day):%Y-%m-%d}/orders-{hour}.ndjson"
            files[name] = _ndjson(orders)
    _mishandle(files)
    return files


def _order(dice: Dice, number: int, opened_at: datetime, customer: dict[str, str]) -> dict[str, Any]:
    items: list[dict[str, Any]] = []
    for _ in range(dice.number(1, 3)):
        sku, title, price = dice.pick(TEAS)
        items.append({"sku": sku, "title": title, "quantity": dice.number(1, 4), "price": price})
    cents = sum(round(item["price"] * 100) * item["quantity"] for item in items)
    status = "refunded" if dice.hits(0.06) else "open" if dice.hits(0.05) else "paid"
    ordered_at = opened_at + timedelta(seconds=dice.number(0, 8 * 3600 - 1))
    order: dict[str, Any] = {
        "order_id": f"A{number}",
        "ordered_at": f"{ordered_at:%Y-%m-%dT%H:%M:%SZ}",
        "status": status,
        # a refund is a negative amount; an open order has none yet
        "amount": None if status == "open" else (-cents if status == "refunded" else cents) / 100,
        "customer": {"id": customer["customer_id"], "country": customer["country"]},
        "items": items,
    }
    if (opened_at - FIRST_DAY).days >= COUPONS_FROM:
        order["coupon"] = dice.pick(["TEA5", "AUTUMN"]) if dice.hits(0.3) else None
    return order


def _mishandle(orders: Files) -> None:
    """Spoil deliveries the way that real ones are: renamed, sent twice, compressed, late, with blank lines."""
    for day, hour, new in (
        ("2026-11-03", 20, "orders-20.ndjson.gz"),
        ("2026-11-05", 12, "orders #2 (checked).ndjson"),
        ("2026-11-06", 20, "Übertrag köln.ndjson"),
        ("2026-11-12", 12, "orders-12.ndjson.gz"),
    ):
        orders[f"orders/{day}/{new}"] = orders.pop(f"orders/{day}/orders-{hour}.ndjson")
    # the same bytes, delivered again under another name two days later
    orders["orders/2026-11-06/orders-20 (copy of 11-04).ndjson"] = orders["orders/2026-11-04/orders-20.ndjson"]
    # a till that was offline: orders of the 7th arrive in the folder of the 9th
    orders["orders/2026-11-09/late-till3.ndjson"] = orders.pop("orders/2026-11-07/orders-20.ndjson")
    spaced = orders["orders/2026-11-10/orders-12.ndjson"]
    orders["orders/2026-11-10/orders-12.ndjson"] = spaced.replace(b"\n", b"\n\n", 3) + b"\n"
    orders["orders/2026-11-11/orders-20.ndjson"] = orders["orders/2026-11-11/orders-20.ndjson"].rstrip(b"\n")
    _spoil(orders)


def _spoil(orders: Files) -> None:
    """Spoil single orders: a line torn by a lost connection and sent again, a lost decimal point, a wrong sign."""
    torn = orders["orders/2026-11-02/orders-20.ndjson"].split(b"\n")
    torn.insert(4, torn[4][:57])
    orders["orders/2026-11-02/orders-20.ndjson"] = b"\n".join(torn)
    for name, factor in (("orders/2026-11-08/orders-12.ndjson", 100), ("orders/2026-11-13/orders-20.ndjson", -1)):
        rows = [json.loads(line) for line in orders[name].splitlines()]
        paid = next(row for row in rows if row["status"] == "paid" and row["amount"] > WORTH_A_LOOK)
        paid["amount"] *= factor
        orders[name] = _ndjson(rows)


def _visits(dice: Dice) -> Files:
    """Return one compressed access log a day."""
    files: Files = {}
    for day in range(DAYS):
        midnight = FIRST_DAY + timedelta(days=day)
        seconds = sorted(dice.number(0, 86_399) for _ in range(VISITS_PER_DAY))
        visits = [
            _visit(dice, midnight + timedelta(seconds=second), has_timing=day >= TIMINGS_FROM) for second in seconds
        ]
        files[f"web/access-{midnight:%Y-%m-%d}.ndjson.gz"] = _ndjson(visits)
    # a transfer that broke off and was never taken up again
    files["web/access-2026-10-31.ndjson.gz"] = _stored_gzip(files["web/access-2026-11-01.ndjson.gz"])[:9000]
    return files


def _stored_gzip(content: bytes) -> bytes:
    """Return gzip that does not compress: the same bytes whatever the version of zlib."""
    parts = [content[start : start + 4096] for start in range(0, len(content), 4096)]
    blocks = [
        struct.pack("<BHH", number == len(parts), len(part), len(part) ^ 0xFFFF) + part
        for number, part in enumerate(parts, 1)
    ]
    head = GZIP + b"\x08\0\0\0\0\0\0\xff"
    return head + b"".join(blocks) + struct.pack("<II", zlib.crc32(content), len(content))


def _visit(dice: Dice, at: datetime, *, has_timing: bool) -> dict[str, Any]:
    is_probe = dice.hits(0.1)
    status = 200 if is_probe or dice.hits(0.9) else dice.pick([301, 304, 404, 404, 500])
    path = (
        "/health"
        if is_probe
        else dice.pick(["/", "/teas", "/basket", "/search?q=earl%20grey", f"/teas/{dice.pick(TEAS)[0]}"])
    )
    visit: dict[str, Any] = {
        "time": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        # networks that are reserved for documentation
        "remote_addr": f"{dice.pick(['192.0.2', '198.51.100', '203.0.113'])}.{dice.number(1, 254)}",
        "method": "POST" if path == "/basket" else "GET",
        "path": path,
        "status": status,
        "bytes": None if status == 304 else dice.number(180, 48_000),  # noqa: PLR2004  "not modified" has no body
        "referer": dice.pick(["https://search.example/?q=tea", "https://shop.example/"]) if dice.hits(0.4) else None,
        "user_agent": "probe/1.0" if is_probe else dice.pick(AGENTS),
    }
    if has_timing:
        visit["took_ms"] = dice.number(3, 900) / 10
    return visit


def _customer_lists(customers: list[dict[str, str]]) -> Files:
    """Return three weekly lists: 80 customers, then 20 new ones each. In the second, a row lacks its last field."""
    second = _csv(customers[80:100]).split(b"\n")
    short = next(place for place, line in enumerate(second) if place and line.endswith(b',""'))
    second[short] = second[short].removesuffix(b',""')
    return {
        "customers/customers-2026-11-01.csv": _csv(customers[:80]),
        "customers/customers-2026-11-08.csv": b"\n".join(second),
        "customers/customers-2026-11-15.csv": _csv(customers[100:]),
    }


def _ndjson(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _csv(rows: list[dict[str, str]]) -> bytes:
    """Return CSV where an unknown value is an empty field and a known empty text is ``""``."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    # csv cannot write both kinds of empty field: NUL marks the known one until the end
    writer.writerows({**row, "note": row["note"] or "\0"} for row in rows)
    return text.getvalue().replace("\0", '""').encode()


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    made = generate()
    write(target, made)
    print(f"{len(made)} files, {sum(map(len, made.values())):,} bytes before compression: {target}")
