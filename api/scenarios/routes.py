"""What-if over HTTP: what can be asked, and the answer from the live state on."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
from fastapi import APIRouter, Request, Response

from api.context import World, world
from api.encode import json_answer, rfc3339
from api.problems import RESPONSES, Problem, not_found
from api.scenarios import answer, schema
from twin.arrays import HOUR_S
from twin.reference import figure
from twin.reference import load as load_reference
from twin.scenario.network import Supply, compile_supply, loads_of
from twin.scenario.scenario import Action, assumptions, run
from twin.scenario.simulation import Policy

if TYPE_CHECKING:
    from twin.model.park import Park

router = APIRouter(prefix="/api/v1", responses=RESPONSES)

# Steps people know; the shortest that keeps an answer small is taken when none is asked for.
STEPS_S = (60.0, 120.0, 300.0, 600.0)
USUAL_STEPS = 720
# Two at a time leave the live feed its share of the processor.
BUSY = asyncio.Semaphore(2)


@router.get("/scenarios", response_model=schema.Askables)
async def read_askable(request: Request) -> Response:
    """Return what can be tripped or re-rated, with its present flows, and the limits."""
    here = world(request)
    here.require_image()
    supply = await asyncio.to_thread(compile_supply, here.model.network)
    state = await answer.now(here, supply)
    limits = {
        "hours": here.settings.scenario_hours_max,
        "steps": here.settings.scenario_steps_max,
        "actions": here.settings.scenario_actions_max,
        "load": schema.LOAD_MAX,
        "response_s": figure("scenario.policy.response", "time"),
    }
    items = await asyncio.to_thread(answer.catalogue, state, here.model.park.scopes)
    return json_answer({"items": items, "limits": limits, "next": None})


@router.post("/scenarios", response_model=schema.Scenario)
async def run_scenario(request: Request, question: schema.Question) -> Response:
    """Return what happens when plants trip or change their load, from the live state on.

    Two courses are computed: the surplus goes to the absorber, or the electrolysis is cut.
    """
    here = world(request)
    here.require_image()
    park = here.model.park
    scope = question.scope or park.id
    here.require_scope(scope)
    steps_s = _step(here, question)
    if BUSY.locked():
        raise Problem(
            429, "two what-ifs are being computed already", hint="ask again in a moment", retry=True
        )
    async with BUSY:
        supply = await asyncio.to_thread(compile_supply, here.model.network)
        actions = _actions(supply, park, question)
        state = await answer.now(here, supply)
        return await asyncio.to_thread(_answer, state, question, actions, scope, steps_s)


def _step(here: World, question: schema.Question) -> float:
    """Return the length of a step [s]; a Problem where the question is beyond the limits."""
    settings = here.settings
    if question.hours > settings.scenario_hours_max:
        raise _invalid("hours", f"it is above {settings.scenario_hours_max:g}")
    if len(question.actions) > settings.scenario_actions_max:
        raise _invalid("actions", f"there are more than {settings.scenario_actions_max}")
    horizon_s = question.hours * HOUR_S
    usual = next((s for s in STEPS_S if horizon_s <= s * USUAL_STEPS), STEPS_S[-1])
    step_s = min(question.step_s or usual, horizon_s)
    if math.ceil(horizon_s / step_s) > settings.scenario_steps_max:
        raise _invalid(
            "step_s", f"there are more than {settings.scenario_steps_max} steps", "a longer one"
        )
    return step_s


def _actions(supply: Supply, park: Park, question: schema.Question) -> list[Action]:
    """Return the actions of a question, checked against the model."""
    known = [each.id for each in park.scopes] + [e.id for e in park.electrolysers]
    found = []
    for deed in question.actions:
        if deed.scope not in known:
            raise not_found("scope or electrolyser", deed.scope, known, "/api/v1/scenarios")
        if not loads_of(supply, deed.scope):
            raise _invalid(
                "scope",
                f"nothing in {deed.scope!r} makes, uses or passes on chlorine or its fellows",
                "/api/v1/scenarios lists what can be asked",
            )
        stop = math.inf if deed.stop is None else deed.stop
        if stop <= deed.start:
            raise _invalid("stop", "it is not after `start`")
        found.append(Action(deed.scope, deed.load, deed.start * HOUR_S, stop * HOUR_S))
    return found


def _invalid(parameter: str, detail: str, hint: str = "") -> Problem:
    errors = [{"parameter": parameter, "in": "body", "detail": detail}]
    return Problem(422, f"{parameter}: {detail}", hint=hint, errors=errors)


def _answer(
    state: answer.Now,
    question: schema.Question,
    actions: list[Action],
    scope: str,
    step_s: float,
) -> Response:
    """Compute both courses; a thread's work."""
    supply = state.supply
    zone = ZoneInfo(supply.network.park.timezone)
    response_s = question.response_s
    if response_s is None:
        response_s = figure("scenario.policy.response", "time")
    policies = [Policy(cut, response_s) for cut in (False, True)]
    course = run(
        supply, state.start, [actions] * 2, policies,
        horizon_s=question.hours * HOUR_S, step_s=step_s,
    )  # fmt: skip
    texts: dict[str, Any] = load_reference("scenario")["assumption"]
    body = {
        "scope": scope,
        "from": rfc3339(state.time_us // 1000 * 1000, zone),
        "step_s": step_s,
        "quality": answer.trust(state, scope, course),
        "missing": answer.missing(state, scope),
        "doubtful": state.start.doubtful,
        "time": (state.time_us // 1000 + np.rint(course.time_s * 1000)).astype(np.int64),
        "variants": [
            answer.variant(state, course, n, policy, scope, zone)
            for n, policy in enumerate(policies)
        ],
        "assumptions": [
            {"key": key, "text": texts[key]["name"]} for key in assumptions(supply, policies)
        ],
    }
    return json_answer(body)
