"""Alarms leave the control room: what is told to whom, what is tried again, what nobody hears."""

import asyncio
import email
import email.policy
import json
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from aiosmtpd.smtp import SMTP

from ingest.counters import Counters, own_tags
from ingest.notification.delivery import signature
from ingest.notification.notifier import Notifier
from ingest.settings import IngestSettings
from tests.support.waiting import until
from twin import quality as q
from twin.accounts.network import compile_network
from twin.alarms.notices import NotifySpec
from twin.alarms.rules import park_alarms
from twin.errors import ModelError, SettingsError
from twin.loading import load_park

ALARMS = """
[[alarm]]
id = "flow"
tag = "acme/FT-1"
limit = "90 t/h"
direction = "high"
priority = "high"
name = { zh = "流量高", en = "Flow is high" }
cause = { zh = "阀门卡死", en = "The valve is stuck" }
consequence = { zh = "储罐充满", en = "The tank fills up" }
response = { zh = "关闭手动阀", en = "Close the hand valve" }
[[alarm]]
id = "hot"
tag = "acme/TT-1"
limit = "100 degC"
direction = "high"
priority = "critical"
[[alarm]]
id = "other"
tag = "other/FT-9"
limit = "90 t/h"
direction = "high"
priority = "low"
"""
SECRET = "a secret of both sides"  # noqa: S105
VALUE = {"flow": 95.0 / 3.6, "hot": 373.15 + 12.0, "other": 30.0}  # SI


class Receiver:
    """A small HTTP server: it keeps what comes and answers with a status."""

    def __init__(self):
        self.taken, self.status = [], "204 No Content"

    async def serve(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        fields = dict(line.split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(fields["Content-Length"]))
        self.taken.append((head[0], fields, body))
        writer.write(f"HTTP/1.1 {self.status}\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()

    @property
    def alarms(self):
        return [[each["id"] for each in json.loads(body)["alarms"]] for _, _, body in self.taken]


@asynccontextmanager
async def receiver():
    one = Receiver()
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook?room=1"
    try:
        yield one
    finally:
        server.close()


class Box:
    """What a mail server has taken; it may refuse the first ones."""

    def __init__(self):
        self.mails, self.refused, self.commands = [], 0, []

    async def handle_AUTH(self, server, session, envelope, given):  # noqa: N802
        self.commands.append(given)
        return "235 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        if self.refused:
            self.refused -= 1
            return "451 try again later"
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.mails.append((envelope, mail))
        return "250 OK"


@asynccontextmanager
async def mail_server():
    box = Box()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(box, hostname="mail.example", loop=loop), "127.0.0.1", 0
    )
    box.url = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield box
    finally:
        server.close()


@pytest.fixture
def duty(park_folder):
    """Return what writes a row of [[notify]] into the small park and returns the model."""
    file = park_folder / "park.toml"
    text = file.read_text(encoding="utf-8") + ALARMS

    def write(kind, address, **columns):
        rows = {"id": "duty", "kind": kind, "address": [address], "language": "en"} | columns
        cells = "\n".join(f"{name} = {json.dumps(value)}" for name, value in rows.items())
        file.write_text(f"{text}\n[[notify]]\n{cells}\n", encoding="utf-8")
        return load_park(park_folder)

    return write


@asynccontextmanager
async def notifying(database, park, **settings):
    usual = {
        "notify_retry_s": 0.05,
        "notify_bundle_s": 0.0,
        "notify_secret": SECRET,
        "notify_from": "twin@park.example",
        "notify_console": "https://twin.example/",
    }
    counters = Counters()
    limits = IngestSettings(database_url=database, **usual | settings)
    notifier = Notifier(limits, counters)
    network = compile_network(park)
    notifier.follow(park, (*network.tags, *own_tags(network)))
    task = asyncio.create_task(notifier.run())
    try:
        yield notifier, counters
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.wait({task})


async def come(db, *alarms, quality=q.GOOD, ago_s=0.0, after="unacknowledged"):
    now = datetime.now(UTC)
    for alarm in alarms:
        await db.execute(
            "INSERT INTO alarm_event (time, recorded, alarm, before, after, value, quality)"
            " VALUES ($1, $2, $3, 'normal', $4, $5, $6)",
            now - timedelta(seconds=ago_s), now, alarm, after, VALUE[alarm], quality,
        )  # fmt: skip


async def row_of(db):
    return await db.fetchrow("SELECT * FROM notify WHERE id = 'duty'")


async def test_a_mail_says_value_limit_cause_and_response_in_the_language_of_the_row(
    database, db, duty
):
    async with mail_server() as box:
        park = duty("mail", "shift@park.example", language="zh")
        async with notifying(database, park, notify_smtp=f"smtp://{box.url}") as (_, counters):
            await until(lambda: db.fetchval("SELECT count(*) FROM notify"))
            await come(db, "flow")
            await until(lambda: box.mails and counters["notify.sent"])
    envelope, mail = box.mails[0]
    assert (envelope.mail_from, envelope.rcpt_tos) == ("twin@park.example", ["shift@park.example"])
    assert mail["Subject"].startswith("[高]")
    assert mail["Subject"].endswith("流量高")
    assert mail["Message-ID"].endswith("@park.example>")
    text = mail.get_content()
    for line in (
        "数值：95 t/h  acme/FT-1",
        "限值：≥ 90 t/h",
        "原因：阀门卡死",
        "后果：储罐充满",
        "处置：关闭手动阀",
        "https://twin.example/alarms?alarm=flow",
    ):
        assert line in text
    row = await row_of(db)
    assert (row["sent"], row["alarms"], row["owed"], row["problem"]) == (1, 1, [], "")


async def test_a_webhook_gets_a_signed_document_with_figures(database, db, duty):
    async with receiver() as one, notifying(database, duty("webhook", one.url)) as (_, counters):
        await until(lambda: db.fetchval("SELECT count(*) FROM notify"))
        await come(db, "flow", "other")
        await come(db, "hot", after="acknowledged")
        await until(lambda: one.taken and counters["notify.sent"])
    request, fields, body = one.taken[0]
    assert request == "POST /hook?room=1 HTTP/1.1"
    stamp = fields["X-Parktwin-Time"]
    assert fields["X-Parktwin-Signature"] == f"sha256={signature(SECRET, stamp, body)}"
    assert abs(float(stamp) - time.time()) < 60
    content = json.loads(body)
    # The low one and the acknowledged one are not for this row.
    (alarm,) = content["alarms"]
    assert (alarm["id"], alarm["value"], alarm["limit"]) == ("flow", pytest.approx(95.0), 90.0)
    assert (alarm["uom"], alarm["cause"], alarm["simulated"]) == (
        "t/h",
        "The valve is stuck",
        False,
    )
    assert content["message"] == fields["X-Parktwin-Message"]


async def test_a_flood_is_one_message_a_while_and_the_first_alarm_does_not_wait(database, db, duty):
    async with receiver() as one:
        park = duty("webhook", one.url, priorities=["critical", "high", "low"])
        settings = {"notify_bundle_s": 3.0, "notify_alarms": 4}
        async with notifying(database, park, **settings) as (notifier, _):
            await until(lambda: db.fetchval("SELECT count(*) FROM notify"))
            await come(db, "flow")
            await until(lambda: len(one.taken) == 1)
            await come(db, *["other"] * 20, "hot")
            await until(lambda: notifier.owed == 21)
            await until(lambda: len(one.taken) == 2)
    assert one.alarms == [["flow"], ["hot", "other", "other", "other"]]
    content = json.loads(one.taken[1][2])
    assert content["more"] == 17
    assert "21 alarms" in content["title"]
    assert "17 more are in the console" in content["text"]


async def test_what_was_not_taken_is_tried_again_also_by_the_next_process(database, db, duty):
    async with receiver() as one:
        one.status = "503 Busy"
        park = duty("webhook", one.url)
        async with notifying(database, park) as (_, counters):
            await until(lambda: db.fetchval("SELECT count(*) FROM notify"))
            await come(db, "flow")
            await until(lambda: counters["notify.failed"] >= 2)
        row = await row_of(db)
        assert (len(row["owed"]), row["problem"]) == (1, "the answer is 503 Busy")
        one.status = "200 OK"
        before = len(one.taken)
        async with notifying(database, park) as (_, counters):
            await until(lambda: counters["notify.sent"])
        assert one.alarms[before:] == [["flow"]]
        assert json.loads(one.taken[0][2])["message"] == json.loads(one.taken[-1][2])["message"]


async def test_a_mail_that_is_refused_for_now_comes_later(database, db, duty):
    async with mail_server() as box:
        box.refused = 1
        park = duty("mail", "shift@park.example")
        async with notifying(database, park, notify_smtp=f"smtp://{box.url}") as (_, counters):
            await until(lambda: db.fetchval("SELECT count(*) FROM notify"))
            await come(db, "hot")
            await until(lambda: counters["notify.sent"])
    assert (counters["notify.failed"], len(box.mails)) == (1, 1)
    assert "112 °C" in box.mails[0][1].get_content()


async def test_a_password_is_not_sent_without_tls(database, db, duty):
    async with mail_server() as box:
        park = duty("mail", "shift@park.example")
        url = f"smtp://twin:secret@{box.url}"
        async with notifying(database, park, notify_smtp=url) as (_, counters):
            await until(lambda: db.fetchval("SELECT count(*) FROM notify"))
            await come(db, "hot")
            await until(lambda: counters["notify.failed"])
    assert "STARTTLS" in (await row_of(db))["problem"]
    assert (box.commands, box.mails) == ([], [])


async def test_who_is_missing_in_the_settings_is_named(database, db, duty):
    async with receiver() as one:
        park = duty("webhook", one.url)
        async with notifying(database, park, notify_secret="") as (_, counters):
            await until(lambda: db.fetchval("SELECT count(*) FROM notify"))
            await come(db, "flow")
            await until(lambda: counters["notify.failed"])
        assert "PARKTWIN_NOTIFY_SECRET" in (await row_of(db))["problem"]
        assert one.taken == []


async def test_simulated_old_and_too_many_alarms_are_not_told(database, db, duty):
    async with receiver() as one:
        one.status = "500 Broken"
        park = duty("webhook", one.url)
        async with notifying(database, park, notify_queue=2) as (notifier, counters):
            await until(lambda: db.fetchval("SELECT count(*) FROM notify"))
            await come(db, "flow", quality=q.SIMULATED)
            await come(db, "flow", ago_s=13 * 3600)
            await come(db, "flow", "hot", "flow", "hot", "flow")
            await until(lambda: counters["notify.dropped"])
            one.status = "200 OK"
            await until(lambda: counters["notify.sent"])
            assert notifier.owed == 0
    assert counters["notify.simulated"] == 1
    assert (counters["notify.dropped"], counters["notify.alarms"]) == (3, 2)


async def test_alarms_before_the_row_was_there_are_not_told(database, db, duty):
    async with receiver() as one:
        await come(db, "hot")
        async with notifying(database, duty("webhook", one.url)) as (_, counters):
            await until(lambda: db.fetchval("SELECT count(*) FROM notify"))
            await come(db, "flow")
            await until(lambda: counters["notify.sent"])
    assert one.alarms == [["flow"]]


@pytest.mark.parametrize(
    ("kind", "address", "columns", "text"),
    [
        ("mail", "no address", {}, "is no mail address"),
        ("webhook", "ftp://host/x", {}, "is no address like https"),
        ("webhook", "https://user:secret@host/x", {}, "user and password do not belong"),
        ("webhook", "https://host/", {"scopes": ["acmepark/none"]}, "there is no scope"),
        ("mail", "a@b", {"from": "08:00", "to": "08:00"}, "the same time"),
    ],
)
def test_a_row_that_tells_nobody_is_a_problem_of_the_model(duty, kind, address, columns, text):
    with pytest.raises(ModelError) as raised:
        duty(kind, address, **columns)
    assert any(text in problem for problem in raised.value.problems)


def test_a_night_goes_over_midnight_and_a_scope_has_all_below_it(duty):
    columns = {"from": "22:00", "to": "06:00", "scopes": ["acmepark/acme"]}
    park = duty("mail", "night@park.example", priorities=["high", "low"], **columns)
    (row,) = park.rows(NotifySpec)
    alarms = {alarm.id: alarm for alarm in park_alarms(park, park.tags)}
    assert [row.hears(alarms["flow"], hour * 60) for hour in (0, 5, 6, 21, 22)] == [
        True, True, False, False, True,
    ]  # fmt: skip
    assert not row.hears(alarms["other"], 0)
    assert not row.hears(alarms["hot"], 0)


def test_a_mail_server_is_an_address_of_smtp():
    with pytest.raises(SettingsError):
        IngestSettings(notify_smtp="http://mail.example")
