"""The record: what stands in it, and that a change of it shows."""

import asyncio
from datetime import timedelta

import pytest

from api.access import record
from api.access.accounts import Accounts
from api.access.audit import Event
from deploy.database.times import stamp
from tests.api.access.test_access import ACK, BY
from tests.support.accounts import come_in, guarded
from tests.support.neighbour import fill_with_neighbour
from tests.support.small_park import NOW
from tests.support.waiting import until

pytest_plugins = ["tests.support.small_park"]
DAY_US = 86_400_000_000
HOUR = "from=2025-06-02T08:00:00%2B08:00&to=2025-06-02T10:00:00%2B08:00"


async def rows_of(accounts, after=0):
    """Return account, action, subject and outcome of the rows after one."""
    statement = (
        "SELECT account, action, subject, outcome FROM audit WHERE number > $1 ORDER BY number"
    )
    return [tuple(row) for row in await accounts.rows(statement, after)]


async def test_the_record_has_the_model_ways_in_orders_and_refusals(database, ids):
    async with guarded(database) as (api, accounts, _):
        await api.post("/api/v1/login", json={"name": "ann", "password": "wrong"})
        await come_in(api, accounts, "ann", "viewer")
        await api.post(ACK, json=BY)
        await come_in(api, accounts, "max", "auditor")
        rows = (await api.get("/api/v1/audit")).json()["items"]
        assert [(row["account"], row["subject"], row["outcome"]) for row in rows] == [
            ("max", "/api/v1/password", "200"), ("ann", ACK, "403"),
            ("ann", "/api/v1/password", "200"), ("ann", "/api/v1/login", "401"),
            ("", "version 1, 1", "in use"),
        ]  # fmt: skip


async def test_a_version_of_the_model_is_noted_once_by_whoever_sees_it(database, db, ids):
    async with guarded(database) as (_, accounts, context), guarded(database):
        await db.execute(
            "INSERT INTO model (digest, files) SELECT 'another', files FROM model;"
            " NOTIFY park_model"
        )
        await until(lambda: context.feed.model.version == 2)
        await until(lambda: noted(accounts, 2))
        await accounts.note_models([(1, "1"), (2, "another")])
        assert await rows_of(accounts) == [
            ("", "model", "version 1, 1", "in use"), ("", "model", "version 2, another", "in use"),
        ]  # fmt: skip


async def noted(accounts, count):
    return len(await rows_of(accounts)) == count


TAKEN = [
    ("/api/v1/history?tag=acme/FT-1&format=csv", {}),
    ("/api/v1/history?tag=acme/FT-1", {"accept": "text/csv"}),
    ("/api/v1/history?tag=acme/FT-1&format=arrow", {}),
    (f"/api/v1/scopes/demo/acme/energy?format=csv&{HOUR}", {}),
    (f"/api/v1/scopes/demo/acme/energy?{HOUR}", {"accept": "text/csv"}),
    ("/api/v1/scopes/demo/online-monitoring/file?format=xlsx", {}),
    ("/api/v1/reports/enterprise/demo/acme?period=2025-05&format=html", {}),
]


async def test_every_file_that_is_taken_is_in_the_record(database, ids):
    async with guarded(database) as (api, accounts, _):
        await come_in(api, accounts, "ann", "viewer")
        for path, headers in TAKEN:
            answer = await api.get(path, headers=headers)
            assert answer.status_code == 200, answer.text
        # What is shown on a page is none.
        await api.get("/api/v1/history", params={"tag": "acme/FT-1"})
        await api.get("/api/v1/park")
        paths = [path for path, _ in TAKEN]
        assert await rows_of(accounts, 2) == [("ann", "GET", path, "200") for path in paths]


DISCLOSED = '[[disclosure]]\nscope = "demo/other"\nlevel = "park"\n'


async def test_who_looks_at_another_enterprise_is_in_the_record_once_an_hour(
    database, db, monkeypatch
):
    await fill_with_neighbour(db, 1.0, DISCLOSED)
    path = f"/api/v1/scopes/demo/other/energy?{HOUR}"
    history = "/api/v1/history?tag=other/FT-1"
    async with guarded(database) as (api, accounts, _):
        await come_in(api, accounts, "ann", "viewer", "demo/acme/vcm")
        for each in (path, path, "/api/v1/scopes/demo/acme/energy", "/api/v1/scopes/demo/energy"):
            assert (await api.get(each)).status_code == 200
        # The rest of one's own enterprise is none of another one, and the park is everybody's.
        assert await rows_of(accounts, 2) == [("ann", "GET", path, "200, of demo/other")]
        assert (await api.get(history)).status_code == 200
        assert await rows_of(accounts, 3) == [("ann", "GET", history, "200, of demo/other/vcm")]
        monkeypatch.setattr("api.access.noting.LOOK_S", 0.0)
        await api.get(path)
        assert len(await rows_of(accounts, 4)) == 1
        # Who operates the park looks at its enterprises all day.
        await come_in(api, accounts, "pat", "operator", "demo")
        count = len(await rows_of(accounts))
        await api.get(path)
        assert len(await rows_of(accounts)) == count


HOSTILE = [
    "/api/v1/history?tag=acme/FT-1'%3B%20DROP%20TABLE%20sample%3B--",
    "/api/v1/history?tag=../../etc/passwd",
    "/api/v1/scopes/demo%0d%0aSet-Cookie:%20a=b/energy?format=csv",
    "/api/v1/latest?tag=acme/FT-1%22%20OR%201=1",
    "/..%2f..%2f..%2fetc%2fpasswd",
    "/assets/..%5c..%5cwindows",
]


async def test_a_reading_that_is_refused_for_what_no_name_has_is_in_the_record(database, ids):
    async with guarded(database) as (api, accounts, _):
        await come_in(api, accounts, "eve", "viewer")
        for path in HOSTILE:
            answer = await api.get(path)
            assert 400 <= answer.status_code < 500, (path, answer.text)
            assert "set-cookie" not in answer.headers
        # A wrong name is a mistake.
        assert (await api.get("/api/v1/history?tag=acme/FT-0")).status_code == 404
        rows = await rows_of(accounts, 2)
        assert [row[0] for row in rows] == ["eve"] * len(HOSTILE)
        assert [row[2] for row in rows] == HOSTILE


async def test_a_flood_of_refusals_is_counted_and_does_not_fill_the_record(database, ids):
    async with guarded(database) as (api, accounts, _):
        await come_in(api, accounts, "ann", "viewer")
        for _ in range(50):
            assert (await api.post(ACK, json=BY)).status_code == 403
        rows = await rows_of(accounts, 2)
        assert 30 <= len(rows) < 40
        await api.post("/api/v1/logout")
        (row,) = await rows_of(accounts, 2 + len(rows))
        assert row[3] == f"200, and {50 - len(rows)} more refused before"


REFUSED = """
INSERT INTO gateway_refusal VALUES ('acme', 'gw', $1, 'park/v1/demo/other/gw', $2)
ON CONFLICT (enterprise, gateway) DO UPDATE SET messages = $1, newest = $2"""


async def test_a_gateway_whose_messages_the_broker_refuses_is_in_the_record_once_an_hour(
    database, db, ids, monkeypatch
):
    monkeypatch.setattr("api.access.noting.REFUSALS_S", 0.02)
    row = "acme/gw", "publish", "park/v1/demo/other/gw"
    outcome = "refused by the broker, {} since its start"
    async with guarded(database) as (api, accounts, _):
        await come_in(api, accounts, "max", "auditor")
        await db.execute(REFUSED, 3, stamp(NOW))
        await until(lambda: noted(accounts, 3))
        await db.execute(REFUSED, 9, stamp(NOW + 1_000_000))
        await asyncio.sleep(0.2)
        assert (await rows_of(accounts))[2:] == [(*row, outcome.format(3))]
        lines = (await api.get("/metrics")).text.splitlines()
        assert 'parktwin_ingest_gateway_refused_total{gateway="acme/gw"} 9.0' in lines
    # Another process looks into the record before it adds to it.
    async with guarded(database) as (_, accounts, _context):
        await asyncio.sleep(0.2)
        assert len(await rows_of(accounts)) == 3
        monkeypatch.setattr("api.access.noting.LOOK_S", 0.0)
        # As if the hour were over.
        monkeypatch.setattr("api.access.audit.REFUSALS_APART", timedelta(seconds=-1))
        await db.execute(REFUSED, 12, stamp(NOW + 2_000_000))
        await until(lambda: noted(accounts, 4))
        assert (await rows_of(accounts))[3] == (*row, outcome.format(12))


SWAP = """
UPDATE audit SET number = CASE number WHEN 2 THEN -3 ELSE -2 END WHERE number IN (2, 3);
UPDATE audit SET number = -number WHERE number < 0"""
ADD = """
INSERT INTO audit SELECT 6, time, 'eve', '', 'POST', '', '200', digest FROM audit WHERE number = 5
"""
TAMPERED = {
    "changed": ("UPDATE audit SET outcome = '200' WHERE number = 3", 3),
    "removed": ("DELETE FROM audit WHERE number = 2", 2),
    "removed at the beginning": ("DELETE FROM audit WHERE number = 1", 1),
    "reordered": (SWAP, 2),
    "added": (ADD, 6),
    "cut off": ("DELETE FROM audit WHERE number = 5", 5),
    "another account": ("UPDATE audit SET account = 'eve' WHERE number = 4", 4),
    "another time": ("UPDATE audit SET time = time - interval '1 s' WHERE number = 5", 5),
}  # fmt: skip


@pytest.fixture
async def accounts(database, tmp_path):
    """Accounts with a key, and five rows in the record."""
    key = tmp_path / "audit.key"
    key.write_bytes(b"a secret")
    clock = [NOW]
    made = Accounts(database, key.read_bytes(), lambda: clock[0])
    await made.open()
    for n in range(5):
        await made.note(Event("ann", "10.0.0.1", "POST", f"/order/{n}", "202"))
        clock[0] += DAY_US
    made.clock = clock
    yield made
    await made.close()


@pytest.mark.parametrize("change", TAMPERED)
async def test_a_record_that_was_tampered_with_says_from_where(accounts, db, change):
    good = await accounts.verify()
    assert (good.rows, good.wrong, good.begins) == (5, 0, 1)
    statement, wrong = TAMPERED[change]
    await db.execute(statement)
    assert (await accounts.verify(good.head)).wrong == wrong


async def test_the_whole_record_taken_away_shows_by_a_head_noted_elsewhere(accounts, db):
    good = await accounts.verify()
    await db.execute("DELETE FROM audit")
    assert (await accounts.verify()).rows == 0
    assert (await accounts.verify(good.head)).wrong == 1


async def test_old_rows_go_as_one_stretch_and_the_chain_stays(accounts, db):
    head = (await accounts.verify()).head
    assert await accounts.remove_old(2, "admin") == 3
    assert await accounts.remove_old(2, "admin") == 0
    seen = await accounts.verify(head)
    assert (seen.rows, seen.wrong, seen.begins) == (3, 0, 4)
    assert seen.removed.startswith("older than 2 days, on 2025-06-07T")
    (row,) = await accounts.rows("SELECT account, action, subject FROM audit WHERE number = 6")
    assert (row["account"], row["action"]) == ("admin", "remove")
    assert row["subject"].startswith("rows up to 3, ")
    # Of the removed ones the last is still known.
    assert (await accounts.verify(f"3:{row['subject'].rpartition(' ')[2]}")).wrong == 0
    assert (await accounts.verify(f"3:{'0' * 64}")).wrong == 3
    # Once more, with the row that said so.
    accounts.clock[0] += 10 * DAY_US
    await accounts.note(Event("ann", "", "POST", "/order/5", "202"))
    assert await accounts.remove_old(2, "admin") == 3
    seen = await accounts.verify()
    assert (seen.rows, seen.wrong, seen.begins) == (2, 0, 7)


AFTER_REMOVAL = {
    "more removed": ("DELETE FROM audit WHERE number = 4", 4),
    "the row that says so changed": (
        "UPDATE audit SET subject = replace(subject, 'up to 3', 'up to 4') WHERE number = 6", 5,
    ),
    "the row that says so removed": ("DELETE FROM audit WHERE number = 6", 1),
    "its reason changed": ("UPDATE audit SET outcome = 'older than 1 days' WHERE number = 6", 6),
}  # fmt: skip


@pytest.mark.parametrize("change", AFTER_REMOVAL)
async def test_a_record_without_its_oldest_rows_shows_changes_as_well(accounts, db, change):
    await accounts.remove_old(2, "admin")
    statement, wrong = AFTER_REMOVAL[change]
    await db.execute(statement)
    assert (await accounts.verify()).wrong == wrong


async def test_a_row_that_was_written_without_the_key_does_not_fit(accounts, database):
    other = Accounts(database, b"", lambda: NOW)
    await other.open()
    await other.note(Event("eve", "", "POST", "/order", "202"))
    await other.close()
    assert (await accounts.verify()).wrong == 6


def test_the_command_line_says_where_the_record_begins_and_why(
    accounts, database, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("PARKTWIN_DATABASE_URL", database)
    monkeypatch.setenv("PARKTWIN_AUDIT_KEY", str(tmp_path / "audit.key"))
    assert record.main(["trim"]) == 0
    assert "nothing is removed" in capsys.readouterr().out
    monkeypatch.setenv("PARKTWIN_AUDIT_DAYS", "400")
    assert record.main(["trim"]) == 0
    assert capsys.readouterr().out == "5 rows older than 400 days are removed\n"
    assert record.main(["verify"]) == 0
    out = capsys.readouterr().out
    assert "begins with row 6: those before were older than 400 days, on 20" in out
    assert "1 rows, each follows from the one before" in out
