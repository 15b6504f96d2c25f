"""From SI to what leaves over HTTP: named units of measure, 12 digits, RFC 3339, JSON."""

from __future__ import annotations

import functools
import typing
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute

from api import table
from api.access.guard import require_right
from api.disclosure import disclose
from api.order_keys import PARAMETER, answer_once
from api.table import JSON
from twin.arrays import F64, I64
from twin.series.windows import local
from twin.uom import compile_uom

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from zoneinfo import ZoneInfo

    from starlette.types import Receive, Scope, Send

ACCEPTED = 202  # of an order that is queued
Uom = tuple[Any, Any]  # scale and shift: si = value * scale + shift

# A value in uom loses its last bits on the way through SI; 12 digits are more than any meter has.
DIGITS = 12
# Powers of ten up to here are exact in float64, so that the division is rounded only once.
EXACT_POWER = 22
POWERS = 10.0 ** np.arange(EXACT_POWER + 1)

ONE: Uom = (1.0, 0.0)  # a fraction, a mass in kg, a voltage in V
TONNE = compile_uom("t", "mass")
T_PER_H = compile_uom("t/h", "mass_flow")
KWH = compile_uom("kWh", "energy")
MW = compile_uom("MW", "power")
KM = compile_uom("km", "length")
CNY_PER_T = compile_uom("CNY/t", "mass_price")
MINUTE, HOUR, DAY = (compile_uom(uom, "time") for uom in ("min", "h", "day"))
CNY_PER_H = (1 / HOUR[0], 0.0)


def rounded(value: F64) -> F64:
    """Return values rounded to 12 significant digits; NaN and zero stay."""
    magnitude = np.abs(value)
    known = np.isfinite(value) & (magnitude > 0)
    power = DIGITS - 1 - np.floor(np.log10(np.where(known, magnitude, 1.0))).astype(np.int64)
    up = POWERS[np.minimum(np.maximum(power, 0), EXACT_POWER)]
    down = POWERS[np.minimum(np.maximum(-power, 0), EXACT_POWER)]
    near = np.rint(value * up / down) / up * down
    return np.where(known & (power <= EXACT_POWER), near, value)


def out(si: F64, uom: Uom = ONE) -> F64:
    """Return SI values in a unit of measure, to 12 digits."""
    scale, shift = uom
    return rounded((si - shift) / scale)


def number(si: float | F64, uom: Uom = ONE) -> float:
    """Return one SI value in a unit of measure, to 12 digits."""
    return float(out(np.asarray(si), uom))


def milliseconds(time_us: I64) -> I64:
    """Return times [µs] in milliseconds, as JSON columns have them."""
    return time_us // 1000


def rfc3339(time_us: int, zone: ZoneInfo) -> str:
    """Return a time [µs] with the offset of a zone, to the second or, where it has them, the ms."""
    whole = time_us % 1_000_000 == 0
    return local(time_us, zone).isoformat(timespec="seconds" if whole else "milliseconds")


def json_answer(body: Any, status: int = 200) -> Response:
    """Return a JSON answer; NaN and infinity are null."""
    return Response(
        orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY), status_code=status, media_type=JSON
    )


class AnswerRoute(APIRoute):
    """A route whose return type documents its answer; the answer is encoded without a check.

    It leaves as far as its reader may know it.

    mypy and the tests hold the answers to their types: pydantic would look at every row again.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        @functools.wraps(endpoint)
        async def encoded(**kwargs: Any) -> Response:
            answer = await disclose(endpoint, kwargs, is_order="GET" not in options["methods"])
            status = options.get("status_code") or 200
            return answer if isinstance(answer, Response) else json_answer(answer, status)

        kind = typing.get_type_hints(endpoint).get("return")
        self._has_table = "GET" in options["methods"] and table.has_table(kind)
        if self._has_table:
            options["responses"] = {
                **(options.get("responses") or {}),
                200: {"content": table.CONTENT},
            }
            options["openapi_extra"] = {"parameters": table.PARAMETERS}
        self._is_queued = options.get("status_code") == ACCEPTED
        if self._is_queued:
            extra = options.get("openapi_extra") or {}
            options["openapi_extra"] = {**extra, "parameters": [PARAMETER]}
        super().__init__(path, encoded, **options)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of somebody who may ask it; raises Problem 401 and 403."""
        require_right(scope, self.path)
        await super().handle(scope, receive, send)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request; called by FastAPI."""
        answer = super().get_route_handler()
        if self._is_queued:
            return functools.partial(answer_once, answer=answer)
        if not self._has_table:
            return answer

        async def answer_in_format(request: Request) -> Response:
            is_table = table.wants_csv(request)
            whole = await answer(request)
            return table.as_table(request, whole) if is_table else whole

        return answer_in_format
