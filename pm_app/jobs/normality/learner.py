"""Process that learns normal behaviour: reads a request, fills the staging folder, responds, exits.

It runs apart as the trainer of failures does: a large history must not grow the daemon, and what
dies here leaves nothing but a folder. TensorFlow is not loaded. Started as
`python -m pm_app.jobs.normality.learner REQUEST RESPONSE`.
"""

import sys
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pm_app.durable import write_bytes
from pm_app.errors import NotEnoughData, TerminalError, TransientError
from pm_app.jobs.normality.gather import gather_normal
from pm_app.jobs.normality.messages import (
    NORMAL_REQUEST,
    NORMAL_RESPONSE,
    NormalRequest,
    NormalResponse,
)
from pm_app.jobs.retrain.messages import REFUSED
from pm_app.jobs.retrain.process import end_with_parent, give_way, tell_parent
from pm_app.jobs.retrain.request import read_source
from pm_app.learning.normality.history import NOT_HEALTHY
from pm_app.learning.normality.learn import LearnedNormal, learn_normal
from pm_app.progress import Progress, part_of, silent
from pm_app.records.features import FeatureSpec
from pm_app.records.normality import NormalCard
from pm_app.scoring.deviation import DeviationPredictor
from pm_app.settings.plant import Settings, parse_settings
from pm_app.state.registry import Golden, Registry, write_normal
from pm_app.state.segments import MissingSegment

# Of history: with less than this more, the level is known hardly better.
MORE_HISTORY: Final = 1.25
# What is normal is confirmed at least this often, for machines change too slowly to be seen move.
LONGEST_KEPT: Final = timedelta(days=30)


def main(request_path: Path, response_path: Path, progress: Progress) -> None:
    """Learn as requested and write the response; what goes wrong on purpose ends it as REFUSED."""
    give_way()
    request: NormalRequest = NORMAL_REQUEST.validate_json(request_path.read_bytes())
    settings = parse_settings(request.settings, folder=Path(request.folder), origin="plant.toml")
    try:
        response = learn(request, settings, progress=progress)
    except NotEnoughData as error:
        response = NormalResponse("not_enough_data", str(error))
    except MissingSegment as error:
        response = NormalResponse("missing_segment", str(error), missing=error.name)
    except (TerminalError, TransientError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}")
        sys.exit(REFUSED)
    write_bytes(response_path, NORMAL_RESPONSE.dump_json(response))


def learn(
    request: NormalRequest, settings: Settings, *, progress: Progress = silent
) -> NormalResponse:
    """Learn what is normal from what history holds. Raises NotEnoughData."""
    registry = Registry(settings.state / "versions")
    speaks = registry.load_normal(request.before) if request.before is not None else None
    before = None if speaks is None else speaks.card
    progress(0.0, "building features")
    source = read_source(request, settings)
    rows, left_out = gather_normal(
        source,
        settings,
        as_of_ns=request.as_of_ns,
        alarms=request.alarms,
        like=_like(registry, request, before),
    )
    learned = learn_normal(
        rows,
        settings=settings.deviation,
        before=before,
        seed=settings.retraining.seed,
        progress=part_of(progress, 0.3, 1.0),
        raw_before=None if speaks is None else DeviationPredictor(speaks.onnx, speaks.card).raw,
    )
    card = learned.card
    others = tuple(each for each in card.taught.left_out if each[0] != NOT_HEALTHY)
    taught = replace(card.taught, left_out=(*left_out, *others))
    learned = replace(learned, card=replace(card, taught=taught))
    return _stage(request, learned, before)


def _like(
    registry: Registry, request: NormalRequest, before: NormalCard | None
) -> FeatureSpec | None:
    """Features that the new ones should share values with, so that one frame serves both."""
    if request.champion is not None:
        return registry.load(request.champion).card.spec
    return before.spec if before is not None else None


def _stage(
    request: NormalRequest, learned: LearnedNormal, before: NormalCard | None
) -> NormalResponse:
    """The response, and the version in the staging folder where it is worth one."""
    card, decision = learned.card, "first" if before is None else "renewed"
    if before is not None:
        renewal = reason_to_renew(before, card, now=datetime.fromisoformat(request.now))
        if not renewal:
            return NormalResponse("kept", f"kept: {learned.reason}", metrics=_metrics(card))
    golden = Golden(learned.golden_rows, learned.golden_outputs)
    write_normal(Path(request.staging), card=card, onnx=learned.onnx, golden=golden)
    return NormalResponse(
        decision,
        learned.reason,
        has_version=True,
        publish=learned.publish,
        metrics=_metrics(card),
    )


def reason_to_renew(old: NormalCard, new: NormalCard, *, now: datetime) -> str:
    """Why a new version is worth it, in words; "" where the one that speaks says the same."""
    if old.spec.sensors != new.spec.sensors or old.sensors != new.sensors:
        return "sensors are others"
    if old.spec != new.spec or old.method != new.method:
        return "features or method are others"
    if old.limits != new.limits:
        return "the physical limits of sensors are others"
    if new.moved:
        return f"{len(new.moved)} sensors moved"
    hours, hours_before = new.level.healthy_hours, old.level.healthy_hours
    if hours >= MORE_HISTORY * hours_before:
        return f"learned from {hours:,.0f} h of health, before {hours_before:,.0f} h"
    if old.level.persistence != new.level.persistence or old.level.clear != new.level.clear:
        return "the rule of alarms is another"
    if old.level.false_alarms_per_hour != new.level.false_alarms_per_hour:
        return "the budget of false alarms is another"
    kept = now - datetime.fromisoformat(old.taught.trained_until)
    if kept >= LONGEST_KEPT:
        return f"the one before is {kept.days} days old"
    return ""


def _metrics(card: NormalCard) -> dict[str, Any]:
    return {
        "method": card.method,
        "level": asdict(card.level),
        "taught": asdict(card.taught),
        "moved": [asdict(each) for each in card.moved],
        "checks": card.checks,
    }


if __name__ == "__main__":
    end_with_parent()
    main(Path(sys.argv[1]), Path(sys.argv[2]), tell_parent())
