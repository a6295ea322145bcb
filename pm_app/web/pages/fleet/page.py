"""Fleet page: one row an asset, riskiest first."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final, get_args
from urllib.parse import urlencode

import pyarrow as pa
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from pm_app.jobs.operations.approvals import approval_texts
from pm_app.jobs.retrain.first_version import first_version_text
from pm_app.pictures.spark import spark_path
from pm_app.settings.plant import Settings
from pm_app.store import FleetQuery, FleetRow, Store
from pm_app.store.predictions.fleet import FleetOrder, RiskLevel
from pm_app.store.predictions.read import PREDICTIONS_SCHEMA
from pm_app.web.address import LONGEST_SEARCH, check_keys, one_of, page_number, printable
from pm_app.web.context import Page, PageContext
from pm_app.web.files import as_file
from pm_app.web.texts import ALARMS, LEVELS
from pm_app.web.timed_cache import TimedCache

FLEET_SCHEMA: Final = PREDICTIONS_SCHEMA.append(pa.field("level", pa.string())).append(
    pa.field("alarm", pa.string())
)
PAGE_ROWS: Final = 50
TREND_POINTS: Final = 48
_KEYS: Final = ("search", "level", "order", "direction", "page")
# Every key has its default: an address says only what differs.
_DEFAULTS: Final = {"search": "", "level": "", "order": "risk", "direction": "down", "page": "1"}

ORDERS: Final = {
    "risk": "risk",
    "asset": "asset",
    "deviation": "deviation",
    "life": "life left",
    "age": "age of data",
}


@dataclass(frozen=True)
class FleetAddress:
    """What an address asks for: the query, and which page of it, from 1."""

    query: FleetQuery
    page: int

    def address(self, **changes: object) -> str:
        """The query string of the same with some values changed, "" where nothing differs."""
        values = {
            "search": self.query.search,
            "level": self.query.level or "",
            "order": self.query.order,
            "direction": "down" if self.query.descending else "up",
            "page": self.page,
            **changes,
        }
        query = {key: str(values[key]) for key in _KEYS if str(values[key]) != _DEFAULTS[key]}
        return f"?{urlencode(query)}" if query else ""


def read_address(values: Mapping[str, str]) -> FleetAddress:
    """What the query string of an address asks for. Raises BadAddress."""
    check_keys(values, _KEYS)
    given = _DEFAULTS | dict(values)
    search = printable(given["search"].strip(), "search", LONGEST_SEARCH)
    level: Any = one_of(given["level"], "level", ("", *get_args(RiskLevel)))
    order: Any = one_of(given["order"], "order", get_args(FleetOrder))
    descending = one_of(given["direction"], "direction", ("down", "up")) == "down"
    query = FleetQuery(search, level or None, order, descending)
    return FleetAddress(query, page_number(given["page"]))


def fleet_facts(
    store: Store, asked: FleetAddress, *, settings: Settings, now: datetime
) -> dict[str, Any]:
    """All that the fleet's template shows."""
    levels = store.fleet.levels(asked.query.search, now=now)
    total = sum(levels.values()) if asked.query.level is None else levels[asked.query.level]
    pages = max(-(-total // PAGE_ROWS), 1)
    asked = replace(asked, page=min(asked.page, pages))
    first = (asked.page - 1) * PAGE_ROWS
    rows = store.fleet.rows(asked.query, limit=PAGE_ROWS, offset=first, now=now)
    trends = store.fleet.trends(rows, points=TREND_POINTS)
    return {
        "asked": asked,
        "rows": [(row, spark_path(trends[row.asset_id])) for row in rows],
        "levels": levels,
        "level_words": LEVELS,
        "alarm_words": ALARMS,
        "all_assets": sum(levels.values()),
        "total": total,
        "first": first + 1,
        "pages": pages,
        "deviates": any(row.deviation is not None for row in rows),
        "orders": ORDERS,
        "regresses": settings.target.task == "regression" and settings.target.kind == "column",
        "headings": _headings(asked, rows),
    }


def _headings(asked: FleetAddress, rows: Sequence[FleetRow]) -> dict[str, dict[str, str]]:
    """What the headings of sortable columns say and where they lead."""
    hours = max((row.horizon_hours for row in rows), default=0.0)
    labels = {
        "risk": f"Risk within {hours:g} h" if hours else "Risk",
        "asset": "Asset",
        "deviation": "Deviation",
        "life": "Life left (90 % interval)",
        "age": "Age of data",
    }
    return {name: _heading(asked, name, label) for name, label in labels.items()}


def _heading(asked: FleetAddress, name: str, label: str) -> dict[str, str]:
    chosen = asked.query.order == name
    # A second choice turns the order round; names begin at A, lives at the shortest.
    down = not asked.query.descending if chosen else name in ("risk", "deviation", "age")
    address = asked.address(order=name, direction="down" if down else "up", page=1)
    sorted_as = ("descending" if asked.query.descending else "ascending") if chosen else "none"
    return {"label": label, "address": address or "?", "sort": sorted_as}


def fleet_table(rows: Sequence[FleetRow]) -> pa.Table:
    """FLEET_SCHEMA: the columns of the predictions table, then level and alarm."""
    return pa.Table.from_pylist([asdict(row) for row in rows], FLEET_SCHEMA)


def add_fleet(router: APIRouter, context: PageContext) -> None:
    """The fleet as a page and as files, and the start of all pages."""
    recent: TimedCache[dict[str, Any]] = TimedCache()

    @router.get("/")
    def start() -> Response:
        return RedirectResponse("/fleet")

    @router.get("/fleet")
    def fleet(request: Request) -> Response:
        asked = read_address(request.query_params)
        store = context.store()
        newest = store.tables.newest_commit(), store.alarms.newest_event()

        def look() -> dict[str, Any]:
            given = context.settings
            return fleet_facts(context.store(), asked, settings=given, now=context.now())

        facts = recent.get((asked, newest), look)
        first_version = first_version_text(store.lineage)
        waiting = approval_texts(store.lineage)
        return context.show(
            request, FLEET_PAGE, **facts, first_version=first_version, waiting=waiting
        )

    @router.get("/fleet.{kind}")
    def fleet_file(kind: str, request: Request) -> Response:
        asked = read_address(request.query_params)
        rows = context.store().fleet.rows(asked.query, now=context.now())
        return as_file(kind, "fleet", [fleet_table(rows)], FLEET_SCHEMA)


FLEET_PAGE: Final = Page("fleet", "/fleet", add_fleet, title="Fleet")
