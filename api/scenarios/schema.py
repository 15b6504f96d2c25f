"""The shapes of what-ifs: the question and its answer, for OpenAPI."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

# Pydantic reads the annotations when the classes are made.
from api.schema import Name, Number, Rfc3339, Uint8

# Beyond its present load a plant is extrapolated: a fifth is as far as that goes.
LOAD_MAX = 1.2
Text = Annotated[str, Field(max_length=400)]
Numbers = list[Number]


class Deed(BaseModel):
    """A plant, unit or electrolyser at another load for a while."""

    model_config = ConfigDict(extra="forbid")

    scope: Annotated[Text, Field(description="path of a scope, or id of an electrolyser")]
    load: Annotated[float, Field(ge=0, le=LOAD_MAX, description="of the present; 0 = trip")]
    start: Annotated[float, Field(ge=0, description="hours from now")] = 0.0
    stop: Annotated[float | None, Field(gt=0, description="hours from now; null = to the end")] = (
        None
    )


class Question(BaseModel):
    """Plants at other loads, for some hours."""

    model_config = ConfigDict(extra="forbid")

    scope: Annotated[Text, Field(description="where to look; empty = everywhere")] = ""
    hours: Annotated[float, Field(gt=0, description="how far to look")] = 6.0
    step_s: Annotated[float | None, Field(gt=0, description="null = as the hours allow")] = None
    response_s: Annotated[
        float | None, Field(ge=0, description="until the electrolysis is cut; null = the usual")
    ] = None
    actions: list[Deed]


class Driven(BaseModel):
    """A stream that follows the load of a plant."""

    stream: str
    component: str
    makes: bool
    flow_t_per_h: Number


class Askable(BaseModel):
    """What can be tripped or re-rated, and what follows it."""

    scope: str
    kind: str
    name: Name | None
    power_mw: Number
    drives: list[Driven]


class Limits(BaseModel):
    """The limits of a question."""

    hours: float
    steps: int
    actions: int
    load: float
    response_s: float


class Askables(BaseModel):
    """What can be asked."""

    items: list[Askable]
    limits: Limits
    next: None


class Stock(BaseModel):
    """The tanks of one place: at the edges of the steps, the net inflow in the steps."""

    scope: str
    component: str
    medium: str
    limit_t: Number
    headroom_t: Numbers
    inventory_t: Numbers
    inflow_t_per_h: Numbers
    tanks: dict[str, Numbers]
    tankers: list[int | None] | None
    unknown: list[str]


class Relieved(BaseModel):
    """What goes to absorbers and vents."""

    component: str
    flow_t_per_h: Numbers
    total_t: Numbers


class Lost(BaseModel):
    """What the electrolysis has made less than it makes now."""

    component: str
    total_t: Numbers


class Absorber(BaseModel):
    """How long the caustic of an absorber lasts; null = no end in sight."""

    id: str
    scope: str
    left_h: Numbers


class Load(BaseModel):
    """A plant that does not run at its present load all the time."""

    scope: str
    load: Numbers


class Happening(BaseModel):
    """Something that begins: full, empty, relief, exhausted, short, cut."""

    kind: str
    scope: str
    component: str | None
    time: Rfc3339
    after_h: float
    sigma_h: Number


class Variant(BaseModel):
    """The course under one policy: the surplus is vented, or the electrolysis is cut."""

    policy: str
    stocks: list[Stock]
    relieved: list[Relieved]
    lost: list[Lost]
    absorbers: list[Absorber]
    power_mw: Numbers
    power_now_mw: Number
    loads: list[Load]
    events: list[Happening]


class Assumption(BaseModel):
    """What a result rests on."""

    key: str
    text: Name


class Scenario(BaseModel):
    """The answer; columns have one value for each of `time`, or for each step between."""

    model_config = ConfigDict(populate_by_name=True)

    scope: str
    from_: Annotated[Rfc3339, Field(alias="from")]
    step_s: float
    quality: Uint8
    missing: list[str]
    doubtful: Annotated[
        list[str], Field(description="components whose meters contradict each other")
    ]
    time: list[int]
    variants: list[Variant]
    assumptions: list[Assumption]
