"""Predictions on their way from a worker to the store: segments that prove themselves."""

import json
from pathlib import Path
from typing import Final

import pyarrow as pa

from pm_app.records.predictions import Predictions
from pm_app.segments import opened_segment, write_segment

_COLUMNS: Final = (
    *("asset", "cutoff", "horizon_hours", "status", "risk", "rul_hours", "rul_low_hours"),
    *("rul_high_hours", "value", "top_sensors", "attention"),
)


def write_predictions(folder: Path, stem: str, said: Predictions) -> str:
    """Keep predictions under a name that begins with the stem; durable when this returns it.

    Raises TransientError.
    """
    table = pa.table({name: pa.array(getattr(said, name)) for name in _COLUMNS})
    about = {"assets": json.dumps(said.assets), "model_version": str(said.model_version)}
    return write_segment(folder, stem, table.replace_schema_metadata(about))


def read_predictions(folder: Path, name: str) -> Predictions:
    """What was kept under this name, to the bit. Raises MissingSegment."""
    with opened_segment(folder, name) as segment:
        table = segment.read()
        about = segment.metadata
    columns = {name: table.column(name).to_numpy() for name in _COLUMNS}
    assets = tuple(json.loads(about[b"assets"]))
    return Predictions(assets=assets, model_version=int(about[b"model_version"]), **columns)
