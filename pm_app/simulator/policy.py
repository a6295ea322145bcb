"""Maintenance policy of a simulated plant: what is done to parts before and after they fail.

Age and block replacement as in Barlow & Hunter, Optimum Preventive Maintenance Policies, 1960;
imperfect repair as in Kijima, Some Results for Repairable Systems, 1989 (model II: a repair
leaves a share of the age a part had).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pm_app.errors import BadSettings

MODES: Final = ("bearing", "seal", "impeller", "electrical")
OVERHAUL: Final = "overhaul"
ROUTINE: Final = ("lubrication", "cleaning", "filter change")
INSPECTION: Final = "inspection"
# Why work was done: because the pump failed, by age, by calendar, as the pump stood still
# anyway, because an inspection found a fault; overhauls by calendar, and routine.
REASONS: Final = ("failure", "age", "block", "opportunity", "finding", OVERHAUL, "routine")


@dataclass(frozen=True)
class MaintenancePolicy:
    """What is done when; every part is on its own, and its replacement renews its mode alone.

    Mappings are by mode; a mode that is not named is left until it fails. Ages are running time.
    age_replacement_days: a part is replaced as soon as it is so old.
    block_replacement_days: a part is replaced by the calendar, whatever its age.
    opportunistic_days: a part so old is replaced when the pump stands still for another.
    imperfect_repair: share of failures after which the part is repaired and not replaced, which
    restores `repair_restores` of its life; what shows of the fault is gone either way.
    overhaul_days: all parts are replaced by the calendar (0: never).
    inspection_days: somebody looks by the calendar (0: never), and finds a fault of growth
    `finding_at` (1 is where half of such faults have failed) with probability `detection`;
    the part is then replaced after about `lead_days`, unless it fails before.
    routine_days: each of ROUTINE is done about so often (0: never) and renews nothing, nor does
    the pump stand still for it; routine_on_stops: the chance of each on the occasion of a stop.
    """

    age_replacement_days: Mapping[str, float] = field(default_factory=dict)
    block_replacement_days: Mapping[str, float] = field(default_factory=dict)
    opportunistic_days: Mapping[str, float] = field(default_factory=dict)
    imperfect_repair: Mapping[str, float] = field(default_factory=dict)
    repair_restores: float = 0.6
    overhaul_days: float = 0.0
    inspection_days: float = 0.0
    finding_at: float = 0.4
    detection: float = 0.9
    lead_days: float = 1.0
    routine_days: float = 0.0
    routine_on_stops: float = 0.0

    def __post_init__(self) -> None:
        """Raises BadSettings naming what is out of bounds."""
        for name in ("age_replacement_days", "block_replacement_days", "opportunistic_days"):
            _check_modes(name, getattr(self, name), least=0.5, most=3660)
        _check_modes("imperfect_repair", self.imperfect_repair, least=0, most=1)
        for name in ("repair_restores", "detection", "routine_on_stops"):
            check_within(name, getattr(self, name), 0, 1)
        check_within("finding_at", self.finding_at, 0.01, 10)
        check_within("lead_days", self.lead_days, 0, 3660)
        for name in ("overhaul_days", "inspection_days", "routine_days"):
            days = getattr(self, name)
            if days:
                check_within(name, days, 0.5, 3660)

    @property
    def renewals(self) -> dict[str, tuple[str, ...]]:
        """Modes that each maintenance code of this plant makes as good as new; () for none."""
        codes: dict[str, tuple[str, ...]] = {replaced(mode): (mode,) for mode in MODES}
        codes |= {repaired(mode): () for mode in MODES if self.imperfect_repair.get(mode)}
        if self.overhaul_days:
            codes[OVERHAUL] = MODES
        if self.routine_days or self.routine_on_stops:
            codes |= dict.fromkeys(ROUTINE, ())
        return codes


def replaced(mode: str) -> str:
    """The maintenance code of a new part."""
    return f"{mode} replaced"


def repaired(mode: str) -> str:
    """The maintenance code of a part that was repaired, and is not new."""
    return f"{mode} repaired"


def finding(mode: str) -> str:
    """The inspection code of a fault that was found."""
    return f"{mode} finding"


def _check_modes(name: str, values: Mapping[str, float], *, least: float, most: float) -> None:
    unknown = sorted(set(values) - set(MODES))
    if unknown:
        raise BadSettings(f"{name} must be by some of {MODES}, got {dict(values)}")
    for mode, value in values.items():
        check_within(f"{name} of {mode}", value, least, most)


def check_within(name: str, value: float, low: float, high: float) -> None:
    """Raises BadSettings where a value is out of its bounds, both included."""
    if not low <= value <= high:
        raise BadSettings(f"{name} must lie in [{low}, {high}], got {value}")
