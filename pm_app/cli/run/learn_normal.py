"""`pm-app learn-normal`: learn what is normal from readings alone, once."""

from functools import partial
from typing import TYPE_CHECKING

import typer

from pm_app.cli.options import PLANT, Json, PlantOption, now, parse_time
from pm_app.cli.output import print_json, progress_bar, say
from pm_app.cli.run.retrain import AsOf
from pm_app.errors import BadSettings
from pm_app.settings.plant import read_settings

if TYPE_CHECKING:
    from pm_app.jobs.normality.run import NormalLearned


def learn_normal(config: PlantOption = PLANT, as_of: AsOf = None, as_json: Json = False) -> None:
    """Learn what is normal, without any failure: from then on assets are watched."""
    from pm_app.jobs.normality.run import LEARNER, learn_plant_normal
    from pm_app.jobs.retrain.process import run_trainer
    from pm_app.times import NS, parse_duration
    from pm_app.wiring import open_plant

    settings = read_settings(config)
    if not settings.deviation.enabled:
        raise BadSettings("deviation.enabled is false: nothing is said of what is unusual")
    moment = parse_time(as_of, "--as-of", zone=settings.plant.timezone)
    timeout = parse_duration(settings.retraining.timeout) / NS
    with open_plant(settings) as plant, progress_bar("learn normal") as progress:
        learner = partial(run_trainer, timeout_seconds=timeout, program=LEARNER)
        done = learn_plant_normal(
            plant, now=now(), learner=learner, as_of=moment, progress=progress
        )
        version = None if done.version is None else plant.store.lineage.version(done.version)
    summary = dict(version.summary) if version is not None else {}
    if as_json:
        fields = {"decision": done.decision, "reason": done.reason, "version": done.version}
        print_json({**fields, "promoted": done.promoted, "summary": summary})
    else:
        _print(done, summary)
    if done.decision == "not_enough_data":
        raise typer.Exit(1)


def _print(done: "NormalLearned", summary: dict[str, object]) -> None:
    say(f"{done.decision}: {done.reason}")
    if done.version is None:
        return
    outcome = "says deviations from now on" if done.promoted else "was not promoted"
    say(f"version {done.version} {outcome}")
    taught, level = summary.get("taught"), summary.get("level")
    if isinstance(taught, dict) and isinstance(level, dict):
        left = ", ".join(f"{count:,} {reason}" for reason, count in taught["left_out"]) or "none"
        say(f"{taught['rows']:,} rows of {taught['assets']} assets taught; left out: {left}")
        say(str(level["reason"]))
