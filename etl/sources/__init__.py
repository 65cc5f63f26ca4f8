"""Where rows come from. The registry is a literal: a new source is one file and one line here."""

from etl.registry import Registry

SOURCES = Registry(
    {
        "files": "etl.sources.files:FileSource",
        "logs": "etl.sources.log_source:LogSource",
        "delta": "etl.sources.delta_source:DeltaSource",
    }
)
