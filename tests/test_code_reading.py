"""The reader of our own code finds what it is there to find: a check that cannot fail proves nothing."""

from __future__ import annotations

import pytest

from tests.code_reading import Module, effects_of, heavy_imports, is_command, length, parameters, wrong_imports


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("etl.storage", "from etl.engine import run"),
        ("etl.sources.files", "def read():\n    from etl.sinks.delta import DeltaSink"),
        ("etl.sources.files", "if TYPE_CHECKING:\n    import etl.transforms.contract"),
        ("etl.schema", "from etl import project"),
        ("etl.config.loader", "from etl.engine import run"),
        ("etl.engine", "from . import model"),
        ("etl.engine", "from etl.unheard_of import x"),
    ],
)
def test_an_import_from_the_same_or_a_higher_rank_is_found(name: str, text: str) -> None:
    assert len(wrong_imports(Module(name, text))) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("etl.engine", "from etl.sources.contract import Source\nfrom etl.sinks.contract import Sink"),
        ("etl.sources.files", "from etl.sources.file_ledger import Ledger"),
        ("etl.widening", "from etl.schema import parse_type"),
        ("etl.cli.app", "from etl import __version__\nimport etl.operations.status"),
        ("etl.errors", "from __future__ import annotations\nimport os"),
    ],
)
def test_an_import_from_a_lower_rank_or_the_same_package_passes(name: str, text: str) -> None:
    assert wrong_imports(Module(name, text)) == []


def test_a_heavy_import_is_found_at_the_top_of_a_module_alone() -> None:
    text = (
        "import polars as pl\nfrom pyarrow import json\nif TYPE_CHECKING:\n    import fsspec\ndef f():\n    import s3fs"
    )

    assert heavy_imports(Module("etl.part", text)) == ["polars", "pyarrow.json"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("open('x', 'w')", {"builtins.open:w"}),
        ("path.open(mode='ab')", {"builtins.open:w"}),
        ("import os\nos.replace(a, b)", {"os.replace"}),
        ("from os import link as publish\npublish(a, b)", {"os.link"}),
        ("import os\nretry(os.unlink)", {"os.unlink"}),
        ("import time\ntime.sleep(1)", {"time.sleep"}),
        ("from datetime import datetime\ndatetime.now()", {"datetime.datetime.now"}),
        ("import uuid\nuuid.uuid4().hex", {"uuid.uuid4"}),
        ("import shutil\nshutil.rmtree(x)", {"shutil.rmtree"}),
        ("Path(x).write_text('')", {".write_text"}),
        ("self.root.mkdir()", {".mkdir"}),
    ],
)
def test_an_effect_is_found_whatever_it_is_called(text: str, expected: set[str]) -> None:
    assert effects_of(Module("etl.part", text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "open('x')",
        "open('x', 'rb').read()",
        "'a'.replace('a', 'b')",
        "import os\nos.path.join('a', 'b')\nos.scandir('.')",
        "from datetime import datetime\ndatetime.fromisoformat(x)",
        "seam.now()\nseam.sleep(1)\nstorage.replace('x', b'', effect='y')",
    ],
)
def test_reading_and_the_seam_are_no_effects(text: str) -> None:
    assert effects_of(Module("etl.part", text)) == set()


def test_lengths_and_parameters_are_counted_without_self() -> None:
    module = Module("etl.part", "class A:\n    def f(self, a, /, b, *, c=1):\n        return a\n")

    assert [(length(function), parameters(function)) for function in module.functions] == [(2, 3)]


def test_options_of_a_command_are_no_parameters() -> None:
    module = Module("etl.cli.app", "@app.command()\ndef run(a): ...\n@other\ndef walk(a): ...")

    assert [is_command(function) for function in module.functions] == [True, False]
