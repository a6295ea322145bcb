"""Jobs of a plant for the daemon of `pm-app run`."""

import threading
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from functools import partial

from pm_app.daemon.freshness import plant_conditions, read_freshness
from pm_app.daemon.health import Monitor
from pm_app.daemon.loop import (
    DaemonJobs,
    Heartbeat,
    Job,
    NormalJob,
    notify_supervisor,
    run_daemon,
    stop_on_signals,
    wait_for_store,
)
from pm_app.daemon.schedule import NORMAL_CRON, make_cron
from pm_app.errors import NotEnoughData, TransientError
from pm_app.jobs.normality.run import LEARNER, learn_plant_normal
from pm_app.jobs.operations.approvals import approval_condition, waiting_versions
from pm_app.jobs.operations.publishing import publish
from pm_app.jobs.operations.sensor_quality import QualitySource, look_at_sensors
from pm_app.jobs.plant import Plant
from pm_app.jobs.retrain.process import run_trainer
from pm_app.jobs.retrain.run import retrain
from pm_app.jobs.score.run import score
from pm_app.scoring.alarms import plant_step
from pm_app.settings.plant import Settings
from pm_app.state.lock import hold_state
from pm_app.times import NS, parse_duration
from pm_app.wiring import notify_due, open_plant_shared, open_publishers, watch_sources


def run_plant(settings: Settings) -> int:
    """Run the daemon until it is asked to stop; returns the exit code."""
    make_cron(settings)
    make_cron(settings, NORMAL_CRON)
    stop = threading.Event()
    stop_on_signals(stop)
    with ExitStack() as opened:
        opened.enter_context(hold_state(settings.state))
        monitor = Monitor(settings.state)
        notify_supervisor("READY=1")
        plant = wait_for_store(
            lambda: opened.enter_context(open_plant_shared(settings)), stop=stop, monitor=monitor
        )
        if plant is not None:
            return _run(plant, stop, monitor)
        monitor.stop()
    return 0


def _run(plant: Plant, stop: threading.Event, monitor: Monitor) -> int:
    # A first look at years of files takes long, but gets on from chunk to chunk; scoring may
    # have to wait while a training is at it.
    heartbeat = Heartbeat()
    plant = replace(plant, beat=heartbeat.beat)
    looked = threading.Event()
    retrainings = plant.store.lineage.retrainings(limit=1)
    return run_daemon(
        plant.settings,
        DaemonJobs(
            score=Job("score", partial(_score, plant, stop, looked), heartbeat),
            retrain=Job("retrain", partial(_retrain, plant, stop)),
            notify=Job("notify", partial(_notify, plant)) if plant.channels else None,
            publish=_publish_job(plant),
            watch=Job("watch", partial(watch_plant, plant, looked)),
            sensors=Job("sensors", partial(_judge_sensors, plant)),
            last_retraining=retrainings[0].started_at if retrainings else None,
            normal=_normal_job(plant, stop) if plant.settings.deviation.enabled else None,
        ),
        stop=stop,
        monitor=monitor,
        watching=partial(watch_sources, plant.settings),
    )


def _publish_job(plant: Plant) -> Job | None:
    settings, channels = plant.settings, open_publishers(plant.settings)
    if not channels:
        return None
    name, state = settings.plant.name, settings.state
    return Job("publish", lambda now: publish(plant.store, state, channels, plant=name))


def _score(plant: Plant, stop: threading.Event, looked: threading.Event, now: datetime) -> str:
    try:
        done = score(plant, now=now, stop=stop.is_set)
    finally:
        looked.set()
    committed = done.committed
    arriving = f"{done.ingested.arriving} still being written, " if done.ingested.arriving else ""
    return (
        f"{done.ingested.batches} batches read, {done.ingested.quarantined} quarantined, {arriving}"
        f"{done.ingested.rejected} rows rejected; {committed.new} predictions new, "
        f"{committed.revised} revised"
    )


def watch_plant(plant: Plant, looked: threading.Event, now: datetime) -> str:
    """Raise and clear the alarms of what has stopped or waits for a person, once scoring has
    looked at what waits to be read.

    A plant that was off has files that wait: they are no silence.
    """
    if not looked.is_set():
        return "waits for the first look at new files"
    feeds = read_freshness(plant.store, plant.settings, now=now)
    waiting = approval_condition(waiting_versions(plant.store.lineage))
    plant.store.plant_alarms.follow(
        [*plant_conditions(feeds), waiting], plant_step, channels=plant.channels, now=now
    )
    return ", ".join(each.feed for each in feeds if each.overdue) or "nothing is overdue"


def _judge_sensors(plant: Plant, now: datetime) -> str:
    source = QualitySource(plant.settings, plant.history, plant.ledger)
    return look_at_sensors(source, now=now)


def _notify(plant: Plant, now: datetime) -> str:
    done = notify_due(plant, now=now)
    if done.failed:
        raise TransientError(f"{done.failed} alarms could not be told: pm-app notifications")
    return f"{done.sent} alarms told, {done.quiet} put off till the quiet hours end"


def _normal_job(plant: Plant, stop: threading.Event) -> NormalJob:
    lineage = plant.store.lineage
    learned = lineage.retrainings(limit=1, kind="normal")
    return NormalJob(
        Job("learn normal", partial(_learn_normal, plant, stop)),
        learned[0].started_at if learned else None,
        lambda: bool(lineage.versions(limit=1, kind="normal")),
    )


def _learn_normal(plant: Plant, stop: threading.Event, now: datetime) -> str:
    timeout = parse_duration(plant.settings.retraining.timeout) / NS
    learner = partial(run_trainer, timeout_seconds=timeout, stop=stop.is_set, program=LEARNER)
    try:
        done = learn_plant_normal(plant, now=now, learner=learner, stop=stop.is_set)
    except NotEnoughData as error:
        return str(error)
    if done.version is None:
        return f"{done.decision}: {done.reason}"
    outcome = "speaks" if done.promoted else "does not speak"
    return f"{done.decision}: {done.reason}; version {done.version} {outcome}"


def _retrain(plant: Plant, stop: threading.Event, now: datetime) -> str:
    timeout = parse_duration(plant.settings.retraining.timeout) / NS
    trainer = partial(run_trainer, timeout_seconds=timeout, stop=stop.is_set)
    done = retrain(plant, now=now, trainer=trainer, stop=stop.is_set)
    outcome = f"{done.decision}: {done.reason}"
    if done.version is None:
        return outcome
    return f"{outcome}; version {done.version} {'promoted' if done.promoted else 'not promoted'}"
