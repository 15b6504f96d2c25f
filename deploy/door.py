"""The door of the broker to gateways: its port, its certificate, and the lists of who comes in.

Our own programs come in by the plain port of this machine, gateways by this one. There the broker
takes the name of an account for the client id, so that nobody comes in under another's, which would
end the other's connection.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deploy import packages
from deploy.access_lists import (
    INGEST,
    REFUSALS,
    SIMULATORS,
    BrokerAccount,
    hashed,
    loaded,
    mosquitto_files,
    new_password,
)
from deploy.private_files import write_private
from twin.errors import ParkError, SettingsError
from twin.model.gateway_rights import TopicRights

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from deploy.settings import UpSettings

# People, and programs that are not ours: who has its password may do everything.
OWNER = "park"
EVERYTHING = TopicRights(publish=("#",), read=("#", "$SYS/#"))
RIGHTS = {OWNER: EVERYTHING, "ingest": INGEST, "simulators": SIMULATORS}
CERTIFICATE, KEY, CLIENTS = "certificate.pem", "key.pem", "clients.pem"
# Names of the files in the folder of the broker.
LISTS = ("passwords", "rights")


@dataclass(eq=False)
class Door:
    """What the broker needs for gateways; files that change are taken over by `install`."""

    settings: UpSettings
    data: Path
    passwords: dict[str, str] = field(init=False)  # of our own accounts
    _hashes: dict[str, str] = field(init=False)
    _installed: object = field(default=None, init=False)
    _refused: object = field(default=None, init=False)
    _clients: object = field(default=None, init=False)

    def __post_init__(self) -> None:
        check(self.settings)
        self.passwords = {name: new_password() for name in RIGHTS}
        self.passwords[OWNER] = _kept_password(self.data / "mqtt.password")
        self._hashes = {name: hashed(password) for name, password in self.passwords.items()}

    @property
    def accounts_file(self) -> Path:
        """Where ingest says which gateways come in."""
        return self.data / "gateways.json"

    @property
    def refusals_file(self) -> Path:
        """Where the broker's log says whose messages were refused, for ingest."""
        return self.accounts_file.with_name(REFUSALS)

    @property
    def url(self) -> str:
        """Where gateways call."""
        scheme = "mqtts" if self.settings.mqtt_tls_cert else "mqtt"
        return f"{scheme}://{self.settings.mqtt_host}:{self.settings.mqtt_gateway_port}"

    @property
    def usernames(self) -> frozenset[str]:
        """Who comes in by the lists as they would be installed now."""
        return frozenset(each.username for each in self._accounts())

    def config(self, inside: str) -> list[str]:
        """Return the lines of the broker's configuration; its folder is `inside` its sandbox."""
        settings = self.settings
        lines = [
            # Who came in, from where, and who was not let in; and what was refused, see BrokerLog.
            "connection_messages true",
            "log_type debug",
            f"password_file {inside}/passwords",
            f"acl_file {inside}/rights",
            f"listener {settings.mqtt_gateway_port} {settings.mqtt_host}",
            "use_username_as_clientid true",
            f"max_connections {settings.mqtt_connections}",
        ]
        if settings.mqtt_tls_cert:
            lines += [f"certfile {inside}/{CERTIFICATE}", f"keyfile {inside}/{KEY}",
                      "tls_version tlsv1.2"]  # fmt: skip
        if settings.mqtt_tls_ca:
            lines += [f"cafile {inside}/{CLIENTS}", "require_certificate true"]
        return lines

    def has_news(self) -> bool:
        """Return whether a file has changed since it was installed, or refused."""
        return self._signature() not in (self._installed, self._refused)

    def install(self, folder: Path) -> bool:
        """Copy into the folder of the broker what it reads; return whether it must start anew.

        Raises ParkError for a certificate that cannot be used: what was installed before stays.
        """
        signature = self._signature()
        self._refused = signature
        files = self._certificates(folder)
        lists = mosquitto_files(list(self._accounts()))
        # A list of authorities is read at a start only.
        must_restart = self._clients not in (None, files.get(CLIENTS))
        self._clients = files.get(CLIENTS)
        owner = folder.stat()
        for name, content in (files | {name: lists[name].encode() for name in LISTS}).items():
            write_private(folder / name, content)
            os.chown(folder / name, owner.st_uid, owner.st_gid)
        self._installed, self._refused = signature, None
        return must_restart

    def _sources(self) -> dict[str, Path | None]:
        settings = self.settings
        return {CERTIFICATE: settings.mqtt_tls_cert, KEY: settings.mqtt_tls_key,
                CLIENTS: settings.mqtt_tls_ca}  # fmt: skip

    def _signature(self) -> object:
        """Return what tells two states of all files apart."""
        paths = [self.accounts_file, *filter(None, self._sources().values())]
        return [(each.st_ino, each.st_mtime_ns, each.st_size) if (each := _status(path)) else None
                for path in paths]  # fmt: skip

    def _accounts(self) -> Iterator[BrokerAccount]:
        for name, rights in RIGHTS.items():
            yield BrokerAccount(name, self._hashes[name], rights)
        try:
            yield from loaded(self.accounts_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            pass  # ingest has not written it yet: no gateway comes in
        except (OSError, ValueError, KeyError, TypeError) as error:
            packages.say(f"{self.accounts_file} cannot be read, so no gateway comes in: {error}")

    def _certificates(self, folder: Path) -> dict[str, bytes]:
        """Return the contents of the certificate files; raises ParkError."""
        files: dict[str, bytes] = {}
        try:
            for name, path in self._sources().items():
                if path is not None:
                    files[name] = path.read_bytes()
            if CERTIFICATE in files:
                _try(files, folder)
        except (OSError, ssl.SSLError) as error:
            raise ParkError(
                f"the certificate of the broker cannot be used: {error}",
                hint="PARKTWIN_MQTT_TLS_CERT, _KEY and _CA name files in PEM that fit each other",
            ) from error
        return files


def _try(files: Mapping[str, bytes], folder: Path) -> None:
    """Raise SSLError for a certificate and a key, or authorities, that nobody could use."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    names = {name: folder / f"{name}.new" for name in files}
    try:
        for name, path in names.items():
            write_private(path, files[name])
        context.load_cert_chain(names[CERTIFICATE], names[KEY], password=lambda: "")
        if CLIENTS in names:
            context.load_verify_locations(names[CLIENTS])
    finally:
        for path in names.values():
            path.unlink(missing_ok=True)


def check(settings: UpSettings) -> None:
    """Raise SettingsError for a door through which passwords would go in the clear."""
    given = [settings.mqtt_tls_cert, settings.mqtt_tls_key]
    if any(given) and not all(given):
        raise SettingsError(
            "a certificate needs its key", hint="PARKTWIN_MQTT_TLS_CERT and PARKTWIN_MQTT_TLS_KEY"
        )
    if settings.mqtt_tls_ca and not all(given):
        raise SettingsError(
            "client certificates need a certificate of the broker",
            hint="PARKTWIN_MQTT_TLS_CERT and PARKTWIN_MQTT_TLS_KEY",
        )
    if not any(given) and not _is_loopback(settings.mqtt_host):
        raise SettingsError(
            f"without a certificate passwords would be read on the way to {settings.mqtt_host}",
            hint="PARKTWIN_MQTT_TLS_CERT and PARKTWIN_MQTT_TLS_KEY, or a tunnel to this machine",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _kept_password(file: Path) -> str:
    """Return a password that outlives a start, a new one for a new data folder."""
    if not file.exists():
        write_private(file, f"{new_password()}\n")
    return file.read_text().strip()


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
