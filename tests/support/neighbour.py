"""The small park with a neighbour: an enterprise that has what acme has, and keeps all of it.

What is the neighbour's alone depends on a factor: every figure of its model and every value. Two
parks with different factors differ in nothing that anybody else may know. Its texts have a mark.
PYTEST_DONT_REWRITE: tests import it by name.
"""

import json
import re

import numpy as np

from tests.support.data import data_text
from tests.support.small_park import (
    BEGIN,
    END,
    HOUR,
    TAGS_CSV,
    S,
    add_minutes,
    add_samples,
    fill,
    make_park,
    roll_up,
    stamp,
)

MARK = "zq7secret"  # in every text of the neighbour
# The month of a value of the books, on the clock of the park.
MAY, JUNE = 1_746_028_800_000_000, 1_748_707_200_000_000
# What of a row of the model is a figure, and no name.
FIGURES = {
    "cells", "capacity", "diameter", "length", "density", "fill_limit", "permit", "annual",
    "value", "limit", "price", "design", "typical", "disposal_cost", "persons", "distance",
    "current_efficiency", "substances",
}  # fmt: skip
NUMBER = re.compile(r"(?<![\w.^-])\d+(?:\.\d+)?(?![\w.])")
# Rows that others name; a product is named within its scope.
NAMED = re.compile(r'(?m)^((?:id|stream|tank|measured) = ")([^"/]+)"')
SHARED = ("[[product]]", "[[byproduct]]")
MORE_TOML = """
[[book]]
tag = "acme/B-1"
period = "month"
[[baseline]]
id = "power"
scope = "demo/acme/caustic"
carrier = "electricity"
product = "caustic"
tags = ["acme/TT-1"]
start = 2025-05-01
until = 2025-06-01
name = { zh = "电耗", en = "Electricity" }
[[gateway]]
id = "cems"
scope = "demo/acme"
protocol = "hj212"
mn = "010000A8900016F000169DC0"
password = "123456"
[gateway.tags]
a21026-Rtd = "AT-901"
"""
MORE_CSV = """FT-20,demo/acme/vcm,mass_flow,t/h,gauge,0,20,1 %,acid made
FT-21,demo/acme/vcm,mass_flow,t/h,gauge,0,20,1 %,acid used
FT-22,demo/acme/vcm,mass_flow,kg/h,gauge,0,100,1 %,hydrogen received
B-1,demo/acme,mass,t,amount,0,1000,,caustic by the books
"""
MEAN = {
    "FT-20": 1.0, "FT-21": 0.3, "FT-22": 0.004, "FT-1301": 0.3, "FT-1304": 0.1, "FT-1203": 0.2,
    "FT-1303": 0.002, "LT-1301": 0.05, "LT-1401": 2.0,
}  # fmt: skip
TOML = data_text("demo/park.toml") + "".join(
    data_text(f"demo/{name}.toml") for name in ("chlorine", "alarms", "catalogue")
)
CSV = data_text("demo/chlorine.csv") + MORE_CSV


def neighbour_park(factor, more=""):
    """Return the small park with a neighbour whose figures are those of acme times a factor."""
    toml = TOML + MORE_TOML + more
    blocks = re.split(r"(?m)^(?=\[\[)", toml)[1:]
    copied = [_copied(each, factor) for each in blocks
              if "acme" in each and not each.startswith(("[[transfer]]", "[[haul]]"))]  # fmt: skip
    rows = [row for row in (TAGS_CSV + CSV).splitlines()[1:] if "/acme" in row]
    others = "".join(_other_tag(row, factor) for row in rows)
    return make_park(toml + "".join(copied), CSV + others, MEAN)


def _copied(block, factor):
    """Return a row of the model as the neighbour has it."""
    text = block.replace("acme", "other").replace("169DC0", "169DC1")
    if not block.startswith(SHARED):
        text = NAMED.sub(r'\1n-\2"', text)
    if block.startswith("[[resource]]"):
        # Usually the members of a park know it.
        text = re.sub("confidentiality = .*\n", "", text)
        text = text.replace("category", 'confidentiality = "private"\ncategory', 1)
    lines = [_scaled(line, factor) if line.partition(" ")[0] in FIGURES else line
             for line in text.splitlines(keepends=True)]  # fmt: skip
    return "".join(lines)


def _scaled(text, factor):
    return NUMBER.sub(lambda match: f"{float(match[0]) * factor:.6g}", text)


def _other_tag(row, factor):
    cells = row.replace("acme", "other").split(",")
    cells[6] = cells[6] and f"{float(cells[6]) * factor:.6g}"
    return ",".join(cells) + "\n"


async def fill_with_neighbour(db, factor, more=""):
    """Store the park with its neighbour, whose values are acme's times a factor, and its rows."""
    small = neighbour_park(factor, more)
    ids = await fill(db, small)
    times = np.arange(BEGIN, END, 60 * S)
    for name, mean in {**small.mean, "LT-1": 1.3, "JQ-1": 1e12}.items():
        value = mean if name == "XS-901" else mean * factor
        amount = value * 60 if name != "JQ-1" else 7.5e8 * factor
        tag_id = ids[f"other/{name}"]
        await add_minutes(db, tag_id, times, lambda _, a=amount: a, lambda _, v=value: v)
        await add_samples(db, tag_id, [END], [value])
    await roll_up(db)
    early, late = stamp(END - HOUR), stamp(END - 60 * S)
    rows = (*_unread(factor, early, late), *_findings(ids, factor, early, late))
    for table, row in (*rows, *_orders(ids, factor, early, late)):
        columns = ", ".join(row)
        numbers = ", ".join(f"${n}" for n in range(1, len(row) + 1))
        await db.execute(f"INSERT INTO {table} ({columns}) VALUES ({numbers})", *row.values())
    return ids


def _unread(factor, early, late):
    """Yield table and columns of what the neighbour's gateways sent, and how they are."""
    number, count = 7.3 * factor, round(1000 * factor)
    names = {"value": number, "low": number, "high": number, "times": count, "uom": ""}
    payload = f'{{"{MARK}": {number}}}'.encode()
    topic = f"park/v1/demo/other/{MARK}"
    held = {"enterprise": "other", "tag": f"NZ-{MARK}", "reason": "unknown_tag"}
    seen = {"first_seen": early, "last_seen": late}
    sent = {"topic": topic, "payload": payload, "size": len(payload)}
    yield "quarantine", {
        **held, **seen, "topic": topic, "count": count, "last_time": late, "last_value": number,
    }  # fmt: skip
    yield "quarantine_sample", {
        **held, "time": late, "value": number, "quality": 0, "uom": "", "received": late,
    }  # fmt: skip
    yield "reject", {
        **sent, "received": late, "reason": "bad_value", "detail": f"{MARK} is {number}",
        "enterprise": "other",
    }  # fmt: skip
    yield "contact", {
        **sent, **seen, "id": 1, "address": topic, "protocol": "json", "mn": "",
        "presets": '["flat"]', "reason": "unknown_gateway", "count": count, "unlisted": 0,
        "names": json.dumps([{"name": f"{MARK}-tag", **names}]),
    }  # fmt: skip
    yield "gateway", {
        "enterprise": "other", "gateway": f"gw-{MARK}", "topic": topic, "first_heard": early,
        "last_heard": late, "messages": count, "samples": count, "rejected": 1, "duplicates": 2,
        "late": 3, "dropped": 0, "pause_s": number, "delay_s": number, "skew_s": number,
        "silent": False, "skewed": True, "runaway": False,
    }  # fmt: skip


def _findings(ids, factor, early, late):
    """Yield table and columns of what was noticed of the neighbour's values, and its alarms."""
    flow, meter = ids["other/FT-1"], ids["other/JQ-1"]
    number, count = 7.3 * factor, round(1000 * factor)
    span = {"since": early, "last": late}
    yield "detection", {
        "time": late, "since": early, "component": "chlorine", "streams": ["n-cl2-vcm"],
        "leaks": [], "bias": number, "test": number, "shape": "drift", "rate": number,
    }  # fmt: skip
    yield "held_back", {
        "component": "chlorine", "since": early, "until": late, "minutes": 7,
        "streams": ["n-cl2-vcm"], "test": number,
    }  # fmt: skip
    yield "unit_error", {
        **span, "tag_id": flow, "samples": count, "factor": number, "shift": 0.0, "level": number,
        "spread": number, "state": "open",
    }  # fmt: skip
    yield "register_fall", {
        "tag_id": meter, "since": early, "time": late, "before": number * 1e9, "after": 1.0,
    }  # fmt: skip
    yield "alarm", {
        "alarm": "n-flow", "tag_id": flow, "priority": "high", "limit_value": number,
        "state": "acknowledged", "since": early, "value": number, "who": MARK, "reason": MARK,
    }  # fmt: skip
    yield "alarm", {
        "alarm": "flow", "tag_id": ids["acme/FT-1"], "priority": "high", "limit_value": 5.0,
        "state": "unacknowledged", "since": early, "value": 5.0,
    }  # fmt: skip
    yield "alarm_event", {
        "time": late, "recorded": late, "alarm": "n-flow", "before": "unacknowledged",
        "after": "acknowledged", "value": number, "quality": 0, "who": MARK, "reason": MARK,
    }  # fmt: skip
    yield "correction", {
        "tag_id": flow, "time": late, "old_value": number, "old_quality": 0, "old_received": late,
        "corrected": late,
    }  # fmt: skip
    yield "restatement", {"created": late, "tag_id": flow, "start": early, "stop": late}


def _orders(ids, factor, early, late):
    """Yield table and columns of what the neighbour's people entered."""
    number = 7.3 * factor
    written = {"recorded": late, "recorded_by": MARK, "command": 1}
    yield "book", {
        **written, "tag_id": ids["other/B-1"], "start": stamp(MAY), "stop": stamp(JUNE),
        "version": 1, "value": number, "entered": number, "uom": "t", "evidence": MARK,
        "note": MARK,
    }  # fmt: skip
    yield "baseline_adjustment", {
        **written, "baseline": "n-power", "version": 1, "start": early, "stop": late,
        "amount": number * 1e9, "reason": MARK, "evidence": MARK,
    }  # fmt: skip
    yield "command", {
        "kind": "book.enter", "created": early, "done": late, "error": f"{MARK} {number}",
        "body": json.dumps({"by": MARK, "rows": []}),
    }  # fmt: skip
