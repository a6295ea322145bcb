"""The state machine of alarms, against one asset and one cutoff at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pm_app.records.alarms import AlarmHistory, AlarmRule, DataOutage
from pm_app.scoring.alarms import RuleJudge, outage_text

RULE = AlarmRule(horizon_hours=72.0, threshold=0.5, clear=0.8, persistence=2, why="for a test")
NEVER = np.iinfo(np.int64).min
STATES = ("", "unacknowledged", "acknowledged", "shelved", "returned")
HIGH, BETWEEN, LOW = 0.9, 0.45, 0.1
RISKS = st.lists(st.sampled_from([HIGH, 0.5, BETWEEN, 0.4, LOW]), max_size=12)


def make_history(risks, *, judged=None, states=None, run_known=True, shelf_over=False):
    """Assets "a", "b", ... with these risks an hour apart, so many of them judged before."""
    names = tuple("abcdefgh"[: len(risks)])
    counts = [len(each) for each in risks]
    judged = [0] * len(risks) if judged is None else judged
    return AlarmHistory(
        assets=names,
        asset=np.repeat(np.arange(len(risks), dtype=np.int32), counts),
        cutoff=np.concatenate([np.arange(1, count + 1, dtype=np.int64) for count in counts]),
        signal=np.array([risk for each in risks for risk in each], dtype=float),
        judged_until=np.array([number or NEVER for number in judged], dtype=np.int64),
        run_before=np.zeros(len(risks), dtype=np.int8),
        run_known=np.full(len(risks), run_known),
        state=np.array(states or [""] * len(risks), dtype=object),
        shelf_over=np.full(len(risks), shelf_over),
    )


def transitions(history, rule=RULE):
    """Transitions as (asset, cutoff, from, to)."""
    steps = RuleJudge(rule).transitions(history)
    columns = (steps.asset, steps.cutoff, steps.from_state, steps.to_state)
    return [
        (history.assets[asset], *rest)
        for asset, *rest in zip(*(c.tolist() for c in columns), strict=True)
    ]


class Oracle:
    """One asset's alarm, a cutoff at a time, in plain words."""

    def __init__(self, rule, state=""):
        self.rule, self.state, self.steps = rule, state, []

    def condition(self, risks):
        """Whether the newest run of `persistence` risks is a high one; None without any."""
        width = self.rule.persistence
        for end in range(len(risks), width - 1, -1):
            run = risks[end - width : end]
            if all(risk >= self.rule.threshold for risk in run):
                return True
            if all(risk < self.rule.clear * self.rule.threshold for risk in run):
                return False
        return None

    def see(self, cutoff, stands):
        if self.state == "shelved":
            return
        before = self.state
        if stands and self.state in ("", "returned"):
            self.state = "unacknowledged"
        elif not stands and self.state == "unacknowledged":
            self.state = "returned"
        elif not stands and self.state == "acknowledged":
            self.state = "cleared"
        if self.state != before:
            self.steps.append((cutoff, before, self.state))
        if self.state == "cleared":
            self.state = ""

    def run(self, risks, judged, *, run_known=True):
        standing = self.state in ("unacknowledged", "acknowledged")
        for seen in range(judged, len(risks) + 1):
            stands = self.condition(risks[:seen])
            if stands is None:
                stands = standing and not run_known
            self.see(seen, stands)
        return self.steps


@given(
    histories=st.lists(st.tuples(RISKS, st.integers(0, 12), st.sampled_from(STATES)), max_size=5),
    persistence=st.integers(1, 4),
    run_known=st.booleans(),
)
def test_every_asset_goes_through_the_states_that_a_plain_loop_finds(
    histories, persistence, run_known
):
    rule = AlarmRule(72.0, 0.5, 0.8, persistence, "for a test")
    histories = [(risks, min(judged, len(risks)), state) for risks, judged, state in histories]
    history = make_history(
        [risks for risks, _, _ in histories] or [[]],
        judged=[judged for _, judged, _ in histories] or [0],
        states=[state for _, _, state in histories] or [""],
        run_known=run_known,
    )

    found = transitions(history, rule)

    expected = []
    for name, (risks, judged, state) in zip("abcde", histories, strict=False):
        steps = Oracle(rule, state).run(risks, judged, run_known=run_known)
        expected += [(name, cutoff or NEVER, before, after) for cutoff, before, after in steps]
    assert found == expected


@given(risks=RISKS, cuts=st.lists(st.integers(0, 12), max_size=4))
def test_history_in_order_gives_the_same_transitions_however_it_is_cut(risks, cuts):
    whole = transitions(make_history([risks]))

    parts, state, judged = [], "", 0
    for cut in [*sorted(min(cut, len(risks)) for cut in cuts), len(risks)]:
        steps = transitions(make_history([risks[:cut]], judged=[judged], states=[state]))
        parts += steps
        state, judged = steps[-1][-1] if steps else state, cut
    assert parts == whole


@given(
    risks=st.lists(st.sampled_from([HIGH, BETWEEN, LOW]), min_size=1, max_size=8),
    order=st.permutations(range(8)),
)
def test_risks_told_in_any_order_leave_the_same_condition_standing(risks, order):
    state, known = "", set()
    for place in [place for place in order if place < len(risks)]:
        judged = max(known, default=-1) + 1
        known.add(place)
        rows = sorted(known)
        history = make_history([[risks[row] for row in rows]], states=[state])
        history.cutoff[:] = np.array(rows) + 1
        history.judged_until[:] = judged or NEVER
        steps = transitions(history)
        state = steps[-1][-1] if steps else state

    stands = Oracle(RULE).condition(risks)
    assert (state == "unacknowledged") == bool(stands)


def test_an_alarm_takes_as_many_cutoffs_as_persistence_says():
    assert transitions(make_history([[HIGH, LOW, HIGH, HIGH]])) == [("a", 4, "", "unacknowledged")]


def test_the_threshold_itself_is_an_alarm_and_the_clearing_risk_is_not_yet_clear():
    assert transitions(make_history([[0.5, 0.5]])) == [("a", 2, "", "unacknowledged")]
    standing = {"judged": [2], "states": ["unacknowledged"]}
    assert transitions(make_history([[0.5, 0.5, 0.4, 0.4]], **standing)) == []


def test_what_came_and_went_before_the_newest_judged_cutoff_is_not_told():
    assert transitions(make_history([[HIGH, HIGH, LOW, LOW]], judged=[4])) == []


def test_a_revision_that_takes_the_cause_away_returns_the_alarm():
    history = make_history([[LOW, LOW]], judged=[2], states=["unacknowledged"])
    steps = RuleJudge(RULE).transitions(history)

    assert transitions(history) == [("a", 2, "unacknowledged", "returned")]
    assert steps.revised.tolist() == [True]


def test_an_acknowledged_alarm_clears_and_the_next_one_is_new():
    history = make_history(
        [[HIGH, HIGH, LOW, LOW, HIGH, HIGH]], judged=[2], states=["acknowledged"]
    )

    assert transitions(history) == [
        ("a", 4, "acknowledged", "cleared"),
        ("a", 6, "", "unacknowledged"),
    ]
    assert RuleJudge(RULE).transitions(history).fresh.tolist() == [False, True]


@pytest.mark.parametrize(
    ("risks", "becomes"), [([HIGH, HIGH], "unacknowledged"), ([HIGH, HIGH, LOW, LOW], "cleared")]
)
def test_what_was_shelved_comes_back_as_its_asset_stands(risks, becomes):
    history = make_history([risks], judged=[2], states=["shelved"], shelf_over=True)

    assert transitions(history) == [("a", len(risks), "shelved", becomes)]


def test_a_trail_too_short_to_tell_asks_for_more_and_leaves_the_alarm_as_it_is():
    history = make_history([[BETWEEN, HIGH]], judged=[2], states=["acknowledged"], run_known=False)

    assert RuleJudge(RULE).undecided(history).tolist() == [True]
    assert transitions(history) == []


def test_an_asset_of_which_nothing_was_said_before_needs_no_more():
    assert RuleJudge(RULE).undecided(make_history([[BETWEEN]])).tolist() == [False]


def outage(silent, *, before=(), state="", shelf_over=False):
    step = RuleJudge(RULE).outage(DataOutage(tuple(silent), 10, tuple(before), state, shelf_over))
    return None if step is None else (step.action, step.to_state)


@pytest.mark.parametrize(
    ("silent", "before", "state", "becomes"),
    [
        ("", "", "", None),
        ("ab", "", "", ("raised", "unacknowledged")),
        ("ab", "ab", "unacknowledged", None),
        ("abc", "ab", "unacknowledged", ("changed", "unacknowledged")),
        ("a", "ab", "acknowledged", ("changed", "acknowledged")),
        ("ac", "ab", "acknowledged", ("raised", "unacknowledged")),
        ("", "ab", "acknowledged", ("cleared", "cleared")),
        ("", "ab", "unacknowledged", ("returned", "returned")),
        ("", "ab", "returned", None),
        ("a", "ab", "returned", ("raised", "unacknowledged")),
        ("abc", "ab", "shelved", None),
    ],
)
def test_one_data_alarm_follows_the_assets_that_are_dark(silent, before, state, becomes):
    assert outage(silent, before=before, state=state) == becomes


def test_a_shelved_data_alarm_comes_back_when_its_time_is_over():
    assert outage("a", before="a", state="shelved", shelf_over=True) == (
        "unshelved",
        "unacknowledged",
    )
    assert outage("", before="a", state="shelved", shelf_over=True) == ("unshelved", "cleared")


def test_a_large_outage_names_some_assets_and_counts_the_rest():
    silent = tuple(f"pump-{number:02d}" for number in range(30))

    assert outage_text(DataOutage(silent, 40, (), "", shelf_over=False)) == (
        f"30 of 40 assets without usable readings: {', '.join(silent[:20])} and 10 more"
    )
