"""Numbers by which drivers and historians say that there is no value."""

import numpy as np
import pytest

from twin import quality as q
from twin.series.sentinels import is_sentinel, without_far, without_sentinels


@pytest.mark.parametrize("sent", [65535.0, 6553.5, 65.535, 4294967295.0, -32768.0, 2147483647.0])
def test_sentinel_is_known_with_its_decimals(sent):
    assert is_sentinel(sent)
    assert not is_sentinel(sent * 1.001)


def judged(sent, low=0.0, high=5000.0):
    """Return the quality of a gauge [kW] as it was sent."""
    sent = np.array([sent])
    quality = q.within(sent, np.array([low]), np.array([high]), np.array([q.GOOD], np.uint8))
    quality = without_sentinels(sent, quality)
    return int(without_far(sent, np.array([low]), np.array([high]), quality)[0])


@pytest.mark.parametrize(
    ("sent", "quality"),
    [
        (4000.0, q.GOOD),
        (5200.0, q.UNCERTAIN | q.OUT_OF_RANGE),
        (40_000.0, q.UNCERTAIN | q.OUT_OF_RANGE),
        (32_767.0, q.BAD | q.OUT_OF_RANGE),
        (65_535.0, q.BAD | q.OUT_OF_RANGE),
        (1e9, q.BAD | q.OUT_OF_RANGE),
        (-1e6, q.BAD | q.OUT_OF_RANGE),
        (3.4e38, q.BAD | q.NOT_A_NUMBER),
        (3.4028235e38, q.BAD | q.NOT_A_NUMBER),
    ],
)
def test_gauge_far_out_of_its_range_is_bad(sent, quality):
    assert judged(sent) == quality


def test_sentinel_inside_the_range_is_a_value_and_one_without_a_range_too():
    assert judged(65_535.0, 0.0, 1e6) == q.GOOD
    assert judged(65_535.0, np.nan, np.nan) == q.GOOD
    assert judged(-3.4028235e38, np.nan, np.nan) == q.BAD | q.NOT_A_NUMBER
    assert judged(3.4e38, np.nan, np.nan) == q.BAD | q.NOT_A_NUMBER
