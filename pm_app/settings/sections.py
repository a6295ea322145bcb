"""The tables of plant.toml: what each key takes, and what it is by default."""

from datetime import date, time, timedelta
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pm_app.settings.values import (
    FOR_EVER,
    LOOPBACK,
    MEMORY_WORDS,
    NEVER,
    Address,
    Again,
    Day,
    Duration,
    Header,
    Listen,
    Name,
    NetworkAddress,
    Quiet,
    Running,
    Span,
    Text,
    WebAddress,
    Zone,
    read_half_life,
    read_quiet,
    read_running,
    split_listen,
)
from pm_app.times import parse_duration


class Section(BaseModel):
    """A table of plant.toml: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PlantSettings(Section):
    """Who this is. The time zone is for schedules and display; data is UTC."""

    name: Name = "plant"
    timezone: Zone = "UTC"
    state: Name = "state"


class ReadingsSettings(Section):
    """Where readings come from and what their columns are called."""

    uri: Address = "readings"
    layout: Literal["wide", "long"] = "wide"
    asset_column: Name = "asset_id"
    time_column: Name = "timestamp"
    timezone: Zone | None = None
    sensors: tuple[Name, ...] | None = None
    required: tuple[Name, ...] = ()
    running: Running | None = None
    future: Duration = "1d"
    earliest: Day = date(2000, 1, 1)

    @model_validator(mode="after")
    def _what_tells_running_is_read(self) -> Self:
        if self.running and self.sensors is not None:
            sensor, _ = read_running(self.running)
            if sensor not in self.sensors:
                raise ValueError(f"running names {sensor!r}, which is not among sensors")
        return self


class EventsSettings(Section):
    """Where failures and repairs come from. An absent folder means none yet.

    until_column: when an event had happened at the latest, where only that is known.
    """

    uri: Address = "events"
    timezone: Zone | None = None
    until_column: Name | None = None


class FeaturesSettings(Section):
    """How readings become features."""

    pane: Duration = "10min"
    windows: tuple[Duration, ...] = Field(default=("1h", "8h", "24h"), min_length=1)
    memory: tuple[Name, ...] = ("change", "3d")
    beginning: Duration = "3d"
    clock: bool = False
    regime_columns: tuple[Name, ...] | None = None

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

    kind: Literal["life", "column"] = "life"
    horizons: tuple[Duration, ...] = Field(default=("24h", "72h"), min_length=1)
    rul_cap: Duration = "30d"
    column: Name | None = None
    task: Literal["classification", "regression"] = "classification"

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

    strategy: Literal[
        "uniform", "tiers", "regularized", "tiers+regularized", "attention", "auto"
    ] = "auto"
    max_parameters: int = Field(default=100_000, ge=500, le=10_000_000)


class DriftSettings(Section):
    """What counts as a changed ranking, and for how many retrainings in a row."""

    p_value: float = Field(default=0.01, gt=0, lt=0.5)
    in_a_row: int = Field(default=2, ge=1, le=100)


class ScoringSettings(Section):
    """When new batches are looked for, and how far back the first champion scores."""

    every: Duration = "30s"
    backfill: Duration = "30d"


class RetrainingSettings(Section):
    """When the plant is learned again, how long that may take, and who promotes.

    promotion: "approve" lets a version that has passed the gate wait for `pm-app promote`.
    """

    cron: Name = "0 2 * * *"
    minimum_failures: int = Field(default=10, ge=2, le=1_000_000)
    timeout: Duration = "6h"
    promotion: Literal["automatic", "approve"] = "automatic"
    seed: int = Field(default=0, ge=0, lt=2**32)

    @model_validator(mode="after")
    def _cron_has_five_fields(self) -> Self:
        if len(self.cron.split()) != 5:
            raise ValueError(f'cron must have five fields like "0 2 * * *", got {self.cron!r}')
        return self


class AlarmsSettings(Section):
    """What raises an alarm, and what clears it.

    persistence counts scored cutoffs; clear is a share of the threshold.
    """

    persistence: int = Field(default=2, ge=1, le=1000)
    clear: float = Field(default=0.8, gt=0, le=1)
    threshold: float | Literal["auto"] = "auto"

    @field_validator("threshold", mode="before")
    @classmethod
    def _threshold_is_a_risk(cls, threshold: object) -> object:
        number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
        if threshold != "auto" and not (number and 0 < threshold < 1):  # type: ignore[operator]  # a number by now
            raise ValueError(f'must be "auto" or a number between 0 and 1, got {threshold!r}')
        return threshold


class CostsSettings(Section):
    """What alarms and failures cost, in the plant's own money, and what its crew can do.

    least_warning: a failure warned of later than that before it is missed. weekly_capacity:
    alarms a week that the crew can look at.
    """

    missed_failure: float = Field(default=10.0, ge=0, le=1e15)
    false_alarm: float = Field(default=1.0, ge=0, le=1e15)
    least_warning: Duration = "1h"
    weekly_capacity: int = Field(default=5, ge=1, le=1_000_000)


class RetentionSettings(Section):
    """How long every prediction is kept; of older days the riskiest of each asset stays."""

    predictions: Span = FOR_EVER


class StoreSettings(Section):
    """Where predictions are written. A password belongs in PM_APP_STORE_URL instead."""

    url: Text = Field(default="", repr=False)


class WebSettings(Section):
    """Where the operators' page listens, and how it knows who comes.

    proxy_header: what a proxy at one of proxy_addresses says who comes with; any other's is not
    believed. certificate, key: files of PEM for TLS, relative to plant.toml. session: how long
    whoever signs in stays signed in.
    """

    listen: Listen = "127.0.0.1:8080"
    proxy_header: Header = ""
    proxy_addresses: tuple[NetworkAddress, ...] = ()
    certificate: Text = ""
    key: Text = ""
    session: Duration = "12h"

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if bool(self.certificate) != bool(self.key):
            raise ValueError("web.certificate and web.key go together, got one without the other")
        if self.proxy_header and not self.proxy_addresses:
            raise ValueError(
                "web.proxy_header needs web.proxy_addresses: whose word on who comes is believed"
            )
        return self

    @property
    def address(self) -> tuple[str, int]:
        """Host, without brackets, and port."""
        return split_listen(self.listen)

    @property
    def local(self) -> bool:
        """Whether this machine alone reaches it."""
        return self.address[0] in LOOPBACK


class NotificationsSettings(Section):
    """Who is told of alarms, and when not.

    urls: addresses as Apprise has them; PM_APP_NOTIFY_URLS, blanks between, takes their place.
    quiet: hours of the plant's clock in which messages wait. again: after how long an alarm that
    nobody has acknowledged is told again. work_orders: where one JSON document leaves to for each
    alarm of an asset.
    """

    urls: tuple[Text, ...] = Field(default=(), repr=False, max_length=50)
    quiet: Quiet = ""
    again: Again = "4h"
    work_orders: WebAddress = Field(default="", repr=False)

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
