"""The page of models, asked as a browser asks it."""

import re
from dataclasses import asdict, replace
from datetime import timedelta

import pytest
from browsing import Table, Visitor, ask, open_to_all, resources
from factories import (
    MODES,
    MODES_TOML,
    NOW,
    PLANT_TOML,
    FakeTrainer,
    make_card,
    make_plant,
    opened,
    promote_handmade,
    readings_table,
)
from normals import promote_handmade_normal
from test_pages import HOSTILE

from pm_app.cli.look.importance import selection_remark
from pm_app.cli.look.models import model_rows
from pm_app.jobs.retrain.run import retrain
from pm_app.learning.allocation.change import gains_over_uniform
from pm_app.records.learning import (
    Bin,
    Interaction,
    LeakageSuspect,
    Pool,
    PoolMember,
    QualityReport,
    RenewedLives,
    Revision,
    Tier,
)
from pm_app.settings.plant import read_settings
from pm_app.store import ImportanceRow, RetrainingRow, VersionRow, open_store
from pm_app.web.app import make_app
from pm_app.wiring import open_views, store_url

SENSORS = make_card().importance.sensors
SHARE = (1 / len(SENSORS),) * len(SENSORS)
SHARES = {"sensor-1": 0.7, "sensor-0": 0.2, "sensor-2": 0.1}
OWN = {
    "average_precision_72h": 0.81,
    "brier_72h": 0.05,
    "rul_rmse_hours": 60.25,
    "rul_coverage": 0.9,
    "calibration_error_72h": 0.02,
}
CONTROL = OWN | {"average_precision_72h": 0.75, "brier_72h": 0.06, "rul_rmse_hours": 50.0}
BINS = (Bin(900, 0.02, 0.03), Bin(80, 0.55, 0.4), Bin(20, 0.95, 1.0))


def guided_card():
    """A card of two tiers that tells all a page can show."""
    card = make_card()
    importance = replace(
        card.importance,
        shares=tuple(SHARES.get(name, 0.0) for name in SENSORS),
        replicates=(tuple(SHARES.get(name, 0.0) for name in SENSORS),),
        interactions=(Interaction(("sensor-0", "sensor-1"), 0.1),),
    )
    others = tuple(name for name in SENSORS if name != "sensor-1")
    tiers = (
        Tier("high", ("sensor-1",), 12, 4, 0.1, ("sensor-1.last",)),
        Tier("rest", others, 4, 0, 0.1, ("sensor-0.last",)),
    )
    reports = (
        QualityReport("tiers", 100, OWN, BINS),
        QualityReport("control: uniform", 100, CONTROL),
        QualityReport("random forest", None, {"average_precision_72h": 0.9}),
    )
    return {
        "importance": importance,
        "allocation": replace(card.allocation, strategy="tiers", tiers=tiers),
        "reports": reports,
        "suspicions": (LeakageSuspect("sensor-0", "rank", 0.99, 0.5),),
        "revision": Revision(
            SENSORS, (0.1,) * len(SENSORS), 0.8, 0.1, 1.2, 1.1, kept=True, epochs=4
        ),
        "drift": replace(card.drift, verdict="rebuild", reason=HOSTILE),
        "renewed": RenewedLives(120, 37, (72.0,), (0.031,), (0.025,), (0.0976,)),
        "pool": Pool(
            (PoolMember("network", 0.5, (0.2,)), PoolMember("forest", 0.5, (0.2,))),
            (0.1,),
            40,
            "network 0.5, forest 0.5: average precision 72h 0.83, network alone 0.81, forest 0.8",
        ),
        "spread": 0.2104,
        "head": replace(card.head, modes=MODES),
        "mode_failures": (1230, 21, 5),
        "modes_text": "failures of bearing 1230, seal 21, other 5; too few to be a mode: <fan> 3",
    }


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """Settings of a plant with two champions one after the other, and one that waits."""
    config = make_plant(tmp_path_factory.mktemp("learned"), toml=PLANT_TOML + MODES_TOML)
    with opened(config) as plant:
        promote_handmade(plant)
        trainer = FakeTrainer("rebuild", **guided_card())
        retrain(plant, now=NOW + timedelta(days=1), trainer=trainer)
        asks = plant.settings.retraining.model_copy(update={"promotion": "approve"})
        waits = replace(plant, settings=plant.settings.model_copy(update={"retraining": asks}))
        retrain(waits, now=NOW + timedelta(days=2), trainer=FakeTrainer("refit", off=0.0))
        keeps = FakeTrainer("keep", made=False)
        keeps.answer = replace(keeps.answer, reason=HOSTILE)
        retrain(plant, now=NOW + timedelta(days=3), trainer=keeps)
    return read_settings(config)


def app_of(settings):
    return make_app(open_to_all(settings), resources(settings), now=lambda: NOW)


@pytest.fixture(scope="module")
def app(learned):
    return app_of(learned)


def test_the_page_tells_the_failure_modes_of_a_version_and_what_is_to_be_done(app):
    page = ask(app, "/models?version=2").text
    before = ask(app, "/models?version=1").text

    step = "Check lubrication; order 6310-2Z"
    rows = rows_of(page, "modes")
    assert rows == [["bearing", "1,230", step], ["seal", "21", ""], ["other", "5", ""]]
    assert "too few to be a mode: &lt;fan&gt; 3" in page
    assert 'class="plain modes"' not in before


def rows_of(page: str, kind: str) -> list[list[str]]:
    (table,) = re.findall(rf'<table class="plain {kind}">.*?</table>', page, re.DOTALL)
    return [[" ".join(cell.split()) for cell in row] for row in Table(table).rows[1:]]


def test_a_retraining_took_as_long_as_it_did_whatever_day_it_was_given(learned):
    with open_views(learned) as store:
        rows = store.lineage.retrainings()
    table = Table(
        ask(make_app(open_to_all(learned), resources(learned), now=lambda: NOW), "/models").text
    ).rows
    shown = [row[3] for row in table if row and row[1] in ("Kept", "Refitted", "Rebuilt")]

    assert {row.finished_at - row.started_at < timedelta(minutes=2) for row in rows} == {True}
    assert shown[-3:] == ["0 s"] * 3


def test_a_retraining_whose_end_another_clock_noted_tells_no_length(tmp_path):
    settings = read_settings(make_plant(tmp_path))
    with open_store(store_url(settings), folder=tmp_path) as store:
        end = NOW + timedelta(days=948)
        store.lineage.record_retraining(RetrainingRow(NOW, end, NOW, "keep", "as it was"))

    (_, row) = Table(
        ask(make_app(open_to_all(settings), resources(settings), now=lambda: NOW), "/models").text
    ).rows
    assert (row[1], row[3]) == ("Kept", "")


def test_the_champion_is_told_with_the_reason(app, learned):
    page = ask(app, "/models").text
    (headline,) = re.findall(r'<div class="news">(.*?)</div>', page, re.DOTALL)

    with open_views(learned) as store:
        assert store.lineage.champion() == 2
    assert "Version <b>2</b> scores since" in headline
    assert "rebuild, for a reason" in headline
    assert "learned from 10 failures" in headline


def test_what_waits_for_approval_is_named(app):
    page = ask(app, "/models").text

    (waiting,) = re.findall(r'<section class="waiting">(.*?)</section>', page, re.DOTALL)
    assert re.findall(r"/models\?version=(\d+)", waiting) == ["3"]
    assert "waits for pm-app promote 3" in waiting


def test_what_was_promoted_waits_no_longer(tmp_path, learned):
    with opened(make_plant(tmp_path)) as plant:
        promote_handmade(plant)
        asks = plant.settings.retraining.model_copy(update={"promotion": "approve"})
        waits = replace(plant, settings=plant.settings.model_copy(update={"retraining": asks}))
        retrain(waits, now=NOW, trainer=FakeTrainer("refit"))
        settings = plant.settings
        before = ask(app_of(settings), "/models").text
        plant.store.lineage.promote(2, at=NOW, reason="looks good")

    after = ask(app_of(settings), "/models").text
    assert "Waiting for approval" in before
    assert "Waiting for approval" not in after and "looks good" in after


def test_versions_are_told_newest_first_with_their_standing(app):
    rows = rows_of(ask(app, "/models").text, "versions")

    assert [row[:2] for row in rows] == [
        ["3", "waits for approval"],
        ["2", "scores now"],
        ["1", "scored before"],
    ]
    assert [row[3] for row in rows] == ["First version", "Rebuilt", ""]


def test_retrainings_and_moves_are_those_of_the_store(app, learned):
    page = ask(app, "/models").text
    with open_views(learned) as store:
        retrainings, moves = store.lineage.retrainings(), store.lineage.promotions()

    told = rows_of(page, "retrainings")
    assert [row[1] for row in told] == ["Kept", "Refitted", "Rebuilt", "First version"]
    assert [row[-1] for row in told] == [row.reason for row in retrainings]
    assert [row[4] for row in told][:3] == ["0.50"] * 3
    assert [(row[2], row[3]) for row in rows_of(page, "moves")] == [
        (str(move.version), move.reason) for move in moves[::-1]
    ]
    assert {row[4] for row in rows_of(page, "moves")} == {"pm-app"}


def test_importance_and_allocation_are_those_of_the_store_and_beside_the_version_before(
    app, learned
):
    page = ask(app, "/models").text
    with open_views(learned) as store:
        now, old = store.lineage.importances(2), store.lineage.importances(1)

    rows = rows_of(page, "importances")
    assert [row[1].split()[0] for row in rows[:3]] == [*SHARES]
    assert [row[2] for row in rows] == [f"{100 * row.share:.1f} %" for row in now]
    assert [row[5] for row in rows] == [str(row.units) for row in now]
    assert [row[5] for row in rows[:2]] == ["12", "4"]
    assert old == [] and {row[7] for row in rows} == {""}
    assert "sensor-0 may know the outcome" in [row[1] for row in rows]
    assert "dealing 10 % of the units anew helped" in page


def test_the_picture_has_a_block_for_each_tier_of_both_versions(app):
    page = ask(app, "/models").text

    (picture,) = re.findall(r'<svg class="allocation".*?</svg>', page, re.DOTALL)
    assert re.findall(r'rx="3" class="(tier-\w+)"', picture) == [
        "tier-all",
        "tier-high",
        "tier-rest",
    ]
    assert "high: 12 units" in picture and "<style" not in page


def test_one_version_may_be_held_against_another(app):
    page = ask(app, "/models?version=1&against=2").text

    assert "in version 1, against version 2" in page
    (picture,) = re.findall(r'<svg class="allocation".*?</svg>', page, re.DOTALL)
    assert picture.index("tier-high") < picture.index("tier-all")


def test_the_gain_of_guidance_is_told_also_where_it_is_a_loss(app):
    rows = rows_of(ask(app, "/models").text, "guidance")

    card = make_card(**guided_card())
    told = {gain.figure: (gain.guided, gain.uniform) for gain in gains_over_uniform(card)}
    assert told["average_precision_72h"] == (0.81, 0.75)
    assert ["Average precision, 72 h", "0.810", "0.750", "better"] in rows
    assert ["Brier score, 72 h", "0.050", "0.060", "better"] in rows
    assert ["Life left, RMSE in hours", "60.250", "50.000", "worse"] in rows
    assert ["Calibration error, 72 h", "0.020", "0.020", "no different"] in rows
    assert len(rows) == 4


def test_guidance_of_a_pool_is_what_its_network_gained():
    card = guided_card()
    pool = QualityReport("pool", 100, {"average_precision_72h": 0.99})
    pooled = make_card(**card | {"reports": (pool, *card["reports"])})

    assert gains_over_uniform(pooled) == gains_over_uniform(make_card(**card))


def test_the_page_and_the_command_say_who_answers_with_what_share_and_reads_how_much(app, learned):
    page = ask(app, "/models").text
    words = f"the network reads 2 of {len(make_card().features)} features"
    assert "Answers: network 0.5, forest 0.5: average precision 72h 0.83" in page
    assert f"Selection: {words}" in page
    assert "Renewals: 37 of 120 lives (31 %) ended with a renewal." in page
    assert "2.50 % of all if none of those that were renewed before had failed, 9.76 %" in page
    with open_views(learned) as views:
        assert selection_remark(views.lineage, 2).startswith(words)
        rows = {row["version"]: row["answers"] for row in model_rows(views.lineage)}
    assert rows[2] == "network 0.5, forest 0.5"
    assert rows[1] == "network"


def test_the_page_and_the_command_say_how_far_trainings_stand_apart(app, learned):
    """A version of before it was measured, as the first, says nothing of it."""
    assert "Spread among trainings: 0.210 in log-odds" in ask(app, "/models").text
    with open_views(learned) as views:
        rows = {row["version"]: row["spread"] for row in model_rows(views.lineage)}
    assert (rows[1], rows[2]) == (None, 0.21)


def test_the_best_figure_of_a_row_is_marked(app):
    page = ask(app, "/models").text

    figures = dict((row[0], row[1:]) for row in rows_of(page, "figures"))
    assert figures["Average precision, 72 h"] == ["0.810", "0.750", "0.900"]
    assert "<b>0.900</b>" in page and "<b>0.810</b>" not in page and "<b>0.050</b>" in page


def test_the_unguided_network_claims_no_gain(app):
    page = ask(app, "/models?version=1").text

    assert "Guidance was not used" in page and "What guidance is worth" in page
    assert 'class="plain guidance"' not in page


def test_what_came_of_told_risks_is_drawn_as_it_was_kept(app, learned):
    page = ask(app, "/models").text

    with open_views(learned) as store:
        kept = store.lineage.version(2).summary["reports"][0]["bins"]
    assert kept == [asdict(each) for each in BINS]
    assert rows_of(page, "bins") == [
        ["900", "0.020", "0.030"],
        ["80", "0.550", "0.400"],
        ["20", "0.950", "1.000"],
    ]
    points = re.findall(r'<circle class="ours" cx="([\d.]+)"', page)
    assert [float(x) for x in points] == pytest.approx(
        [56 + 392 * each.said for each in BINS], abs=0.06
    )


def test_a_version_that_kept_no_bins_says_so(app):
    assert "did not keep what came of its risks" in ask(app, "/models?version=3").text


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("version=9", "version takes one of 3, 2, 1, got 9"),
        ("version=1&against=7", "version takes one of 3, 2, 1, got 7"),
        ("version=0", "version takes a number from 1"),
        ("version=x", "version takes a number from 1"),
        ("version=99999999999999999999", "version takes one of"),
        ("model=1", "known are version, against"),
    ],
)
def test_a_version_that_is_not_there_is_told_which_are(app, query, words):
    answer = ask(app, f"/models?{query}")

    assert answer.status_code == 400
    assert words in answer.text


def test_words_of_a_trainer_are_text_and_never_markup(app):
    page = ask(app, "/models").text

    assert HOSTILE not in page
    assert rows_of(page, "retrainings")[0][-1] == HOSTILE


def test_without_a_model_the_page_says_how_to_make_one(tmp_path):
    settings = read_settings(make_plant(tmp_path))
    open_store(store_url(settings), folder=settings.folder).close()

    page = ask(app_of(settings), "/models").text
    assert "No model yet: nothing has been learned. pm-app run learns" in page
    assert "There was no retraining yet" in page


def test_a_damaged_version_is_told_and_the_tables_stay(learned, tmp_path):
    import shutil

    folder = shutil.copytree(learned.folder, tmp_path / "copy")
    settings = read_settings(folder / "plant.toml")
    (settings.state / "versions" / "000002" / "card.json").write_text("{}")

    page = ask(app_of(settings), "/models").text
    assert "changed since it was published" in page
    assert len(rows_of(page, "importances")) == len(SENSORS)


def test_which_modes_a_sensor_announces_is_told_where_modes_are_told_apart(tmp_path, pm_app):
    settings = read_settings(config := make_plant(tmp_path))
    announces = {"seal_leak": {"seal": 0.57}, "heat": {"bearing": 0.32, "seal": 0.34}}
    with open_store(store_url(settings), folder=tmp_path) as store:
        for number, summary in ((1, {}), (2, {"announces": announces})):
            store.lineage.record_retraining(
                RetrainingRow(NOW, NOW, NOW, "first", "as it was", version=number),
                version=VersionRow(
                    number, f"{number:06d}", "0", NOW, "modes", 900, "published", summary=summary
                ),
                importances=[
                    ImportanceRow(number, name, 0.5, 0.0, rank, "seal", 8, 1e-4)
                    for rank, name in enumerate(announces, 1)
                ],
                promote=True,
            )
    app = make_app(open_to_all(settings), resources(settings), now=lambda: NOW)
    page = ask(app, "/models?version=2").text
    _, out, _ = pm_app("importance", "-c", config, "--version", "2")
    _, before, _ = pm_app("importance", "-c", config, "--version", "1")

    assert '<th scope="col">Announces</th>' in page
    assert "<td>bearing 32 %, seal 34 %</td>" in page
    assert "bearing 32 %, seal 34 %" in out
    assert "announces" not in before
    assert "Announces" not in ask(app, "/models?version=1").text


LEVEL = {"reason": "1 false alarm per asset and quarter; 40 days of history, 120 needed"}
TAUGHT = {
    "rows": 1234,
    "assets": 5,
    "trained_from": "2026-01-01T00:00:00+00:00",
    "trained_until": "2026-02-01T00:00:00+00:00",
    "left_out": [["machine off", 77], ["before a failure", 9]],
}
MOVED = [{"sensor": "vibration", "before": 2.0, "now": 3.5, "usual": 0.25}]


def record_normal(config, number, *, promote, moved=()):
    metrics = {"waits": not promote, "moved": list(moved)}
    reason = "waits for a person" if moved else "the first normal behaviour"
    learning = RetrainingRow(NOW, NOW, NOW, "first", reason, version=number, metrics=metrics)
    summary = {"gate": reason, "rows": 1234, "method": "clouds", "level": LEVEL, "taught": TAUGHT}
    version = VersionRow(number, f"{number:06d}", "f" * 64, NOW, "", 0, "published", summary)
    with opened(config) as plant:
        plant.store.lineage.record_normal(learning, version=version, promote=promote)


def test_what_is_usual_is_told_with_what_it_rests_on_and_what_waits(tmp_path):
    config = make_plant(tmp_path)
    record_normal(config, 1, promote=True)
    record_normal(config, 2, promote=False, moved=MOVED)
    settings = open_to_all(read_settings(config))

    page = ask(make_app(settings, resources(settings), now=lambda: NOW), "/models").text

    assert "1,234 rows of 5 machines, 2026-01-01 to 2026-02-01" in page
    assert "77 machine off, 9 before a failure" in page and LEVEL["reason"] in page
    assert "<b>Version 2</b>, made" in page and "Accept it where the machines were changed" in page
    assert ["vibration", "2", "3.5", "0.25"] in Table(page).rows
    assert [row[:2] for row in Table(page).rows[-2:]] == [
        ["2", "waits for approval"],
        ["1", "scores now"],
    ]


def test_a_version_of_what_is_usual_is_no_model_of_failures(tmp_path):
    config = make_plant(tmp_path)
    record_normal(config, 1, promote=True)
    settings = open_to_all(read_settings(config))

    answer = ask(make_app(settings, resources(settings), now=lambda: NOW), "/models?version=1")

    assert answer.status_code == 400 and "version takes one of none yet, got 1" in answer.text


def test_a_plant_where_nothing_is_usual_yet_shows_no_such_part(tmp_path):
    settings = open_to_all(read_settings(make_plant(tmp_path)))

    page = ask(make_app(settings, resources(settings), now=lambda: NOW), "/models").text

    assert "Normal behaviour" not in page


def test_an_engineer_accepts_what_is_normal_and_rolls_it_back_apart_from_the_model(new_plant):
    config = new_plant({"a.parquet": readings_table()})
    with opened(config) as plant:
        promote_handmade_normal(plant)
        record = promote_handmade_normal(plant, promote=False)
    settings = read_settings(config)
    with open_store(store_url(settings), folder=settings.folder) as store:
        store.users.add("emma", "correct horse battery", role="engineer", at=NOW, actor="root")
    visitor = Visitor(make_app(settings, resources(settings, change=True), now=lambda: NOW))
    visitor.sign_in("emma", "correct horse battery")

    def champions() -> tuple[int | None, int | None]:
        with open_views(settings) as store:
            return store.lineage.champion(), store.lineage.champion("normal")

    before = champions()
    visitor.send("/models", f"/models/{record}/promote", reason="new pumps")
    accepted = champions()
    back = visitor.send("/models", "/models/normal/rollback", reason="false alarms")

    assert (before, accepted, champions()) == ((1, 2), (1, 3), (1, 2))
    assert back.headers["location"] == "/models#normal"
