"""Data loggers as other people's programs send, over TCP to the running `ingest`."""

import asyncio
import itertools
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from deploy.service import HOST, free_port
from ingest.wire import hj212
from tests.support.programs import running
from tests.support.stored import query
from tests.support.waiting import until

MN = "81700000000013"
NUMBERS = itertools.count(1)
GATEWAY = f"""
[[gateway]]
id = "cems-1"
scope = "acmepark/acme"
protocol = "hj212"
mn = "{MN}"
password = "123456"
tags = {{ "a21022-Rtd" = "FT-1", "2051.a01012-Avg" = "TT-1", "2051.a21022-Avg" = "FT-1" }}
uoms = {{ a21022 = "t/h" }}
"""
STORED = (
    "SELECT tag, value, quality FROM sample_named WHERE enterprise = 'acme' AND tag LIKE '_T-1'"
    " ORDER BY tag, time"
)


class Logger:
    """A connection that waits for the answer to each request before it sends the next."""

    def __init__(self, reader, writer):
        self._reader, self._writer = reader, writer

    async def ask(self, *packets):
        """Send packets at once; return command and number of each answer."""
        self._writer.write(b"".join(packets))
        answers = []
        async with asyncio.timeout(15):
            framer = hj212.Framer()
            while len(answers) < len(packets):
                answers += framer.feed(await self._reader.read(1000))
        return [(answer.cn, answer.qn) for answer in answers]


@asynccontextmanager
async def calling(services, database, park_folder, tmp_path):
    """Run ingest with a port for data loggers, and call it."""
    file = park_folder / "park.toml"
    file.write_text(file.read_text(encoding="utf-8") + GATEWAY, encoding="utf-8")
    port = free_port()
    environment = {
        "PARKTWIN_DATABASE_URL": database,
        "PARKTWIN_MQTT_URL": services.mqtt_url,
        "PARKTWIN_PARK": str(park_folder),
        "PARKTWIN_CLIENT_ID": f"test-loggers-{next(NUMBERS)}",
        "PARKTWIN_HJ212_HOST": HOST,
        "PARKTWIN_HJ212_PORT": str(port),
    }

    async def connected():
        try:
            return await asyncio.open_connection(HOST, port)
        except OSError:
            return None

    with (tmp_path / "ingest.log").open("w") as log:
        async with running("ingest", environment, log):
            reader, writer = await until(connected, 60)
            yield Logger(reader, writer)
            writer.close()


def clock(ahead_s=0.0):
    """Return the time of the park, in milliseconds as a request number has it."""
    moment = datetime.now(ZoneInfo("Asia/Shanghai")) + timedelta(seconds=ahead_s)
    return f"{moment:%Y%m%d%H%M%S}{moment.microsecond // 1000:03d}"


async def kept(database):
    """Return the stored values, the refused and the messages of the logger."""
    ((rejects,),) = await query(database, "SELECT count(*) FROM reject")
    return await query(database, STORED), rejects


def plain(text, size=None):
    """Return a packet without a line end; the length counts characters."""
    segment = text.encode()
    return b"##%04d%s%04X" % (len(text), segment, hj212.crc(segment))


REQUESTS = (
    ("9015", "9013", "9", ""),
    ("2081", "9014", "9", "DataTime={now};RestartTime={now}"),
    (
        "2011",
        "9014",
        "9",
        "DataTime={now};a21022-SampleTime={now},a21022-Rtd=1.8,a21022-EFlag=A01;a21024-Rtd=",
    ),
    ("3020", "9014", "9", "DataTime={now};PolId =a21022;i11001-Info=//分析仪清洗完成；A=1//"),
    ("2051", "9014", "11;PNUM=2;PNO=1", "DataTime={minute};a01012-Avg=36.5,a01012-Flag=N"),
    ("2051", "9014", "11;PNUM=2;PNO=2", "DataTime={minute};a21022-Avg=,a21022-Flag=D"),
)


async def test_program_that_sends_no_line_end_and_counts_characters(
    services, database, park_folder, tmp_path
):
    """Rebuilt from the requests of caoyiliang/HJ212 (C#, 2025 edition, CR and LF switched off).

    It waits for 9013 after a heartbeat, for 9014 after each part, writes nothing for a value it
    does not have, a blank behind PolId, and a log in UTF-8 with its length in characters.
    """
    async with calling(services, database, park_folder, tmp_path) as logger:
        for cn, expected, flag, cp in REQUESTS:
            qn, minute = clock(), clock(-60)[:14]
            head = f"QN={qn};ST=31;CN={cn};PW=123456;MN={MN};Flag={flag};CP=&&"
            text = head + cp.format(now=qn[:14], minute=minute) + "&&"
            assert await logger.ask(plain(text)) == [(expected, qn)]
        values, rejects = await kept(database)
    assert [tag for tag, *_ in values] == ["FT-1", "FT-1", "TT-1"]
    assert values[0][2] >= 128
    assert [value for _, value, _ in values[1:]] == [1.8, 36.5]
    assert rejects == 0


async def test_program_that_sends_flags_first_and_all_parts_at_once(
    services, database, park_folder, tmp_path
):
    """Rebuilt from the requests of srdgame/lua-HJ212 (Lua, 2017 edition).

    It writes the fields of a code in the order of the alphabet, so that a flag stands in front of
    its value, the time in each part, and adds the number of the part to the number of the request.
    """
    async with calling(services, database, park_folder, tmp_path) as logger:
        base = int(clock()) // 1000 * 1000
        cps = (
            "DataTime={0};a01012-Avg=36.5,a01012-Flag=N,a01012-Max=37.0,a01012-Min=36.0",
            "DataTime={0};a21022-Avg=2.5,a21022-Flag=C,a21022-Max=2.6,a21022-Min=2.4",
        )
        requests = [(f"{base + number}", number, cp) for number, cp in enumerate(cps, start=1)]
        packets = [
            hj212.encode(hj212.Packet(qn, "31", "2051", "123456", MN, 7, cp.format(qn[:14]), 2, n))
            for qn, n, cp in requests
        ]
        assert await logger.ask(*packets) == [("9014", qn) for qn, _, _ in requests]
        values, rejects = await kept(database)
    assert [(tag, value) for tag, value, _ in values] == [("FT-1", 2.5), ("TT-1", 36.5)]
    assert [quality >= 128 for *_, quality in values] == [True, False]
    assert rejects == 0
