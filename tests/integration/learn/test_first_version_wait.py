"""What the first version waits for is told where people look, with figures and what to do."""

from dataclasses import replace
from html import unescape

import pytest
from browsing import ask, open_to_all, resources
from factories import NOW, FakeTrainer, opened, readings_table

from pm_app.jobs.retrain.run import retrain
from pm_app.jobs.score.run import score
from pm_app.settings.plant import read_settings
from pm_app.store import Actor, RetrainingRow, VersionRow
from pm_app.web.app import make_app

KEPT_OUT = (
    "first ranking: nothing to compare it with; kept out: ranks failures no better than luck may: "
    "average precision 0.31, more than 0.38 needed (99 % of failures dealt anew reach no more; "
    "half of them 0.05)"
)
WAITS = {
    "too few failures": (
        FakeTrainer("not_enough_data", made=False),
        "not enough data: 6 failures, 10 needed",
        ["No model yet: not enough data: 6 failures, 10 needed. What helps: older failures"],
    ),
    "no better than luck": (
        FakeTrainer("first", promote=False),
        KEPT_OUT,
        [
            "No model yet: version 1 is kept out: ranks failures no better than luck may",
            "average precision 0.31, more than 0.38 needed",
            "or, where you trust it, pm-app promote 1.",
        ],
    ),
}


def shown(config, page):
    """The text of a page to whoever may look."""
    settings = open_to_all(read_settings(config))
    return unescape(ask(make_app(settings, resources(settings), now=lambda: NOW), page).text)


@pytest.fixture(params=WAITS)
def waiting(request, new_plant):
    """A plant without a champion after its first retraining, and what is told of it."""
    trainer, reason, told = WAITS[request.param]
    trainer.answer = replace(trainer.answer, reason=reason)
    config = new_plant({"a.parquet": readings_table()}, champion=False)
    with opened(config) as plant:
        score(plant, now=NOW)
        retrain(plant, now=NOW, trainer=trainer)
    return config, told


@pytest.mark.parametrize("page", ["/models", "/fleet"])
def test_the_pages_say_what_is_missing_how_far_it_is_and_what_to_do(waiting, page):
    config, told = waiting

    text = shown(config, page)

    for words in told:
        assert words in text


@pytest.mark.parametrize("command", ["models", "status"])
def test_the_commands_say_it_too(waiting, command, pm_app):
    config, told = waiting

    _, out, _ = pm_app(command, "-c", config)

    for words in told:
        assert words in out


def test_until_then_it_is_told_that_machines_are_watched(waiting):
    config, _ = waiting
    learning = RetrainingRow(NOW, NOW, NOW, "first", "what is usual", version=7)
    version = VersionRow(7, "000007", "f" * 64, NOW, "", 0, "published")
    with opened(config) as plant:
        plant.store.lineage.record_normal(learning, version=version, promote=True)

    for page in ("/models", "/fleet"):
        assert "Until then every machine is watched for unusual behaviour (version 7)." in shown(
            config, page
        )


def test_where_a_version_scores_nothing_is_said_of_waiting(new_plant, pm_app):
    config = new_plant({"a.parquet": readings_table()})

    assert "No model yet" not in pm_app("models", "-c", config)[1]
    assert "No model yet" not in shown(config, "/fleet") + shown(config, "/models")


def test_a_version_that_waits_for_a_person_is_named_until_one_decides(new_plant, pm_app):
    config = new_plant({"a.parquet": readings_table()}, champion=False)
    config.write_text(f'{config.read_text()}\n[retraining]\npromotion = "approve"\n')
    with opened(config) as plant:
        retrain(plant, now=NOW, trainer=FakeTrainer("first"))

    asked = pm_app("models", "-c", config)[1]
    with opened(config) as plant:
        plant.store.lineage.reject(1, at=NOW, reason="no", actor=Actor("Ada", ""))
    decided = pm_app("models", "-c", config)[1]

    assert "No model yet: version 1 waits for pm-app promote 1." in asked
    assert "No model yet: version 1 was rejected." in decided
