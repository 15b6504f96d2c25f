"""What was made anew in the past of a scope: restated sums and corrected samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from fastapi import APIRouter, Query
from pydantic import Field
from typing_extensions import TypedDict

from api import queries
from api.answers import Number, Rfc3339, formula, record
from api.context import AppContext, time_range
from api.encode import AnswerRoute, number
from api.parameters import From, Time, To
from api.problems import RESPONSES
from api.windows import ScopePath
from deploy.database.times import micros, stamp, to_us
from twin.model.park import inside

if TYPE_CHECKING:
    from api.context import Context
    from twin.model.park import Tag

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES, route_class=AnswerRoute)

ROWS_MAX = 1_000


class Restatement(TypedDict):
    """Sums of a tag inside a range of time that were made anew after they had been written."""

    tag: str
    times: Annotated[int, Field(description="how often")]
    start: Annotated[Rfc3339, Field(description="of the minutes that were made anew")]
    end: Rfc3339
    last: Annotated[Rfc3339, Field(description="when this happened last")]


class CorrectedSample(TypedDict):
    """A sample that another value has taken the place of."""

    tag: str
    time: Rfc3339
    before: Annotated[Number, formula("the value as it came first")]
    after: Annotated[Number, formula("the value that stands now, as it came")]
    uom: str
    corrected: Rfc3339


class RestatementAnswer(TypedDict):
    """What was made anew inside a range of time, the last first; at most a thousand of each."""

    scope: str
    restatements: list[Restatement]
    corrections: list[CorrectedSample]


@router.get("/{path:path}/restatements")
async def read_restatements(
    context: AppContext,
    path: ScopePath,
    from_: From = None,
    to: To = None,
    since: Annotated[
        Time | None, Query(description="only what was made anew after this time")
    ] = None,
) -> RestatementAnswer:
    """Return sums inside a range of time that were made anew, and samples that were corrected.

    Of tags that are measured or entered; what is derived of them follows.
    """
    context.require_scope(path)
    from_us, to_us_ = time_range(context.now_us(), from_, to)
    since_us = from_us if since is None else to_us(since)
    tags = _tags(context, path)
    span = stamp(since_us), stamp(from_us), stamp(to_us_), list(tags), ROWS_MAX
    restated = await context.store.rows(queries.RESTATED, *span)
    corrected = await context.store.rows(queries.CORRECTED, *span)
    after = await context.store.values_at(
        np.array([row["tag_id"] for row in corrected], np.int64),
        micros([row["time"] for row in corrected]),
    )
    return {
        "scope": path,
        "restatements": [
            record(Restatement, row, tag=tags[row["tag_id"]].address,
                   **context.times(row, "start", "end", "last"))
            for row in restated
        ],
        "corrections": [
            _correction(context, tags[row["tag_id"]], row, value)
            for row, value in zip(corrected, after, strict=True)
        ],
    }  # fmt: skip


def _tags(context: Context, path: str) -> dict[int, Tag]:
    """Return the tags of a scope by their ids, without those that follow from others."""
    catalogue = context.feed.catalogue
    pairs = zip(catalogue.tags, catalogue.tag_id.tolist(), strict=True)
    return {
        number: tag for tag, number in pairs if tag.source != "derived" and inside(tag.scope, path)
    }


def _correction(context: Context, tag: Tag, row: Any, after: float | None) -> CorrectedSample:
    """Return a replaced sample, and the value it has now, in the uom of its tag."""
    value = {
        key: None if each is None else number(each, (tag.scale, tag.shift))
        for key, each in (("before", row["before"]), ("after", after))
    }
    times = context.times(row, "time", "corrected")
    return record(CorrectedSample, tag=tag.address, uom=tag.uom, **value, **times)
