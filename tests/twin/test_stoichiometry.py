"""Published demands of chlorine and hydrogen chloride (test case T-23), by the table of reactions.

A printed figure is met when it differs by no more than half a unit of its last digit.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.data import data_text
from twin import faraday
from twin.reference import figure, load
from twin.stoichiometry import compile_reactions, composition, molar_mass
from twin.uom import parse_quantity

TABLE = load("reactions")
NAMES = [*TABLE["reaction"], *TABLE["route"]]
# Route or reaction, species, kg per kg of product as printed (made > 0, used < 0).
PRINTED = [tuple(line.split(",")) for line in data_text("demands.csv").splitlines()]


def read_reactions(names):
    rows = TABLE["reaction"]
    return compile_reactions({n: (rows[n]["equation"], rows[n]["product"]) for n in names})


def chain(names, product, closed):
    """Return the masses of steps that pass the closed species on, per mass of their product."""
    steps = read_reactions(names)
    at = [steps.species.index(species) for species in (product, *closed)]
    target = np.eye(len(at))[0]
    extent, _, rank, _ = np.linalg.lstsq(steps.moles[:, at].T, target, rcond=None)
    assert rank == len(names)
    np.testing.assert_allclose(extent @ steps.moles[:, at], target, atol=1e-9)
    masses = np.where(np.abs(extent @ steps.moles) < 1e-9, 0, extent @ steps.mass)
    return dict(zip(steps.species, masses / steps.molar_mass[at[0]], strict=True))


def demand(name):
    """Return the masses of a route, or of a single reaction, per mass of its main product."""
    row = TABLE["route"].get(name)
    if row is None:
        return chain([name], TABLE["reaction"][name]["product"], [])
    return chain(row["reactions"], row["product"], [*row["closed"], *row["loop"]])


def normal_density(formula):
    """Return the density of an ideal gas at 0 °C and 101,325 Pa [kg/m³]."""
    return molar_mass(formula) / figure("constants.molar_gas_volume", "molar_volume")


def element_residual(reactions):
    """Return the atoms each reaction makes out of nothing, (R, E)."""
    atoms = [composition(species) for species in reactions.species]
    elements = sorted({element for counts in atoms for element in counts})
    return reactions.moles @ np.array([[counts.get(e, 0) for e in elements] for counts in atoms])


def half_a_digit(text):
    """Return half a unit of the last printed digit, and a little for binary fractions."""
    return 0.5000001 * 10.0 ** -len(text.partition(".")[2])


@pytest.mark.parametrize(("name", "species", "printed"), PRINTED)
def test_demand_per_product_is_the_printed_one(name, species, printed):
    assert demand(name)[species] == pytest.approx(float(printed), rel=0, abs=half_a_digit(printed))


@pytest.mark.parametrize(
    ("name", "species", "per", "printed"),
    [
        ("chlor-alkali", "NaOH", "Cl2", "1.12817"),
        ("chlor-alkali", "H2", "Cl2", "0.028430"),
        ("chlor-alkali", "NaCl", "Cl2", "-1.64846"),
        ("silane-hydrolysis", "HCl", "(CH3)2SiCl2", "-0.5650"),
        ("hydrogen-chloride-oxidation", "Cl2", "HCl", "-0.9724"),
        ("hydrogen-chloride-electrolysis", "Cl2", "HCl", "-0.9724"),
        ("urea", "CO2", "NH3", "1.292"),
        ("hypochlorite", "NaOH", "Cl2", "1.128"),
    ],
)
def test_ratio_of_two_species_of_a_reaction_is_the_printed_one(name, species, per, printed):
    ratio = demand(name)[species] / demand(name)[per]
    assert ratio == pytest.approx(float(printed), rel=0, abs=half_a_digit(printed))


def test_acid_of_31_percent_takes_the_printed_chlorine():
    assert -0.31 * demand("hydrogen-chloride-synthesis")["Cl2"] == pytest.approx(0.3014, abs=5e-5)


@pytest.mark.parametrize(
    ("name", "normal_cubic_metres"),
    [("chlor-alkali", 280.2), ("ammonia", 1974), ("hydrogen-peroxide", 659)],
)
def test_hydrogen_per_tonne_is_the_printed_normal_volume(name, normal_cubic_metres):
    volume = 1000 * abs(demand(name)["H2"]) / normal_density("H2")
    assert volume == pytest.approx(normal_cubic_metres, rel=1e-4)


@pytest.mark.parametrize(
    ("medium", "formula"),
    [("chlorine", "Cl2"), ("hydrogen", "H2"), ("hydrogen_chloride", "HCl"), ("ammonia", "NH3"),
     ("carbon_dioxide", "CO2")],
)  # fmt: skip
def test_densities_of_the_gases_in_the_table_are_those_of_their_molar_masses(medium, formula):
    table = parse_quantity(load("media")[medium]["normal_density"], "density")
    assert normal_density(formula) == pytest.approx(table, rel=2e-4)


@pytest.mark.parametrize("name", NAMES)
def test_mass_of_every_reaction_and_route_closes(name):
    assert sum(demand(name).values()) == pytest.approx(0, abs=1e-12)


def test_elements_of_every_reaction_close_exactly():
    residual = element_residual(read_reactions(list(TABLE["reaction"])))
    assert residual.shape[0] == len(TABLE["reaction"])
    assert not residual.any()


def test_a_forgotten_coefficient_shows_in_the_elements():
    reactions = compile_reactions({"burn": ("H2 + O2 -> H2O", "H2O")})
    # Elements in alphabetical order: hydrogen closes, one atom of oxygen is lost.
    assert element_residual(reactions).tolist() == [[0.0, -1.0]]


def test_methyl_chloride_of_the_silicone_loop_is_no_sink_of_chlorine():
    route = demand("organosilicon")
    assert "Cl2" not in route
    assert route["HCl"] == route["CH3Cl"] == route["(CH3)2SiCl2"] == 0


@pytest.mark.parametrize("name", [n for n, r in TABLE["route"].items() if r["loop"]])
def test_species_of_a_loop_neither_leave_nor_enter_the_route(name):
    assert [demand(name)[species] for species in TABLE["route"][name]["loop"]] == [0.0]


def test_open_loop_books_twice_what_the_closed_one_books_once():
    steps = TABLE["route"]["vinyl-chloride-balanced"]["reactions"]
    open_loop = chain([steps[0], steps[2]], "C2H3Cl", ["C2H4Cl2"])
    assert open_loop["HCl"] == pytest.approx(0.5834, abs=5e-5)
    assert open_loop["Cl2"] == pytest.approx(2 * demand("vinyl-chloride-balanced")["Cl2"])


def test_industrial_figures_lie_above_the_stoichiometric_ones():
    noted = {n: r["industrial"] for n, r in TABLE["route"].items() if "industrial" in r}
    assert noted
    for name, note in noted.items():
        low, high = (parse_quantity(note[end], "fraction") for end in ("low", "high"))
        assert -demand(name)[note["species"]] < low < high
        assert (note["confidence"], note["verified"]) == ("M", False)


@pytest.mark.parametrize(
    ("formula", "atoms"),
    [
        ("Ca(OH)2", {"Ca": 1, "O": 2, "H": 2}),
        ("CO(NH2)2", {"C": 1, "O": 1, "N": 2, "H": 4}),
        ("(CH3)2SiCl2", {"C": 2, "H": 6, "Si": 1, "Cl": 2}),
        ("Al2(SiO3(OH)2)3", {"Al": 2, "Si": 3, "O": 15, "H": 6}),
        ("C3H5ClO", {"C": 3, "H": 5, "Cl": 1, "O": 1}),
    ],
)
def test_formula_is_read_with_its_parentheses(formula, atoms):
    assert composition(formula) == atoms


@pytest.mark.parametrize("formula", ["", "2H", "Ca(OH", "OH)2", "h2", "()", "H-", "Na Cl", "(2)"])
def test_what_is_not_a_formula_is_refused(formula):
    with pytest.raises(ValueError, match="not a chemical formula"):
        composition(formula)


@pytest.mark.parametrize("equation", ["H2 + Cl2", "H2 -> -> HCl", "H2 Cl2 -> 2 HCl", "C -> CO"])
def test_equation_that_says_nothing_of_its_product_is_refused(equation):
    with pytest.raises(ValueError, match=r"equation|make"):
        compile_reactions({"it": (equation, "HCl")})


def test_an_unknown_element_is_refused():
    with pytest.raises(ValueError, match="atomic weight"):
        molar_mass("Xx2")


def test_molar_masses_are_those_of_the_published_values():
    masses = {"NaOH": 39.99711, "Cl2": 70.906, "H2": 2.01588, "Al": 26.9815385}
    for formula, grams in masses.items():
        assert molar_mass(formula) * 1000 == pytest.approx(grams, rel=1e-7)
    assert faraday.FARADAY == 96485.33212


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from(["H", "C", "O", "Cl", "Na"]), min_size=1, max_size=5),
       st.integers(2, 9))  # fmt: skip
def test_molar_mass_of_a_repeated_group_is_that_of_the_group_times_its_count(group, count):
    inner = "".join(group)
    assert molar_mass(f"({inner}){count}") == pytest.approx(count * molar_mass(inner))
    assert molar_mass(f"{inner}Ca") == pytest.approx(molar_mass(inner) + molar_mass("Ca"))
