"""Liquid-chlorine farms of a model: their streams, and what live values say of them."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.small_region import CELLS, STORE, T_PER_H
from tests.support.small_region import NETWORK as SMALL
from twin.accounts.network import compile_network
from twin.chlorine.tank_farms import (
    find_tank_farms,
    find_withdrawals,
    forecast,
    meter_of,
    withdrawal_weights,
)
from twin.loading import load_park

DEMO = Path(__file__).resolve().parents[3] / "deploy" / "parks" / "liaocheng"
XINFA, LUXI = "liaocheng/chiping/xinfa", "liaocheng/gaoxin/luxi"
HOUR = 3600.0
FULL = np.pi / 4 * 9 * 16 * 1425
LIMIT = 0.8 * FULL
HALF = 1.5  # m, half of a tank


@pytest.fixture(scope="module")
def network():
    return compile_network(load_park(DEMO))


def ids(streams):
    return {stream.id for stream in streams}


def values(network, **tags):
    """Return values of tags by owner_tag, all others unknown."""
    result = np.full(len(network.tags), np.nan)
    for address, value in tags.items():
        owner, _, tag = address.partition("_")
        result[network.index[f"{owner}/{tag.replace('_', '-')}"]] = value
    return result


@pytest.fixture
def usual(network):
    """Every farm at half, every spare empty; each stream of a farm takes 2 t/h, users 4 t/h."""
    result = np.full(len(network.tags), np.nan)
    for farm in find_tank_farms(network, "liaocheng"):
        result[network.tanks.tag[list(farm.tanks)]] = HALF
        result[network.tanks.tag[list(farm.spares)]] = 0.0
        for stream in (*farm.fills, *farm.draws):
            result[network.index[stream.flow]] = 2 * T_PER_H
        for stream in farm.users:
            result[network.index[stream.flow]] = 4 * T_PER_H
    return result


def test_farm_has_its_tanks_its_spare_and_its_streams(network):
    (farm,) = find_tank_farms(network, XINFA)
    names = [network.park.tanks[k].id for k in (*farm.tanks, *farm.spares)]
    assert names == [f"xinfa-V-1301{letter}" for letter in "ABCDEFG"]
    assert len(farm.spares) == 1
    assert ids(farm.fills) == {"xinfa-cl2-liquid"}
    assert {"xinfa-cl2-vaporiser", "xinfa-cl2-export", "xinfa-cl2-luxi"} == ids(farm.draws)
    # Users of gas take it from the header: not the vaporiser's users, not the tail gas.
    assert "xinfa-cl2-hcl" in ids(farm.users)
    assert {stream.origin for stream in farm.users} == {f"{XINFA}/caustic/chlorine-header"}
    assert "xinfa-cl2-liquefaction" not in ids(farm.users)


def test_farms_of_a_scope_are_those_inside_it(network):
    assert len(find_tank_farms(network, "liaocheng")) == 3
    assert len(find_tank_farms(network, LUXI)) == 1
    assert find_tank_farms(network, f"{LUXI}/ammonia") == ()
    (farm,) = find_tank_farms(SMALL, "r")
    # Without a place for liquefaction the gas comes from where the liquid does.
    assert (farm.scope, ids(farm.users)) == (STORE, {"cl2-vcm"})
    assert {stream.origin for stream in farm.fills} == {CELLS}


def test_liquid_that_stays_in_tanks_of_the_boundary_is_not_taken(network):
    region, xinfa = find_withdrawals(network, "liaocheng"), find_withdrawals(network, XINFA)
    assert "xinfa-cl2-luxi" not in ids(region.streams)
    assert "xinfa-cl2-luxi" not in ids(region.exported)
    assert "xinfa-cl2-luxi" in ids(xinfa.exported) & ids(xinfa.streams)
    local = dict(zip((s.id for s in xinfa.streams), xinfa.local.tolist(), strict=True))
    assert local == {
        "xinfa-cl2-vaporiser": True, "xinfa-cl2-export": False, "xinfa-cl2-luxi": False,
    }  # fmt: skip
    assert find_withdrawals(network, f"{LUXI}/urea").streams == ()


def test_outlook_of_one_farm_is_what_its_numbers_give(network, usual):
    farms = find_tank_farms(network, XINFA)
    result = forecast(network, farms, usual)
    room = 6 * (LIMIT - FULL / 2)
    assert result.headroom == pytest.approx(room)
    assert result.filling == pytest.approx((2 - 3 * 2) * T_PER_H)
    assert result.full_s == np.inf
    # The cells go on: a user of 4 t/h leaves as much as the tanks lose.
    assert result.trip_s == np.inf
    usual[network.index["xinfa/FI-1301"]] = 7 * T_PER_H
    usual[network.index["xinfa/FI-1203"]] = 9 * T_PER_H
    result = forecast(network, farms, usual)
    assert result.full_s == pytest.approx(room / 1000 * HOUR)
    assert result.trip_s == pytest.approx(room / 10_000 * HOUR)
    assert (result.user, result.user_flow) == ("xinfa-cl2-hcl", pytest.approx(9 * T_PER_H))
    assert result.spare == 1.0
    assert {"xinfa/LT-1301G", "xinfa/FI-1203"} <= {network.tags[t].address for t in result.tags}


def test_the_farm_that_is_full_first_gives_the_time_of_many(network, usual):
    usual[network.index["luxi/FI-1301"]] = 20 * T_PER_H
    (luxi,) = find_tank_farms(network, LUXI)
    alone, all_of_them = (
        forecast(network, farms, usual)
        for farms in ((luxi,), find_tank_farms(network, "liaocheng"))
    )
    assert np.isfinite(alone.full_s)
    assert all_of_them.full_s == alone.full_s
    assert all_of_them.trip_s <= alone.trip_s
    assert all_of_them.headroom > 2 * alone.headroom


def test_what_is_not_known_is_not_made_up(network, usual):
    farms = find_tank_farms(network, XINFA)
    for address, lost in {
        "xinfa/LT-1301A": {"headroom", "full_s", "trip_s"},
        "xinfa/FI-1301": {"filling", "full_s", "trip_s"},
        "xinfa/FI-1203": {"trip_s", "user_flow"},
        "xinfa/LT-1301G": {"spare"},
    }.items():
        value = usual.copy()
        value[network.index[address]] = np.nan
        result = forecast(network, farms, value)
        names = ("headroom", "filling", "full_s", "trip_s", "user_flow", "spare")
        assert {name for name in names if np.isnan(getattr(result, name))} == lost, address
    nothing = forecast(network, (), usual)
    assert np.isnan([nothing.headroom, nothing.full_s, nothing.spare]).all()
    assert (nothing.user, len(nothing.tags)) == ("", 0)


def test_a_full_farm_is_full_whatever_is_not_known_of_the_others(network, usual):
    value = np.full(len(network.tags), np.nan)
    value[network.tanks.tag] = np.where(np.isnan(usual[network.tanks.tag]), np.nan, 3.0)
    result = forecast(network, find_tank_farms(network, "liaocheng"), value)
    assert (result.headroom, result.full_s, result.spare) == (0.0, 0.0, 0.0)
    value[network.index["luxi/LT-1301A"]] = np.nan
    result = forecast(network, find_tank_farms(network, "liaocheng"), value)
    assert np.isnan(result.headroom)
    assert result.full_s == 0.0


def test_a_tank_by_mass_is_as_large_as_the_range_of_its_tag_and_no_spare_is_not_known():
    farms = find_tank_farms(SMALL, "r")
    value = values(SMALL, alpha_WT_1=50e3, alpha_LT_2=1.5, alpha_FT_2=2.0, alpha_FT_3=1.0,
                   alpha_FT_4=0.5, alpha_FT_1=3.0)  # fmt: skip
    result = forecast(SMALL, farms, value)
    assert np.isnan(result.spare)
    # 150 t by mass, and a lying tank of liquid chlorine that is half full at 1.5 m.
    lying = 1250 * np.pi / 4 * 3**2 * 16 - 1425 * np.pi / 8 * 3**2 * 16
    assert result.headroom == pytest.approx(150e3 - 50e3 + lying)
    assert result.filling == pytest.approx(0.5)
    assert result.full_s == pytest.approx(result.headroom / 0.5)
    assert result.user == "cl2-vcm"


def test_stream_without_a_meter_has_no_tag(network):
    streams = {stream.id: stream for stream in network.park.streams}
    tag, factor = meter_of(network, streams["xinfa-cl2-hcl"])
    assert network.tags[tag].address == "xinfa/FI-1203"
    assert factor > 0
    bare = next(s for s in network.park.streams if not s.flow)
    assert meter_of(network, bare)[0] == -1


def test_weights_of_streams_are_those_of_their_meters_and_unknown_without_one(network):
    streams = {stream.id: stream for stream in network.park.streams}
    one, other = streams["xinfa-cl2-hcl"], streams["xinfa-cl2-vaporiser"]
    weight = withdrawal_weights(network, [one, other])
    for stream in (one, other):
        tag, factor = meter_of(network, stream)
        assert weight[tag] == factor
    assert np.count_nonzero(weight) == 2
    bare = next(s for s in network.park.streams if not s.flow)
    assert np.isnan(withdrawal_weights(network, [one, bare])).all()
    assert not withdrawal_weights(network, []).any()
