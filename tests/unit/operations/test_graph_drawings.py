from __future__ import annotations

from xml.etree import ElementTree as ET

from etl.operations.graph import Edge, Graph, Node
from etl.operations.graph_svg import as_svg

HOSTILE = '</text><script>alert("1")</script>\x1b[31m'
_SVG = "{http://www.w3.org/2000/svg}"


def graph(label: str = "landing/*.csv") -> Graph:
    nodes = (
        Node("source:a", "source", label),
        Node("pipeline:orders", "pipeline", "orders"),
        Node("table:b", "table", "silver.orders"),
        Node("table:c", "table", "silver.customers"),
        Node("table:d", "receiver", "ops"),
    )
    edges = (
        Edge("source:a", "pipeline:orders"),
        Edge("table:c", "pipeline:orders", is_lookup=True),
        Edge("pipeline:orders", "table:b"),
        Edge("pipeline:orders", "table:d"),
    )
    return Graph(nodes, edges)


def test_text_tells_each_pipeline_in_a_line() -> None:
    assert graph().as_text() == "landing/*.csv, silver.customers -> [orders] -> silver.orders, ops"


def test_mermaid_names_every_node_and_draws_lookups_dotted() -> None:
    assert graph().as_mermaid() == (
        "flowchart LR\n"
        '  n0[/"landing/*.csv"/]\n'
        '  n1(["orders"])\n'
        '  n2[("silver.orders")]\n'
        '  n3[("silver.customers")]\n'
        '  n4>"ops"]\n'
        "  n0 --> n1\n"
        "  n3 -.-> n1\n"
        "  n1 --> n2\n"
        "  n1 --> n4"
    )


def test_an_svg_has_a_box_for_each_node_and_a_line_for_each_edge() -> None:
    drawn = ET.fromstring(as_svg(graph()))  # noqa: S314  our own text

    boxes = {group.get("class"): "".join(group.itertext()) for group in drawn.iter(f"{_SVG}g")}
    assert len(list(drawn.iter(f"{_SVG}g"))) == 5
    assert boxes["pipeline"] == "pipeline ordersorders"
    assert [path.get("class") for path in drawn.iter(f"{_SVG}path")] == [None, "lookup", None, None]


def test_hostile_names_stay_text_in_every_drawing() -> None:
    drawn = ET.fromstring(as_svg(graph(HOSTILE)))  # noqa: S314  our own text

    assert list(drawn.iter(f"{_SVG}script")) == []
    titles = [title.text for title in drawn.iter(f"{_SVG}title")]
    assert titles[0] == 'source </text><script>alert("1")</script>\\x1b[31m'
    assert "\x1b" not in graph(HOSTILE).as_text() + graph(HOSTILE).as_mermaid()


def test_a_project_without_pipelines_is_an_empty_drawing() -> None:
    empty = Graph((), ())

    assert (empty.as_text(), empty.as_mermaid()) == ("", "flowchart LR")
    assert ET.fromstring(as_svg(empty)).tag == f"{_SVG}svg"  # noqa: S314  our own text
