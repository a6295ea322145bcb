"""Settings of deviations: what is normal, how many false alarms it may cost, when it is learned."""

import re
from dataclasses import dataclass
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from pm_app.settings.sections import Section
from pm_app.settings.values import Duration, Name
from pm_app.times import parse_duration

_BUDGET = re.compile(r"(\d{1,6}(?:\.\d{1,6})?) per (asset|plant) and (day|week|month|quarter|year)")
_HOURS: Final = {
    "day": 24.0,
    "week": 168.0,
    "month": 8766.0 / 12,
    "quarter": 8766.0 / 4,
    "year": 8766.0,
}


@dataclass(frozen=True)
class AlarmBudget:
    """False alarms that are put up with: so many in so many hours, of one asset or of all."""

    alarms: float
    per_asset: bool
    hours: float

    def per_hour(self, assets: int) -> float:
        """False alarms of one asset an hour, where there are so many assets."""
        return self.alarms / self.hours / (1 if self.per_asset else max(assets, 1))


def read_budget(text: str) -> AlarmBudget:
    """The budget of a text like "1 per asset and quarter". Raises ValueError."""
    match = _BUDGET.fullmatch(" ".join(text.split()))
    if match is None or float(match[1]) <= 0:
        raise ValueError(
            'a budget looks like "1 per asset and quarter" or "2 per plant and month", with day, '
            f"week, month, quarter or year, got {text!r}"
        )
    return AlarmBudget(float(match[1]), match[2] == "asset", _HOURS[match[3]])


def _budget(text: str) -> str:
    read_budget(text)
    return text


Budget = Annotated[
    Name,
    AfterValidator(_budget),
    WithJsonSchema({"type": "string", "format": "number per asset or plant and time"}),
]


class DeviationSettings(Section):
    """What is told of machines by how unusual they are, before and beside any known failure."""

    enabled: bool = Field(True, description="false: nothing is told of unusual readings")
    false_alarms: Budget = Field(
        "1 per asset and quarter",
        description="how many false alarms of deviations are put up with; per asset or plant, and "
        "day, week, month, quarter or year",
    )
    minimum_history: Duration = Field(
        "3d", description="readings of machines at work that there must be before it is learned"
    )
    persistence: int = Field(
        2,
        ge=1,
        le=1000,
        description="cutoffs running at a deviation of 1 that raise an alarm; no fewer than the "
        "shortest window has panes",
    )
    clear: float = Field(
        0.8, gt=0, le=1, description="the deviation below which as many cutoffs clear it"
    )
    cron: Name = Field(
        "0 1 * * *", description="when it is learned again: minute hour day month weekday"
    )

    @property
    def budget(self) -> AlarmBudget:
        """False alarms that are put up with."""
        return read_budget(self.false_alarms)

    @property
    def minimum_history_ns(self) -> int:
        """The shortest history that is learned from, in nanoseconds."""
        return parse_duration(self.minimum_history)

    @model_validator(mode="after")
    def _cron_has_five_fields(self) -> Self:
        if len(self.cron.split()) != 5:
            raise ValueError(f'cron must have five fields like "0 1 * * *", got {self.cron!r}')
        return self
