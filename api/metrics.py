"""`/metrics`: ingest, this process and the database for Prometheus, in base units.

Names follow the conventions of Prometheus [1]_: counters end in ``_total``, durations are in
seconds, shares are ratios. What a health tag of ingest says has the name of its tag.

.. [1] https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from cryptography import x509
from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import CollectorRegistry

from api import queries
from api.context import AppContext, Context
from api.encode import AnswerRoute
from api.health import PREFIX, cycle_age_s, health_tags
from api.problems import RESPONSES
from deploy.logs import suppressed
from twin.errors import StoreError
from twin.program import own_version

if TYPE_CHECKING:
    from pathlib import Path

    from prometheus_client import Metric

router = APIRouter(responses=RESPONSES, route_class=AnswerRoute)

GAUGES = ("gauge", "state")
UNITS = {"time": "_seconds", "fraction": "_ratio"}
# Who asks every few seconds does not wait for a database that is away.
DATABASE_S = 2.0
PROCESS = ProcessCollector(registry=None)
# When a counter began says the start time of the process.
disable_created_metrics()  # type: ignore[no-untyped-call]
INGEST = {
    "messages": "Messages taken from the broker and from data loggers",
    "bytes": "Bytes of their payloads",
    "samples": "Samples stored",
    "duplicates": "Samples that were stored already",
    "corrections": "Stored samples replaced by another value",
    "late": "Samples older than the newest one of their tag",
    "restated": "Minutes calculated again because of late samples",
    "dropped": "Messages at QoS 0 that ingest dropped for want of room",
    "spooled": "Messages stored raw in table spool",
    "cycles": "Cycles committed",
    "retries": "Cycles tried again because the database refused or was away",
    "reconnects": "Connections to the broker made anew",
    "taken_over": "Sessions at the broker taken by another client of the same id",
    "spikes": "Samples that stand out from their neighbours",
    "transient": "Sparkplug metrics marked as transient, which are not stored",
    "rebirths": "Births asked of Sparkplug edge nodes",
    "broker_dropped": "Messages the broker dropped for any session, since its start",
    "broker_refused": "Messages the broker refused, to topics not their gateway's own",
    "sessions_lost": "Sessions of ingest that the broker had forgotten, with what they kept",
    "archived": "Rows written to files of the archive",
    "archive_omitted": "Rows deleted by the settings of the archive, instead of written",
    "archive_failed": "Files of the archive that were given up",
    "backup_age": "Time since the newest backup of the data folder",
    "clock_set_back": "Times the clock of the machine was set back",
    "log_suppressed": "Lines of the log of ingest beyond PARKTWIN_LOG_MINUTE",
    "rejected": "Messages or values refused, by reason: see parktwin rejects",
    "quarantined": "Samples in quarantine, by reason: see parktwin quarantine",
    "flagged": "Samples stored as uncertain or bad, by reason",
    "loggers": "Connections of HJ 212 data loggers ended or not taken, by reason",
    "forward": "Packets to an authority, by outcome",
    "notify": "Messages about alarms, by outcome",
    "contacts": "What was left out about senders that the model does not know, by reason",
    "lag": "Time from the arrival of a message to its commit",
    "cycle_duration": "Time the newest cycle took",
    "inbox": "Messages waiting for a cycle",
    "spool": "Messages waiting in table spool",
    "alarm_rate": "Alarms annunciated in the last ten minutes",
    "broker_messages": "Messages the broker holds, retained ones included",
    "broker_bytes": "Bytes the broker holds",
    "broker_clients": "Clients connected to the broker",
    "broker_queue": "Share of its limit that the broker queues for ingest",
    "disk_used": "Used share of the disk of the data",
    "forward_owed": "Intervals an authority does not have yet",
    "notify_owed": "Alarms somebody is still to be told of",
    "suspects": "Streams and nodes in detections of the balance monitor",
    "connected": "Whether ingest is connected to the broker",
    "alarm_flood": "Whether there is a flood of alarms",
}
LIMITS = ("orders", "requests", "credentials")
ENTERPRISE = {
    "health": "Health of the data of an enterprise",
    "timeliness": "Share of its samples of the newest day that came in time",
    "completeness": "Share of its tags' time with data",
    "duplicate_share": "Share of its samples that came before",
    "reject_share": "Share of its messages that were refused",
    "skew": "Error of its worst clock, ahead",
    "late_share": "Share of its tags not heard of for longer than usual",
    "silent_gateways": "Its gateways that are silent",
}


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(context: AppContext) -> Response:
    """Return the counters of ingest, of this process and of the database for Prometheus."""
    figures = Figures(
        [
            *_of_ingest(context),
            *_of_api(context),
            *await _of_database(context),
            *context.traffic.durations.collect(),
            *PROCESS.collect(),
        ]
    )
    return Response(generate_latest(figures), media_type=CONTENT_TYPE_PLAIN_0_0_4)


class Figures(CollectorRegistry):
    """Metrics as they are now, for one answer."""

    def __init__(self, families: list[Metric]) -> None:
        super().__init__()
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """Return the metrics; called by prometheus_client."""
        return self._families


def _of_ingest(context: Context) -> Iterator[Metric]:
    """Yield the metrics of the health tags of ingest, those of one group together."""
    families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
    for tag, value in health_tags(context):
        group, _, reason = tag.tag.removeprefix(PREFIX).partition(".")
        if group in INGEST:
            kind, text, labels = "ingest", INGEST[group], {"reason": reason} if reason else {}
        elif group in ENTERPRISE:
            kind, text, labels = "enterprise", ENTERPRISE[group], {"enterprise": tag.owner}
        else:
            kind, text, labels = "ingest", f"Health tag {tag.tag}", {}
        name = f"parktwin_{kind}_{group}{UNITS.get(tag.quantity, '')}"
        if name not in families:
            family = GaugeMetricFamily if tag.kind in GAUGES else CounterMetricFamily
            families[name] = family(name, text, labels=list(labels))
        families[name].add_metric(list(labels.values()), value)
    yield from families.values()


def _of_api(context: Context) -> Iterator[Metric]:
    """Yield what this process counts itself."""
    traffic = context.traffic
    # A counter that begins with its first count has no increase then.
    answers = {"5xx": 0, **traffic.answers}
    yield _counted("requests", "Answers, by class of status", "status", answers)
    yield CounterMetricFamily(
        "parktwin_api_answers_broken", "Answers that failed after their start", traffic.broken
    )
    limited = {**dict.fromkeys(LIMITS, 0), **traffic.limited}
    yield _counted("limited", "Requests refused as too many, by limit", "limit", limited)
    yield GaugeMetricFamily("parktwin_api_connections", "Open connections", traffic.connections)
    yield _counted("connections_closed", "Connections closed", "reason", traffic.closed)
    yield GaugeMetricFamily("parktwin_api_live_clients", "Live feeds", context.feed.clients)
    yield CounterMetricFamily(
        "parktwin_api_log_suppressed", "Lines of this log beyond PARKTWIN_LOG_MINUTE", suppressed()
    )
    age_s = cycle_age_s(context)
    if age_s is not None:
        yield GaugeMetricFamily(
            "parktwin_api_cycle_age_seconds", "Age of the newest cycle of ingest", age_s
        )
    certificate = context.settings.http_tls_cert
    if certificate is not None:
        yield GaugeMetricFamily(
            "parktwin_api_certificate_expiry_timestamp_seconds",
            "End of the certificate in PARKTWIN_HTTP_TLS_CERT",
            _end_of(certificate),
        )
    version = GaugeMetricFamily("parktwin_api_info", "Version of this process", labels=["version"])
    version.add_metric([own_version()], 1)
    yield version


def _counted(name: str, text: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(f"parktwin_api_{name}", text, labels=[label])
    for value, count in sorted(counts.items()):
        family.add_metric([value], count)
    return family


def _end_of(certificate: Path) -> float:
    """Return the time a certificate (PEM) ends [s since 1970]; 0 where it cannot be read."""
    try:
        read = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError):
        return 0.0
    return read.not_valid_after_utc.timestamp()


async def _of_database(context: Context) -> list[Metric]:
    """Return what the database says of itself, or that it is away."""
    try:
        async with asyncio.timeout(DATABASE_S):
            (row,) = await context.store.rows(queries.DATABASE)
            refusals = await context.store.rows(queries.GATEWAY_REFUSALS)
    except (StoreError, TimeoutError):
        row = None
    up = GaugeMetricFamily("parktwin_database_up", "Whether the database answers", row is not None)
    if row is None:
        return [up]
    refused = CounterMetricFamily(
        "parktwin_ingest_gateway_refused",
        "Messages the broker refused of a gateway, to topics not its own",
        labels=["gateway"],
    )
    for each in refusals:
        refused.add_metric([each["gateway"]], each["messages"])
    return [
        up,
        refused,
        GaugeMetricFamily(
            "parktwin_database_size_bytes", "Size of the database on its disk", row["size"]
        ),
        CounterMetricFamily(
            "parktwin_database_archive_failures",
            "Files of the log that could not be archived, attempts",
            row["failed"],
        ),
        GaugeMetricFamily(
            "parktwin_database_archive_newest_timestamp_seconds",
            "When a file of the log was archived last; 0: never",
            row["archived"],
        ),
    ]
