"""How long views of the status page take to render: ``page.py [--pipelines 100] [--commits 100000] [--looks 30]``.

A real service, asked over HTTP. Each pipeline has run once; its further commit entries are copies of the first, so that
the history has the wanted length. Lags are asked for in the background and are no part of a view.
"""

from __future__ import annotations

import argparse
import http.client
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from measure import environment

from etl.checkpoint.record import decode_record, encode_record

TOKEN = "a-token-for-the-benchmark"  # noqa: S105  nobody else is asked with it
PROJECT = "version: 1\nlake: ./lake\nserve: {{port: {port}, token: {token}}}\n"
PIPELINE = """\
version: 1
source: {{type: files, path: landing/{name}/*.ndjson}}
sink: {{type: delta, table: silver.{name}}}
trigger: {{cron: "0 0 29 2 *"}}
"""
PORT = 8799
PATIENCE_S = 120


def command(folder: Path, *arguments: str) -> list[str]:
    """Return a command of ours in the project."""
    return [sys.executable, "-m", "etl", "-C", str(folder), *arguments]


def make_project(folder: Path, pipelines: int, commits: int) -> None:
    """Make a project whose pipelines have so many commits together."""
    (folder / "pipelines").mkdir(parents=True)
    (folder / "etl.yml").write_text(PROJECT.format(port=PORT, token=TOKEN))
    for number in range(pipelines):
        name = f"p{number:03}"
        (folder / "landing" / name).mkdir(parents=True)
        (folder / "landing" / name / "1.ndjson").write_text(f'{{"id": {number}, "amount": 1.5}}\n' * 10)
        (folder / "pipelines" / f"{name}.yml").write_text(PIPELINE.format(name=name))
    subprocess.run(command(folder, "run", "--all"), env=environment(), check=True, stdout=subprocess.DEVNULL)
    for checkpoint in sorted((folder / "lake" / "_checkpoints").iterdir()):
        lengthen(checkpoint / "commits", commits // pipelines)


def lengthen(log: Path, commits: int) -> None:
    """Put copies of the first entry behind it."""
    first = log / "0000000000.json"
    record = decode_record(first.read_bytes(), kind="commit", pipeline=None, where=str(first))
    for batch_id in range(1, commits):
        body = {**record.body, "result": {**record.body["result"], "batch_id": batch_id}}
        (log / f"{batch_id:010}.json").write_bytes(encode_record(replace(record, batch_id=batch_id, body=body)))


def look(path: str) -> float:
    """Return the seconds until a view is there as a whole."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=PATIENCE_S)
    began = time.perf_counter()
    connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
    answer = connection.getresponse()
    answer.read()
    took_s = time.perf_counter() - began
    connection.close()
    if answer.status != http.HTTPStatus.OK:
        raise SystemExit(f"{path}: {answer.status}")
    return took_s


def wait_for_page() -> None:
    """Wait until the page answers."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            look("/ui/static/page.css")
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the page does not answer")


def cpu_s(process: int) -> float:
    """Return the processor seconds that a process has taken."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def measure(folder: Path, commits: int, looks: int) -> None:
    """Start the service, look at every view, and print what it took."""
    views = {
        "all pipelines": "/ui/",
        "one pipeline": "/ui/pipelines/p001",
        "its oldest batches": "/ui/pipelines/p001?upto=19",
        "a batch": "/ui/pipelines/p001/batches/0",
        "schema": "/ui/pipelines/p001/schema",
        "graph": "/ui/graph",
        "metrics": "/metrics",
    }
    with subprocess.Popen(command(folder, "serve"), env=environment(), stderr=subprocess.DEVNULL) as service:
        try:
            wait_for_page()
            time.sleep(20)  # until all has started and the newest history was read
            before_s = cpu_s(service.pid)
            time.sleep(20)
            print(f"idle, no page open: {(cpu_s(service.pid) - before_s) / 20:.1%} of a core; {commits} commits each")
            print("| view | first | median | 95 % | processor |\n|---|---|---|---|---|")
            for name, path in views.items():
                first_ms = look(path) * 1000
                before_s = cpu_s(service.pid)
                took_ms = sorted(look(path) * 1000 for _ in range(looks))
                busy_ms = (cpu_s(service.pid) - before_s) / looks * 1000
                usual_ms, high_ms = statistics.median(took_ms), took_ms[int(looks * 0.95)]
                print(f"| {name} | {first_ms:.0f} ms | {usual_ms:.0f} ms | {high_ms:.0f} ms | {busy_ms:.0f} ms |")
        finally:
            service.send_signal(signal.SIGTERM)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pipelines", type=int, default=100)
    parser.add_argument("--commits", type=int, default=100_000)
    parser.add_argument("--looks", type=int, default=30)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="etl-page-"))
    try:
        make_project(folder / "shop", given.pipelines, given.commits)
        measure(folder / "shop", given.commits // given.pipelines, given.looks)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
