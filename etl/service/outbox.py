"""What is to be sent, delivered by a thread of its own: whoever puts something in never waits."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from etl.errors import ConfigError
from etl.secrets import scrubbed

if TYPE_CHECKING:
    from etl.seam import Seam

T = TypeVar("T")

FIRST_RETRY_S, LONGEST_RETRY_S = 1.0, 300.0


@dataclass(frozen=True, slots=True)
class Traffic:
    """How much an outbox has sent, dropped and still holds; ``trouble`` is why the newest attempt failed."""

    name: str
    sent: int
    dropped: int
    waiting: int
    trouble: str


class Outbox(Generic[T]):
    """Things in order, at most ``bound``; where there are more, the oldest is dropped and counted.

    One that cannot be delivered is tried again, ever less often, and the others wait behind it. ``ConfigError`` says
    that it never can be: it is dropped. The first failure and the first success after it are told, no more.
    """

    def __init__(
        self, name: str, deliver: Callable[[T], object], seam: Seam, tell: Callable[[str], None], bound: int = 100
    ) -> None:
        self._name, self._deliver, self._seam, self._tell, self._bound = name, deliver, seam, tell, bound
        self._things: deque[T] = deque()
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._is_over = False
        self._due_s = 0.0
        self._failures = self._sent = self._dropped = 0
        self._trouble = ""
        self._thread = threading.Thread(target=self._work, name=f"etl-{name}"[:15], daemon=True)

    def start(self) -> Outbox[T]:
        """Begin to deliver."""
        self._thread.start()
        return self

    def put(self, thing: T) -> None:
        """Have something delivered; returns at once."""
        with self._lock:
            if len(self._things) >= self._bound:
                self._things.popleft()
                self._dropped += 1
            self._things.append(thing)
        self._news.set()

    def traffic(self) -> Traffic:
        """Return how it goes."""
        with self._lock:
            return Traffic(self._name, self._sent, self._dropped, len(self._things), self._trouble)

    def step(self) -> float | None:
        """Deliver the oldest if it is due; return how long until there is something to do, None where nothing waits."""
        with self._lock:
            if not self._things:
                return None
            thing = self._things[0]
        wait_s = self._due_s - self._seam.monotonic()
        if wait_s > 0:
            return wait_s
        try:
            self._deliver(thing)
        except ConfigError as exc:
            self._settle(thing, trouble=str(exc))
        except Exception as exc:  # noqa: BLE001  whatever a library raises stops nothing
            return self._fail(exc)
        else:
            self._settle(thing)
        return 0.0

    def close(self, grace_s: float = 5.0) -> None:
        """Deliver what waits, each tried once more, as far as that goes in so long. *Repeat*: safe."""
        self._is_over = True
        self._news.set()
        if self._thread.is_alive():
            self._thread.join(timeout=grace_s)

    def _settle(self, thing: T, trouble: str = "") -> None:
        with self._lock:
            if self._things and self._things[0] is thing:  # it may have been dropped meanwhile
                self._things.popleft()
            self._sent, self._dropped = self._sent + (not trouble), self._dropped + bool(trouble)
            before, self._trouble, self._failures, self._due_s = self._trouble, trouble, 0, 0.0
        if trouble and trouble != before:
            self._tell(f"{self._name}: dropped, it can never be delivered: {scrubbed(trouble)}")
        elif before and not trouble:
            self._tell(f"{self._name}: delivers again; {self._dropped} dropped since the start")

    def _fail(self, exc: Exception) -> float:
        with self._lock:
            self._failures += 1
            is_first, self._trouble = not self._trouble, f"{type(exc).__name__}: {scrubbed(str(exc))}"
            delay_s = min(FIRST_RETRY_S * 2.0 ** min(self._failures - 1, 20), LONGEST_RETRY_S)
            delay_s *= 0.5 + int(self._seam.new_id()[:4], 16) / 0x20000
            self._due_s = self._seam.monotonic() + delay_s
        if is_first:
            self._tell(f"{self._name}: cannot be delivered, is tried again: {self._trouble}")
        return delay_s

    def _work(self) -> None:
        while not self._is_over:
            wait_s = self.step()
            if wait_s is None or wait_s > 0:
                self._news.wait(wait_s)
                self._news.clear()
        self._due_s = 0.0
        while self.step() == 0.0:
            self._due_s = 0.0
