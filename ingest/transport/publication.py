"""Derived values back to the broker, retained: for SCADA, and for the twin of a larger park.

Each goes to ``twin/v1/{scope}/{component}.{quantity}.{role}`` as one JSON object with ts [ms],
value (null: none), uom and quality code. What is published is committed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from twin.arrays import NEVER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from twin.accounts.network import Network
    from twin.series.image import Image

PREFIX = "twin/v1"


class Publication:
    """What a larger twin knows of the derived tags of one park model."""

    def __init__(self, network: Network, every_s: float) -> None:
        first = len(network.tags) - len(network.derived)
        self._at = np.arange(first, len(network.tags))
        self._tags = network.tags[first:]
        self._topics = [
            f"{PREFIX}/{scope}/{component}.{tag.quantity}.{role}"
            for (scope, component, role), tag in zip(network.derived, self._tags, strict=True)
        ]
        self._every_us = round(every_s * 1e6)
        self._due_us = 0
        self._told_us = np.full(len(self._tags), NEVER)

    async def publish(
        self, image: Image, send: Callable[..., Awaitable[bool]], now_us: int
    ) -> None:
        """Send what is newer than what was sent, when it is due; 0 s between is never."""
        if not self._every_us or now_us < self._due_us:
            return
        self._due_us = now_us + self._every_us
        time_us = image.time_us[self._at]
        for d in np.flatnonzero(time_us > self._told_us).tolist():
            tag, at = self._tags[d], self._at[d]
            value = (image.value[at] - tag.shift) / tag.scale
            body = {
                "ts": int(time_us[d]) // 1000,
                "value": float(value) if np.isfinite(value) else None,
                "uom": tag.uom,
                "quality": int(image.quality[at]),
            }
            if not await send(self._topics[d], json.dumps(body).encode(), retain=True):
                return
            self._told_us[d] = time_us[d]
