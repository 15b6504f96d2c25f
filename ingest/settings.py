"""Settings of ingest, from the environment; every limit is here."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator, model_validator

from deploy.database.settings import DEMO_PARK, BrokerFiles, Settings
from twin.model.gateways import networks_of

# Of an MQTT packet: the longest topic, and most properties, stand in so much of it.
HEAD_BYTES = 1 << 17


class IngestSettings(Settings):
    """Settings of ingest; each field is the environment variable PARKTWIN_<NAME>."""

    mqtt_url: str = Field(
        "mqtt://127.0.0.1:1883",
        description="the broker: mqtt://user:password@host:port or mqtts://",
    )
    mqtt_ca: Path | None = Field(
        None,
        description="authorities (PEM) that vouch for the broker of an address mqtts://; none:"
        " those of the system",
    )
    mqtt_cert: Path | None = Field(
        None, description="certificate of ours (PEM), where the broker asks for one"
    )
    mqtt_key: Path | None = Field(None, description="key of that certificate (PEM)")
    park: Path = Field(Path(DEMO_PARK), description="folder of the park model")
    park_watch_s: float = Field(
        5.0,
        ge=0,
        description="how often ingest looks for a changed park model, which runs from then on when"
        " it is right; 0 = never [s]",
    )
    client_id: str = Field(
        "parktwin-ingest", description="fixed MQTT client id: the session's name"
    )
    topic_filter: str = Field(
        "park/v1/#,senml/v1/#,hj212/v1/#,spBv1.0/#",
        description="what to subscribe to, separated by commas",
    )
    broker_status: str = Field(
        "$SYS/broker",
        description="topic below which the broker reports about itself, as Mosquitto does;"
        " empty = nowhere",
    )
    broker_queue_bytes: int = Field(
        0, ge=0, description="bytes the broker queues for one session; 0 = unknown"
    )
    broker_queue_messages: int = Field(
        0, ge=0, description="messages the broker queues for one session; 0 = unknown"
    )
    gateway_access: Path | None = Field(
        None,
        description="file in which ingest says which gateways may come in at the broker, and for"
        " what, set by `parktwin up` with accounts",
    )
    data: Path | None = Field(
        None, description="folder on the disk of broker and database, when it is on this machine"
    )
    alive_file: Path | None = Field(
        None,
        description="file that is touched every second while the event loop lives, for probes of"
        " containers: python -m deploy.watchdog FILE",
    )
    archive_sample_days: int = Field(
        30,
        ge=2,
        description="samples older than this go from the database into the archive [days]",
    )
    archive_minute_days: int = Field(
        400,
        ge=100,
        description="minutes older than this, by whole months, go into the archive [days]",
    )
    archive_omit: str = Field(
        "",
        pattern=r"^$|^(measured|derived|health)(,(measured|derived|health))*$",
        description="classes of tags whose samples are not archived but deleted when they are so"
        " old, separated by commas: measured, derived (by the twin), health (of ingest); their"
        " minutes, hours and days stay",
    )
    archive_keep_days: int = Field(
        0, ge=0, description="files of the archive older than this are deleted; 0 = never [days]"
    )
    archive_rows_s: int = Field(
        100_000,
        ge=1_000,
        description="rows a second that the archive takes from the database, beside the cycles",
    )
    archive_pause_s: float = Field(
        600.0, gt=0, description="how often it is looked for what is due for the archive [s]"
    )
    cycle_s: float = Field(0.5, gt=0.01, le=60, description="length of a cycle [s]")
    session_expiry_s: int = Field(
        604_800, ge=60, description="how long the broker keeps messages while we are away [s]"
    )
    receive_max: int = Field(
        65_535, ge=100, le=65_535, description="QoS 1 messages in flight before an acknowledgement"
    )
    inbox_messages: int = Field(
        200_000, description="messages waiting for a cycle; beyond it QoS 0 is dropped and counted"
    )
    inbox_bytes: int = Field(
        64 << 20,
        ge=1 << 20,
        description="bytes waiting for a cycle; beyond it QoS 0 is dropped and counted, and nothing"
        " is read at QoS 1 until a cycle has made room",
    )
    spool_bytes: int = Field(
        1 << 30,
        ge=0,
        description="bytes in table spool, for what gateways send above their share while ingest is"
        " behind; beyond it the broker keeps them all; 0 = no spool",
    )
    cycle_messages: int = Field(50_000, ge=1, description="messages one cycle takes")
    cycle_bytes: int = Field(4 << 20, ge=1 << 20, description="bytes one cycle takes")
    payload_bytes: int = Field(
        256 << 10, description="a larger payload is rejected, also one that is so when unpacked"
    )
    packet_bytes: int = Field(
        16 << 20,
        le=(1 << 28) + 4,
        description="a larger MQTT packet the broker keeps from us, which is told so at CONNECT",
    )
    future_s: float = Field(300.0, description="a sample further ahead goes to quarantine [s]")
    clock_trusted: bool = Field(
        False,
        description="go on although stored samples of gateways are later than the clock of this"
        " machine: it was ahead, and what it made of later times is taken back",
    )
    past_days: float = Field(
        400.0, gt=0, le=3650, description="a live sample older than this goes to quarantine [days]"
    )
    cycle_days: int = Field(
        32, ge=1, le=400, description="days of samples one cycle commits; the others follow it"
    )
    grace_s: float = Field(5.0, description="a minute is closed this long after its end [s]")
    silent_s: float = Field(
        10.0, description="a tag not heard of for so long has its minutes closed by the clock [s]"
    )
    hj212_host: str = Field("0.0.0.0", description="where HJ 212 data loggers may call")  # noqa: S104
    hj212_port: int = Field(
        0, ge=0, le=65_535, description="TCP port for HJ 212 data loggers; 0 = closed"
    )
    hj212_connections: int = Field(200, ge=1, description="data loggers connected at a time")
    hj212_address_connections: int = Field(
        50, ge=1, description="data loggers connected at a time from one address"
    )
    hj212_mn_connections: int = Field(
        3, ge=1, description="connections of one data logger; a further one ends the oldest"
    )
    hj212_allow: str = Field(
        "",
        description="addresses and networks from which data loggers may call, separated by commas,"
        " like 10.1.0.0/16; empty = all",
    )
    hj212_tls_cert: Path | None = Field(
        None,
        description="certificate and its chain (PEM), by which data loggers must call; read anew"
        " when it has changed; none: in the clear",
    )
    hj212_tls_key: Path | None = Field(None, description="key of that certificate (PEM)")
    hj212_tls_ca: Path | None = Field(
        None,
        description="authorities (PEM) by one of which a data logger must have a certificate; none:"
        " it needs none",
    )
    hj212_hello_s: float = Field(
        15.0,
        gt=0,
        description="so long a caller may send no packet of a known logger [s]",
    )
    hj212_packet_s: float = Field(
        60.0, gt=0, description="a packet that has begun is there within so long [s]"
    )
    hj212_idle_s: float = Field(
        900.0, gt=0, description="a data logger without a packet for so long is disconnected [s]"
    )
    hj212_waiting: int = Field(
        100, ge=1, description="packets of one data logger not yet committed; then it must wait"
    )
    forward_to: str = Field(
        "",
        pattern=r"^$|^[^\s:]+:\d{1,5}$",
        description="host:port of an authority that takes HJ 212: values of each [[forward]] of the"
        " model are sent there; empty = nowhere",
    )
    forward_realtime_s: float = Field(
        30.0, ge=30, le=3600, description="how often real-time data (2011) are sent [s]"
    )
    forward_delay_s: float = Field(
        90.0, ge=30, le=3600, description="an interval is sent so long after its end [s]"
    )
    forward_days: float = Field(
        7.0,
        gt=0,
        le=90,
        description="what could not be sent for so long is lost, and counted [days]",
    )
    forward_rate: float = Field(
        5.0, gt=0, le=100, description="intervals a second that are sent later, one connection each"
    )
    forward_timeout_s: float = Field(
        10.0, gt=0, le=60, description="an answer of the authority takes at most so long [s]"
    )
    forward_tries: int = Field(
        3, ge=1, le=10, description="times a packet is sent before the connection is made anew"
    )
    forward_retry_s: float = Field(
        10.0, gt=0, le=3600, description="pause before a connection is made anew [s]"
    )
    forward_hold_s: float = Field(
        600.0, gt=0, le=86_400, description="a command the authority refused is held so long [s]"
    )
    notify_smtp: str = Field(
        "",
        pattern=r"^$|^smtps?://([^@\s/]+@)?[^\s:/@]+(:\d{1,5})?/?$",
        description="mail server for each [[notify]] of the model, smtp://user:password@host:587 or"
        " smtps://; a password is sent over TLS only; empty = no mail",
    )
    notify_from: str = Field(
        "", pattern=r"^$|^[^@\s]+@[^@\s]+$", description="mail address the mails come from"
    )
    notify_secret: str = Field(
        "", description="shared secret that signs what webhooks get; empty = no webhook"
    )
    notify_console: str = Field(
        "http://127.0.0.1:8080",
        pattern=r"^https?://\S+$",
        description="address of the console for those who are told of an alarm",
    )
    notify_bundle_s: float = Field(
        60.0, ge=0, le=3600, description="alarms so long after a message come in one message [s]"
    )
    notify_alarms: int = Field(
        30, ge=1, le=1_000, description="alarms described in one message; others are counted in it"
    )
    notify_queue: int = Field(
        1_000,
        ge=1,
        le=100_000,
        description="alarms one [[notify]] may wait to be told of; then the oldest are dropped",
    )
    notify_hours: float = Field(
        12.0, gt=0, le=720, description="nobody is told of an alarm that is older [h]"
    )
    notify_retry_s: float = Field(
        5.0, gt=0, le=3600, description="pause after a message was not taken; doubles each time [s]"
    )
    notify_retry_max_s: float = Field(
        300.0, gt=0, le=86_400, description="longest pause before a message is tried again [s]"
    )
    notify_timeout_s: float = Field(
        20.0, gt=0, le=300, description="a message is handed over within so long [s]"
    )
    sparkplug_host_id: str = Field(
        "parktwin",
        pattern=r"^[^+/#]+$",
        description="name of this host application, for edge nodes that wait for it",
    )
    sparkplug_reorder_s: float = Field(
        2.0, ge=0, description="a message of an edge node missing for so long is lost [s]"
    )
    sparkplug_rebirth_s: float = Field(
        10.0,
        ge=0,
        description="an edge node is asked for its birth at most this often; 0 = never [s]",
    )
    reject_rows: int = Field(
        10_000, ge=1, description="rows kept in table reject, an equal share for each enterprise"
    )
    reject_rows_at_once: int = Field(
        100, ge=1, description="rows one cycle adds to table reject for one enterprise"
    )
    reject_bytes: int = Field(4096, description="bytes kept of a rejected payload")
    quarantine_rows: int = Field(
        10_000, ge=1, description="rows kept in table quarantine, shared like those of reject"
    )
    quarantine_samples: int = Field(
        1_000_000,
        ge=0,
        description="samples in quarantine kept for the day they are adopted, shared likewise",
    )
    unit_error_rows: int = Field(
        1_000, ge=1, description="rows kept in table unit_error, besides the open ones"
    )
    unit_error_samples: int = Field(
        20_000, ge=1, description="samples one cycle corrects for the answer to a unit error"
    )
    cycle_rows: int = Field(1_200, description="rows kept in table cycle, for readers that resume")
    command_rows: int = Field(100, ge=1, description="commands of operators one cycle takes")
    shelve_minutes_max: int = Field(480, ge=1, description="longest shelving of an alarm [min]")
    gateways_max: int = Field(1_000, ge=1, description="gateways known at a time")
    gateway_silent_s: float = Field(
        300.0,
        gt=0,
        description="of too many gateways those not heard of for so long make room [s]",
    )
    gateway_forget_days: float = Field(
        30.0, gt=0, description="a gateway not heard of for so long is forgotten [days]"
    )
    gateway_rate: float = Field(
        50_000.0,
        ge=0,
        description="samples a second one gateway may send; beyond it QoS 0 is dropped; 0 = any",
    )
    gateway_burst: float = Field(
        500_000.0, gt=0, description="samples one gateway may send at once, beyond its rate"
    )
    skew_limit_s: float = Field(
        60.0,
        ge=0,
        description="what a gateway sends whose clock is off by more is uncertain; 0 = any [s]",
    )
    contact_rate: float = Field(
        100.0,
        ge=0,
        description="messages a second read on the average to find gateways under topics that the"
        " model does not know; a payload counts for each KiB of it; 0 = topics of ours only",
    )
    contact_burst: float = Field(2_000.0, ge=1, description="the same at once, after a pause")
    contacts_max: int = Field(
        500, ge=1, description="senders that the model does not know, listed at a time"
    )
    contact_names: int = Field(200, ge=1, description="names listed of one such sender")
    health_s: float = Field(5.0, description="how often ingest stores its own counters [s]")
    publish_s: float = Field(
        5.0, ge=0, description="how often derived values are published under twin/v1; 0 = never [s]"
    )

    @property
    def broker_files(self) -> BrokerFiles:
        """Certificates for the broker."""
        return BrokerFiles(self.mqtt_ca, self.mqtt_cert, self.mqtt_key)

    @model_validator(mode="after")
    def _relations(self) -> IngestSettings:
        if self.packet_bytes < self.payload_bytes + HEAD_BYTES:
            raise ValueError(
                "PARKTWIN_PACKET_BYTES must be PARKTWIN_PAYLOAD_BYTES and room for a topic and"
                f" properties, {HEAD_BYTES} bytes, at least"
            )
        # What is in flight at QoS 1 must fit, or an unacknowledged message could be dropped.
        loggers = self.hj212_connections * self.hj212_waiting if self.hj212_port else 0
        if self.inbox_messages <= self.receive_max + loggers:
            raise ValueError(
                "PARKTWIN_INBOX_MESSAGES must be above PARKTWIN_RECEIVE_MAX"
                " + PARKTWIN_HJ212_CONNECTIONS × PARKTWIN_HJ212_WAITING"
            )
        if (self.hj212_tls_cert is None) != (self.hj212_tls_key is None) or (
            self.hj212_tls_ca is not None and self.hj212_tls_cert is None
        ):
            raise ValueError("PARKTWIN_HJ212_TLS_CERT and PARKTWIN_HJ212_TLS_KEY need each other")
        return self

    @field_validator("hj212_allow")
    @classmethod
    def _networks(cls, value: str) -> str:
        networks_of(value)
        return value
