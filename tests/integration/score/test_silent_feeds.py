"""Silence of a feed while scoring, by events up to each cutoff; taken back by late ones."""

import json
from dataclasses import replace
from datetime import timedelta

from factories import (
    NOW,
    drop,
    events_table,
    hours_after_start,
    make_card,
    make_spec,
    opened,
    promote_handmade,
    readings_table,
    said,
)

from pm_app.jobs.score.replay import replay
from pm_app.jobs.score.run import score
from pm_app.records.features import BASES, FeatureLimits, FeedPace

LIMITS = FeatureLimits(feeds=(FeedPace("error", 1.0, 5.0),))
# Without errors it has nothing to say.
RELIANCE = tuple(float(places >> BASES.index("error") & 1) for places in range(2 ** len(BASES)))
READINGS = readings_table(assets=2, hours=30, missing=0.0)


def silent_hours(store, asset):
    """Cutoffs of an asset that rest on silence, in hours after START."""
    return sorted(
        {
            round(hours_after_start(row["cutoff"]))
            for row in said(store)
            if (row["asset_id"], row["status"]) == (asset, "stale_input")
        }
    )


def test_an_event_that_comes_late_ends_the_silence_of_every_asset(new_plant):
    first = events_table([("pump-01", 3.0, "error", "trip")])
    late = events_table([("pump-01", 12.0, "error", "trip")])
    config = new_plant({"a.parquet": READINGS}, events={"a.parquet": first})
    with opened(config) as plant:
        spec = replace(make_spec(plant.settings), limits=LIMITS)
        promote_handmade(plant, card=make_card(spec, reliance=RELIANCE))
        score(plant, now=NOW)

        assert silent_hours(plant.store, "pump-00") == list(range(9, 31))
        before = said(plant.store, without=("scored_at",))
        drop(config, "late.parquet", late, source="events")
        score(plant, now=NOW + timedelta(hours=1))

        for asset in ("pump-00", "pump-01"):
            assert silent_hours(plant.store, asset) == [9, 10, 11, *range(18, 31)]
        after = said(plant.store, without=("scored_at",))
        changed = [row["revision"] for row in after if row not in before]
        assert changed == [2] * (2 * 2 * 6)
        span = {"first": NOW - timedelta(days=100), "last": NOW}
        assert replay(plant, **span).differing == 0


def test_explain_names_the_feed_that_is_silent(new_plant, pm_app):
    errors = events_table([("pump-01", 3.0, "error", "trip")])
    config = new_plant({"a.parquet": READINGS}, events={"a.parquet": errors})
    with opened(config) as plant:
        spec = replace(make_spec(plant.settings), limits=LIMITS)
        promote_handmade(plant, card=make_card(spec, reliance=RELIANCE))
        score(plant, now=NOW)

    code, out, err = pm_app("explain", "pump-00", "-c", config, "--json")
    assert code == 0, err
    assert json.loads(out)["silence"] == "errors stopped 27 h ago; usual 60 min"
    words = pm_app("explain", "pump-00", "-c", config)
    assert "errors stopped 27 h ago; usual 60 min: what rests on that is missing here" in " ".join(
        (words[1] + words[2]).split()
    )
