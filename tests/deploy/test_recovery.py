"""Backup and restore, tried for real: the same answers on another folder, and what is refused."""

import asyncio
import os
import subprocess
import sys

import asyncpg
import pytest

from deploy import access
from deploy.database.settings import LAST_BACKUP
from deploy.local import Services
from deploy.recovery.backup import back_up, copy_secrets
from deploy.recovery.restore import missing_archive, restore
from ingest.store import Store
from tests.support.small_park import BEGIN, END, PARK, fill, serving, stamp
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
