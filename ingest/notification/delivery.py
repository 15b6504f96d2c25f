"""Messages are handed to a mail server, or to a program by a signed POST."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from email.message import EmailMessage
from email.utils import formatdate
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

import aiosmtplib
import httpx
import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.settings import IngestSettings

PORTS = {"smtp": 25, "smtps": 465}


class DeliveryError(Exception):
    """A message was not taken; the text says why."""


class Letter(NamedTuple):
    """A message, the same for mail and webhook."""

    key: str  # the same whenever it is sent again
    title: str
    text: str
    json: bytes


async def deliver(
    kind: str, address: Sequence[str], message: Letter, settings: IngestSettings, now_s: float
) -> None:
    """Hand a message over; raises DeliveryError."""
    send = _mail if kind == "mail" else _post
    try:
        async with asyncio.timeout(settings.notify_timeout_s):
            await send(address, message, settings, now_s)
    except TimeoutError as error:
        raise DeliveryError("no answer in time") from error
    except (OSError, aiosmtplib.SMTPException, httpx.HTTPError, ValueError) as error:
        raise DeliveryError(" ".join(str(error).split()) or type(error).__name__) from error


async def _mail(
    address: Sequence[str], message: Letter, settings: IngestSettings, now_s: float
) -> None:
    """Send a mail; raises DeliveryError when nobody is to get it."""
    if not settings.notify_smtp or not settings.notify_from:
        raise DeliveryError("PARKTWIN_NOTIFY_SMTP and PARKTWIN_NOTIFY_FROM name no mail server")
    server = urlsplit(settings.notify_smtp)
    mail = EmailMessage()
    mail["From"], mail["To"] = settings.notify_from, ", ".join(address)
    mail["Subject"], mail["Date"] = message.title, formatdate(now_s, localtime=False)
    mail["Message-ID"] = f"<{message.key}@{settings.notify_from.rpartition('@')[2].strip('> ')}>"
    # No answers of programs: nobody reads them.
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text)
    errors, _ = await aiosmtplib.send(
        mail,
        recipients=list(address),
        hostname=server.hostname,
        port=server.port or PORTS[server.scheme],
        username=unquote(server.username) if server.username else None,
        password=unquote(server.password or "") if server.username else None,
        use_tls=server.scheme == "smtps",
        # A password is sent over TLS only; else TLS is taken where the server has it.
        start_tls=None if server.scheme == "smtps" or not server.username else True,
        timeout=settings.notify_timeout_s,
    )
    if len(errors) == len(address):
        raise DeliveryError(f"nobody of {', '.join(errors)} was accepted")


async def _post(
    address: Sequence[str], message: Letter, settings: IngestSettings, now_s: float
) -> None:
    """POST a signed document; raises DeliveryError for an answer that is no success."""
    if not settings.notify_secret:
        raise DeliveryError("PARKTWIN_NOTIFY_SECRET is empty: nothing is sent without a signature")
    time = f"{now_s:.0f}"
    head = {
        "Content-Type": "application/json",
        "User-Agent": "parktwin",
        "X-Parktwin-Message": message.key,
        "X-Parktwin-Time": time,
        "X-Parktwin-Signature": f"sha256={signature(settings.notify_secret, time, message.json)}",
    }
    async with (
        httpx.AsyncClient(timeout=settings.notify_timeout_s) as client,
        # Of the answer only the status is read, however long it is.
        client.stream("POST", address[0], content=message.json, headers=head) as answer,
    ):
        if not answer.is_success:
            raise DeliveryError(f"the answer is {answer.status_code} {answer.reason_phrase}")


def signature(secret: str, time: str, body: bytes) -> str:
    """Return HMAC-SHA256 of ``<time>.<body>`` under a shared secret, as hexadecimal digits."""
    return hmac.new(secret.encode(), f"{time}.".encode() + body, hashlib.sha256).hexdigest()


def message_of(key: str, title: str, text: str, content: dict[str, object]) -> Letter:
    """Return a message with its document as JSON."""
    return Letter(key, title, text, orjson.dumps({"message": key, **content}))
