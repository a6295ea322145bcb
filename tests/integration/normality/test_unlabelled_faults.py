"""Faults in the history that nobody told of: said on the Data page and by check."""

from dataclasses import replace

import pytest
from browsing import Visitor, resources
from factories import NOW, PLANT_TOML, opened, readings_table
from normals import promote_handmade_normal

from pm_app.jobs.normality.unlabelled_faults import unlabelled_faults_text
from pm_app.settings.plant import read_settings
from pm_app.store import RetrainingRow
from pm_app.web.app import make_app

WORDS = "holds 15 episodes that look like faults: tell of events that are missing"


@pytest.fixture
def faulty(new_plant):
    toml = f"{PLANT_TOML}\n[web]\nopen = true\n"
    config = new_plant({"all.parquet": readings_table()}, champion=False, toml=toml)
    with opened(config) as plant:
        lineage = plant.store.lineage
        version = lineage.version(promote_handmade_normal(plant))
        assert unlabelled_faults_text(lineage) == ""
        learned = RetrainingRow(NOW, NOW, NOW, "renewed", "by hand", version=2)
        summary = {"level": {"faults": 15}}
        lineage.record_normal(
            learned, version=replace(version, version=2, summary=summary), promote=True
        )
    return config


def test_the_data_page_and_check_ask_for_events(faulty, pm_app):
    settings = read_settings(faulty)
    page = Visitor(make_app(settings, resources(settings), now=lambda: NOW)).get("/data").text
    _, out, _ = pm_app("check", "-c", faulty)

    assert WORDS in " ".join(page.split())
    assert WORDS in " ".join(out.split())
