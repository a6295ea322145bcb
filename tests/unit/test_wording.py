from dataclasses import asdict, replace

import pytest

from pm_app.records.learning import RenewedLives, Revision
from pm_app.wording import (
    alarm_mode_text,
    drivers_text,
    extrapolated_text,
    mode_risks_text,
    mode_text,
    renewals_text,
    revision_text,
    visible_text,
)

REVISION = Revision(("heat", "load"), (0.7, 0.3), 0.891, 0.0312, 1.1811, 1.1824, False, 6)


def tell(**changes):
    return revision_text(asdict(replace(REVISION, **changes)))


def test_a_second_look_that_did_not_help_is_told_with_its_figures():
    assert tell() == (
        "asked again after 6 epochs, the network agrees with the forest (tau 0.89); dealing 3 % "
        "of the units anew did not help (validation loss 1.182 against 1.181) and was not kept"
    )


def test_what_was_kept_helped():
    said = tell(loss_after=1.1, kept=True)

    assert said.endswith("anew helped (validation loss 1.100 against 1.181) and was kept")


def test_a_gain_within_noise_is_called_one():
    said = tell(loss_after=1.18)

    assert "anew helped by no more than noise (validation loss 1.180 against 1.181)" in said
    assert said.endswith("and was not kept")


def test_a_plan_that_did_not_change_has_nothing_to_compare():
    assert tell(epochs=0, moved_units=0.0, tau=1.0) == (
        "asked again in training, the network agrees with the forest (tau 1.00); "
        "the plan stays as it was"
    )


@pytest.mark.parametrize(
    ("tau", "words"),
    [
        (0.7, "the network agrees with the forest"),
        (0.69, "the network partly agrees with the forest"),
        (0.3, "the network partly agrees with the forest"),
        (0.29, "the network does not agree with the forest"),
        (-1.0, "the network does not agree with the forest (tau -1.00)"),
    ],
)
def test_rankings_agree_as_far_as_their_tau_says(tau, words):
    assert words in tell(tau=tau)


@pytest.mark.parametrize(
    ("moved", "words"),
    [
        (0.0, "; weighing penalties anew did"),
        (0.001, "; dealing less than 1 % of the units anew did"),
        (0.01, "; dealing 1 % of the units anew did"),
    ],
)
def test_what_was_dealt_anew_is_named(moved, words):
    assert words in tell(moved_units=moved)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("pump-1", "pump-1"),
        ("pump-1\u200b", "pump-1\\u200b"),
        ("\ufeffpump\u00ad\u202e", "\\ufeffpump\\xad\\u202e"),
        ("a\x1b[31m", "a\\x1b[31m"),
        (
            "two\nlines\tof \u043d\u0430\u0441\u043e\u0441",
            "two\nlines\tof \u043d\u0430\u0441\u043e\u0441",
        ),
        ("\u0645\u06cc\u200c\u062e\u200c", "\u0645\u06cc\u200c\u062e\\u200c"),
    ],
)
def test_characters_that_nobody_sees_are_shown_as_escapes(text, shown):
    assert visible_text(text) == shown


@pytest.mark.parametrize(
    ("risk", "shown"), [(0.0099, ""), (0.01, "load 43 %"), (None, "load 43 %")]
)
def test_nothing_drives_a_risk_that_is_next_to_none(risk, shown):
    assert drivers_text("load 43 %", risk) == shown


def test_failure_modes_are_told_the_riskiest_first_without_those_next_to_none():
    found = '{"other": 0.004, "seal": 0.04, "bearing": 0.31}'

    assert mode_risks_text(found) == "bearing 31 %, seal 4 %"
    assert mode_risks_text('{"seal": 0.001, "bearing": 0.002}') == "bearing <1 %"
    assert mode_risks_text(None) == ""
    assert [mode_text(*given) for given in (("seal", 0.3), ("seal", 0.001), (None, None))] == [
        "seal",
        "",
        "",
    ]


@pytest.mark.parametrize(
    ("mode", "likeliest", "words"),
    [
        (None, None, ""),
        ("seal", None, "seal"),
        ("seal", "seal", "seal"),
        (None, "seal", "seal"),
        ("bearing", "seal", "seal now, bearing when it was raised"),
    ],
)
def test_an_alarm_tells_its_failure_mode_and_a_likelier_one(mode, likeliest, words):
    assert alarm_mode_text(mode, likeliest) == words


def test_what_renewals_leave_open_is_told_with_both_extremes():
    renewed = RenewedLives(120, 37, (24.0, 72.0), (0.01, 0.031), (0.01, 0.025), (0.05, 0.0976))

    assert renewals_text(asdict(renewed)) == (
        "37 of 120 lives (31 %) ended with a renewal. Of the rows whose outcome is known, 3.10 % "
        "fail within 72 h: 2.50 % of all if none of those that were renewed before had failed, "
        "9.76 % if all had"
    )


def test_what_lies_beyond_training_is_told_where_it_is_more_than_next_to_nothing():
    told = "34 % of what this rests on lies beyond what was learned"

    assert [extrapolated_text(share) for share in (None, 0.0, 0.049)] == [""] * 3
    assert extrapolated_text(0.3401) == told
    assert extrapolated_text(0.05).startswith("5 % of")
