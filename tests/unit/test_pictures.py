"""What pictures are made of: round moments, fewer points, lines with gaps, bands and marks."""

import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_app.pictures.time_axis import time_ticks
from pm_app.pictures.timeline import (
    Band,
    EventMark,
    Scale,
    Timeline,
    ValueLine,
    drawn,
    scale_of,
    thin,
)
from pm_app.scoring.contributions import top_sensors_text
from pm_app.web.pages.asset.charts import leading, shares_of

BERLIN = ZoneInfo("Europe/Berlin")
DAY = 86_400.0


def seconds(*moment: int) -> float:
    return datetime(*moment, tzinfo=BERLIN).timestamp()  # type: ignore[misc, arg-type]


@given(
    start=st.floats(1e9, 2e9),
    span=st.floats(3600, 800 * DAY),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"]),
)
def test_round_moments_are_few_ascending_and_inside(start, span, zone):
    ticks = time_ticks(start, start + span, zone=ZoneInfo(zone))

    moments = [at for at, _ in ticks]
    assert moments == sorted(set(moments))
    assert len(ticks) <= 9
    assert all(start <= at <= start + span for at in moments)
    for at in moments:
        assert datetime.fromtimestamp(at, ZoneInfo(zone)).minute == 0


def test_midnights_stay_midnights_when_the_clock_is_changed():
    ticks = time_ticks(seconds(2026, 3, 27), seconds(2026, 4, 1), zone=BERLIN)

    assert [words for _, words in ticks] == ["03-27", "03-28", "03-29", "03-30", "03-31", "04-01"]
    assert np.diff([at for at, _ in ticks]).tolist() == [DAY, DAY, DAY - 3600, DAY, DAY]


@pytest.mark.parametrize(
    ("days", "words"),
    [(0.25, "01:00"), (3, "12:00"), (30, "01-04"), (365, "2026-03"), (730, "2026-07")],
)
def test_the_longer_the_range_the_wider_the_steps(days, words):
    start = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    ticks = time_ticks(start, start + days * DAY, zone=ZoneInfo("UTC"))

    assert words in [told for _, told in ticks]


series = st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("nan"))), max_size=300)


@given(values=series, most=st.integers(2, 80))
def test_no_peak_is_lost_when_points_are(values, most):
    values = np.array(values)
    rows = thin(values, most=most)

    assert len(rows) <= max(most, 2)
    assert rows.tolist() == sorted(set(rows.tolist()))
    known = values[np.isfinite(values)]
    if len(known):
        kept = values[rows]
        assert np.nanmin(kept) == known.min() and np.nanmax(kept) == known.max()
    if len(values) <= most:
        assert len(rows) == len(values)


def test_a_line_is_broken_where_time_stands_open_and_only_there():
    time = np.array([0.0, 1, 2, 3, 50, 51, 52])
    when, value = drawn(time, np.arange(7.0), most=100, longest=5.0)

    assert when.tolist() == [0, 1, 2, 3, 50, 50, 51, 52]
    assert np.isnan(value).tolist() == [False] * 4 + [True] + [False] * 3


@given(gap_at=st.integers(1, 998))
def test_a_gap_breaks_the_line_also_when_points_are_dropped(gap_at):
    time = np.arange(1000.0)
    time[gap_at:] += 5000
    when, value = drawn(time, np.sin(time), most=50, longest=100.0)

    joined = np.isfinite(value[1:]) & np.isfinite(value[:-1])
    assert np.diff(when)[joined].max() < 5000
    assert np.isnan(value).sum() <= 1


def scale(**changes) -> Scale:
    given_values = {"time": (0.0, 100.0), "value": (0.0, 1.0), "zone": ZoneInfo("UTC")}
    return Scale(**(given_values | changes))


def picture(*lines: ValueLine, **more) -> ET.Element:
    words = {"scale": scale(), "title": "t", "description": "d"}
    return ET.fromstring(Timeline(lines, **(words | more)).draw())


def test_a_picture_tells_what_it_is_and_what_its_edges_mean():
    found = picture(
        ValueLine("risk", np.array([0.0, 100]), np.array([0.0, 1]), "c0"),
        title="Risk <over> time",
        scale=scale(unit="%", step_seconds=600),
    )

    assert found.find("title").text == "Risk <over> time"
    assert (found.get("role"), found.get("data-unit"), found.get("data-step")) == (
        "img",
        "%",
        "600",
    )
    (path,) = (each for each in found.iter("path") if each.get("class") == "course c0")
    left, right = float(found.get("data-left")), float(found.get("data-right"))
    top, bottom = float(found.get("data-top")), float(found.get("data-bottom"))
    assert path.get("d") == f"M{left:.2f} {bottom:.1f}L{right:.2f} {top:.1f}"
    assert path.get("data-name") == "risk"


def test_a_value_between_two_gaps_is_a_dot_and_what_is_unknown_draws_nothing():
    lonely = picture(ValueLine("", np.arange(3.0), np.array([np.nan, 0.5, np.nan]), "c0"))
    silent = picture(ValueLine("", np.arange(3.0), np.full(3, np.nan), "c0"))

    assert [path.get("d").endswith("h.01") for path in lonely.iter("path")] == [True]
    assert not list(silent.iter("path"))


def test_bands_and_marks_are_drawn_with_their_words():
    band = Band(np.array([0.0, 50, 100]), np.array([0.2, np.nan, 0.1]), np.array([0.4, 0.5, 0.6]))
    found = picture(bands=[band], marks=[EventMark(50.0, 'seal "A" <b>', "failure")])

    (stripe,) = (each for each in found.iter("path") if each.get("class") == "band")
    assert stripe.get("d").count("Z") == 2
    (happened,) = found.iter("g")
    assert happened.find("title").text == 'seal "A" <b>'
    assert happened.get("class") == "happened failure"


def test_a_range_of_nothing_and_of_one_value_is_still_a_range():
    nothing = scale_of([np.array([np.nan])])
    one = scale_of([np.array([5.0])])

    assert nothing[1] > nothing[0] and one[0] <= 5.0 < one[1]


NAMES = st.lists(
    st.from_regex(r"[ab°µ%][ab _%./-]{0,5}[ab°µ%]", fullmatch=True),
    min_size=5,
    max_size=5,
    unique=True,
)


@settings(max_examples=25)
@given(shares=st.lists(st.floats(0.06, 1.0), min_size=1, max_size=5), names=NAMES)
def test_shares_are_read_back_as_they_were_written(shares, names):
    names = names[: len(shares)]
    (words,) = top_sensors_text(np.array([shares]), names, most=5)

    found = shares_of(words)
    total = sum(shares)
    expected = {name: share / total for name, share in zip(names, shares, strict=True)}
    assert set(found) <= set(names)
    assert all(abs(found[name] - expected[name]) <= 0.00501 for name in found)
    assert shares_of("") == {}


def test_the_leading_sensors_are_those_with_most_over_all():
    columns = [{"a": 0.5, "b": 0.4}, {}, {"b": 0.3, "c": 0.2}]

    assert leading(columns, most=2) == ["b", "a"]
