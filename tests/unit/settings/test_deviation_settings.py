"""Budgets of false alarms as people write them."""

import tomllib
from pathlib import Path

import pytest

from pm_app.errors import BadSettings
from pm_app.settings.deviation import read_budget
from pm_app.settings.plant import parse_settings


def parse(text):
    return parse_settings(tomllib.loads(text), folder=Path(), origin="plant.toml").deviation


@pytest.mark.parametrize(
    "text, assets, an_hour",
    [
        ("1 per asset and quarter", 7, 1 / 2191.5),
        ("2 per asset and year", 7, 2 / 8766),
        ("1 per plant and month", 10, 1 / 7305),
        ("0.5  per plant and day", 1, 0.5 / 24),
    ],
)
def test_a_budget_is_a_rate_of_each_asset(text, assets, an_hour):
    assert read_budget(text).per_hour(assets) == pytest.approx(an_hour)


@pytest.mark.parametrize("text", ["", "1", "0 per asset and year", "1 per pump and year", "-1"])
def test_what_is_no_budget_is_refused_with_one_that_is(text):
    with pytest.raises(BadSettings, match="deviation.false_alarms"):
        parse(f'[deviation]\nfalse_alarms = "{text}"')


def test_a_plant_is_watched_by_default_with_one_false_alarm_an_asset_and_quarter():
    settings = parse("")

    assert settings.enabled
    assert settings.budget.per_asset and settings.budget.alarms == 1
    assert settings.minimum_history_ns == 3 * 86_400 * 10**9
    with pytest.raises(BadSettings, match="cron must have five fields"):
        parse('[deviation]\ncron = "daily"')
