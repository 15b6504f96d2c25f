"""The connection to the broker: messages in by the block, acknowledgements out by the block."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from deploy.database.settings import mqtt_address, without_password
from ingest.routing.decode import join
from ingest.routing.topics import Message
from ingest.transport.broker_status import BrokerStatus
from ingest.transport.packet_reader import take_over
from ingest.wire import sparkplug

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from ingest.counters import Counters
    from ingest.routing.decode import Intake
    from ingest.settings import IngestSettings
    from ingest.spool import Spool

LOG = logging.getLogger("ingest.transport.subscriber")
PUBACK = 0x40
ALIKE_CYCLES = 30
BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
PUBLISH_S = 2.0
# A report that found no room on its way comes again with a new subscription.
STATUS_S = 5.0
# The broker gave our session to another client of the same name. To come back at once would only
# take it away from that one, several times a second.
TAKEN_OVER, TAKEN_OVER_S = 0x8E, 30.0
# So much is worth being decoded on its own.
PORTION_MESSAGES, PORTION_BYTES = 1_000, 1 << 18
# A block may take so many lengths of a cycle; one part of so many is the spool's at least.
PACE_CYCLES, SPOOL_PART = 1.2, 4
# A first block, before any pace is known.
FIRST_MESSAGES = 10_000


class Inbox:
    """Messages waiting for a cycle, bounded by number and bytes.

    It stands in for the queue of `aiomqtt.Client`, whose `put_nowait` runs in the callback of the
    socket: no task, no future, no wake-up per message.
    """

    def __init__(
        self,
        messages_max: int,
        bytes_max: int,
        counters: Counters,
        is_report: Callable[[str, bytes], bool] = lambda _topic, _payload: False,
    ) -> None:
        """Messages at QoS 0 that are reports of the broker wait for no cycle."""
        self._is_report = is_report
        self._waiting: deque[Message] = deque()
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        self._counters = counters
        self.bytes = 0
        self.link = 0
        self.full = False  # no more is to be read until `on_room` is called
        self.on_room: Callable[[], None] = lambda: None
        self.arrived = asyncio.Event()
        self.plenty = asyncio.Event()  # a portion has arrived

    def __len__(self) -> int:
        return len(self._waiting)

    def put_nowait(self, message: aiomqtt.Message) -> None:
        """Take a message from the client: one at QoS 2, the others come by `put`."""
        payload = message.payload if isinstance(message.payload, bytes) else b""
        topic, retained = message.topic.value, message.retain
        self.put(topic, payload, message.mid, message.qos, retained=retained)

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
        """Take a message, less the bytes `cut` from its payload.

        At QoS 0 it is dropped, and counted, when there is no room. At QoS 1 it is always taken: the
        reader stops when the inbox is `full`, and what may be in flight is bounded.
        """
        if qos == 0 and self._is_report(topic, payload):
            return
        if len(self._waiting) >= self._messages_max or self.bytes >= self._bytes_max:
            if qos == 0:
                self._counters["dropped"] += 1
                return
            self.full = True
        now_us = time.time_ns() // 1000
        self.add(Message(topic, payload, now_us, mid, qos, self.link, cut, retained))

    def add(self, message: Message) -> None:
        """Take a message whose sender waits for its acknowledgement and sends no more than fit."""
        self.bytes += len(message.payload)
        self._waiting.append(message)
        self.arrived.set()
        if self.bytes >= PORTION_BYTES or len(self._waiting) >= PORTION_MESSAGES:
            self.plenty.set()

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Return how many messages of each topic wait, and the bytes of their payloads."""
        count: Counter[str] = Counter()
        size: Counter[str] = Counter()
        for message in self._waiting:
            count[message.topic] += 1
            size[message.topic] += len(message.payload)
        return {topic: (count[topic], size[topic]) for topic in count}

    def take(self, messages_max: int, bytes_max: int) -> list[Message]:
        """Return the oldest messages, as many as one cycle may have."""
        taken: list[Message] = []
        size = 0
        while self._waiting and len(taken) < messages_max and size < bytes_max:
            message = self._waiting.popleft()
            size += len(message.payload)
            taken.append(message)
        self.bytes -= size
        if not self._waiting:
            self.arrived.clear()
        if self.bytes < PORTION_BYTES and len(self._waiting) < PORTION_MESSAGES:
            self.plenty.clear()
        if self.full and len(self._waiting) < self._messages_max and self.bytes < self._bytes_max:
            self.full = False
            self.on_room()
        return taken


class Subscriber:
    """The connection to the broker: a persistent session that survives us and itself."""

    def __init__(self, settings: IngestSettings, counters: Counters) -> None:
        self.on_connection: Callable[[], None] = lambda: None
        self._state_topic = ""
        self._online_ms = 0
        self._topics = _filters(settings, (), "")
        self._renewal = asyncio.Event()  # the connection is to be made anew
        self.status = BrokerStatus(settings)
        self.inbox = Inbox(
            settings.inbox_messages, settings.inbox_bytes, counters, self.status.take
        )
        self.connected = False
        self.has_session = False  # at the broker, which keeps for us what is published
        self._settings = settings
        self._broker = without_password(settings.mqtt_url)
        self._counters = counters
        self._client: aiomqtt.Client | None = None
        self._window = 0
        self._alike = 0

    def check_window(self, messages: Sequence[Message]) -> None:
        """Warn when the broker seems to hold back others than those a cycle takes.

        A broker does not tell how many messages it lets be in flight. If that is less than a cycle
        of them, every cycle under load brings exactly so many.
        """
        count = sum(message.qos > 0 for message in messages)
        alike = count == self._window and 0 < count < self._settings.receive_max
        self._window, self._alike = count, self._alike + 1 if alike else 0
        if self._alike == ALIKE_CYCLES:
            LOG.warning(
                "each of the last %d cycles brought exactly %d messages: if the broker lets only so"
                " many be in flight, raise it (mosquitto: max_inflight_messages 65535)",
                ALIKE_CYCLES,
                count,
            )

    async def follow(self, topics: Sequence[str], state_topic: str) -> None:
        """Subscribe to the topics of a model, besides those of the settings, and to no others.

        With `state_topic`, edge nodes of Sparkplug are told there whether we are online.
        """
        former, self._topics = self._topics, _filters(self._settings, topics, state_topic)
        client = self._client
        if state_topic != self._state_topic:
            if client is not None:
                await self.announce(online=False)
                # The will is part of a connection.
                self._renewal.set()
            self._state_topic = state_topic
        if client is None or self._renewal.is_set():
            return
        new = [(topic, 1) for topic in self._topics if topic not in former]
        gone = [topic for topic in former if topic not in self._topics]
        try:
            if new:
                await client.subscribe(new)
            if gone:
                await client.unsubscribe(gone)
        except aiomqtt.MqttError as error:
            LOG.warning("broker %s: %s; connecting anew", self._broker, error)
            self._renewal.set()

    async def run(self) -> None:
        """Stay connected until cancelled."""
        tries = 0
        while True:
            pause_s = BACKOFF_S[min(tries, len(BACKOFF_S) - 1)]
            try:
                client = self._prepare()
                async with client:
                    self._client = client
                    take_over(client, self.inbox, self._settings.payload_bytes)
                    await self._subscribe(client)
                    await self.announce()
                    self.connected, tries = True, 0
                    LOG.info("connected to %s", self._broker)
                    self.on_connection()
                    await self._until_lost(client)
            except aiomqtt.MqttError as error:
                LOG.warning("broker %s: %s", self._broker, error)
                if getattr(error, "rc", None) == TAKEN_OVER:
                    pause_s = TAKEN_OVER_S
                    self._counters["taken_over"] += 1
                    LOG.warning(
                        "another program has the client id %r: give each ingest its own"
                        " PARKTWIN_CLIENT_ID; trying again in %g s",
                        self._settings.client_id,
                        pause_s,
                    )
            finally:
                self.connected, self._client = False, None
                self.status.forget()
            self._counters["reconnects"] += 1
            await asyncio.sleep(pause_s)
            tries += 1

    def _note_session(self, *, is_there: bool) -> None:
        """Count a session that the broker no longer has: what it kept for us is gone with it."""
        if self.has_session and not is_there:
            self._counters["sessions_lost"] += 1
            LOG.warning(
                "the broker has forgotten the session of %r: what gateways published while we were"
                " away is lost unless they send it again; PARKTWIN_SESSION_EXPIRY_S is %d",
                self._settings.client_id,
                self._settings.session_expiry_s,
            )
        self.has_session = True

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        """Subscribe to all topics; raises MqttError when the connection is lost meanwhile.

        The answer stands behind all that the broker kept for us, which is read as cycles make room:
        who gave up after seconds would be sent the same again, for ever.
        """
        lost: asyncio.Future[Any] = client._disconnected  # noqa: SLF001
        topics = [(topic, 1) for topic in self._topics]
        asking = asyncio.create_task(client.subscribe(topics, timeout=math.inf))
        try:
            await asyncio.wait({asking, lost}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                lost.result()
                raise aiomqtt.MqttError("the connection was closed")
            asking.result()
        finally:
            asking.cancel()

    async def _until_lost(self, client: aiomqtt.Client) -> None:
        """Wait for the end of the connection; messages come through the inbox meanwhile."""
        lost: asyncio.Future[Any] = client._disconnected  # noqa: SLF001
        renewal: asyncio.Future[Any] = asyncio.create_task(self._renewal.wait(), name="renewal")
        try:
            # Not awaited itself: once it is cancelled, the client takes its connection for lost.
            while not (lost.done() or renewal.done()):
                await self._ask_status(client)
                await asyncio.wait(
                    {lost, renewal}, timeout=STATUS_S, return_when=asyncio.FIRST_COMPLETED
                )
            if lost.done():
                lost.result()
        except asyncio.CancelledError:
            client.timeout = PUBLISH_S
            await self.announce(online=False)
            raise
        finally:
            renewal.cancel()

    async def _ask_status(self, client: aiomqtt.Client) -> None:
        """Let the broker report anew; a broker that is busy is asked again later."""
        if self.status.topics:
            with contextlib.suppress(aiomqtt.MqttError):
                await client.subscribe([(topic, 0) for topic in self.status.topics])

    async def announce(self, *, online: bool = True) -> bool:
        """Tell edge nodes whether we are there; return whether it worked."""
        if not self._state_topic:
            return True
        # The birth has the time of the will of this connection, a farewell its own.
        time_ms = self._online_ms if online else time.time_ns() // 1_000_000
        payload = sparkplug.state(time_ms, online=online)
        return await self.publish(self._state_topic, payload, qos=1, retain=True)

    async def publish(
        self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False
    ) -> bool:
        """Publish a message; False, and a warning, when that does not work now."""
        if self._client is None:
            return False
        try:
            await self._client.publish(topic, payload, qos, retain, timeout=PUBLISH_S)
        except (aiomqtt.MqttError, ValueError) as error:
            LOG.warning("cannot publish to %s: %s", topic, error)
            return False
        return True

    def ack(self, messages: Sequence[Message]) -> None:
        """Acknowledge messages of this connection; those of an earlier one will come again.

        The acknowledgements of a block leave in one piece: four bytes each, one system call.
        """
        client = self._client
        if client is None:
            return
        paho = client._client  # noqa: SLF001
        current = [m for m in messages if m.qos and m.link == self.inbox.link]
        pubacks = b"".join(b"\x40\x02" + m.mid.to_bytes(2, "big") for m in current if m.qos == 1)
        if pubacks:
            paho._packet_queue(PUBACK, pubacks, 0, 0)  # noqa: SLF001
        for message in current:
            if message.qos == 2:
                paho.ack(message.mid, message.qos)

    def _prepare(self) -> aiomqtt.Client:
        """Return a client whose session keeps, at the broker, what we have not acknowledged."""
        settings = self._settings
        self._renewal.clear()
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = settings.session_expiry_s
        properties.ReceiveMaximum = settings.receive_max
        properties.MaximumPacketSize = settings.packet_bytes
        self._online_ms = time.time_ns() // 1_000_000
        offline = sparkplug.state(self._online_ms, online=False)
        will = aiomqtt.Will(self._state_topic, offline, qos=1, retain=True)
        client = aiomqtt.Client(
            **mqtt_address(settings.mqtt_url, settings.broker_files),
            identifier=settings.client_id,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=False,
            properties=properties,
            will=will if self._state_topic else None,
            queue_type=lambda maxsize: self.inbox,  # type: ignore[arg-type]  # noqa: ARG005
        )
        answered = client._client.on_connect  # noqa: SLF001

        def note_session(paho: Any, data: Any, flags: Any, code: Any, properties: Any) -> None:
            if not code.is_failure:
                self._note_session(is_there=flags.session_present)
            answered(paho, data, flags, code, properties)  # type: ignore[call-arg, misc]

        client._client.on_connect = note_session  # noqa: SLF001
        # Before the connection: what the broker kept for us comes right behind its first answer.
        client._client.manual_ack_set(True)  # noqa: SLF001
        self.inbox.link += 1
        return client


def _filters(settings: IngestSettings, topics: Sequence[str], state_topic: str) -> list[str]:
    """Return the topic filters of the settings and of a model, each once, and of our own state."""
    own = (each.strip() for each in settings.topic_filter.split(","))
    filters = list(dict.fromkeys([*own, *topics]))
    if state_topic and not any(map(aiomqtt.Topic(state_topic).matches, filters)):
        filters.append(state_topic)
    return filters


class NextBlock:
    """The block of the next cycle, as far as it is decoded, before what is left in the inbox.

    It holds no more than a cycle may have, and than one was quick enough to store. When the inbox
    holds more than a second block, each gateway may have an equal share of that; what is above a
    share goes into the `spool`, and so does what comes of a gateway with messages there. Where all
    gateways that are heard are above their shares, none keeps another waiting, and all wait.
    """

    def __init__(
        self,
        inbox: Inbox,
        decode: Callable[[Sequence[Message]], Intake],
        spool: Spool,
        order: Callable[[str], str],
        others: Callable[[Collection[str]], bool],
        settings: IngestSettings,
    ) -> None:
        """`order` tells, by its topic, in whose order a message is read.

        `others` tells whether a gateway besides some is heard.
        """
        self.inbox = inbox
        self.unused = (0, 0)  # messages and bytes that the block left to the spool
        self._decode = decode
        self._spool = spool
        self._order = order
        self._others = others
        self._settings = settings
        self._stored, self._spent_s = 0.0, 0.0
        self._limits = min(FIRST_MESSAGES, settings.cycle_messages), settings.cycle_bytes
        self._room = asyncio.Event()
        self._begin()

    def __len__(self) -> int:
        return self._count + len(self.inbox)

    def _begin(self) -> None:
        """Begin an empty block."""
        self._parts: list[Intake] = []
        self._count = 0
        self._messages_left, self._bytes_left = self._limits
        self._room.set()

    async def run(self) -> None:
        """Decode portion by portion, until cancelled."""
        while True:
            await self._room.wait()
            await self.inbox.plenty.wait()
            self._add(PORTION_MESSAGES, PORTION_BYTES)
            await asyncio.sleep(0)

    def take(self) -> Intake:
        """Return what the block came to, with what has come since; begin the next one."""
        while len(self.inbox) and self._room.is_set():
            self._add(self._messages_left, self._bytes_left)
        messages_max, bytes_max = self._limits
        is_behind = len(self.inbox) > messages_max or self.inbox.bytes > bytes_max
        if is_behind and not self._spool.full:
            self._share_out(messages_max, bytes_max)
        # Reading comes first: while more goes into the spool, little comes out of it.
        part = messages_max // SPOOL_PART, bytes_max // SPOOL_PART
        unused = max(self._messages_left, part[0]), max(self._bytes_left, part[1])
        self.unused = part if self._spool.grows else unused
        block = join(self._parts)
        self._begin()
        return block

    def follow(self, messages: int, seconds: float) -> None:
        """Let a block hold no more than this pace stores in a little more than a cycle's length."""
        if messages < PORTION_MESSAGES:
            return
        settings = self._settings
        # A cycle decodes for the next one, too: one alone says little.
        self._stored = self._stored / 2 + messages
        self._spent_s = self._spent_s / 2 + seconds
        fits = round(self._stored / self._spent_s * settings.cycle_s * PACE_CYCLES)
        messages_max = max(PORTION_MESSAGES, min(fits, settings.cycle_messages))
        self._limits = messages_max, settings.cycle_bytes

    def _add(self, messages_max: int, bytes_max: int) -> None:
        """Decode the oldest messages of the inbox, as far as the block has room."""
        if self._spool.waiting and self._spool.full:
            # What is next may be of a gateway that waits there, and must not overtake itself.
            self._room.clear()
            return
        messages = self.inbox.take(
            min(messages_max, self._messages_left), min(bytes_max, self._bytes_left)
        )
        if self._spool.waiting:
            messages = self._hold(messages, self._spool.waiting)
        self._append(messages)
        if self._messages_left <= 0 or self._bytes_left <= 0:
            self._room.clear()

    def _share_out(self, messages_max: int, bytes_max: int) -> None:
        """Take all that waits: of each gateway its share into the block, or all into the spool."""
        count: Counter[str] = Counter()
        size: Counter[str] = Counter()
        for topic, (messages, payloads) in self.inbox.sizes().items():
            count[self._order(topic)] += messages
            size[self._order(topic)] += payloads
        messages_max, bytes_max = messages_max // len(count), bytes_max // len(count)
        above = {each for each in count if count[each] > messages_max or size[each] > bytes_max}
        kept_out = above | self._spool.waiting.keys()
        if self._others(kept_out):
            waiting = self.inbox.take(len(self.inbox), self.inbox.bytes + 1)
            self._append(self._hold(waiting, kept_out))

    def _hold(self, messages: Sequence[Message], gateways: Collection[str]) -> list[Message]:
        """Hand the messages of some gateways to the spool; return the others."""
        order = {topic: self._order(topic) for topic in {message.topic for message in messages}}
        held: dict[str, list[Message]] = {name: [] for name in order.values() if name in gateways}
        others: list[Message] = []
        for message in messages:
            held.get(order[message.topic], others).append(message)
        for name, of_it in held.items():
            self._spool.hold(name, of_it)
        return others

    def _append(self, messages: Sequence[Message]) -> None:
        """Add messages to the block."""
        if not messages:
            return
        self._parts.append(self._decode(messages))
        self._count += len(messages)
        self._messages_left -= len(messages)
        self._bytes_left -= sum(len(message.payload) for message in messages)
