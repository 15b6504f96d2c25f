"""Backup and restore, tried for real: the same answers on another folder, and what is refused."""

import asyncio
import gzip
import os
import subprocess
import sys
import time
from datetime import timedelta

import asyncpg
import pytest

from deploy import access
from deploy.database.settings import LAST_BACKUP
from deploy.local import Services
from deploy.recovery.backup import back_up, copy_secrets
from deploy.recovery.log_archive import HANDED, LogArchive, LogPoint
from deploy.recovery.restore import missing_archive, restore
from ingest.store import Store
from tests.support.small_park import BEGIN, END, PARK, fill, serving, stamp
from tests.support.waiting import until
from twin.errors import ParkError

SCOPES = ("demo", "demo/acme")
WINDOWS = ("minute", "hour", "day")
LISTS = ("/api/v1/park", "/api/v1/tags", "/api/v1/latest", "/api/v1/alarms", "/api/v1/targets",
         "/api/v1/model/versions")  # fmt: skip
SUBJECTS = ("energy", "chlorine", "byproducts", "balance", "emissions", "electrolysers", "meters",
            "consumption", "loops", "heat")  # fmt: skip
REQUESTS = 50


def questions():
    """Return requests about the small park and its past."""
    span = f"from={stamp(BEGIN):%Y-%m-%dT%H:%M:%SZ}&to={stamp(END):%Y-%m-%dT%H:%M:%SZ}"
    subjects = [f"{subject}?window={window}&{span}" for subject in SUBJECTS for window in WINDOWS]
    return [*LISTS, *(f"/api/v1/scopes/{scope}/{each}" for scope in SCOPES for each in subjects)]


async def answers_of(url):
    async with serving(url) as (client, _):
        answers = {each: await client.get(each) for each in questions()}
    return {each: answer.text for each, answer in answers.items() if answer.status_code == 200}


async def filled(url):
    store = Store(url)
    await store.open()
    await store.close()
    db = await asyncpg.connect(url, server_settings={"search_path": "park,public"})
    await fill(db, PARK)
    return db


async def test_a_restored_backup_gives_the_same_answers(tmp_path):
    data, backup, secrets = tmp_path / "data", tmp_path / "backup", tmp_path / "secrets"
    with Services(data, mqtt_port=None) as services:
        for name in ("audit.key", "secret.key"):
            access.key_of(data, name)
        addresses = {"PARKTWIN_DATABASE_URL": services.database_url}
        access.write_addresses(data, addresses)
        db = await filled(services.database_url)
        path = "sample/2025/2025-06-01.parquet"
        await db.execute(
            "INSERT INTO archive_file (kind, start, stop, path, sha256, written) VALUES"
            " ('sample', '2025-06-01Z', '2025-06-02Z', $1, 'abc', now())",
            path,
        )
        before = await answers_of(services.database_url)
        assert len(before) >= REQUESTS
        # The server goes on, and what comes after the backup is not in it.
        await asyncio.to_thread(back_up, data, backup)
        copy_secrets(data, secrets)
        await db.execute("DELETE FROM minute")
        assert await db.fetchval("SELECT count(*) FROM pg_replication_slots") == 0
        await db.close()
        assert await answers_of(services.database_url) != before
        assert (data / LAST_BACKUP).read_text() == (backup / "backup.json").read_text()
    other = tmp_path / "other"
    manifest = restore(backup, other, secrets)
    assert (manifest.archive, manifest.archive_folder) == ({path: "abc"}, str(data / "archive"))
    assert missing_archive(manifest, other / "archive") == 1
    for name in ("audit.key", "secret.key"):
        assert (other / name).read_text() == (data / name).read_text()
    with Services(other, mqtt_port=None) as services:
        assert await answers_of(services.database_url) == before
    # Of a twin that is stopped as well.
    again = tmp_path / "again"
    assert back_up(other, again).files.keys() == {"database.tar.gz"}
    with pytest.raises(ParkError, match="exists"):
        back_up(other, again)
    with pytest.raises(ParkError, match="not empty"):
        restore(again, other)
    with (again / "database.tar.gz").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ParkError, match="not what was backed up"):
        restore(again, tmp_path / "third")
    assert not (tmp_path / "third").exists()


async def test_a_restore_reaches_any_moment_of_the_log_and_no_other(tmp_path):
    data, backup, log = tmp_path / "data", tmp_path / "backup", tmp_path / "log"
    with Services(data, mqtt_port=None, log_folder=log) as services:
        access.write_addresses(data, {"PARKTWIN_DATABASE_URL": services.database_url})
        db = await filled(services.database_url)
        await asyncio.to_thread(back_up, data, backup)
        await db.execute("CREATE TABLE public.step (number int)")
        moments = []
        for number in range(3):
            await db.execute("INSERT INTO public.step VALUES ($1)", number)
            moments.append(await db.fetchval("SELECT clock_timestamp()"))
            await asyncio.sleep(1.1)
        # The mistake.
        await db.execute("DROP TABLE public.step")
        await db.execute("DELETE FROM minute")
        await db.close()
        server = services.postgres
        switched = access.sql(
            server.box, server.port, "postgres", "SELECT pg_walfile_name(pg_switch_wal())"
        )
        newest = switched.stdout.strip()

        def is_packed():
            services.tend(time.monotonic())
            return (log / f"{newest}.gz").exists()

        await until(is_packed, 60)
        assert not list(log.glob("*.partial"))
    other = tmp_path / "other"
    await asyncio.to_thread(restore, backup, other, None, LogPoint(log, moments[1]))
    with Services(other, mqtt_port=None) as services:
        db = await asyncpg.connect(services.database_url)
        rows = await db.fetch("SELECT number FROM public.step ORDER BY 1")
        assert [row["number"] for row in rows] == [0, 1]
        assert await db.fetchval("SELECT count(*) FROM park.minute") > 0
        assert not await db.fetchval("SELECT pg_is_in_recovery()")
        await db.close()
    third, day = tmp_path / "third", timedelta(days=1)
    with pytest.raises(ParkError, match=r"does not reach until|did not start"):
        await asyncio.to_thread(restore, backup, third, None, LogPoint(log, moments[2] + day))
    assert not third.exists()
    with pytest.raises(ParkError, match="is of"):
        restore(backup, third, None, LogPoint(log, moments[0] - day))
    with pytest.raises(ParkError, match="nothing of the log"):
        restore(backup, third, None, LogPoint(tmp_path / "empty", moments[1]))


def test_a_folder_of_the_log_that_cannot_be_written_is_said_once(tmp_path):
    home, folder = tmp_path / "home", tmp_path / "folder"
    (home / HANDED).mkdir(parents=True)
    archive = LogArchive(home, folder)
    for name in ("000000010000000000000001", "000000010000000000000002"):
        (home / HANDED / name).write_bytes(name.encode())
    (home / HANDED / ".archive.000000010000000000000003").touch()
    folder.rmdir()
    assert "is not archived" in archive.take()
    assert archive.take() == ""
    folder.mkdir()
    assert [archive.take() for _ in range(3)] == ["", "", ""]
    assert sorted(file.name for file in folder.iterdir()) == [
        "000000010000000000000001.gz", "000000010000000000000002.gz",
    ]  # fmt: skip
    # The same file again is no harm, another one of that name is not replaced.
    (home / HANDED / "000000010000000000000001").write_bytes(b"000000010000000000000001")
    assert archive.take() == ""
    (home / HANDED / "000000010000000000000001").write_bytes(b"of another database")
    assert "is of another database" in archive.take()
    packed = (folder / "000000010000000000000001.gz").read_bytes()
    assert gzip.decompress(packed) == b"000000010000000000000001"


def test_what_is_no_data_folder_and_no_backup_is_refused(tmp_path):
    with pytest.raises(ParkError, match="holds no database"):
        back_up(tmp_path, tmp_path / "backup")
    with pytest.raises(ParkError, match="is no backup"):
        restore(tmp_path, tmp_path / "data")
    command = [sys.executable, "-m", "deploy.cli", "restore", str(tmp_path), "--data", "data"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert done.returncode == 2
    assert "name the folder that parktwin backup wrote" in done.stderr
