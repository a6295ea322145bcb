"""The tables of plant.toml: what each key takes, and what it is by default."""

from datetime import time, timedelta
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pm_app.settings.strategies import AUTO
from pm_app.settings.values import (
    FOR_EVER,
    MEMORY_WORDS,
    NEVER,
    Again,
    Duration,
    Name,
    Quiet,
    Span,
    StrategyName,
    Text,
    WebAddress,
    Zone,
    read_half_life,
    read_quiet,
)
from pm_app.times import parse_duration


class Section(BaseModel):
    """A table of plant.toml: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PlantSettings(Section):
    """Who this is, and where its clock stands; data is UTC."""

    name: Name = Field("plant", description="what people call it")
    timezone: Zone = Field("UTC", description="of schedules and display, e.g. Europe/Berlin")
    state: Name = Field(
        "state", description="folder of models, pane history and, unless named, the store"
    )


class FeaturesSettings(Section):
    """How readings become features."""

    pane: Duration = Field(
        "10min", description="the finest time step, which readings are summed up over"
    )
    windows: tuple[Duration, ...] = Field(
        ("1h", "8h", "24h"),
        min_length=1,
        description="how far back a prediction looks, in whole panes",
    )
    memory: tuple[Name, ...] = Field(
        ("change", "3d"),
        description="what is remembered beyond windows: change since the life began, means that "
        "fade by half in 3d; also life, scaled change; [] for none",
    )
    beginning: Duration = Field("3d", description="how much of a life change is measured against")
    clock: bool = Field(False, description="hour of day and day of week as features")
    regime_columns: tuple[Name, ...] | None = Field(
        None,
        description="operating settings that sensors are compared within; default: found",
        examples=[["load"]],
    )

    @property
    def pane_ns(self) -> int:
        """Length of a pane in nanoseconds."""
        return parse_duration(self.pane)

    @property
    def windows_ns(self) -> tuple[int, ...]:
        """Window lengths in nanoseconds, ascending."""
        return tuple(sorted(parse_duration(window) for window in self.windows))

    @property
    def life(self) -> bool:
        """Whether there are statistics of the whole life so far."""
        return "life" in self.memory

    @property
    def change(self) -> bool:
        """Whether there is the change since the beginning of the life."""
        return "change" in self.memory

    @property
    def scaled_change(self) -> bool:
        """Whether there is that change in deviations of the beginning."""
        return "scaled change" in self.memory

    @property
    def beginning_ns(self) -> int | None:
        """Whole panes that change is measured against, in nanoseconds; None where it is not."""
        if not (self.change or self.scaled_change):
            return None
        return -(-parse_duration(self.beginning) // self.pane_ns) * self.pane_ns

    @property
    def smooth_ns(self) -> tuple[int, ...]:
        """Half-lives of exponentially weighted means in nanoseconds, ascending."""
        words = set(self.memory) - set(MEMORY_WORDS)
        return tuple(sorted(parse_duration(word) for word in words))

    @field_validator("memory")
    @classmethod
    def _memory_is_of_known_kinds(cls, memory: tuple[str, ...]) -> tuple[str, ...]:
        kinds = [word if word in MEMORY_WORDS else read_half_life(word) for word in memory]
        if len(set(kinds)) < len(kinds):
            raise ValueError(f"kinds of memory must differ, got {list(memory)}")
        return memory

    @model_validator(mode="after")
    def _windows_hold_whole_panes(self) -> Self:
        for window in self.windows:
            if parse_duration(window) % self.pane_ns:
                raise ValueError(f"windows must be whole panes of {self.pane}, got {window!r}")
        if len(set(self.windows_ns)) < len(self.windows):
            raise ValueError(f"windows must differ, got {list(self.windows)}")
        return self


class TargetSettings(Section):
    """What is learned: time to failure, or a given column."""

    kind: Literal["life", "column"] = Field(
        "life", description="column: learn a given column of labels instead"
    )
    horizons: tuple[Duration, ...] = Field(
        ("24h", "72h"), min_length=1, description="how likely does it fail within ..."
    )
    rul_cap: Duration = Field("30d", description="longer lives are not told apart")
    column: Name | None = Field(
        None, description='the labels, where kind = "column"', examples=["defect"]
    )
    task: Literal["classification", "regression"] = Field(
        "classification", description="what the labels are, classes or numbers"
    )

    @property
    def horizons_hours(self) -> tuple[float, ...]:
        """Horizons in hours, ascending; (0,) where a column is learned."""
        if self.kind == "column":
            return (0.0,)
        return tuple(sorted(parse_duration(h) / 3.6e12 for h in self.horizons))

    @property
    def cap_hours(self) -> float:
        """The longest life left that is told apart, in hours."""
        return parse_duration(self.rul_cap) / 3.6e12

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "column" and self.column is None:
            raise ValueError('column must name the label column when kind = "column"')
        if self.kind == "life" and self.column is not None:
            raise ValueError('column goes with kind = "column", got kind = "life"')
        if self.kind == "life" and self.horizons_hours[-1] > self.cap_hours:
            raise ValueError(
                f"rul_cap must be at least the longest horizon, got {self.rul_cap!r} "
                f"and horizons {list(self.horizons)}"
            )
        if len(set(self.horizons_hours)) < len(self.horizons) and self.kind == "life":
            raise ValueError(f"horizons must differ, got {list(self.horizons)}")
        return self


class AllocationSettings(Section):
    """How importance may guide the network, and how large it may get."""

    strategy: StrategyName = Field(
        AUTO, description="how units follow importance; auto: what held-out data prefers"
    )
    max_parameters: int = Field(
        100_000, ge=500, le=10_000_000, description="the largest network, in weights"
    )
    pool: Literal["auto", "network"] = Field(
        "auto",
        description="auto: trees answer beside the network where held-out data finds them of use, "
        "a survival forest and with LightGBM boosted ones; network: the network alone",
    )


class DriftSettings(Section):
    """What counts as a changed ranking, and for how many retrainings in a row."""

    p_value: float = Field(
        0.01, gt=0, lt=0.5, description="how unlikely by chance a changed ranking must be"
    )
    in_a_row: int = Field(2, ge=1, le=100, description="in how many retrainings running")


class ScoringSettings(Section):
    """When new batches are looked for, and how far back the first champion scores."""

    every: Duration = Field("30s", description="how often new files are looked for")
    backfill: Duration = Field("30d", description="how far back the first model scores")


class RetrainingSettings(Section):
    """When the plant is learned again, how long that may take, and who promotes."""

    cron: Name = Field("0 2 * * *", description="minute hour day month weekday, plant time")
    minimum_failures: int = Field(
        10, ge=2, le=1_000_000, description="with fewer nothing is learned yet"
    )
    timeout: Duration = Field("6h", description="a retraining that takes longer is ended")
    promotion: Literal["automatic", "approve"] = Field(
        "automatic", description="approve: what passes the gate waits for pm-app promote"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="the same data and seed, the same version")

    @model_validator(mode="after")
    def _cron_has_five_fields(self) -> Self:
        if len(self.cron.split()) != 5:
            raise ValueError(f'cron must have five fields like "0 2 * * *", got {self.cron!r}')
        return self


class LogSettings(Section):
    """Log lines of the daemon and the pages, on stderr."""

    format: Literal["text", "json"] = Field(
        "text", description="json: an object a line, for programs that collect logs"
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="the least that is written; debug: looks that found nothing, too"
    )


class AlarmsSettings(Section):
    """What raises an alarm, and what clears it."""

    persistence: int = Field(
        2, ge=1, le=1000, description="scored cutoffs running at the threshold that raise it"
    )
    clear: float = Field(
        0.8, gt=0, le=1, description="share of the threshold, below which as many clear it"
    )
    threshold: float | Literal["auto"] = Field(
        "auto", description="or a risk between 0 and 1, at the longest horizon"
    )

    @field_validator("threshold", mode="before")
    @classmethod
    def _threshold_is_a_risk(cls, threshold: object) -> object:
        number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
        if threshold != "auto" and not (number and 0 < threshold < 1):  # type: ignore[operator]  # a number by now
            raise ValueError(f'must be "auto" or a number between 0 and 1, got {threshold!r}')
        return threshold


class CostsSettings(Section):
    """What alarms and failures cost, in the plant's own money, and what its crew can do."""

    missed_failure: float = Field(10.0, ge=0, le=1e15, description="of a failure without warning")
    false_alarm: float = Field(1.0, ge=0, le=1e15, description="of an alarm without a failure")
    least_warning: Duration = Field(
        "1h", description="a failure warned of later than that is missed"
    )
    weekly_capacity: int = Field(
        5, ge=1, le=1_000_000, description="alarms a week that the crew can look at"
    )


class RetentionSettings(Section):
    """How long what was predicted is kept."""

    predictions: Span = Field(
        FOR_EVER, description="or 730d: of older days the riskiest cutoff of each asset stays"
    )


class StoreSettings(Section):
    """Where predictions are written."""

    url: Text = Field(
        "",
        repr=False,
        description="default: pm.sqlite in the state folder; a password belongs in "
        "PM_APP_STORE_URL, which takes its place",
        examples=["postgresql+psycopg://user@host/database"],
    )


class NotificationsSettings(Section):
    """Who is told of alarms, and when not."""

    urls: tuple[Text, ...] = Field(
        (),
        repr=False,
        max_length=50,
        description="as Apprise has them: mailto://, msteams://, mqtt://, json://; secrets belong "
        "in PM_APP_NOTIFY_URLS, blanks between, which takes their place",
        examples=[["msteams://workspace/channel"]],
    )
    quiet: Quiet = Field(
        "",
        description="hours of the plant's clock in which messages wait",
        examples=["22:00-06:00"],
    )
    again: Again = Field(
        "4h", description='an alarm nobody acknowledges is sent again after that; or "never"'
    )
    work_orders: WebAddress = Field(
        "",
        repr=False,
        description="where a JSON document goes for each alarm of an asset",
        examples=["https://maintenance.example/orders"],
    )

    @property
    def quiet_hours(self) -> tuple[time, time] | None:
        """From when to when, None where there are none."""
        return read_quiet(self.quiet) if self.quiet else None

    @property
    def again_after(self) -> timedelta | None:
        """None for never."""
        if self.again == NEVER:
            return None
        return timedelta(microseconds=parse_duration(self.again) // 1000)
