"""Calculations in processes of their own: bounded, shared, in turns, and mended when they die."""

import asyncio
import os
import signal
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest

from api.calculation.pool import Calculator
from tests.support.small_park import serving
from tests.support.waiting import until

pytest_plugins = ["tests.support.small_park"]
BALANCE = "/api/v1/scopes/demo/acme/balance"
MATURITY = "/api/v1/scopes/demo/maturity"


def processes():
    """Return the ids of the calculating processes of this one."""
    pids = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [
        int(pid) for pid in pids if b"api.calculation" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def minutes(count):
    """Return a query of so many minutes; each count is another question."""
    return {"window": "minute", "from": f"2025-06-02T08:00:{count:02d}+08:00"}


def client_at(api, host):
    """Return another client of the same app, at a remote address of its own."""
    transport = httpx.ASGITransport(api._transport.app, client=(host, 1))
    return httpx.AsyncClient(transport=transport, base_url=api.base_url)


async def test_a_process_gives_the_same_answers_and_problems(database, ids):
    async with serving(database) as (api, _), serving(database, inline=False) as (other, _):
        for path, query in (
            (BALANCE, minutes(0)),
            ("/api/v1/scopes/demo/chlorine", {}),
            ("/api/v1/scopes/demo/nowhere/energy", {}),
            ("/api/v1/history", {"tag": "acme/FT-1", "points": 5}),
        ):
            inline, remote = await api.get(path, params=query), await other.get(path, params=query)
            assert (remote.status_code, remote.content) == (inline.status_code, inline.content)
            assert remote.headers["content-type"] == inline.headers["content-type"]
        csv = await other.get("/api/v1/history?tag=acme/FT-1", headers={"Accept": "text/csv"})
        assert csv.headers["content-disposition"] == 'attachment; filename="acme-FT-1.csv"'
        assert len(processes()) == 1
    assert processes() == []


async def test_a_client_with_too_many_calculations_is_refused_and_others_are_not(database, ids):
    settings = {"calculations_client_max": 2, "calculations_max": 3, "calculation_processes": 1}
    async with serving(database, inline=False, **settings) as (api, _):
        async with client_at(api, "10.0.0.9") as other:
            mine = [asyncio.create_task(api.get(BALANCE, params=minutes(n))) for n in range(3)]
            await asyncio.sleep(0)
            theirs = [asyncio.create_task(other.get(BALANCE, params=minutes(n))) for n in (7, 8)]
            mine, theirs = await asyncio.gather(*mine), await asyncio.gather(*theirs)
        assert sorted(answer.status_code for answer in mine) == [200, 200, 429]
        refused = next(answer for answer in mine if answer.status_code == 429)
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["retry-after"]
        assert "2 calculations for 127.0.0.1" in refused.json()["detail"]
        assert sorted(answer.status_code for answer in theirs) == [200, 503]
        # All that was counted in has been counted out.
        again = await asyncio.gather(*(api.get(BALANCE, params=minutes(n)) for n in (1, 2)))
        assert [answer.status_code for answer in again] == [200, 200]


async def test_equal_requests_under_way_are_calculated_once(database, ids, monkeypatch):
    questions = []
    ask = Calculator.ask

    async def counted(self, head, body):
        questions.append(head["path"])
        return await ask(self, head, body)

    monkeypatch.setattr(Calculator, "ask", counted)
    async with serving(database, inline=False) as (api, _):
        answers = await asyncio.gather(*(api.get(BALANCE, params=minutes(0)) for _ in range(5)))
        assert len({answer.content for answer in answers}) == 1
        assert len(questions) == 1


async def test_clients_take_turns(database, ids):
    async with serving(database, inline=False, calculation_processes=1) as (api, _):
        ended = []

        async def ask(client, name, n):
            assert (await client.get(BALANCE, params=minutes(n))).status_code == 200
            ended.append(name)

        async with client_at(api, "10.0.0.9") as other:
            crowd = [asyncio.create_task(ask(api, "many", n)) for n in range(6)]
            await asyncio.sleep(0.01)
            await asyncio.gather(*crowd, ask(other, "one", 30))
        assert ended.index("one") < 3


async def test_a_quick_question_does_not_wait_for_a_long_one(database, ids):
    settings = {"inline": False, "calculation_processes": 1}
    async with serving(database, **settings) as (api, _), client_at(api, "10.0.0.9") as other:
        assert (await other.get(MATURITY)).status_code == 200
        (long,) = processes()
        os.kill(long, signal.SIGSTOP)
        waiting = asyncio.create_task(other.get(MATURITY, params={"from": "2025-06-02"}))
        await asyncio.sleep(0.1)
        assert (await api.get(BALANCE)).status_code == 200
        assert not waiting.done()
        os.kill(long, signal.SIGCONT)
        await waiting


def asked_by_hand(api, path, query, statuses=None):
    """Ask as a client that can hang up; return its task and the event that it goes."""
    statuses = [] if statuses is None else statuses
    gone, head = asyncio.Event(), [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive():
        if head:
            return head.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {"type": "http", "http_version": "1.1", "method": "GET", "scheme": "http",
             "path": path, "raw_path": path.encode(), "query_string": urlencode(query).encode(),
             "root_path": "", "headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 1),
             "server": ("localhost", 80)}  # fmt: skip
    return asyncio.create_task(api._transport.app(scope, receive, send)), gone


async def test_who_hangs_up_counts_no_more_and_what_nobody_waits_for_is_not_begun(
    database, ids, monkeypatch
):
    questions = []
    ask = Calculator.ask

    async def counted(self, head, body):
        questions.append(head["query"])
        return await ask(self, head, body)

    monkeypatch.setattr(Calculator, "ask", counted)
    settings = {"inline": False, "calculation_processes": 1, "calculations_client_max": 2}
    async with serving(database, **settings) as (api, _):
        assert (await api.get(BALANCE)).status_code == 200
        (process,) = processes()
        os.kill(process, signal.SIGSTOP)
        for count in (1, 2, 3):
            task, gone = asked_by_hand(api, BALANCE, minutes(count))
            await asyncio.sleep(0.1)
            gone.set()
            await task
        os.kill(process, signal.SIGCONT)
        assert (await api.get(BALANCE, params=minutes(4))).status_code == 200
    # That of count 1 had begun.
    assert questions == ["", *(urlencode(minutes(count)) for count in (1, 4))]


async def test_who_asks_again_while_the_last_one_hangs_up_is_answered(database, ids):
    settings = {"inline": False, "calculation_processes": 1}
    async with serving(database, **settings) as (api, _):
        assert (await api.get(BALANCE)).status_code == 200
        (process,) = processes()
        os.kill(process, signal.SIGSTOP)
        waiting, statuses = [asked_by_hand(api, BALANCE, minutes(0))[0]], []
        # In one of these moments the calculation is given up, and not yet gone.
        for moment in range(1, 11):
            first, gone = asked_by_hand(api, BALANCE, minutes(moment))
            await asyncio.sleep(0.02)
            gone.set()
            for _ in range(moment):
                await asyncio.sleep(0)
            again, _ = asked_by_hand(api, BALANCE, minutes(moment), statuses)
            waiting += [first, again]
        os.kill(process, signal.SIGCONT)
        await asyncio.gather(*waiting, return_exceptions=True)
    assert statuses == [200] * 10


async def test_a_process_that_is_killed_costs_one_answer(database, ids):
    async with serving(database, inline=False, calculation_processes=1) as (api, _):
        assert (await api.get(BALANCE)).status_code == 200
        (first,) = processes()
        os.kill(first, signal.SIGSTOP)
        waiting = asyncio.create_task(api.get(BALANCE, params=minutes(0)))
        await asyncio.sleep(0.1)
        os.kill(first, signal.SIGKILL)
        lost = await waiting
        assert (lost.status_code, lost.headers["retry-after"]) == (503, "2")
        assert (await api.get(BALANCE, params=minutes(0))).status_code == 200
        await until(lambda: len(processes()) == 1)
        assert processes() != [first]


async def test_what_takes_too_long_is_ended_and_says_so(database, ids):
    async with serving(database, inline=False, calculation_s=0.01) as (api, _):
        answer = await api.get(BALANCE)
        assert answer.status_code == 503
        assert "longer than 0.01 s" in answer.json()["detail"]
        await until(lambda: processes() == [])


@pytest.mark.parametrize(
    "path",
    ["demo/balance?window=minute", "demo/energy?window=minute", "demo/electrolysers?window=day"],
)
async def test_a_question_that_takes_too_many_values_is_refused_with_what_to_ask(
    database, ids, path
):
    async with serving(database, calculation_values_max=1_000) as (api, _):
        answer = await api.get(f"/api/v1/scopes/{path}")
        problem = answer.json()
        assert answer.status_code == 422
        assert "1,000 are the limit" in problem["detail"]
        assert "window=hour" in problem["hint"]
        assert problem["errors"][0]["parameter"] == "window"


async def test_an_answer_is_kept_for_the_next_who_asks_the_same(database, ids, monkeypatch):
    questions = []
    ask = Calculator.ask

    async def counted(self, head, body):
        questions.append(head["path"])
        return await ask(self, head, body)

    monkeypatch.setattr(Calculator, "ask", counted)
    settings = {"calculations_client_max": 2, "answer_kept_s": 60, "answers_shared_max": 60}
    async with serving(database, inline=False, **settings) as (api, _):
        crowd = await asyncio.gather(*(api.get(BALANCE, params=minutes(0)) for _ in range(50)))
        assert {answer.status_code for answer in crowd} == {200}
        assert (await api.get(BALANCE, params=minutes(0))).content == crowd[0].content
        assert len(questions) == 1
        await api.get(BALANCE, params=minutes(0), headers={"Accept-Encoding": "identity"})
        assert len(questions) == 2
        for _ in range(2):
            assert (await api.get(f"{BALANCE}?window=second")).status_code == 422
        assert len(questions) == 4
    async with serving(database, inline=False, answer_kept_s=0) as (api, _):
        for _ in range(2):
            await api.get(BALANCE, params=minutes(0))
        assert len(questions) == 6
