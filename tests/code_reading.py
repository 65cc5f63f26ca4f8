"""Reading our own code: what a module imports, which effects it names, how long its functions are."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

RANKS = {
    1: ("errors",),
    2: ("model", "seam", "secrets", "readable"),
    3: (
        "rejects",
        "balance",
        "options",
        "registry",
        "storage",
        "schema",
        "delta_types",
        "type_text",
        "schema_contract",
        "widening",
        "schema_changes",
        "row_json",
        "vocabulary",
        "text_casts",
        "sql_writer",
        "expressions",
        "watermark",
        "progress",
        "folder_events",
        "waking",
        "cron",
        "serve_options",
        "notifying",
        "user_functions",
        "project",
    ),
    4: ("checkpoint", "formats", "state"),
    5: ("sources", "transforms", "sinks"),
    6: (
        "flow",
        "chains",
        "pinning",
        "execution",
        "flow_schema",
        "redefinition",
        "states",
        "intake",
        "culprits",
        "side_tables",
        "staging",
        "pipeline",
        "memory",
        "holds",
    ),
    7: (
        "binding",
        "resumption",
        "rewinding",
        "timers",
        "resolutions",
        "committing",
        "inlets",
        "maintenance",
        "walk",
        "engine",
        "following",
        "config",
        "cluster",
        "testing",
    ),
    8: ("operations",),
    9: ("service",),
    10: ("cli",),
    11: ("__init__", "__main__"),
}
PACKAGES = (
    "storage",
    "checkpoint",
    "formats",
    "sources",
    "transforms",
    "sinks",
    "config",
    "operations",
    "service",
    "cli",
)
RANK_OF = {name: rank for rank, names in RANKS.items() for name in names}
ORDER = {name: (rank, place) for rank, names in RANKS.items() for place, name in enumerate(names)}

HEAVY = (
    *("adbc_driver_manager", "apprise", "datasketches", "deltalake", "duckdb", "fastavro", "fsspec", "jinja2"),
    *("numpy", "openlineage", "openpyxl", "opentelemetry", "polars", "prometheus_client", "pyarrow", "s3fs"),
    *("sqlalchemy", "sqlglot", "starlette", "uvicorn"),
)
"""Libraries that are imported inside the functions that need them."""

# What reaches the outside world, by the name it is called by; a name ending in a dot bans the whole module.
EFFECTS = (
    "builtins.open:w",
    *(
        f"os.{name}"
        for name in ("link", "mkdir", "makedirs", "open", "remove", "rename", "renames", "replace", "rmdir")
    ),
    *(f"os.{name}" for name in ("symlink", "truncate", "unlink", "utime", "write", "fsync", "kill", "urandom")),
    *(f"time.{name}" for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "sleep")),
    *(f"datetime.datetime.{name}" for name in ("now", "today", "utcnow")),
    "datetime.date.today",
    "random.",
    "secrets.",
    "shutil.",
    "subprocess.",
    "tempfile.",
    "uuid.uuid1",
    "uuid.uuid4",
)
# Methods of paths and filesystems that write; their names are used for nothing else.
WRITING_METHODS = (
    *("hardlink_to", "mkdir", "pipe_file", "put_file", "rm_file", "rmdir", "symlink_to", "touch", "unlink"),
    *("write_bytes", "write_text"),
)


@dataclass(frozen=True)
class Module:
    name: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def part(self) -> str:
        """The name that has a rank: ``sources`` for ``etl.sources.files``."""
        return self.name.split(".")[1] if "." in self.name else "__init__"

    @property
    def functions(self) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def imported_names(module: Module) -> Iterator[str]:
    """Yield the dotted name of everything that is imported, at any depth of the file."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield from (f"{base}.{alias.name}" for alias in node.names)


def may_import(importer: str, imported: str) -> bool:
    """Tell whether a part may see another: of a lower rank, or, both being files, to its left in its own rank."""
    if imported not in RANK_OF:
        return False
    if importer in PACKAGES or imported in PACKAGES:
        return RANK_OF[imported] < RANK_OF[importer]
    return ORDER[imported] < ORDER[importer]


def wrong_imports(module: Module) -> list[str]:
    """Return the imports of ours that are relative, or of what the module may not see."""
    names = list(imported_names(module))
    ours = [name.split(".")[1] for name in names if name.startswith("etl.") and name != "etl.__version__"]
    unseen = {part for part in ours if part != module.part and not may_import(module.part, part)}
    return sorted(unseen) + [name for name in names if name.startswith(".")]


def heavy_imports(module: Module) -> list[str]:
    """Return the heavy libraries that are imported when the module is, types aside."""
    return [
        name
        for node in module.tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in imported_names(Module("etl.part", ast.unparse(node)))
        if name.split(".")[0] in HEAVY
    ]


def dotted(node: ast.expr) -> str:
    """Return ``a.b.c`` of a chain of attributes, its last name with a leading dot where the start is no name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        start = dotted(node.value)
        return f"{start}.{node.attr}" if start and not start.startswith(".") else f".{node.attr}"
    return ""


def meanings(module: Module) -> dict[str, str]:
    """Return what each imported name stands for: ``sleep`` is ``time.sleep`` after ``from time import sleep``."""
    known = {"open": "builtins.open", "print": "builtins.print"}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.split(".")[0]
                known[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom) and node.module:
            known |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return known


def references(module: Module) -> Iterator[tuple[str, ast.expr]]:
    """Yield every name that is called or handed on, in full; for a method of some value only ``.name``."""
    known = meanings(module)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            name = dotted(node)
            first, _, rest = name.partition(".")
            yield (f"{known[first]}.{rest}".rstrip(".") if first in known else f".{name.rsplit('.', 1)[-1]}"), node


def opens_for_writing(call: ast.AST) -> bool:
    """Tell whether this is a call of ``open`` with a literal mode that writes."""
    if not isinstance(call, ast.Call) or dotted(call.func).rsplit(".", 1)[-1] != "open":
        return False
    position = 1 if isinstance(call.func, ast.Name) else 0
    modes = [keyword.value for keyword in call.keywords if keyword.arg == "mode"] or call.args[position : position + 1]
    mode = modes[0].value if modes and isinstance(modes[0], ast.Constant) else None
    return isinstance(mode, str) and set(mode) <= set("rwaxbt+") and bool(set(mode) & set("wax+"))


def is_effect(name: str) -> bool:
    """Tell whether a name, as ``references`` gives it, is a banned effect."""
    if name.startswith("."):
        return name[1:] in WRITING_METHODS
    return name in EFFECTS or any(effect.endswith(".") and name.startswith(effect) for effect in EFFECTS)


def effects_of(module: Module) -> set[str]:
    """Return the banned effects that the module names."""
    named = {name for name, _ in references(module) if is_effect(name)}
    return named | {"builtins.open:w" for node in ast.walk(module.tree) if opens_for_writing(node)}


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    given = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return len([argument for argument in given if argument.arg not in ("self", "cls")])


def is_command(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Tell whether Typer reads the parameters as options of a command."""
    called = [node.func if isinstance(node, ast.Call) else node for node in function.decorator_list]
    return any(dotted(node).rsplit(".", 1)[-1] in ("command", "callback") for node in called)
