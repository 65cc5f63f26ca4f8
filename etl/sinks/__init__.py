"""Where rows go. The registry is a literal: a new sink is one file and one line here."""

from etl.registry import Registry

SINKS = Registry(
    {
        "alert": "etl.sinks.alert:AlertSink",
        "console": "etl.sinks.console:ConsoleSink",
        "delta": "etl.sinks.delta:DeltaSink",
        "parquet": "etl.sinks.parquet:ParquetSink",
        "key_value": "etl.sinks.key_value:KeyValueSink",
        "memory": "etl.sinks.memory_rows:MemoryRows",
        "python": "etl.sinks.python:PythonSink",
    }
)
