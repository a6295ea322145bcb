"""Plan of a simulated plant: how many pumps, for how long, and what wears them out."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pm_app.errors import BadSettings
from pm_app.simulator.policy import MODES, MaintenancePolicy, check_within
from pm_app.times import HOUR_NS


@dataclass(frozen=True)
class PlantPlan:
    """A plant of like pumps; everything a simulation depends on.

    mix_before, mix_after: how often each failure mode begins, relative to the others, before
    and after the change at `change_at` (a share of the days). "electrical" faults give no
    warning. typical_life_days: scale of the Weibull time (shape `life_shape`) from repair to the
    first sign of a fault, all modes together. warning_days: median time from first sign to failure
    (the P-F interval of Moubray 1997). nuisance: sensors that know nothing of any fault.
    regimes: distinct levels of load that pumps switch between, each kept for regime_hours on
    average. variable_speed: drives hold the regime's load (no day, week or chance), and speed
    follows it fully; pumps wear as at nominal load, so that plans which differ in regimes
    alone fail alike.
    missing_share: of single values; outages_per_sensor_month: of sensors, for hours.
    shared_symptoms: how far modes share sensors, from 0 (each has its own) to 1 (two modes move
    each sensor alike, and only which of them move together tells the mode).
    policy: what is done to parts before and after they fail; None: bearings and seals are
    renewed in turn every maintenance_days, and a failure's repair renews the whole pump. With a
    policy, maintenance_days has no meaning, and the truth knows hazards.
    """

    assets: int = 30
    days: int = 90
    interval_minutes: int = 30
    seed: int = 0
    start_ns: int = 1_704_067_200_000_000_000  # 2024-01-01, a Monday
    change_at: float = 0.5
    mix_before: Mapping[str, float] = field(
        default_factory=lambda: {"bearing": 0.87, "seal": 0.1, "electrical": 0.03}
    )
    mix_after: Mapping[str, float] = field(
        default_factory=lambda: {"impeller": 0.82, "seal": 0.1, "bearing": 0.05, "electrical": 0.03}
    )
    typical_life_days: float = 20.0
    warning_days: float = 5.0
    repair_hours: float = 10.0
    maintenance_days: float = 30.0
    nuisance: int = 6
    regimes: int = 3
    regime_hours: float = 12.0
    variable_speed: bool = False
    missing_share: float = 0.005
    outages_per_sensor_month: float = 0.15
    life_shape: float = 2.0
    shared_symptoms: float = 0.0
    policy: MaintenancePolicy | None = None

    def __post_init__(self) -> None:
        """Raises BadSettings naming what is out of bounds."""
        check_within("assets", self.assets, 1, 10_000)
        check_within("days", self.days, 1, 3660)
        check_within("interval_minutes", self.interval_minutes, 1, 240)
        check_within("regimes", self.regimes, 1, 6)
        check_within("regime_hours", self.regime_hours, self.step_hours, 8760)
        check_within("nuisance", self.nuisance, 0, 1000)
        check_within("change_at", self.change_at, 0, 1)
        check_within("missing_share", self.missing_share, 0, 0.9)
        check_within("life_shape", self.life_shape, 1, 10)
        check_within("shared_symptoms", self.shared_symptoms, 0, 1)
        if 1440 % self.interval_minutes:
            raise BadSettings(f"interval_minutes must divide a day, got {self.interval_minutes}")
        for name, mix in (("mix_before", self.mix_before), ("mix_after", self.mix_after)):
            unknown = sorted(set(mix) - set(MODES))
            if unknown or min(mix.values(), default=0) < 0 or sum(mix.values()) <= 0:
                raise BadSettings(f"{name} must weigh some of {MODES}, got {dict(mix)}")

    @property
    def steps_per_day(self) -> int:
        """Readings of a pump a day."""
        return 1440 // self.interval_minutes

    @property
    def steps(self) -> int:
        """Readings of a pump in all."""
        return self.days * self.steps_per_day

    @property
    def step_hours(self) -> float:
        """Hours from one reading to the next."""
        return self.interval_minutes / 60

    @property
    def step_ns(self) -> int:
        """Nanoseconds from one reading to the next."""
        return self.interval_minutes * HOUR_NS // 60

    @property
    def change_step(self) -> int:
        """The first reading after the change."""
        return round(self.change_at * self.steps)
