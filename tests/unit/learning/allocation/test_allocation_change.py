"""What a rebuild moved: sensors before and after, as values and as a picture."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from factories import make_card

from pm_app.learning.allocation.change import (
    compare_allocations,
    gains_over_uniform,
    selection_text,
)
from pm_app.pictures.allocation import draw_allocation
from pm_app.records.learning import QualityReport, Tier

SVG = "{http://www.w3.org/2000/svg}"


def card_of(shares, tiers, *, replicates=(), reports=()):
    """A card of these sensors; tiers: name to (units, sensors)."""
    card = make_card()
    sensors = tuple(shares)
    importance = replace(
        card.importance,
        sensors=sensors,
        shares=tuple(shares.values()),
        replicates=replicates or (tuple(shares.values()),),
    )
    plan = tuple(Tier(name, names, units, 4, 0.1) for name, (units, names) in tiers.items())
    placed = [name for tier in plan for name in tier.sensors]
    l1 = tuple(1e-4 * (1 + placed.index(name)) for name in placed)
    allocation = replace(card.allocation, tiers=plan, l1=l1)
    return replace(card, importance=importance, allocation=allocation, reports=tuple(reports))


BEFORE = card_of({"flow": 0.1, "load": 0.9}, {"high": (30, ("load",)), "low": (10, ("flow",))})
AFTER = card_of(
    {"flow": 0.6, "speed <b>": 0.4},
    {"high": (20, ("flow",)), "low": (10, ("speed <b>",))},
    replicates=tuple((0.5 + at / 100, 0.5 - at / 100) for at in range(21)),
)


def test_every_sensor_of_either_version_is_told_with_what_it_got():
    changes = compare_allocations(BEFORE, AFTER)

    assert [change.sensor for change in changes] == ["flow", "speed <b>", "load"]
    flow, speed, load = changes
    assert (flow.before.tier, flow.before.units, flow.before.l1) == ("low", 10, 2e-4)
    assert (flow.after.tier, flow.after.units, flow.after.embedding) == ("high", 20, 4)
    assert (flow.after.share, flow.after.l1) == (0.6, 1e-4)
    assert speed.before is None
    assert load.after is None


def test_sensors_that_are_worth_the_same_keep_the_order_of_columns():
    names = [f"sensor-{number}" for number in range(12)]
    card = card_of(dict.fromkeys(names, 1 / 12), {"all": (8, tuple(names))})

    for before in (None, BEFORE):
        order = [change.sensor for change in compare_allocations(before, card)]
        assert order == [*names, *(["load", "flow"] if before else [])]


def test_the_interval_is_that_of_resampling():
    (flow, *_) = compare_allocations(None, AFTER)

    assert (flow.after.low, flow.after.high) == (pytest.approx(0.51), pytest.approx(0.69))


def test_the_gain_is_told_against_the_same_network_without_guidance():
    own = QualityReport("tiers", 100, {"ap": 0.8, "rmse": 3.0, "alone": 1.0})
    card = replace(
        AFTER, reports=(own, QualityReport("control: uniform", 100, {"ap": 0.7, "rmse": 4.0}))
    )
    gains = gains_over_uniform(card)

    assert [(g.figure, g.guided, g.uniform) for g in gains] == [
        ("ap", 0.8, 0.7),
        ("rmse", 3.0, 4.0),
    ]
    assert gains_over_uniform(replace(card, reports=(own,))) == ()


def test_a_tier_is_as_high_in_the_picture_as_its_share_of_units():
    picture = ET.fromstring(
        draw_allocation(compare_allocations(BEFORE, AFTER), (), before="v1", after="v2")
    )
    blocks = [float(r.get("height")) for r in picture.iter(f"{SVG}rect") if r.get("rx")]
    ribbons = list(picture.iter(f"{SVG}path"))
    texts = ["".join(t.itertext()) for t in picture.iter(f"{SVG}text")]

    assert blocks[0] / blocks[1] == pytest.approx(3, rel=0.02)
    assert blocks[2] / blocks[3] == pytest.approx(2, rel=0.02)
    assert len(ribbons) == 4
    assert any(text.startswith("speed <b>") for text in texts)


def test_the_first_version_is_drawn_alone():
    picture = ET.fromstring(
        draw_allocation(compare_allocations(None, AFTER), (), before="", after="v")
    )

    assert len([r for r in picture.iter(f"{SVG}rect") if r.get("rx")]) == 2
    assert len(list(picture.iter(f"{SVG}path"))) == 2


def test_a_sensor_that_is_not_read_is_named_and_has_no_part_of_a_block():
    card = card_of({"flow": 0.6, "load": 0.4}, {"all": (30, ("flow",))})
    changes = compare_allocations(BEFORE, card)
    picture = ET.fromstring(draw_allocation(changes, (), before="v1", after="v2"))

    (load,) = (change.after for change in changes if change.sensor == "load")
    assert (load.tier, load.units, load.embedding, load.share) == ("unread", 0, 0, 0.4)
    assert len([r for r in picture.iter(f"{SVG}rect") if r.get("rx")]) == 3
    assert len(list(picture.iter(f"{SVG}path"))) == 3
    assert any("unread" in "".join(t.itertext()) for t in picture.iter(f"{SVG}text"))


def test_a_selection_is_told_by_features_and_sensors():
    card = card_of({"flow": 0.6, "load": 0.4}, {"all": (30, ("flow",))})
    (tier,) = card.allocation.tiers
    read = replace(tier, features=card.features[:2])
    selected = replace(card, allocation=replace(card.allocation, tiers=(read,)))

    every = len(card.features)
    assert selection_text(card) == ""
    assert selection_text(selected) == (
        f"the network reads 2 of {every} features, from 1 of 2 sensors and groups"
    )
