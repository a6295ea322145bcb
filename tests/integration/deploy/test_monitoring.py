"""Alert rules and dashboard of deploy/, on the figures of a plant and in a real Prometheus."""

import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from browsing import ask, open_to_all, resources
from factories import ALARMING_TOML, NOW, drop, make_plant, opened, promote_handmade, readings_table

from pm_app import __version__
from pm_app.daemon.health import Monitor
from pm_app.jobs.score.run import score
from pm_app.settings.plant import read_settings
from pm_app.state.sensor_quality import SensorCounts, SensorReport, write_quality
from pm_app.web.app import make_app
from pm_app.wiring import open_users

DEPLOY = Path(__file__).parents[3] / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yml"
DASHBOARD = json.loads((DEPLOY / "grafana" / "pm-app.json").read_text(encoding="utf-8"))
TARGETS = [target for panel in DASHBOARD["panels"] for target in panel["targets"]]
PATIENCE_SECONDS = 60.0


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A plant of which every figure can be told: files, alarms, jobs, a usual age of readings."""
    folder = tmp_path_factory.mktemp("watched")
    config = make_plant(folder, toml=ALARMING_TOML)
    (folder / "readings" / "torn.parquet").write_bytes(b"PAR1 and no more")
    with opened(config) as plant:
        promote_handmade(plant)
        for day in range(5):
            drop(config, f"{day}.parquet", readings_table(first_hour=24 * day, hours=24, seed=day))
            for minutes in (0, 5):
                score(plant, now=NOW + timedelta(days=day, minutes=minutes))
        monitor = Monitor(plant.settings.state)
    monitor.expect("score", lambda: 60.0)
    monitor.began("score")
    monitor.ended("score", "all well", failed=False)
    report = SensorReport(assets={"pump-00": SensorCounts(3, 2, bad=1)})
    write_quality(read_settings(config).state, report)
    return config


def answered(config: Path) -> set[str]:
    """The names of all figures that /metrics tells of a plant."""
    settings = open_to_all(read_settings(config))
    app = make_app(settings, resources(settings), now=lambda: datetime.now(UTC))
    text = ask(app, "/metrics").text
    return {line.partition("{")[0].partition(" ")[0] for line in text.splitlines()}


def test_rules_dashboard_and_documents_name_figures_that_there_are(watched):
    named = {}
    for path in (*DEPLOY.rglob("*.yml"), *DEPLOY.rglob("*.json"), DEPLOY.parent / "pm_app/docs"):
        for file in path.rglob("operate.md") if path.is_dir() else [path]:
            found = re.findall(r"\bpm_app_[a-z_]+[a-z](?![a-z_./*])", file.read_text("utf-8"))
            named[file.name] = set(found)
    there = answered(watched)

    assert named["alerts.yml"] and named["pm-app.json"] and named["operate.md"]
    missing = {name: found - there for name, found in named.items() if found - there}
    assert missing == {}


def test_the_figures_name_the_program_that_answers(watched):
    settings = open_to_all(read_settings(watched))
    app = make_app(settings, resources(settings), now=lambda: NOW)

    figures = ask(app, "/metrics").text

    assert f'version="{__version__}"' in figures
    assert re.search(r"^pm_app_build_info\{.*\} 1\.0$", figures, re.MULTILINE)


def test_panels_of_the_dashboard_stand_beside_each_other():
    places = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for grid in [panel["gridPos"]]
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]

    assert len(places) == len(set(places)) and max(x for x, _ in places) < 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} == {"${datasource}"}


def promtool(*words: str) -> str:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("needs promtool: apt-get install prometheus")
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.server
def test_promtool_finds_the_rules_right_and_they_wait_as_they_should():
    print(promtool("check", "rules", str(RULES)))
    print(promtool("test", "rules", str(RULES.with_name("alerts_test.yml"))))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as door:
        return int(door.getsockname()[1])


def wait_for(find, what: str):
    """What `find` gives, asked until it gives something."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            if found := find():
                return found
        except urllib.error.URLError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"nothing came of {what} within {PATIENCE_SECONDS:.0f} s")


@pytest.fixture(scope="module")
def prometheus(watched, tmp_path_factory):
    """A Prometheus that scrapes the plant's own pages by the shipped configuration; asks it."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("needs prometheus: apt-get install prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    pages, port = f"127.0.0.1:{free_port()}", free_port()
    with open_users(read_settings(watched)) as store:
        token = store.users.add_token("prometheus", role="viewer", at=NOW, actor="root")
    (folder / "pm-app.token").write_text(token)
    text = (RULES.with_name("prometheus.yml")).read_text(encoding="utf-8")
    text = text.replace("127.0.0.1:8080", pages).replace(": 30s", ": 1s")
    (folder / "prometheus.yml").write_text(text)
    shutil.copy(RULES, folder)
    promtool("check", "config", str(folder / "prometheus.yml"))
    serve = [sys.executable, "-m", "pm_app", "serve", "-c", str(watched), "--listen", pages]
    scrape = [program, f"--config.file={folder}/prometheus.yml"]
    scrape += [f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}"]

    def get(address: str, **query: str):
        words = urllib.parse.urlencode(query)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{address}?{words}") as answer:
            return json.load(answer)["data"]

    with (
        open(folder / "log", "wb") as log,
        subprocess.Popen(serve, stdout=log, stderr=log) as first,
        subprocess.Popen(scrape, stdout=log, stderr=log) as second,
    ):
        try:
            wait_for(lambda: get("query", query="pm_app_up")["result"], "a first scrape")
            yield get
        finally:
            first.terminate()
            second.terminate()


def filled(expression: str) -> str:
    """A query as Grafana would send it, for all plants."""
    return expression.replace("$plant", ".*").replace("$__rate_interval", "1m")


@pytest.mark.server
@pytest.mark.parametrize("expression", [target["expr"] for target in TARGETS])
def test_each_query_of_the_dashboard_is_answered_with_figures(prometheus, expression):
    query = filled(expression)

    found = wait_for(lambda: prometheus("query", query=query)["result"], query)

    assert all(float(row["value"][1]) == float(row["value"][1]) for row in found), "no number"
    # Each legend names labels that the answer has.
    (legend,) = {t["legendFormat"] for t in TARGETS if t["expr"] == expression}
    for label in re.findall(r"\{\{(\w+)\}\}", legend):
        assert all(row["metric"].get(label) for row in found), (query, label)


@pytest.mark.server
def test_prometheus_runs_every_rule_and_finds_what_is_wrong_with_this_plant(prometheus):
    def rules():
        (group,) = prometheus("rules")["groups"]
        return group["rules"] if all(r["health"] == "ok" for r in group["rules"]) else None

    found = {rule["name"]: rule["state"] for rule in wait_for(rules, "the rules")}

    assert len(found) == len(re.findall(r"- alert:", RULES.read_text("utf-8")))
    # A torn file, readings of long ago, no daemon; all answers were asked for once by then.
    expected = {"PmAppFilesQuarantined", "PmAppFeedOverdue", "PmAppNeedsAPerson"}

    def waiting():
        names = {a["labels"]["alertname"] for a in prometheus("alerts")["alerts"]}
        return names if names >= expected and "PmAppDoesNotAnswer" not in names else None

    wait_for(waiting, f"{expected} without PmAppDoesNotAnswer")
