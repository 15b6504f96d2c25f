"""The log: text or JSON, of one kind so many lines in a minute, and a count of the others."""

import io
import json
import logging
import subprocess
import sys

import pytest

from deploy import logs
from twin.errors import SettingsError

PROGRAM = """
import logging
from deploy.logs import say, start_logging
from twin.errors import ParkError
from twin.program import run_program

def work():
    start_logging("ingest")
    log = logging.getLogger("ingest.cycle")
    for number in range(50):
        log.warning("%s 不来; the cycle is tried again", number)
    logging.getLogger("httpx").info("GET / 200")
    try:
        secret = 1 / 0
    except ZeroDivisionError:
        log.exception("a message of %s is refused", "park/v1")
    raise ParkError("no broker", hint="start it")

run_program("parktwin ingest", work, say=say)
"""


def lines_of(monkeypatch, **settings):
    for name, value in settings.items():
        monkeypatch.setenv(f"PARKTWIN_{name.upper()}", str(value))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_a_log_of_json_has_an_object_a_line_and_the_end_of_the_program(monkeypatch):
    rows = [json.loads(line) for line in lines_of(monkeypatch, log="json", log_minute=3)]
    assert {row["program"] for row in rows} == {"ingest"}
    assert all(row["timestamp"].endswith("Z") for row in rows)
    assert [(row["level"], row["logger"]) for row in rows] == [
        *[("warning", "ingest.cycle")] * 3,
        ("error", "ingest.cycle"),
        ("error", "parktwin"),
        ("warning", "ingest.cycle"),
    ]
    assert rows[0]["event"] == "0 不来; the cycle is tried again"
    assert "ZeroDivisionError" in rows[3]["exception"]
    assert rows[4]["event"] == "parktwin ingest: no broker — start it"
    assert rows[5]["suppressed"] == 47
    assert rows[5]["event"] == "and 47 more like this: %s 不来; the cycle is tried again"


def test_a_log_of_text_has_the_same_lines(monkeypatch):
    lines = lines_of(monkeypatch, log_minute=3, log_level="warning")
    assert lines[0].endswith(" WARNING ingest.cycle: 0 不来; the cycle is tried again")
    assert "Traceback (most recent call last):" in lines
    assert "parktwin ingest: no broker — start it" in lines
    assert "and 47 more like this" in lines[-1]
    assert len([line for line in lines if "WARNING" in line]) == 4
    # What is less than the level is not there.
    assert not [line for line in lines_of(monkeypatch, log_level="error") if "WARNING" in line]


@pytest.fixture
def handler():
    """A handler with a limit of two that writes to a text, and what gives it a record."""
    bounded = logs.BoundedHandler(2)
    bounded.setStream(io.StringIO())

    def write(text, second, *args, name="a"):
        record = logging.LogRecord(name, logging.WARNING, "", 0, text, args, None)
        record.created = second
        bounded.handle(record)
        return bounded.stream.getvalue().splitlines()

    yield bounded, write
    bounded.close()


def test_each_kind_has_its_own_minute_and_a_clock_set_back_begins_a_new_one(handler):
    bounded, write = handler
    for second in (100, 101, 102, 103):
        write("%s is away", second, second)
    assert write("another", 104) == ["100 is away", "101 is away", "another"]
    assert bounded.suppressed == 2
    # The first line after the minute brings the count of those before.
    lines = write("another", 161)
    assert lines[3:] == ["and 2 more like this: %s is away", "another"]
    assert write("%s is away", 161, 161)[5:] == ["161 is away"]
    write("%s is away", 162, 162)
    write("%s is away", 163, 163)
    assert write("%s is away", 50, 50)[-2:] == ["and 1 more like this: %s is away", "50 is away"]


def test_sentences_without_end_do_not_fill_the_memory(handler):
    bounded, write = handler
    for number in range(3 * logs.KINDS_MAX):
        write(f"sentence {number}", 100)
    assert len(bounded._minutes) == logs.KINDS_MAX + 1
    assert bounded.suppressed == 2 * logs.KINDS_MAX - 2


def test_a_wrong_setting_is_named(monkeypatch):
    monkeypatch.setenv("PARKTWIN_LOG", "xml")
    with pytest.raises(SettingsError, match="PARKTWIN_LOG: "):
        logs.start_logging("api")
