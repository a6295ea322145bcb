"""Data page: files that came, refused rows, silent assets and sensors, health of the daemon."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any, Final, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

from pm_app.daemon.schedule import make_cron, next_time
from pm_app.errors import PmAppError
from pm_app.jobs.normality.unlabelled_faults import unlabelled_faults_text
from pm_app.settings.plant import Settings
from pm_app.settings.sources import matches_any
from pm_app.store import BatchRow, Store
from pm_app.store.ledger.left_columns import LeftColumnRow
from pm_app.store.ledger.pages import BATCHES_SCHEMA, LedgerFilter, SilentAsset
from pm_app.store.rows import BatchStatus
from pm_app.web.address import check_keys, one_of, whole_number
from pm_app.web.context import Page, PageContext, StateFolder
from pm_app.web.files import as_file
from pm_app.web.pages.data.quiet_sensors import QuietSensors, find_quiet
from pm_app.web.pages.data.sensor_quality import QualityFacts
from pm_app.wording import STATUS_WORDS

PAGE_ROWS: Final = 50
STATUSES: Final[dict[BatchStatus, str]] = {
    "ingested": "used",
    "quarantined": "quarantined",
    "duplicate": "came before",
    "lost": "lost",
    "retried": "read again",
}
SHOWS: Final = {"all": "all files", "refused": "with refused rows", "quarantined": "quarantined"}
SILENT_SHOWN: Final = 20
QUIET_SHOWN: Final = 50
LEFT_SHOWN: Final = 200
SILENCE: Final = timedelta(days=1)
_LARGEST: Final = 2**62
_KEYS: Final = ("show", "before")


@dataclass(frozen=True)
class DataAddress:
    """Which files, and from the one before which sequence on; None from the newest."""

    show: LedgerFilter
    before: int | None

    def address(self, path: str = "/data", **changes: object) -> str:
        """An address that asks for the same, with some values changed."""
        values = {"show": self.show, "before": self.before, **changes}
        query = {key: value for key, value in values.items() if value not in ("all", None)}
        return f"{path}?{urlencode(query)}" if query else path


def add_data(router: APIRouter, context: PageContext) -> None:
    """The page of data, and the ledger as files."""
    folder = StateFolder(context.settings)
    quiet_sensors = _QuietSensorCache(folder)
    quality = QualityFacts(folder)

    @router.get("/data")
    def data(request: Request) -> Response:
        asked, store = read_data_address(request.query_params), context.store()
        facts = {
            "state_here": folder.settings.state.is_dir(),
            "daemon": context.status(),
            **_turns(store, context.settings, context.now()),
            **_assets(store),
            "quiet": quiet_sensors.newest(store),
            "quiet_shown": QUIET_SHOWN,
            "quality": quality.newest(),
            "shows": SHOWS,
            "left_columns": _left_columns(store, context.settings),
            "left_shown": LEFT_SHOWN,
            "renewals": _renewals(store),
            "faults": unlabelled_faults_text(store.lineage),
            **_files(store, asked),
        }
        return context.show(request, DATA_PAGE, **facts)

    @router.get("/batches.{kind}")
    def batches(kind: str, request: Request) -> Response:
        asked = read_data_address(request.query_params)
        tables = context.store().ledger_pages.tables(asked.show)
        return as_file(kind, "batches", tables, BATCHES_SCHEMA)


def read_data_address(values: Mapping[str, str]) -> DataAddress:
    """What an address asks for. Raises BadAddress."""
    check_keys(values, _KEYS)
    show: Any = one_of(values.get("show", "all"), "show", get_args(LedgerFilter))
    before = values.get("before")
    return DataAddress(show, None if before is None else whole_number(before, "before", _LARGEST))


class _QuietSensorCache:
    """Which sensors are quiet, looked for again only when another file has come."""

    def __init__(self, folder: StateFolder) -> None:
        self._folder = folder
        self._sequence = -1
        self._found = QuietSensors(())

    def newest(self, store: Store) -> QuietSensors:
        """As the newest file leaves it."""
        row = store.ledger_pages.newest()
        sequence = row.sequence if row else 0
        if sequence != self._sequence or self._found.reason:
            self._found = find_quiet(self._folder, store)
            self._sequence = sequence
        return self._found


def _turns(store: Store, settings: Settings, now: datetime) -> dict[str, Any]:
    """When was scored and learned, and when it will be."""
    last = next(iter(store.lineage.retrainings(limit=1)), None)
    try:
        coming = next_time(make_cron(settings), now)
    except PmAppError:
        coming = None
    scored = store.ledger_pages.newest_scored()
    return {
        "last_scored": scored,
        "every": settings.scoring.every,
        "last_retraining": None if last is None else last.finished_at,
        "next_retraining": coming,
    }


def _assets(store: Store) -> dict[str, Any]:
    """Who is judged, and of whom nothing comes."""
    newest = store.ledger_pages.newest()
    silent: list[SilentAsset] = []
    count = asset_count = 0
    if newest is not None and newest.last_time is not None:
        since = newest.last_time - SILENCE
        silent = store.ledger_pages.silent(since, limit=SILENT_SHOWN)
        count, asset_count = store.ledger_pages.count_silent(since)
    statuses = store.ledger_pages.statuses()
    return {
        "newest": newest,
        "silent": silent,
        "silent_count": count,
        "asset_count": asset_count,
        "statuses": [
            (STATUS_WORDS.get(status) or "judged", count)
            for status, count in sorted(statuses.items(), key=lambda each: -each[1])
        ],
    }


def _renewals(store: Store) -> list[dict[str, Any]]:
    """What the newest retraining found out about maintenance codes that are no renewals."""
    last = next(iter(store.lineage.retrainings(limit=1)), None)
    rows: Any = last.metrics.get("renewals", ()) if last is not None else ()
    return list(rows)


def _left_columns(store: Store, settings: Settings) -> list[LeftColumnRow]:
    """Columns that nothing uses, but for those that the settings ignore by now."""
    ignore = {"readings": settings.readings.ignore, "events": settings.events.ignore}
    rows = store.left_columns.rows()
    return [row for row in rows if not matches_any(row.name, ignore[row.source])]


def _files(store: Store, asked: DataAddress) -> dict[str, Any]:
    """One page of the ledger, and what all of it comes to."""
    rows = store.ledger_pages.page(asked.show, limit=PAGE_ROWS + 1, before=asked.before)
    shown = rows[:PAGE_ROWS]
    late = [_late_seconds(row) for row in shown]
    pairs = zip(shown, late, strict=True)
    of_readings = [age for row, age in pairs if age is not None and row.source == "readings"]
    return {
        "asked": asked,
        "rows": list(zip(shown, late, strict=True)),
        "status_of_files": STATUSES,
        "older": shown[-1].sequence if len(rows) > PAGE_ROWS else None,
        "lateness": (median(of_readings), max(of_readings)) if of_readings else None,
        "balance": store.ledger.balance(),
        "files": store.ledger.count(),
        "quarantined": store.ledger.count(status="quarantined"),
    }


def _late_seconds(row: BatchRow) -> float | None:
    """How old the newest reading of a file was when it was taken in."""
    if row.last_time is None:
        return None
    return max((row.ingested_at - row.last_time).total_seconds(), 0.0)


DATA_PAGE: Final = Page("data", "/data", add_data, title="Data")
