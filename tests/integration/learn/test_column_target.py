"""A given column learned from a plain table: no time, no assets, names as people write them."""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import make_plant, opened

from pm_app.jobs.retrain.messages import REQUEST, RESPONSE
from pm_app.jobs.retrain.run import retrain
from pm_app.jobs.retrain.trainer import train
from pm_app.learning.training import crossfit, selection
from pm_app.learning.training import fit as training
from pm_app.settings.plant import parse_settings, read_settings
from pm_app.wiring import open_plant

# Parts of the label: using them would be leakage.
MODES = ["TWF", "HDF", "PWF", "OSF", "RNF"]
FAILURE, TORQUE = "Machine failure", "Torque [Nm]"
SENSORS = {
    "Type",
    "Air temperature [K]",
    "Process temperature [K]",
    "Rotational speed [rpm]",
    TORQUE,
    "Tool wear [min]",
}


@pytest.fixture(scope="module")
def ai4i(open_data):
    """AI4I 2020 (Matzka 2020) as numbers: 10,000 rows, 339 failures."""
    table = pd.read_csv(open_data / "ai4i2020" / "ai4i2020.csv", encoding="utf-8-sig")
    table["Type"] = table["Type"].map({"L": 0, "M": 1, "H": 2})
    return table.drop(columns=["UDI", "Product ID", *MODES])


def settings_text(column, task, *, strategy, parameters):
    return f"""\
[target]
kind = "column"
column = "{column}"
task = "{task}"

[allocation]
strategy = "{strategy}"
max_parameters = {parameters}
"""


def lay_table(folder, table, toml):
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    return make_plant(folder, {"table.parquet": arrow}, toml=toml)


def run(config, *words):
    """One command of pm-app that has to work; what it says."""
    command = [sys.executable, "-m", "pm_app", *words, "-c", str(config)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def reports_of(config, *words):
    """The held-out figures of a retraining by model."""
    told = json.loads(run(config, "retrain", "--json", *words))
    assert (told["decision"], told["version"], told["promoted"]) == ("first", 1, True)
    return {report["model"]: report["metrics"] for report in told["reports"]}


@pytest.fixture(scope="module")
def quick():
    """Short schedules, a grid of one, fewer folds: what is tested is the path, not the optimum."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "STEPS", 400)
        patch.setattr(crossfit, "FOLDS", 3)
        patch.setattr(selection, "TABLE_GRID", ((1e-4, 0.1, 1e-2),))
        yield


def trained_here(order_path, answer_path, progress):
    """What the trainer's process does, in this one."""
    order = REQUEST.validate_json(order_path.read_bytes())
    settings = parse_settings(order.settings, folder=Path(order.folder), origin="plant.toml")
    answer_path.write_bytes(RESPONSE.dump_json(train(order, settings)))


@pytest.fixture(scope="module")
def failures(ai4i, tmp_path_factory, quick):
    """150 failures among 1,050 parts, learned and scored; its settings and its figures."""
    parts = [
        ai4i[ai4i[FAILURE] == label].sample(n, random_state=0) for label, n in ((1, 150), (0, 900))
    ]
    sample = pd.concat(parts).sample(frac=1, random_state=0)
    toml = settings_text(FAILURE, "classification", strategy="tiers", parameters=2000)
    config = lay_table(tmp_path_factory.mktemp("table") / "plant", sample, toml)
    with opened(config) as plant:
        done = retrain(plant, now=datetime.now(tz=UTC), trainer=trained_here)
        reports = plant.store.lineage.version(done.version).summary["reports"]
    assert (done.decision, done.version, done.promoted) == ("first", 1, True)
    run(config, "score")
    return config, sample, {report["model"]: report["metrics"] for report in reports}


def said(config, folder):
    out = folder / "said.parquet"
    run(config, "predictions", "--format", "parquet", "--out", str(out))
    return pq.read_table(out).to_pandas().sort_values("asset_id")


def test_a_column_is_learned_beside_its_control_and_a_forest(failures):
    _, sample, reports = failures
    prevalence = sample[FAILURE].mean()

    assert set(reports) - {"pool"} == {
        "tiers",
        "control: uniform",
        "random forest",
        "constant guess",
    }
    assert reports["tiers"]["average_precision"] > 3 * prevalence
    assert reports["random forest"]["average_precision"] > 3 * prevalence
    assert reports["constant guess"]["average_precision"] == pytest.approx(prevalence, abs=0.03)


def test_importance_and_allocation_of_a_table_are_in_the_store(failures):
    with open_plant(read_settings(failures[0])) as plant:
        rows = plant.store.lineage.importances(1)
        version = plant.store.lineage.version(1)

    assert {row.sensor for row in rows} == SENSORS
    assert sum(row.share for row in rows) == pytest.approx(1.0)
    assert rows[0].sensor in {TORQUE, "Rotational speed [rpm]", "Tool wear [min]"}
    assert all(row.units > 0 and row.tier for row in rows)
    assert version.strategy == "tiers"
    assert 0 < version.parameters <= 2000


def test_every_row_gets_a_risk_and_failures_the_higher_ones(failures, tmp_path):
    config, sample, _ = failures
    table = said(config, tmp_path)

    # Rows are named by their file and their number in it, in the order they stand there.
    assert table["asset_id"].tolist() == [f"table:{row:09d}" for row in range(len(sample))]
    assert set(table["status"]) == {"scored"}
    assert table["risk"].between(0, 1).all()
    assert table["value"].isna().all()
    failed = sample[FAILURE].to_numpy() == 1
    assert table["risk"][failed].median() > 3 * table["risk"][~failed].median()


def test_the_latest_predictions_of_a_table_read_well(failures):
    shown = run(failures[0], "predictions", "--latest")
    first = next(line for line in shown.splitlines() if "table:" in line)

    assert " %" in first
    assert "Tool wear [min]" in " ".join(shown.split())
    assert "life left" not in shown
    assert "data age" not in shown


def test_names_with_units_are_shown_whole(failures):
    shown = run(failures[0], "importance")

    for name in SENSORS:
        assert name in shown


def test_a_second_file_of_rows_is_scored_by_the_same_version(failures, ai4i, tmp_path):
    folder = tmp_path / "plant"
    shutil.copytree(failures[0].parent, folder)
    more = ai4i.sample(40, random_state=9).drop(columns=[FAILURE])
    pq.write_table(
        pa.Table.from_pandas(more, preserve_index=False), folder / "readings" / "b.parquet"
    )

    told = json.loads(run(folder / "plant.toml", "score", "--json"))

    assert (told["predictions_new"], told["predictions_revised"]) == (40, 0)
    table = said(folder / "plant.toml", tmp_path)
    new = table[table["asset_id"].str.startswith("b:")]
    assert set(new["status"]) == {"scored"}
    assert set(new["model_version"]) == {1}


@pytest.mark.slow
def test_a_number_is_learned_and_said_as_a_value(ai4i, tmp_path):
    sample = ai4i.drop(columns=[FAILURE]).sample(400, random_state=0)
    toml = settings_text(TORQUE, "regression", strategy="uniform", parameters=1000)
    config = lay_table(tmp_path / "plant", sample, toml + 'pool = "network"\n')
    reports = reports_of(config)
    assert list(reports)[0] == "uniform" and "pool" not in reports
    run(config, "score")
    table = said(config, tmp_path)

    spread = sample[TORQUE].std()
    assert reports["uniform"]["rmse"] < 0.6 * spread
    assert reports["constant guess"]["rmse"] == pytest.approx(spread, rel=0.25)
    assert reports["uniform"]["coverage"] > 0.75
    assert set(table["status"]) == {"scored"}
    assert table["risk"].isna().all()
    assert np.corrcoef(table["value"], sample[TORQUE])[0, 1] > 0.8
    assert " ".join(run(config, "predictions", "--latest").split()).startswith("asset risk value")


@pytest.mark.slow
def test_the_whole_table_is_learned(ai4i, tmp_path, capsys):
    toml = settings_text(FAILURE, "classification", strategy="auto", parameters=100_000)
    config = lay_table(tmp_path / "plant", ai4i, toml)
    reports = reports_of(config)
    run(config, "score")
    table = said(config, tmp_path)

    with capsys.disabled():
        for model, metrics in reports.items():
            print(f"\n{model}: " + ", ".join(f"{k} {v:.4f}" for k, v in metrics.items()))
    assert next(iter(reports.values()))["average_precision"] > 10 * ai4i[FAILURE].mean()
    assert len(table) == 10_000
    assert set(table["status"]) == {"scored"}
