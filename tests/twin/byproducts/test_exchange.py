"""The surplus of by-products and the ways to their users, as a park model tells them."""

import numpy as np
import pytest

from tests.support.small_region import (
    BETA,
    CELLS,
    MCL,
    PARK_TOML,
    STORE,
    T_PER_H,
    TAGS_CSV,
    VCM,
    problems_of,
)
from twin.accounts.network import compile_network
from twin.byproducts.allocation import allocate
from twin.byproducts.exchange import Link, Sink, compile_exchange, modes, offered, surplus_rate
from twin.loading import load_park, parse_park

CO2 = "carbon_dioxide"
TAGS = (
    TAGS_CSV
    + f"""FT-20,{MCL},mass_flow,t/h,gauge,0,100,1 %,carbon dioxide in
FT-21,{MCL},mass_flow,t/h,gauge,0,100,1 %,carbon dioxide used
"""
)


def table(name, **cells):
    return f"[[{name}]]\n" + "".join(
        f"{key.rstrip('_')} = {value!r}\n".replace("'", '"') for key, value in cells.items()
    )


def co2(name, origin, to, **more):
    mode = "vent" if to == "atmosphere" else "pipe"
    return table("stream", id=name, from_=origin, to=to, medium=CO2, mode=mode, **more)


GAS = (
    co2("co2-in", "market", MCL, flow="beta/FT-20")
    + co2("co2-used", MCL, STORE, flow="beta/FT-21")
    + co2("co2-vent", MCL, "atmosphere")
)
OFFERS = (
    table("byproduct", id="hydrogen", scope=CELLS, medium="hydrogen", stream="h2-vent")
    + table("byproduct", id="acid", scope=VCM, medium="hydrochloric_acid_31")
    + table("byproduct", id="co2", scope=MCL, medium=CO2, stream="co2-vent")
)
SINKS = (
    table("sink", id="h2-beta", scope=BETA, medium="hydrogen", capacity="20 kg/h",
          value="6000 CNY/t")
    + table("sink", id="h2-vcm", scope=VCM, medium="hydrogen", capacity="1 t/h")
    + table("sink", id="co2-market", scope="market", medium=CO2, capacity="inf t/h")
)  # fmt: skip
LINKS = (
    table("link", id="h2-pipe", from_=CELLS, to=BETA, medium="hydrogen", mode="pipe",
          capacity="1 t/h", distance="10 km")
    + table("link", id="h2-road", from_=CELLS, to=VCM, medium="hydrogen", mode="road",
            capacity="5 kg/h", cost="90 CNY/t")
    + table("link", id="co2-road", from_=MCL, to="market", medium=CO2, mode="road",
            capacity="3 t/h", distance="100 km")
)  # fmt: skip
TOML = PARK_TOML + GAS + OFFERS + SINKS + LINKS


def network(toml=TOML):
    return compile_network(parse_park({"park.toml": toml, "tags.csv": TAGS}))


def rates(net, exchange, **values):
    """Return the rates of an exchange's tags from values by tag name, NaN for the others."""
    return np.array([values.get(net.tags[t].tag.replace("-", ""), np.nan) for t in exchange.tags])


def test_media_on_offer_are_those_of_the_by_products_inside_the_scope():
    park = network().park
    assert offered(park, "r") == ("hydrogen", "hydrochloric_acid_31", CO2)
    assert offered(park, "r/west") == (CO2,)
    assert offered(park, CELLS + "/none") == ()


def test_vented_gas_is_counted_as_mass_by_its_normal_density():
    net = network()
    exchange = compile_exchange(net, "r", "hydrogen")
    assert [s.basis for s in exchange.sources] == ["metered"]
    result = surplus_rate(exchange, rates(net, exchange, FT6=0.1))
    assert result.tolist() == [pytest.approx(0.1 * 0.08994)]


def test_by_product_without_a_stream_is_all_that_leaves_and_is_counted_whole():
    # The acid, not the hydrogen chloride in it.
    net = network()
    exchange = compile_exchange(net, "r", "hydrochloric_acid_31")
    assert [s.byproducts for s in exchange.sources] == [("acid",)]
    assert surplus_rate(exchange, rates(net, exchange, FT7=2.0)).tolist() == [2.0]
    assert (exchange.sinks, exchange.link_rows) == ((), ())


def test_by_product_without_a_meter_is_what_the_balance_of_its_place_leaves():
    net = network()
    exchange = compile_exchange(net, "r", CO2)
    assert [s.basis for s in exchange.sources] == ["balance"]
    rate = np.stack([rates(net, exchange, FT20=5.0, FT21=3.0),
                     rates(net, exchange, FT20=3.0, FT21=5.0),
                     rates(net, exchange, FT20=3.0)])  # fmt: skip
    np.testing.assert_allclose(surplus_rate(exchange, rate), [[2.0], [0.0], [np.nan]])


@pytest.mark.parametrize(
    "more",
    [
        co2("co2-leak", STORE, MCL),
        table("tank", id="V-9", scope=MCL, medium=CO2, mass="alpha/WT-1"),
    ],
)
def test_balance_with_two_open_ends_or_a_tank_tells_no_surplus(more):
    net = network(TOML + more)
    exchange = compile_exchange(net, "r", CO2)
    assert [s.basis for s in exchange.sources] == ["unknown"]
    assert (
        np.isnan(surplus_rate(exchange, np.zeros((4, len(exchange.tags))))).tolist() == [[True]] * 4
    )


def test_surplus_of_a_scope_may_go_to_its_neighbour():
    net = network()
    exchange = compile_exchange(net, "r/east", "hydrogen")
    assert {row.id for row in exchange.sinks} == {"h2-beta", "h2-vcm"}
    assert compile_exchange(net, "r/west", "hydrogen").sources == ()
    # Its own cost where the link has one; else that of the mode over the distance, 0.1 CNY/t/km.
    np.testing.assert_allclose(exchange.cost * 1000, [1.0, 90.0])
    np.testing.assert_allclose(exchange.value * 1000, [6000.0, 0.0])


def test_hydrogen_fills_the_best_sink_and_then_what_the_road_can_take():
    net = network()
    exchange = compile_exchange(net, "r", "hydrogen")
    supply = surplus_rate(exchange, rates(net, exchange, FT6=0.1))
    result = allocate(
        supply, exchange.demand, exchange.value, exchange.links, exchange.cost, len(modes())
    )
    kg_per_h = T_PER_H / 1000
    np.testing.assert_allclose(result.flow / kg_per_h, [20.0, 5.0], rtol=1e-6)
    assert result.unplaced[0] / kg_per_h == pytest.approx(0.1 * 0.08994 * 3600 - 25, rel=1e-6)
    np.testing.assert_allclose(result.sink_relief, [1.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(result.link_relief, [0.0, 1.0], atol=1e-6)
    # The road says what it costs but not how long it is.
    assert np.isnan(result.work[modes().index("road")])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (table("sink", id="again", scope=BETA, medium="hydrogen", capacity="1 t/h"), "already"),
        (table("sink", id="odd", scope=MCL, medium="hydrogen", capacity="nan t/h"), "0 or more"),
        (table("byproduct", id="x", scope=CELLS, medium="hydrogen", stream="gone"), "nothing"),
        (table("byproduct", id="x", scope=CELLS, medium="hydrogen", stream="acid"), "carries"),
        (table("link", id="x", from_=CELLS, to=BETA, medium="hydrogen", mode="pipe",
               capacity="1 t/h"), "needs a distance or a cost"),
        (table("link", id="x", from_=CELLS, to=CELLS, medium="hydrogen", mode="pipe",
               capacity="1 t/h", distance="-1 km"), "the same"),
        (table("link", id="x", from_=STORE, to=BETA, medium="hydrogen", mode="pipe",
               capacity="1 t/h", distance="1 km"), "offers no hydrogen"),
        (table("link", id="x", from_=CELLS, to=STORE, medium="hydrogen", mode="pipe",
               capacity="1 t/h", distance="1 km"), "no sink for hydrogen"),
    ],
)  # fmt: skip
def test_wrong_links_sinks_and_by_products_are_problems_with_their_line(more, words):
    lines = TOML.count("\n")
    problems = problems_of(TOML + more, TAGS)
    assert all(problem.startswith(f"park.toml:{lines + 1}:") for problem in problems)
    assert any(words in problem for problem in problems)


def test_demonstration_park_places_by_products_and_calls_its_figures_illustrative():
    net = compile_network(load_park("deploy/parks/liaocheng"))
    rows = [*net.park.rows(Link), *net.park.rows(Sink)]
    assert rows
    assert {row.note for row in rows} == {"illustrative"}
    media = offered(net.park, net.park.id)
    assert set(media) == {"hydrogen", "hydrochloric_acid_31", CO2}
    for medium in media:
        exchange = compile_exchange(net, net.park.id, medium)
        middle = [(net.tags[t].low + net.tags[t].high) / 2 for t in exchange.tags]
        supply = surplus_rate(exchange, np.array(middle))
        result = allocate(
            supply, exchange.demand, exchange.value, exchange.links, exchange.cost, len(modes())
        )
        assert result.reason == ""
        assert 0 < result.placed <= supply.sum() * (1 + 1e-9)
        assert result.placed + result.unplaced.sum() == pytest.approx(supply.sum())
        parks = {s.scope.split("/")[1] for s in exchange.sources}
        ends = {row.scope.split("/")[1] for row in exchange.sinks if "/" in row.scope}
        assert len(parks | ends) == 3
