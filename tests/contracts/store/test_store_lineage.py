"""What every database must do with versions, promotions and retrainings."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pm_app.errors import TerminalError
from pm_app.store import Actor, ImportanceRow, PromotionRow, RetrainingRow, VersionRow
from pm_app.store.lineage import version_before

DAY = datetime(2026, 3, 1, tzinfo=UTC)
ANN = Actor("ann", "10.0.0.7")


def day(number: int) -> datetime:
    return DAY + timedelta(days=number)


def make_version(number: int = 1) -> VersionRow:
    return VersionRow(
        version=number,
        path=f"versions/{number:06d}",
        digest=f"digest-{number}",
        created_at=day(number),
        strategy="tiers",
        parameters=4_321,
        status="accepted",
        summary={"average_precision_72h": 0.97, "tiers": ["core", "rest"]},
    )


def make_retraining(number: int = 1, version: int | None = None) -> RetrainingRow:
    return RetrainingRow(
        started_at=day(number),
        finished_at=day(number) + timedelta(minutes=3),
        as_of=day(number),
        decision="promoted" if version else "kept",
        reason=f"reason {number}",
        version=version,
        metrics={"tau": 0.9, "p_value": 0.4},
    )


def make_importance(sensor: str, rank: int, version: int = 1) -> ImportanceRow:
    return ImportanceRow(version, sensor, 0.5, 0.01, rank, "core", 16, 1e-4)


def publish(store, *numbers: int) -> None:
    for number in numbers:
        store.lineage.record_retraining(
            make_retraining(number, number), version=make_version(number), promote=True
        )


def learn_normal(store, *numbers: int) -> None:
    for number in numbers:
        store.lineage.record_normal(
            make_retraining(number, number), version=make_version(number), promote=True
        )


def test_each_kind_has_a_champion_and_moves_of_its_own(store):
    learn_normal(store, 1)
    publish(store, 2)
    learn_normal(store, 3)
    publish(store, 4)

    lineage = store.lineage
    assert (lineage.champion(), lineage.champion("normal")) == (4, 3)
    assert [lineage.champion_at(day(2), kind) for kind in ("failure", "normal")] == [None, 1]
    assert [[move.version for move in lineage.promotions(k)] for k in ("failure", "normal")] == [
        [2, 4],
        [1, 3],
    ]
    assert [row.version for row in lineage.retrainings()] == [4, 2]
    assert [row.version for row in lineage.retrainings(1, kind="normal")] == [3]
    assert [row.version for row in lineage.versions()] == [4, 3, 2, 1]
    assert [row.version for row in lineage.versions(kind="failure")] == [4, 2]
    assert lineage.version(3).kind == "normal"
    assert lineage.rollback(at=day(9), reason="false alarms", kind="normal") == 1
    assert (lineage.champion(), lineage.champion("normal")) == (4, 1)
    with pytest.raises(TerminalError, match="version 1 is the first"):
        lineage.rollback(at=day(9), reason="false alarms", kind="normal")
    lineage.promote(3, at=day(10), reason="again")
    assert (lineage.champion(), lineage.champion("normal")) == (4, 3)


def test_a_normal_that_is_recorded_without_its_version_leaves_nothing(store):
    learn_normal(store, 1)
    with pytest.raises(TerminalError, match="versions never change"):
        learn_normal(store, 1)

    assert len(store.lineage.retrainings(kind="normal")) == 1
    assert len(store.lineage.promotions("normal")) == 1


def test_a_normal_waits_beside_a_version_of_failures(store):
    publish(store, 1)
    store.lineage.record_normal(waiting(2), version=make_version(2))
    store.lineage.record_retraining(waiting(3), version=make_version(3))

    assert [store.lineage.waiting(kind).version for kind in ("failure", "normal")] == [3, 2]
    store.lineage.reject(2, at=day(4), reason="a pump was swapped", actor=ANN)
    assert store.lineage.waiting("normal") is None
    assert store.lineage.waiting().version == 3


def test_sensors_of_a_normal_stay_sensors(store):
    store.lineage.record_normal(
        make_retraining(1, 1), version=make_version(1), importances=[make_importance("heat", 1)]
    )

    assert store.lineage.sensors() == {"heat"}


def test_there_is_no_champion_at_first(store):
    assert store.lineage.champion() is None
    assert store.lineage.champion_at(DAY) is None
    assert store.lineage.next_version() == 1
    assert store.lineage.promotions() == []


def test_a_retraining_is_noted_with_all_that_came_of_it(store):
    number = store.lineage.record_retraining(
        make_retraining(version=1),
        version=make_version(),
        importances=[make_importance("pressure", 2), make_importance("vibration", 1)],
        promote=True,
    )

    (noted,) = store.lineage.retrainings()
    assert (noted.id, noted.version, noted.reason) == (number, 1, "reason 1")
    assert noted.metrics == {"tau": 0.9, "p_value": 0.4}
    assert store.lineage.versions() == [make_version()]
    assert store.lineage.version(1) == make_version()
    assert store.lineage.version(2) is None
    assert [row.sensor for row in store.lineage.importances(1)] == ["vibration", "pressure"]
    assert store.lineage.champion() == 1
    assert store.lineage.promotions() == [
        PromotionRow(1, 1, day(1) + timedelta(minutes=3), "reason 1", "promote")
    ]
    assert store.lineage.next_version() == 2


def test_a_retraining_that_cannot_be_noted_whole_is_not_noted_at_all(store):
    rows = [make_importance("vibration", 1, version=7)]

    with pytest.raises(TerminalError):
        store.lineage.record_retraining(
            make_retraining(version=1), version=make_version(), importances=rows, promote=True
        )

    assert store.lineage.retrainings() == []
    assert store.lineage.versions() == []
    assert store.lineage.champion() is None


def test_a_version_is_never_written_again(store):
    publish(store, 1)

    with pytest.raises(TerminalError, match="version 1 is in the store"):
        publish(store, 1)

    assert len(store.lineage.retrainings()) == 1


def test_retrainings_come_newest_first(store):
    for number in range(4):
        store.lineage.record_retraining(make_retraining(number))

    assert [row.reason for row in store.lineage.retrainings(2)] == ["reason 3", "reason 2"]
    assert len(store.lineage.retrainings()) == 4


def test_figures_json_has_no_word_for_become_null(store):
    metrics = {"tau": float("nan"), "of": [1.0, float("inf")]}
    retraining = RetrainingRow(DAY, DAY, DAY, "kept", "nothing to compare", metrics=metrics)

    store.lineage.record_retraining(retraining)

    assert store.lineage.retrainings()[0].metrics == {"tau": None, "of": [1.0, None]}


def test_only_a_known_version_is_promoted(store):
    publish(store, 1, 2)

    with pytest.raises(TerminalError, match=r"in the store \(1, 2\), got 9"):
        store.lineage.promote(9, at=day(9), reason="by hand")

    assert store.lineage.champion() == 2


def test_promoting_the_champion_again_changes_nothing(store):
    publish(store, 1)

    store.lineage.promote(1, at=day(5), reason="again")

    assert len(store.lineage.promotions()) == 1


def test_each_rollback_goes_one_promotion_further_back(store):
    publish(store, 1, 2, 3)

    back = [store.lineage.rollback(at=day(4 + step), reason="false alarms") for step in range(2)]

    assert back == [2, 1]
    assert store.lineage.champion() == 1
    with pytest.raises(TerminalError, match="version 1 is the first"):
        store.lineage.rollback(at=day(9), reason="false alarms")


def test_promotions_are_only_ever_added(store):
    publish(store, 1, 2)
    before = store.lineage.promotions()

    store.lineage.rollback(at=day(3), reason="false alarms")
    store.lineage.promote(2, at=day(4), reason="not its fault")

    after = store.lineage.promotions()
    assert after[:2] == before
    assert [(row.version, row.kind) for row in after[2:]] == [(1, "rollback"), (2, "promote")]
    assert store.lineage.champion() == 2


def test_rolling_back_before_any_promotion_is_refused(store):
    with pytest.raises(TerminalError, match="none has been promoted"):
        store.lineage.rollback(at=DAY, reason="false alarms")


def test_who_was_champion_when_can_be_asked(store):
    publish(store, 1, 2)
    store.lineage.rollback(at=day(10), reason="false alarms")

    asked = [store.lineage.champion_at(day(number)) for number in (0, 2, 3, 9, 10)]

    assert asked == [None, 1, 2, 2, 1]


@given(versions=st.lists(st.integers(1, 9), min_size=2, max_size=8))
def test_rolling_all_the_way_back_retraces_every_promotion(versions):
    moves = [PromotionRow(n, version, DAY, "", "promote") for n, version in enumerate(versions)]

    back = []
    while len(back) < len(versions) - 1:
        back.append(version_before(moves))
        moves.append(PromotionRow(len(moves), back[-1], DAY, "", "rollback"))

    assert back == versions[-2::-1]
    with pytest.raises(TerminalError, match="is the first"):
        version_before(moves)


def waiting(number: int) -> RetrainingRow:
    row = make_retraining(number, number)
    return replace(row, metrics={**row.metrics, "waits": True})


def test_the_newest_version_waits_until_a_person_answers(store):
    assert store.lineage.waiting() is None
    for number in (1, 2, 3):
        store.lineage.record_retraining(waiting(number), version=make_version(number))
        assert store.lineage.waiting().version == number
    with pytest.raises(TerminalError, match="version 2 waits for no answer; version 3 does"):
        store.lineage.reject(2, at=day(4), reason="too late", actor=ANN)

    store.lineage.reject(3, at=day(4), reason="no gain", actor=ANN)

    assert store.lineage.waiting() is None
    with pytest.raises(TerminalError, match="version 3 waits for no answer; none does"):
        store.lineage.reject(3, at=day(5), reason="again", actor=ANN)
    (audited,) = store.users.audit()
    assert (audited.actor, audited.address, audited.action) == ("ann", "10.0.0.7", "reject")
    assert (audited.target, audited.details) == ("version 3", "no gain")


def test_a_promoted_version_waits_no_longer_and_who_moved_it_is_kept(store):
    store.lineage.record_retraining(waiting(1), version=make_version(1))
    store.lineage.promote(1, at=day(2), reason="looks right", actor=ANN)
    publish(store, 2)
    store.lineage.promote(2, at=day(3), reason="better")
    store.lineage.rollback(at=day(4), reason="it cried wolf", actor=ANN)

    assert store.lineage.waiting() is None
    movers, moves = store.lineage.promotion_actors(), store.lineage.promotions()
    assert [movers[move.id] for move in moves] == ["ann", "pm-app", "ann"]
    audited = [(row.actor, row.action, row.target) for row in store.users.audit()]
    assert audited == [
        ("ann", "roll back", "version 1"),
        ("pm-app", "promote", "version 2"),
        ("ann", "promote", "version 1"),
    ]
