"""What a run of the quality benchmark measures: by name, by seed, and until its time is over."""

from itertools import count

import pytest
from benchmarks.quality import run as benchmark
from benchmarks.quality.models.families import Family
from benchmarks.quality.options import whole_numbers
from benchmarks.quality.results import Results
from benchmarks.quality.sets.folds import QualitySet, Task
from benchmarks.quality.sets.seeds import plant_seeds
from benchmarks.quality.test_quality_results import make_fold

TASK = Task("life", horizon_hours=2.0, cap_hours=4.0)


class Trees:
    """A family of two models, of which one draws; keeps what it was asked for."""

    def __init__(self):
        self.fitted = []
        self.family = Family("trees", ("drawn", "plain"), "c", self.measure, ("drawn",))

    def measure(self, fold, task, seed, wanted):
        for name in wanted:
            self.fitted.append((fold.name, name, seed))
            yield name, {"ap": 1.0}, {}, 0.0


@pytest.fixture
def trees(monkeypatch):
    """One family on a small set of two seeds, and one set that is kept aside."""
    trees = Trees()
    sets = (
        QualitySet("small", "", TASK, lambda *_: iter([make_fold()]), seeds=2),
        QualitySet("aside", "", TASK, lambda *_: iter([make_fold()]), kept_aside=True),
    )
    monkeypatch.setattr(benchmark, "SETS", sets)
    monkeypatch.setattr(benchmark, "families", lambda: (trees.family,))
    monkeypatch.setattr(benchmark, "show", lambda results, folder: None)
    return trees


def test_a_model_that_draws_is_measured_from_each_seed_and_a_set_kept_aside_by_name_alone(
    trees, tmp_path, monkeypatch
):
    numbers = count()
    run = lambda: benchmark.run(tmp_path, tmp_path / f"work {next(numbers)}", tmp_path)  # noqa: E731
    first = [("split 1", "drawn", 1), ("split 1", "plain", 1), ("split 1", "drawn", 1001)]
    run()
    assert trees.fitted == first
    run()
    assert trees.fitted == first, "all is there already"

    monkeypatch.setenv("PM_APP_QUALITY_SETS", "aside")
    monkeypatch.setenv("PM_APP_QUALITY_MODELS", "plain")
    run()
    assert trees.fitted == [*first, ("split 1", "plain", 1)]
    assert {(cell.set, cell.seed) for cell in Results(tmp_path / "results.json")} == {
        ("small", 0),
        ("small", 1),
        ("aside", 0),
    }


def test_nothing_is_begun_after_the_time_is_over(trees, tmp_path, monkeypatch, capsys):
    clock = iter([0.0, 30.0, 61.0])
    monkeypatch.setenv("PM_APP_QUALITY_MINUTES", "1")
    monkeypatch.setattr(benchmark.time, "monotonic", lambda: next(clock))
    benchmark.run(tmp_path, tmp_path / "work", tmp_path)

    assert trees.fitted == [("split 1", "drawn", 1), ("split 1", "plain", 1)]
    assert "what is missing is left for later" in capsys.readouterr().out


def test_an_unknown_name_is_refused_with_those_that_are_known(trees, monkeypatch):
    monkeypatch.setenv("PM_APP_QUALITY_MODELS", "LightGMB")
    with pytest.raises(AssertionError, match="PM_APP_QUALITY_MODELS must be among .*'drawn'"):
        benchmark.read_asked()


def test_fresh_seeds_are_named_in_the_environment_and_never_those_looked_at(monkeypatch):
    plan = QualitySet("any", "", TASK, iter)
    monkeypatch.setattr("benchmarks.quality.sets.seeds.replace", lambda plan, seed: seed)
    monkeypatch.setenv("PM_APP_QUALITY_FRESH", "904;17")
    assert list(plant_seeds(plan))[3:] == [("fresh plant 17", 17), ("fresh plant 904", 904)]

    monkeypatch.setenv("PM_APP_QUALITY_FOLDS", "plant 12;fresh plant 17")
    assert list(plant_seeds(plan)) == [("plant 12", 12), ("fresh plant 17", 17)]

    monkeypatch.setenv("PM_APP_QUALITY_FRESH", "12")
    with pytest.raises(AssertionError, match=r"\[12\] were looked at"):
        list(plant_seeds(plan))


def test_numbers_from_the_environment_are_checked(monkeypatch):
    monkeypatch.setenv("PM_APP_SOMETHING", "300; 0;60;0")

    assert whole_numbers("PM_APP_SOMETHING", (1,)) == (0, 60, 300)
    assert whole_numbers("PM_APP_OTHER", (2, 1)) == (1, 2)
    with pytest.raises(AssertionError, match="PM_APP_SOMETHING must be at least 1"):
        whole_numbers("PM_APP_SOMETHING", (1,), least=1)
