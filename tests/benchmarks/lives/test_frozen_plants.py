"""Simulated plants stay as they were frozen, those of plans without a policy among them."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from benchmarks.lives.order_workbook import write_workbook
from benchmarks.lives.plans import LIVES_PLANS, ORDERS, small_plants
from benchmarks.quality.sets import pumps, single
from benchmarks.test_explanations import PLAN as EXPLAINED
from twenty_pumps import PUMPS

from pm_app.cli.demo.plant import demo_plan
from pm_app.simulator import PlantPlan, export_orders, simulate

OF_BEFORE = {
    "demo": demo_plan(0),
    "single": single.PLAN,
    "explained": EXPLAINED,
    "twenty": PUMPS,
    "default": PlantPlan(),
    "variable speed": PlantPlan(variable_speed=True, regimes=6, regime_hours=4.0),
    **{each.name: each.folds.plan for each in pumps.PUMPS},
}
OF_LIVES = {each.name: each.plan for each in LIVES_PLANS} | {"small": small_plants()[7]}


def gist_of(plan):
    """A digest of every event to the nanosecond, and of readings to nine digits a sensor.

    Machines round a power differently in its last bit, and no draw at all.
    """
    days = min(plan.days, 21 if plan.assets > 1 else 6)
    plant = simulate(replace(plan, assets=min(plan.assets, 6), days=days))
    events, failures = plant.events, plant.failures
    columns = (events.asset, events.time, events.kind, events.code, failures.mode, failures.onset)
    digest = hashlib.sha256(repr([column.tolist() for column in columns]).encode())
    for sensor, values in zip(plant.sensors, plant.values, strict=True):
        known = values[~np.isnan(values)]
        digest.update(f"{sensor} {known.size} {known.sum():.9g} {(known**2).sum():.9g}".encode())
    return digest.hexdigest()[:12]


@pytest.mark.parametrize("name", OF_BEFORE)
def test_plans_of_before_give_the_plants_of_before(name):
    assert gist_of(OF_BEFORE[name]) == FROZEN_BEFORE[name]


@pytest.mark.parametrize("name", OF_LIVES)
def test_plans_of_lives_stay_as_they_were_frozen(name):
    assert gist_of(OF_LIVES[name]) == FROZEN_LIVES[name]


@pytest.mark.parametrize("name", ORDERS)
def test_work_orders_stay_as_they_were_frozen(name):
    export = export_orders(simulate(replace(small_plants()[7], days=40)), ORDERS[name])
    digest = hashlib.sha256(repr((export.files, export.truth.role.tolist())).encode())

    assert digest.hexdigest()[:12] == FROZEN_ORDERS[name]


def test_work_orders_in_excel_hold_what_stands_in_the_export(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    export = export_orders(simulate(replace(small_plants()[7], days=40)), ORDERS["worse"])
    write_workbook(tmp_path / "orders.xlsx", export, export.files[2])
    header, *rows = openpyxl.load_workbook(tmp_path / "orders.xlsx").active.values

    assert header == export.columns
    assert len(rows) == len(export.files[2].rows)
    for row, texts in zip(rows, export.files[2].rows, strict=True):
        assert [value or "" for value in row[:5]] == list(texts[:5])
        assert (row[5] is None) == (texts[5] == "")
        assert row[5] is None or row[5].strftime("%d.%m.%Y") == texts[5][:10]
        assert row[9] == float(texts[9].replace(".", "").replace(",", "."))


FROZEN_ORDERS = {"usual": "ae07651709e0", "worse": "ba9b765234ec"}
FROZEN_BEFORE = {
    "demo": "90a4d5475d35",
    "single": "a511059fae77",
    "explained": "d5403f369fc8",
    "twenty": "62ffad388c9f",
    "default": "6209ab4f76e6",
    "variable speed": "246be180b3ee",
    "pumps, demo": "d3363c1fd346",
    "pumps, seals": "6b6ab05120e6",
    "pumps, mixed": "769c57fc7b11",
}
FROZEN_LIVES = {
    "planned replacement": "3f90b34a3920",
    "modes": "bae6626df044",
    "modes, 60 nuisance sensors": "5ea4655b5f29",
    "modes that shift": "432593f36211",
    "small": "3c7d909eef3f",
}
