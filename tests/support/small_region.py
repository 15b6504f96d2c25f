"""A small region, made by hand so that every balance can be checked by hand.

Two parks: alpha makes chlorine in the east and sells a part of it to beta in the west.
PYTEST_DONT_REWRITE: tests import it by name.
"""

import pytest

from tests.support.data import data_text
from twin.accounts.network import compile_network
from twin.errors import ModelError
from twin.loading import parse_park


def scope(path, kind):
    return f'[[scope]]\nid = "{path}"\nkind = "{kind}"\nname = {{zh = "示例", en = "Demo"}}\n'


ALPHA = "r/east/alpha"
CAUSTIC = ALPHA + "/caustic"
CELLS, STORE, VCM = CAUSTIC + "/cells", CAUSTIC + "/store", ALPHA + "/vcm"
BETA = "r/west/beta"
MCL = BETA + "/mcl"

PARK_TOML = data_text("region/park.toml")
TAGS_CSV = data_text("region/tags.csv")

HEAD = PARK_TOML.partition("[[")[0]
HEADER = TAGS_CSV.partition("\n")[0] + "\n"
PARK = parse_park({"park.toml": PARK_TOML, "tags.csv": TAGS_CSV})
NETWORK = compile_network(PARK)
T_PER_H = 1000 / 3600  # kg/s

SMALLEST = data_text("tiny/park.toml")


def problems_of(toml, csv=TAGS_CSV):
    """Return what is wrong with a model that does not load."""
    with pytest.raises(ModelError) as caught:
        parse_park({"park.toml": toml, "tags.csv": csv})
    assert caught.value.hint
    return list(caught.value.problems)
