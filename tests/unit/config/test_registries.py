from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from etl.config.faults import ConfigFaults
from etl.config.loader import load_pipelines
from etl.config.registries import _installed, names, registered
from etl.errors import ConfigError
from etl.project import default_project
from tests.unit.config.conftest import FolderSource


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install a package with two sources: one whose module is there, one whose module is not."""
    package = tmp_path / "kafka_source-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: kafka-source\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[etl.sources]\nkafka = outside_kafka:Kafka\nbroken = outside_gone:X\n")
    (tmp_path / "outside_kafka.py").write_text("class Kafka: ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    _installed.cache_clear()
    yield
    _installed.cache_clear()


def test_a_name_of_ours_is_found() -> None:
    assert registered("sources", "files") is FolderSource


def test_an_unknown_name_is_none() -> None:
    assert registered("sinks", "nothing") is None


@pytest.mark.usefixtures("installed")
def test_a_name_of_an_installed_package_is_found_and_listed() -> None:
    assert registered("sources", "kafka").__name__ == "Kafka"
    assert names("sources") == ["broken", "files", "kafka"]


@pytest.mark.usefixtures("installed")
def test_an_installed_package_that_cannot_be_loaded_is_named() -> None:
    with pytest.raises(ConfigError, match="'broken' of the installed outside_gone:X cannot be loaded: No module named"):
        registered("sources", "broken")


@pytest.mark.usefixtures("installed")
def test_a_broken_installed_package_is_a_fault_of_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "a.yml").write_text("source: {type: broken}\nsink: {type: delta, table: a.b}\n")
    with pytest.raises(ConfigFaults, match="'broken' of the installed outside_gone:X cannot be"):
        load_pipelines(default_project(tmp_path))


def test_installed_packages_are_not_scanned_for_names_of_ours() -> None:
    _installed.cache_clear()
    registered("sources", "files")
    assert _installed.cache_info().misses == 0
    registered("sources", "unknown")
    assert _installed.cache_info().misses == 1
