"""Deviation as an input: a failure model keeps the normal behaviour it learned with."""

from dataclasses import replace

import pyarrow as pa
import pytest
from factories import (
    NOW,
    PLANT_TOML,
    drop,
    hour,
    make_card,
    make_spec,
    opened,
    promote_handmade,
    readings_table,
    said,
)
from normals import make_normal_card, make_normal_graph, promote_handmade_normal

from pm_app.errors import BadVersion
from pm_app.jobs.backfill.run import backfill
from pm_app.jobs.operations.backup import backup, restore
from pm_app.jobs.retrain.dataset import gather_dataset
from pm_app.jobs.retrain.normal import offer_deviation
from pm_app.jobs.retrain.request import read_source
from pm_app.jobs.retrain.run import make_request
from pm_app.jobs.score.champion import load_champion
from pm_app.jobs.score.explain import provenance
from pm_app.jobs.score.replay import replay
from pm_app.jobs.score.run import score
from pm_app.records.normality import FrozenNormal
from pm_app.scoring.deviation import DEVIATION

TABLE = readings_table(hours=80)


def reading_card(settings, *, number=1, level=1.5):
    """A card that reads one sensor and a deviation, and what says that deviation."""
    spec = make_spec(settings)
    whole = make_card(spec)
    features = (*whole.features[:3], DEVIATION)
    many = len(features)
    card = replace(
        whole,
        features=features,
        sensor_of=(*whole.sensor_of[:3], DEVIATION),
        feature_low=whole.feature_low[:many],
        feature_high=whole.feature_high[:many],
        reference=whole.reference[:many],
        normal_version=number,
    )
    normal = make_normal_card(spec, level=level)
    return card, FrozenNormal(number, normal, make_normal_graph(normal.features, normal.sensors))


@pytest.fixture
def reading(new_plant):
    """A plant whose champion reads the deviation of version 1, which speaks as well."""
    config = new_plant({"all.parquet": TABLE}, champion=False, toml=PLANT_TOML)
    with opened(config) as plant:
        promote_handmade_normal(plant)
        card, normal = reading_card(plant.settings)
        promote_handmade(plant, card=card, normal=normal)
        score(plant, now=NOW)
    return config


def risks(rows):
    return {(row["asset_id"], row["cutoff"], row["horizon_hours"]): row["risk"] for row in rows}


def test_what_is_read_is_what_the_kept_normal_says(reading):
    with opened(reading) as plant:
        found = provenance(plant, asset="pump-01", cutoff=NOW)

    (deviation,) = {row["deviation"] for row in found.predictions}
    (read,) = (each for each in found.features if each.name == DEVIATION)
    assert read.value == pytest.approx(deviation)
    assert DEVIATION in found.explanation.sensors


def test_a_later_normal_changes_what_is_said_of_deviations_and_no_risk(reading):
    with opened(reading) as plant:
        before = said(plant.store)
        promote_handmade_normal(plant, card=make_normal_card(make_spec(plant.settings), level=6.0))
        backfill(plant, first=hour(0), last=hour(90), now=NOW)
        after = said(plant.store)

    assert risks(after) == risks(before)
    assert {row["status"] for row in after} >= {"scored"}
    moved = [a["deviation"] for a in after if a["deviation"]]
    assert moved
    assert max(moved) < max(row["deviation"] for row in before if row["deviation"])


def test_another_kept_normal_gives_other_risks(reading):
    with opened(reading) as plant:
        before = risks(said(plant.store))
        card, normal = reading_card(plant.settings, level=0.1)
        promote_handmade(plant, card=card, normal=normal)
        backfill(plant, first=hour(0), last=hour(90), now=NOW)
        after = risks(said(plant.store))

    assert before.keys() == after.keys()
    assert before != after


def test_a_late_reading_of_a_sensor_that_only_the_normal_reads_changes_its_cutoffs(reading):
    late = pa.table(
        {
            "asset_id": ["pump-01"],
            "timestamp": pa.array([hour(60.99)], pa.timestamp("ns", "UTC")),
            "sensor-2": [400.0],
        }
    )
    with opened(reading) as plant:
        before = risks(said(plant.store))
        drop(reading, "late.parquet", late)
        score(plant, now=NOW)
        after = risks(said(plant.store))
        differing = replay(plant, first=hour(0), last=hour(90)).differing

    assert before != after
    assert differing == 0


def test_the_kept_normal_is_in_backups_and_guarded_on_disk(reading, tmp_path):
    with opened(reading) as plant:
        file, state = tmp_path / "plant.backup", plant.settings.state
        backup(plant.store, state, file, settings=plant.settings.folder / "plant.toml")
        url = f"sqlite:///{tmp_path / 'other.sqlite'}"
        restore(file, tmp_path / "other", url, folder=plant.settings.folder)
        number = plant.store.lineage.champion()
        kept = plant.registry.path(number) / "normal.onnx"
        again = tmp_path / "other" / "versions" / kept.parent.name / kept.name
        assert again.read_bytes() == kept.read_bytes()
        kept.write_bytes(kept.read_bytes()[:-1])

        with pytest.raises(BadVersion, match=r"normal\.onnx: changed since it was published"):
            load_champion(plant)


def offered(plant):
    """The dataset of a retraining now, and the normal behaviour that it would keep."""
    request = make_request(
        plant.store, plant.settings, champion=None, now=NOW, staging=plant.registry.folder
    )
    source = read_source(request, plant.settings)
    dataset = gather_dataset(source, plant.settings, as_of_ns=request.as_of_ns)
    return offer_deviation(dataset, source, plant.settings, request)


def test_a_retraining_offers_the_deviation_of_what_says_it(reading):
    with opened(reading) as plant:
        dataset, normal = offered(plant)

    assert (dataset.frame.features[-1], dataset.informative[-1]) == (DEVIATION, DEVIATION)
    assert normal.number == dataset.normal_version == 1
    assert dataset.no_deviation == ""


def test_a_retraining_goes_on_without_a_damaged_normal_and_says_so(reading):
    with opened(reading) as plant:
        graph = plant.registry.path(1) / "model.onnx"
        graph.write_bytes(graph.read_bytes()[:-1])
        dataset, normal = offered(plant)

    assert normal is None
    assert DEVIATION not in dataset.frame.features
    assert "deviation is not offered" in dataset.no_deviation
    assert "model.onnx: changed since it was published" in dataset.no_deviation
