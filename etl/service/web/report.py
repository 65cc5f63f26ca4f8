"""A pipeline's report: one HTML file that needs nothing else, no script either."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from etl.errors import ConfigError
from etl.operations.extent import extents_of
from etl.operations.looking import Onlooker
from etl.operations.recent import Recent
from etl.operations.status import status_of
from etl.service.web.charts import charts_of
from etl.service.web.text import environment, need_web, since
from etl.storage import LocalStorage

if TYPE_CHECKING:
    from pathlib import Path

    from etl.operations.workspace import Workspace
    from etl.seam import Seam

REPORTED = 100


def write_report(workspace: Workspace, name: str, target: Path, seam: Seam) -> int:
    """Write the report of a pipeline over what is there; return its bytes. Raises ConfigError, CheckpointError."""
    content = report_of(workspace, name, seam).encode()
    folder = LocalStorage(target.absolute().parent, seam, is_shared=True)
    try:
        folder.replace(target.name, content, effect="report.replace")
    except OSError as exc:
        raise ConfigError(f"cannot be written: {exc.strerror or exc}", where=str(target)) from exc
    return len(content)


def report_of(workspace: Workspace, name: str, seam: Seam) -> str:
    """Return the report of a pipeline as it stands now. Raises ConfigError, CheckpointError."""
    from markupsafe import Markup

    need_web()
    looking = Onlooker()
    pipeline = workspace.wired(name, looking)
    spec = workspace.spec(name)
    recent = Recent(workspace.project, name, looking)
    entries = recent.entries(REPORTED)
    style = files("etl.service.web").joinpath("static", "page.css").read_text("utf-8")
    now = seam.now()
    values = {
        "project": workspace.project.folder.name,
        "pipeline": name,
        "description": spec.description,
        "now": now,
        "since": lambda text: since(text, now),
        "style": Markup(style),  # noqa: S704  our own file
        "status": status_of(pipeline, looking),
        "charts": charts_of(entries),
        "entries": entries,
        "extents": extents_of(spec, workspace.project, looking),
    }
    return environment().get_template("report.html").render(values)
