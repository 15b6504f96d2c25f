"""A scenario through broker, ingest and database."""

import asyncio
import json
import os
import subprocess
import sys

import numpy as np

from simulators import __main__ as program
from simulators.instruments import Scene, readings
from simulators.scenarios.overlay import make_overlay
from simulators.scenarios.script import load_script
from tests.support.data import data_text
from tests.support.demo_park import PARK, process_of, sensors_of
from tests.support.programs import running, subscribed
from tests.support.stored import query
from tests.support.waiting import until

S = 1_000_000
OWN = data_text("scripts/own.toml")


def test_a_scenario_that_is_not_there_is_one_clear_sentence(capsys):
    assert program.main(["--scenario", "earthquake"]) == 2
    assert "use one of alarm-flood" in capsys.readouterr().err


async def test_a_scenario_arrives_in_the_database_as_it_was_made(services, database, tmp_path):
    script, truth = tmp_path / "own.toml", tmp_path / "truth.json"
    script.write_text(OWN, encoding="utf-8")
    environment = {
        "PARKTWIN_DATABASE_URL": database,
        "PARKTWIN_MQTT_URL": services.mqtt_url,
        "PARKTWIN_CLIENT_ID": f"test-scenario-{os.getpid()}",
        "PARKTWIN_SESSION_EXPIRY_S": "60",
    }
    words = "--speed 60 --duration 10.5 --interval 10 --seed 3"
    with (tmp_path / "log").open("w") as log:
        async with running("ingest", environment, log):
            await subscribed(environment)
            ended = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-m", "simulators", "--scenario", str(script), "--truth",
                 str(truth), "--mqtt", services.mqtt_url, *words.split()],
                env=os.environ | environment, stderr=log, timeout=90, check=False,
            )  # fmt: skip
            assert ended.returncode == 0, (tmp_path / "log").read_text()
            rows = json.loads(truth.read_text())
            start_us = rows[0]["start_us"] - 120 * S
            scene = Scene(
                sensors_of(3),
                make_overlay(process_of(3), load_script(str(script), PARK), start_us),
            )
            columns = {f"{t.owner}/{t.tag}": i for i, t in enumerate(PARK.tags)}
            wanted = ["xinfa/FI-1203", "xinfa/FI-1204", "huaxiang/FI-1203", "luxi/JI-1001"]
            stored = await samples_of(database, wanted, 10 * 60 * S + start_us)
    for name in wanted:
        times = np.array([at for at, _ in stored[name]])
        values = np.array([value for _, value in stored[name]])
        # Nothing is missing but what was never shown.
        gaps = [gap for gap in np.diff(times).tolist() if gap != 10 * S]
        assert gaps == ([370 * S] if name == "xinfa/FI-1204" else [])
        made = readings(scene, times)[:, columns[name]]
        np.testing.assert_allclose(values, made, rtol=1e-9)
        assert len(times) >= (23 if name == "xinfa/FI-1204" else 59)


async def samples_of(database, wanted, until_us):
    """Return times and values of some tags in their own uom, when the last of them has come."""

    async def complete():
        result = await query(
            database,
            "SELECT enterprise || '/' || tag, (extract(epoch FROM time) * 1000000)::bigint, value"
            " FROM sample_named WHERE enterprise || '/' || tag = ANY($1) ORDER BY time",
            wanted,
        )
        rows = {name: [row[1:] for row in result if row[0] == name] for name in wanted}
        newest = [rows[name][-1][0] for name in wanted if rows[name]]
        return len(newest) == len(wanted) and min(newest) >= until_us - 10 * S and rows

    return await until(complete, 60)
