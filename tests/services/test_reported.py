"""What a data logger reports of its hours, from HJ 212 packets to what stands next to ours."""

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from ingest.routing.decode import Limits, decode
from ingest.routing.topics import Message, TopicTable
from ingest.wire import hj212
from simulators.gateways.gateways import make_gateways, with_gateways
from tests.ingest.wire.test_hj212 import PACKETS, data
from tests.support.data import data_text
from tests.support.playback import play
from tests.support.small_park import FILES, rows_of, serving
from tests.support.stored import cycling
from twin.arrays import DAY_US
from twin.loading import parse_park

TOPIC = "hj212/v1/demo/acme/cems"
OUTLETS = data_text("demo/outlets.toml")
# The flow of the furnace has a name of the logger's own, and the uom of its tag.
LOGGER = data_text("demo/logger.toml")
HOURLY = ("AT-1H", "AT-2H", "AT-3H", "WT-1H", "WT-2H", "WT-3H")
GAPS = "".join(f'[[gap]]\ntag = "acme/{tag}"\ngap = "1 h"\n' for tag in HOURLY)
TAGS = "".join(
    f"{tag},demo/acme,{cells},,one of a logger\n"
    for tags, cells in (
        (("FT-A", "FT-F"), "normal_volume_flow,m^3/h,gauge,0,360000"),
        (("AT-X",), "fraction,%,gauge,0,25"),
        (("AT-1", "AT-2", "AT-3", *HOURLY[:3]), "concentration,mg/m^3,gauge,0,200"),
        (HOURLY[3:], "mass,kg,gauge,0,100"),
    )
    for tag in tags
)
PARK = parse_park(
    {
        "park.toml": FILES["park.toml"] + OUTLETS + LOGGER + GAPS,
        "tags.csv": FILES["tags.csv"] + TAGS,
    }
)
OWN = {"a00000": 3.6, "furnace": 187_200, "a19001": 8, "a21022": 1.75, "a21026": 28, "a21002": 40}


def at(clock):
    moment = datetime(2025, 11, 22, *clock, tzinfo=ZoneInfo("Asia/Shanghai"))
    return round(moment.timestamp()) * 1_000_000


def own(hour, **displayed):
    """Return the real-time packets of an hour, one each minute up to the next hour's first."""
    cp = ";".join(f"{code}-Rtd={value},{code}-Flag=N" for code, value in (OWN | displayed).items())
    times = [(hour, minute) for minute in range(60)] + [(hour + 1, 0)]
    return [hj212.encode(data("2011", f"DataTime=20251122{h:02d}{m:02d}00;{cp}")) for h, m in times]


async def told(database, packets, now_us, park=PARK):
    """Store what a logger has sent."""
    async with cycling(database, park, at((8, 0))) as cycle:
        await cycle.run([Message(TOPIC, packet, now_us, 0, 0, 0) for packet in packets], now_us)
        # Nobody sends any more, so that the clock closes the minutes there are.
        await cycle.run([], now_us + 600_000_000)


async def asked(database, now_us, until, window="hour"):
    """Return the rows from 08:00 on by outlet, pollutant and the hour they begin in."""
    query = {"from": "2025-11-22T08:00:00+08:00", "to": f"2025-11-22T{until}:00:00+08:00"}
    async with serving(database, now=now_us) as (client, _):
        result = await rows_of(client, "demo/acme/emissions", window=window, **query)
    rows = {(row["outlet"], row["pollutant"], row["start"][11:13]): row for row in result["items"]}
    return {key: row for key, row in rows.items() if key[0] != "boiler-stack"}


async def test_an_hour_of_the_standards_packets_stands_next_to_ours(database):
    now_us = at((9, 0))
    await told(database, [*own(8), *PACKETS[2:4]], now_us)
    rows = await asked(database, now_us + 600_000_000, "09")
    chlorine = rows["absorber", "Cl2", "08"]
    assert (chlorine["concentration_mg_m3"], chlorine["reported_mg_m3"]) == (1.75, 1.8)
    assert chlorine["mass_kg"] == pytest.approx(1.75e-6 * 3.6 * 3600, rel=1e-9)
    assert chlorine["reported_kg"] == 0.023
    assert chlorine["reported_difference"] == pytest.approx(1.8 / 1.75 - 1, rel=1e-6)
    assert chlorine["reported_mass_difference"] == pytest.approx(0.023 / 0.02268 - 1, rel=1e-6)
    sulphur = rows["furnace", "SO2", "08"]
    assert sulphur["corrected_mg_m3"] == pytest.approx(32.31, rel=1e-4)  # ZsAvg
    assert (sulphur["reported_mg_m3"], sulphur["reported_difference"]) == (28.0, 0.0)
    assert sulphur["mass_kg"] == pytest.approx(28e-6 * 52 * 3600, rel=1e-9)
    assert sulphur["reported_mass_difference"] == pytest.approx(5.2 / 5.2416 - 1, rel=1e-6)
    # Its flag says that the analyser was being calibrated.
    nitrogen = rows["furnace", "NOx", "08"]
    assert nitrogen["concentration_mg_m3"] == 40.0
    assert [value for key, value in nitrogen.items() if "reported" in key] == [None] * 4


async def test_a_difference_is_of_the_hours_that_both_have(database):
    now_us = at((11, 0))
    hours = [
        hj212.encode(data("2061", f"DataTime=20251122{hour}0000;a21022-Cou=0.03,a21022-Avg={mean}"))
        for hour, mean in (("08", 2.1), ("09", 2.5))
    ]
    # At nine the analyser shows nothing that can be used, and of ten the logger says nothing.
    packets = [*own(8)[:-1], *own(9, a21022="-"), *own(10, a21022=1.25), *hours]
    await told(database, packets, now_us)
    rows = await asked(database, now_us + 600_000_000, "11")
    result = [rows["absorber", "Cl2", hour] for hour in ("08", "09", "10")]
    assert [row["reported_mg_m3"] for row in result] == [2.1, 2.5, None]
    assert [row["reported_kg"] for row in result] == [0.03, 0.03, None]
    assert [row["reported_difference"] for row in result] == [pytest.approx(0.2), None, None]
    (shift,) = (
        row
        for key, row in (await asked(database, now_us + 600_000_000, "16", "shift")).items()
        if key[:2] == ("absorber", "Cl2")
    )
    assert shift["concentration_mg_m3"] == pytest.approx(1.5)
    assert shift["reported_mg_m3"] == pytest.approx(2.3)
    assert shift["reported_kg"] == pytest.approx(0.06)
    assert shift["reported_difference"] == pytest.approx(2.1 / 1.75 - 1)
    assert shift["reported_mass_difference"] == pytest.approx(0.03 / (1.75e-6 * 3.6 * 3600) - 1)


def test_simulated_logger_says_of_an_hour_the_mean_of_what_it_has_shown():
    rows = [{"enterprise": "acme", "id": "stacks", "format": "hj212", "tags": ["AT-*"]}]
    logger = next(g for g in make_gateways(PARK, rows) if g.id == "stacks")
    minute_us = 60_000_000
    nothing_us = at((8, 59))

    def shown(time_us):
        values = time_us[:, None] // minute_us % 60 + np.arange(len(PARK.tags)) / 4
        values[time_us == nothing_us] = np.nan
        return values

    times = at((8, 1)) + np.arange(61) * minute_us
    sent = [*play([logger], shown, times, minute_us, 1)]
    packets = [p for _, _, payload in sent for p in hj212.Framer().feed(payload)]
    assert [p.cn for p in packets] == ["2011"] * 60 + ["2061", "2011"]
    assert len({p.qn for p in packets}) == len(packets)
    park = with_gateways(PARK, [logger])
    messages = [Message(topic, payload, when, 0, 0, 0) for when, topic, payload in sent]
    taken = decode(TopicTable(park, park.tags), messages, Limits(9999, 0, 400 * DAY_US)).samples
    tags = [park.tags[i].tag for i in taken.tag.tolist()]
    hourly = {
        tag: (time_us, value)
        for tag, time_us, value in zip(tags, taken.time_us.tolist(), taken.value, strict=True)
        if tag.endswith("H")
    }
    path = {tag.tag: i for i, tag in enumerate(PARK.tags)}
    # The last minute of the hour showed nothing: the mean of 0 to 58 is 29.
    assert hourly == {
        f"{tag}H": (at((8, 0)), pytest.approx((29 + path[tag] / 4) * 1e-6))
        for tag in ("AT-1", "AT-2", "AT-3")
    }
