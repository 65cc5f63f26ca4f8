"""The graph of pipelines and tables as an SVG file of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from etl.operations.graph import BOX_HEIGHT, BOX_WIDTH
from etl.readable import escaped

if TYPE_CHECKING:
    from etl.operations.graph import Edge, Graph, Place

_LONGEST = 24
_RADIUS = {"source": 0, "table": 4, "receiver": 0, "pipeline": BOX_HEIGHT // 2}
_STYLE = """
  text { font: 12.5px ui-sans-serif, system-ui, sans-serif; fill: #1c2024 }
  rect { fill: #ffffff; stroke: #8b8d98 }
  path { fill: none; stroke: #8b8d98; stroke-width: 1.25 }
  .lookup { stroke-dasharray: 4 4 }
  .table rect { stroke: #0f766e; stroke-width: 1.5 }
  .source text { fill: #60646c }
  .receiver rect { stroke-dasharray: 4 4 }
  @media (prefers-color-scheme: dark) {
    text { fill: #edeef0 } rect { fill: #18191b; stroke: #696e77 } path { stroke: #696e77 }
    .table rect { stroke: #2dd4bf } .source text { fill: #b0b4ba }
  }
"""


def as_svg(graph: Graph) -> str:
    """Return the drawing; it stands on any ground, light or dark, and needs nothing from elsewhere."""
    layout = graph.layout()
    size = f'width="{layout.width}" height="{layout.height}" viewBox="0 0 {layout.width} {layout.height}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="Pipelines and tables">',
            f"<style>{_STYLE}</style>",
            *(_line(edge, path) for edge, path in layout.lines),
            *(_box(place) for place in layout.places),
            "</svg>",
        ]
    )


def _line(edge: Edge, path: str) -> str:
    kind = ' class="lookup"' if edge.is_lookup else ""
    return f'<path{kind} d="{path}"/>'


def _box(place: Place) -> str:
    """Return a box with its label, which loses its beginning where it is long; the whole is its title."""
    node, whole = place.node, escaped(place.node.label)
    label = whole if len(whole) <= _LONGEST else "…" + whole[1 - _LONGEST :]
    at = f'x="{place.left}" y="{place.top}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="{_RADIUS[node.kind]}"'
    middle = f'x="{place.left + BOX_WIDTH // 2}" y="{place.top + BOX_HEIGHT // 2 + 4}" text-anchor="middle"'
    title = f"<title>{node.kind} {escape(whole)}</title>"
    return f'<g class="{node.kind}">{title}<rect {at}/><text {middle}>{escape(label)}</text></g>'
