"""Settings that programs share: prefix, help, errors, and the park model they take by default."""

from __future__ import annotations

import ssl
from importlib.resources import files
from pathlib import Path  # noqa: TC003 - pydantic looks at it
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from twin.errors import SettingsError

PREFIX = "PARKTWIN_"
DATA_FOLDER = "parktwin-data"  # of `parktwin up`, where it is started
LAST_BACKUP = "last-backup.json"  # in that folder: what the newest backup holds
CONNECTION = f"{DATA_FOLDER}/connection.env"
DEMO_PARK = str(files("deploy").joinpath("parks/liaocheng"))  # a folder


class Environment(BaseSettings):
    """Each field is the environment variable PARKTWIN_<NAME>; raises SettingsError with all."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore")

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except PermissionError as error:
            raise SettingsError(
                f"{CONNECTION} belongs to another account",
                hint="run this as that account, or in another folder with PARKTWIN_DATABASE_URL",
            ) from error
        except ValidationError as error:
            raise SettingsError(
                "; ".join(_problem(each["loc"], each["msg"]) for each in error.errors()),
                hint="mend these settings; --help lists all of them",
            ) from error

    @classmethod
    def help(cls) -> str:
        """Return one line for each setting: name, meaning, default."""
        return "\n".join(
            f"  {PREFIX}{name.upper():<20} {field.description} (default {field.default})"
            for name, field in cls.model_fields.items()
        )


class Settings(Environment):
    """Settings of a program of the twin.

    What the environment does not say is read from the `connection.env` of `parktwin up`.
    """

    model_config = SettingsConfigDict(env_file=CONNECTION)

    database_url: str = Field(
        "postgresql://park@127.0.0.1:5433/park", description="where TimescaleDB is"
    )
    archive: Path | None = Field(
        None,
        description="folder of the archive: samples and minutes that are no longer in the database,"
        " in Parquet files; none: nothing is archived, and what was cannot be read",
    )


def _problem(location: tuple[int | str, ...], text: str) -> str:
    """Return the sentence of one wrong setting; of a relation between several, its own."""
    name = f"{PREFIX}{str(location[0]).upper()}: " if location else ""
    return name + text.removeprefix("Value error, ")


class BrokerFiles(NamedTuple):
    """Files in PEM for an address that begins with ``mqtts://``."""

    ca: Path | None = None  # authorities that vouch for the broker; None: those of the system
    cert: Path | None = None  # our own certificate, where the broker asks for one
    key: Path | None = None


NO_FILES = BrokerFiles()


def mqtt_address(url: str, files: BrokerFiles = NO_FILES) -> dict[str, Any]:
    """Return the address in the URL of a broker as arguments of `aiomqtt.Client`.

    Raises SettingsError when it is not like ``mqtt://user:password@host:port`` or ``mqtts://``, or
    a file cannot be used.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or port == -1:
        raise SettingsError(
            f"{without_password(url)!r} is not an MQTT address (PARKTWIN_MQTT_URL)",
            hint="write mqtt://host:1883",
        )
    secure = parts.scheme == "mqtts"
    return {
        "hostname": parts.hostname,
        "port": port or (8883 if secure else 1883),
        "username": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
        "tls_context": _context(files) if secure else None,
    }


def _context(files: BrokerFiles) -> ssl.SSLContext:
    """Return what trusts a broker, and vouches for us; raises SettingsError."""
    try:
        context = ssl.create_default_context(cafile=files.ca)
        if files.cert is not None:
            context.load_cert_chain(files.cert, files.key, password=lambda: "")
    except OSError as error:
        raise SettingsError(
            f"the certificates for the broker cannot be used: {error}",
            hint="PARKTWIN_MQTT_CA, PARKTWIN_MQTT_CERT and PARKTWIN_MQTT_KEY name files in PEM",
        ) from error
    return context


def without_password(url: str) -> str:
    """Return a URL without user and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
