"""Alarm rules that hold now: the threshold of risks, and the level of deviations."""

import math
from dataclasses import dataclass

from pm_app.jobs.score.champion import Champion
from pm_app.records.alarms import DEVIATION, AlarmRule
from pm_app.records.normality import AlarmLevel
from pm_app.scoring.alarms import RuleJudge
from pm_app.settings.plant import Settings
from pm_app.settings.sections import AlarmsSettings
from pm_app.store.alarms.alarms import Alarms

# As likely to fail as not.
EVEN_ODDS = 0.5
DEFAULT_REASON = "the default: neither alarms.threshold nor a backtest has set another"
# A deviation is told in units of the level that its version was given.
DEVIATION_LEVEL = 1.0


@dataclass(frozen=True)
class Threshold:
    """A risk in (0, 1), and where it comes from, in words."""

    risk: float
    why: str


def alarm_judges(
    champion: Champion | None,
    level: AlarmLevel | None,
    settings: Settings,
    alarms: Alarms,
    *,
    channels: tuple[str, ...],
) -> tuple[RuleJudge, ...]:
    """What judges alarms while this champion scores and this level of deviations holds; nothing
    where neither risks nor deviations are said.

    Of several horizons the longest is watched, by which versions are judged too: it is the one
    that warns first; every horizon has the same deviation. channels: that are notified.
    """
    rules = []
    horizon_hours = settings.target.horizons_hours[-1]
    if champion is not None:
        horizon_hours = champion.card.head.horizons_hours[-1]
        if champion.card.head.kind != "regression":
            rules.append(_risk_rule(settings.alarms, alarms, horizon_hours))
    if level is not None:
        rules.append(_deviation_rule(level, horizon_hours))
    elif not settings.deviation.enabled and DEVIATION in alarms.open_kinds():
        rules.append(_ending_rule(horizon_hours))
    silent = settings.alarms.persistence
    return tuple(RuleJudge(rule, channels, no_readings=silent) for rule in rules)


def _risk_rule(settings: AlarmsSettings, alarms: Alarms, horizon_hours: float) -> AlarmRule:
    threshold = threshold_of(settings, alarms, horizon_hours)
    return AlarmRule(
        horizon_hours=horizon_hours,
        threshold=threshold.risk,
        clear=settings.clear,
        persistence=settings.persistence,
        why=threshold.why,
    )


def _deviation_rule(level: AlarmLevel, horizon_hours: float) -> AlarmRule:
    days = 1 / (24 * level.false_alarms_per_hour)
    return AlarmRule(
        horizon_hours=horizon_hours,
        threshold=DEVIATION_LEVEL,
        clear=level.clear,
        persistence=level.persistence,
        why=f"a level for one false alarm of an asset in {days:.0f} days",
        kind=DEVIATION,
    )


def _ending_rule(horizon_hours: float) -> AlarmRule:
    """No deviation reaches it: what is open returns."""
    why = "deviation.enabled is false"
    return AlarmRule(horizon_hours, math.inf, clear=1.0, persistence=1, why=why, kind=DEVIATION)


def threshold_of(settings: AlarmsSettings, alarms: Alarms, horizon_hours: float) -> Threshold:
    """The threshold that holds now for risks of this horizon.

    That of plant.toml, where it names one; else the newest that a backtest has set; else even
    odds.
    """
    given = settings.threshold
    if given != "auto":
        return Threshold(given, "alarms.threshold")
    found = alarms.threshold(horizon_hours)
    if found is not None:
        return Threshold(found.threshold, f"set by a backtest on {found.at:%Y-%m-%d}")
    return Threshold(EVEN_ODDS, DEFAULT_REASON)
