"""Payloads of gateways on trial: how one would be read, without storing it."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from api.answers import (
    Given,
    Number,
    Rfc3339,
    record,
)
from api.calculation.pool import CalculationRoute
from api.context import AppContext
from api.encode import rfc3339
from api.parameters import Cell, Flag, Text
from api.problems import RESPONSES, Problem, invalid
from ingest.routing.decode import limits_of
from ingest.routing.trial import try_payload
from ingest.settings import IngestSettings
from twin.errors import ParkError

router = APIRouter(prefix="/api/v1/gateways", responses=RESPONSES, route_class=CalculationRoute)


class TryBody(BaseModel):
    """A payload, and what to read it by: its topic, a gateway of the model, or a layout."""

    topic: Text = ""
    payload: Annotated[str, Field(max_length=200_000)]
    base64: Annotated[Flag, Field(description="`payload` is base64: CBOR, Sparkplug, GBK")] = False
    gateway: Annotated[Cell, Field(description="read it as that of this gateway")] = ""
    layout: Annotated[
        Cell | dict[str, Any], Field(description="read it by a preset, or by a layout's keys")
    ] = ""


class TriedValue(TypedDict):
    """One value of a payload: as it came, and as it would be stored, or why it would not."""

    name: Annotated[str, Field(description="as it came")]
    tag: Annotated[str, Field(description="address; empty: no tag has this name")]
    time: Rfc3339
    value: Given[Number]
    uom: str
    si: Given[Number]
    si_uom: str
    quality: Annotated[str, Field(description="in words; empty: it would not be stored")]
    reason: Annotated[str, Field(description="why it would not be stored")]


class PayloadTrialAnswer(TypedDict):
    """How a payload would be read."""

    gateway: Annotated[str, Field(description="whose it is; empty: nobody's in particular")]
    items: list[TriedValue]
    more: Annotated[int, Field(description="values besides those of the items")]
    refused: Annotated[list[str], Field(description="what is not read, with the reasons")]
    presets: Annotated[
        list[str], Field(description="that read it where nothing else does, the best first")
    ]


@router.post("/try")
async def try_out(context: AppContext, body: TryBody) -> PayloadTrialAnswer:
    """Return how a payload would be read that arrives now; nothing is stored."""
    try:
        payload = (
            base64.b64decode(body.payload, validate=True) if body.base64 else body.payload.encode()
        )
    except (binascii.Error, ValueError) as error:
        raise invalid("payload", f"not base64: {error}", part="body") from error
    try:
        trial = try_payload(
            context.model.park,
            body.topic,
            payload,
            context.now_us(),
            limits_of(IngestSettings()),
            gateway=body.gateway,
            layout=body.layout,
        )
    except ParkError as error:
        raise Problem(422, error.message, hint=error.hint) from error
    items = [record(TriedValue, row, time=rfc3339(row.time_us, context.zone)) for row in trial.rows]
    return record(PayloadTrialAnswer, trial, items=items)
