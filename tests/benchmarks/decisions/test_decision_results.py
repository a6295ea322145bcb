"""The decisions benchmark's counting, and the promises' figures against its results."""

from pathlib import Path

import pytest
from benchmarks.decisions.results import Outcome, Outcomes
from benchmarks.decisions.summary import CHANGE, FIRST, GATE, STATIONARY, Count, counts
from benchmarks.decisions.tables import PROMISES, markdown, promise_rows, quote_in

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "tests" / "benchmarks" / "decisions" / "results"


def steps(*told: tuple[str, int]) -> list[dict[str, object]]:
    """Retrainings from verdict and number of failures of the new kind."""
    return [
        {"verdict": verdict, "of_kind": of_kind, "in_a_row": int(verdict == "rebuild"),
         "reason": f"{verdict}, for a reason", "seconds": 1.0}
        for verdict, of_kind in told
    ]  # fmt: skip


def found(part: str, *plants: list[dict[str, object]]) -> list[int]:
    """What is counted of plants of one part."""
    outcomes = [Outcome(part, seed, "c", rows) for seed, rows in enumerate(plants)]
    return [count.hits for count in counts(outcomes)]


def test_the_documentation_quotes_the_results_as_they_are():
    text = (ROOT / "pm_app" / "docs" / "promises.md").read_text(encoding="utf-8")
    rows = promise_rows(list(Outcomes(RESULTS / "results.json")))

    assert len(rows) == len(PROMISES)
    assert [row for row in rows if row not in text] == []


def test_the_page_beside_the_results_tells_them_as_they_are():
    text = (RESULTS / "decisions.md").read_text(encoding="utf-8")

    assert text == markdown(list(Outcomes(RESULTS / "results.json")))


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [(0, 100, 0.0, 0.0362), (2, 100, 0.0024, 0.0704), (50, 50, 0.9289, 1.0), (5, 10, 0.187, 0.813)],
)
def test_intervals_are_those_of_clopper_and_pearson(hits, of, low, high):
    assert Count("", hits, of).interval == (
        pytest.approx(low, abs=1e-4),
        pytest.approx(high, abs=1e-4),
    )


def test_a_promise_is_kept_at_its_very_edge():
    kept = [Count("", hits, 100, most=0.02).kept for hits in (2, 3)]

    assert kept == [True, False]
    assert [Count("", hits, 20, least=0.95).kept for hits in (19, 18)] == [True, False]
    assert Count("", 1, 2).kept is None


def test_rebuilds_of_a_plant_that_stays_are_counted_and_its_first_version_is_not():
    plants = steps(("first", 0), ("refit", 0), ("rebuild", 0)), steps(("first", 0), ("refit", 0))

    (rebuilds, differed) = counts(
        [Outcome(STATIONARY, seed, "c", rows) for seed, rows in enumerate(plants)]
    )

    assert (rebuilds.hits, rebuilds.of) == (1, 3)
    assert differed.hits == 1


def test_a_change_is_told_by_the_second_retraining_after_enough_was_seen():
    at_once = steps(("first", 0), ("refit", 10), ("rebuild", 14))
    second = steps(("first", 0), ("refit", 10), ("refit", 14), ("rebuild", 16))
    late = steps(("first", 0), ("refit", 10), ("refit", 14), ("refit", 16), ("rebuild", 18))
    early = steps(("first", 0), ("refit", 4), ("rebuild", 9))
    false = steps(("first", 0), ("rebuild", 0), ("refit", 10), ("refit", 11), ("refit", 12))

    assert found(CHANGE, at_once, second, late, early, false) == [3, 2, 1, 1]


def test_challengers_are_counted_by_what_they_learned_from():
    rows = [
        {"kind": "same", "keep": True, "refit": True, "first": True, "seconds": 0.1},
        {"kind": "same", "keep": False, "refit": True, "first": True, "seconds": 0.1},
        {"kind": "shuffled", "keep": False, "refit": False, "first": True, "seconds": 0.1},
    ]

    assert found(GATE, rows) == [0, 0, 1, 1, 2]


def test_an_outcome_replaces_its_forerunner_and_survives_being_read_again(tmp_path):
    path = tmp_path / "new" / "results.json"
    outcomes, beside = Outcomes(path), Outcomes(path)
    outcomes.keep(Outcome(GATE, 1, "old", []))
    beside.keep(Outcome(GATE, 2, "old", []))
    outcomes.keep(Outcome(GATE, 1, "new", []))

    assert [(one.seed, one.code) for one in Outcomes(path)] == [(1, "new"), (2, "old")]
    assert outcomes.has(GATE, 2, "old")
    assert not outcomes.has(GATE, 1, "old")


def test_a_row_of_the_promises_is_replaced_by_its_promise():
    outcomes = [Outcome(STATIONARY, 0, "c", steps(("first", 0), ("refit", 0)))]
    (row,) = promise_rows(outcomes)
    promise = row.split(" | ")[0]

    assert "0 of 1 (95 % interval 0.0 to 97.5 %)" in row
    assert quote_in(f"| a |\n{promise} | old | `x` |\n| b |", outcomes) == f"| a |\n{row}\n| b |"


def test_first_versions_are_counted_by_whether_a_booster_predicts_the_plant():
    plants = [
        [{"kind": "true", "booster": 0.31, "base_rate": 0.1, "promote": True, "seconds": 1.0},
         {"kind": "shuffled", "promote": False, "seconds": 1.0}],
        [{"kind": "true", "booster": 0.29, "base_rate": 0.1, "promote": False, "seconds": 1.0}],
        [],
    ]  # fmt: skip
    outcomes = [Outcome(FIRST, seed, "c", rows) for seed, rows in enumerate(plants)]

    assert [(one.hits, one.of) for one in counts(outcomes)] == [(1, 1), (0, 1), (0, 1)]
