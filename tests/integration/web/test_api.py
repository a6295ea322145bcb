"""The API: the plant's tables for programs, and what programs may do."""

import re
import shlex
import shutil
from datetime import timedelta
from html import unescape
from pathlib import Path

import pytest
import schemathesis
from browsing import Visitor, resources
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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from normals import promote_handmade_normal
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from pm_app.jobs.score.run import score
from pm_app.settings.plant import parse_settings, read_settings
from pm_app.store import FleetQuery
from pm_app.web.api.document import TABLES
from pm_app.web.app import make_app
from pm_app.wiring import open_users, open_views

LATER = NOW + timedelta(hours=1)
ROLES = ("viewer", "operator", "engineer")
ODD = "line/3 §\"pump'"


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """A plant with predictions, alarms, a quarantined file and two versions; one odd name."""
    folder = tmp_path_factory.mktemp("served")
    table = readings_table()
    names = [ODD if name == "pump-01" else name for name in table["asset_id"].to_pylist()]
    table = table.set_column(table.schema.get_field_index("asset_id"), "asset_id", [names])
    config = make_plant(folder, {"a.parquet": table}, toml=ALARMING_TOML + MODES_TOML)
    (config.parent / "readings" / "torn.parquet").write_bytes(b"PAR1 and no more")
    with opened(config) as plant:
        promote_handmade(plant)
        promote_handmade(plant, card=make_card_with_modes(make_spec(plant.settings)))
        for at in (NOW, NOW + timedelta(minutes=5)):
            score(plant, now=at)
    return folder


@pytest.fixture
def plant(grown, tmp_path):
    """A copy for each test: programs change what they are let."""
    return read_settings(shutil.copytree(grown, tmp_path / "served") / "plant.toml")


@pytest.fixture
def tokens(plant):
    with open_users(plant) as store:
        return {
            role: store.users.add_token(role, role=role, at=NOW, actor="root") for role in ROLES
        }


@pytest.fixture
def app(plant):
    return make_app(plant, resources(plant, change=True), now=lambda: LATER)


@pytest.fixture
def program(app, tokens):
    """A factory of programs that show a token of a role."""
    return lambda role: Visitor(app, {"headers": {"authorization": f"Bearer {tokens[role]}"}})


def get(program, address):
    answer = program.get(f"/api/v1{address}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def do(program, address, body=None):
    return program._ask(f"/api/v1{address}", method="POST", json=body or {})


def test_pages_of_predictions_are_the_table(program, plant):
    viewer, told, cursor = program("viewer"), [], ""
    while rows := (page := get(viewer, f"/predictions?limit=40{cursor}"))["predictions"]:
        told += rows
        cursor = f"&cursor={page['next_cursor']}"
    with open_views(plant) as store:
        kept = [row for table in store.tables.predictions() for row in table.to_pylist()]

    assert len(told) == len(kept) > 40
    by_key = {(row["asset_id"], row["cutoff"], row["horizon_hours"]): row["risk"] for row in told}
    assert by_key == {
        (row["asset_id"], row["cutoff"].isoformat().replace("+00:00", "Z"), row["horizon_hours"]): (
            row["risk"]
        )
        for row in kept
    }
    # The cursor of the end waits for what is said next.
    assert f"&cursor={page['next_cursor']}" == cursor


def test_an_asset_is_found_by_whatever_name_it_has(program, plant):
    with open_views(plant) as store:
        rows = {row.asset_id: row for row in store.fleet.rows(FleetQuery())}
    viewer = program("viewer")

    assert {row["asset_id"] for row in get(viewer, "/assets")["assets"]} == set(rows)
    (told,) = get(viewer, "/assets?search=LINE/3")["assets"]
    assert told["asset_id"] == ODD and told["risk"] == rows[ODD].risk
    odd = "line%2F3%20%C2%A7%22pump%27"
    assert get(viewer, f"/assets/{odd}")["risk"] == rows[ODD].risk
    answer = viewer.get("/api/v1/assets/nowhere")
    assert (answer.status_code, answer.json()) == (
        404,
        {"error": "nothing is said of an asset 'nowhere'"},
    )


def test_sensors_and_modes_come_as_data_beside_their_texts(program):
    viewer = program("viewer")
    rows = get(viewer, "/predictions?limit=1000")["predictions"]
    named = [row for row in rows if row["top_sensors"]]

    assert named
    for row in named:
        text = ", ".join(f"{s['sensor']} {round(100 * s['share'])} %" for s in row["sensors"])
        assert text == row["top_sensors"]
    with_modes = [row for row in rows if row["mode"]]
    assert with_modes
    for row in with_modes:
        assert sum(row["risks_by_mode"].values()) == pytest.approx(row["risk"], abs=1e-4)
        assert set(row["sensors_by_mode"]) <= set(row["risks_by_mode"])
    (fleet, *_) = get(viewer, "/assets")["assets"]
    assert get(viewer, f"/assets/{fleet['asset_id']}")["sensors"] == fleet["sensors"]


def _worn(mode):
    return {"verdict": "confirmed", "found": "worn", "mode": mode}


def test_an_operators_program_acts_on_alarms_and_signs_for_it(program):
    operator = program("operator")
    rows = get(operator, "/alarms?state=unacknowledged")["alarms"]
    row = next(row for row in rows if row["state"] == "unacknowledged")
    number, step = row["id"], "Check lubrication; order 6310-2Z"
    until = (LATER + timedelta(hours=2)).isoformat()

    done = [
        do(operator, f"/alarms/{number}/acknowledge", {"note": "seen"}),
        do(operator, f"/alarms/{number}/shelve", {"until": until, "note": "parts"}),
        do(operator, f"/alarms/{number}/comment", {"text": "hot"}),
        do(operator, f"/alarms/{number}/verdict", _worn("bearing")),
        do(operator, f"/alarms/{number}/verdict", _worn("baering")),
    ]

    assert [answer.status_code for answer in done] == [200] * 4 + [400]
    assert "one of bearing, seal or other" in done[-1].json()["error"]
    assert done[1].json()["state"] == "shelved"
    story = get(operator, f"/alarms/{number}")
    assert [(event["action"], event["actor"]) for event in story["events"][-4:]] == [
        (action, "operator (token)") for action in ("acknowledged", "shelved", "comment", "verdict")
    ]
    assert (story["verdict"]["found"], story["verdict"]["mode"]) == ("worn", "bearing")
    assert story["action"] == (step if row["likeliest_mode"] == "bearing" else "")
    for path in ("/alarms", "/assets"):
        assert get(operator, path)["actions"] == {"bearing": step, "seal": ""}
    assert do(operator, f"/alarms/{number}/acknowledge").status_code == 409


def test_an_engineers_program_moves_the_champion(program, plant):
    engineer = program("engineer")
    before = get(engineer, "/models")
    assert [row["version"] for row in before["versions"]] == [2, 1]

    assert do(engineer, "/models/rollback", {"reason": "cried wolf"}).json() == {"champion": 1}
    assert do(engineer, "/models/2/promote", {"reason": "no"}).json() == {"champion": 2}

    assert (before["normal"], before["normal_promotions"]) == (None, [])
    assert get(engineer, "/retrainings?kind=normal") == []
    moves = get(engineer, "/models")["promotions"][-2:]
    assert [(move["kind"], move["reason"]) for move in moves] == [
        ("rollback", "cried wolf"),
        ("promote", "no"),
    ]
    with open_views(plant) as store:
        newest = store.users.audit()[0]
    assert (newest.actor, newest.action) == ("engineer (token)", "promote")
    assert do(engineer, "/models/2/reject", {"reason": "x"}).status_code == 409
    assert do(engineer, "/models/77/promote", {"reason": "x"}).status_code == 409
    assert get(engineer, "/models/2")["version"]["version"] == 2


def test_an_engineers_program_moves_what_is_normal_apart_from_the_champion(program, plant):
    with opened(plant.folder / "plant.toml") as live:
        numbers = [promote_handmade_normal(live) for _ in range(2)]
    engineer = program("engineer")
    back = {"reason": "a pump was swapped", "kind": "normal"}

    assert do(engineer, "/models/rollback", back).json() == {"champion": numbers[0]}
    found = get(engineer, "/models")
    assert (found["champion"], found["normal"], found["normal_waiting"]) == (2, numbers[0], None)
    assert [move["kind"] for move in found["normal_promotions"]] == [
        *("promote", "promote"),
        "rollback",
    ]
    answer = do(engineer, f"/models/{numbers[1]}/promote", {"reason": "it was not"})
    assert answer.json() == {"champion": numbers[1]}
    assert get(engineer, f"/models/{numbers[1]}")["version"]["kind"] == "normal"
    assert len(get(engineer, "/retrainings?kind=normal")) == 2
    assert f"pm_app_normal_version {float(numbers[1])}" in engineer.get("/metrics").text


@pytest.mark.parametrize(
    ("role", "address", "status"),
    [
        ("viewer", "/alarms/1/acknowledge", 403),
        ("viewer", "/models/rollback", 403),
        ("operator", "/models/rollback", 403),
        ("operator", "/models/1/promote", 403),
        ("operator", "/models/1/reject", 403),
    ],
)
def test_a_role_does_what_it_may_and_no_more(program, role, address, status):
    answer = do(program(role), address, {"reason": "x"} if "models" in address else {})

    assert answer.status_code == status
    assert answer.json()["error"].startswith("It takes the role")


def test_batches_tell_what_became_of_files(program):
    viewer = program("viewer")
    (torn,) = get(viewer, "/batches?status=quarantined")["batches"]
    first = get(viewer, "/batches?limit=1")
    rest = get(viewer, f"/batches?before={first['before']}")

    assert torn["name"] == "torn.parquet" and torn["reason"]
    assert {row["name"] for row in first["batches"] + rest["batches"]} == {
        "torn.parquet",
        "a.parquet",
    }
    assert rest["before"] is None


def test_health_and_figures_say_what_the_store_says(program, plant):
    viewer = program("viewer")
    health = get(viewer, "/health")
    figures = viewer.get("/metrics").text
    with open_views(plant) as store:
        balance, open_alarms = store.ledger.balance(), store.alarms.open_kinds()["risk"]

    assert health["fine"] is False and "no daemon has run here" in health["troubles"][0]
    assert health["balance"]["rows_used"] == balance.rows_used > 0
    assert health["backlog"]["quarantined"] == 1
    assert health["freshness"][0]["overdue"] and health["freshness"][0]["age_seconds"] > 86_400
    for line in (
        "pm_app_up 0.0",
        f'pm_app_rows_total{{fate="used"}} {float(balance.rows_used)}',
        'pm_app_rows_total{fate="rejected"} 0.0',
        'pm_app_backlog_files{what="quarantined"} 1.0',
        'pm_app_backlog_files{what="unread readings"} 0.0',
        'pm_app_feed_overdue{feed="readings"} 1.0',
        f'pm_app_alarms_by_kind{{kind="risk"}} {float(open_alarms)}',
        'pm_app_assets_by_status{status="scored"} 3.0',
        "pm_app_normal_version 0.0",
    ):
        assert line in figures.splitlines()


def test_figures_tell_when_each_job_last_ended_well(program, plant):
    from pm_app.daemon.health import Monitor

    monitor = Monitor(plant.state)
    monitor.expect("score", lambda: 60.0)
    monitor.began("score")
    monitor.ended("score", "all well", failed=False)

    figures = program("viewer").get("/metrics").text

    assert 'pm_app_job_last_success_timestamp_seconds{job="score"}' in figures
    assert 'pm_app_job_failures_in_a_row{job="score"} 0.0' in figures
    monitor.stop()


@pytest.mark.parametrize("address", ["/api/v1/assets", "/api/v1/openapi.json", "/metrics"])
def test_without_a_token_nothing_is_told(app, plant, tokens, address):
    with open_users(plant) as store:
        if not store.users.any_enabled():
            store.users.add("ann", "a long password", role="viewer", at=NOW, actor="root")
    answer = Visitor(app).get(address)

    assert answer.status_code in (401, 303)
    assert "pump" not in answer.text


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("/predictions?cursor=x", "next_cursor of an answer"),
        ("/predictions?since=yesterday", "since"),
        ("/predictions?since=2026-01-01T00:00", "timezone"),
        ("/predictions?since=0001-01-01T00:00Z", "between 1970"),
        ("/predictions?limit=0", "limit"),
        ("/predictions?asset=%00", "can be kept"),
        ("/assets?order=risk;DROP", "order"),
        ("/alarms?state=worst", "state"),
    ],
)
def test_a_value_that_will_not_do_is_named(program, address, told):
    answer = program("viewer").get(f"/api/v1{address}")

    assert answer.status_code == 422
    assert told in answer.text


def test_a_cookie_alone_changes_nothing_through_the_api(app, plant):
    with open_users(plant) as store:
        if store.users.user("otto") is None:
            store.users.add("otto", "a long password", role="operator", at=NOW, actor="root")
    browser = Visitor(app)
    browser.sign_in("otto", "a long password")
    number = get(browser, "/alarms?state=all")["alarms"][0]["id"]
    secret = browser.secret("/alarms")

    address, body = f"/api/v1/alarms/{number}/comment", {"text": "hi"}
    bare = browser._ask(address, method="POST", json=body)
    with_secret = browser._ask(address, method="POST", json=body, headers={"x-csrf-token": secret})

    assert (bare.status_code, with_secret.status_code) == (403, 200)


def test_the_document_names_every_address_of_the_api_and_no_page(program):
    document = get(program("viewer"), "/openapi.json")

    assert set(document["paths"]) >= {
        "/api/v1/predictions",
        "/api/v1/assets/{asset_id}",
        "/api/v1/alarms/{number}/verdict",
        "/api/v1/models/rollback",
        "/api/v1/batches",
        "/api/v1/health",
    }
    assert not [path for path in document["paths"] if not path.startswith("/api/v1/")]


def test_the_document_says_how_every_operation_lets_one_in(program):
    document = get(program("viewer"), "/openapi.json")
    schemes = document["components"]["securitySchemes"]

    assert {(each["type"], each.get("scheme", each.get("in"))) for each in schemes.values()} == {
        ("http", "bearer"),
        ("apiKey", "cookie"),
    }
    for methods in document["paths"].values():
        for operation in methods.values():
            # Either will do.
            assert operation["security"] == [{name: []} for name in schemes]


def test_the_document_says_what_every_operation_takes_and_every_row_means(program):
    document = get(program("viewer"), "/openapi.json")
    schemas = document["components"]["schemas"]

    for methods in document["paths"].values():
        for operation in methods.values():
            assert operation["summary"] and operation["description"] and operation["tags"]
            for parameter in operation.get("parameters", ()):
                assert parameter["description"], parameter
                assert parameter["in"] == "query" or "example" in parameter, parameter
    bodies = [name for name in schemas if name.endswith("Body")]
    for name in (*TABLES, *bodies, "Comment", "Shelving"):
        for field, found in schemas[name]["properties"].items():
            assert found.get("description"), (name, field)
    assert schemas["ApiAsset"]["properties"]["rul_low_hours"]["description"] == (
        "lower end of its 90 % interval"
    )


def test_every_example_of_the_page_of_the_api_is_answered(program):
    """As it stands, but for names and numbers that there are none of."""
    engineer = program("engineer")
    page = engineer.get("/api").text
    found = re.findall(r'<pre tabindex="0"><code>curl (.*?)</code></pre>', page)
    answers = []
    for words in map(shlex.split, map(unescape, found)):
        path = words[-1].removeprefix("http://127.0.0.1")
        sent = words[words.index("-d") + 1] if "-d" in words else None
        method = "POST" if sent or "POST" in words else "GET"
        headers = {"content-type": "application/json"} if sent else {}
        headers["authorization"] = engineer.more["headers"]["authorization"]
        answer = engineer._ask(path, method=method, content=sent, headers=headers)
        answers.append(answer.status_code)

    paths = get(program("viewer"), "/openapi.json")["paths"]
    assert len(answers) == 1 + sum(map(len, paths.values()))
    # 404 and 409: there is no such asset, alarm or version here.
    assert set(answers) <= {200, 404, 409}, list(zip(found, answers, strict=True))


def test_the_page_of_the_api_names_what_the_document_does_and_loads_nothing(program):
    viewer = program("viewer")
    document, page = get(viewer, "/openapi.json"), viewer.get("/api")

    assert page.status_code == 200
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert f'id="{method.upper()}-{path}"' in page.text
            assert all(
                f"<code>{p['name']}</code>" in page.text for p in operation.get("parameters", ())
            )
    for record in ("ApiAsset", "AssetPage", "VerdictBody"):
        assert f'href="#{record}"' in page.text and f'id="{record}"' in page.text
    assert "<script" not in page.text.partition("<main")[2]
    assert 'href="/api"' in viewer.get("/help").text


def operations():
    """Every operation of the document, which is the same for all plants."""
    nowhere = parse_settings({}, folder=Path("nowhere"), origin="plant.toml")
    app = make_app(nowhere, resources(nowhere), now=lambda: LATER)
    document = schemathesis.openapi.from_dict(app.openapi())
    return [found.ok() for found in document.get_all_operations()]


@pytest.mark.parametrize("operation", operations(), ids=lambda operation: operation.label)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_is_asked_is_answered_as_documented(operation, app, tokens, data):
    case = data.draw(operation.as_strategy())
    headers = {"authorization": f"Bearer {tokens['engineer']}"}

    # A schema cannot say that a time has to come or that a cursor is one of ours. What is told
    # without a token is asked above: that check knows servers alone.
    excluded = [positive_data_acceptance, ignored_auth]
    case.call_and_validate(app=app, headers=headers, excluded_checks=excluded)
