"""The processes that answer requests which calculate: how many, for whom, and for how long."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter, deque
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from api.encode import AnswerRoute
from api.problems import Problem, unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from starlette.types import Receive, Scope, Send

    from api.context import Context
    from api.settings import ApiSettings

# What of an answer is not made anew on its way out.
HEADERS = ("content-type", "content-disposition", "retry-after")
PIECE_BYTES = 256 * 1024
# Each process is one of several: numerical libraries must not start threads for every processor.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer of a process to a request."""

    status: int
    headers: dict[str, str]
    body: bytes


class Calculator:
    """A process that answers one request at a time; it starts with the first."""

    def __init__(self, settings: ApiSettings) -> None:
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None

    async def _start(self) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "api.calculation",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            limit=4 * PIECE_BYTES, env={**os.environ, **ONE_THREAD},
        )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(self._settings.model_dump_json().encode() + b"\n")
        return process

    async def ask(self, head: dict[str, Any], body: bytes) -> Answered:
        """Return the answer to a request; raises IncompleteReadError or OSError when it dies."""
        if self._process is None:
            self._process = await self._start()
        source, sink = self._process.stdout, self._process.stdin
        assert source is not None
        assert sink is not None
        sink.write(orjson.dumps({**head, "size": len(body)}) + b"\n" + body)
        await sink.drain()
        answer = orjson.loads(await source.readuntil())
        content = await source.readexactly(answer["size"])
        return Answered(answer["status"], answer["headers"], content)

    async def end(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()


class Calculations:
    """Requests that calculate: bounded for each client and in all, answered in turns.

    A client is a remote address. Equal requests that are under way have one answer. A request
    counts until its answer has been sent, so that slow readers do not pile up answers.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._settings = context.settings
        # One processor stays with who publishes, stores and looks.
        others = max((os.cpu_count() or 1) - 1, 1)
        self._processes = self._settings.calculation_processes or others
        self._requests: Counter[str] = Counter()  # by client
        self._flights: dict[tuple[Any, ...], asyncio.Task[Answered]] = {}
        self._idle: list[Calculator] = []
        self._running = 0
        self._turns: dict[str, deque[asyncio.Future[None]]] = {}  # by client, the next one first

    async def answer(self, request: Request) -> Response:
        """Return the answer of a process; raises Problem 429 and 503 beyond the limits."""
        client = request.client.host if request.client else ""
        self._admit(client)
        try:
            body = await request.body()
            headers = {name: value for name, value in request.headers.items() if name != "cookie"}
            head = {
                "method": request.method,
                "path": request.scope["path"],
                "query": request.scope["query_string"].decode("latin-1"),
                "headers": headers,
            }
            key = *list(head.values())[:3], headers.get("accept"), body
            flight = self._flights.get(key)
            if flight is None:
                flight = asyncio.create_task(self._calculate(client, head, body))
                self._flights[key] = flight
                flight.add_done_callback(lambda _: self._flights.pop(key))
            return _Delivery(await asyncio.shield(flight), lambda: self._release(client))
        except BaseException:
            self._release(client)
            raise

    def _admit(self, client: str) -> None:
        """Count a request in; raises Problem 429 and 503 beyond the limits."""
        most = self._settings.calculations_client_max
        if self._requests[client] >= most:
            raise Problem(
                429,
                f"{most} calculations for {client} are under way already",
                hint="ask again when one has ended; PARKTWIN_CALCULATIONS_CLIENT_MAX is the limit",
                retry=True,
            )
        most = self._settings.calculations_max
        if self._requests.total() >= most:
            raise unavailable(
                f"{most} calculations are under way already",
                hint="ask again in a moment; PARKTWIN_CALCULATIONS_MAX is the limit",
            )
        self._requests[client] += 1

    def _release(self, client: str) -> None:
        self._requests[client] -= 1
        if not self._requests[client]:
            del self._requests[client]

    async def _calculate(self, client: str, head: dict[str, Any], body: bytes) -> Answered:
        """Return the answer of a process when it is the client's turn."""
        longest_s = self._settings.calculation_s
        async with self._turn(client):
            now_us, model = self._context.now_us(), self._context.feed.model
            head = {**head, "now_us": now_us, "version": model.version if model else 0}
            calculator = self._idle.pop() if self._idle else Calculator(self._settings)
            try:
                result = await asyncio.wait_for(calculator.ask(head, body), longest_s)
            except BaseException as error:
                await calculator.end()
                if isinstance(error, TimeoutError):
                    raise unavailable(
                        f"the calculation took longer than {longest_s:g} s",
                        hint="ask for longer windows, a shorter range or a smaller scope",
                    ) from None
                if isinstance(error, OSError | asyncio.IncompleteReadError):
                    raise unavailable(
                        "the process that calculated ended", hint="ask again; another one starts"
                    ) from None
                raise
            else:
                self._idle.append(calculator)
                return result

    @asynccontextmanager
    async def _turn(self, client: str) -> AsyncIterator[None]:
        """Wait until a process is free for a client; the clients take turns."""
        if self._running < self._processes:
            self._running += 1
        else:
            turn = asyncio.get_running_loop().create_future()
            self._turns.setdefault(client, deque()).append(turn)
            await turn
        try:
            yield
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        """Give the turn that ends to the next client, and put this one behind all others."""
        if not self._turns:
            self._running -= 1
            return
        client = next(iter(self._turns))
        turns = self._turns.pop(client)
        turns.popleft().set_result(None)
        if turns:
            self._turns[client] = turns

    async def close(self) -> None:
        """End all processes, and with them what they calculate."""
        flights = list(self._flights.values())
        self._turns.clear()
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
        for calculator in self._idle:
            await calculator.end()


class _Delivery(StreamingResponse):
    """The answer of a process, sent piece by piece as the client takes it."""

    def __init__(self, answered: Answered, sent: Callable[[], None]) -> None:
        headers = {**answered.headers, "content-length": str(len(answered.body))}
        super().__init__(_pieces(answered.body), answered.status, headers)
        self._sent = sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._sent()


async def _pieces(body: bytes) -> AsyncIterator[memoryview]:
    for start in range(0, len(body), PIECE_BYTES):
        yield memoryview(body)[start : start + PIECE_BYTES]


class CalculationRoute(AnswerRoute):
    """A route whose answer is made in another process; in that process it is made at once."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request; called by FastAPI."""
        inline = super().get_route_handler()

        async def answer(request: Request) -> Response:
            calculations: Calculations | None = request.app.state.calculations
            if calculations is None:
                return await inline(request)
            request.app.state.context.require_image()
            return await calculations.answer(request)

        return answer
