"""The true state of a park: closed balances, chemistry, plausible energies."""

import numpy as np
import pytest

from simulators.process.process import state
from tests.support.books import node_books
from twin import faraday
from twin.accounts.vessel_shapes import cylinder_share
from twin.reference import load as load_reference

NOW_US = 1_763_791_200_000_000
S_US = 1_000_000
DAY = NOW_US + np.arange(0, 86_400, 300) * S_US
HCL = "hydrogen_chloride"


@pytest.fixture(scope="module")
def truth(process):
    return state(process, DAY)


def test_every_node_that_passes_a_component_on_closes_exactly(process, column, truth):
    into, out, kept = node_books(process, column, truth)
    passing = set(into) & set(out)
    assert {c for _, c in passing} >= {"chlorine", "hydrogen", "hydrogen_chloride", "caustic"}
    for key in sorted(passing):
        if key[0] not in ("market", "atmosphere"):
            residual = into[key] - out[key] - kept[key]
            assert np.max(np.abs(residual) / into[key]) < 1e-9, key


def test_what_chlorine_becomes_follows_the_stoichiometry(process, column, truth):
    into, out, _ = node_books(process, column, truth)
    burner = "liaocheng/chiping/xinfa/hcl/synthesis"
    chlorine = into[burner, "chlorine"]
    hydrogen = into[burner, "hydrogen"]
    assert hydrogen == pytest.approx(chlorine * faraday.H2[0] / faraday.CL2[0], rel=1e-9)
    assert out[burner, "hydrogen_chloride"] == pytest.approx(chlorine + hydrogen, rel=1e-9)
    absorber = "liaocheng/gaoxin/luxi/caustic/absorber"
    needed = 2 * faraday.NAOH[0] / faraday.CL2[0]
    assert into[absorber, "caustic"] == pytest.approx(into[absorber, "chlorine"] * needed, rel=1e-9)
    urea = "liaocheng/gaoxin/luxi/urea"
    made = out[urea, "urea"]
    assert into[urea, "ammonia"] == pytest.approx(0.5672 * made, rel=1e-4)
    assert into[urea, "carbon_dioxide"] == pytest.approx(0.7328 * made, rel=1e-4)
    glycerol = "liaocheng/shenxian/huaxiang/ech/glycerol"
    per_caustic = into[glycerol, "hydrogen_chloride"] / into[glycerol, "caustic"]
    assert per_caustic == pytest.approx(0.7881 / 0.4323, rel=1e-4)


def test_what_no_reaction_explains_keeps_its_usual_proportion(process, column, truth):
    into, out, _ = node_books(process, column, truth)
    for made, taken in (
        (("chiping/xinfa/pvc/polymerisation", "pvc"), ("chiping/xinfa/pvc/vcm", HCL)),
        (("gaoxin/luxi/organosilicon/hydrolysis", HCL),
         ("gaoxin/luxi/organosilicon/methyl-chloride", HCL)),
        (("gaoxin/luxi/ammonia/synthesis", "ammonia"), ("gaoxin/luxi/ammonia/synthesis", "syngas")),
        (("gaoxin/luxi/ammonia/gasification", "syngas"),
         ("gaoxin/luxi/ammonia/gasification", "coal")),
    ):  # fmt: skip
        of = out[f"liaocheng/{made[0]}", made[1]] / into[f"liaocheng/{taken[0]}", taken[1]]
        assert np.ptp(of) < 1e-9 * np.mean(of), made
        assert np.ptp(into[f"liaocheng/{taken[0]}", taken[1]]) > 0, taken


def test_cells_decompose_about_half_of_the_salt_they_are_fed(process, column, truth):
    into, out, _ = node_books(process, column, truth)
    for site in ("gaoxin/luxi", "chiping/xinfa", "shenxian/huaxiang"):
        cells = f"liaocheng/{site}/caustic/electrolysis", "sodium_chloride"
        # The books have what cells use as less that comes in.
        fed = truth.flow[:, [s.to == cells[0] and s.medium == "brine"
                             for s in process.plant.park.streams]][:, 0] * 0.256  # fmt: skip
        used = fed - out[cells]
        assert used == pytest.approx(fed - into[cells] + (into[cells] - out[cells]), rel=1e-9)
        assert np.all((used / fed > 0.43) & (used / fed < 0.52))
        chlorine = into[cells[0], "chlorine"]
        assert used / chlorine == pytest.approx(1.64846, rel=1e-4)


def test_captive_power_is_what_its_users_take_and_coal_what_it_needs(process, column, truth):
    def megawatts(name):
        return truth.values[:, column[f"xinfa/{name}"]] / 1e6

    users = ["JI-0102", "JI-1001", "JI-1003", "JI-3002", "JI-5101", "JI-5102", "JI-5103"]
    bought = megawatts("JI-0101")
    remaining = megawatts("JI-7002") + bought - sum(megawatts(name) for name in users)
    assert np.all((remaining > 45) & (remaining < 65))
    assert np.ptp(megawatts("JI-7002")) > 2 * np.ptp(remaining)
    coal = truth.values[:, column["xinfa/WI-7001"]] * 20.934e6
    steam = truth.values[:, column["xinfa/FI-7003"]] * 2.6967e6
    efficiency = (megawatts("JI-7002") * 1e6 / 0.45 + steam) / coal
    assert np.ptp(efficiency) < 1e-3
    assert 0.8 < efficiency[0] < 0.95


def test_an_incomer_brings_what_its_users_take_and_what_is_lost(process, column, truth):
    def megawatts(name):
        return truth.values[:, column[name]] / 1e6

    metered = sum(megawatts(f"huaxiang/{name}") for name in ("JI-1001", "JI-1003", "JI-3002"))
    lost = 1 - metered / megawatts("huaxiang/JI-0101")
    assert np.ptp(lost) < 1e-12
    assert 0 <= lost[0] <= 0.03
    users = ("JI-1001", "JI-1003", "JI-6002", "JI-6502")
    unmetered = megawatts("luxi/JI-0101") - sum(megawatts(f"luxi/{name}") for name in users)
    assert np.all((unmetered > 34) & (unmetered < 43))


def test_steam_is_made_as_it_is_drawn(process, column, truth):
    main = truth.values[:, column["luxi/FI-7003"]]
    users = sum(truth.values[:, column[f"luxi/FI-{n}"]] for n in (1004, 4003, 6003, 6503))
    assert main == pytest.approx(users, rel=1e-12)
    coal = truth.values[:, column["luxi/WI-7001"]]
    assert np.ptp(coal / main) < 1e-12 < np.ptp(main)


def test_a_stack_follows_what_is_burnt(column, truth):
    for owner in ("luxi", "xinfa"):
        gas = truth.values[:, column[f"{owner}/FI-9201"]] * 1e3
        coal = truth.values[:, column[f"{owner}/WI-7001"]]
        # About 8,000 normal cubic metres of each tonne.
        assert np.all((gas / coal > 7500) & (gas / coal < 9300))
        assert np.ptp(gas / coal) < 0.06 * np.mean(gas / coal)


def test_meter_of_a_poorer_gas_shows_more_of_it(park, column, truth):
    analysed = [(i, s) for i, s in enumerate(park.streams) if s.fraction]
    assert analysed
    media = load_reference("media")
    for i, stream in analysed:
        values, purity = (truth.values[:, column[tag]] for tag in (stream.flow, stream.fraction))
        (usual,) = media[stream.medium]["component"].values()
        assert np.ptp(purity) > 0.005 * usual
        assert np.mean(purity) == pytest.approx(usual, abs=0.03)
        assert values * purity == pytest.approx(truth.flow[:, i] * usual, rel=1e-12)


def test_no_stream_runs_backwards(truth):
    assert np.nanmin(truth.flow) > 0


def test_accumulation_is_the_change_of_what_the_levels_say(park, process, column):
    step_us = 10 * S_US
    before, after = (state(process, DAY + shift).values for shift in (-step_us, step_us))
    accumulation = state(process, DAY).accumulation
    for k, tank in enumerate(park.tanks):
        level = np.stack([v[:, column[tank.level]] for v in (before, after)])
        height = tank.diameter if tank.shape == "horizontal_cylinder" else tank.length
        fill = level / height
        if tank.shape == "horizontal_cylinder":
            fill = cylinder_share(fill)
        mass = fill * np.pi / 4 * tank.diameter**2 * tank.length * tank.density
        rate = (mass[1] - mass[0]) / (2 * step_us / S_US)
        assert rate == pytest.approx(accumulation[:, k], abs=1e-4), tank.id
        assert np.all(fill < tank.fill_limit)


def per_tonne(truth, column, owner, energy, mass):
    """Return kWh (or t) of a rate per t of another."""
    made = np.mean(truth.values[:, column[f"{owner}/{mass}"]]) * 3.6
    return np.mean(truth.values[:, column[f"{owner}/{energy}"]]) / made


@pytest.mark.parametrize("owner", ["luxi", "xinfa", "huaxiang"])
def test_caustic_takes_a_plausible_energy(truth, column, owner):
    kwh = sum(per_tonne(truth, column, owner, f"JI-{n}", "FI-1410") for n in (1001, 1003)) / 1e3
    steam = per_tonne(truth, column, owner, "FI-1004", "FI-1410") * 3.6
    assert 2200 < kwh < 2450
    assert 285 < kwh * 0.1229 + steam * 92.0 < 330


@pytest.mark.parametrize("line", [1, 2, 3])
def test_aluminium_takes_a_plausible_energy(truth, column, line):
    energy = truth.values[-1] - truth.values[0]
    kwh = energy[column[f"xinfa/JQI-510{line}"]] / 3.6e6
    tonnes = energy[column[f"xinfa/WQI-510{line}"]] / 1e3
    assert 12_800 <= kwh / tonnes <= 13_200


def test_ammonia_takes_a_plausible_energy(truth, column):
    kwh = per_tonne(truth, column, "luxi", "JI-6002", "FI-6301") / 1e3
    coal = per_tonne(truth, column, "luxi", "WI-6001", "FI-6301") * 3.6
    steam = per_tonne(truth, column, "luxi", "FI-6003", "FI-6301") * 3.6
    assert 1350 < kwh * 0.1229 + coal * 714.3 + steam * 92.0 < 1410


def test_oxygen_in_the_chlorine_is_what_the_cells_make_beside_it(process, column, truth):
    """A header shows the mean efficiency of its cells, but for what leaves them dissolved."""
    cells, values = process.plant.cells, truth.values[0]
    for site in ("luxi", "xinfa", "huaxiang"):
        mine = [e for e, c in enumerate(cells.electrolysers) if c.oxygen == f"{site}/AI-1203"]
        current = values[cells.current_column[mine]]
        seen = cells.efficiency[mine] @ current / current.sum() + cells.dissolved[mine[0]]
        oxygen, hydrogen = (values[column[f"{site}/AI-{n}"]] for n in (1203, 1201))
        by_gas = 1 / (1 + 2 * oxygen / (1 - oxygen - hydrogen))
        assert by_gas == pytest.approx(seen, rel=1e-9)
        assert 0.01 < oxygen < 0.05
