"""Where rows go. The registry is a literal: a new sink is one file and one line here."""

from etl.registry import Registry

SINKS = Registry(
    {
        "delta": "etl.sinks.delta:DeltaSink",
        "key_value": "etl.sinks.key_value:KeyValueSink",
    }
)
