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

from api.access.guard import asker_of
from api.access.rights import ASKER
from api.encode import AnswerRoute
from api.problems import Problem, unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from starlette.types import Receive, Scope, Send

    from api.context import Context
    from api.settings import ApiSettings

# What of an answer is not made anew on its way out.
HEADERS = (
    "content-type", "content-encoding", "content-disposition", "vary", "location", "retry-after",
)  # fmt: skip
PIECE_BYTES = 256 * 1024
# No client reads it: it is the status that the trade gives to one that closed its connection.
HUNG_UP = 499
# After the start of the API, whose first clients come first.
WARM_AFTER_S = 5.0
# Each process is one of several: numerical libraries must not start threads for every processor.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer of a process to a request."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Flight:
    """A calculation under way or just ended, and how many wait for it."""

    task: asyncio.Task[Answered]
    waiting: int = 0
    is_begun: bool = False


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


class Lane:
    """Processes for requests of one kind; the clients take turns."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._running = 0
        self._turns: dict[str, deque[asyncio.Future[None]]] = {}  # by client, the next one first
        self.idle: list[Calculator] = []

    @asynccontextmanager
    async def turn(self, client: str) -> AsyncIterator[None]:
        """Wait until a process is free for a client."""
        if self._running < self._processes:
            self._running += 1
        else:
            turn = asyncio.get_running_loop().create_future()
            self._turns.setdefault(client, deque()).append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if not turn.cancelled():  # it had been given
                    self._pass_on()
                raise
        try:
            yield
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        """Give the turn that ends to the next client, and put this one behind all others."""
        while self._turns:
            client = next(iter(self._turns))
            turns = self._turns.pop(client)
            turn = turns.popleft()
            if turns:
                self._turns[client] = turns
            if not turn.cancelled():
                turn.set_result(None)
                return
        self._running -= 1

    async def close(self) -> None:
        """Forget who waits, and end the processes that are idle."""
        self._turns.clear()
        for calculator in self.idle:
            await calculator.end()


class Calculations:
    """Requests that calculate: bounded for each client and in all, answered in turns.

    A client is an account, or a remote address without one. Equal questions share one answer while
    it is under way and, when it is short, for `answer_kept_s` more, so that a hundred consoles cost
    what one costs. Who makes a calculation necessary counts until its answer has been sent, so that
    slow readers do not pile up answers; so does who waits for a long one. Who hangs up counts no
    more, and what nobody waits for is not begun. Long questions have processes of their own: no
    curve waits for a report.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._settings = context.settings
        # One processor stays with who publishes, stores and looks.
        others = max((os.cpu_count() or 1) - 1, 1)
        processes = self._settings.calculation_processes or others
        self._lanes = {is_long: Lane(processes) for is_long in (False, True)}
        self._requests: Counter[str] = Counter()  # by client
        self._flights: dict[tuple[Any, ...], Flight] = {}
        self._sharing = 0  # requests for an answer that another one had calculated
        self._warming: asyncio.Task[None] | None = None

    def warm(self) -> None:
        """Start the first process for quick questions soon: no console waits for it then."""
        self._warming = asyncio.create_task(self._warm())

    async def _warm(self) -> None:
        await asyncio.sleep(WARM_AFTER_S)
        head = {"method": "GET", "path": "/livez", "query": "", "headers": {}}
        lane = self._lanes[False]
        # Who asks next starts another process, if this one did not come up.
        with suppress(Problem):
            async with lane.turn(""):
                await self._calculate(lane, head, b"")

    async def answer(self, request: Request, *, is_long: bool = False) -> Response:
        """Return the answer of a process; raises Problem 429 and 503 beyond the limits."""
        client = asker_of(request.scope)
        hidden = ("cookie", "authorization")
        headers = {name: value for name, value in request.headers.items() if name not in hidden}
        person = ASKER.get()
        head = {
            "method": request.method,
            "path": request.scope["path"],
            "query": request.scope["query_string"].decode("latin-1"),
            "headers": headers,
            # Who may know what is his; so the answer is shared by those who may know the same.
            "person": None if person is None else [person.role, person.scope],
            "by": "" if person is None else person.name,
        }
        forms = (headers.get("accept"), headers.get("accept-encoding"))
        # Orders with different keys are different, though they say the same.
        asker = f"{head['by']}:{headers.get('idempotency-key', '')}"
        asker = "" if request.method == "GET" else asker
        question = *list(head.values())[:3], *forms, str(head["person"]), asker
        if request.method == "GET" and (shared := await self._share(request, (*question, b""))):
            return shared
        self._admit(client)
        try:
            body = await request.body()
            key = *question, body
            if (flight := self._flight(key)) is None:
                flight = self._start(key, client, head, body, is_long=is_long)
            if await _hangs_up(request, flight):
                self._release(client)
                return Response(status_code=HUNG_UP)
            return _Delivery(flight.task.result(), lambda: self._release(client))
        except BaseException:
            self._release(client)
            raise

    async def _share(self, request: Request, key: tuple[Any, ...]) -> Response | None:
        """Return the short answer to an equal question; None when there is none to be had."""
        flight = self._flight(key)
        if flight is None or self._sharing >= self._settings.answers_shared_max:
            return None
        self._sharing += 1
        try:
            await request.body()  # what comes then is the end of the client
            if await _hangs_up(request, flight):
                self._unshare()
                return Response(status_code=HUNG_UP)
            answered = flight.task.result()
            if len(answered.body) <= PIECE_BYTES:
                return _Delivery(answered, self._unshare)
        except BaseException:
            self._unshare()
            raise
        self._unshare()
        return None

    def _flight(self, key: tuple[Any, ...]) -> Flight | None:
        """Return the calculation of a question; None where none is, or the last who waited went."""
        flight = self._flights.get(key)
        return None if flight is None or flight.task.cancelling() else flight

    def _start(
        self,
        key: tuple[Any, ...],
        client: str,
        head: dict[str, Any],
        body: bytes,
        *,
        is_long: bool,
    ) -> Flight:
        """Start a calculation; the answer of a question is kept for a moment if it is short."""

        async def calculate() -> Answered:
            async with lane.turn(client):
                flight.is_begun = True
                return await self._calculate(lane, head, body)

        lane = self._lanes[is_long]
        flight = Flight(asyncio.create_task(calculate()))
        self._flights[key] = flight

        def forget_in_time(task: asyncio.Task[Answered]) -> None:
            kept_s = self._settings.answer_kept_s
            if kept_s and head["method"] == "GET" and _is_short(task):
                asyncio.get_running_loop().call_later(kept_s, self._flights.pop, key)
            elif self._flights.get(key) is flight:
                del self._flights[key]

        flight.task.add_done_callback(forget_in_time)
        return flight

    def _unshare(self) -> None:
        self._sharing -= 1

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

    async def _calculate(self, lane: Lane, head: dict[str, Any], body: bytes) -> Answered:
        """Return the answer of a process of a lane, whose turn it is."""
        longest_s = self._settings.calculation_s
        now_us, model = self._context.now_us(), self._context.feed.model
        head = {**head, "now_us": now_us, "version": model.version if model else 0}
        calculator = lane.idle.pop() if lane.idle else Calculator(self._settings)
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
        lane.idle.append(calculator)
        return result

    async def close(self) -> None:
        """End all processes, and with them what they calculate."""
        tasks: list[asyncio.Task[Any]] = [flight.task for flight in self._flights.values()]
        tasks += [self._warming] if self._warming else []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for lane in self._lanes.values():
            await lane.close()


def _is_short(task: asyncio.Task[Answered]) -> bool:
    """Tell whether a calculation has ended with a good answer that one piece holds."""
    if task.cancelled() or task.exception():
        return False
    answered = task.result()
    return answered.status < 400 and len(answered.body) <= PIECE_BYTES


async def _hangs_up(request: Request, flight: Flight) -> bool:
    """Wait for a calculation; tell whether the client went before it had ended.

    One that is begun goes on to its end: to break it off would cost its process.
    """
    if flight.task.done():
        return False
    gone = asyncio.create_task(_is_gone(request))
    flight.waiting += 1
    try:
        await asyncio.wait({flight.task, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        flight.waiting -= 1
        if not (flight.waiting or flight.is_begun):
            flight.task.cancel()
    return not flight.task.done()


async def _is_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class _Delivery(StreamingResponse):
    """The answer of a process, sent piece by piece as the client takes it."""

    def __init__(self, answered: Answered, sent: Callable[[], None]) -> None:
        headers = {**answered.headers, "content-length": str(len(answered.body))}
        super().__init__(_pieces(answered.body), answered.status, headers)
        self._body = answered.body
        self._sent = sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, a short one at once."""
        start = {"status": self.status_code, "headers": self.raw_headers}
        try:
            if len(self._body) <= PIECE_BYTES:
                await send({"type": "http.response.start", **start})
                await send({"type": "http.response.body", "body": self._body})
            else:
                await super().__call__(scope, receive, send)
        finally:
            self._sent()


async def _pieces(body: bytes) -> AsyncIterator[memoryview]:
    for start in range(0, len(body), PIECE_BYTES):
        yield memoryview(body)[start : start + PIECE_BYTES]


class CalculationRoute(AnswerRoute):
    """A route whose answer is made in another process; in that process it is made at once."""

    is_long = False

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request; called by FastAPI."""
        inline = super().get_route_handler()

        async def answer(request: Request) -> Response:
            calculations: Calculations | None = request.app.state.calculations
            if calculations is None:
                return await inline(request)
            request.app.state.context.require_image()
            return await calculations.answer(request, is_long=self.is_long)

        return answer


class LongCalculationRoute(CalculationRoute):
    """The same of a question that takes seconds: it waits behind others of its kind only."""

    is_long = True
