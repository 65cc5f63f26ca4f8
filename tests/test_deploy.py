"""The deployment examples, checked as far as a machine without a cluster can."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from etl.cli.interruption import GRACE_S

DEPLOY = Path(__file__).parents[1] / "docs" / "deploy"
UNIT = (DEPLOY / "etl-serve.service").read_text("utf-8")


def setting(name: str) -> str:
    """Return a setting of the unit."""
    found = re.search(rf"^{name}=(.*)$", UNIT, re.MULTILINE)
    assert found is not None, name
    return found[1]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "etl-serve.service"
    here = UNIT.replace("/srv/shop/.venv/bin/etl", shutil.which("true") or "/bin/true").replace("=etl\n", "=root\n")
    unit.write_text(here.replace("/srv/shop", str(tmp_path)), encoding="utf-8")

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60, check=False
    )

    told = [line for line in done.stderr.splitlines() if unit.name in line]
    assert told == []


def test_unit_leaves_time_for_the_batch_under_way_and_does_not_repeat_what_a_person_must_mend() -> None:
    assert int(setting("TimeoutStopSec")) > GRACE_S
    assert setting("RestartPreventExitStatus").split() == ["2", "3", "4"]


def test_container_passes_signals_on_and_validates_while_it_is_built() -> None:
    lines = (DEPLOY / "Dockerfile").read_text("utf-8").splitlines()
    commands = [line.split()[0] for line in lines if line and not line.startswith("#")]

    assert set(commands) <= {"FROM", "RUN", "WORKDIR", "COPY", "USER", "ENTRYPOINT", "CMD"}
    assert commands[0] == "FROM"
    assert 'ENTRYPOINT ["etl"]' in lines
    assert lines.index("RUN etl validate") < lines.index("USER etl") < lines.index('ENTRYPOINT ["etl"]')


def cron_job() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "cronjob.yaml").read_text("utf-8"))
    return loaded


def test_cron_job_runs_one_at_a_time_and_is_not_repeated() -> None:
    job = cron_job()
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]

    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "CronJob")
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    assert job["spec"]["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert pod["restartPolicy"] == "Never"
    assert pod["terminationGracePeriodSeconds"] > GRACE_S


def test_cron_job_passes_arguments_that_the_command_knows() -> None:
    from typer.testing import CliRunner

    from etl.cli.app import app

    container = cron_job()["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    help_text = CliRunner().invoke(app, ["run", "--help"]).stdout

    assert [argument for argument in container["args"] if argument.startswith("--")] == ["--all", "--max-seconds"]
    assert all(argument in help_text for argument in ("--all", "--max-seconds"))
