"""Evidence for renewals from the panes that the plant keeps, bounded in cost on large plants."""

from collections import Counter
from dataclasses import replace
from typing import Final

import numpy as np

from pm_app.features.frame import build_frame, machine_off, select_features
from pm_app.features.lives import renewing
from pm_app.features.panes.panes import select_sensors
from pm_app.jobs.retrain.dataset import DatasetSource
from pm_app.jobs.retrain.extent import asset_groups, hash_name, past_until, sensors_of
from pm_app.jobs.retrain.feature_spec import make_spec
from pm_app.jobs.score.champion import Champion
from pm_app.learning.data.work_moments import WorkMoments, join_moments, window_of, work_moments
from pm_app.learning.evaluation.matched_draws import LEAST
from pm_app.learning.evaluation.renewal_evidence import RenewalEvidence, weigh_renewals
from pm_app.records.features import FeatureSpec, Panes
from pm_app.records.readings import Events, Float64, Index, take_events
from pm_app.scoring.abstention import answer_frame
from pm_app.settings.plant import Settings

# The commonest are asked; others wait until they are renewals, or codes are patterns.
MOST_CODES: Final = 40
MOST_CAUSES: Final = 12
# Assets that are looked at, and their panes times sensors.
MOST_ASSETS: Final = 300
MOST_CELLS: Final = 20_000_000


def renewal_evidence(
    source: DatasetSource, settings: Settings, *, as_of_ns: int, champion: Champion | None = None
) -> tuple[RenewalEvidence, ...]:
    """Evidence on each common maintenance code that the settings do not call a renewal.

    champion: whose risks are compared as well, where it reads panes of this plant. Raises
    MissingSegment.
    """
    events = take_events(source.events, source.events.time <= as_of_ns)
    codes = common_codes(events, "maintenance", MOST_CODES)
    causes = common_codes(events, "failure", MOST_CAUSES)
    if settings.target.column is not None or not codes or not causes:
        return ()
    past = past_until(source.history, source.segments, as_of_ns // source.history.pane_ns - 1)
    if not len(past.keys.pane):
        return ()
    spec = make_spec(sensors_of(past), events, settings, keys=past.keys, indices=source.indices)
    keys = past.keys.take(_sampled(past.keys, events, len(spec.sensors)))
    if champion is not None and champion.card.spec.pane_ns != source.history.pane_ns:
        champion = None
    parts = []
    for names in asset_groups(keys, len(spec.sensors)):
        panes = past.read(set(names))
        moments = _moments(panes, events, spec, (codes, causes))
        if champion is not None:
            risk = _risks(panes, moments, champion, replace(source, events=events))
            moments = replace(moments, risk=risk)
        parts.append(moments)
    marked = renewing(events, settings.renewals)
    return weigh_renewals(
        join_moments(parts),
        [codes[code] for code in codes],
        renewing=set(events.code[marked].tolist()),
    )


def common_codes(events: Events, kind: str, most: int) -> dict[str, int]:
    """How often the commonest codes of a kind came, of those that came often enough."""
    counts = Counter(events.code[events.kind == kind].tolist())
    return {code: count for code, count in counts.most_common(most) if count >= LEAST}


def _sampled(keys: Panes, events: Events, sensors: int) -> Index:
    """Panes of some assets with maintenance, whichever; of all where they are few."""
    worked = set(events.asset[events.kind == "maintenance"].tolist())
    order = sorted(
        range(len(keys.assets)),
        key=lambda at: (keys.assets[at] not in worked, hash_name(keys.assets[at])),
    )
    panes = np.bincount(keys.asset, minlength=len(keys.assets))
    held = np.cumsum(panes[order]) * max(sensors, 1) <= MOST_CELLS
    return np.flatnonzero(np.isin(keys.asset, order[: max(min(held.sum(), MOST_ASSETS), 1)]))


def _risks(
    panes: Panes, moments: WorkMoments, champion: Champion, source: DatasetSource
) -> Float64:
    """What the champion says of the longest horizon at the cutoffs of moments, as `WorkMoments`."""
    stride = int(panes.pane.max(initial=0)) + 2
    keys = panes.asset.astype(np.int64) * stride + panes.pane
    asked = moments.asset[:, None] * stride + moments.cutoffs // panes.pane_ns - 1
    # The newest pane of the window: readings may be rarer than panes.
    place = np.maximum(np.searchsorted(keys, asked, side="right") - 1, 0)
    there = asked - keys[place] < window_of(panes.pane_ns) // panes.pane_ns
    wanted = np.unique(place[there])
    card = champion.card
    built = [
        build_frame(panes, source.events, spec, first_seen=source.first_seen, wanted=wanted)
        for spec in champion.specs
    ]
    frame = select_features(champion.read(built), card.features)
    answers = answer_frame(frame, card, champion.predictor)
    risk = np.full(len(keys), np.nan)
    risk[wanted[answers.rows]] = answers.scores.risk[:, -1]
    return np.where(there, risk[place], np.nan)


def _moments(
    panes: Panes, events: Events, spec: FeatureSpec, wanted: tuple[dict[str, int], dict[str, int]]
) -> WorkMoments:
    if spec.running is not None:
        panes = panes.take(~machine_off(panes, spec.running))
    return work_moments(select_sensors(panes, spec.sensors), events, *map(tuple, wanted))
