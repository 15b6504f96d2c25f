"""Health of ingest as samples: its own counters and gauges, and the data health of enterprises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ingest.counters import HEALTH
from twin.series.samples import Samples

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ingest.counters import Counters
    from ingest.cycle.gateways import Gateways
    from ingest.settings import IngestSettings
    from twin.model.park import Tag
    from twin.series.image import Image


class Health:
    """Samples of the tags from `first` on, which ingest adds to those of the network."""

    def __init__(
        self,
        counters: Counters,
        gateways: Gateways,
        tags: Sequence[Tag],
        first: int,
        settings: IngestSettings,
    ) -> None:
        self._counters = counters
        self._gateways = gateways
        self._tag = np.arange(first, len(tags))
        self._gap_us = np.array([round(tag.gap_s * 1e6) for tag in tags], dtype=np.int64)
        self._every_us = round(settings.health_s * 1e6)

    def next_due_us(self, cycle_us: int) -> int:
        """Return when health is due after a cycle that has stored it [µs]."""
        return cycle_us + self._every_us

    def samples(self, image: Image, gauges: Mapping[str, float], cycle_us: int) -> Samples:
        """Return one sample of each own tag at `cycle_us` [µs]; `gauges` have the names of GAUGES.

        A tag has none when the clock was set back behind its newest sample in the image.
        """
        own = [gauges.get(name, float(self._counters[name])) for name in HEALTH]
        value = np.append(own, self._gateways.health(image, self._gap_us, cycle_us))
        times = np.full(len(self._tag), cycle_us)
        samples = Samples(self._tag, times, value, np.zeros(len(times), np.uint8), times)
        return samples.take(times > image.time_us[self._tag])
