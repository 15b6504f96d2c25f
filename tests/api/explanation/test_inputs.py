"""What a derived tag is calculated of, down to what is measured."""

from api.explanation.inputs import made_of
from tests.support.small_totals import FILES
from tests.support.walked_parks import WORKS
from twin.accounts.network import compile_network
from twin.loading import parse_park
from twin.margins import compile_margins

PERMITTED = compile_network(parse_park(FILES | {"park.toml": FILES["park.toml"].replace(
    'outlet = "vent"\npollutant = "VOC"', 'outlet = "vent"\npollutant = "SO2"')}))  # fmt: skip


def measured_of(network, address):
    """Return the measured tags at the ends of what a derived tag is made of."""
    tag = network.tags[network.index[address]] if address in network.index else None
    if tag is not None and tag.source != "derived":
        return {address}
    return {end for part in made_of(network, address) for end in measured_of(network, part)}


def test_every_margin_leads_to_measured_tags():
    for network in (WORKS.network, PERMITTED):
        margins = compile_margins(network).tags
        assert margins
        for tag in margins:
            assert measured_of(network, tag.address), tag.address


def test_margin_of_a_tank_farm_follows_from_its_levels_and_flows():
    kinds = {each.kind: each.tag.address for each in compile_margins(WORKS.network).items}
    # The other tank is a spare one.
    assert {*made_of(WORKS.network, kinds["headroom"])} == {"acme/LT-1"}
