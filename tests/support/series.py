"""Traits and samples of single tags, for tests of what is made of series."""

from types import SimpleNamespace

import numpy as np

from twin.series.samples import Samples
from twin.series.traits import traits_of

S = 1_000_000


def series(kind, *, gap_s=300, high=np.nan, tags=1, **other):
    """Return the traits of tags that are all of one kind."""
    traits = {"low": np.nan, "sigma": "", "resolution": 0.0, "rate": np.inf, "scale": 1.0,
              "shift": 0.0, **other}  # fmt: skip
    traits |= {"kind": kind, "gap_s": gap_s, "high": high, "source": "measured"}
    return traits_of([SimpleNamespace(**traits)] * tags)


def samples_at(times_s, values, qualities=None):
    """Return samples of the first tag."""
    times = np.array(times_s, dtype=np.int64) * S
    quality = np.zeros(len(times)) if qualities is None else qualities
    columns = np.array(values, np.float64), np.array(quality, np.uint8)
    return Samples(np.zeros(len(times), np.int64), times, *columns, times)
