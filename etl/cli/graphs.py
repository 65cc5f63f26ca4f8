"""The command that draws how pipelines and tables hang together."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from etl.cli.names import AsJson
from etl.cli.session import app, session_of
from etl.cli.text import say, say_json

if TYPE_CHECKING:
    from etl.operations.graph import Graph


class GraphFormat(StrEnum):
    """What a graph is written as."""

    text = "text"
    mermaid = "mermaid"
    svg = "svg"


@app.command()
def graph(
    context: typer.Context,
    form: Annotated[GraphFormat, typer.Option("--format", help="What to write.")] = GraphFormat.text,
    as_json: AsJson = False,
) -> None:
    """Draw pipelines and tables: what each reads and writes.

    Example: etl graph --format svg > graph.svg
    """
    from etl.operations.graph import graph_of

    workspace = session_of(context).workspace()
    found = graph_of(workspace.specs(), workspace.project)
    if as_json:
        say_json(_to_json(found))
    elif not found.nodes and form is GraphFormat.text:
        say("no pipelines: write one into pipelines/, or start with etl init")
    else:
        say(_drawn(found, form))


def _drawn(found: Graph, form: GraphFormat) -> str:
    from etl.operations.graph_svg import as_svg

    if form is GraphFormat.svg:
        return as_svg(found)
    return found.as_mermaid() if form is GraphFormat.mermaid else found.as_text()


def _to_json(found: Graph) -> dict[str, Any]:
    nodes = [{"key": node.key, "kind": node.kind, "label": node.label, "note": node.note} for node in found.nodes]
    edges = [{"start": edge.start, "end": edge.end, "is_lookup": edge.is_lookup} for edge in found.edges]
    return {"nodes": nodes, "edges": edges}
