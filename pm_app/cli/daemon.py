"""`pm-app run`: the jobs of a plant handed to the daemon."""

import threading
from datetime import datetime
from functools import partial

from pm_app.daemon import Job, Pulse, make_cron, run_daemon
from pm_app.jobs.retrain import retrain
from pm_app.jobs.score import score
from pm_app.jobs.site import Site
from pm_app.jobs.trainer_process import run_trainer
from pm_app.settings import Settings
from pm_app.times import NS, parse_duration
from pm_app.wiring import open_site


def run_plant(settings: Settings) -> int:
    """Run the daemon until it is asked to stop; returns the exit code."""
    make_cron(settings)
    stop, pulse = threading.Event(), Pulse()
    with open_site(settings) as site:
        retrainings = site.store.lineage.retrainings(limit=1)
        return run_daemon(
            settings,
            score=Job("score", partial(_score, site, stop, pulse), pulse),
            retrain=Job("retrain", partial(_retrain, site, stop)),
            last_retraining=retrainings[0].started_at if retrainings else None,
            stop=stop,
        )


def _score(site: Site, stop: threading.Event, pulse: Pulse, now: datetime) -> str:
    # A first look at years of files takes long, but gets on from file to file.
    done = score(site, now=now, stop=stop.is_set, progress=lambda share, text: pulse.beat())
    said = done.committed
    return (
        f"{done.ingested.batches} batches read, {done.ingested.quarantined} quarantined, "
        f"{done.ingested.rejected} rows rejected; {said.new} predictions new, "
        f"{said.revised} revised"
    )


def _retrain(site: Site, stop: threading.Event, now: datetime) -> str:
    timeout = parse_duration(site.settings.retraining.timeout) / NS
    trainer = partial(run_trainer, timeout_seconds=timeout, stop=stop.is_set)
    done = retrain(site, now=now, trainer=trainer)
    outcome = f"{done.decision}: {done.reason}"
    if done.version is None:
        return outcome
    return f"{outcome}; version {done.version} {'promoted' if done.promoted else 'not promoted'}"
