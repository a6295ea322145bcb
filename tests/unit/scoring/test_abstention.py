"""When the model does not speak: each reason, from readings, beside an asset it speaks of."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from factories import HOUR, START, make_card

from pm_app.features.frame import build_frame, select_features
from pm_app.features.panes.panes import build_panes
from pm_app.learning.data.labels import life_labels, while_running
from pm_app.records.features import BASES, FeatureSpec, Frame, RunningRule
from pm_app.records.learning import Pool, PoolMember, Tier
from pm_app.records.readings import Readings, no_events
from pm_app.records.scores import Scores
from pm_app.scoring.abstention import answer_frame, judge_extremes, statuses

HOURS, SENSORS = 40, 4
SPEC = FeatureSpec(
    sensors=tuple(f"sensor-{number}" for number in range(SENSORS)),
    pane_ns=HOUR,
    windows_ns=(2 * HOUR, 6 * HOUR),
    maintenance_codes=(),
    error_codes=(),
    clock=None,
)


@pytest.fixture
def values():
    """Sensors by hours of an asset that nothing is wrong with."""
    return np.random.default_rng(0).normal(50, 10, (SENSORS, HOURS))


def frame_of(values, spec: FeatureSpec = SPEC) -> Frame:
    readings = Readings(
        assets=("pump",),
        asset=np.zeros(HOURS, dtype=np.int32),
        time=START + np.arange(HOURS) * HOUR + 1,
        sensors=tuple(f"sensor-{number}" for number in range(len(values))),
        values=values,
    )
    panes = build_panes(readings, pane_ns=HOUR)
    return build_frame(panes, no_events(), spec, first_seen={"pump": START})


def card_of(frame: Frame, spec: FeatureSpec = SPEC, shares=(0.4, 0.3, 0.2, 0.1)):
    """A card trained on this frame."""
    seen = frame.values[frame.values[:, frame.features.index("age")] >= 6]
    card = make_card(
        spec,
        feature_low=tuple(np.fmin.reduce(seen).tolist()),
        feature_high=tuple(np.fmax.reduce(seen).tolist()),
    )
    names = tuple(f"sensor-{number}" for number in range(SENSORS))
    return replace(card, importance=replace(card.importance, sensors=names, shares=shares))


def said(values, card, spec: FeatureSpec = SPEC):
    return statuses(select_features(frame_of(values, spec), card.features), card).tolist()


def test_a_healthy_asset_is_spoken_of_once_it_is_old_enough(values):
    assert said(values, card_of(frame_of(values))) == ["not_enough_history"] + ["scored"] * 39


@pytest.mark.parametrize(("missing", "status"), [((0,), "scored"), ((0, 1), "sensor_missing")])
def test_sensors_of_half_the_importance_may_be_missing_through_the_longest_window(
    values, missing, status
):
    gone = values.copy()
    gone[list(missing), 20:] = np.nan
    found = said(gone, card_of(frame_of(values)))

    assert found[1:25] == ["scored"] * 24
    assert found[25:] == [status] * 15


@pytest.mark.parametrize(
    ("missing", "network", "status"),
    [((0, 1), 1.0, "scored"), ((2,), 1.0, "sensor_missing"), ((0, 1), 0.5, "sensor_missing")],
)
def test_what_is_not_read_is_no_reason_to_abstain_unless_a_forest_reads_it(
    values, missing, network, status
):
    """Sensors 2 and 3 are read, which hold three tenths of the importance."""
    card = card_of(frame_of(values))
    read = tuple(name for name in card.features if name.startswith(("sensor-2", "sensor-3")))
    tier = Tier("all", ("sensor-2", "sensor-3"), 8, 0, 0.0, read)
    members = (PoolMember("network", network, ()), PoolMember("forest", 1 - network, ()))
    card = replace(
        card,
        allocation=replace(card.allocation, tiers=(tier,), l1=(1e-4, 1e-4)),
        pool=Pool(members, (), 10, ""),
    )
    gone = values.copy()
    gone[list(missing), 20:] = np.nan

    assert said(gone, card)[25:] == [status] * 15


@pytest.mark.parametrize(("stuck", "status"), [((0,), "scored"), ((0, 1), "stale_input")])
def test_sensors_that_repeat_their_last_word_are_found_after_the_longest_window(
    values, stuck, status
):
    frozen = values.copy()
    frozen[list(stuck), 20:] = frozen[list(stuck), 20][:, None]
    found = said(frozen, card_of(frame_of(values)))

    assert found[1:25] == ["scored"] * 24
    assert found[25:] == [status] * 15


def test_sensors_that_stood_still_in_training_may_stand_still(values):
    steps = values.copy()
    steps[:2, 20:] = steps[:2, 20][:, None]

    assert "stale_input" not in said(steps, card_of(frame_of(steps)))


def test_a_version_without_the_features_that_tell_standing_still_does_not_judge_it(values):
    frozen = values.copy()
    frozen[:, 20:] = frozen[:, 20][:, None]
    card = card_of(frame_of(values))
    stays = [at for at, name in enumerate(card.features) if not name.endswith(".minimum.6h")]

    def pick(every):
        return tuple(every[at] for at in stays)

    fewer = replace(
        card,
        features=pick(card.features),
        sensor_of=pick(card.sensor_of),
        feature_low=pick(card.feature_low),
        feature_high=pick(card.feature_high),
    )

    assert "stale_input" in said(frozen, card)
    assert "stale_input" not in said(frozen, fewer)


@pytest.mark.parametrize(("odd", "status"), [((0,), "scored"), ((0, 2), "out_of_distribution")])
def test_sensors_of_half_the_importance_may_read_as_never_before(values, odd, status):
    strange = values.copy()
    strange[list(odd), 30:] += 500
    found = said(strange, card_of(frame_of(values)))

    assert found[1:30] == ["scored"] * 29
    assert found[30:] == [status] * 10


@dataclass
class OneRisk:
    """A version that gives every row one risk."""

    risk: float

    def predict_attending(self, values):
        risk, rest = np.full((len(values), 2), self.risk), np.full(len(values), 5.0)
        return Scores(risk, rest, rest, rest, rest), None


def answers(values, card, risk):
    frame = select_features(frame_of(values), card.features)
    return answer_frame(frame, card, OneRisk(risk))


def make_strange(values, odd=(0, 2)):
    strange = values.copy()
    strange[list(odd), 30:] += 500
    return strange


@pytest.mark.parametrize(
    ("risk", "usual", "status"),
    [
        (0.3, 0.1, "scored"),
        (0.1, 0.1, "out_of_distribution"),
        (0.05, 0.1, "out_of_distribution"),
        (0.10004, 0.1, "out_of_distribution"),
        (0.3, None, "out_of_distribution"),
        (np.nan, None, "out_of_distribution"),
    ],
)
def test_what_was_never_seen_is_told_where_its_risk_stands_out(values, risk, usual, status):
    card = replace(card_of(frame_of(values)), usual_risk=usual)
    found = answers(make_strange(values), card, risk)

    assert found.status[1:30].tolist() == ["scored"] * 29
    assert found.status[30:].tolist() == [status] * 10
    assert len(found.scores.risk) == len(found.rows) == (found.status == "scored").sum()


def test_a_version_that_goes_on_beyond_its_training_is_not_asked_there(values):
    card = replace(card_of(frame_of(values)), usual_risk=0.1)
    before = replace(card, allocation=replace(card.allocation, scaling="clipped"))
    found = answers(make_strange(values), before, 0.9)

    assert found.status[30:].tolist() == ["out_of_distribution"] * 10
    assert np.isnan(found.extrapolated).all()


@pytest.mark.parametrize("reason", ["machine_off", "stale_input", "sensor_missing", "no_model"])
def test_no_risk_however_high_speaks_for_what_is_missing(reason):
    status = np.array([reason, "scored"], dtype=object)
    card = replace(make_card(), usual_risk=0.1)

    assert judge_extremes(status, np.array([0.9, 0.9]), card).tolist() == [reason, "scored"]


def test_the_share_beyond_training_is_that_of_the_importance_there(values):
    card = replace(card_of(frame_of(values)), usual_risk=0.1)
    usual, strange = answers(values, card, 0.3), answers(make_strange(values), card, 0.3)
    own = [at for at, name in enumerate(card.sensor_of) if name in ("sensor-0", "sensor-2")]
    frame = frame_of(make_strange(values))
    low, high = np.array(card.feature_low)[own], np.array(card.feature_high)[own]
    seen = frame.values[38, own]
    weight = np.array([{"sensor-0": 0.4, "sensor-2": 0.2}[card.sensor_of[at]] for at in own])
    each = len(own) / 2
    expected = (((seen < low) | (seen > high)) * weight).sum() / each

    assert np.isnan(usual.extrapolated[0])
    assert usual.extrapolated[6:].max() == 0.0
    assert strange.extrapolated[6:30].max() == 0.0
    assert strange.extrapolated[38] == pytest.approx(expected)
    assert 0.2 < expected < 0.6


def test_only_features_that_the_version_reads_lie_beyond_its_training(values):
    """A network of one feature of sensor-2, and a forest, which reads all, beside it."""
    card = replace(card_of(frame_of(values)), usual_risk=0.1)
    tier = Tier("read", ("sensor-2",), 8, 0, 0.0, features=("sensor-2.last",))
    plan = replace(card.allocation, tiers=(tier,))
    network = replace(card, allocation=plan)
    members = (PoolMember("network", 0.5, ()), PoolMember("forest", 0.5, ()))
    pooled = replace(network, pool=Pool(members, (), 9, "equal"))

    shares = [
        answers(make_strange(values), each, 0.3).extrapolated[38] for each in (network, pooled)
    ]

    assert shares[0] == 1.0
    assert 0.2 < shares[1] < 0.6


def test_what_is_missing_lies_nowhere(values):
    gone = make_strange(values)
    gone[0, 20:] = np.nan
    card = replace(card_of(frame_of(values)), usual_risk=0.1)
    found = answers(gone, card, 0.3)

    assert found.status[39] == "scored"
    assert 0.0 < found.extrapolated[39] <= 0.2


def test_the_share_beyond_training_does_not_depend_on_what_is_scored_together(values):
    card = replace(card_of(frame_of(values)), usual_risk=0.1)
    frame = select_features(frame_of(make_strange(values)), card.features)
    together = answer_frame(frame, card, OneRisk(0.3)).extrapolated

    for at in range(HOURS):
        alone = answer_frame(frame.take(np.array([at])), card, OneRisk(0.3)).extrapolated
        assert alone.tobytes() == together[at : at + 1].tobytes()


def test_nothing_is_said_of_a_machine_that_is_off_whatever_else_is_wrong(values):
    spec = replace(SPEC, running=RunningRule("sensor-3", 5.0))
    off = values.copy()
    off[3] = np.abs(off[3]) + 6
    healthy = off.copy()
    off[3, 30:35] = 5.0
    off[:3, 30:35] = np.nan
    card = card_of(frame_of(healthy, spec), spec)

    found = said(off, card, spec)

    assert found[30:35] == ["machine_off"] * 5
    assert "machine_off" not in found[:30] + found[35:]


def test_a_machine_that_does_not_tell_whether_it_runs_is_taken_to_run(values):
    spec = replace(SPEC, running=RunningRule("sensor-3", 5.0))
    silent = values.copy()
    silent[3] = np.nan

    assert not frame_of(silent, spec).off.any()


def test_what_tells_running_is_read_as_it_is_measured_and_need_not_be_learned_from(values):
    spec = replace(SPEC, sensors=SPEC.sensors[:3], running=RunningRule("sensor-3", 5.0))
    values[3, ::2] = 0

    assert frame_of(values, spec).off.tolist() == [True, False] * 20


def test_rows_at_which_the_machine_is_off_teach_nothing(values):
    spec = replace(SPEC, running=RunningRule("sensor-3", 5.0))
    values[3] = np.where(np.arange(HOURS) < 10, 0.0, 9.0)
    frame = frame_of(values, spec)
    labels = life_labels(frame, no_events(), known_until=None)

    kept = while_running(frame, labels)

    assert labels.usable.all()
    assert kept.usable.tolist() == [False] * 10 + [True] * 30
    assert np.isnan(kept.duration_hours[:10]).all()
    assert np.array_equal(kept.duration_hours[10:], labels.duration_hours[10:])


@pytest.mark.parametrize(("lost", "status"), [(0.5, "scored"), (0.51, "stale_input")])
def test_a_row_without_what_most_skill_rests_on_is_stale(values, lost, status):
    reliance = tuple(
        lost * (places >> BASES.index("error") & 1) for places in range(2 ** len(BASES))
    )
    frame = frame_of(values)
    withheld = np.zeros((HOURS, len(BASES)), dtype=np.bool_)
    withheld[30:, BASES.index("error")] = True
    withheld[20:, BASES.index("age")] = True
    card = replace(card_of(frame), reliance=reliance)
    found = statuses(replace(frame, withheld=withheld), card).tolist()

    assert found[1:30] == ["scored"] * 29
    assert found[30:] == [status] * 10


def test_a_version_of_before_knows_nothing_of_silence(values):
    frame = frame_of(values)
    withheld = np.ones((HOURS, len(BASES)), dtype=np.bool_)

    assert statuses(replace(frame, withheld=withheld), card_of(frame))[-1] == "scored"
