"""Settings of ingest, from the environment; every limit is here."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

DEMO_PARK = Path(__file__).resolve().parent.parent / "deploy" / "parks" / "liaocheng"


class IngestSettings(BaseSettings):
    """Each field is the environment variable PARKTWIN_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="PARKTWIN_")

    database_url: str = Field(
        "postgresql://park@127.0.0.1:5433/park", description="where TimescaleDB is"
    )
    mqtt_url: str = Field(
        "mqtt://127.0.0.1:1883",
        description="the broker: mqtt://user:password@host:port or mqtts://",
    )
    park: Path = Field(DEMO_PARK, description="folder of the park model")
    client_id: str = Field(
        "parktwin-ingest", description="fixed MQTT client id: the session's name"
    )
    topic_filter: str = Field(
        "park/v1/#,senml/v1/#", description="what to subscribe to, separated by commas"
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
    inbox_bytes: int = Field(256 << 20, description="bytes waiting for a cycle")
    cycle_messages: int = Field(50_000, ge=1, description="messages one cycle takes")
    cycle_bytes: int = Field(4 << 20, ge=1 << 20, description="bytes one cycle takes")
    payload_bytes: int = Field(256 << 10, description="a larger payload is rejected")
    future_s: float = Field(300.0, description="a sample further ahead goes to quarantine [s]")
    grace_s: float = Field(5.0, description="a minute is closed this long after its end [s]")
    silent_s: float = Field(
        10.0, description="a tag not heard of for so long has its minutes closed by the clock [s]"
    )
    reject_rows: int = Field(10_000, description="rows kept in table reject")
    reject_bytes: int = Field(4096, description="bytes kept of a rejected payload")
    quarantine_rows: int = Field(10_000, description="rows kept in table quarantine")
    cycle_rows: int = Field(1_200, description="rows kept in table cycle, for readers that resume")
    health_s: float = Field(5.0, description="how often ingest stores its own counters [s]")

    @model_validator(mode="after")
    def _relations(self) -> IngestSettings:
        # What is in flight at QoS 1 must fit, or an unacknowledged message could be dropped.
        if self.inbox_messages <= self.receive_max:
            raise ValueError("PARKTWIN_INBOX_MESSAGES must be above PARKTWIN_RECEIVE_MAX")
        return self
