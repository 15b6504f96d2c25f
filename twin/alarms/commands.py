"""Commands of operators on alarms, and the state that follows from each.

References
----------
.. [1] ANSI/ISA-18.2-2016 (IEC 62682), Management of Alarm Systems for the Process Industries: alarm
   state transition diagram; shelving, suppression by design, out of service.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from twin.alarms.engine import (
    ACKNOWLEDGED,
    NORMAL,
    OUT_OF_SERVICE,
    SHELVED,
    STATES,
    SUPPRESSED,
    UNACKNOWLEDGED,
    AlarmChanges,
    AlarmState,
    after,
)
from twin.arrays import NEVER

if TYPE_CHECKING:
    from twin.alarms.rules import Rules

# The state after a command, for each of STATES. A released alarm is unacknowledged when its
# condition is on, else normal.
_NO, _RELEASE = -1, -2
COMMANDS: dict[str, tuple[int, ...]] = {
    "acknowledge": (_NO, ACKNOWLEDGED, _NO, NORMAL, _NO, _NO, _NO),
    "shelve": (SHELVED, SHELVED, SHELVED, SHELVED, SHELVED, _NO, _NO),
    "unshelve": (_NO, _NO, _NO, _NO, _RELEASE, _NO, _NO),
    "suppress": (SUPPRESSED,) * 5 + (_NO, _NO),
    "unsuppress": (_NO, _NO, _NO, _NO, _NO, _RELEASE, _NO),
    "take_out_of_service": (OUT_OF_SERVICE,) * 6 + (_NO,),
    "return_to_service": (_NO, _NO, _NO, _NO, _NO, _NO, _RELEASE),
}
# Commands that hide an alarm from the operator, and so are forbidden where shelving is.
HIDING = ("shelve", "suppress", "take_out_of_service")


def apply_command(
    rules: Rules, memory: AlarmState, name: str, alarm: int, now_us: int, until_us: int = NEVER
) -> tuple[AlarmState, AlarmChanges]:
    """Return the state after a command that is not refused, and the change it makes.

    The command takes effect at `now_us` [µs]; a shelving ends at `until_us` [µs].
    """
    assert not refusal(name, int(memory.state[alarm]), shelvable=bool(rules.shelvable[alarm]))
    target = COMMANDS[name][int(memory.state[alarm])]
    if target == _RELEASE:
        target = UNACKNOWLEDGED if memory.active[alarm] else NORMAL
    at = np.array([alarm], dtype=np.int64)
    changes = AlarmChanges(
        alarm=at,
        time_us=np.array([now_us], dtype=np.int64),
        before=memory.state[at],
        after=np.array([target], dtype=np.int8),
        value=memory.value[at],
        quality=memory.quality[at],
    )
    memory = after(memory, changes)
    if target == SHELVED:
        until = memory.until_us.copy()
        until[at] = until_us
        memory = replace(memory, until_us=until)
    return memory, changes


def refusal(name: str, state: int, *, shelvable: bool) -> str:
    """Return the reason to refuse a command on an alarm in this state, or an empty text."""
    if name not in COMMANDS:
        return f"there is no command {name!r}; there are {', '.join(COMMANDS)}"
    if name in HIDING and not shelvable:
        return "this alarm may not be shelved, suppressed or taken out of service"
    if COMMANDS[name][state] == _NO:
        return f"{name.replace('_', ' ')}: the alarm is {STATES[state].replace('_', ' ')}"
    return ""
