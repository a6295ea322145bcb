"""The alarms' pages: what stands, and what people do about it from a browser."""

from datetime import timedelta

import pytest
from browsing import Table, Visitor, resources
from factories import (
    ALARMING_TOML,
    MODES_TOML,
    NOW,
    make_card_with_modes,
    make_plant,
    make_spec,
    opened,
    promote_handmade,
    readings_table,
)

from pm_app.jobs.score.run import score
from pm_app.settings.plant import read_settings
from pm_app.web.app import make_app
from pm_app.wiring import open_users, open_views
from pm_app.wording import alarm_mode_text, mode_risks_text

LATER = NOW + timedelta(hours=1)
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def plant(tmp_path_factory):
    """A plant with alarms, and people who may see them."""
    folder = tmp_path_factory.mktemp("alarmed")
    config = make_plant(folder, {"a.parquet": readings_table()}, toml=ALARMING_TOML + MODES_TOML)
    with opened(config) as plant:
        promote_handmade(plant, card=make_card_with_modes(make_spec(plant.settings)))
        score(plant, now=NOW)
    settings = read_settings(config)
    with open_users(settings) as store:
        for name, role in (("vera", "viewer"), ("otto", "operator")):
            store.users.add(name, PASSWORD, role=role, at=NOW, actor="root")
    return settings


@pytest.fixture
def visitor(plant):
    """A factory of people with a browser, signed in."""
    ways = resources(plant, change=True)
    app = make_app(plant, ways, now=lambda: LATER)

    def visitor(name: str) -> Visitor:
        one = Visitor(app)
        assert one.sign_in(name, PASSWORD).status_code == 303
        return one

    return visitor


def alarms(plant, state=None):
    with open_views(plant) as store:
        return [row for row in store.alarms.alarms() if state is None or row.state == state]


def events(plant, number):
    with open_views(plant) as store:
        return store.alarms.events(number)


def test_the_list_shows_the_open_alarms_of_the_store(visitor, plant):
    rows = Table(visitor("vera").get("/alarms").text).rows[1:]

    standing = [row for row in alarms(plant) if row.state != "cleared"]
    assert [row[1] for row in rows] == [row.asset_id or "Readings missing" for row in standing]
    told = [row[4].replace("\u00a0", " ") for row in rows]
    modes = [alarm_mode_text(row.mode, row.likeliest_mode) for row in standing]
    for words, row, mode in zip(told, standing, modes, strict=True):
        assert words.startswith(f"{mode}: {row.top_sensors}" if mode else row.reason)
        assert words.endswith("order 6310-2Z") == ((row.likeliest_mode or "") == "bearing")
    assert "bearing" in modes
    assert rows


def test_lists_by_state_hold_each_alarm_once(visitor, plant):
    one = visitor("vera")
    lists = ("unacknowledged", "acknowledged", "shelved", "cleared")
    counts = [len(Table(one.get(f"/alarms?list={name}").text).rows[1:]) for name in lists]

    assert sum(counts) == len(alarms(plant))


def test_an_operator_acknowledges_shelves_comments_and_it_is_in_the_log(visitor, plant):
    otto, row = visitor("otto"), alarms(plant, "unacknowledged")[0]
    page = f"/alarms/{row.id}"

    done = [
        otto.send(page, f"{page}/acknowledge", note="seen"),
        otto.send(page, f"{page}/shelve", hours="8", note="spare part ordered"),
        otto.send(page, f"{page}/comment", text="<b>bearing</b> is hot"),
    ]

    assert [answer.status_code for answer in done] == [303, 303, 303]
    kept = [(one.at, one.action, one.actor, one.note) for one in events(plant, row.id)[-3:]]
    until = LATER + timedelta(hours=8)
    assert kept == [
        (LATER, "acknowledged", "otto", "seen"),
        (LATER, "shelved", "otto", f"until {until.isoformat()}: spare part ordered"),
        (LATER, "comment", "otto", "<b>bearing</b> is hot"),
    ]
    text = otto.get(page).text
    assert "&lt;b&gt;bearing" in text and "<b>bearing" not in text
    told = Table(text).rows
    assert told[-1][1:] == ["comment", "otto", "<b>bearing</b> is hot"]
    with open_views(plant) as store:
        assert store.users.audit()[0].target == f"alarm {row.id} of {row.asset_id}"


def test_a_verdict_is_kept_with_what_was_found_and_when(visitor, plant):
    otto, row = visitor("otto"), alarms(plant)[-1]
    page = f"/alarms/{row.id}"
    fields = {"found": "inner race worn", "code": "WO-7", "failed_at": "2023-09-30T10:00"}
    for name in ("bearing", "seal"):
        assert f'<option value="{name}">' in otto.get(page).text

    answer = otto.send(page, f"{page}/verdict", verdict="confirmed", mode="seal", **fields)
    assert answer.status_code == 303

    with open_views(plant) as store:
        (given,) = store.alarms.verdicts(of=[row.id])
    assert (given.verdict, given.found, given.code) == ("confirmed", "inner race worn", "WO-7")
    assert given.mode == "seal"
    assert given.failed_from is not None and given.failed_from.isoformat().startswith("2023-09-30")
    assert "inner race worn" in otto.get(page).text


def test_an_alarm_tells_its_threshold_and_what_a_confirmation_means(visitor, plant):
    row = alarms(plant)[0]
    text = visitor("otto").get(f"/alarms/{row.id}").text

    assert f"(threshold {row.threshold:.0%})".replace("%", " %") in text
    assert "Confirmed: it had failed, or was about to" in text


def test_an_alarm_tells_its_failure_mode_with_risks_and_the_next_step(visitor, plant):
    row = next(row for row in alarms(plant) if row.likeliest_mode == row.mode == "bearing")
    text = visitor("vera").get(f"/alarms/{row.id}").text

    assert f"<dt>Failure mode</dt><dd>{row.mode} <span" in text
    assert mode_risks_text(row.mode_risks).replace(" %", "\u00a0%") in text
    assert "<dt>Next step</dt><dd><b>Check lubrication; order 6310-2Z</b>" in text


@pytest.mark.parametrize("act", ["acknowledge", "shelve", "comment", "verdict"])
def test_a_viewer_changes_nothing(visitor, plant, act):
    vera, row = visitor("vera"), alarms(plant)[0]
    before = events(plant, row.id)
    page = f"/alarms/{row.id}"
    assert f"{page}/{act}" not in vera.get(page).text

    answer = vera.send(page, f"{page}/{act}", hours="8", text="x", verdict="unclear")

    assert answer.status_code == 403 and "It takes the role operator" in answer.text
    assert events(plant, row.id) == before


@pytest.mark.parametrize(
    ("act", "form", "status", "words"),
    [
        ("shelve", {"hours": "9999"}, 400, "hours takes one of 1, 8, 24, 168"),
        ("comment", {"text": " "}, 400, "a comment needs words"),
        ("comment", {"text": "x" * 2000}, 400, "a comment takes at most 1000 characters"),
        ("verdict", {"verdict": "maybe"}, 400, "a verdict is one of confirmed"),
        ("verdict", {"verdict": "confirmed", "mode": "x"}, 400, "one of bearing, seal or other"),
        ("verdict", {"verdict": "confirmed", "failed_at": "soon"}, 400, "failed_at takes a time"),
        ("verdict", {"verdict": "confirmed", "failed_at": "2099-01-01T00:00"}, 400, "has happened"),
    ],
)
def test_what_cannot_be_done_is_told_and_not_done(visitor, plant, act, form, status, words):
    otto, row = visitor("otto"), alarms(plant)[0]
    before = events(plant, row.id)

    answer = otto.send(f"/alarms/{row.id}", f"/alarms/{row.id}/{act}", **form)

    assert answer.status_code == status and words in answer.text
    assert events(plant, row.id) == before


@pytest.mark.parametrize("number", ["0", "99999999", "-1", str(10**30)])
def test_an_alarm_that_there_is_not_is_told(visitor, number):
    otto = visitor("otto")

    assert "there is no alarm" in otto.get(f"/alarms/{number}").text
    assert otto.send("/alarms", f"/alarms/{number}/acknowledge").status_code == 409


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("list=worst", "list takes one of open"),
        ("page=0", "page takes a number"),
        ("colour=red", "known are list, search, page"),
        ("search=%00", "printable"),
    ],
)
def test_an_address_that_asks_for_no_list_is_told_what_there_is(visitor, query, words):
    answer = visitor("vera").get(f"/alarms?{query}")

    assert answer.status_code == 400 and words in answer.text


def test_a_search_is_taken_literally(visitor):
    vera = visitor("vera")

    assert Table(vera.get("/alarms?search=PUMP").text).rows[1:]
    for nothing in ("%", "_", "' OR 1=1 --"):
        assert "No alarm here." in vera.get(f"/alarms?search={nothing}").text


def test_pages_that_only_show_say_so(plant):
    app = make_app(plant, resources(plant), now=lambda: LATER)
    with open_users(plant) as store:
        token = store.users.add_token(f"t{NOW}", role="operator", at=NOW, actor="root")
    program = Visitor(app, {"headers": {"authorization": f"Bearer {token}"}})

    answer = program.post(f"/alarms/{alarms(plant)[0].id}/comment", {"text": "hello"})

    assert answer.status_code == 409 and "these pages only show" in answer.text
