"""Pipelines and tables as a graph: what each reads and writes, laid out in columns from input to output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from etl.config.lineage import overlaps
from etl.readable import escaped

if TYPE_CHECKING:
    from etl.config.specification import PipelineSpec, SourceSpec
    from etl.project import Project

Kind: TypeAlias = Literal["source", "pipeline", "table", "receiver"]

BOX_WIDTH, BOX_HEIGHT = 180, 40
_COLUMN, _ROW = 240, 64
_MARGIN = 16


@dataclass(frozen=True, slots=True)
class Node:
    """Something in the graph. ``key`` is its own, ``label`` what people call it."""

    key: str
    kind: Kind
    label: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Edge:
    """Rows go from ``start`` to ``end``; ``is_lookup``: they are joined as a static table."""

    start: str
    end: str
    is_lookup: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node stands in a drawing: the left upper corner of its box."""

    node: Node
    left: int
    top: int


@dataclass(frozen=True, slots=True)
class Layout:
    """A drawing: boxes, lines as SVG paths, and its size."""

    places: tuple[Place, ...]
    lines: tuple[tuple[Edge, str], ...]
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Graph:
    """Sources, pipelines and tables, and the way of the rows between them."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    _by_key: dict[str, Node] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Take note of the keys."""
        self._by_key.update({node.key: node for node in self.nodes})

    def node(self, key: str) -> Node:
        """Return a node."""
        return self._by_key[key]

    def before(self, key: str) -> list[Node]:
        """Return what a node has its rows from."""
        return [self.node(edge.start) for edge in self.edges if edge.end == key]

    def after(self, key: str) -> list[Node]:
        """Return where the rows of a node go."""
        return [self.node(edge.end) for edge in self.edges if edge.start == key]

    def columns(self) -> list[list[Node]]:
        """Return the nodes in columns, each behind all that it has its rows from; as few lines cross as is easy."""
        depths: dict[str, int] = {}
        for node in self.nodes:
            self._depth(node.key, depths, ())
        columns: list[list[Node]] = [[] for _ in range(max(depths.values(), default=-1) + 1)]
        for node in self.nodes:
            columns[depths[node.key]].append(node)
        places: dict[str, float] = {}
        for column in columns:
            column.sort(key=lambda node: (self._middle(node.key, places), node.label))
            places |= {node.key: float(index) for index, node in enumerate(column)}
        return columns

    def _depth(self, key: str, depths: dict[str, int], path: tuple[str, ...]) -> int:
        if key not in depths:
            before = [node.key for node in self.before(key) if node.key not in path]
            depths[key] = max((self._depth(each, depths, (*path, key)) + 1 for each in before), default=0)
        return depths[key]

    def _middle(self, key: str, places: dict[str, float]) -> float:
        known = [places[node.key] for node in self.before(key) if node.key in places]
        return sum(known) / len(known) if known else 0.0

    def layout(self) -> Layout:
        """Return a drawing."""
        columns = self.columns()
        places = {
            node.key: Place(node, _MARGIN + across * _COLUMN, _MARGIN + down * _ROW)
            for across, column in enumerate(columns)
            for down, node in enumerate(column)
        }
        lines = tuple((edge, _line(places[edge.start], places[edge.end])) for edge in self.edges)
        width = 2 * _MARGIN + max(len(columns) - 1, 0) * _COLUMN + BOX_WIDTH
        height = 2 * _MARGIN + max((len(column) for column in columns), default=1) * _ROW - (_ROW - BOX_HEIGHT)
        return Layout(tuple(places.values()), lines, width, height)

    def as_text(self) -> str:
        """Return a line for each pipeline: what it reads, and what it writes."""
        lines = []
        for node in self.nodes:
            if node.kind == "pipeline":
                read, written = (", ".join(each.label for each in side(node.key)) for side in (self.before, self.after))
                lines.append(f"{escaped(read) or '(nothing)'} -> [{node.label}] -> {escaped(written)}")
        return "\n".join(lines)

    def as_mermaid(self) -> str:
        """Return the graph as a Mermaid flowchart."""
        names = {node.key: f"n{index}" for index, node in enumerate(self.nodes)}
        forms = {"source": "[/{}/]", "pipeline": "([{}])", "table": "[({})]", "receiver": ">{}]"}
        lines = [f"  {names[node.key]}{forms[node.kind].format(_quoted(node.label))}" for node in self.nodes]
        arrows = [
            f"  {names[edge.start]} {'-.->' if edge.is_lookup else '-->'} {names[edge.end]}" for edge in self.edges
        ]
        return "\n".join(["flowchart LR", *lines, *arrows])


def graph_of(specs: Sequence[PipelineSpec], project: Project) -> Graph:
    """Return the graph of pipelines. What a pipeline reads and none of them writes is a source."""
    nodes: dict[str, Node] = {}
    edges: dict[tuple[str, str], Edge] = {}
    tables = {url: name for spec in specs for name, url in spec.tables.values()}
    for spec in specs:
        pipeline = Node(f"pipeline:{spec.name}", "pipeline", spec.name, spec.description)
        read = [(node, False) for source in spec.sources for node in _read_by(source, tables, project)]
        joined = [(_static(url, tables, project), True) for _, url in spec.joins]
        for node, is_lookup in (*read, *joined):
            nodes.setdefault(node.key, node)
            edges.setdefault((node.key, pipeline.key), Edge(node.key, pipeline.key, is_lookup))
        nodes[pipeline.key] = pipeline
        for sink in spec.sinks:
            end = Node(f"table:{sink.url}", "table" if sink.is_table else "receiver", sink.table)
            nodes.setdefault(end.key, end)
            edges[pipeline.key, end.key] = Edge(pipeline.key, end.key)
    return Graph(tuple(nodes.values()), tuple(edges.values()))


def _read_by(source: SourceSpec, tables: dict[str, str], project: Project) -> list[Node]:
    """Return the tables that a source may read, else its pattern; for one that reads no files, its type."""
    own = [
        Node(f"table:{url}", "table", name)
        for url, name in tables.items()
        if any(overlaps(p, url) for p in source.reads)
    ]
    if own:
        return own
    patterns = source.reads or (source.type,)
    return [Node(f"source:{each}", "source", _near(each, project), source.type) for each in patterns]


def _static(url: str, tables: dict[str, str], project: Project) -> Node:
    name = next((name for each, name in tables.items() if overlaps(url, each)), None)
    if name is not None:
        return Node(f"table:{next(each for each in tables if tables[each] == name)}", "table", name)
    return Node(f"source:{url}", "source", _near(url, project), "static table")


def _near(url: str, project: Project) -> str:
    """Return a URL as people of the project know it: from its folder on."""
    folder = f"{project.folder}/"
    return url.removeprefix(folder)


def _line(start: Place, end: Place) -> str:
    left, right = start.left + BOX_WIDTH, end.left
    above, below = start.top + BOX_HEIGHT // 2, end.top + BOX_HEIGHT // 2
    bend = max((right - left) // 2, 24)
    return f"M{left},{above}C{left + bend},{above} {right - bend},{below} {right},{below}"


def _quoted(label: str) -> str:
    return '"' + escaped(label).replace('"', "#quot;") + '"'
