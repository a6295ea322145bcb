"""Adapters to systems that are not ours."""

# Formats of sources, each a module that fulfils `pm_app.ports.SourceFormat`; imported when used.
SOURCE_FORMATS = {
    "auto": "connectors.auto",
    "parquet": "connectors.parquet",
    "csv": "connectors.csv",
}
# Of events alone.
EVENTS_FORMATS = {
    **SOURCE_FORMATS,
    "excel": "connectors.events.source",
}
# Kinds of recorders, each a module with `make_feed`.
RECORDER_KINDS = {
    "mqtt": "connectors.mqtt.feed",
    "opcua": "connectors.opcua.feed",
}
