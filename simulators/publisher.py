"""The door to MQTT: scans become native JSON, QoS 1, and count once acknowledged."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import aiomqtt
import numpy as np

from ingest.wire import native
from twin.errors import SettingsError
from twin.model import park_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.waves import F64, I64
    from twin.model import Park

SCANS_PER_MESSAGE = 60
SCANS_PER_ROUND = 240
BACKLOG_US = 24 * 3600 * 1_000_000  # Live scans older than this are given up after an outage.
BACKOFF_MAX_S = 30.0
WAIT_S = (0.02, 1.0)


@dataclass(frozen=True, slots=True)
class Gateway:
    """The publisher of one enterprise's tags."""

    topic: str
    names: tuple[str, ...]
    columns: tuple[int, ...]


@dataclass(slots=True)
class Progress:
    """Where a run stands; `done_us` is the newest time the broker has acknowledged."""

    done_us: int
    messages: int = 0
    samples: int = 0
    skipped_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """Which times are published: a coarse grid up to `history_until_us`, then a fine one."""

    interval_us: int
    history_interval_us: int
    history_until_us: int
    end_us: int | None = None


def make_gateways(park: Park) -> tuple[Gateway, ...]:
    """Return one gateway per owner of measured tags."""
    kinds = {s.id: s.kind for s in park.scopes}
    found: dict[str, list[int]] = {}
    for i, tag in enumerate(park.tags):
        if tag.source == "measured":
            topic = f"park/v1/{park_of(tag.scope, kinds)}/{tag.owner}/sim-1"
            found.setdefault(topic, []).append(i)
    return tuple(
        Gateway(topic, tuple(park.tags[i].tag for i in columns), tuple(columns))
        for topic, columns in sorted(found.items())
    )


def encode(gateway: Gateway, time_us: I64, values: F64) -> bytes:
    """Return the native JSON of scans: an object for one, an array for more."""
    rows = values[:, gateway.columns].tolist()
    return native.encode_scans(
        [
            (ts, dict(zip(gateway.names, row, strict=True)))
            for ts, row in zip((time_us // 1000).tolist(), rows, strict=True)
        ],
        simulated=True,
    )


def due(schedule: Schedule, progress: Progress, now_us: int) -> I64:
    """Return the next times to publish, oldest first; may move `progress` over a long outage."""
    done = progress.done_us
    history = done < schedule.history_until_us
    if not history and done < now_us - BACKLOG_US:
        progress.skipped_s += (now_us - BACKLOG_US - done) / 1e6
        done = progress.done_us = now_us - BACKLOG_US
    step = schedule.history_interval_us if history else schedule.interval_us
    last = min(now_us, schedule.history_until_us) if history else now_us
    if schedule.end_us is not None:
        last = min(last, schedule.end_us)
    first = (done // step + 1) * step
    return np.arange(first, min(last + 1, first + SCANS_PER_ROUND * step), step, dtype=np.int64)


def address(url: str) -> dict[str, object]:
    """Return the broker's address as arguments of the client; raises `SettingsError`."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or port == -1:
        raise SettingsError(f"{url!r} is not an MQTT address", hint="write mqtt://host:1883")
    secure = parts.scheme == "mqtts"
    return {
        "hostname": parts.hostname,
        "port": port or (8883 if secure else 1883),
        "username": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
        "tls_context": ssl.create_default_context() if secure else None,
    }


async def run(
    url: str,
    gateways: tuple[Gateway, ...],
    schedule: Schedule,
    progress: Progress,
    observe: Callable[[I64], F64],
    now: Callable[[], int],
    report: Callable[[Progress, str], None],
) -> None:
    """Publish everything that is due until the schedule ends; survive a broker that goes away.

    Nothing is kept in memory for an outage: values are a function of time, so what the broker
    has not acknowledged is simply made again.
    """
    arguments = address(url)
    backoff_s = 1.0
    while True:
        try:
            async with aiomqtt.Client(
                protocol=aiomqtt.ProtocolVersion.V5, **arguments  # type: ignore[arg-type]
            ) as client:  # fmt: skip
                client.pending_calls_threshold = SCANS_PER_ROUND * len(gateways)
                report(progress, f"connected to {arguments['hostname']}:{arguments['port']}")
                while not _finished(schedule, progress):
                    await _round(client, gateways, schedule, progress, observe, now())
                    backoff_s = 1.0
                    report(progress, "")
                return
        except aiomqtt.MqttError as error:
            report(progress, f"broker: {error}; trying again in {backoff_s:.0f} s")
        await asyncio.sleep(backoff_s)
        backoff_s = min(2 * backoff_s, BACKOFF_MAX_S)


def _finished(schedule: Schedule, progress: Progress) -> bool:
    """Return whether no time is left before the end."""
    if schedule.end_us is None:
        return False
    history = progress.done_us < schedule.history_until_us
    step = schedule.history_interval_us if history else schedule.interval_us
    return (progress.done_us // step + 1) * step > schedule.end_us


async def _round(
    client: aiomqtt.Client,
    gateways: tuple[Gateway, ...],
    schedule: Schedule,
    progress: Progress,
    observe: Callable[[I64], F64],
    now_us: int,
) -> None:
    """Publish what is due and wait for every acknowledgement, or wait a moment when nothing is."""
    times = due(schedule, progress, now_us)
    if not len(times):
        wait_s = (schedule.interval_us - now_us % schedule.interval_us) / 1e6
        await asyncio.sleep(min(max(wait_s, WAIT_S[0]), WAIT_S[1]))
        return
    values = observe(times)
    messages = [
        client.publish(g.topic, encode(g, times[i:j], values[i:j]), qos=1)
        for i in range(0, len(times), SCANS_PER_MESSAGE)
        for j in (i + SCANS_PER_MESSAGE,)
        for g in gateways
    ]
    await asyncio.gather(*messages)
    progress.messages += len(messages)
    progress.samples += len(times) * sum(len(g.columns) for g in gateways)
    progress.done_us = int(times[-1])
