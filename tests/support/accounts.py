"""The small park served with accounts, and people who come in."""

from contextlib import asynccontextmanager

import argon2

from api.access import accounts as access
from tests.support.small_park import serving
from tests.support.waiting import until

GOOD = "correct horse battery"
KEY = b"k" * 32  # of secrets
# The parameters of the programs take a tenth of a second for each password, on purpose.
access.HASHER = argon2.PasswordHasher(time_cost=1, memory_cost=1_024, parallelism=1)


@asynccontextmanager
async def guarded(database, **settings):
    """Serve the small park with accounts; yields a client and the accounts."""
    async with serving(database, access="accounts", **settings) as (api, context):
        accounts = guard_of(api).accounts
        # The first row says which model is in use.
        await until(lambda: accounts.rows("SELECT FROM audit WHERE action = 'model'"))
        yield api, accounts, context


def guard_of(api):
    return api._transport.app._app.state.guard


async def invite(accounts, name, role, scope=""):
    await accounts.add(name, role, scope, "test")
    return await accounts.invite(name)


async def come_in(api, accounts, name, role, scope=""):
    """Let an account set its password and come in; the client has its session then."""
    api.cookies.clear()
    secret = await invite(accounts, name, role, scope)
    answer = await api.post("/api/v1/password", json={"password": GOOD, "invitation": secret})
    assert answer.status_code == 200, answer.text
    return answer


async def noted(accounts, **wanted):
    """Return subject and outcome of the rows of the record that fit, the oldest first.

    Those about the model are left out.
    """
    rows = await accounts.rows("SELECT * FROM audit WHERE action <> 'model' ORDER BY number")
    return [(row["subject"], row["outcome"]) for row in rows
            if all(row[name] == value for name, value in wanted.items())]  # fmt: skip
