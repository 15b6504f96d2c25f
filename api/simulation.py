"""The scenario of a demonstration: what may happen to the simulated plants, and what does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from typing_extensions import TypedDict

from api.answers import Cursor, Name, Rfc3339
from api.context import AppContext, Context
from api.encode import AnswerRoute, rfc3339
from api.parameters import Line
from api.problems import RESPONSES, Problem, invalid, unavailable
from deploy.demonstration import NORMAL, PlayedScenario, order, read_played

if TYPE_CHECKING:
    from pathlib import Path

router = APIRouter(prefix="/api/v1", responses=RESPONSES, route_class=AnswerRoute)


class ScenarioRow(TypedDict):
    """Something that may happen to the simulated plants."""

    id: str
    name: Name


class SimulationAnswer(TypedDict):
    """What is played; `since` and `until` are the first and the last moment of its events."""

    scenario: str
    since: Rfc3339 | None
    until: Rfc3339 | None
    items: list[ScenarioRow]
    next: Cursor


class SimulationBody(BaseModel):
    """A scenario to be played from now on; `normal` ends any other."""

    model_config = ConfigDict(extra="forbid")

    scenario: Line


@router.get("/simulation")
async def read_simulation(context: AppContext) -> SimulationAnswer:
    """Return the scenario of the demonstration and all that fit its park.

    404 where no simulator of its own stands in for the plants.
    """
    return _answer(context, _played(_folder(context)))


@router.post("/simulation")
async def play_scenario(context: AppContext, body: SimulationBody) -> SimulationAnswer:
    """Let another scenario begin within seconds; the answer is still about the former one."""
    folder = _folder(context)
    played = _played(folder)
    names = [one.id for one in played.offers]
    if body.scenario not in names:
        raise invalid("scenario", f"it is one of {', '.join(names)}", part="body")
    order(folder, body.scenario, context.now_us())
    return _answer(context, played)


def _folder(context: Context) -> Path:
    folder = context.settings.simulation
    if folder is None:
        raise Problem(
            404,
            "this twin has no simulator of its own",
            hint="`parktwin up --simulate` has one, on a machine without real plants",
        )
    return folder


def _played(folder: Path) -> PlayedScenario:
    played = read_played(folder)
    if played is None:
        raise unavailable("the simulator has not begun yet", hint="its log says why")
    return played


def _answer(context: Context, played: PlayedScenario) -> SimulationAnswer:
    """Return what is played; after the end of its events that is the usual run."""
    is_over = played.scenario == NORMAL or played.until_us <= context.now_us()
    return {
        "scenario": NORMAL if is_over else played.scenario,
        "since": None if is_over else rfc3339(played.since_us, context.zone),
        "until": None if is_over else rfc3339(played.until_us, context.zone),
        "items": [{"id": one.id, "name": {"zh": one.zh, "en": one.en}} for one in played.offers],
        "next": None,
    }
