"""A service in a process of its own, and the lines that it says."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "200", "PYTHONWARNINGS": "error"}
PATIENCE_S = 90.0


def source_of(name: str, trigger: str, further: str = "") -> str:
    """Return a pipeline that takes files from a folder of its name, one a batch."""
    return (
        f"source: {{type: files, path: landing/{name}/*.ndjson, batch: {{max_files: 1}}}}\n"
        f"sink: {{type: delta, table: bronze.{name}}}\ntrigger: {trigger}\n{further}"
    )


def put(folder: Path, name: str, number: int, rows: int = 3) -> Counter[int]:
    """Have a file arrive, whole or not at all; return its ids."""
    landing = folder / "landing" / name
    landing.mkdir(parents=True, exist_ok=True)
    ids = [number * rows + place for place in range(rows)]
    (landing / f".{number}").write_text("".join(json.dumps({"id": each}) + "\n" for each in ids))
    os.rename(landing / f".{number}", landing / f"{number:06}.ndjson")
    return Counter(ids)


def ids_of(folder: Path, table: str) -> Counter[int]:
    """Return how often each id is in a table."""
    from deltalake import DeltaTable

    path = str(folder / "lake" / table.replace(".", "/"))
    if not DeltaTable.is_deltatable(path):
        return Counter()
    return Counter(DeltaTable(path).to_pyarrow_table(columns=["id"]).column("id").to_pylist())


class Service:
    """`etl serve` of a project."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "etl", "-C", str(folder), "serve", "--no-page", "--port", "0", *arguments],
            env=ENVIRONMENT,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said: list[str] = []
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def wait_for(self, *words: str, is_enough: Callable[[], bool] = lambda: True) -> str:
        """Return the next line with all of these words, once it is enough."""
        while True:
            line = self._lines.get(timeout=PATIENCE_S)
            assert line is not None, f"the service ended by {self.process.wait()}: {self.said[-20:]}"
            self.said.append(line)
            if all(word in line for word in words) and is_enough():
                return line

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it and return its exit code; the rest of what it said is kept."""
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        self._reader.join()
        while (line := self._lines.get()) is not None:
            self.said.append(line)
        if self.process.stderr is not None:
            self.process.stderr.close()
        return code

    def close(self) -> None:
        """Leave nothing behind."""
        if self.process.poll() is None:
            self.end(signal.SIGKILL)
