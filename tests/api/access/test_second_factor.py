"""The second factor: codes by time, each good once, and codes for the day the telephone is lost."""

import asyncio
from datetime import timedelta

import pyotp
import pytest

from api.access import totp
from api.access.accounts import FAILURES
from api.access.guard import SESSION
from api.access.seal import Seal, read_seal
from tests.support.accounts import GOOD, KEY, come_in, guard_of, guarded, noted
from tests.support.small_park import NOW
from twin.errors import SettingsError

pytest_plugins = ["tests.support.small_park"]

STEP = totp.STEP_US
RIGHT = {"name": "ann", "password": GOOD}


@pytest.fixture
def key(tmp_path):
    file = tmp_path / "secret.key"
    file.write_bytes(KEY)
    return file


def code_of(secret, now_us=NOW):
    return pyotp.TOTP(secret).generate_otp(now_us // STEP)


async def set_up(api):
    """Set up the second factor of who has come in; returns its secret and recovery codes."""
    made = await api.post("/api/v1/second-factor", json={"password": GOOD})
    assert made.status_code == 200, made.text
    secret = made.json()["secret"]
    confirmed = await api.post("/api/v1/second-factor/confirm", json={"code": code_of(secret)})
    assert confirmed.status_code == 200, confirmed.text
    return secret, confirmed.json()["codes"]


async def enter(api, code=None):
    api.cookies.clear()
    body = RIGHT | ({} if code is None else {"code": code})
    return await api.post("/api/v1/login", json=body)


def shift(accounts, us):
    accounts._now_us = lambda: NOW + us


async def test_with_a_second_factor_the_password_alone_opens_nothing(database, db, ids, key):
    async with guarded(database, secret_key=key) as (api, accounts, _):
        await come_in(api, accounts, "ann", "operator")
        wrong = await api.post("/api/v1/second-factor", json={"password": "not the one"})
        assert wrong.status_code == 403
        secret, codes = await set_up(api)
        assert (await api.get("/api/v1/me")).json()["second_factor"] == "on"
        sealed = await db.fetchval("SELECT totp FROM account")
        assert secret.encode() not in sealed
        assert Seal(KEY).open("totp ann", sealed) == secret.encode()
        assert not await db.fetchval("SELECT count(*) FROM credential WHERE label = $1", codes[0])
        half = await enter(api)
        assert (half.status_code, half.json()["second_factor"]) == (401, "wanted")
        assert SESSION not in api.cookies
        shift(accounts, STEP)
        assert (await enter(api, code_of(secret, NOW + STEP))).status_code == 200
        assert (await api.get("/api/v1/park")).status_code == 200


async def test_a_code_is_good_once_and_for_a_step_around_its_time(database, ids, key):
    async with guarded(database, secret_key=key) as (api, accounts, _):
        await come_in(api, accounts, "ann", "operator")
        secret, _ = await set_up(api)
        # The code that has confirmed it was used by that.
        assert (await enter(api, code_of(secret))).status_code == 401
        shift(accounts, 3 * STEP)
        for step, status in ((1, 401), (2, 200), (2, 401), (4, 200), (3, 401), (5, 401)):
            answer = await enter(api, code_of(secret, NOW + step * STEP))
            assert answer.status_code == status, step
        two = await asyncio.gather(
            *(api.post("/api/v1/login", json=RIGHT | {"code": code}) for code in
              [code_of(secret, NOW + 5 * STEP)] * 2)
        )  # fmt: skip
        assert {each.status_code for each in two} == {401}
        shift(accounts, 5 * STEP)
        two = await asyncio.gather(
            *(api.post("/api/v1/login", json=RIGHT | {"code": code_of(secret, NOW + 5 * STEP)})
              for _ in range(2))
        )  # fmt: skip
        assert sorted(each.status_code for each in two) == [200, 401]


async def test_guessing_codes_locks_the_account_as_guessing_passwords_does(database, ids, key):
    async with guarded(database, secret_key=key) as (api, accounts, _):
        await come_in(api, accounts, "ann", "operator")
        secret, _ = await set_up(api)
        shift(accounts, STEP)
        right = code_of(secret, NOW + STEP)
        wrong = "000000" if right != "000000" else "111111"
        # Logins in between that stop at the password give no more tries.
        for each in [wrong, None] * FAILURES:
            assert (await enter(api, each)).status_code == 401
        assert (await enter(api, right)).status_code == 401
        assert len(await noted(accounts, account="ann", outcome="401")) == 2 * FAILURES + 1
        shift(accounts, round(timedelta(minutes=16).total_seconds() * 1e6))
        later = code_of(secret, accounts._now_us())
        assert (await enter(api, later)).status_code == 200


async def test_many_guesses_at_once_are_no_more_than_one_after_another(database, db, ids, key):
    async with guarded(database, secret_key=key) as (api, accounts, _):
        await come_in(api, accounts, "ann", "operator")
        await set_up(api)
        checked = []
        take = accounts._take

        async def watched(row, code):
            checked.append(code)
            await take(row, code)

        accounts._take = watched
        bodies = [RIGHT | {"code": f"{number:06}"} for number in range(15)]
        await asyncio.gather(*(api.post("/api/v1/login", json=body) for body in bodies))
        assert len(checked) == FAILURES
        assert await db.fetchval("SELECT failed FROM account") == FAILURES


async def test_a_recovery_code_is_good_once_and_in_the_record(database, ids, key):
    async with guarded(database, secret_key=key) as (api, accounts, _):
        await come_in(api, accounts, "ann", "operator")
        _, codes = await set_up(api)
        assert len(set(codes)) == totp.CODES
        assert (await enter(api, codes[0].upper())).status_code == 200
        assert (await enter(api, codes[0])).status_code == 401
        # One of another account is none.
        await come_in(api, accounts, "eve", "operator")
        _, others = await set_up(api)
        assert (await enter(api, others[0])).status_code == 401
        rows = await noted(accounts, account="ann")
        assert ("/api/v1/login with a recovery code", "200") in rows


async def test_who_ends_it_gives_password_and_code_and_other_sessions_end(database, ids, key):
    async with guarded(database, secret_key=key) as (api, accounts, _):
        await come_in(api, accounts, "ann", "operator")
        other = api.cookies[SESSION]
        assert (await enter(api)).status_code == 200
        _, codes = await set_up(api)
        own = api.cookies[SESSION]
        api.cookies.set(SESSION, other)
        assert (await api.get("/api/v1/park")).status_code == 401
        api.cookies.set(SESSION, own)
        end = "/api/v1/second-factor/end"
        for body in ({"password": GOOD, "code": "123456"}, {"password": "x", "code": codes[0]}):
            assert (await api.post(end, json=body)).status_code == 403
        answer = await api.post(end, json={"password": GOOD, "code": codes[0]})
        assert (answer.status_code, answer.json()["second_factor"]) == (200, "off")
        assert (await enter(api)).status_code == 200
        # The codes of what has ended are no longer good.
        await set_up(api)
        assert (await enter(api, codes[1])).status_code == 401


async def test_an_invitation_is_no_way_around_it_and_an_administrator_resets_it(database, ids, key):
    async with guarded(database, secret_key=key) as (api, accounts, _):
        await come_in(api, accounts, "ann", "operator")
        await set_up(api)
        api.cookies.clear()
        body = {"password": f"{GOOD} 2", "invitation": await accounts.invite("ann")}
        answer = await api.post("/api/v1/password", json=body)
        assert (answer.status_code, answer.json()["account"]) == (200, None)
        assert SESSION not in api.cookies
        reset = "/api/v1/accounts/{}/reset-factor"
        await come_in(api, accounts, "eve", "engineer")
        assert (await api.post(reset.format("ann"))).status_code == 403
        await come_in(api, accounts, "root", "administrator")
        (row,) = [each for each in (await api.get("/api/v1/accounts")).json()["items"]
                  if each["name"] == "ann"]  # fmt: skip
        assert row["has_factor"]
        assert not (await api.post(reset.format("ann"))).json()["has_factor"]
        assert (await api.post(reset.format("root"))).status_code == 409
        assert (reset.format("ann"), "200") in await noted(accounts, account="root")
        api.cookies.clear()
        right = RIGHT | {"password": f"{GOOD} 2"}
        assert (await api.post("/api/v1/login", json=right)).status_code == 200


async def test_a_role_that_needs_one_does_nothing_else_before(database, ids, key):
    settings = {"secret_key": key, "second_factor_roles": "engineer, administrator"}
    async with guarded(database, **settings) as (api, accounts, _):
        await come_in(api, accounts, "ann", "engineer")
        me = (await api.get("/api/v1/me")).json()
        assert (me["second_factor"], me["rights"]) == ("wanted", [])
        refused = await api.get("/api/v1/park")
        assert (refused.status_code, refused.json()["second_factor"]) == (403, "wanted")
        assert (await api.get("/api/v1/live")).status_code == 403
        secret, codes = await set_up(api)
        assert (await api.get("/api/v1/park")).status_code == 200
        end = {"password": GOOD, "code": codes[0]}
        assert (await api.post("/api/v1/second-factor/end", json=end)).status_code == 409
        await come_in(api, accounts, "vic", "viewer")
        assert (await api.get("/api/v1/park")).status_code == 200
        assert secret


async def test_without_a_key_there_are_no_second_factors_and_with_another_one_they_do_not_open(
    database, ids, key
):
    async with guarded(database) as (api, accounts, _):
        await come_in(api, accounts, "ann", "operator")
        answer = await api.post("/api/v1/second-factor", json={"password": GOOD})
        assert (answer.status_code, "PARKTWIN_SECRET_KEY" in answer.json()["hint"]) == (409, True)
    async with guarded(database, secret_key=key) as (api, accounts, _):
        assert (await enter(api)).status_code == 200
        secret, codes = await set_up(api)
        key.write_bytes(b"another" * 8)
        guard_of(api).accounts.seal = read_seal(key)
        shift(accounts, STEP)
        assert (await enter(api, code_of(secret, NOW + STEP))).status_code == 401
        assert (await enter(api, codes[0])).status_code == 200


def test_what_was_sealed_for_one_account_opens_for_no_other():
    seal = Seal(KEY)
    sealed = seal.close("totp ann", b"secret")
    assert seal.open("totp ann", sealed) == b"secret"
    assert seal.close("totp ann", b"secret") != sealed
    for purpose, content in (
        ("totp eve", sealed), ("totp ann", sealed[:-1]), ("totp ann", b""),
        ("totp ann", bytes([sealed[0] ^ 1]) + sealed[1:]),
    ):  # fmt: skip
        assert seal.open(purpose, content) is None


def test_a_key_that_is_short_or_away_is_refused(tmp_path):
    assert read_seal(None) is None
    (tmp_path / "short").write_text("secret")
    for name in ("short", "away"):
        with pytest.raises(SettingsError, match="key of secrets"):
            read_seal(tmp_path / name)


def test_codes_are_those_of_rfc_6238():
    # Appendix B, SHA-1, the last six of eight digits.
    seed = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    for second, code in ((59, "287082"), (1111111109, "081804"), (20000000000, "353130")):
        assert totp.step_of(seed, code, second * 1_000_000) == second // 30
    assert totp.step_of(seed, "287 082", 59_000_000) == 1
    assert totp.step_of(seed, "２８７０８２", 59_000_000) is None
    assert totp.drawing_of("otpauth://totp/x").startswith("data:image/svg+xml")
