"""What is wrong with a pipeline, and when that is worth a message: nothing here sends, waits or asks the time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, TypeAlias

from etl.notifying import Condition
from etl.service.contract import Phase

if TYPE_CHECKING:
    from etl.model import BatchResult
    from etl.service.contract import Served
    from etl.service.watch import Seen

Key: TypeAlias = "tuple[str, Condition]"
News: TypeAlias = Literal["begins", "lasts", "over"]

SETTLE_S = 60.0
"""How long a condition must be gone until it is told to be over; that it comes back meanwhile is not told."""
_LONGEST_SETTLE_S = 3600.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """A condition that holds."""

    pipeline: str
    condition: Condition
    text: str

    @property
    def key(self) -> Key:
        """What makes it the same as before, whatever its text."""
        return self.pipeline, self.condition


def troubles_of(served: Served, seen: Seen, newest: BatchResult | None, now: datetime) -> Iterator[Trouble]:
    """Yield what is wrong with a pipeline now; ``newest`` is its newest batch that had rows."""
    if served.failures:
        times = "" if served.failures == 1 else f" ({served.failures} times in a row)"
        yield Trouble(served.name, "failure", f"{served.reason or 'a run failed'}{times}")
    if served.phase is Phase.PAUSED and served.failures:
        yield Trouble(served.name, "degraded", f"paused after {served.failures} failures: {served.reason}")
    elif served.phase is Phase.FAULTY or served.fault:
        yield Trouble(served.name, "degraded", f"its file cannot be taken: {served.fault or served.reason}")
    yield from _stale(served.name, seen, now)
    most, share = seen.sla.max_quarantined, rejected_share(newest)
    if most is not None and newest is not None and share is not None and share > most:
        text = f"batch {newest.batch_id} rejected {share:.1%} of its rows, more than {most:.1%}"
        yield Trouble(served.name, "quarantine", text)


def rejected_share(result: BatchResult | None) -> float | None:
    """Return which part of the rows of a batch was rejected, None where that says nothing: no rows, or a replay."""
    if result is None or result.resolution is not None or not result.rows.get("read"):
        return None
    return result.rows.get("quarantined", 0) / result.rows["read"]


def _stale(name: str, seen: Seen, now: datetime) -> Iterator[Trouble]:
    if seen.sla.max_age is None:
        return
    since, what = seen.committed_at, "the newest commit is"
    if seen.sla.of == "data" and seen.result is not None and seen.result.watermark is not None:
        since, what = datetime.fromisoformat(seen.result.watermark), "the watermark is"
    most, age = timedelta(seconds=seen.sla.max_age), now - (since or seen.since)
    if age > most:
        told = (
            f"{what} {_age(age)} old" if since is not None else f"no commit for {_age(age)}, since the service started"
        )
        yield Trouble(name, "freshness", f"{told}; promised are {_age(most)}")


def _age(span: timedelta) -> str:
    return str(timedelta(seconds=int(span.total_seconds())))


@dataclass(slots=True)
class _Told:
    """A condition that was told to hold: when last, and since when it is gone (None while it holds)."""

    trouble: Trouble
    told_s: float
    settle_s: float
    gone_s: float | None = None


class Ledger:
    """What one receiver was told: a condition once while it lasts, again after ``remind_s``, and once when it is over.

    One that comes back within an hour of having been told to be over needs twice as long to be told so again.
    """

    def __init__(self, remind_s: float) -> None:
        self._remind_s = remind_s
        self._told: dict[Key, _Told] = {}
        self._over: dict[Key, tuple[float, float]] = {}

    def step(self, troubles: Collection[Trouble], now_s: float) -> list[tuple[News, Trouble]]:
        """Return what is to be told by what is wrong now."""
        present: Mapping[Key, Trouble] = {each.key: each for each in troubles}
        news = [item for trouble in present.values() for item in self._holds(trouble, now_s)]
        for key, told in list(self._told.items()):
            if key in present:
                continue
            told.gone_s = now_s if told.gone_s is None else told.gone_s
            if now_s - told.gone_s >= told.settle_s:
                del self._told[key]
                self._over[key] = (now_s, told.settle_s)
                news.append(("over", told.trouble))
        return news

    def _holds(self, trouble: Trouble, now_s: float) -> Iterator[tuple[News, Trouble]]:
        told = self._told.get(trouble.key)
        if told is None:
            over_s, before_s = self._over.pop(trouble.key, (now_s, 0.0))
            is_back = before_s > 0 and now_s - over_s < _LONGEST_SETTLE_S
            settle_s = min(before_s * 2, _LONGEST_SETTLE_S) if is_back else SETTLE_S
            self._told[trouble.key] = _Told(trouble, now_s, settle_s)
            yield "begins", trouble
            return
        told.trouble, told.gone_s = trouble, None
        if now_s - told.told_s >= self._remind_s:
            told.told_s = now_s
            yield "lasts", trouble
