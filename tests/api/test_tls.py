"""HTTPS of the API itself, and what proxies are believed."""

import ssl
from datetime import timedelta

import httpx
import pytest
from cryptography import x509

from api.access.guard import SECURE_SESSION, SESSION, TRIES_MAX
from api.settings import ApiSettings
from api.tls import Certificate
from deploy.service import free_port
from tests.support.accounts import GOOD, come_in, guarded, invite
from tests.support.certificates import write_certificate
from tests.support.programs import running
from tests.support.waiting import until
from twin.errors import SettingsError

pytest_plugins = ["tests.support.small_park"]


def serial_at(port):
    pem = ssl.get_server_certificate(("127.0.0.1", port))
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


async def test_the_api_serves_https_and_takes_a_new_certificate_without_a_restart(
    database, db, ids, tmp_path
):
    serial, port = write_certificate(tmp_path), free_port()
    environment = {
        "PARKTWIN_DATABASE_URL": database, "PARKTWIN_ACCESS": "accounts",
        "PARKTWIN_HTTP_PORT": str(port), "PARKTWIN_HTTP_HOST": "127.0.0.1",
        "PARKTWIN_HTTP_TLS_CERT": str(tmp_path / "cert.pem"),
        "PARKTWIN_HTTP_TLS_KEY": str(tmp_path / "key.pem"),
    }  # fmt: skip
    context = ssl.create_default_context(cafile=tmp_path / "cert.pem")
    url = f"https://127.0.0.1:{port}"
    with (tmp_path / "api.log").open("w") as log:
        async with (
            running("api", environment, log),
            httpx.AsyncClient(base_url=url, verify=context) as api,
        ):
            await until(lambda: is_live(api), 60)
            answer = await api.get("/livez")
            year = timedelta(days=365).total_seconds()
            assert answer.headers["strict-transport-security"] == f"max-age={year:.0f}"
            await until(lambda: "invitation=" in (tmp_path / "api.log").read_text(), 60)
            text = (tmp_path / "api.log").read_text()
            secret = text.partition("invitation=")[2].split()[0]
            assert f"{url}/login" in text
            body = {"password": GOOD, "invitation": secret}
            cookie = (await api.post("/api/v1/password", json=body)).headers["set-cookie"]
            assert cookie.startswith(f"{SECURE_SESSION}=")
            assert "Secure" in cookie
            assert "Path=/" in cookie
            assert serial_at(port) == serial
            # One file before the other: until both fit the former pair stays.
            key = (tmp_path / "key.pem").read_bytes()
            renewed = write_certificate(tmp_path)
            await until(lambda: serial_at(port) == renewed, 60)
            (tmp_path / "key.pem").write_bytes(key)
            await until(lambda: "the former one stays" in (tmp_path / "api.log").read_text(), 60)
            assert serial_at(port) == renewed
            # Who came by the former one goes on.
            assert (await api.get("/livez")).status_code == 200


async def is_live(client):
    try:
        return (await client.get("/livez")).status_code == 200
    except httpx.TransportError:
        return False


def test_a_certificate_that_cannot_be_used_is_refused_at_the_start(tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    with pytest.raises(SettingsError, match="cannot be used"):
        Certificate(cert, key)
    write_certificate(tmp_path)
    assert Certificate(cert, key).context.minimum_version == ssl.TLSVersion.TLSv1_2
    former = key.read_bytes()
    write_certificate(tmp_path)
    key.write_bytes(former)
    with pytest.raises(SettingsError, match="cannot be used"):
        Certificate(cert, key)
    with pytest.raises(SettingsError, match="go together"):
        ApiSettings(database_url="", http_tls_key=key)


FORWARDED = {
    "X-Forwarded-For": "198.51.100.1, 203.0.113.9, 10.0.0.7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "twin.example",
}
LOGIN = {"name": "ann", "password": "wrong"}


async def addresses(accounts):
    rows = await accounts.rows("SELECT DISTINCT address FROM audit WHERE address <> '' ORDER BY 1")
    return [row["address"] for row in rows]


async def test_what_a_trusted_proxy_says_of_a_request_is_believed(database, ids):
    settings = {"trusted_proxies": "127.0.0.1, 10.0.0.0/8", "hosts": "twin.example"}
    async with guarded(database, **settings) as (api, accounts, _):
        answer = await api.post("/api/v1/login", json=LOGIN, headers=FORWARDED)
        assert answer.status_code == 401
        assert "strict-transport-security" in answer.headers
        # The first address that is no proxy of ours, from the right: those before it are made up.
        assert await addresses(accounts) == ["203.0.113.9"]
        secret = await invite(accounts, "ann", "viewer")
        body = {"password": GOOD, "invitation": secret}
        answer = await api.post("/api/v1/password", json=body, headers=FORWARDED)
        assert answer.headers["set-cookie"].startswith(f"{SECURE_SESSION}=")
        for name, status in (("evil.example", 421), ("evil.example, twin.example", 200)):
            headers = FORWARDED | {"X-Forwarded-Host": name}
            assert (await api.get("/livez", headers=headers)).status_code == status
        # An order from a page of the name that the proxy serves.
        headers = FORWARDED | {"Origin": "https://twin.example"}
        assert (await api.post("/api/v1/login", json=LOGIN, headers=headers)).status_code == 401
        for _ in range(TRIES_MAX):
            answer = await api.post("/api/v1/login", json=LOGIN, headers=FORWARDED)
        assert answer.status_code == 429
        headers = FORWARDED | {"X-Forwarded-For": "203.0.113.10"}
        assert (await api.post("/api/v1/login", json=LOGIN, headers=headers)).status_code == 401


async def test_what_anybody_else_says_of_a_request_counts_for_nothing(database, ids):
    for trusted in ("", "10.0.0.0/8"):
        async with guarded(database, trusted_proxies=trusted) as (api, accounts, _):
            for number in range(TRIES_MAX + 1):
                headers = FORWARDED | {"X-Forwarded-For": f"203.0.113.{number}"}
                answer = await api.post("/api/v1/login", json=LOGIN, headers=headers)
                assert "strict-transport-security" not in answer.headers
            assert answer.status_code == 429
            assert await addresses(accounts) == ["127.0.0.1"]


async def test_by_https_a_session_of_http_is_none(database, ids):
    settings = {"trusted_proxies": "127.0.0.1", "hosts": "twin.example"}
    async with guarded(database, **settings) as (api, accounts, _):
        await come_in(api, accounts, "ann", "viewer")
        assert SESSION in api.cookies
        headers = {"X-Forwarded-Proto": "https"}
        assert (await api.get("/api/v1/park")).status_code == 200
        assert (await api.get("/api/v1/park", headers=headers)).status_code == 401


@pytest.mark.parametrize("proxy", ["proxy.example", "10.0.0.1/8", "*"])
def test_a_proxy_is_trusted_by_its_address(proxy):
    with pytest.raises(SettingsError, match="PARKTWIN_TRUSTED_PROXIES"):
        ApiSettings(database_url="", trusted_proxies=proxy)
