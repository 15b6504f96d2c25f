"""The log of a program on stderr: lines of text or JSON objects, of one kind so many a minute.

Modules write it by `logging`. What a broken line or a hostile sender makes them say again and again
is bounded here, so that it neither fills a disk nor hides what else is said.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import structlog
from pydantic import Field

from deploy.database.settings import Environment
from twin.arrays import MINUTE_S

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

LOG = logging.getLogger("parktwin")
TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
# Kinds that are told apart; those beyond share one for each logger and level.
KINDS_MAX = 256
# They say of each request that it was sent.
TALKATIVE = ("httpx", "httpcore")


class LogSettings(Environment):
    """Settings of the log; each field is the environment variable PARKTWIN_<NAME>."""

    log: Literal["text", "json"] = Field(
        "text", description="form of the log on stderr: lines of text, or a JSON object a line"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="what is less than this is not written"
    )
    log_minute: int = Field(
        60,
        ge=1,
        description="lines of one kind (the same words) in a minute; others are counted in the log",
    )


@dataclass(slots=True)
class _Minute:
    """How often a kind of line came since its first one."""

    began_s: float
    lines: int = 0


class BoundedHandler(logging.StreamHandler[Any]):
    """Writes to stderr at most `limit` lines of one kind in a minute, and how many it left out."""

    def __init__(self, limit: int) -> None:
        super().__init__(sys.stderr)
        self.suppressed = 0  # lines since the start
        self._limit = limit
        self._minutes: dict[tuple[str, int, str], _Minute] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record or count it; called by `logging`, one thread at a time."""
        self._end_minutes(record.created)
        kind = record.name, record.levelno, str(record.msg)
        if kind not in self._minutes and len(self._minutes) >= KINDS_MAX:
            kind = record.name, record.levelno, "others"
        minute = self._minutes.setdefault(kind, _Minute(record.created))
        minute.lines += 1
        if minute.lines > self._limit:
            self.suppressed += 1
        else:
            super().emit(record)

    def close(self) -> None:
        """Write what was counted; called at the end of the program."""
        self.acquire()
        try:
            self._end_minutes(None)
        finally:
            self.release()
        super().close()

    def _end_minutes(self, now_s: float | None) -> None:
        """Say of each minute that is over how much was left out; None: of all."""
        for kind, minute in list(self._minutes.items()):
            # The clock may have been set back.
            if now_s is not None and 0.0 <= now_s - minute.began_s < MINUTE_S:
                continue
            del self._minutes[kind]
            count = minute.lines - self._limit
            if count > 0:
                name, level, text = kind
                args = count, text
                summary = logging.LogRecord(
                    name, level, "", 0, "and %d more like this: %s", args, None
                )
                summary.suppressed = count
                super().emit(summary)


def start_logging(program: str) -> None:
    """Let all modules of a program write its log as the settings say; raises SettingsError."""
    settings = LogSettings()
    handler = BoundedHandler(settings.log_minute)
    handler.setFormatter(
        json_formatter(program) if settings.log == "json" else logging.Formatter(TEXT)
    )
    logging.basicConfig(handlers=[handler], level=settings.log_level.upper(), force=True)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def json_formatter(program: str) -> logging.Formatter:
    """Return what makes a record a JSON object: timestamp, level, logger, event, exception."""

    def name_program(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        record = event["_record"]
        if hasattr(record, "suppressed"):
            event["suppressed"] = record.suppressed
        return {"program": program, **event}

    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            name_program,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            # Without the values of variables: there may be passwords.
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )


def suppressed() -> int:
    """Return how many lines of this program's log were counted and not written."""
    return sum(h.suppressed for h in logging.getLogger().handlers if isinstance(h, BoundedHandler))


def say(text: str) -> None:
    """Say on stderr why the program ends: a line of the log where that is JSON, else as it is."""
    handlers = logging.getLogger().handlers
    if any(isinstance(h.formatter, structlog.stdlib.ProcessorFormatter) for h in handlers):
        LOG.error("%s", text)
    else:
        print(text, file=sys.stderr)
