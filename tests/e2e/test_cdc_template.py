"""The project of `etl init --template cdc` does what its README says, typed as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.e2e.conftest import ENVIRONMENT, ROOT

README = ROOT / "etl" / "cli" / "templates" / "cdc" / "README.md"
CUSTOMERS = ["1,Ada,Genf,130", "3,Cleo,Chur,100", "4,Dan,Thun,150"]
VERSIONS = [
    "1,Bern,2025-11-01T08:00:00.000000+0000,2025-11-01T09:00:00.000000+0000,false",
    "1,Genf,2025-11-01T09:00:00.000000+0000,,true",
    "2,Basel,2025-11-01T08:00:00.000000+0000,2025-11-01T08:50:00.000000+0000,false",
    "2,Biel,2025-11-01T08:50:00.000000+0000,2025-11-01T09:05:00.000000+0000,false",
    "3,Chur,2025-11-01T08:00:00.000000+0000,,true",
    "4,Thun,2025-11-01T09:06:40.000000+0000,,true",
    "9,Thun,2025-11-01T09:10:00.000000+0000,2025-11-01T09:15:00.000000+0000,false",
]


def shell(folder: Path, text: str) -> str:
    """Return what commands print; each must succeed."""
    named = f'etl() {{ "{sys.executable}" -m etl "$@"; }}\nset -e\n'
    done = subprocess.run(
        ["bash", "-c", named + text],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_template_tests_itself_and_gives_the_newest_rows_and_their_history(tmp_path: Path) -> None:
    tested = shell(tmp_path, "etl init . --template cdc\netl test")
    shell(tmp_path, "etl run --all")

    customers = shell(tmp_path, 'etl query "SELECT id, name, city, lsn FROM silver.customers ORDER BY id" --format csv')
    versions = shell(
        tmp_path,
        'etl query "SELECT id, city, valid_from, valid_to, is_current FROM silver.customer_versions '
        'ORDER BY id, valid_from" --format csv',
    )
    orders = shell(tmp_path, 'etl query "SELECT order_id, amount FROM silver.orders ORDER BY order_id" --format csv')
    rejected = shell(tmp_path, 'etl query "SELECT rule FROM silver.orders__quarantine" --format csv')

    assert tested.splitlines()[-1] == "4 tests, 0 failed"
    assert customers.splitlines()[1:] == CUSTOMERS
    assert versions.splitlines()[1:] == VERSIONS
    assert orders.splitlines()[1:] == ["o1,14.50", "o3,30.00", "o4,5.25"]
    assert rejected.splitlines()[1:] == ["known_operation"]


def test_readme_of_the_template_runs_as_written(tmp_path: Path) -> None:
    commands = re.findall(r"^\$ (.*)$", README.read_text("utf-8"), re.MULTILINE)
    assert len(commands) == 11

    shell(tmp_path, "etl init . --template cdc\n" + "\n".join(commands))

    after = shell(tmp_path, 'etl query "SELECT id, name, city, lsn FROM silver.customers ORDER BY id" --format csv')
    assert after.splitlines()[1:] == ["1,Ada,Lugano,210", *CUSTOMERS[1:]]
