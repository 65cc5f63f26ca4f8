from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from etl.config.loader import load, load_pipelines, load_project
from etl.errors import ConfigError
from etl.model import ReadLimit
from etl.project import Project, default_project
from etl.secrets import mask

Write = Callable[[str, str], Path]
Faults = Callable[[Callable[[], object]], list[str]]
PROJECT = """
    version: 1
    lake: ./data/lake
    storage:
      s3: {endpoint_url: "${S3_ENDPOINT:-}", region: eu-west-1, allow_http: true, secret_access_key: zq91plainkey}
    profiles:
      prod:
        lake: s3://company-lake/
        storage: {s3: {region: eu-north-1, session_token: "${PROD_TOKEN}"}}
        defaults: {batch: {max_bytes: null, max_rows: 5}}
      small: {memory: 64MB}
    defaults: {batch: {max_files: 7}}
    memory: 1GB
"""


OWN_LOOP = "reads what the sink writes (silver.orders): the pipeline would feed itself"
ADVICE = "set it, or write ${PROD_TOKEN:-default}"


def pipeline(source: str = "landing", sink: str = "silver.orders", extra: str = "") -> str:
    return f"source: {{type: files, path: '{source}'}}\nsink: {{type: delta, table: {sink}}}\n{extra}"


def test_a_folder_without_a_project_file_has_defaults(tmp_path: Path) -> None:
    assert load_project(tmp_path) == default_project(tmp_path)


def test_a_project_file_is_read(write: Write, tmp_path: Path) -> None:
    write("etl.yml", PROJECT)
    project = load_project(tmp_path)
    assert project.lake == f"{tmp_path}/data/lake"
    assert project.memory_bytes == 1_000_000_000
    assert project.limit == ReadLimit(max_files=7, max_bytes=256_000_000)
    assert project.storage_options == {
        "s3": {"region": "eu-west-1", "allow_http": "true", "secret_access_key": "zq91plainkey"}
    }
    assert mask("zq91plainkey") == "***"
    assert "zq91plainkey" not in repr(project)


def test_a_profile_is_laid_over_the_project(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROD_TOKEN", "zq92token")
    write("etl.yml", PROJECT)
    project = load_project(tmp_path, "prod")
    assert (project.lake, project.profile, project.memory_bytes) == ("s3://company-lake", "prod", 1_000_000_000)
    assert project.limit == ReadLimit(max_files=7, max_bytes=None, max_rows=5)
    assert project.storage_options["s3"] == {
        "region": "eu-north-1",
        "allow_http": "true",
        "secret_access_key": "zq91plainkey",
        "session_token": "zq92token",
    }
    assert mask("zq92token") == "***"
    assert load_project(tmp_path, "small").memory_bytes == 64_000_000


def test_a_variable_counts_only_in_the_profile_that_is_chosen(write: Write, tmp_path: Path, faults_of: Faults) -> None:
    write("etl.yml", PROJECT)
    assert faults_of(lambda: load_project(tmp_path, "prod")) == [
        f"8:55 storage.s3.session_token: environment variable PROD_TOKEN is not set; {ADVICE}"
    ]


def test_every_profile_is_validated_as_far_as_its_variables_are_known(
    write: Write, tmp_path: Path, faults_of: Faults
) -> None:
    write("etl.yml", "profiles:\n  prod: {memory: '${M}', laek: x, defaults: {batch: {max_files: many}}}\n  empty:\n")
    assert faults_of(lambda: load_project(tmp_path)) == [
        (
            "2:26 profiles.prod.laek: unknown key; did you mean 'lake'? "
            "known: lake, storage, defaults, memory, alerts, serve"
        ),
        "2:65 profiles.prod.defaults.batch.max_files: expected a whole number, got 'many'",
        "3:9 profiles.empty: expected a mapping, got null",
    ]


def test_an_unknown_profile_is_told_with_the_known_ones(write: Write, tmp_path: Path, faults_of: Faults) -> None:
    write("etl.yml", PROJECT)
    assert faults_of(lambda: load_project(tmp_path, "staging")) == [
        "5:1 profiles: unknown profile 'staging'; known: prod, small"
    ]
    (tmp_path / "etl.yml").unlink()
    assert faults_of(lambda: load_project(tmp_path, "prod")) == ["1:1 profiles: unknown profile 'prod'; none is known"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("alerts: {}", "1:9 alerts: expected a list, got a mapping"),
        (
            "serve: {prot: 1}",
            ("1:9 serve.prot: unknown key; did you mean 'port'? known: host, port, workers, retries, grace, "
            "token, hosts, actions"),
        ),
        ("lake: ''", "1:7 lake: expected text of at least 1 characters, got ''"),
        ("memory: lots", "1:9 memory: not a size; write 64KB, 256MB or 2GB, got 'lots'"),
        ("storage: {s3: {region: [a]}}", "1:24 storage.s3.region: expected text, got a list"),
        ("storage: {s3: x}", "1:15 storage.s3: expected a mapping, got 'x'"),
        ("profiles: [a]", "1:11 profiles: expected a mapping, got a list"),
        ("storage: {s3: {endpoint_url: 'http://me:zq93@host'}}",
         "1:30 storage.s3.endpoint_url: a URL with user:password@; give the password under storage: as ${secret:name}"),
    ],
)  # fmt: skip
def test_a_wrong_project_file_is_told_at_its_place(
    write: Write, tmp_path: Path, faults_of: Faults, text: str, fault: str
) -> None:
    write("etl.yml", text)
    assert faults_of(lambda: load_project(tmp_path)) == [fault]


def test_a_profile_may_hold_a_list_only_where_one_is_known(write: Write, tmp_path: Path, faults_of: Faults) -> None:
    write("etl.yml", "lake: a\nprofiles: {prod: {lake: ['${X}', b]}}\n")
    assert faults_of(lambda: load_project(tmp_path, "prod")) == ["2:25 profiles.prod.lake: expected text, got a list"]


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        load_project(tmp_path / "gone")


def test_faults_of_all_files_come_together_grouped_by_file(write: Write, tmp_path: Path) -> None:
    write("etl.yml", "lakes: x\n")
    write("pipelines/a.yml", "source: {type: files\n")
    write("pipelines/b.yaml", pipeline(extra="trigger: never\n"))
    write("pipelines/notes.txt", "no pipeline")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    assert str(caught.value) == (
        "etl.yml: 1 problem\n"
        "  1:1    lakes: unknown key; did you mean 'lake'? known: lake, storage, defaults, memory, "
        "alerts, serve, version, profiles\n"
        "pipelines/a.yml: 1 problem\n"
        "  2:1    not YAML: did not find expected ',' or '}' while parsing a flow mapping\n"
        "pipelines/b.yaml: 1 problem\n"
        "  3:10   trigger: unknown value 'never'; known: available_now, once, continuous"
    )


def test_faults_of_the_project_alone_are_raised_when_its_pipelines_are_sound(write: Write, tmp_path: Path) -> None:
    write("etl.yml", "lakes: x\n")
    write("pipelines/a.yml", pipeline())
    with pytest.raises(ConfigError, match=r"^etl.yml: 1 problem\n.*$"):
        load(tmp_path)


def test_pipelines_that_are_not_asked_for_do_not_stand_in_the_way(write: Write, tmp_path: Path) -> None:
    write("pipelines/broken.yml", "source: [\n")
    write("pipelines/wrong.yml", "name: other\nsource: {}\n")
    write("pipelines/orders.yml", pipeline())
    project, specs = load(tmp_path, names=["orders"])
    assert (project, [spec.name for spec in specs]) == (default_project(tmp_path), ["orders"])
    with pytest.raises(ConfigError, match=r"pipelines/broken\.yml: 1 problem"):
        load(tmp_path, names=["broken"])
    with pytest.raises(ConfigError, match=r"pipelines/wrong.yml: \d problems"):
        load(tmp_path, names=["other"])


def test_an_unknown_pipeline_name_is_told_with_the_nearest(write: Write, tmp_path: Path) -> None:
    write("pipelines/orders.yml", pipeline())
    with pytest.raises(ConfigError, match=r"unknown pipeline 'ordres'; did you mean 'orders'\?"):
        load_pipelines(default_project(tmp_path), ["ordres"])


def test_a_folder_without_pipelines_has_none(tmp_path: Path) -> None:
    assert load_pipelines(default_project(tmp_path)) == []


def test_pipelines_come_after_those_whose_tables_they_read(write: Write, tmp_path: Path) -> None:
    write("pipelines/a.yml", pipeline("lake/silver/*/*.parquet", "gold.a"))
    write("pipelines/b.yml", pipeline("landing/b", "silver.b"))
    write("pipelines/c.yml", pipeline("landing/c", "silver.c"))
    write("pipelines/d.yml", pipeline("lake/gold/a/**", "gold.d"))
    assert [spec.name for spec in load_pipelines(default_project(tmp_path))] == ["b", "c", "a", "d"]
    assert [spec.name for spec in load_pipelines(default_project(tmp_path), ["d", "b"])] == ["b", "d"]


def test_a_cycle_of_pipelines_is_named(write: Write, tmp_path: Path, faults_of: Faults) -> None:
    write("pipelines/a.yml", pipeline("lake/silver/b", "silver.a"))
    write("pipelines/b.yml", pipeline("lake/silver/a", "silver.b"))
    (fault,) = faults_of(lambda: load_pipelines(default_project(tmp_path)))
    assert fault in (
        "1:29 source.path: a cycle of pipelines, each reading the table of the next: a -> b -> a",
        "1:29 source.path: a cycle of pipelines, each reading the table of the next: b -> a -> b",
    )


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("lake/silver/orders", OWN_LOOP),
        ("lake/silver/*/*.parquet", OWN_LOOP),
        ("lake/_checkpoints/orders", "reads the lake's checkpoints (_checkpoints)"),
    ],
)  # fmt: skip
def test_a_pipeline_that_feeds_itself_is_refused(
    write: Write, tmp_path: Path, faults_of: Faults, source: str, fault: str
) -> None:
    write("pipelines/orders.yml", pipeline(source))
    assert faults_of(lambda: load_pipelines(default_project(tmp_path))) == [f"1:29 source.path: {fault}"]


def test_a_source_over_the_whole_lake_is_refused_for_the_table_and_the_checkpoints(
    write: Write, tmp_path: Path, faults_of: Faults
) -> None:
    write("pipelines/orders.yml", pipeline("./**/*.parquet"))
    assert faults_of(lambda: load_pipelines(default_project(tmp_path))) == [
        "1:29 source.path: reads the lake's checkpoints (_checkpoints)",
        "1:29 source.path: reads what the sink writes (silver.orders): the pipeline would feed itself",
    ]


def test_a_sink_over_the_checkpoints_is_refused(write: Write, tmp_path: Path, faults_of: Faults) -> None:
    write("pipelines/a.yml", "source: {type: files, path: x}\nsink: {type: delta, path: lake/_checkpoints/t}\n")
    assert faults_of(lambda: load_pipelines(default_project(tmp_path))) == [
        "2:27 sink.path: writes over the lake's checkpoints (_checkpoints)"
    ]


def test_a_name_and_a_table_belong_to_one_pipeline_whatever_the_case(
    write: Write, tmp_path: Path, faults_of: Faults
) -> None:
    write("pipelines/a.yml", pipeline())
    write("pipelines/b.yml", pipeline(sink="Silver.Orders", extra="name: A\n"))
    write("pipelines/c.yml", "source: {type: files, path: x}\nsink: {type: delta, path: lake/silver/orders/part}\n")
    assert faults_of(lambda: load_pipelines(default_project(tmp_path))) == [
        "2:28 sink.table: Silver.Orders is written by pipelines/a.yml too",
        "3:7 name: 'A' is the name of pipelines/a.yml too",
        "2:27 sink.path: lake/silver/orders/part and Silver.Orders (pipelines/b.yml) lie one in the other",
        "2:27 sink.path: lake/silver/orders/part and silver.orders (pipelines/a.yml) lie one in the other",
    ]


def test_the_limits_of_the_project_hold_where_a_pipeline_says_nothing(write: Write, tmp_path: Path) -> None:
    write(
        "pipelines/a.yml",
        "source: {type: files, path: x, batch: {max_bytes: null, max_files: 3}}\n" + pipeline().split("\n")[1],
    )
    project = Project(folder=tmp_path, lake=f"{tmp_path}/lake", limit=ReadLimit(max_files=9, max_bytes=10, max_rows=11))
    assert load_pipelines(project)[0].source.limit == ReadLimit(max_files=3, max_bytes=None, max_rows=11)


def test_loading_and_wiring_import_no_heavy_library() -> None:
    heavy = ("deltalake", "duckdb", "fsspec", "polars", "pyarrow", "s3fs", "sqlglot")
    code = f"import sys, etl.config.loader, etl.config.wiring; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
