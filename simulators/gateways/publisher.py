"""The door to MQTT: what gateways send goes to the broker, and counts once it is acknowledged."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import aiomqtt

from ingest.wire import WireError, sparkplug
from simulators.gateways.delivery import Outbox, active_events
from simulators.gateways.encoding import BLOCK, MessageWriter, ReadingCache
from simulators.gateways.hj212_logger import LoggerLink
from simulators.gateways.schedule import GatewayProgress, Schedule, fill, finished
from twin.arrays import F64, I64
from twin.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from simulators.gateways.delivery import Transmission
    from simulators.gateways.gateways import SimulatedGateway

BACKOFF_MAX_S = 30.0
WAIT_S = (0.02, 1.0)
# What a broker may hold for a reader that is slower than we are; its own limits are higher.
HELD_TOPIC = "$SYS/broker/store/messages/bytes"
HELD_BYTES = 128 << 20


@dataclass(frozen=True, slots=True)
class PublishSettings:
    """What the gateways of a run have in common."""

    mqtt: str
    logger: tuple[str, int]  # where HJ 212 data loggers call
    schedule: Schedule
    seed: int
    origin_us: int  # what the events of a scenario count from
    now: Callable[[], int]
    report: Callable[[GatewayProgress, str], None]
    qos: int = 1


def address(url: str) -> dict[str, Any]:
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


class MqttLink:
    """The connection of one gateway: made when it is needed, and again after every loss."""

    def __init__(self, url: str, writer: MessageWriter, qos: int) -> None:
        self._url = url
        self._edge = writer.edge
        # An edge node publishes at QoS 0, as its standard asks for.
        self._qos = 0 if self._edge else qos
        self._stack = AsyncExitStack()
        self._client: aiomqtt.Client | None = None
        self._commands: asyncio.Task[None] | None = None
        self.asked = False  # for a birth

    async def open(self) -> None:
        """Connect unless it is; raises MqttError."""
        if self._client is not None:
            return
        will = None
        if self._edge is not None:
            will = aiomqtt.Will(self._edge.topic("NDEATH"), self._edge.begin(), qos=1)
        client = aiomqtt.Client(
            protocol=aiomqtt.ProtocolVersion.V5, will=will, **address(self._url)
        )
        client.pending_calls_threshold = 10 * BLOCK
        self._client = await self._stack.enter_async_context(client)
        if self._edge is not None:
            await client.subscribe(self._edge.topic("NCMD"), 1)
            self._commands = asyncio.create_task(self._obey(client))

    async def _obey(self, client: aiomqtt.Client) -> None:
        """Be born again whenever a host asks for it."""
        assert self._edge is not None
        with suppress(aiomqtt.MqttError):
            async for message in client.messages:
                with suppress(WireError, TypeError):
                    metrics = sparkplug.decode(message.payload).metrics
                    if any(m.name == sparkplug.REBIRTH and m.value is True for m in metrics):
                        self._edge.born, self.asked = False, True

    async def send(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Publish messages in order and wait for every acknowledgement; raises MqttError."""
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
        """Disconnect; an edge node says its death itself."""
        if self._client is not None and self._edge is not None and self._edge.born:
            with suppress(aiomqtt.MqttError):
                await self._client.publish(self._edge.topic("NDEATH"), self._edge.death(), 1)
        await self._leave()

    async def _leave(self) -> None:
        if self._commands is not None:
            self._commands.cancel()
        self._client = self._commands = None
        self.asked = False
        with suppress(aiomqtt.MqttError):
            await self._stack.aclose()


async def run(
    shared: PublishSettings,
    gateways: Sequence[SimulatedGateway],
    total: GatewayProgress,
    observe: Callable[[I64], F64],
) -> None:
    """Publish everything that is due until the schedule ends, and count it in `total`.

    Nothing is kept in memory for an outage: values are a function of time, so what the broker
    has not acknowledged is simply made again.
    """
    shown = ReadingCache(observe)
    places = [replace(total) for _ in gateways]
    room = asyncio.Event()
    room.set()

    def tell(text: str) -> None:
        total.done_us = min(place.done_us for place in places)
        total.messages = sum(place.messages for place in places)
        total.samples = sum(place.samples for place in places)
        total.skipped_s = max(place.skipped_s for place in places)
        shared.report(total, text)

    past = total.done_us < shared.schedule.history_until_us
    watch = asyncio.create_task(_watch(shared.mqtt, room, tell)) if past else None
    try:
        async with asyncio.TaskGroup() as group:
            for gateway, place in zip(gateways, places, strict=True):
                writer = MessageWriter(gateway, shared.origin_us, shown)
                group.create_task(_serve(shared, writer, place, room, tell))
    finally:
        if watch is not None:
            watch.cancel()


async def _watch(url: str, room: asyncio.Event, tell: Callable[[str], None]) -> None:
    """Hold the past back while the broker has to keep much; only Mosquitto says how much."""
    with suppress(aiomqtt.MqttError):
        async with aiomqtt.Client(**address(url)) as client:
            await client.subscribe(HELD_TOPIC)
            async for message in client.messages:
                held = int(message.payload) if isinstance(message.payload, bytes) else 0
                if held <= HELD_BYTES:
                    room.set()
                elif room.is_set():
                    tell(f"the broker holds {held >> 20} MiB for its readers: waiting for them")
                    room.clear()
    room.set()


async def _serve(
    shared: PublishSettings,
    writer: MessageWriter,
    place: GatewayProgress,
    room: asyncio.Event,
    tell: Callable[[str], None],
) -> None:
    """Publish for one gateway until the end; survive a broker that goes away."""
    gateway, schedule = writer.gateway, shared.schedule
    box = Outbox(gateway, shared.seed, shared.origin_us)
    link = (
        LoggerLink(*shared.logger)
        if gateway.format == "hj212-tcp"
        else MqttLink(shared.mqtt, writer, shared.qos)
    )
    name = f"{gateway.owner}/{gateway.id} ({gateway.format})"
    waiting: list[Transmission] = []
    backoff_s, begun = 0.0, False
    try:
        while waiting or len(box) or not finished(schedule, place):
            try:
                if backoff_s or not begun:
                    await link.open()
                    tell(f"{name}: connected")
                    backoff_s, begun = 0.0, True
                while place.done_us < schedule.history_until_us and not room.is_set():
                    await asyncio.sleep(WAIT_S[1])
                    tell("")
                before_us = place.done_us
                waiting = waiting or fill(schedule, box, place, shared.now())
                await _send(link, writer, waiting, place)
                if not waiting and place.done_us == before_us:
                    await _pause(link, writer, shared)
                waiting = []
                tell("")
            except (aiomqtt.MqttError, OSError) as error:
                await link.lose()
                backoff_s = min(max(2 * backoff_s, 1.0), BACKOFF_MAX_S)
                tell(f"{name}: {error}; trying again in {backoff_s:.0f} s")
                await asyncio.sleep(backoff_s)
    finally:
        await link.close()


async def _send(
    link: MqttLink | LoggerLink,
    writer: MessageWriter,
    sendings: Sequence[Transmission],
    place: GatewayProgress,
) -> None:
    """Send messages, and break the connection where that is what happens."""
    messages: list[tuple[str, bytes]] = []
    scans = 0
    for sending in [*sendings, None]:
        if sending is not None and sending.scans:
            await link.open()
            messages += writer.write(sending)
            scans += sending.scans
            continue
        if messages:
            await link.send(messages)
            place.messages += len(messages)
            place.samples += scans * len(writer.gateway.columns)
            messages, scans = [], 0
        if sending is not None:
            await link.lose()


async def _pause(
    link: MqttLink | LoggerLink, writer: MessageWriter, shared: PublishSettings
) -> None:
    """Wait a moment, as nothing is due; an edge node that was asked for its birth gives it."""
    now_us, step_us = shared.now(), shared.schedule.interval_us
    if isinstance(link, MqttLink) and link.asked:
        link.asked = False
        silent = active_events(writer.gateway, "silence", shared.origin_us, now_us)
        if writer.edge is not None and not writer.edge.born and not silent:
            await link.send([writer.birth(now_us, step_us)])
    wait_s = (step_us - now_us % step_us) / 1e6
    await asyncio.sleep(min(max(wait_s, WAIT_S[0]), WAIT_S[1]))
