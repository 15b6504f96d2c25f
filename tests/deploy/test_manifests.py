"""Files for Docker, Kubernetes, systemd and Prometheus name what exists: settings, commands."""

import json
import re
from pathlib import Path

import pytest
import yaml

from deploy.cli import PROGRAMS
from deploy.watchdog import SILENT_S

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
FILES = [
    path
    for folder in ("systemd", "helm", "monitoring")
    for path in sorted((DEPLOY / folder).rglob("*"))
    if path.is_file()
]
FILES += [DEPLOY / "compose.yaml", DEPLOY / "Dockerfile"]
# Of the containers alone: what `docker compose` asks of the environment.
OF_COMPOSE = {
    "PARKTWIN_PARK_DIR", "PARKTWIN_MQTT_PORT", "PARKTWIN_DB_ADMIN_PASSWORD", "PARKTWIN_DB_PASSWORD",
    "PARKTWIN_DB_READER_PASSWORD", "PARKTWIN_DB_ACCESS_PASSWORD", "PARKTWIN_MQTT_INGEST_PASSWORD",
    "PARKTWIN_MQTT_SIMULATORS_PASSWORD",
}  # fmt: skip


def text_of(path):
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_setting_that_a_file_names_exists(path):
    known = set(re.findall(r"PARKTWIN_[A-Z0-9_]+", text_of(ROOT / "docs" / "settings.md")))
    named = set(re.findall(r"PARKTWIN_[A-Z0-9_]*[A-Z0-9]\b", text_of(path)))
    assert named - known - OF_COMPOSE == set()
    assert path.name == "compose.yaml" or not named & OF_COMPOSE


def test_units_start_commands_that_exist():
    commands = {
        line.removeprefix("ExecStart=/usr/local/bin/parktwin ")
        for path in (DEPLOY / "systemd").glob("*.service")
        for line in text_of(path).splitlines()
        if line.startswith("ExecStart=")
    }
    assert len(commands) == 5
    assert {command.split()[0] for command in commands} <= {"up", *PROGRAMS}
    for timer in (DEPLOY / "systemd").glob("*.timer"):
        assert timer.with_suffix(".service").exists()


def test_who_watches_waits_as_long_everywhere():
    for name in ("ingest", "api"):
        unit = text_of(DEPLOY / "systemd" / f"parktwin-{name}.service")
        assert f"\nWatchdogSec={SILENT_S:.0f}\n" in unit


def test_each_service_of_compose_is_checked_and_bounded():
    compose = yaml.safe_load(text_of(DEPLOY / "compose.yaml"))
    for name, service in compose["services"].items():
        limits = service["deploy"]["resources"]["limits"]
        assert {"cpus", "memory", "pids"} == limits.keys(), name
        assert service["logging"]["options"]["max-size"] == "10m"
        assert service["read_only"] is True
        assert "healthcheck" in service or name == "simulators"
        assert service.get("command", [""])[0] in {"postgres", "", *PROGRAMS}
    ingest = compose["services"]["ingest"]
    assert ingest["healthcheck"]["test"][-1] == ingest["environment"]["PARKTWIN_ALIVE_FILE"]
    assert ingest["environment"]["PARKTWIN_LOG"] == "json"


def test_the_chart_has_the_version_of_the_package():
    package = re.search(r'(?m)^version = "(.+)"$', text_of(ROOT / "pyproject.toml"))
    chart = yaml.safe_load(text_of(DEPLOY / "helm/parktwin/Chart.yaml"))
    assert (chart["version"], chart["appVersion"]) == (package[1], package[1])


def test_prometheus_asks_the_job_that_the_alerts_know():
    config = yaml.safe_load(text_of(DEPLOY / "monitoring" / "prometheus.yml"))
    (job,) = config["scrape_configs"]
    assert f'up{{job="{job["job_name"]}"}}' in text_of(DEPLOY / "monitoring" / "alerts.yml")
    assert (DEPLOY / "monitoring" / config["rule_files"][0]).exists()
    assert job["metrics_path"] == "/metrics"


def test_the_dashboard_is_whole_and_says_each_title_in_both_languages():
    board = json.loads(text_of(DEPLOY / "monitoring" / "dashboard.json"))
    assert (board["schemaVersion"], len(board["uid"]) <= 40) == (39, True)
    (source,) = board["templating"]["list"]
    uid = f"${{{source['name']}}}"
    for number, panel in enumerate(board["panels"], 1):
        assert panel["id"] == number
        assert panel["datasource"] == {"type": source["query"], "uid": uid}
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])
        assert re.search(r"[一-鿿].* / [A-Z]", panel["title"])
        at = panel["gridPos"]
        assert 0 <= at["x"] < at["x"] + at["w"] <= 24
    corners = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]}
    assert len(corners) == len(board["panels"])


def test_each_alert_has_its_row_in_the_runbook():
    groups = yaml.safe_load(text_of(DEPLOY / "monitoring" / "alerts.yml"))["groups"]
    alerts = [rule["alert"] for group in groups for rule in group["rules"]]
    rows = re.findall(r"(?m)^\| `(\w+)` \| .+ \| .+ \|$", text_of(ROOT / "docs" / "runbook.md"))
    assert rows == alerts
    tested = text_of(Path(__file__).parent / "alerts_test.yml")
    assert [name for name in alerts if not re.search(rf"alertname: {name}\n +exp_", tested)] == []
