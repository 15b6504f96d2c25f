"""Agreements against meters: parts of months, verdicts by interval, disputes of two meters."""

from datetime import date

import numpy as np

from tests.support.small_region import T_PER_H
from twin.arrays import DAY_US
from twin.byproducts.catalogue import Transfer
from twin.byproducts.ledger import agreed_share, disputed, judge
from twin.series.windows import edges

ZONE = "Asia/Shanghai"


def transfer(**cells):
    return Transfer(
        **(
            {"id": "t", "resource": "r", "need": "n", "amount": 1e6, "first": date(2025, 1, 1)}
            | cells
        )
    )


def months(first, last):
    stamps = [np.datetime64(day, "us").astype(np.int64) for day in (first, last)]
    return edges("month", int(stamps[0]), int(stamps[1]), ZONE)


def test_agreement_asks_for_the_days_it_lasts_and_that_have_passed():
    year = months("2025-01-10", "2025-04-10")
    length_s = np.diff(year) / 1e6
    half = transfer(first=date(2025, 1, 17), last=date(2025, 3, 31))
    elapsed_s = length_s.copy()
    elapsed_s[2] /= 2
    np.testing.assert_allclose(
        agreed_share(half, year, elapsed_s, ZONE), [15 / 31, 1, 0.5, 0], atol=1e-12
    )
    assert (agreed_share(transfer(), year, length_s, ZONE) == 1).all()
    assert len(year) == 5
    assert year[1] - year[0] == 31 * DAY_US


def test_delivery_is_judged_where_its_whole_interval_lies_on_one_side():
    share = np.array([1.0, 0.9, 0.94, 1.2, 0.97, np.nan, 0.5])
    width = np.array([0.02, 0.02, 0.02, 0.02, 0.03, 0.0, 0.01])
    decisive = np.array([True] * 6 + [False])
    assert judge(share, width, 0.05, decisive).tolist() == [
        "met", "short", "undecided", "over", "undecided", "undecided", "undecided",
    ]  # fmt: skip
    # Without an interval nothing is decided.
    assert judge(np.ones(1), np.array([np.nan]), 0.05, np.ones(1, bool)).tolist() == ["undecided"]


def test_two_meters_are_in_dispute_beyond_the_interval_of_their_difference():
    difference = np.array([3.0, -3.0, 1.0, np.nan]) * T_PER_H
    assert disputed(difference, np.full(4, 2.0 * T_PER_H)).tolist() == [True, True, False, False]
