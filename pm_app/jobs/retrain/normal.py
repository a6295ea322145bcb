"""Normal behaviour at a retraining: which rows may teach it, and its deviation as a feature."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from pm_app.errors import BadVersion
from pm_app.features.frame import feature_names, select_features
from pm_app.features.sharing import shared_spec
from pm_app.jobs.retrain.dataset import DatasetSource, all_failures
from pm_app.jobs.retrain.messages import TrainingRequest
from pm_app.learning.dataset import Dataset
from pm_app.learning.normality.inputs import readable_features
from pm_app.learning.normality.learn import HealthyRows
from pm_app.learning.normality.out_of_time import out_of_time_scores
from pm_app.learning.normality.teaching import (
    LeftSpan,
    TeachingRows,
    event_spans,
    teaching_rows,
)
from pm_app.records.features import FeatureSpec, Frame
from pm_app.records.normality import FrozenNormal
from pm_app.records.readings import Flags, take_events
from pm_app.scoring.deviation import DEVIATION, DEVIATION_DIGITS, with_deviation
from pm_app.settings.plant import Settings
from pm_app.state.registry import read_normal
from pm_app.times import HOUR_NS

# Where the time before failures leaves less than this share of what else would teach, it is cut
# down to the longest horizon: failures come too often to wait for an untouched month.
LEAST_SHARE: Final = 1 / 3


def teaching_of(
    source: DatasetSource,
    settings: Settings,
    frame: Frame,
    spec: FeatureSpec,
    alarms: Sequence[LeftSpan],
    as_of_ns: int,
) -> TeachingRows:
    """What may teach, with the life that is not told apart left out before failures."""
    confirmed = source.confirmed_failures
    events = all_failures(source.events, confirmed, settings, known_until=as_of_ns).events
    window_ns = spec.windows_ns[-1] if spec.windows_ns else spec.pane_ns
    horizon = settings.target.horizons_hours[-1]
    longest = settings.target.cap_hours if horizon else 0.0

    def rows(before_hours: float) -> TeachingRows:
        left = event_spans(
            events, before_ns=round(before_hours * HOUR_NS), renewals=settings.renewals
        )
        return teaching_rows(
            frame, [*alarms, *left], window_ns=window_ns, first_seen=source.first_seen
        )

    whole, least = rows(longest), rows(horizon)
    enough = whole.healthy.sum() >= LEAST_SHARE * least.healthy.sum()
    return whole if enough else least


def offer_deviation(
    dataset: Dataset, source: DatasetSource, settings: Settings, request: TrainingRequest
) -> tuple[Dataset, FrozenNormal | None]:
    """The dataset with the deviation that a request offers as its last feature, and what says it.

    What scores later is the normal itself; each row here has what was learned in the same way from
    rows before it, in the unit of the normal's alarm level. Where it cannot be read, or features
    of one name differ in value, as between two searches for regimes, none is offered, and the
    dataset says so: a plant is not left without risks for that.
    """
    if request.normal is None:
        return dataset, None
    number = request.normal.version
    try:
        version = read_normal(Path(request.normal.folder), number=number)
    except BadVersion as error:
        return replace(dataset, no_deviation=f"deviation is not offered: {error}"), None
    spec, card, frame = dataset.spec, version.card, dataset.frame
    # One frame must serve both, and the version's own is the one that is there.
    alike = shared_spec((spec, replace(card.spec, limits=None))) is not None
    if not alike or not set(card.features) <= set(feature_names(spec)[0]):
        words = f"deviation is not offered: version {number} reads other features"
        return replace(dataset, no_deviation=words), None

    def healthy_at(moment: int) -> Flags:
        past = replace(source, events=take_events(source.events, source.events.time <= moment))
        return teaching_of(past, settings, frame, spec, request.alarms, moment).healthy

    looked_at = select_features(frame, readable_features(spec, card.limits))
    rows = HealthyRows(looked_at, healthy_at(request.as_of_ns), spec, card.limits)
    scores = out_of_time_scores(rows, settings.deviation, healthy_at=healthy_at)
    deviation = np.round(scores / card.level.score, DEVIATION_DIGITS)
    offered = replace(
        dataset,
        frame=with_deviation(frame, deviation),
        informative=(*dataset.informative, DEVIATION),
        normal_version=number,
    )
    return offered, FrozenNormal(number, card, version.onnx)
