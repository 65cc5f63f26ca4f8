"""Where rows come from. The registry is a literal: a new source is one file and one line here."""

from etl.sources.files import FileSource
from etl.sources.log_source import LogSource

SOURCES = {"files": FileSource, "logs": LogSource}
