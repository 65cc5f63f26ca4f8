from __future__ import annotations

import pytest

from etl.cli import text
from etl.secrets import register_secret


@pytest.mark.parametrize(
    ("given", "expected"),
    [("plain ü 漢", "plain ü 漢"), ("a\nb\tc", "a\\nb\\tc"), ("\x1b]0;x\x07", "\\x1b]0;x\\x07"), ("\udce9", "\\udce9")],
)
def test_control_characters_are_spelt_out(given: str, expected: str) -> None:
    assert text.escaped(given) == expected


def test_newlines_may_be_kept() -> None:
    assert text.escaped("a\n\x1bb", keep="\n") == "a\n\\x1bb"


@pytest.mark.parametrize(
    ("size_bytes", "expected"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 KB"), (181_213, "181.2 KB"), (5_000_000_000, "5.0 GB")],
)
def test_sizes_have_units_of_powers_of_ten(size_bytes: int, expected: str) -> None:
    assert text.size(size_bytes) == expected


def test_enormous_sizes_are_terabytes() -> None:
    assert text.size(1_234_567_000_000_000) == "1,234.6 TB"


def test_columns_are_aligned_and_figures_stand_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")

    shown = text.table(("name", "rows"), [("a", "1"), ("longer", "1,000")], ("rows",))

    assert shown.splitlines() == ["name     rows", "──────  ─────", "a           1", "longer  1,000"]


def test_a_table_fits_and_long_texts_lose_their_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")

    shown = text.table(("path", "rows"), [("start/" + "x" * 80 + "/end.csv", "1")], ("rows",))

    assert [len(line) for line in shown.splitlines()] == [30, 30, 30]
    assert shown.splitlines()[2].startswith("start/")
    assert shown.splitlines()[2].endswith("/end.csv     1")


def test_a_table_of_many_columns_is_never_narrowed_below_eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "10")

    assert text.table(("a", "b"), [("x" * 20, "y" * 20)]).splitlines()[1] == "────────  ────────"


def test_as_many_columns_are_shown_as_fit_and_one_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")

    assert text.columns_that_fit([10, 10, 10]) == 2
    assert text.columns_that_fit([500, 1]) == 1
    assert text.columns_that_fit([1, 1]) == 2
    assert text.columns_that_fit([]) == 0


def test_what_is_printed_holds_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    register_secret("text-canary-1")

    text.say("key text-canary-1")
    text.say_json({"key": "text-canary-1"}, is_line=True)

    assert capsys.readouterr().out == 'key ***\n{"key": "***"}\n'


def test_what_cannot_be_encoded_is_printed_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    text.say("caf\udce9")

    assert capsys.readouterr().out == "caf\\udce9\n"


def test_json_documents_are_indented_and_lines_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    text.say_json({"a": [1]})
    text.say_json({"a": [1]}, is_line=True)

    assert capsys.readouterr().out == '{\n  "a": [\n    1\n  ]\n}\n{"a": [1]}\n'
