"""Write the input of the example projects anew: the same seed gives the same bytes."""

from __future__ import annotations

import csv
import io
import json
import math
import random
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

HERE = Path(__file__).parent
START = datetime(2026, 3, 2, 8, tzinfo=UTC)
COUNTRIES = ("CH", "DE", "FR", "IT")


def moment(at: datetime) -> str:
    """Return a moment as ISO 8601 text in UTC."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def write_lines(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write rows as NDJSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_csv(path: Path, rows: list[Mapping[str, object]]) -> None:
    """Write rows as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    written = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    written.writeheader()
    written.writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8")


def sales(made: random.Random) -> None:
    """Write sales of half a day, one file an hour, some sent a file later than they were made."""
    held: list[Mapping[str, object]] = []
    for hour in range(6):
        rows, later = [*held], []
        for number in range(40):
            at = START + timedelta(hours=hour, seconds=made.randrange(3600))
            row = {
                "sale_id": f"s{hour}{number:03}",
                "sold_at": moment(at),
                "country": made.choice(COUNTRIES),
                "amount": f"{made.randrange(500, 20000) / 100:.2f}",
            }
            (later if made.random() < 0.1 else rows).append(row)
        held = later
        write_lines(HERE / f"report/landing/sales/{hour:02}.ndjson", rows)


def orders(made: random.Random) -> None:
    """Write three days of orders, each with its states: placed, then paid or cancelled, now and then sent twice."""
    for day in range(3):
        rows = []
        for number in range(30):
            placed_at = START + timedelta(days=day, minutes=made.randrange(600))
            order: dict[str, object] = {
                "order_id": f"o{day}{number:02}",
                "customer": f"c{made.randrange(12)}",
                "amount": f"{made.randrange(1000, 9000) / 100:.2f}",
            }
            rows.append({**order, "status": "placed", "changed_at": moment(placed_at)})
            ended = "cancelled" if made.random() < 0.15 else "paid"
            rows.append({**order, "status": ended, "changed_at": moment(placed_at + timedelta(minutes=20))})
        rows += made.sample(rows, 5)
        made.shuffle(rows)
        write_csv(HERE / f"incremental/landing/orders/day{day + 1}.csv", rows)


def payments(made: random.Random) -> None:
    """Write payments of eighty cards, of which two are in the wrong hands for a while."""
    rows: list[dict[str, object]] = []
    for number in range(240):
        card = made.randrange(80)
        at = START + timedelta(seconds=made.randrange(4 * 3600))
        amount = round(made.uniform(5, 80) * (1 + card % 4), 2)
        rows.append({"payment_id": f"p{number:03}", "card": f"card{card:02}", "paid_at": at, "amount": amount})
    for number in range(7):
        at = START + timedelta(hours=2, minutes=3 * number)
        rows.append({"payment_id": f"x{number}", "card": "card07", "paid_at": at, "amount": 900.0 + number})
    rows.append({"payment_id": "y0", "card": "card11", "paid_at": START + timedelta(hours=3), "amount": 4200.0})
    rows.sort(key=lambda row: (str(row["paid_at"]), str(row["payment_id"])))
    for part in range(4):
        chosen = [{**row, "paid_at": moment(at)} for row in rows if (at := row["paid_at"]) and _hour(at) == part]
        made.shuffle(chosen)
        write_lines(HERE / f"decisions/landing/payments/{part:02}.ndjson", chosen)


def _hour(at: object) -> int:
    assert isinstance(at, datetime)
    return min(3, int((at - START).total_seconds() // 3600))


def visits(made: random.Random) -> None:
    """Write visits to a shop and whether they ended in a purchase; half way, what makes people buy changes."""
    for part in range(8):
        rows: list[Mapping[str, object]] = []
        for number in range(150):
            minutes, pages = made.uniform(0, 10), made.randrange(1, 15)
            is_returning = made.random() < 0.4
            pull = 0.5 * minutes - 3 if part < 4 else 0.4 * pages - 3
            chance = 1 / (1 + math.exp(-(pull + is_returning)))
            rows.append(
                {
                    "visit_id": f"v{part}{number:03}",
                    "minutes": round(minutes, 2),
                    "pages": pages,
                    "is_returning": str(is_returning).lower(),
                    "has_bought": str(made.random() < chance).lower(),
                }
            )
        write_csv(HERE / f"learning/landing/visits/{part:02}.csv", rows)


def readings(made: random.Random) -> None:
    """Write the temperatures of four cold rooms, every minute of four hours; one fails, one is opened often."""
    for part in range(8):
        rows = []
        for minute in range(30 * part, 30 * part + 30):
            for room in ("fish", "meat", "milk", "fruit"):
                celsius = made.gauss(4, 0.6)
                if room == "meat" and 75 <= minute < 165:
                    celsius += min(9.0, 0.4 * (minute - 75))
                if room == "milk" and made.random() < 0.08:
                    celsius += 6
                at = START + timedelta(minutes=minute, seconds=made.randrange(50))
                rows.append({"room": room, "read_at": moment(at), "celsius": round(celsius, 1)})
        write_lines(HERE / f"alerting/landing/readings/{part:02}.ndjson", rows)


def changes(made: random.Random) -> None:
    """Write what happens to customers: they come, collect points and rise, a few leave; some changes come late."""
    names = ("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gina", "Hugo", "Ida", "Jan")
    points: dict[str, int] = {}
    held: list[Mapping[str, object]] = []
    for part in range(5):
        rows, later = [*held], []
        for number in range(16):
            name = names[made.randrange(min(len(names), 4 + 2 * part))]
            is_new = name not in points
            points[name] = points.get(name, 0) + made.randrange(0, 60)
            tier = "gold" if points[name] >= 200 else "silver" if points[name] >= 80 else "basic"
            row: dict[str, object] = {"customer_id": name.lower(), "name": name, "tier": tier, "points": points[name]}
            op = "insert" if is_new else "delete" if made.random() < 0.06 else "update"
            row |= {"op": op, "changed_at": moment(START + timedelta(hours=part, minutes=3 * number))}
            if op == "delete":
                del points[name]
            (later if made.random() < 0.15 else rows).append(row)
        held = later
        made.shuffle(rows)
        write_lines(HERE / f"serving/landing/changes/{part:02}.ndjson", rows)


if __name__ == "__main__":
    for write in (sales, orders, payments, visits, readings, changes):
        write(random.Random(write.__name__))
    print("written")
