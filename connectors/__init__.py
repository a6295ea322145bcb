"""Adapters to systems that are not ours."""

# Formats of sources, each a module that fulfils `pm_app.ports.SourceFormat`; imported when used.
SOURCE_FORMATS = {
    "parquet": "connectors.parquet",
}
