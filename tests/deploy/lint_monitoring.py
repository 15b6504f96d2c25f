"""Metrics, rules and their tests, by Prometheus' own promtool."""

import json
from pathlib import Path

from tests.support.promtool import promtool
from tests.support.small_park import NOW, S, add_samples, add_tags, health_tag, serving

pytest_plugins = ["tests.support.small_park"]
FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "monitoring"
COUNTERS = ("broker_dropped", "notify.dropped", "log_suppressed", "bytes", "clock_set_back")
GAUGES = ("cycle_duration", "broker_bytes", "broker_queue", "disk_used", "spool")


async def lint_metrics(database, ids, db):
    tags = [health_tag(name, "counter") for name in COUNTERS]
    tags += [health_tag(name, "gauge") for name in GAUGES]
    for tag_id in (await add_tags(db, tags)).values():
        await add_samples(db, tag_id, [NOW - 5 * S], [0.5])
    async with serving(database) as (api, _):
        text = (await api.get("/metrics")).text
    assert text.count("# HELP") > 30
    assert promtool("check", "metrics", given=text) == (0, "")


def lint_rules():
    status, words = promtool("check", "rules", FOLDER / "alerts.yml")
    assert status == 0, words
    assert "SUCCESS" in words
    status, words = promtool("check", "config", "--syntax-only", FOLDER / "prometheus.yml")
    assert status == 0, words


def lint_queries_of_the_dashboard(tmp_path):
    board = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    rules = [{"record": f"query:{at}", "expr": query} for at, query in enumerate(queries)]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    status, words = promtool("check", "rules", file)
    assert status == 0, words
    assert f"{len(queries)} rules found" in words


def lint_each_alert_comes_and_goes():
    status, words = promtool("test", "rules", Path(__file__).parent / "alerts_test.yml")
    assert status == 0, words
