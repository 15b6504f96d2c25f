"""Dashboards for Grafana: whole by its schema, their queries run as the role that reads."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import numpy as np
import pytest

from deploy import access
from deploy.database.migrations import VIEWED
from deploy.service import HOST
from tests.support.small_park import add_minutes, add_tags

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "grafana"
BOARDS = sorted((FOLDER / "dashboards").glob("*.json"))
PANELS = {"timeseries", "table", "stat"}
# Of each board: what its schema demands of a provisioned file (schema version 39).
DEMANDED = {"uid", "title", "schemaVersion", "time", "templating", "panels", "tags", "timezone"}
OF_PANELS = {"id", "type", "title", "gridPos", "datasource", "targets", "fieldConfig", "options"}
OF_TARGETS = {"refId", "datasource", "rawSql", "rawQuery", "format", "editorMode"}
WIDTH = 24
SOURCE = {"uid": "parktwin", "type": "grafana-postgresql-datasource"}
MINUTE, HOUR = 60_000_000, 3_600_000_000
REFUSED = asyncpg.InsufficientPrivilegeError, asyncpg.ReadOnlySQLTransactionError
VALUES = {"enterprise": "'acme'", "tag": "'FT-1', 'JQ-1'", "scope": "'acmepark/acme'",
          "priority": "'high', 'critical'"}  # fmt: skip


def boards():
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in BOARDS}


def targets(board):
    return [(panel, target) for panel in board["panels"] for target in panel["targets"]]


@pytest.mark.parametrize("board", boards().values(), ids=boards())
def test_a_board_has_what_its_schema_demands(board):
    assert board.keys() >= DEMANDED
    assert (board["schemaVersion"], len(board["uid"]) <= 40) == (39, True)
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    cells = set()
    for panel in board["panels"]:
        assert panel.keys() >= OF_PANELS, panel["title"]
        assert panel["type"] in PANELS
        assert panel["fieldConfig"].keys() == {"defaults", "overrides"}
        x, y, w, h = (panel["gridPos"][key] for key in "xywh")
        assert 0 <= x < x + w <= WIDTH
        area = {(column, line) for column in range(x, x + w) for line in range(y, y + h)}
        assert not area & cells, f"{panel['title']} covers another one"
        cells |= area
        for target in panel["targets"]:
            assert target.keys() >= OF_TARGETS
            assert target["format"] == ("time_series" if panel["type"] == "timeseries" else "table")
    # Chinese and English, for each thing that a person reads.
    titles = [board["title"], *(panel["title"] for panel in board["panels"])]
    assert all(re.search(r"[一-鿿].* / ?[A-Z]", title) for title in titles)


@pytest.mark.parametrize("board", boards().values(), ids=boards())
def test_a_board_asks_the_source_that_is_provisioned_with_variables_that_it_has(board):
    source = (FOLDER / "provisioning/datasources/parktwin.yaml").read_text(encoding="utf-8")
    uid, kind = (f"    {key}: {value}\n" in source and value for key, value in SOURCE.items())
    variables = {each["name"]: each for each in board["templating"]["list"]}
    asking = [*board["panels"], *(target for _, target in targets(board)), *variables.values()]
    assert {(each["datasource"]["uid"], each["datasource"]["type"]) for each in asking} == {
        (uid, kind)
    }
    texts = [target["rawSql"] for _, target in targets(board)]
    used = {name for text in texts for name in re.findall(r"\$\{(\w+):sqlstring\}", text)}
    assert used == set(variables)
    assert not re.search(r"\$(?!__|\{\w+:sqlstring\})", " ".join(texts))


def as_sent(text, start, stop):
    """Return a query as Grafana sends it: macros and variables are replaced."""
    text = re.sub(r"\$\{(\w+):sqlstring\}", lambda match: VALUES[match[1]], text)
    text = text.replace("$__interval", "'300s'")
    text = re.sub(
        r"\$__timeGroupAlias\(([\w.]+), '?(\w+)'?(?:, 0)?\)",
        r"""time_bucket('\2', \1) AS "time" """,
        text,
    )
    span = f"BETWEEN '{start.isoformat()}' AND '{stop.isoformat()}'"
    return re.sub(r"\$__timeFilter\(([\w.]+)\)", rf"\1 {span}", text)


@pytest.fixture
async def viewer(services, database):
    """A connection as the role of the dashboards."""
    password = access.password_of(services.data, access.VIEWER)
    port = services.postgres.port
    connection = await asyncpg.connect(f"postgresql://park_viewer:{password}@{HOST}:{port}/test")
    yield connection
    await connection.close()


async def test_every_query_runs_as_the_role_that_reads(viewer, db, park):
    now = datetime.now(UTC)
    begin_us = int((now - timedelta(hours=1)).timestamp()) * 1_000_000 // MINUTE * MINUTE
    tags = [tag for tag in park.tags if tag.address in ("acme/FT-1", "acme/JQ-1")]
    ids = await add_tags(db, tags)
    minutes = np.arange(begin_us, begin_us + HOUR, MINUTE)
    # 36 t/h, and 1 kWh a minute.
    for address, amount in (("acme/FT-1", 600.0), ("acme/JQ-1", 3.6e6)):
        await add_minutes(db, ids[address], minutes, lambda _, a=amount: a, lambda _: 1.0)
    await db.execute(
        "INSERT INTO alarm"
        " (alarm, tag_id, state, since, active_since, value, priority, limit_value) VALUES"
        " ('flow', $1, 'unacknowledged', now(), now(), 10, 'high', 5)",
        ids["acme/FT-1"],
    )
    await db.execute(
        "INSERT INTO alarm_event (time, recorded, alarm, before, after, value, quality)"
        " VALUES (now(), now(), 'flow', 'normal', 'unacknowledged', 10, 0)"
    )
    rows = {}
    for name, board in boards().items():
        for variable in board["templating"]["list"]:
            await viewer.fetch(as_sent(variable["query"], now, now))
        for panel, target in targets(board):
            query = as_sent(target["rawSql"], now - timedelta(hours=2), now + timedelta(hours=1))
            rows[name, panel["id"]] = result = await viewer.fetch(query)
            if target["format"] == "time_series" and result:
                assert list(result[0].keys()) == ["time", "metric", "value"]
                assert isinstance(result[0]["metric"], str)
    values = {row["metric"]: round(row["value"], 6) for row in rows["tags", 1]}
    assert values == {"FT-1 [t/h]": 36.0, "JQ-1 [kWh]": 1.0}
    assert [row["limit"] for row in rows["alarms", 5]] == [18.0]
    assert rows["alarms", 1][0]["n"] == 1
    assert len(rows["alarms", 6]) == 1


async def test_the_role_of_dashboards_reads_values_and_nothing_else(viewer, db):
    for name in VIEWED:
        await viewer.fetch(f"SELECT * FROM {name} LIMIT 1")
    for statement in (
        "SELECT files FROM model",
        "SELECT * FROM spool",
        "SELECT body FROM command",
        "SELECT payload FROM reject",
        "INSERT INTO command (kind, body) VALUES ('acknowledge', '{}')",
        "DELETE FROM sample",
        "SET default_transaction_read_only = off; DELETE FROM sample",
        "CREATE TABLE park.mine (n int)",
    ):
        with pytest.raises(REFUSED):
            await viewer.execute(statement)
