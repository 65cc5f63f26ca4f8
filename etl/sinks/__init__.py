"""Where rows go. The registry is a literal: a new sink is one file and one line here."""

from etl.sinks.delta import DeltaSink

SINKS = {"delta": DeltaSink}
