"""`parktwin gateway credential`: told once, changed with an overlap, revoked, and on record."""

import asyncio
import json
import math
import re

import pytest

from api.access import gateways
from deploy.access_lists import REFUSALS, Refusal, dumped_refusals, loaded
from ingest.gateway_access import GatewayAccess
from ingest.settings import IngestSettings
from tests.support.stored import cycling, query
from tests.support.waiting import until
from twin.loading import load_park

ROWS = "SELECT enterprise, gateway, username, password, until, ended FROM gateway_credential"
RECORD = "SELECT action, subject FROM audit ORDER BY number"


@pytest.fixture
async def run(database, park, monkeypatch, capsys):
    """Return what runs the command and returns its status and what it printed."""
    async with cycling(database, park):
        pass
    monkeypatch.setenv("PARKTWIN_DATABASE_URL", database)

    async def run_command(*words):
        status = await asyncio.to_thread(gateways.main, list(words))
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return run_command


def told(text):
    """Return user name and password that were printed."""
    return re.search(r"user name: (\S+)\npassword:  (\S+)\n", text).groups()


async def test_a_credential_is_told_once_and_only_its_hash_is_kept(run, database):
    status, text = await run("issue", "acme", "gw-1")
    username, password = told(text)
    assert status == 0
    assert "publish  park/v1/acmepark/acme/gw-1, senml/v1/acmepark/acme/gw-1" in text
    ((enterprise, gateway, name, kept, until_, ended),) = await query(database, ROWS)
    assert (enterprise, gateway, name, until_, ended) == ("acme", "gw-1", username, None, None)
    assert kept.startswith("$7$101$")
    assert password not in kept
    _, listed = await run("list")
    assert username in listed
    assert kept not in listed
    assert await query(database, RECORD) == [("gateway credential issue", f"acme/gw-1: {username}")]


async def test_a_rotated_one_is_good_for_its_overlap_and_a_revoked_one_no_longer(run, database):
    first, _ = told((await run("issue", "acme", "gw-1"))[1])
    other, _ = told((await run("issue", "acme", "gw-2"))[1])
    second, _ = told((await run("rotate", "acme", "gw-1", "--overlap", "48"))[1])
    good = {row[2]: (row[4], row[5]) for row in await query(database, ROWS)}
    assert good[second] == good[other] == (None, None)
    assert 47.9 < (good[first][0] - await now(database)).total_seconds() / 3600 <= 48.0
    third, _ = told((await run("rotate", "acme", "gw-1", "--overlap", "0"))[1])
    good = {row[2]: row[5] is None for row in await query(database, ROWS)}
    assert good == {first: False, second: False, other: True, third: True}
    status, text = await run("revoke", "acme", "gw-1")
    assert (status, text) == (0, f"revoked: {third}\n")
    status, text = await run("revoke", "acme", "gw-1")
    assert status == 2
    assert "acme/gw-1 has no credential that is good" in text
    assert (await run("rotate", "acme", "gw-1"))[0] == 2
    _, listed = await run("list")
    assert ["revoked" in line for line in listed.splitlines()] == [True, True, True, False]
    actions = [action.split()[-1] for action, _ in await query(database, RECORD)]
    assert actions == ["issue", "issue", "rotate", "rotate", "revoke"]


async def now(database):
    ((moment,),) = await query(database, "SELECT now()")
    return moment


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("issue", "nobody", "gw"), "the model has no enterprise 'nobody'"),
        (("issue", "acme", "a/b"), "cannot stand in a topic"),
        (("issue", "acme", "x\ny"), "cannot stand in an access list"),
    ],
)
async def test_a_gateway_that_there_cannot_be_gets_none(run, database, words, text):
    status, printed = await run(*words)
    assert status == 2
    assert text in printed
    assert await query(database, ROWS) == []


@pytest.mark.parametrize("words", [(), ("rotate", "acme", "gw", "--overlap", "-1"),
                                   ("--export", "rabbit")])  # fmt: skip
def test_a_command_line_that_says_nothing_is_refused(words):
    with pytest.raises(SystemExit):
        gateways.main(list(words))


@pytest.mark.parametrize(
    ("broker", "files"),
    [("mosquitto", {"passwords", "rights"}), ("emqx", {"acl.conf", "users.csv"}),
     ("hivemq", {"credentials.xml"})],
)  # fmt: skip
async def test_the_lists_are_written_for_another_broker(run, tmp_path, broker, files):
    good, _ = told((await run("issue", "acme", "gw-1"))[1])
    gone, _ = told((await run("issue", "other", "gw-2"))[1])
    await run("revoke", "other", "gw-2")
    status, text = await run("--export", broker, "--into", str(tmp_path / "lists"))
    assert status == 0
    assert "give passwords to the accounts of our programs: parktwin-ingest" in text
    written = {path.name: path for path in (tmp_path / "lists").iterdir()}
    assert set(written) == files
    for path in written.values():
        content = path.read_text()
        assert good in content
        assert gone not in content
        assert path.stat().st_mode & 0o777 == 0o600
        assert "parktwin-ingest" in content or path.name in ("passwords", "users.csv")


async def test_ingest_says_who_comes_in_by_the_table_and_the_model(run, database, park, tmp_path):
    file = tmp_path / "gateways.json"
    access = GatewayAccess(IngestSettings(database_url=database), file)
    access.follow(park)
    task = asyncio.create_task(access.run())
    try:
        await until(lambda: file.exists() and file.read_text() == "[]")
        names = [told((await run("issue", who, "gw"))[1])[0] for who in ("acme", "other")]
        await until(lambda: [each.username for each in loaded(file.read_text())] == names)
        (first, _) = loaded(file.read_text())
        assert first.rights.publish[0] == "park/v1/acmepark/acme/gw"
        assert file.stat().st_mode & 0o777 == 0o600
        await run("revoke", "acme", "gw")
        await until(lambda: [each.username for each in loaded(file.read_text())] == names[1:])
        # An enterprise that the model has no longer comes in no longer.
        access.follow(without_other(park, tmp_path))
        await until(lambda: json.loads(file.read_text()) == [])
    finally:
        task.cancel()


async def test_what_the_broker_refuses_stands_with_its_gateway(run, database, park, tmp_path):
    file = tmp_path / "gateways.json"
    access = GatewayAccess(IngestSettings(database_url=database), file)
    access.follow(park)
    assert math.isnan(access.refused)
    names = [told((await run("issue", "acme", "gw"))[1])[0] for _ in range(2)]
    refusals = [Refusal(name, 3, f"other/{name}", 1e9 + n) for n, name in enumerate(names)]
    # Of a client of ours that is no gateway, and of one whose credential is gone.
    refusals.append(Refusal("parktwin-x", 1, "a", 1e9))
    (tmp_path / REFUSALS).write_text(dumped_refusals(refusals))
    task = asyncio.create_task(access.run())
    try:
        await until(lambda: access.refused == 7)
        rows = "SELECT enterprise, gateway, messages, topic FROM gateway_refusal"
        assert await query(database, rows) == [("acme", "gw", 6, f"other/{names[1]}")]
        assert "acme/gw: the broker has refused 6 messages" in (await run("list"))[1]
        # A broker that has started anew has refused nothing.
        (tmp_path / REFUSALS).write_text("[]")
        await until(lambda: access.refused == 0)
        assert await query(database, rows) == []
    finally:
        task.cancel()


def without_other(park, tmp_path):
    """Return the model without enterprise `other`."""
    folder = tmp_path / "less"
    folder.mkdir()
    before, _, _ = park.files["park.toml"].partition('[[scope]]\nid = "acmepark/other"')
    (folder / "park.toml").write_text(before, encoding="utf-8")
    tags = park.files["tags.csv"].splitlines()
    kept = [line for line in tags if "acmepark/other" not in line]
    (folder / "tags.csv").write_text("\n".join(kept) + "\n", encoding="utf-8")
    return load_park(folder)
