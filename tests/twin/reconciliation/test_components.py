"""Balances of components: flows times fractions, measured or not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from tests.support.small_networks import A_PARK, PARK_TRUTH, S_PARK
from twin.reconciliation.components import reconcile_components
from twin.reconciliation.linear import UNCHECKED, reconcile
from twin.reconciliation.nonlinear import UNSETTLED

SEEDS = 200

# Chlorine from the header goes to users and to liquefaction, which gives liquid chlorine and tail
# gas; what does not condense, oxygen and hydrogen, leaves with the tail gas.
HEADER = np.array([[1.0, -1, -1, 0, 0], [0, 0, 1, -1, -1]])
MADE, USED, FED, LIQUID, TAIL = range(5)
NO = np.nan


def liquefaction(purity=0.975, condensed=0.95):
    """Return flows [t/h] and fractions of chlorine and inert gas, all balances closed."""
    fed = 15.0
    liquid = condensed * purity * fed
    tail = fed - liquid
    remaining = (1 - condensed) * purity * fed / tail
    flow = np.array([50.0, 35.0, fed, liquid, tail])
    chlorine = np.array([purity, purity, purity, 1.0, remaining])
    return flow, np.stack([chlorine, 1 - chlorine], axis=-1)


FLOW, FRACTION = liquefaction()
SIGMA_FLOW = np.array([0.01, 0.01, 0.01, 0.003, 0.02]) * FLOW
# Purity is analysed in the header, before liquefaction and in the tail gas; liquid chlorine is
# as good as pure.
SIGMA_FRACTION = np.array([[0.002, 0.002], [NO, NO], [0.002, 0.002], [0, 0], [0.01, 0.01]])
# With sums of one the inert gas is no reading of its own.
ALONE = np.where([True, False], SIGMA_FRACTION, NO)


def readings(count=SEEDS):
    """Return meters' values of many seeds, one time each."""
    noise = [np.random.default_rng(seed).normal(size=(5, 3)) for seed in range(count)]
    noise = np.array(noise)
    flow = FLOW + SIGMA_FLOW * noise[..., 0]
    chlorine = FRACTION[:, 0] + SIGMA_FRACTION[:, 0] * noise[..., 1]
    return flow, np.stack([chlorine, 1 - chlorine], axis=-1)


def rms(values, truth):
    return np.sqrt(np.mean((values - truth) ** 2, axis=0))


def left_over(incidence, part):
    """Return what is left of each balance, over what it is made of."""
    remaining = np.einsum("ms,...sc->...mc", incidence, part)
    return np.abs(remaining) / np.einsum("ms,...sc->...mc", np.abs(incidence), np.abs(part))


def test_reconciled_flows_are_nearer_to_the_truth_in_the_linear_case():
    noise = [np.random.default_rng(seed).normal(size=10) for seed in range(SEEDS)]
    flow = PARK_TRUTH + S_PARK * np.array(noise)
    result = reconcile(A_PARK, flow, S_PARK)
    raw, mended = rms(flow, PARK_TRUTH), rms(result.estimate, PARK_TRUTH)
    assert (mended <= raw * 1.01).all()
    assert rms(mended, 0) < 0.75 * rms(raw, 0)
    assert mended == pytest.approx(result.sigma[0], rel=0.15)


@pytest.mark.parametrize(("normalised", "sigma"), [(False, SIGMA_FRACTION), (True, ALONE)])
def test_reconciled_flows_and_purities_are_nearer_to_the_truth_in_the_bilinear_case(
    normalised, sigma
):
    flow, fraction = readings()
    result = reconcile_components(HEADER, flow, fraction, SIGMA_FLOW, sigma, normalised=normalised)
    raw, mended = rms(flow, FLOW), rms(result.flow, FLOW)
    assert (mended <= raw * 1.01).all()
    assert rms(mended, 0) < 0.75 * rms(raw, 0)
    purity = rms(fraction, FRACTION)[[MADE, FED, TAIL], 0]
    assert (rms(result.fraction, FRACTION)[[MADE, FED, TAIL], 0] <= purity * 1.01).all()
    assert mended == pytest.approx(result.flow_sigma.mean(axis=0), rel=0.15)
    assert left_over(HEADER, result.carried).max() < 1e-9
    assert left_over(HEADER, result.flow[..., None]).max() < 1e-9
    assert result.carried == pytest.approx(result.flow[..., None] * result.fraction, rel=1e-9)
    assert set(result.result.reason) == {""}


def test_tail_gas_tells_how_much_is_condensed_and_what_was_not_analysed():
    # With an analysis before and one behind liquefaction the tail gas needs no meter.
    flow = FLOW.copy()
    flow[TAIL] = NO
    result = reconcile_components(HEADER, flow, FRACTION, SIGMA_FLOW, ALONE, normalised=True)
    assert result.flow == pytest.approx(FLOW, rel=1e-9)
    assert result.fraction == pytest.approx(FRACTION, rel=1e-9)
    assert result.fraction[FED, 0] == pytest.approx(0.975)
    assert result.fraction[TAIL] == pytest.approx([0.661017, 0.338983], abs=1e-6)
    assert result.carried[LIQUID] == pytest.approx([0.95 * 0.975 * 15, 0], abs=1e-9)
    inert = result.carried[:, 1]
    assert inert[TAIL] == pytest.approx(0.025 * 15)
    assert result.result.chi2 == pytest.approx(0, abs=1e-12)


def test_drifted_analyser_is_a_suspect_and_its_error_is_sized():
    fraction = FRACTION.copy()
    fraction[FED] += [0.02, -0.02]
    precise = SIGMA_FLOW * [1, 1, 0.1, 0.1, 0.1]
    sigma = np.where(ALONE == 0, 0.002, ALONE)
    result = reconcile_components(HEADER, FLOW, fraction, precise, sigma, normalised=True).result
    assert not result.consistent
    at = 5 + 2 * FED
    assert at in result.suspects[0]
    assert result.bias[at] == pytest.approx(0.02, rel=0.05)


def test_exactly_known_fractions_give_the_linear_balance_of_the_component():
    rng = np.random.default_rng(6)
    share = rng.uniform(0.3, 1, 10)
    flow = PARK_TRUTH / share + S_PARK * rng.normal(size=(4, 10))
    flow[1, 3] = NO
    expected = reconcile(A_PARK * share, flow, S_PARK)
    result = reconcile_components(
        A_PARK, flow, share[:, None], S_PARK, np.zeros((10, 1)), total=False
    )
    assert result.flow == pytest.approx(expected.estimate, rel=1e-8)
    assert result.flow_sigma == pytest.approx(expected.sigma, rel=1e-6)
    assert result.carried[..., 0] == pytest.approx(expected.estimate * share, rel=1e-8)
    assert result.result.chi2 == pytest.approx(expected.chi2, rel=1e-6)
    assert result.result.dof.tolist() == expected.dof.tolist()
    assert result.result.adjustment[:, :10] == pytest.approx(
        expected.adjustment, rel=1e-6, nan_ok=True
    )
    assert result.fraction[..., 0] == pytest.approx(np.broadcast_to(share, (4, 10)))


def test_heat_exchanger_tells_the_flow_of_its_cold_side():
    # Two sides keep their mass, heat passes between: 10 kg/s fall by 40 K, the cold rises by 20 K.
    sides, heat = [[1, -1, 0, 0], [0, 0, 1, -1]], [[1, -1, 1, -1]]
    temperature = np.array([[90.0], [50], [20], [40]])
    flow = np.array([10.0, 10.2, NO, NO])
    result = reconcile_components(
        sides, flow, temperature, [0.1, 0.1, 1, 1], np.full((4, 1), 0.1), component_incidence=heat
    )
    assert result.flow == pytest.approx([10.1, 10.1, 20.2, 20.2], abs=1e-6)
    assert result.residual.shape == (1, 1)
    assert heat @ result.carried == pytest.approx(0, abs=1e-9)
    assert result.result.dof == 1
    metered = np.array([10, 10, 21, 21.0])
    result = reconcile_components(
        sides, metered, temperature, [0.1] * 4, np.full((4, 1), 0.1), component_incidence=heat
    )
    assert not result.result.consistent
    assert result.result.dof == 3


@pytest.mark.parametrize("normalised", [False, True])
def test_reactor_keeps_its_mass_and_not_its_components(normalised):
    # Feed and recycle meet, react, and are separated into recycle and product.
    mass = np.array([[1.0, 1, -1, 0, 0], [0, 0, 1, -1, 0], [0, -1, 0, 1, -1]])
    flow = np.array([100.0, 60, 160, 160, 100])
    educt = np.array([0.95, 0.9, 0.93125, 0.3625, 0.04])
    fraction = np.stack([educt, 1 - educt], axis=-1)
    sigma = np.array([[0.01, NO]] * 3 + [[NO, NO], [0.01, NO]])
    rng = np.random.default_rng(4)
    result = reconcile_components(
        mass, flow * (1 + 0.01 * rng.normal(size=(5, 5))),
        fraction + 0.01 * rng.normal(size=(5, 5, 2)),
        0.01 * flow, sigma, component_incidence=mass[[0, 2]], normalised=normalised,
    )  # fmt: skip
    assert set(result.result.reason) == {""}
    assert left_over(mass, result.flow[..., None]).max() < 1e-9
    assert left_over(mass[[0, 2]], result.carried[..., :1]).max() < 1e-9
    converted = result.carried[:, 2, 0] - result.carried[:, 3, 0]
    assert converted == pytest.approx(np.full(5, 91), rel=0.05)
    if normalised:
        assert result.fraction.sum(axis=-1) == pytest.approx(np.ones((5, 5)))


def test_flow_that_is_not_measured_follows_from_what_it_carries():
    # 10 t/h with 40 % and an unknown flow of pure component make 12 t/h with 50 %.
    result = reconcile_components(
        np.array([[1.0, 1, -1]]),
        np.array([10, NO, 12]),
        np.array([[0.4], [1.0], [0.5]]),
        np.array([0.1, NO, 0.1]),
        np.array([[0.01], [0], [0.01]]),
    )
    assert result.flow == pytest.approx([10, 2, 12])
    assert result.result.dof == 1


def test_carried_amount_is_known_where_flow_and_fraction_are_not():
    result = reconcile_components(
        np.array([[1.0, -1, -1]]),
        np.array([10, 4, NO]),
        np.array([[0.5], [0.5], [NO]]),
        np.array([0.1, 0.1, NO]),
        np.array([[0.01], [0.01], [NO]]),
        total=False,
    )
    assert result.carried[2] == pytest.approx([3.0])
    assert result.carried_sigma[2] > 0
    assert np.isnan(result.flow[2])
    assert np.isnan(result.fraction[2])


def test_residual_is_what_measured_flows_and_fractions_leave_over():
    flow, fraction = readings(3)
    result = reconcile_components(HEADER, flow, fraction, SIGMA_FLOW, SIGMA_FRACTION)
    part = (flow[..., None] * fraction)[:, FED:]
    assert result.residual[:, 1] == pytest.approx(part[:, 0] - part[:, 1] - part[:, 2])
    assert np.isnan(result.residual[:, 0]).all()  # the users' gas is not analysed


def test_energy_is_balanced_as_a_component_whose_fractions_need_no_sum():
    # Two streams of water mix: enthalpies in kJ/kg, one of them wrong by chance.
    flow, enthalpy = np.array([2.0, 3, 5]), np.array([[420.0], [84.0], [218.4]])
    measured = enthalpy + np.array([[1.0], [-0.5], [2.0]])
    sigma = np.array([[2.0], [2.0], [1.0]])
    result = reconcile_components(
        np.array([[1.0, 1, -1]]), flow * [1.01, 1, 0.99], measured, 0.01 * flow, sigma
    )
    heat = result.flow * result.fraction[:, 0]
    assert heat[0] + heat[1] == pytest.approx(heat[2], rel=1e-9)
    assert result.flow[0] + result.flow[1] == pytest.approx(result.flow[2], rel=1e-9)
    assert result.result.dof == 2
    assert result.result.consistent
    # A product of a flow and an enthalpy is a heat: kJ/kg in MJ/kg changes nothing else.
    other = reconcile_components(
        np.array([[1.0, 1, -1]]), flow * [1.01, 1, 0.99], measured / 1e3, 0.01 * flow, sigma / 1e3
    )
    assert other.fraction * 1e3 == pytest.approx(result.fraction, rel=1e-9)
    assert other.result.chi2 == pytest.approx(result.result.chi2, rel=1e-6)


@st.composite
def plants(draw):
    """Return a network of mixers and splitters with positive flows, and what its meters show."""
    sizes = draw(st.integers(1, 4)), draw(st.integers(6, 10)), draw(st.sampled_from([0, 0.1, 0.3]))
    return plant_of(draw(st.integers(0, 2**32 - 1)), *sizes)


def plant_of(seed, nodes, streams, missing):
    rng = np.random.default_rng(seed)
    ends = [(-1, 0), *((m, m + 1) for m in range(nodes - 1)), (nodes - 1, -2)]
    while len(ends) < streams:
        origin = int(rng.integers(-1, nodes))
        to = int(rng.integers(origin + 1, nodes + 1))
        if origin >= 0 or to < nodes:
            ends.append((origin, to if to < nodes else -2))
    incidence = np.array([[(to == m) * 1.0 - (o == m) for o, to in ends] for m in range(nodes)])
    part = np.zeros((len(ends), 3))
    for _ in range(6 * len(ends)):
        path, amount = -1, rng.uniform(0.1, 1, 3) * rng.uniform(1, 10)
        while path != -2:
            stream = rng.choice([s for s, (origin, _) in enumerate(ends) if origin == path])
            part[stream] += amount
            path = ends[stream][1]
    flow, used = part.sum(axis=1), part.sum(axis=1) > 0
    incidence, flow, part = incidence[:, used], flow[used], part[used]
    fraction = part / flow[:, None]
    sigma = 10.0 ** rng.uniform(-3, -2, (len(flow), 4)) * np.column_stack([flow, fraction])
    measured = np.column_stack([flow, fraction]) + sigma * rng.normal(size=sigma.shape)
    measured[rng.random(sigma.shape) < missing] = NO
    return incidence, measured, sigma


@settings(deadline=None, max_examples=50)
@given(plants(), st.booleans())
def test_every_balance_that_is_observable_is_closed(plant, normalised):
    incidence, measured, sigma = plant
    result = reconcile_components(
        incidence, measured[:, 0], measured[:, 1:], sigma[:, 0], sigma[:, 1:],
        normalised=normalised,
    )  # fmt: skip
    assert result.result.reason in {"", UNCHECKED, UNSETTLED}
    if result.result.reason == UNSETTLED:
        # Some plants have too few meters: the least adjustments let a flow vanish.
        assert np.isnan(measured).mean() > 0.1
        assert np.isnan(result.flow).all()
        assert np.isnan(result.fraction).all()
    for column in (result.flow, *result.carried.T):
        whole = ~(incidence[:, np.isnan(column)] != 0).any(axis=1)
        assert incidence[whole] @ np.nan_to_num(column) == pytest.approx(
            0, abs=1e-9 * np.nanmax(measured[:, 0], initial=1)
        )
    known = ~np.isnan(result.flow[:, None] * result.fraction)
    both = (result.flow[:, None] * result.fraction)[known]
    assert result.carried[known] == pytest.approx(both, rel=1e-8)
    if normalised:
        total = result.fraction.sum(axis=1)
        assert total[~np.isnan(total)] == pytest.approx(1, rel=1e-9)


def test_hardly_a_plant_with_a_third_of_its_meters_missing_is_given_up():
    given_up = 0
    for seed in range(120):
        incidence, measured, sigma = plant_of(seed, 1 + seed % 4, 6 + seed % 5, 0.3)
        result = reconcile_components(
            incidence, measured[:, 0], measured[:, 1:], sigma[:, 0], sigma[:, 1:],
            normalised=seed % 2 == 0,
        )  # fmt: skip
        given_up += result.result.reason == UNSETTLED
    assert given_up <= 1


def test_times_and_missing_values_are_those_of_each_alone():
    flow, fraction = readings(6)
    flow[2, MADE] = flow[4, FED] = fraction[3, TAIL] = NO
    whole = reconcile_components(HEADER, flow, fraction, SIGMA_FLOW, SIGMA_FRACTION)
    assert whole.fraction.shape == (6, 5, 2)
    for t in range(6):
        alone = reconcile_components(HEADER, flow[t], fraction[t], SIGMA_FLOW, SIGMA_FRACTION)
        for name in ("flow", "flow_sigma", "fraction", "fraction_sigma", "carried"):
            assert getattr(whole, name)[t] == pytest.approx(
                getattr(alone, name), rel=1e-7, abs=1e-9, nan_ok=True
            ), name
        assert whole.result.dof[t] == alone.result.dof
        assert whole.result.suspects[t] == alone.result.suspects


def test_constant_fractions_serve_all_times():
    flow, _ = readings(3)
    result = reconcile_components(HEADER, flow, FRACTION, SIGMA_FLOW, SIGMA_FRACTION)
    assert result.fraction.shape == (3, 5, 2)


def test_flows_of_zero_are_closed_balances_too():
    flow = np.array([0.0, 0, 0, 0, 0])
    result = reconcile_components(
        HEADER, flow, FRACTION, np.full(5, 0.1), SIGMA_FRACTION, normalised=True
    )
    assert result.flow == pytest.approx(flow, abs=1e-12)
    assert result.carried == pytest.approx(0, abs=1e-12)
    idle = np.where(np.arange(5) >= FED, 0.0, [35, 35, 0, 0, 0])
    result = reconcile_components(HEADER, idle, FRACTION, np.full(5, 0.1), SIGMA_FRACTION)
    assert result.flow == pytest.approx(idle, abs=1e-9)
    assert result.fraction[MADE] == pytest.approx(FRACTION[MADE])


@pytest.mark.parametrize("value", [NO, np.inf, 1e300])
def test_hopeless_inputs_give_no_number_and_say_why(value):
    result = reconcile_components(
        HEADER, np.full(5, value), np.full((5, 2), value), SIGMA_FLOW, SIGMA_FRACTION
    )
    assert np.isnan(result.flow).all()
    assert np.isnan(result.fraction[SIGMA_FRACTION > 0]).all()
    assert result.result.reason != ""
    assert result.result.suspects == []


def test_no_time_at_all_gives_empty_columns():
    result = reconcile_components(
        HEADER, np.zeros((0, 5)), FRACTION, SIGMA_FLOW, SIGMA_FRACTION, normalised=True
    )
    assert result.flow.shape == (0, 5)
    assert result.fraction.shape == (0, 5, 2)


def test_wrong_shapes_are_refused_at_once():
    for change in (
        {"incidence": HEADER[0]},
        {"flow": FLOW[:4]},
        {"fraction": FRACTION[:4]},
        {"fraction": FRACTION[:, 0]},
        {"sigma_flow": SIGMA_FLOW[:4]},
        {"sigma_fraction": SIGMA_FRACTION[:, :1]},
    ):
        arguments = {"incidence": HEADER, "flow": FLOW, "fraction": FRACTION,
                     "sigma_flow": SIGMA_FLOW, "sigma_fraction": SIGMA_FRACTION}  # fmt: skip
        with pytest.raises(ValueError, match=r"fit|shape|broadcast"):
            reconcile_components(**(arguments | change))


def test_distillation_column_has_the_solution_of_a_general_minimiser():
    # Basic concepts in data reconciliation, North Carolina State University and University of
    # Ottawa, 2003, table 4.1: feed, distillate, bottoms; flows [kg/h] and two mass fractions.
    incidence = np.array([[1.0, -1.0, -1.0]])
    flow, sigma_flow = np.array([1095.475, 478.402, 488.232]), np.array([4.8, 3.9, 4.4])
    fraction = np.array([[0.4822, 0.517], [0.941, 0.0501], [0.0197, 0.9748]])
    sigma_fraction = np.array([[0.0048, 0.0052], [0.0094, 0.0005], [0.0002, 0.0097]])
    result = reconcile_components(
        incidence, flow, fraction, sigma_flow, sigma_fraction, normalised=True
    )
    measured = np.concatenate([flow, fraction.ravel()])
    sigma = np.concatenate([sigma_flow, sigma_fraction.ravel()])

    def balances(z):
        x = measured + sigma * z
        flow, fraction = x[:3], x[3:].reshape(3, 2)
        return np.concatenate([incidence @ (flow[:, None] * fraction)[:, 0] / 100,
                               incidence @ flow / 100, fraction.sum(axis=1) - 1])  # fmt: skip

    other = minimize(lambda z: z @ z, np.zeros(9), jac=lambda z: 2 * z, method="SLSQP",
                     constraints={"type": "eq", "fun": balances},
                     options={"ftol": 1e-13, "maxiter": 200})  # fmt: skip
    expected = measured + sigma * other.x
    assert result.flow == pytest.approx(expected[:3], rel=1e-6)
    assert result.fraction.ravel() == pytest.approx(expected[3:], rel=1e-5)
    assert result.result.chi2 == pytest.approx(other.fun, rel=1e-6)
    assert result.result.reason == ""
