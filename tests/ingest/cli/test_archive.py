"""The command `parktwin archive`: what is there, what is due, and what is not as it was written."""

import asyncio
import time

import pytest

from ingest.cli import archive
from tests.support.small_archive import living, noise, tell
from twin.arrays import HOUR_US

# On the hour: what is told of a day does not go on into the next one.
NOW_US = time.time_ns() // 1000 // HOUR_US * HOUR_US


@pytest.fixture
async def command(database, park, tmp_path, monkeypatch, capsys):
    """Return what runs the command over two archived days, with status and what it prints."""
    async with living(database, park, tmp_path, NOW_US) as cycle:
        for days_ago in (5, 4):
            await tell(cycle, days_ago, noise(100), every_s=1, now_us=NOW_US)
    monkeypatch.setenv("PARKTWIN_DATABASE_URL", database)
    monkeypatch.setenv("PARKTWIN_ARCHIVE", str(tmp_path))
    monkeypatch.setenv("PARKTWIN_ARCHIVE_SAMPLE_DAYS", "2")

    async def run(*words):
        status = await asyncio.to_thread(archive.main, list(words))
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return run


async def test_archive_is_written_listed_and_verified(command, tmp_path):
    assert await command() == (
        0, "sample: nothing is archived yet\nminute: nothing is archived yet\n"
    )  # fmt: skip
    status, text = await command("--now")
    assert status == 0
    assert text.startswith("2 files written\nsample: 2 files from ")
    assert " 200 rows in " in text
    status, text = await command("--verify")
    assert status == 0
    assert text.startswith("2 files are as they were written\n")
    first, second = sorted(tmp_path.rglob("*.parquet"))
    first.unlink()
    with second.open("ab") as file:
        file.write(b"x")
    status, text = await command("--verify")
    assert status != 0
    assert f"{first.relative_to(tmp_path)}: No such file or directory" in text
    assert f"{second.relative_to(tmp_path)}: not as it was written" in text


async def test_without_a_folder_there_is_no_archive(command, monkeypatch):
    monkeypatch.delenv("PARKTWIN_ARCHIVE")
    status, text = await command()
    assert status == 2
    assert "PARKTWIN_ARCHIVE names its folder" in text
