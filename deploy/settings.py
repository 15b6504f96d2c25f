"""Settings of `parktwin up`, from the environment, besides its options."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - pydantic looks at it
from typing import Literal

from pydantic import Field

from deploy.database.settings import Environment


class UpSettings(Environment):
    """Settings of `parktwin up`; each field is the environment variable PARKTWIN_<NAME>."""

    access: Literal["demo", "accounts"] = Field(
        "demo",
        description="accounts: nobody comes in without one, at the broker either; demo: everybody"
        " on this machine does",
    )
    log_archive: Path | None = Field(
        None,
        description="folder, best on another disk, for the log of the database, so that a restore"
        " reaches any moment after a backup; none: the log is not kept",
    )
    mqtt_host: str = Field(
        "127.0.0.1",
        description="with accounts: address at which gateways call the broker; others than this"
        " machine only with a certificate",
    )
    mqtt_gateway_port: int = Field(
        8883, ge=1, le=65_535, description="with accounts: port at which gateways call the broker"
    )
    mqtt_connections: int = Field(
        2_000, ge=1, le=60_000, description="gateways connected to the broker at a time"
    )
    mqtt_tls_cert: Path | None = Field(
        None,
        description="certificate of the broker and its chain (PEM), for gateways; read anew when it"
        " has changed",
    )
    mqtt_tls_key: Path | None = Field(None, description="key of that certificate (PEM)")
    mqtt_tls_ca: Path | None = Field(
        None,
        description="authorities (PEM) by one of which a gateway must have a certificate, besides"
        " its password; none: no client certificates",
    )
