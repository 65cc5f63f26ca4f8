"""Where rows come from. The registry is a literal: a new source is one file and one line here."""

from etl.sources.files import FileSource

SOURCES = {"files": FileSource}
