"""A service at work in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.scheduling import folder_with
from tests.serving import ENVIRONMENT, PATIENCE_S, Service, ids_of, put, source_of

AFTER = "source: {type: delta, table: bronze.%s}\nsink: {type: delta, table: silver.%s}\ntrigger: {after: [%s]}\n"
BROKEN = "source: {type: files, path: landing/a/*.ndjson}\nsink: {type: delta, tabel: bronze.a}\ntrigger: {every: 1s}\n"


@pytest.fixture
def serve() -> Iterator[Callable[[Path], Service]]:
    """Return a function that starts a service; what still runs at the end is killed."""
    started: list[Service] = []

    def begin(folder: Path) -> Service:
        started.append(Service(folder))
        return started[-1]

    yield begin
    for service in started:
        service.close()


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "etl", "-C", str(folder), *arguments],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_pipelines_run_side_by_side_by_their_triggers(tmp_path: Path, serve: Callable[[Path], Service]) -> None:
    folder = folder_with(
        tmp_path,
        often=source_of("often", "{every: 1s}"),
        ever=source_of("ever", "continuous"),
        apart=source_of("apart", "{every: 1s}", "isolation: process\n"),
        behind=AFTER % ("often", "behind", "often"),
    )
    expected = {name: put(folder, name, 0) for name in ("often", "ever", "apart")}
    service = serve(folder)
    waited = {"  often  ", "  ever  ", "  apart  ", "  behind  "}
    while waited:
        line = service.wait_for("committed")
        waited = {each for each in waited if each not in line}
    expected["often"] += put(folder, "often", 1)
    service.wait_for("  behind  ", "committed")

    assert service.end() == 0
    assert service.said[-1].endswith("  stopped: the batches under way were finished")
    assert {name: ids_of(folder, f"bronze.{name}") for name in expected} == expected
    assert ids_of(folder, "silver.behind") == expected["often"]
    assert all("Traceback" not in line for line in service.said)


def test_a_file_edited_into_nonsense_leaves_the_former_definition_running(
    tmp_path: Path, serve: Callable[[Path], Service]
) -> None:
    folder = folder_with(tmp_path, a=source_of("a", "{every: 500ms}"))
    expected = put(folder, "a", 0)
    service = serve(folder)
    service.wait_for("  a  ", "committed")
    folder_with(folder, a=BROKEN)
    line = service.wait_for("  a  ", "faulty")
    assert "pipelines/a.yml:2:21: sink.tabel: unknown key; did you mean 'table'?" in line
    expected += put(folder, "a", 1)
    service.wait_for("  a  ", "committed")
    folder_with(folder, a=source_of("a", "{every: 500ms}", "description: mended\n"), b=source_of("b", "continuous"))
    service.wait_for("  a  ", "taken")
    put(folder, "b", 0)
    service.wait_for("  b  ", "committed")
    (folder / "pipelines" / "b.yml").unlink()
    service.wait_for("  b  ", "removed")

    assert service.end() == 0
    assert ids_of(folder, "bronze.a") == expected


def test_a_project_has_one_service_and_a_pipeline_one_runner(tmp_path: Path, serve: Callable[[Path], Service]) -> None:
    folder = folder_with(tmp_path, a=source_of("a", "{every: 500ms}"))
    expected = put(folder, "a", 0)
    service = serve(folder)
    service.wait_for("  a  ", "committed")

    second = run(folder, "serve", "--no-page", "--port", "0")
    assert second.returncode == 3
    assert f"another service runs this project: process {service.process.pid} on " in second.stderr
    assert run(folder, "run", "a").returncode == 3

    expected += put(folder, "a", 1)
    service.wait_for("  a  ", "committed")
    assert service.end(signal.SIGINT) == 130
    assert ids_of(folder, "bronze.a") == expected


def test_a_service_that_is_killed_leaves_no_process_behind(tmp_path: Path, serve: Callable[[Path], Service]) -> None:
    folder = folder_with(tmp_path, a=source_of("a", "continuous", "isolation: process\n"))
    expected = put(folder, "a", 0)
    service = serve(folder)
    service.wait_for("  a  ", "committed")
    service.end(signal.SIGKILL)
    expected += put(folder, "a", 1)

    service = serve(folder)
    service.wait_for("  a  ", "committed")
    assert service.end() == 0
    assert ids_of(folder, "bronze.a") == expected == Counter(range(6))


def test_an_isolated_pipeline_whose_file_became_faulty_goes_on_by_the_definition_before(
    tmp_path: Path, serve: Callable[[Path], Service]
) -> None:
    folder = folder_with(tmp_path, a=source_of("a", "{every: 1s}", "isolation: process\n"))
    expected = put(folder, "a", 0)
    service = serve(folder)
    service.wait_for("  a  ", "committed")
    file = folder / "pipelines" / "a.yml"
    sound = file.read_text()
    file.write_text(f"{sound}nonsense: 1\n")
    assert "a.yml" in service.wait_for("nonsense: unknown key")

    expected += put(folder, "a", 1)
    service.wait_for("  a  ", "committed")
    file.write_text(f"{sound}transforms: [{{filter: id <> 7}}]\n")
    service.wait_for("  a  ", "taken")
    expected += put(folder, "a", 2) - Counter([7])
    service.wait_for("  a  ", "committed")

    assert service.end() == 0
    assert ids_of(folder, "bronze.a") == expected
