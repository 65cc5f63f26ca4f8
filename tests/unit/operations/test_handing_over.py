from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from etl.operations.handing_over import handed_over, taken_over
from etl.operations.workspace import Workspace


def given(content: bytes) -> int:
    """Return an open file that holds the bytes."""
    reading, writing = os.pipe()
    os.write(writing, content)
    os.close(writing)
    return reading


def test_the_definition_is_what_was_read_whatever_the_file_says_by_now(home: Workspace) -> None:
    spec, file = home.spec("orders"), home.folder / "pipelines" / "orders.yml"
    content = handed_over(home, spec)
    file.write_text("nonsense")
    handle = given(content + b"more")

    found = taken_over(handle)

    assert (found.spec("orders"), found.project) == (spec, home.project)
    assert os.read(handle, 10) == b"more"
    os.close(handle)


def test_a_definition_that_is_cut_is_told(home: Workspace) -> None:
    handle = given(handed_over(home, home.spec("orders"))[:-1])

    with pytest.raises(EOFError, match="cut short"):
        taken_over(handle)
    os.close(handle)


def test_what_is_secret_is_so_for_whoever_is_given_it(home: Workspace, tmp_path: Path) -> None:
    (home.folder / "etl.yml").write_text("storage: {s3: {secret_access_key: '${HANDED_KEY}'}}\n")
    os.environ["HANDED_KEY"] = "zq98handed"
    try:
        content = handed_over(home, home.spec("orders"))
    finally:
        del os.environ["HANDED_KEY"]
    (tmp_path / "given").write_bytes(content)
    code = (
        "import os; from etl.operations.handing_over import taken_over; from etl.secrets import mask\n"
        "taken_over(os.open('given', os.O_RDONLY)); print(mask('key zq98handed'))"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert done.stdout == "key ***\n"
