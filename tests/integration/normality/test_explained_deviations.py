"""What people are told of deviations on the command line: explain, models, status, rollback."""

import json

import pytest
from factories import NOW, PLANT_TOML, opened, promote_handmade, readings_table
from normals import FakeLearner, promote_handmade_normal
from typer.testing import CliRunner

from pm_app.cli.app import app
from pm_app.jobs.normality import run as normality
from pm_app.jobs.score.explain import provenance
from pm_app.jobs.score.run import score

TABLE = readings_table(hours=80)
NAMED = f'{PLANT_TOML}\n[sensors.sensor-1]\nname = "Bearing temperature"\nunit = "K"\n'


@pytest.fixture
def pm_app():
    def run(*arguments, code=0):
        done = CliRunner().invoke(app, [str(each) for each in arguments])
        assert done.exit_code == code, done
        ended = done.exception is None or isinstance(done.exception, SystemExit)
        return done.output if ended else f"{done.output}{done.exception}"

    return run


@pytest.fixture
def watched(new_plant):
    config = new_plant({"all.parquet": TABLE}, champion=False, toml=NAMED)
    with opened(config) as plant:
        promote_handmade_normal(plant)
        score(plant, now=NOW)
    return config


@pytest.mark.parametrize("beside", [False, True], ids=["watched", "scored"])
def test_a_deviation_is_explained_by_its_sensors(watched, beside):
    with opened(watched) as plant:
        if beside:
            promote_handmade(plant)
            score(plant, now=NOW)
        found = provenance(plant, asset="pump-01", cutoff=NOW)

    (row,) = {row["deviation"] for row in found.predictions}
    deviation = found.deviation
    furthest = max(abs(each.residual) for each in deviation.sensors)
    assert furthest / 15 == pytest.approx(row, abs=1e-3)
    assert [each.share for each in deviation.sensors] == sorted(
        (each.share for each in deviation.sensors), reverse=True
    )
    assert sum(each.share for each in deviation.sensors) == pytest.approx(1)
    assert (deviation.version.version, deviation.version.kind) == (1, "normal")
    assert (found.version is not None) == beside
    assert found.batches


def test_explain_says_in_words_which_sensor_is_off(watched, pm_app):
    words = pm_app("explain", "pump-01", "-c", watched)
    with opened(watched) as plant:
        found = provenance(plant, asset="pump-01", cutoff=NOW).deviation

    named = next(each for each in found.sensors if each.sensor == "sensor-1")
    way = "above" if named.residual > 0 else "below"
    told = f"Bearing temperature {abs(named.residual):.3g} K {way} what the other sensors explain"
    assert (told in " ".join(words.split())) == (named.share >= 0.05)
    assert "no model of failures has spoken of it" in words
    fields = json.loads(pm_app("explain", "pump-01", "-c", watched, "--json"))
    assert {each["sensor"] for each in fields["deviation"]["sensors"]} == {
        "sensor-0",
        "sensor-1",
        "sensor-2",
    }


def test_models_and_status_tell_both_kinds_apart(watched, pm_app):
    with opened(watched) as plant:
        promote_handmade(plant)
        promote_handmade_normal(plant)
    found = json.loads(pm_app("models", "-c", watched, "--json"))
    status = json.loads(pm_app("status", "-c", watched, "--json", code=1))

    rows = [(row["version"], row["of"], row["scores"]) for row in found["versions"]]
    assert rows == [(3, "normal", "yes"), (2, "failure", "yes"), (1, "normal", "")]
    assert [row["of"] for row in found["retrainings"]] == ["normal", "failure", "normal"]
    assert [row["of"] for row in found["promotions"]] == ["normal", "failure", "normal"]
    assert (status["champion"], status["normal"]) == (2, 3)
    assert "version 3 watches what is unusual" in pm_app("status", "-c", watched, code=1)


def test_each_kind_is_rolled_back_by_itself(watched, pm_app):
    with opened(watched) as plant:
        promote_handmade(plant)
        promote_handmade_normal(plant)
    pm_app("rollback", "--normal", "-c", watched)
    pm_app("promote", 3, "-c", watched)
    pm_app("rollback", "--normal", "-c", watched)

    with opened(watched) as plant:
        assert plant.store.lineage.champion("normal") == 1
        assert plant.store.lineage.champion() == 2
    assert "rollback needs a version" in pm_app("rollback", "-c", watched, code=1)


def test_learn_normal_says_what_came_of_it(new_plant, pm_app, monkeypatch):
    config = new_plant({"all.parquet": TABLE}, champion=False)
    monkeypatch.setattr(
        "pm_app.jobs.retrain.process.run_trainer",
        lambda request, response, progress, **options: FakeLearner()(request, response, progress),
    )
    words = pm_app("learn-normal", "-c", config)

    assert "first, for a reason" in words
    assert "version 1 says deviations from now on" in words
    assert normality.LEARNER == "pm_app.jobs.normality.learner"


def test_learn_normal_is_refused_where_deviations_are_off(new_plant, pm_app):
    toml = f"{PLANT_TOML}\n[deviation]\nenabled = false\n"

    assert "deviation.enabled" in pm_app(
        "learn-normal", "-c", new_plant(champion=False, toml=toml), code=1
    )
