"""OpenAPI document of the API, with what each field of a record means, by the page of tables."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from fastapi import FastAPI

from pm_app.docs import read_topic

# Records that are rows of a table.
TABLES: Final = {
    "AlarmEventRow": "alarm_events",
    "AlarmRow": "alarms",
    "ApiAsset": "predictions",
    "ApiPrediction": "predictions",
    "BatchRow": "batches",
    "ImportanceRow": "importances",
    "PromotionRow": "promotions",
    "RetrainingRow": "retrainings",
    "VerdictRow": "verdicts",
    "VersionRow": "versions",
}
_ACTIONS: Final = {"actions": "what is to be done about each failure mode"}
_AS_DATA: Final = {
    "risks_by_mode": "mode_risks as data",
    "sensors": "top_sensors as data",
    "sensors_by_mode": "mode_sensors as data",
    "sensors_of_deviation": "deviation_sensors as data",
}
# Of records and fields that are no rows and no columns.
WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "AlarmPage": {"counts": "how many there are in each state", **_ACTIONS},
    "ApiAsset": {
        "alarm": "state of its alarm, empty without one",
        "level": "as the fleet page has it",
        **_AS_DATA,
    },
    "ApiPrediction": _AS_DATA,
    "AssetPage": {"total": "how many there are in all", **_ACTIONS},
    "Batches": {"before": "as before, it gives what comes next; null at the end"},
    "PredictionPage": {"next_cursor": "as cursor, it gives what comes next"},
    "VerdictRow": {"asset_id": "of the alarm", "cutoff": "of the alarm when it was given"},
}
_SECTION: Final = re.compile(r"^## (\w+)\n(.*?)(?=^## |\Z)", re.S | re.M)
_ROW: Final = re.compile(r"^\| ((?:`\w+`(?:, )?)+) \| (.*) \|$", re.M)
_LINK: Final = re.compile(r"\[([^\]]*)\]\([^)]*\)")


@cache
def api_document(app: FastAPI) -> dict[str, Any]:
    """The document; fields that have no words of their own take those of tables.md."""
    document, meanings = app.openapi(), _meanings()
    for name, schema in document["components"]["schemas"].items():
        words = {**WORDS.get(name, {}), **meanings.get(TABLES.get(name, ""), {})}
        for field, inner in schema.get("properties", {}).items():
            if field in words:
                inner.setdefault("description", words[field])
    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                _raise_words(parameter)
    return document


def _raise_words(parameter: dict[str, Any]) -> None:
    """To the parameter what is said of its value where that may be null."""
    for choice in (parameter["schema"], *parameter["schema"].get("anyOf", ())):
        if "description" in choice:
            parameter.setdefault("description", choice["description"])
        if "examples" in choice:
            parameter.setdefault("example", choice["examples"][0])


def _meanings() -> dict[str, dict[str, str]]:
    """What each column of each table means, as plain text."""
    found: dict[str, dict[str, str]] = {}
    for table, text in _SECTION.findall(read_topic("tables")):
        for names, words in _ROW.findall(text):
            plain = _LINK.sub(r"\1", words).replace("`", "").replace("\\|", "|")
            found.setdefault(table, {}).update(dict.fromkeys(re.findall(r"\w+", names), plain))
    return found
