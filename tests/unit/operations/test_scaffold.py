from __future__ import annotations

from pathlib import Path

import pytest

from etl.errors import ConfigError
from etl.operations.scaffold import make_project
from etl.seam import Seam


@pytest.fixture
def template(tmp_path: Path) -> Path:
    folder = tmp_path / "template"
    (folder / "pipelines").mkdir(parents=True)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "x.pyc").write_bytes(b"")
    (folder / "gitignore").write_text("/lake/\n")
    (folder / "pipelines" / "orders.yml").write_text("version: 1\n")
    return folder


@pytest.mark.parametrize("exists", [True, False])
def test_a_template_is_copied_into_an_empty_folder(exists: bool, template: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "shop"
    if exists:
        folder.mkdir(parents=True)

    made = make_project(template, folder, Seam())

    assert made == [".gitignore", "pipelines/orders.yml"]
    assert (folder / ".gitignore").read_text() == "/lake/\n"
    assert (folder / "pipelines" / "orders.yml").read_text() == "version: 1\n"


@pytest.mark.parametrize("what", ["file", "full"])
def test_anything_else_is_refused_untouched(what: str, template: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    if what == "file":
        folder.write_text("mine")
    else:
        folder.mkdir()
        (folder / ".mine").write_text("mine")

    with pytest.raises(ConfigError, match="is not an empty folder"):
        make_project(template, folder, Seam())

    assert folder.read_text() == "mine" if what == "file" else [path.name for path in folder.iterdir()] == [".mine"]
