"""Publication by MQTT and HJ 212: messages count once broker or ingest has acknowledged them."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import aiomqtt

from deploy.database.settings import NO_FILES, BrokerFiles, mqtt_address
from ingest.wire import WireError, hj212, sparkplug
from simulators.gateways.delivery import (
    BLOCK,
    GatewayProgress,
    Outbox,
    Schedule,
    active_events,
    fill,
    finished,
)
from simulators.gateways.encoding import MessageWriter, ReadingCache
from twin.arrays import F64, I64

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from simulators.gateways.delivery import Transmission
    from simulators.gateways.gateways import SimulatedGateway

READ_BYTES = 1 << 16
# HJ 212-2017 §6.2.1: a request that is not answered in time is sent again.
ANSWER_S = 30.0
BACKOFF_MAX_S = 30.0
WAIT_S = (0.02, 1.0)
# Bytes a broker may hold for slow readers before the past is held back; its own limits are higher.
HELD_TOPIC = "$SYS/broker/store/messages/bytes"
HELD_BYTES = 128 << 20


class LoggerLink:
    """The TCP connection of one data logger, opened on demand and again after every loss."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._framer = hj212.Framer()

    async def open(self) -> None:
        """Connect unless connected; raises OSError."""
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(*self._address)
            self._framer = hj212.Framer()

    async def send(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Send the packets of (topic, payload) and await the answers; raises OSError.

        A refusal is a ConnectionRefusedError, a missing answer a TimeoutError.
        """
        assert self._reader is not None
        assert self._writer is not None
        # Parts of a message have one number, and an answer each.
        unanswered: Counter[str] = Counter()
        for _, payload in messages:
            unanswered.update(
                p.qn for p in hj212.Framer().feed(payload) if isinstance(p, hj212.Packet)
            )
            self._writer.write(payload)
        async with asyncio.timeout(ANSWER_S):
            # Send and receive at once, as the other side may read only after it has answered.
            drained = asyncio.create_task(self._writer.drain())
            try:
                while unanswered:
                    unanswered -= await self._answers()
                await drained
            finally:
                drained.cancel()

    async def _answers(self) -> Counter[str]:
        """Return how often requests are answered by the next bytes; raises OSError."""
        assert self._reader is not None
        data = await self._reader.read(READ_BYTES)
        if not data:
            raise ConnectionResetError("hung up")
        answered: Counter[str] = Counter()
        for packet in self._framer.feed(data):
            if isinstance(packet, hj212.Packet):
                if packet.cn != hj212.DATA_ACK:
                    raise ConnectionRefusedError(f"MN {packet.mn}: {packet.cn} {packet.cp}")
                answered[packet.qn] += 1
        return answered

    async def lose(self) -> None:
        """Break the connection."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None

    async def close(self) -> None:
        """Hang up."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


@dataclass(frozen=True, slots=True)
class PublishSettings:
    """The settings of a run, common to its gateways."""

    mqtt: str
    logger: tuple[str, int]  # host and port that HJ 212 data loggers connect to
    schedule: Schedule
    seed: int
    origin_us: int  # origin of the times of a scenario
    now: Callable[[], int]
    on_progress: Callable[[GatewayProgress, str], None]
    qos: int = 1
    held_bytes: int = HELD_BYTES
    files: BrokerFiles = NO_FILES


class MqttLink:
    """The MQTT connection of one gateway, opened on demand and again after every loss."""

    def __init__(self, settings: PublishSettings, writer: MessageWriter) -> None:
        self._settings = settings
        self._edge = writer.edge
        # The Sparkplug standard demands QoS 0 of an edge node.
        self._qos = 0 if self._edge else settings.qos
        self._stack = AsyncExitStack()
        self._client: aiomqtt.Client | None = None
        self._commands: asyncio.Task[None] | None = None
        self.birth_requested = False

    async def open(self) -> None:
        """Connect unless connected; raises MqttError."""
        if self._client is not None:
            return
        will = None
        if self._edge is not None:
            will = aiomqtt.Will(self._edge.topic("NDEATH"), self._edge.begin(), qos=1)
        address = mqtt_address(self._settings.mqtt, self._settings.files)
        client = aiomqtt.Client(protocol=aiomqtt.ProtocolVersion.V5, will=will, **address)
        client.pending_calls_threshold = 10 * BLOCK
        self._client = await self._stack.enter_async_context(client)
        if self._edge is not None:
            await client.subscribe(self._edge.topic("NCMD"), 1)
            self._commands = asyncio.create_task(self._serve_commands(client))

    async def _serve_commands(self, client: aiomqtt.Client) -> None:
        """Note every rebirth command of a host until the connection ends."""
        assert self._edge is not None
        with suppress(aiomqtt.MqttError):
            async for message in client.messages:
                with suppress(WireError, TypeError):
                    metrics = sparkplug.decode(message.payload).metrics
                    if any(m.name == sparkplug.REBIRTH and m.value is True for m in metrics):
                        self._edge.is_born, self.birth_requested = False, True

    async def send(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Publish (topic, payload) in order and await every acknowledgement; raises MqttError."""
        assert self._client is not None
        calls = (self._client.publish(topic, load, self._qos) for topic, load in messages)
        done = await asyncio.gather(*calls, return_exceptions=True)
        for error in done:
            if isinstance(error, BaseException):
                raise error

    async def lose(self) -> None:
        """Break the connection, so that the broker publishes the will."""
        if self._client is not None:
            sock = self._client._client.socket()  # noqa: SLF001
            if isinstance(sock, socket.socket):
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        await self._leave()

    async def close(self) -> None:
        """Disconnect; an edge node publishes its death first."""
        if self._client is not None and self._edge is not None and self._edge.is_born:
            with suppress(aiomqtt.MqttError):
                await self._client.publish(self._edge.topic("NDEATH"), self._edge.death(), 1)
        await self._leave()

    async def _leave(self) -> None:
        if self._commands is not None:
            self._commands.cancel()
        self._client = self._commands = None
        self.birth_requested = False
        with suppress(aiomqtt.MqttError):
            await self._stack.aclose()


async def run(
    settings: PublishSettings,
    gateways: Sequence[SimulatedGateway],
    total: GatewayProgress,
    observe: Callable[[I64], F64],
) -> None:
    """Publish all due messages until the schedule ends, and count them in `total`.

    `observe` returns readings at (n,) int64 [µs], (n, t) in each tag's uom. Nothing is buffered for
    an outage: values are a function of time, so unacknowledged messages are made again.
    """
    cache = ReadingCache(observe)
    before = replace(total)
    progresses = [GatewayProgress(total.done_us) for _ in gateways]
    clear = asyncio.Event()
    clear.set()

    def report(text: str) -> None:
        total.done_us = min(progress.done_us for progress in progresses)
        total.messages = before.messages + sum(each.messages for each in progresses)
        total.samples = before.samples + sum(each.samples for each in progresses)
        total.skipped_s = before.skipped_s + max(each.skipped_s for each in progresses)
        settings.on_progress(total, text)

    past = total.done_us < settings.schedule.history_until_us
    holding = asyncio.create_task(_hold_back(settings, clear, report)) if past else None
    try:
        async with asyncio.TaskGroup() as group:
            for gateway, progress in zip(gateways, progresses, strict=True):
                writer = MessageWriter(gateway, settings.origin_us, cache)
                group.create_task(_serve(settings, writer, progress, clear, report))
    finally:
        if holding is not None:
            holding.cancel()


async def _hold_back(
    settings: PublishSettings, clear: asyncio.Event, report: Callable[[str], None]
) -> None:
    """Hold the past back while the broker holds many bytes; only Mosquitto reports them."""
    with suppress(aiomqtt.MqttError):
        async with aiomqtt.Client(**mqtt_address(settings.mqtt, settings.files)) as client:
            await client.subscribe(HELD_TOPIC)
            async for message in client.messages:
                held = int(message.payload) if isinstance(message.payload, bytes) else 0
                if held <= settings.held_bytes:
                    clear.set()
                elif clear.is_set():
                    report(f"the broker holds {held >> 20} MiB for its readers: waiting for them")
                    clear.clear()
    clear.set()


async def _serve(
    settings: PublishSettings,
    writer: MessageWriter,
    progress: GatewayProgress,
    clear: asyncio.Event,
    report: Callable[[str], None],
) -> None:
    """Publish for one gateway until the end; reconnect after every loss of the broker."""
    gateway, schedule = writer.gateway, settings.schedule
    box = Outbox(gateway, settings.seed, settings.origin_us)
    link = (
        LoggerLink(*settings.logger)
        if gateway.format == "hj212-tcp"
        else MqttLink(settings, writer)
    )
    name = f"{gateway.owner}/{gateway.id} ({gateway.format})"
    waiting: list[Transmission] = []
    backoff_s, begun = 0.0, False
    try:
        while waiting or len(box) or not finished(schedule, progress):
            try:
                if backoff_s or not begun:
                    await link.open()
                    report(f"{name}: connected")
                    backoff_s, begun = 0.0, True
                while progress.done_us < schedule.history_until_us and not clear.is_set():
                    await asyncio.sleep(WAIT_S[1])
                    report("")
                before_us = progress.done_us
                waiting = waiting or fill(schedule, box, progress, settings.now())
                await _send(link, writer, waiting, progress)
                if not waiting and progress.done_us == before_us:
                    await _pause(link, writer, settings)
                waiting = []
                report("")
            except (aiomqtt.MqttError, OSError) as error:
                await link.lose()
                backoff_s = min(max(2 * backoff_s, 1.0), BACKOFF_MAX_S)
                report(f"{name}: {error}; trying again in {backoff_s:.0f} s")
                await asyncio.sleep(backoff_s)
    finally:
        await link.close()


async def _send(
    link: MqttLink | LoggerLink,
    writer: MessageWriter,
    transmissions: Sequence[Transmission],
    progress: GatewayProgress,
) -> None:
    """Send messages; a transmission without scans breaks the connection."""
    messages: list[tuple[str, bytes]] = []
    scans = 0
    for transmission in [*transmissions, None]:
        if transmission is not None and transmission.scans:
            await link.open()
            messages += writer.write(transmission)
            scans += transmission.scans
            continue
        if messages:
            await link.send(messages)
            progress.messages += len(messages)
            progress.samples += scans * len(writer.gateway.columns)
            messages, scans = [], 0
        if transmission is not None:
            await link.lose()


async def _pause(
    link: MqttLink | LoggerLink, writer: MessageWriter, settings: PublishSettings
) -> None:
    """Wait a moment, as nothing is due; an edge node publishes a birth that is requested."""
    now_us, step_us = settings.now(), settings.schedule.interval_us
    if isinstance(link, MqttLink) and link.birth_requested:
        link.birth_requested = False
        silent = active_events(writer.gateway, "silence", settings.origin_us, now_us)
        if writer.edge is not None and not writer.edge.is_born and not silent:
            await link.send([writer.birth(now_us, step_us)])
    wait_s = (step_us - now_us % step_us) / 1e6
    await asyncio.sleep(min(max(wait_s, WAIT_S[0]), WAIT_S[1]))
