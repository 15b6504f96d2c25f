"""Every scenario in memory, at high speed: what the twin says of it is what truly happened.

The same trials, with more seeds and weeks, are the score (`make score`).
"""

import asyncio
import dataclasses
import json
import os
import re
import subprocess
import sys
import time
from functools import partial

import asyncpg
import numpy as np
import pytest

from simulators import __main__ as program
from simulators.instruments.faults import Scene, readings
from simulators.instruments.sensors import make_sensors
from simulators.load import park_files
from simulators.process.process import make_process
from simulators.scenarios.overlay import make_overlay
from simulators.scenarios.script import load_script, names
from simulators.scoring import score, trials
from simulators.scoring.coverage import coverage
from simulators.scoring.figures import StatedFigure, figures
from simulators.scoring.harness import make_harness, quiet_memory, scene_of
from simulators.scoring.pipeline import minutes_of
from simulators.scoring.window import compile_park, make_window, true_stream_mass
from tests.services.test_services import running, subscribed
from tests.support import small_supply
from twin import quality as q
from twin.arrays import MINUTE_US
from twin.errors import ModelError
from twin.loading import load_park

HCL = "hydrogen_chloride"
PARK = load_park("deploy/parks/liaocheng")
S = 1_000_000
LOST = [tag.address for tag in PARK.tags].index("huaxiang/FI-1410")
OWN = """
name = { zh = "自带", en = "Our own" }
duration = "10 min"
[[event]]
id = "bias"
kind = "bias"
tag = "xinfa/FI-1203"
start = "2 min"
stop = "8 min"
size = "10 %"
[[event]]
id = "silent"
kind = "dropout"
tag = "xinfa/FI-1204"
start = "4 min"
[[event]]
id = "cut-off"
kind = "outage"
scope = "liaocheng/shenxian/huaxiang"
start = "3 min"
stop = "6 min"
"""


@pytest.fixture(scope="module")
def harness():
    return make_harness(PARK, 1, score.START_US)


@pytest.fixture(scope="module")
def memory(harness):
    return quiet_memory(harness, 8)


def check(rows):
    """Every figure of a trial meets its goal."""
    assert rows
    assert [row for row in rows if not row.met] == []


def test_nothing_is_said_of_a_day_in_which_nothing_happens(harness):
    check(trials.normal(harness))


def test_full_tanks_are_foretold_after_a_trip_and_no_meter_is_accused(harness, memory):
    check(trials.user_trip(harness, memory))


def test_a_biased_meter_is_named_within_a_quarter_of_an_hour(harness, memory):
    check(trials.meter_bias(harness, memory))


def test_every_stream_that_can_be_checked_is_named_and_the_others_are_not_promised(harness, memory):
    found = trials.bias_of_every_stream(harness, memory, minutes=score.WINDOW_MINUTES)
    checkable = [each for each in found if each.least <= trials.BIAS.size]
    assert len(found) == 35
    assert len(checkable) >= 18
    assert [each.stream for each in checkable if not each.detected] == []
    # What is sold is known by levels only, and they wave by tonnes.
    assert {e.stream for e in found if e.least > 1} >= {"luxi-cl2-export", "xinfa-cl2-export"}
    assert max(each.suspects for each in checkable) <= 6


def test_a_leak_is_placed_at_its_node(harness, memory):
    check(trials.leak(harness, memory))


def test_failing_analysers_are_doubted(harness):
    check(trials.cems_fault(harness))


def test_nothing_is_lost_and_nothing_counted_twice_by_an_outage(harness):
    check(trials.gateway_outage(harness))


def test_what_a_dead_gateway_did_not_send_is_missing_and_nothing_else(harness):
    check(trials.silent_gateway(harness))


def test_ageing_membranes_are_found_in_months_of_data(harness):
    check(trials.membrane_ageing(harness))


def test_a_reset_costs_no_more_than_a_scan_and_a_rollover_nothing(harness):
    rows = trials.counter_reset(harness)
    check(rows)
    found = {row.figure: row.value for row in rows}
    assert found["luxi/JQI-1001 counted wrongly"] == pytest.approx(0, abs=1e-9)
    # A model that does not say where a register begins again loses what was above its last reading.
    assert -0.6 < found["luxi/JQI-1001 counted wrongly, register unknown"] < -0.1


def test_worn_instruments_are_doubted_or_named_or_move_no_hour_beyond_its_interval(harness, memory):
    rows = trials.worn_instruments(harness, memory)
    check(rows)
    found = {row.figure: row.value for row in rows}
    # What is doubted counts all the same: half as much again in a fifteenth of the time.
    assert found["luxi/FI-1401 hour moved by them"] == pytest.approx(100 / 30, abs=0.05)
    # Of a tenth of the samples some are further apart than a value holds.
    since_s = np.arange(3600 - 10, 5 * 3600 + 10, 10)
    shown = readings(scene_of(harness, "worn-instruments"), harness.start_us + since_s * S)[:, LOST]
    there_s = np.append(since_s[np.isfinite(shown)], 5 * 3600)
    complete = np.minimum(np.diff(there_s), 300).sum() / (4 * 3600)
    assert found["huaxiang/FI-1410 complete"] == pytest.approx(100 * complete, abs=0.1)
    assert complete < 0.97
    assert 10 < found["huaxiang/FI-1204 detected after"] < 120


def test_another_unit_of_measure_is_noticed_at_once(harness):
    check(trials.flagged(harness, "unit-error", {"unit": q.UNIT_ERROR}, 60))


def test_a_flood_of_alarms_is_seen_as_one(harness):
    check(trials.alarm_flood(harness))


def test_the_score_tries_every_scenario_there_is():
    assert set(trials.all_trials(None, None)) == set(names())


@pytest.fixture(scope="module")
def known():
    return compile_park(PARK)


def test_what_is_called_the_truth_closes_every_balance(known):
    hour = make_window(known, 1)
    assert {"chlorine", "caustic", "hydrogen", "hydrogen_chloride", "ammonia"} <= set(hour.closed)
    for component, (balance, _, _) in hour.closed.items():
        truth = np.array([true_stream_mass(hour, component, line) for line in balance.lines])
        left = np.abs(balance.incidence @ truth) / (np.abs(balance.incidence) @ np.abs(truth))
        assert left.max() < 1e-5, component


def test_intervals_hold_the_truth_about_as_often_as_they_say(known):
    rows = {row.kpi: row for row in coverage([figures(known, seed) for seed in range(3)])}
    whole = rows["all"]
    assert whole.intervals > 1200
    assert 0.85 < whole.share < 1
    assert whole.low < whole.share < whole.high
    for figure in ("chlorine made", "hydrogen made", "local share K1", "ammonia stored",
                   "caustic electricity per mass", "time to full after a trip", "SO2 emitted",
                   "SO2 corrected", "COD concentration", "hydrogen vented", "hydrogen unaccounted",
                   "caustic of each circuit", "caustic direct current per mass",
                   "cell voltage of each caustic circuit", "K of each caustic circuit",
                   "current density of each caustic circuit"):  # fmt: skip
        assert rows[figure].intervals >= 6, figure
    # Reconciliation brings the flows nearer to the truth than their meters are.
    some = [rows[f"{name} by each meter, reconciled"] for name in ("chlorine", "caustic", HCL)]
    assert np.mean([row.reconciled / row.raw for row in some]) < 0.95


def stated(inside):
    return StatedFigure("x", 1.0, 0.1, 1.0 if inside else 2.0, 1.0, float("nan"))


def test_the_interval_of_a_share_counts_parks_not_intervals():
    alone = coverage([[stated(n % 20 > 0)] for n in range(400)])[0]
    alike = coverage([[stated(n % 20 > 0)] * 5 for n in range(400)])[0]
    assert alone.share == alike.share == 0.95
    # Wilson's interval of 380 of 400.
    assert (alone.low, alone.high) == pytest.approx((0.92412, 0.96743), abs=2e-4)
    assert (alike.low, alike.high) == pytest.approx((alone.low, alone.high), rel=1e-12)
    apart = coverage([[stated((n + k) % 20 > 0) for k in range(5)] for n in range(400)])[0]
    assert alone.low < apart.low < 0.95 < apart.high < alone.high


def test_a_figure_that_says_nothing_is_not_counted():
    nothing = StatedFigure("x", 1.0, 0.0, 1.0, 1.0, float("nan"))
    row = coverage([[nothing, stated(inside=True)], [nothing]])[0]
    assert (row.intervals, row.share) == (1, 1.0)


def test_minutes_in_memory_are_those_of_the_instruments(harness):
    scene = scene_of(harness, "normal")
    start_us = harness.start_us
    table = minutes_of(
        harness.network, partial(readings, scene), start_us, start_us + 3 * MINUTE_US, scan_s=5
    )
    at = harness.network.index["xinfa/FI-1203"]
    times = start_us + np.arange(36) * 5 * S
    values = readings(scene, times)[:, at] * PARK.tags[at].scale
    assert table.amount[:, at] == pytest.approx(values.reshape(3, 12).sum(axis=1) * 5)
    assert table.last[:, at] == pytest.approx(values[11::12])
    assert (table.covered_s[:, at] == 60).all()
    assert (table.quality[:, at] == q.SIMULATED).all()
    assert table.edge_us.tolist() == [start_us + n * MINUTE_US for n in range(4)]


def test_the_score_is_one_table_that_says_what_is_not_met(capsys):
    rows = [
        [trials.TrialFigure("leak", "node detected after", 4.0, "min", "<= 15", met=True)],
        [trials.TrialFigure("leak", "node detected after", np.nan, "min", "<= 15", met=False)],
    ]
    noticed = [[trials.BiasTrial("a", 0.02, 120.0, detected=True, suspects=2)],
               [trials.BiasTrial("a", 0.02, float("nan"), detected=False, suspects=0)]]  # fmt: skip
    held = [[stated(n % 20 > 0)] for n in range(400)]
    lines = [
        *score.trial_lines(rows), *score.bias_lines(noticed), *score.week_lines([0, 1, 1]),
        *score.week_lines([3, 1]), *score.coverage_lines(coverage(held)),
    ]  # fmt: skip
    assert [line.met for line in lines if line.met is not None] == [
        False, False, True, False, True, True,
    ]  # fmt: skip
    score.print_lines(lines)
    printed = capsys.readouterr().out
    assert "detected 1/2 within 2 min" in printed
    assert "95.0% (92.4%..96.7%) of 400" in printed
    assert "3 of 6 goals met" in printed


def test_the_score_shares_its_work_and_says_how_far_it_is(capsys):
    size = score.ScoreSize(trials=0, biases=0, weeks=0, parks=2, days=1)
    met = score.score("deploy/parks/liaocheng", size)
    printed = capsys.readouterr()
    assert "2 of 2 done" in printed.err
    assert "all, over a day" in printed.out
    assert "time to full after a trip" in printed.out
    # Nothing was tried, so nothing can have been named.
    assert not met


def test_the_score_of_another_park_tries_what_fits_and_says_what_it_leaves_out(tmp_path, capsys):
    for name, text in {"park.toml": small_supply.toml(), "tags.csv": small_supply.csv()}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    size = score.ScoreSize(trials=1, biases=1, weeks=0, parks=1, days=0)
    score.score(str(tmp_path), size)
    printed = capsys.readouterr()
    left_out = set(names()) - {"normal"}
    for name in left_out | {"time to full after a trip"}:
        assert re.search(rf"(?m)^{name}  +left out ", printed.out), name
        assert f"{name}: left out: " in printed.err
    assert re.search(r"left out +meter-bias\.toml:\d+: .*xinfa/FI-1203", printed.out)
    assert re.search(r"(?m)^normal +meters detected +0 1/d +0 +yes$", printed.out)
    assert re.search(r"(?m)^a bias of 4% +main ", printed.out)
    assert re.search(r"(?m)^all +interval holds the truth +\S+% ", printed.out)


def test_the_score_of_a_park_without_streams_promises_nothing(tmp_path, capsys):
    for name, text in park_files(3).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert score.score(str(tmp_path), score.ScoreSize(trials=1, biases=1, weeks=1, parks=1, days=1))
    assert re.search(r"checkable streams detected +0 of 0 ", capsys.readouterr().out)


def test_a_plant_whose_product_is_not_weighed_is_named_as_such(harness):
    park = dataclasses.replace(PARK, products=())
    with pytest.raises(ModelError, match="no product is weighed") as caught:
        trials._product_tag(park, park.electrolysers[:6])
    assert "[[product]]" in caught.value.hint


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
            await subscribed(services, environment)
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
                make_sensors(make_process(PARK, 3), 3),
                make_overlay(make_process(PARK, 3), load_script(str(script), PARK), start_us),
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


async def samples_of(database, wanted, until_us, seconds=60.0):
    """Return times and values of some tags in their own uom, when the last of them has come."""
    end = time.monotonic() + seconds
    while True:
        connection = await asyncpg.connect(database)
        found = await connection.fetch(
            "SELECT enterprise || '/' || tag AS name, value,"
            " (extract(epoch FROM time) * 1000000)::bigint AS at FROM park.sample_named"
            " WHERE enterprise || '/' || tag = ANY($1) ORDER BY time",
            wanted,
        )
        await connection.close()
        rows = {name: [(r["at"], r["value"]) for r in found if r["name"] == name]
                for name in wanted}  # fmt: skip
        newest = [rows[name][-1][0] for name in wanted if rows[name] and name != "xinfa/FI-1204"]
        if len(newest) == len(wanted) - 1 and min(newest) >= until_us - 10 * S:
            return rows
        assert time.monotonic() < end, {name: len(row) for name, row in rows.items()}
        await asyncio.sleep(0.3)
