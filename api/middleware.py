"""What every request and every answer passes: counting and failures.

Plain ASGI, so that streams pass through untouched.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fastapi import Request

from api.problems import answer_failure

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("parktwin.api")


@dataclass(slots=True)
class Traffic:
    """The answers of the API since its start."""

    answers: Counter[str] = field(default_factory=Counter)  # by status class
    broken: int = 0  # ended by a failure after their start


class CountAnswers:
    """Count all answers, and answer what no route has answered.

    It stands outside all others: what Starlette answers outside of it would not be counted.
    """

    def __init__(self, app: ASGIApp, traffic: Traffic) -> None:
        self._app = app
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and look at how its answer starts; a failure becomes a problem."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def counted(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self._traffic.answers[f"{message['status'] // 100}xx"] += 1
            await send(message)

        try:
            await self._app(scope, receive, counted)
        except Exception as error:
            if started:
                self._traffic.broken += 1
                # The server logs it and closes the connection: the client must not take what it
                # has for the whole.
                raise
            response = await answer_failure(Request(scope), error)
            await response(scope, receive, counted)
