"""What comes from outside is text on every page, never markup, never a command to a terminal."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from tests.asking import Asked
from tests.page.conftest import HOSTILE

VIEWS = (
    *("/ui/", "/ui/graph", "/ui/pipelines/orders", "/ui/pipelines/orders/batches/0", "/ui/pipelines/orders/batches/1"),
    *("/ui/pipelines/orders/files", "/ui/pipelines/orders/quarantine", "/ui/pipelines/orders/schema"),
    *("/ui/pipelines/orders/table", "/ui/pipelines/orders/rewind", "/ui/pipelines/orders/rewind?batch=0"),
)
MARKUP = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>"
ASKED = (
    *("/ui/pipelines/orders/files?text={}", "/ui/pipelines/orders/files?fate={}", "/ui/pipelines/orders?upto={}"),
    *("/ui/pipelines/orders/quarantine?rule={}", "/ui/pipelines/orders/quarantine?file={}&status={}"),
    *("/ui/pipelines/orders/rewind?batch={}", "/ui/pipelines/{}", "/ui/pipelines/{}/files", "/ui/sign-in?token={}"),
    *("/ui/?notice={}", "/ui/static/{}", "/ui/{}"),
)


class Tags(HTMLParser):
    """The elements of a page and their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes += attrs


def is_harmless(text: str) -> bool:
    """Tell whether a page has no image, no inline code and no script but those of the package."""
    tags = Tags(text)
    sources = {value for name, value in tags.attributes if name == "src"}
    handlers = {name for name, _ in tags.attributes if name.startswith("on") or name == "style"}
    own = {f"/ui/static/{name}" for name in ("htmx.min.js", "uplot.min.js", "page.js")}
    return not tags.names & {"img", "b-of", "iframe", "object", "style"} and sources <= own and not handlers


@pytest.mark.parametrize("path", VIEWS)
def test_a_view_shows_hostile_names_as_text(looked: Asked, path: str) -> None:
    answer = looked.look(path)

    assert answer.status == 200
    assert is_harmless(answer.text)
    assert "\x1b" not in answer.text
    assert "\u202e" not in answer.text


def test_the_name_of_a_file_is_shown_with_its_control_characters_spelt(looked: Asked) -> None:
    answer = looked.look("/ui/pipelines/orders/files")

    assert "&lt;img src=x onerror=alert(1)&gt;&amp;&#34;&#39; \\u202ebad\\x1b[31m.ndjson" in answer.text


def test_a_rejected_row_is_shown_as_it_came(looked: Asked) -> None:
    answer = looked.look("/ui/pipelines/orders/quarantine")

    assert "&lt;script&gt;alert(&#34;row&#34;)&lt;/script&gt;" in answer.text


def test_the_report_shows_hostile_text_as_text(looked: Asked) -> None:
    answer = looked.look("/ui/pipelines/orders/report")

    assert answer.headers["content-disposition"] == 'attachment; filename="orders.html"'
    assert "Orders &lt;b&gt;of&lt;/b&gt; the shop." in answer.text
    assert "<script" not in answer.text
    assert HOSTILE not in answer.text


@pytest.mark.parametrize("path", ASKED)
def test_what_a_request_says_comes_back_as_text(looked: Asked, path: str) -> None:
    from urllib.parse import quote

    answer = looked.look(path.replace("{}", quote(MARKUP, safe="")))

    assert answer.status in (200, 401, 404)
    assert is_harmless(answer.text)
    assert "<script>alert" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        *("/ui/static/../../../../etc/passwd", "/ui/static/..%2f..%2fapp.py", "/ui/static/%2e%2e/app.py"),
        *("/ui/static//etc/passwd", "/ui/pipelines/..%2f..%2fetl/files", "/ui/pipelines/../orders.yml"),
        *("/ui/pipelines/%2e%2e/report", "/ui/pipelines/orders%00/report", "/ui/pipelines/Orders/report"),
        *(
            "/ui/pipelines/orders/batches/-1",
            "/ui/pipelines/orders/batches/999999999999999999999",
            "/..%5c..%5cetl.yml",
        ),
    ],
)
def test_a_path_of_a_request_is_never_opened(looked: Asked, path: str) -> None:
    answer = looked.look(path)

    assert answer.status == 404
    assert "root:" not in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/ui/pipelines/orders/quarantine?rule=' OR 1=1 --",
        "/ui/pipelines/orders/files?text=' OR 1=1 --",
    ],
)
def test_what_is_looked_for_is_text_and_no_expression(looked: Asked, path: str) -> None:
    answer = looked.look(path.replace(" ", "%20"))

    assert answer.status == 200
    assert "No files." in answer.text or "No rows" in answer.text


def test_an_answer_never_has_the_token_but_where_a_person_signs_in(looked: Asked) -> None:
    for path in VIEWS:
        assert looked.page.site.access.token not in looked.look(path).text
