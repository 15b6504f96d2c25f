"""How much one asker may do: an account, or a remote address where there is none."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from api.problems import Problem
from twin.arrays import MINUTE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

# Askers remembered; those who could begin anew are forgotten first.
ASKERS_MAX = 10_000


class Rate:
    """So many a minute of each asker, and as many at once after a pause."""

    def __init__(self, per_minute: int) -> None:
        self._every_s = MINUTE_S / per_minute
        # When each would have used up what it took, at an even pace [s of the loop].
        self._even: dict[str, float] = {}

    def wait_s(self, asker: str) -> float:
        """Take one for an asker and return 0, or how long it has to wait for it [s]."""
        now = asyncio.get_running_loop().time()
        even = max(self._even.get(asker, now), now) + self._every_s
        # The sum of many steps is a little off.
        if even - now > MINUTE_S + self._every_s / 2:
            return even - now - MINUTE_S
        if len(self._even) > ASKERS_MAX:
            self._even = {each: at for each, at in self._even.items() if at > now}
        self._even[asker] = even
        return 0.0


class Orders:
    """The orders of each asker in a minute."""

    def __init__(self, per_minute: int, limited: Counter[str]) -> None:
        self._per_minute = per_minute
        self._rate = Rate(per_minute)
        self._limited = limited

    def take(self, asker: str) -> None:
        """Count an order; raises Problem 429 for one too many."""
        wait_s = self._rate.wait_s(asker)
        if wait_s:
            self._limited["orders"] += 1
            raise Problem(
                429,
                f"{self._per_minute} orders a minute of {asker} are the limit",
                hint="send them slower; PARKTWIN_ORDERS_MINUTE is the limit",
                retry=math.ceil(wait_s),
            )


class InFlight:
    """What is under way of each asker at a time."""

    def __init__(self, most: int, what: str, setting: str, limited: Counter[str]) -> None:
        self._most = most
        self._what = what
        self._setting = setting
        self._limited = limited
        self._count: Counter[str] = Counter()

    @contextmanager
    def hold(self, asker: str) -> Iterator[None]:
        """Count what is done inside; raises Problem 429 for one too many."""
        if self._count[asker] >= self._most:
            self._limited[self._what] += 1
            raise Problem(
                429,
                f"{self._most} {self._what} of {asker} are under way already",
                hint=f"wait for their answers; {self._setting} is the limit",
                retry=True,
            )
        self._count[asker] += 1
        try:
            yield
        finally:
            self._count[asker] -= 1
            if not self._count[asker]:
                del self._count[asker]
