"""One corrected sample in a month that is over: the figures that change, and all that may not."""

import json
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from api.app import create_app
from api.calculation.inline import ask
from api.explanation.replay import Deadline, InputChange, Notes, RememberingStore, TagKey
from api.reports.compare import changed_figures
from api.reports.document import figures_of
from api.settings import ApiSettings
from ingest.routing.topics import Message
from tests.support.small_park import FILES, MEAN, NETWORK, S, level
from tests.support.stored import cycling
from tests.support.waiting import until
from twin.loading import parse_park

MONTH = "/api/v1/reports/park/demo?period=2025-06"
# The park has data in two hours of three days; the month is asked for when it is over.
DAYS = [datetime.fromisoformat(f"2025-06-{day}T08:00:00+08:00") for day in ("11", "12", "13")]
HOURS = 2
AT = DAYS[1].replace(hour=9, minute=30)
NOW = round(datetime.fromisoformat("2025-07-02T06:00:00+08:00").timestamp()) * S
TOPIC = "park/v1/demo/acme/gw1"
KWH_PER_MINUTE = 208.0


def us(time):
    return round(time.timestamp()) * S


def values_at(minute, time_us):
    """Return what a gateway says at a minute of the month, in the units of its tags."""
    tags = {tag.tag: tag for tag in NETWORK.tags if tag.source == "measured"}
    values = {n: (mean - tags[n].shift) / tags[n].scale for n, mean in MEAN.items()}
    # Like in a plant nothing is quite steady, so that each sample counts.
    values = {n: v * (1 + 0.01 * np.sin(minute / 7 + len(n))) for n, v in values.items()}
    return values | {"LT-1": level(time_us) % 2 + 0.3, "JQ-1": KWH_PER_MINUTE * minute, "XS-901": 1}


def message(time_us, values, received_us):
    body = json.dumps({"ts": time_us // 1000, "values": values}).encode()
    return Message(TOPIC, body, received_us, 0, 0, 0)


@pytest.fixture
async def month(database, db):
    """A month of samples that ingest has taken, and what sends it a late one of a tag."""
    async with cycling(database, parse_park(FILES), us(DAYS[0])) as cycle:
        minute = 0
        for day in DAYS:
            came = []
            for time_us in range(us(day), us(day) + HOURS * 3600 * S, 60 * S):
                minute += 1
                came.append(message(time_us, values_at(minute, time_us), time_us + S))
            await cycle.run(came, came[-1].received_us)
        await cycle.run([], us(DAYS[-1]) + 4 * 3600 * S)

        async def correct(tag, factor):
            minute = 1 + HOURS * 60 + (us(AT) - us(DAYS[1])) // (60 * S)
            value = values_at(minute, us(AT))[tag] * factor
            await cycle.run([message(us(AT), {tag: value}, NOW)], NOW)

        yield correct


async def document_of(app):
    answer = await ask(app, MONTH)
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def windows_of(document):
    """Return the window of each figure of a report, tables and charts, by its address."""
    result = {}
    for section in document["sections"]:
        for block in section["blocks"]:
            if block["type"] == "chart":
                ends = [*block["starts"][1:], document["end"]]
                for series in block["series"]:
                    for pointer, *window in zip(series["pointers"], block["starts"], ends,
                                                strict=True):  # fmt: skip
                        result[f"{block['address']}#{pointer}"] = window
    return result | {f["address"]: [f["start"], f["end"]] for _, f in figures_of(document)}


async def moved_document(app, tag_ids):
    """Return the report as all readings of some tags would make it, each moved by a millionth."""
    context = app.state.context
    change = InputChange(moved=frozenset(map(TagKey, tag_ids)))
    store = RememberingStore(context).with_change(change, Notes(), Deadline(600.0))
    app.state.context = replace(context, store=store)
    document = await document_of(app)
    app.state.context = context
    return document


async def test_a_corrected_sample_changes_what_rests_on_its_tag(database, month, db):
    settings = ApiSettings(database_url=database, value_completeness=0.001)
    app = create_app(settings, lambda: NOW, inline=True)
    async with app.router.lifespan_context(app):
        await until(lambda: app.state.context.feed.loaded)
        before = await document_of(app)
        for tag in ("FT-3", "FT-5"):
            await db.execute("TRUNCATE restatement")
            await month(tag, 1.2)
            after = await document_of(app)
            assert before["digest"] != after["digest"]
            # The next report says whose sums were made anew.
            assert f"acme/{tag}" in {each["tag"] for each in after["restated"]}
            rows = await db.fetch("SELECT DISTINCT tag_id FROM restatement")
            moved = await moved_document(app, [row["tag_id"] for row in rows])
            changed = {each["address"] for each in changed_figures(before, after)}
            resting = {each["address"] for each in changed_figures(after, moved)}
            assert changed == resting & touched(before)
            assert 0 < len(changed) < len(windows_of(before)) / 2
            before = after


def touched(document):
    """Return the addresses of the figures in whose windows the corrected sample is."""
    return {
        address
        for address, (start, end) in windows_of(document).items()
        if datetime.fromisoformat(start) <= AT < datetime.fromisoformat(end)
    }
