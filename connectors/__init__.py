"""Adapters to systems that are not ours."""

import os

from pm_app.settings.sources import EventsSettings, ReadingsSettings

# Formats of sources, each a module that fulfils `pm_app.ports.SourceFormat`; imported when used.
SOURCE_FORMATS = {
    "auto": "connectors.auto",
    "parquet": "connectors.parquet",
    "csv": "connectors.csv",
    "excel": "connectors.csv",
    "sql": "connectors.sql",
    "delta": "connectors.delta",
}
# Kinds of recorders, each a module with `make_feed`.
RECORDER_KINDS = {
    "mqtt": "connectors.mqtt.feed",
    "opcua": "connectors.opcua.feed",
}
_DATABASES = ("postgresql://", "postgresql+psycopg://", "postgres://", "sqlite://")
# Whole addresses of databases, which hold passwords.
_URL_VARIABLES = {"readings": "PM_APP_READINGS_URL", "events": "PM_APP_EVENTS_URL"}


def database_address(source: str, settings: ReadingsSettings | EventsSettings) -> str | None:
    """The address of the database that a source is asked of, None where it is none.

    Where plant.toml names one, the environment's takes its place.
    """
    if settings.format not in ("auto", "sql") or not settings.uri.startswith(_DATABASES):
        return None
    return os.environ.get(_URL_VARIABLES[source]) or settings.uri
