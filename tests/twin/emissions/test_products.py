"""Carbon footprints of products: captive power, co-products and plants that feed each other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.accounts.network import compile_network
from twin.emissions.products import compile_products, product_footprint
from twin.loading import load_park, parse_park

TAGS = """tag,scope,quantity,uom,kind,low,high,sigma,description
WI-1,p/e/power,mass_flow,kg/s,gauge,,,1 %,coal
JI-1,p/e/power,power,MW,gauge,,,1 %,power made
JI-2,p/e/caustic,power,MW,gauge,,,1 %,power of the cells
JI-3,p/e/vcm,power,MW,gauge,,,1 %,power of VCM
FI-1,p/e/caustic,mass_flow,kg/s,gauge,,,1 %,caustic made
FI-2,p/e/caustic,mass_flow,kg/s,gauge,,,1 %,chlorine to hydrogen chloride
FI-3,p/e/caustic,mass_flow,kg/s,gauge,,,1 %,chlorine sold
FI-4,p/e/hcl,mass_flow,kg/s,gauge,,,1 %,hydrogen chloride to VCM
FI-5,p/e/vcm,mass_flow,kg/s,gauge,,,1 %,VCM made
FI-6,p/e/caustic,mass_flow,kg/s,gauge,,,1 %,hydrogen vented
WI-2,p/e/vcm,mass_flow,kg/s,gauge,,,1 %,limestone
"""
SCOPES = {"p": "park", "p/e": "enterprise"} | dict.fromkeys(
    ["p/e/power", "p/e/caustic", "p/e/hcl", "p/e/vcm"], "plant"
)
METERS = [
    ("power", "coal", "WI-1", "in"),
    ("power", "electricity", "JI-1", "out"),
    ("caustic", "electricity", "JI-2", "in"),
    ("vcm", "electricity", "JI-3", "in"),
]
STREAMS = [("p/e/caustic", "p/e/hcl", "chlorine", "pipe", "FI-2"),
           ("p/e/caustic", "market", "chlorine", "road", "FI-3"),
           ("p/e/hcl", "p/e/vcm", "hydrogen_chloride", "pipe", "FI-4"),
           ("p/e/caustic", "atmosphere", "hydrogen", "vent", "FI-6"),
           ("market", "p/e/caustic", "salt", "rail", "")]  # fmt: skip


def table(header, **cells):
    lines = [f'{key} = "{value}"' for key, value in cells.items() if value]
    return "\n".join([f"[[{header}]]", *lines, ""])


def model():
    name = 'name = {zh = "园", en = "p"}'
    parts = [f'[park]\nid = "p"\nkind = "park"\ntimezone = "Asia/Shanghai"\n{name}\n']
    parts += [
        table("scope", id=path, kind=kind) + name + "\n"
        for path, kind in SCOPES.items()
        if path != "p"
    ]
    parts += [
        table("meter", scope=f"p/e/{plant}", carrier=carrier, tag=f"e/{tag}", direction=way)
        for plant, carrier, tag, way in METERS
    ]
    parts += [
        table("stream", **{"from": origin}, id=f"s{n}", to=to, medium=medium, mode=mode,
              flow=flow and f"e/{flow}")
        for n, (origin, to, medium, mode, flow) in enumerate(STREAMS)
    ]  # fmt: skip
    parts += [
        table("product", id="caustic", scope="p/e/caustic", tag="e/FI-1"),
        table("product", id="vcm", scope="p/e/vcm", tag="e/FI-5"),
        table("carbon", id="kiln", scope="p/e/vcm", tag="e/WI-2", material="limestone"),
    ]
    return {"park.toml": "\n".join(parts), "tags.csv": TAGS}


NETWORK = compile_network(parse_park(model()))
USUAL = {"WI-1": 10.0, "JI-1": 50e6, "JI-2": 60e6, "JI-3": 5e6, "FI-1": 4.0, "FI-2": 3.0,
         "FI-3": 0.5, "FI-4": 1.5, "FI-5": 2.0, "FI-6": 0.1, "WI-2": 0.2}  # fmt: skip
GRID, COAL, LIME = 0.5 / 3.6e6, 1.9804, 0.43971
FACTORS = {"electricity": np.array([GRID]), "heat": np.array([0.11 / 1e6])}


def amounts(**changed):
    values = USUAL | {name.replace("_", "-"): value for name, value in changed.items()}
    result = np.full((1, len(NETWORK.tags)), np.nan)
    for name, value in values.items():
        result[0, NETWORK.index[f"e/{name}"]] = value
    return result


def footprints(boundary="p/e", **changed):
    """Return the footprint of each product in one window."""
    system = compile_products(NETWORK, boundary)
    return {
        product: product_footprint(system, node, amounts(**changed), FACTORS)
        for product, node in system.products
    }


def near(value, rel=1e-4):
    return pytest.approx(value, rel=rel)


def test_captive_power_caustic_and_what_is_made_of_its_chlorine_share_by_mass():
    result = footprints()
    # 10 kg/s of coal make 50 MW; 15 MW are bought.
    power = (10 * COAL + 15e6 * GRID) / 65e6
    caustic = 60e6 * power / (4 + 3 + 0.5)
    assert result["caustic"].value == near(caustic)
    assert (result["caustic"].direct, result["caustic"].materials) == (0.0, 0.0)
    # Of 3 kg/s of chlorine 1.5 kg/s of hydrogen chloride have a meter: they carry half of it.
    vcm = result["vcm"]
    assert vcm.materials == near(1.5 * caustic / 2)
    assert vcm.energy == near(5e6 * power / 2)
    assert vcm.direct == near(0.2 * LIME / 2)
    assert vcm.value == near(float(vcm.materials[0] + vcm.energy[0] + vcm.direct[0]), 1e-9)


def test_power_that_is_sold_takes_its_emission_along():
    # 80 MW are made, 65 MW used.
    power = 10 * COAL / 80e6
    assert footprints(JI_1=80e6)["caustic"].value == near(60e6 * power / 7.5)


def test_outside_of_its_boundary_a_plant_buys_from_the_grid_and_materials_are_not_counted():
    result = footprints("p/e/vcm")["vcm"]
    assert result.value == near((5e6 * GRID + 0.2 * LIME) / 2)
    assert compile_products(NETWORK, "p/e/vcm").brought_in == ("hydrogen_chloride",)
    assert compile_products(NETWORK, "p/e").brought_in == ("salt",)


def test_what_leaves_carries_all_that_was_emitted_and_bought():
    result = footprints(FI_4=3.0)
    leaves = (4 + 0.5) * result["caustic"].value + 2 * result["vcm"].value
    assert leaves == near(10 * COAL + 15e6 * GRID + 0.2 * LIME)


@pytest.mark.parametrize("missing", ["WI-1", "JI-1", "JI-2", "FI-1", "FI-2"])
def test_a_footprint_is_unknown_without_a_meter_it_rests_on(missing):
    result = footprints(**{missing: np.nan})
    assert np.isnan(result["caustic"].value).all()


def test_a_meter_of_another_plant_is_not_missed():
    assert footprints(FI_5=np.nan, WI_2=np.nan)["caustic"].value > 0


def test_a_plant_that_stands_still_has_no_footprint_and_spoils_no_other():
    result = footprints(FI_1=0.0, FI_2=0.0, FI_3=0.0, FI_4=0.0)
    assert np.isnan(result["caustic"].value).all()
    assert result["vcm"].materials == 0.0
    assert result["vcm"].value > 0


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(sorted(USUAL)), st.floats(0.3, 3.0))
def test_weights_are_the_derivatives_by_each_meter(name, scale):
    base = USUAL | {name: USUAL[name] * scale}
    step = 1e-4 * base[name]
    at = NETWORK.index[f"e/{name}"]
    middle, higher, lower = (footprints(**base | {name: base[name] + d}) for d in (0, step, -step))
    for product, result in middle.items():
        slope = (higher[product].value - lower[product].value) / (2 * step)
        expected = result.weight[0, at]
        assert slope[0] == pytest.approx(expected, rel=1e-5, abs=1e-9 * result.value[0] / step)


def test_carbon_dioxide_for_urea_is_taken_off_ammonia_and_bound_again():
    network = compile_network(load_park("deploy/parks/liaocheng"))
    system = compile_products(network, "liaocheng")
    nodes = dict(system.products)
    plant = system.nodes[nodes["urea"]]
    own = [t for t in system.terms if t.row == nodes["urea"] and t.column < 0 and not t.bought]
    total = np.sum([t.weight for t in own], axis=0)
    received, made = (network.index[f"luxi/{tag}"] for tag in ("FI-6105", "WI-6501"))
    assert plant == "liaocheng/gaoxin/luxi/urea"
    assert np.flatnonzero(total).tolist() == sorted([received, made])
    assert total[received] > 0
    assert total[made] == near(-12.011 / 60.056 * 44 / 12)
