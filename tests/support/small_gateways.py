"""Simulated gateways of the small region, their faults, and readings that tell their own time."""

import numpy as np

from simulators.gateways.gateways import make_gateways
from simulators.scenarios.script import ScriptEvent
from tests.support.small_region import ALPHA, PARK

S = 1_000_000
BEGIN = 1_763_784_000 * S
SEED = 11
COUNT = len(PARK.tags)


def event(kind, start, stop, size=0.0, every=60.0, scope=ALPHA):
    return ScriptEvent(kind, kind, scope, "", start, stop, size, every_s=every)


def gateway(*events, **more):
    (result,) = make_gateways(PARK, events=events, **more)
    return result


def plain(times):
    """Return values that are their own times and columns."""
    return times[:, None] / S % 1000 + np.arange(COUNT) / 8
