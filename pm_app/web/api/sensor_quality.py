"""API of sensor quality: grades, and what is wrong with sensors, the worst first."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel

from pm_app.records.sensor_quality import QualityGrade, QualityKind, SensorRemark
from pm_app.settings.sensors import sensor_text
from pm_app.state.sensor_quality import read_quality
from pm_app.times import to_moment
from pm_app.web.api.parameters import AssetQuery, Limit, Offset
from pm_app.web.context import PageContext


class RemarkAnswer(BaseModel):
    """One thing that is wrong with a sensor; asset "": of all, sensor "": of all of the asset.

    name: the sensor as people are shown it.
    """

    asset: str
    sensor: str
    name: str
    kind: QualityKind
    grade: QualityGrade
    since: datetime
    text: str


class SensorQualityAnswer(BaseModel):
    """What the newest looks at sensors found; looked: when the last was, None before any.

    grades: how many sensors are good, doubtful, bad, or not judged. total: remarks in all.
    """

    looked: datetime | None
    grades: dict[str, int]
    remarks: list[RemarkAnswer]
    total: int


def add_sensors(router: APIRouter, context: PageContext) -> None:
    """/sensors."""

    @router.get("/sensors", summary="What is wrong with sensors, the worst first")
    def sensors(
        asset: AssetQuery | None = None, offset: Offset = 0, limit: Limit = 1000
    ) -> SensorQualityAnswer:
        """As the daemon found it, which looks at all assets in turn."""
        report = read_quality(context.settings.state)
        if report is None:
            return SensorQualityAnswer(looked=None, grades={}, remarks=[], total=0)
        found = [each for each in report.worst() if asset is None or each.asset == asset]
        return SensorQualityAnswer(
            looked=to_moment(report.looked),
            grades=report.by_grade(),
            remarks=[_answer(each, context) for each in found[offset : offset + limit]],
            total=len(found),
        )


def _answer(remark: SensorRemark, context: PageContext) -> RemarkAnswer:
    return RemarkAnswer(
        asset=remark.asset,
        sensor=remark.sensor,
        name=sensor_text(remark.sensor, context.settings.sensors),
        kind=remark.kind,
        grade=remark.grade,
        since=to_moment(remark.since),
        text=remark.text,
    )
