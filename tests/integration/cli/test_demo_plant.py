"""What the demo promises, held against the program."""

import pytest

from pm_app.cli.demo.plant import MARKER, demo_plan, drop_days, lay_out
from pm_app.errors import BadSettings
from pm_app.settings.plant import read_settings
from pm_app.simulator import PlantPlan, simulate


def test_a_demo_replaces_an_earlier_one_and_nothing_else(tmp_path):
    settings = read_settings(lay_out(tmp_path / "demo"))
    (tmp_path / "demo" / "readings" / "old.parquet").touch()
    lay_out(tmp_path / "demo")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")

    assert settings.allocation.strategy == "tiers+regularized"
    assert not list((tmp_path / "demo" / "readings").iterdir())
    with pytest.raises(BadSettings, match="mine holds other files; name a new folder"):
        lay_out(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"
    assert (tmp_path / "demo" / MARKER).exists()


def test_a_day_of_the_demo_is_one_file_of_readings(tmp_path):
    lay_out(tmp_path / "demo")
    plant = simulate(PlantPlan(assets=3, days=4))

    drop_days(plant, tmp_path / "demo", 1, 3)

    names = sorted(path.name for path in (tmp_path / "demo" / "readings").iterdir())
    assert names == ["day-0001.parquet", "day-0002.parquet"]


def test_another_seed_is_another_plant_of_the_same_kind():
    assert demo_plan(1).seed == 1
    assert demo_plan(1).days == demo_plan(0).days
