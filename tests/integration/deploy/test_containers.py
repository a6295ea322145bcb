"""Container files of deploy/docker: whatever they name exists, without an engine to run them."""

import importlib.util
import re
import shlex
from fnmatch import fnmatch
from pathlib import Path

import pytest
import typer
import yaml
from factories import make_plant

from pm_app.cli.app import app
from pm_app.daemon.health import Monitor
from pm_app.settings.plant import read_settings

ROOT = Path(__file__).parents[3]
DOCKER = ROOT / "deploy" / "docker"
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
OURS = ("daemon", "pages")
VARIABLE = re.compile(r"\$\{(\w+)(:[-?][^}]*)?\}")


def instructions() -> list[tuple[str, str]]:
    """Name and words of each instruction of the Dockerfile."""
    text = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, words) for name, _, words in (line.partition(" ") for line in lines)]


def stages() -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """Name of each stage to what it starts from and its instructions."""
    found: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    name = ""
    for instruction, words in instructions():
        if instruction == "FROM":
            base, _, name = words.partition(" AS ")
            found[name] = (base, [])
        elif name:
            found[name][1].append((instruction, words))
    return found


def history(name: str) -> list[tuple[str, str]]:
    """All instructions of a stage, with those of the stages that it starts from."""
    base, own = stages()[name]
    return [*(history(base) if base in stages() else []), *own]


def ignored(place: str) -> bool:
    """Whether the build never sees this path, by the rules of .dockerignore."""
    seen = False
    for line in (DOCKER / "Dockerfile.dockerignore").read_text(encoding="utf-8").split():
        rule = line.removeprefix("!")
        if fnmatch(place, rule) or place.startswith(f"{rule}/"):
            seen = line.startswith("!")
    return not seen


@pytest.mark.parametrize("stage", list(stages()))
def test_whatever_an_image_copies_exists_and_is_sent_to_the_build(stage):
    for name, words in stages()[stage][1]:
        if name != "COPY":
            continue
        *sources, _target = words.split()
        if sources[0].startswith("--from="):
            assert sources[0].removeprefix("--from=") in stages()
            continue
        for source in sources:
            assert (ROOT / source).exists() and not ignored(source), source
    for lock in re.findall(r"-r (\S+)", " ".join(words for _, words in stages()[stage][1])):
        assert (ROOT / lock).is_file()


def test_the_slim_image_holds_nothing_that_learns():
    installs = {stage: str(history(stage)) for stage in ("build-slim", "build-full")}

    assert "train.txt" in installs["build-full"] and "train.txt" not in installs["build-slim"]
    assert ("COPY", "--from=build-slim /opt/pm-app /opt/pm-app") in history("slim")
    assert ("COPY", "--from=build-full /opt/pm-app /opt/pm-app") in history("full")


@pytest.mark.parametrize("target", ["slim", "full"])
def test_an_image_runs_as_nobody_in_particular_and_says_how_it_is(target):
    found = history(target)
    users = [words for name, words in found if name == "USER"]

    assert users == ["10001:10001"]
    assert [name for name, _ in found if name == "HEALTHCHECK"] == ["HEALTHCHECK"]
    assert ("ENTRYPOINT", '["pm-app"]') in found and ("CMD", '["run"]') in found


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_may_write_to_its_plant_and_scratch_alone(name):
    service = COMPOSE["services"][name]

    assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert [v for v in service["volumes"] if not v.endswith(":ro")] == ["plant:/plant"]
    assert (DOCKER / service["build"]["context"]).resolve() == ROOT
    assert (ROOT / service["build"]["dockerfile"]).is_file()
    assert service["build"]["target"] in stages()


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_starts_a_command_that_exists(name):
    command = typer.main.get_command(app)
    word, *options = COMPOSE["services"][name]["command"]

    known_options = {option for each in command.commands[word].params for option in each.opts}
    assert {option for option in options if option.startswith("-")} <= known_options


def test_whatever_compose_names_is_declared_or_lies_there():
    text = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
    example = (DOCKER / "example.env").read_text(encoding="utf-8")
    used = {name for name, _ in VARIABLE.findall(text)}

    assert used == set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE))
    for service in COMPOSE["services"].values():
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
        assert set(service.get("depends_on", {})) <= set(COMPOSE["services"])
        for mount in service.get("volumes", []):
            source = mount.rpartition(":/")[0] if mount.startswith("${") else mount.split(":")[0]
            if source.startswith("."):
                assert (DOCKER / source).exists(), source
            elif not source.startswith("${"):
                assert source in COMPOSE["volumes"]


def test_variables_that_are_ours_are_read_by_the_program():
    program = "".join(path.read_text("utf-8") for path in (ROOT / "pm_app").rglob("*.py"))
    for name in COMPOSE["x-pm-app"]["environment"]:
        assert name in program
    roles = (DOCKER / "roles.sh").read_text(encoding="utf-8")
    given = COMPOSE["services"]["database"]["environment"]
    assert set(re.findall(r"\$(PM_APP_\w+)", roles)) <= set(given)


def test_grafana_and_prometheus_find_what_they_are_sent_to():
    provisioning = ROOT / "deploy" / "grafana" / "provisioning"
    source = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text("utf-8"))
    boards = yaml.safe_load((provisioning / "dashboards" / "pm-app.yml").read_text("utf-8"))
    mounts = " ".join(COMPOSE["services"]["grafana"]["volumes"])
    scrape = yaml.safe_load((DOCKER / "prometheus.yml").read_text(encoding="utf-8"))

    assert source["datasources"][0]["url"] == "http://prometheus:9090"
    assert boards["providers"][0]["options"]["path"] in mounts
    (job,) = scrape["scrape_configs"]
    host, _, port = job["static_configs"][0]["targets"][0].partition(":")
    assert host in COMPOSE["services"]
    assert any(each.endswith(f":{port}") for each in COMPOSE["services"][host]["ports"])
    token = job["authorization"]["credentials_file"].removeprefix("/run/secrets/")
    assert token in COMPOSE["services"]["prometheus"]["secrets"]


def test_the_shell_of_the_database_starts_the_script_that_is_mounted():
    words = shlex.split((DOCKER / "roles.sh").read_text("utf-8").splitlines()[-1])

    mounted = [each.split(":")[1] for each in COMPOSE["services"]["database"]["volumes"]]
    assert words[0] == "psql" and words[words.index("-f") + 1] in mounted


@pytest.fixture
def healthcheck():
    spec = importlib.util.spec_from_file_location("healthcheck", DOCKER / "healthcheck.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_daemon_is_healthy_while_its_work_gets_on(healthcheck, tmp_path, monkeypatch):
    config = make_plant(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = healthcheck.scorer_troubles()
    state = read_settings(config).state
    state.mkdir()
    monitor = Monitor(state)
    monitor.expect("score", lambda: 60.0)

    assert healthcheck.scorer_troubles() == []
    monitor.stop()
    assert "no daemon has run" in before[0] and "was stopped" in healthcheck.scorer_troubles()[0]


def test_pages_are_unhealthy_where_nobody_answers(healthcheck, monkeypatch):
    monkeypatch.setattr(healthcheck, "PAGES", "http://127.0.0.1:1/sign-in")

    assert "refused" in healthcheck.pages_troubles()[0]
