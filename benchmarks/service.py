"""What a service costs while nothing happens, and how soon after its moment a run begins its batch.

python benchmarks/service.py --pipelines 100 --seconds 60 --triggers 40
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path

TRIGGERS = ("{every: 30s}", '{cron: "*/5 * * * *", timezone: Europe/Berlin}', "{after: [p0]}", "{every: 5m}")


def lay_out(folder: Path, count: int, trigger: str | None) -> None:
    """Write a project whose pipelines find nothing after their first run."""
    (folder / "pipelines").mkdir(parents=True)
    for number in range(count):
        landing = folder / "landing" / str(number)
        landing.mkdir(parents=True)
        (landing / "0.ndjson").write_text('{"id": 0}\n')
        (folder / "pipelines" / f"p{number}.yml").write_text(
            f"source: {{type: files, path: landing/{number}/*.ndjson}}\n"
            f"sink: {{type: delta, table: bronze.p{number}}}\n"
            f"trigger: {trigger or TRIGGERS[number % len(TRIGGERS)]}\n"
        )


class Service:
    """A service of a project; ``committed`` counts batches."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "etl", "-C", str(folder), "serve", "--port", "0", "--log-format", "json"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.committed = 0
        self.changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if "committed" in line:
                with self.changed:
                    self.committed += 1
                    self.changed.notify_all()

    def wait_for(self, count: int) -> None:
        """Wait for so many batches."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.committed >= count, 300):
                raise SystemExit(f"{self.committed} of {count} batches came")

    def cpu_s(self) -> float:
        """Return the CPU time that it took so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def standing(self) -> str:
        """Return its memory, threads and handles."""
        status = dict(line.split(":", 1) for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines())
        handles = len(os.listdir(f"/proc/{self.process.pid}/fd"))
        return f"{int(status['VmRSS'].split()[0]) // 1024} MiB, {status['Threads'].strip()} threads, {handles} handles"

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait()


def idle(count: int, seconds: float, trigger: str | None) -> None:
    """Print what a service with nothing to do costs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_out(folder, count, trigger)
        service = Service(folder)
        service.wait_for(count if trigger else count - count // len(TRIGGERS))  # cron waits for its moment
        time.sleep(10)
        before_s, began_s = service.cpu_s(), time.monotonic()
        time.sleep(seconds)
        share = (service.cpu_s() - before_s) / (time.monotonic() - began_s)
        print(f"{count} idle pipelines, {trigger or 'mixed triggers'}: {share:.2%} of a core; {service.standing()}")
        service.close()


def punctual(seconds: int) -> None:
    """Print how late batches begin: after the tick of ``every``, after the commit of the pipeline before."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_out(folder, 20, "{every: 30s}")
        (folder / "pipelines" / "tick.yml").write_text(
            "source: {type: files, path: landing/tick/*.ndjson, batch: {max_files: 1}}\n"
            "sink: {type: delta, table: bronze.tick}\ntrigger: {every: 1s}\n"
        )
        (folder / "pipelines" / "next.yml").write_text(
            "source: {type: delta, table: bronze.tick}\nsink: {type: delta, table: silver.next}\n"
            "trigger: {after: [tick]}\n"
        )
        (folder / "landing" / "tick").mkdir()
        for number in range(3):
            (folder / "landing" / "tick" / f"{number}.ndjson").write_text('{"id": 0}\n')
        service = Service(folder)
        service.wait_for(24)  # those after one another may be taken together
        for number in range(3, seconds + 3):
            (folder / "landing" / "tick" / f"{number:05}.ndjson").write_text('{"id": 0}\n')
            time.sleep(0.97)
        time.sleep(3)
        service.close()
        planned = {each: _moments(folder, each, "offsets") for each in ("tick", "next")}
        committed = _moments(folder, "tick", "commits")
        grid = statistics.median(at % 1.0 for at in planned["tick"][3:])
        spread = sorted((at - grid + 0.5) % 1.0 - 0.5 for at in planned["tick"][3:])
        earliest = spread[0]
        print("tick -> batch planned, above the earliest:", _told([each - earliest for each in spread]))
        waits = [min((at - done for at in planned["next"] if at >= done), default=9.0) for done in committed[5:]]
        print("commit -> next pipeline's batch planned:", _told(waits))


def _moments(folder: Path, pipeline: str, log: str) -> list[float]:
    """Return when the records of a log were written."""
    found = (folder / "lake" / "_checkpoints" / pipeline).rglob(f"{log}/*")
    return sorted(each.stat().st_mtime for each in found if each.is_file())


def _told(waits_s: list[float]) -> str:
    ordered = sorted(each * 1000 for each in waits_s)
    middle, late = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.95)]
    return f"median {middle:.1f} ms, 95 % {late:.1f} ms, most {ordered[-1]:.1f} ms of {len(ordered)}"


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pipelines", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--triggers", type=int, default=40)
    given = parser.parse_args()
    print(datetime.now().astimezone().isoformat(timespec="seconds"), json.dumps(os.getloadavg()))
    idle(given.pipelines, given.seconds, None)
    idle(given.pipelines, given.seconds, "continuous")
    punctual(given.triggers)


if __name__ == "__main__":
    main()
