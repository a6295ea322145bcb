"""Adapters to systems that are not ours."""

# Formats of sources, each a module that fulfils `pm_app.ports.SourceFormat`; imported when used.
SOURCE_FORMATS = {
    "parquet": "connectors.parquet",
}
# Of events alone.
EVENTS_FORMATS = {
    **SOURCE_FORMATS,
    "auto": "connectors.events.source",
    "csv": "connectors.events.source",
    "excel": "connectors.events.source",
}
