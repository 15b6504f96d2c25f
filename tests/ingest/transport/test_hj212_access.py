"""Who may call at the HJ 212 port: addresses, connections of one MN, slow packets, certificates."""

import asyncio
import contextlib
import ssl
from contextlib import asynccontextmanager

import pytest
import trustme
import uvloop

from ingest.counters import Counters
from ingest.routing.topics import NOBODY
from ingest.settings import IngestSettings
from ingest.transport import hj212_listener
from ingest.transport.hj212_listener import Listener
from ingest.wire import hj212
from tests.support.waiting import until
from twin.errors import ModelError, SettingsError
from twin.loading import parse_park

HOST = "127.0.0.1"
MN, OTHER = "010000A8900016F000169DC0", "FFFF00A8900016F000169DC0"
ROW = """
[[gateway]]
id = "{}"
scope = "acmepark/acme"
protocol = "hj212"
mn = "{}"
{}
"""


def packet(mn=MN, number=1):
    cp = "DataTime=20251122083000;a21022-Rtd=1.8,a21022-Flag=N"
    return hj212.encode(hj212.Packet(f"2025112208300{number:04d}", "31", "2011", "", mn, 5, cp))


def with_rows(park, *more):
    text = park.files["park.toml"] + ROW.format("cems-1", MN, "".join(more))
    text += ROW.format("cems-2", OTHER, "")
    return parse_park({**park.files, "park.toml": text})


@asynccontextmanager
async def serving(park, **settings):
    """Listen, and acknowledge at once; yields the port, the messages and the counters."""
    counters, messages = Counters(), []

    def put(message):
        messages.append(message)
        asyncio.get_running_loop().call_soon(lambda: listener.ack([message]))

    listener = Listener(park, IngestSettings(hj212_host=HOST, **settings), put, counters)
    port = await listener.start()
    try:
        yield port, messages, counters
    finally:
        await listener.stop()


async def answer(reader):
    async with asyncio.timeout(5):
        (result,) = hj212.Framer().feed(await reader.readuntil(b"\r\n"))
    return result


async def ended(reader):
    """Wait until the listener hangs up."""
    with contextlib.suppress(ConnectionError):
        await asyncio.wait_for(reader.read(), 5)


async def ask(port, data=None, **options):
    """Call, send a packet, and return the answer."""
    reader, writer = await asyncio.open_connection(HOST, port, **options)
    writer.write(data or packet())
    try:
        return await answer(reader)
    finally:
        writer.close()


async def test_who_calls_from_elsewhere_is_hung_up_on_and_counted(park):
    async with serving(with_rows(park), hj212_allow="10.0.0.0/8, 192.0.2.7") as (port, messages, n):
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(packet())
        await ended(reader)
        writer.close()
        assert (messages, n) == ([], {"loggers.forbidden": 1})
    async with serving(with_rows(park), hj212_allow="127.0.0.0/8") as (port, _, n):
        assert (await ask(port)).cn == "9014"
        assert n == {}


async def test_an_mn_is_its_loggers_where_that_calls_from_only(park):
    elsewhere = with_rows(park, 'addresses = ["10.1.0.0/16", "192.0.2.7"]')
    async with serving(elsewhere) as (port, messages, counters):
        refusal = await ask(port)
        assert (refusal.cn, refusal.cp) == ("9011", "QnRtn=4")
        # Nothing of it comes under the topic of the logger.
        assert messages[0].topic.startswith(NOBODY)
        assert counters == {"loggers.forbidden": 1}
        assert (await ask(port, packet(OTHER))).cn == "9014"
    near = with_rows(park, 'addresses = ["127.0.0.0/8"]')
    async with serving(near) as (port, messages, _):
        assert (await ask(port)).cn == "9014"
        assert messages[0].topic == "hj212/v1/acmepark/acme/cems-1"


def test_addresses_that_are_none_are_said(park):
    with pytest.raises(ModelError) as caught:
        with_rows(park, 'addresses = "10.1"')
    assert "addresses: '10.1' is none" in str(caught.value.problems)
    with pytest.raises(SettingsError, match="PARKTWIN_HJ212_ALLOW"):
        IngestSettings(hj212_allow="somewhere")
    with pytest.raises(SettingsError, match="need each other"):
        IngestSettings(hj212_tls_cert="c.pem")


async def test_a_further_connection_of_an_mn_ends_the_oldest(park):
    async with serving(with_rows(park), hj212_mn_connections=2) as (port, _, counters):
        callers = [await asyncio.open_connection(HOST, port) for _ in range(4)]
        for number, (reader, writer) in enumerate(callers):
            writer.write(packet(OTHER if number == 1 else MN, number))
            assert (await answer(reader)).cn == "9014"
        await ended(callers[0][0])
        assert counters == {"loggers.evicted": 1}
        for reader, writer in callers[1:]:
            writer.write(packet(MN if writer is not callers[1][1] else OTHER, 9))
            assert (await answer(reader)).cn == "9014"
        for _, writer in callers:
            writer.close()


@pytest.mark.parametrize("is_dribbling", [False, True])
async def test_a_packet_that_never_ends_is_cut_off_also_of_a_known_logger(park, is_dribbling):
    async with serving(with_rows(park), hj212_packet_s=0.4) as (port, messages, counters):
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(packet())
        await answer(reader)
        begun = asyncio.get_running_loop().time()
        for byte in packet(number=2)[:30] if is_dribbling else [b"#"]:
            writer.write(bytes([byte]) if is_dribbling else byte)
            await asyncio.sleep(0.03)
            if reader.at_eof():
                break
        await ended(reader)
        assert 0.3 < asyncio.get_running_loop().time() - begun < 2.0
        assert counters == {"loggers.slow": 1}
        # What has come of it is rejected, not lost silently.
        assert messages[-1].topic.startswith(NOBODY)
        writer.close()


async def test_packets_that_end_in_time_may_be_cut_anyhow(park):
    async with serving(with_rows(park), hj212_packet_s=0.5) as (port, _, counters):
        reader, writer = await asyncio.open_connection(HOST, port)
        for number in range(4):
            data = packet(number=number)
            writer.write(data[:40])
            await asyncio.sleep(0.2)
            writer.write(data[40:])
            assert (await answer(reader)).cn == "9014"
        assert counters == {}
        writer.close()


# --- certificates ------------------------------------------------------------


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def write_certificate(authority, folder):
    issued = authority.issue_cert(HOST)
    cert, key = folder / "cert.pem", folder / "key.pem"
    issued.private_key_pem.write_to_path(key)
    cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    return {"hj212_tls_cert": cert, "hj212_tls_key": key}


def trusting(authority, *, with_certificate=False):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    if with_certificate:
        authority.issue_cert("cems@acme.example").configure_cert(context)
    return context


async def call_by_tls(park, authority, folder):
    """Ask by TLS, and in the clear; return the answer, and what was counted."""
    settings = write_certificate(authority, folder)
    async with serving(with_rows(park), **settings, hj212_hello_s=1.0) as (port, _, counters):
        result = await ask(port, ssl=trusting(authority))
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(packet())
        await ended(reader)
        writer.close()
        # Who says nothing at all keeps no place.
        reader, writer = await asyncio.open_connection(HOST, port)
        await ended(reader)
        writer.close()
        return result.cn, dict(counters)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_by_tls_a_logger_is_answered_and_in_the_clear_nobody_is(
    park, authority, tmp_path, loop
):
    if loop == "uvloop":
        # As in the program, whose loop it is.
        call = lambda: uvloop.run(call_by_tls(park, authority, tmp_path))  # noqa: E731
        result = await asyncio.to_thread(call)
    else:
        result = await call_by_tls(park, authority, tmp_path)
    assert result == ("9014", {"loggers.untrusted": 2})


async def test_loggers_may_have_to_have_certificates(park, authority, tmp_path):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    settings = {**write_certificate(authority, tmp_path), "hj212_tls_ca": tmp_path / "ca.pem"}
    async with serving(with_rows(park), **settings) as (port, _, counters):
        known = trusting(authority, with_certificate=True)
        assert (await ask(port, ssl=known)).cn == "9014"
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            await ask(port, ssl=trusting(authority))
        await until(lambda: counters == {"loggers.untrusted": 1})


async def test_a_changed_certificate_is_used_for_new_calls_and_a_broken_one_is_not(
    park, authority, tmp_path, monkeypatch
):
    monkeypatch.setattr(hj212_listener, "LOOK_S", 0.05)
    settings = write_certificate(authority, tmp_path)
    context = trusting(authority)

    async def serial(port):
        _, writer = await asyncio.open_connection(HOST, port, ssl=context)
        number = writer.get_extra_info("peercert")["serialNumber"]
        writer.close()
        return number

    async with serving(with_rows(park), **settings) as (port, _, _):
        first = await serial(port)
        reader, writer = await asyncio.open_connection(HOST, port, ssl=context)
        write_certificate(authority, tmp_path)
        await until(lambda: is_other(serial, port, first))
        second = await serial(port)
        (tmp_path / "key.pem").write_text("nonsense")
        await asyncio.sleep(0.3)
        assert await serial(port) == second
        # Who was there before still is.
        writer.write(packet())
        assert (await answer(reader)).cn == "9014"
        writer.close()


async def is_other(serial, port, former):
    return await serial(port) != former


async def test_a_certificate_that_is_none_is_one_sentence(park, tmp_path):
    missing = {"hj212_tls_cert": tmp_path / "c.pem", "hj212_tls_key": tmp_path / "k.pem"}
    with pytest.raises(SettingsError, match="certificate for data loggers cannot be used"):
        async with serving(with_rows(park), **missing):
            pass
