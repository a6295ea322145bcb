"""API of predictions and assets."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import AfterValidator, BaseModel
from starlette.exceptions import HTTPException

from pm_app.settings.modes import actions_by_mode
from pm_app.store import ChangeCursor, FleetQuery, FleetRow, PredictionRow
from pm_app.store.predictions.fleet import FleetOrder, RiskLevel
from pm_app.web.api.parameters import (
    AssetQuery,
    Limit,
    Offset,
    Search,
    Text,
    Time,
    from_cursor,
    to_cursor,
)
from pm_app.web.api.sensors import SensorDeviation, SensorShare, as_data
from pm_app.web.context import PageContext


@dataclass(frozen=True)
class ApiPrediction(PredictionRow):
    """A row of the predictions table, and as data what its texts say of sensors and modes."""

    sensors: tuple[SensorShare, ...]
    sensors_of_deviation: tuple[SensorDeviation, ...]
    sensors_by_mode: dict[str, tuple[SensorShare, ...]]
    risks_by_mode: dict[str, float]


@dataclass(frozen=True)
class ApiAsset(FleetRow):
    """What is said of one asset now, and as data what its texts say of sensors and modes."""

    sensors: tuple[SensorShare, ...]
    sensors_of_deviation: tuple[SensorDeviation, ...]
    sensors_by_mode: dict[str, tuple[SensorShare, ...]]
    risks_by_mode: dict[str, float]


class PredictionPage(BaseModel):
    """Predictions in the order in which they were said, and where to go on from.

    next_cursor: as cursor, it gives what comes next: at once, or once more has been said.
    """

    predictions: list[ApiPrediction]
    next_cursor: str | None


class AssetPage(BaseModel):
    """Assets with what is said of each now, and how many there are in all.

    actions: what is to be done about each failure mode.
    """

    assets: list[ApiAsset]
    total: int
    actions: dict[str, str]


def _cursor(text: str) -> str:
    from_cursor(text)
    return text


Cursor = Annotated[
    str,
    Query(max_length=5000, description="next_cursor of an answer: what comes after it"),
    AfterValidator(_cursor),
]
Since = Annotated[Time, Query(description="first cutoff", examples=["2026-03-01T00:00:00Z"])]
Until = Annotated[Time, Query(description="end of cutoffs, which is left out")]
AssetName = Annotated[Text, Path(description="its name, whole", examples=["pump-07"])]
Level = Annotated[RiskLevel, Query(description="as the fleet page has it", examples=["high"])]
Order = Annotated[FleetOrder, Query(description="what they are sorted by")]
Descending = Annotated[bool, Query(description="the largest first")]


def add_predictions(router: APIRouter, context: PageContext) -> None:
    """/predictions."""

    @router.get("/predictions", summary="What is said, in the order in which it was said")
    def predictions(
        asset: AssetQuery | None = None,
        since: Since | None = None,
        until: Until | None = None,
        cursor: Cursor | None = None,
        limit: Limit = 1000,
    ) -> PredictionPage:
        """Rows with cutoff in [since, until). A revised row comes again, in its new place."""
        after = None if cursor is None else from_cursor(cursor)
        found = context.store().changes.page(
            limit=limit, after=after, asset=asset, since=since, until=until
        )
        end: ChangeCursor | None = found[-1][0] if found else after
        rows = [ApiPrediction(**vars(row), **as_data(row)) for _, row in found]
        return PredictionPage(predictions=rows, next_cursor=None if end is None else to_cursor(end))


def add_assets(router: APIRouter, context: PageContext) -> None:
    """/assets."""

    @router.get("/assets", summary="What is said of each asset now, riskiest first")
    def assets(
        search: Search = "",
        level: Level | None = None,
        order: Order = "risk",
        descending: Descending = True,
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> AssetPage:
        """As the fleet page has it; level "outdated": the horizon of the risk has passed."""
        fleet = context.store().fleet
        query, now = FleetQuery(search, level, order, descending), context.now()
        found = fleet.rows(query, limit=limit, offset=offset, now=now)
        rows = [ApiAsset(**vars(row), **as_data(row)) for row in found]
        levels: dict[Any, int] = fleet.levels(search, now=now)
        total = sum(levels.values()) if level is None else levels[level]
        actions = actions_by_mode(context.settings.modes)
        return AssetPage(assets=rows, total=total, actions=actions)

    @router.get("/assets/{asset_id:path}", summary="What is said of one asset now")
    def asset(asset_id: AssetName) -> ApiAsset:
        """Names are taken as they are, slashes and all."""
        found = context.store().fleet.asset(asset_id, now=context.now())
        if found is None:
            raise HTTPException(404, f"nothing is said of an asset {asset_id[:200]!r}")
        return ApiAsset(**vars(found), **as_data(found))
