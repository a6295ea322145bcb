"""Which risk is watched, and from where on it is an alarm."""

from dataclasses import dataclass

from pm_app.jobs.champion import Champion
from pm_app.jobs.site import Site
from pm_app.records.alarms import AlarmRule
from pm_app.scoring.alarms import Watch

# As likely to fail as not.
EVEN_ODDS = 0.5


@dataclass(frozen=True)
class Threshold:
    """A risk in (0, 1), and where it comes from, in words."""

    risk: float
    why: str


def watch_of(site: Site, champion: Champion | None) -> Watch | None:
    """What judges alarms while this champion scores; None where no risk is said.

    Of several horizons the longest is watched, by which versions are judged too: it is the one
    that warns first.
    """
    if champion is None or champion.card.head.kind == "regression":
        return None
    settings = site.settings.alarms
    threshold = threshold_of(site, champion.card.head.horizons_hours[-1])
    return Watch(
        AlarmRule(
            horizon_hours=champion.card.head.horizons_hours[-1],
            threshold=threshold.risk,
            clear=settings.clear,
            persistence=settings.persistence,
            why=threshold.why,
        ),
        tells=site.channels,
    )


def threshold_of(site: Site, horizon_hours: float) -> Threshold:
    """The threshold that holds now for risks of this horizon.

    That of plant.toml, where it names one; else the newest that a backtest has set; else even
    odds.
    """
    given = site.settings.alarms.threshold
    if given != "auto":
        return Threshold(given, "alarms.threshold")
    found = site.store.alarms.threshold(horizon_hours)
    if found is not None:
        return Threshold(found.threshold, f"set by a backtest on {found.at:%Y-%m-%d}")
    return Threshold(EVEN_ODDS, "even odds, for none was set")
