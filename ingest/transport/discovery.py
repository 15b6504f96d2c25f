"""A look at all that the broker distributes, with a budget, for senders that the model lacks.

It is a connection of its own at QoS 0, without a session and without retained messages, so that
whatever it reads or misses changes nothing for the subscriber. When its budget is spent it hangs
up, and looks again when the budget is whole.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from deploy.database.settings import mqtt_address
from ingest.routing.topics import Message
from ingest.transport.packet_reader import take_over

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingest.counters import Counters
    from ingest.settings import IngestSettings

LOG = logging.getLogger("ingest.transport.discovery")
EVERYTHING = "#"
# Larger ones are no values; the broker does not send them here.
PACKET_BYTES = 1 << 16
# What a message of ours takes of the budget: it is passed over.
OURS = 0.25
# After a refusal, or without a broker.
AGAIN_S, REFUSED_S = 10.0, 600.0
REFUSED = 128


class Discovery:
    """Looks for as long as the budget lasts; `hear` tells of each message if it is foreign."""

    def __init__(
        self, settings: IngestSettings, hear: Callable[[Message], bool], counters: Counters
    ) -> None:
        self.full = False  # as the packet reader asks: nothing more is read
        self.on_room: Callable[[], None] = lambda: None
        self._settings = settings
        self._hear = hear
        self._counters = counters
        self._room = settings.contact_burst
        self._filled_s = time.monotonic()
        self._spent = asyncio.Event()

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        settings = self._settings
        while True:
            try:
                pause_s = await self._look()
            except aiomqtt.MqttError as error:
                LOG.debug("no look at foreign topics: %s", error)
                pause_s = AGAIN_S
            await asyncio.sleep(pause_s or settings.contact_burst / settings.contact_rate)

    async def _look(self) -> float:
        """Read until the budget is spent; return how long to wait [s], 0: until it is whole."""
        self.full = False
        self._spent.clear()
        client = self._client()
        async with client:
            take_over(client, self, PACKET_BYTES)
            options = SubscribeOptions(qos=0, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
            granted: Any = await client.subscribe(EVERYTHING, options=options)
            if any(getattr(code, "value", code) >= REFUSED for code in granted):
                LOG.warning("the broker does not let us look at foreign topics (%s)", EVERYTHING)
                return REFUSED_S
            spent = asyncio.create_task(self._spent.wait(), name="spent")
            lost: asyncio.Future[Any] = client._disconnected  # noqa: SLF001
            try:
                await asyncio.wait({spent, lost}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                spent.cancel()
            if lost.done():
                lost.result()
        return 0.0

    def put(
        self,
        topic: str,
        payload: bytes,
        mid: int,
        qos: int,
        cut: int = 0,
        *,
        retained: bool = False,
    ) -> None:
        """Take a message while there is room for it."""
        if self.full:
            return
        now_s = time.monotonic()
        room = self._room + (now_s - self._filled_s) * self._settings.contact_rate
        now_us = time.time_ns() // 1000
        is_foreign = self._hear(Message(topic, payload, now_us, mid, qos, 0, cut, retained))
        cost = 1.0 + ((len(payload) + cut) >> 10)
        self._room = min(room, self._settings.contact_burst) - cost * (1.0 if is_foreign else OURS)
        self._filled_s = now_s
        if self._room < 0.0:
            self.full = True
            self._counters["contacts.paused"] += 1
            self._spent.set()

    def _client(self) -> aiomqtt.Client:
        """Return a client of whom the broker keeps nothing."""
        settings = self._settings
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.MaximumPacketSize = PACKET_BYTES
        return aiomqtt.Client(
            **mqtt_address(settings.mqtt_url, settings.broker_files),
            identifier=f"{settings.client_id}-contacts",
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=True,
            properties=properties,
        )
