"""By-products: a balance closes or says by how much it does not."""

import numpy as np

from twin.byproducts.balance import unaccounted


def test_what_comes_in_and_neither_goes_out_nor_stays_is_unaccounted():
    make, use = np.array([100.0, 100.0]), np.array([60.0, 60.0])
    imported, exported = np.array([5.0, 0.0]), np.array([30.0, 30.0])
    vented, change = np.array([1.0, 0.0]), np.array([10.0, 10.0])
    assert unaccounted(make, use, imported, exported, vented, change).tolist() == [4.0, 0.0]


def test_one_unknown_term_makes_the_balance_unknown():
    one, nothing = np.ones(1), np.zeros(1)
    assert np.isnan(unaccounted(one, one, nothing, nothing, nothing, np.array([np.nan]))).all()
    assert np.isnan(unaccounted(np.array([np.nan]), one, nothing, nothing, nothing, one)).all()
