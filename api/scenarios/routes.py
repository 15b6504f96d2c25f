"""What-if over HTTP: the plants a scenario can change, and its answer from the live state on."""

from __future__ import annotations

import math
from functools import partial
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from api.calculation.pool import CalculationRoute
from api.context import AppContext, Context
from api.encode import rfc3339
from api.parameters import Hours, Seconds, Text
from api.problems import RESPONSES, invalid, not_found
from api.scenarios.answer import (
    LiveState,
    ScenarioAnswer,
    ScenarioTargets,
    live_state,
    missing,
    scenario_targets,
    trust,
    variant,
)
from twin.arrays import HOUR_S
from twin.model.park import Park
from twin.reference import figure
from twin.reference import load as load_reference
from twin.scenario.network import Supply, compile_supply, loads_of
from twin.scenario.scenario import Action, assumptions, run
from twin.scenario.simulation import Policy

router = APIRouter(prefix="/api/v1", responses=RESPONSES, route_class=CalculationRoute)

# Steps people know; the shortest that keeps an answer small is taken when none is wanted.
STEPS_S = (60.0, 120.0, 300.0, 600.0)
USUAL_STEPS = 720
# Beyond its present load a plant is extrapolated: a fifth is as far as that goes.
LOAD_MAX = 1.2
StepLength = Annotated[Seconds, Field(ge=1)]


class ActionBody(BaseModel):
    """A plant, unit or electrolyser at another load for a while."""

    model_config = ConfigDict(extra="forbid")

    scope: Annotated[Text, Field(description="path of a scope, or id of an electrolyser")]
    load: Annotated[float, Field(ge=0, le=LOAD_MAX, description="of the present; 0 = trip")]
    start: Annotated[Hours, Field(description="hours from now")] = 0.0
    stop: Annotated[Hours | None, Field(description="hours from now; null = to the end")] = None


class ScenarioBody(BaseModel):
    """Plants at other loads, for some hours."""

    model_config = ConfigDict(extra="forbid")

    scope: Annotated[Text, Field(description="scope of the answer; empty = the park")] = ""
    hours: Annotated[Hours, Field(ge=0.01, description="horizon [h]")] = 6.0
    step_s: Annotated[
        StepLength | None, Field(description="length of a step [s]; null = as the hours allow")
    ] = None
    response_s: Annotated[
        Seconds | None, Field(description="until the electrolysis is cut [s]; null = the usual")
    ] = None
    actions: Annotated[list[ActionBody], Field(max_length=100)]


@router.get("/scenarios")
async def read_scenario_targets(context: AppContext) -> ScenarioTargets:
    """Return the plants that can trip or change their load, their present flows, the limits."""
    context.require_image()
    supply = compile_supply(context.model.network)
    state = await live_state(context, supply)
    settings = context.settings
    return {
        "items": scenario_targets(state, context.model.park.scopes),
        "limits": {
            "hours": settings.scenario_hours_max,
            "steps": settings.scenario_steps_max,
            "actions": settings.scenario_actions_max,
            "load": LOAD_MAX,
            "response_s": figure("scenario.policy.response", "time"),
        },
        "next": None,
    }


@router.post("/scenarios")
async def run_scenario(context: AppContext, body: ScenarioBody) -> ScenarioAnswer:
    """Return the courses when plants trip or change their load, from the live state on.

    Two courses are computed: the surplus goes to the absorber, or the electrolysis is cut.
    """
    context.require_image()
    park = context.model.park
    scope = body.scope or park.id
    context.require_scope(scope)
    steps_s = _step(context, body)
    supply = compile_supply(context.model.network)
    actions = _actions(supply, park, body)
    state = await live_state(context, supply)
    return _answer(state, body, actions, scope, steps_s)


def _step(context: Context, body: ScenarioBody) -> float:
    """Return the length of a step [s]; raises Problem 422 beyond the limits."""
    require = partial(context.require_limit, part="body")
    require("hours", body.hours, "scenario_hours_max", "hours", "a shorter horizon")
    count, mend = len(body.actions), "plants that run as they do now need no action"
    require("actions", count, "scenario_actions_max", "actions", mend)
    horizon_s = body.hours * HOUR_S
    usual = next((s for s in STEPS_S if horizon_s <= s * USUAL_STEPS), STEPS_S[-1])
    step_s = min(body.step_s or usual, horizon_s)
    steps = math.ceil(horizon_s / step_s)
    require("step_s", steps, "scenario_steps_max", "steps", "longer ones")
    return step_s


def _actions(supply: Supply, park: Park, body: ScenarioBody) -> list[Action]:
    """Return the actions of a scenario; raises Problem 404 and 422 by the model."""
    known = [scope.id for scope in park.scopes] + [e.id for e in park.electrolysers]
    actions = []
    for each in body.actions:
        if each.scope not in known:
            raise not_found("scope or electrolyser", each.scope, known, "/api/v1/scenarios")
        if not loads_of(supply, each.scope):
            raise invalid(
                "scope",
                f"nothing in {each.scope!r} makes, uses or passes on chlorine or its fellows",
                hint="/api/v1/scenarios lists what can be asked",
                part="body",
            )
        stop = math.inf if each.stop is None else each.stop
        if stop <= each.start:
            raise invalid("stop", "it is not after `start`", part="body")
        actions.append(Action(each.scope, each.load, each.start * HOUR_S, stop * HOUR_S))
    return actions


def _answer(
    state: LiveState, body: ScenarioBody, actions: list[Action], scope: str, step_s: float
) -> ScenarioAnswer:
    """Compute both courses."""
    supply, zone = state.supply, ZoneInfo(state.supply.network.park.timezone)
    usual_s = figure("scenario.policy.response", "time")
    response_s = usual_s if body.response_s is None else body.response_s
    policies = [Policy(cut, response_s) for cut in (False, True)]
    trajectory = run(
        supply, state.start, [actions] * 2, policies,
        horizon_s=body.hours * HOUR_S, step_s=step_s,
    )  # fmt: skip
    texts: dict[str, Any] = load_reference("scenario")["assumption"]
    return {
        "scope": scope,
        "from": rfc3339(state.time_us // 1000 * 1000, zone),
        "step_s": step_s,
        "quality": trust(state, scope, trajectory),
        "missing": missing(state, scope),
        "doubtful": list(state.start.doubtful),
        "time": [state.time_us // 1000 + round(s * 1000) for s in trajectory.time_s.tolist()],
        "variants": [
            variant(state, trajectory, n, policy, scope, zone) for n, policy in enumerate(policies)
        ],
        "assumptions": [
            {"key": key, "text": texts[key]["name"]} for key in assumptions(supply, policies)
        ],
    }
