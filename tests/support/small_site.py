"""A site with a caustic and a PVC plant and a power plant, and meters of electricity."""

import numpy as np

from twin.accounts.network import compile_network, tally
from twin.loading import parse_park

SITE = "r/site"
POWER, CAUSTIC, CELLS, PVC = (f"{SITE}/{n}" for n in ("power", "caustic", "caustic/cells", "pvc"))
KINDS = {
    SITE: "enterprise",
    POWER: "plant",
    CAUSTIC: "plant",
    CELLS: "unit",
    PVC: "plant",
}
HEADER = "tag,scope,quantity,uom,kind,low,high,sigma,description\n"


def meter(tag, scope, carrier="electricity", **columns):
    """Return a meter row; a list or a text by column."""
    cells = {"tag": f"site/{tag}", "scope": scope, "carrier": carrier, "id": tag, **columns}
    lines = [f"{key} = {value!r}".replace("'", '"') for key, value in cells.items()]
    return "[[meter]]\n" + "\n".join(lines) + "\n"


def site_files(*meters, sigma="0.5 %", more="", products=("caustic", "pvc")):
    """Return the files of a park with some meters; their tags are gauges of power in MW."""
    toml = '[park]\nid = "r"\nkind = "park"\nname = {zh = "r", en = "r"}\n'
    toml += 'timezone = "Asia/Shanghai"\n'
    for path, kind in KINDS.items():
        toml += f'[[scope]]\nid = "{path}"\nkind = "{kind}"\nname = {{zh = "a", en = "a"}}\n'
    for product in products:
        toml += f'[[product]]\nid = "{product}"\nscope = "{SITE}/{product}"\n'
        toml += f'tag = "site/W-{product}"\n'
    csv = HEADER
    csv += "".join(f"W-{p},{SITE}/{p},mass_flow,t/h,gauge,0,500,,\n" for p in products)
    for text in meters:
        tag = text.partition("site/")[2].partition('"')[0]
        csv += f"{tag},{SITE},power,MW,gauge,0,500,{sigma},\n"
    return {"park.toml": toml + "".join(meters) + more, "tags.csv": csv}


def site(*meters, **more):
    """Return the network of a park with some meters."""
    return compile_network(parse_park(site_files(*meters, **more)))


def figures(network, item, **mw):
    """Return an item of the accounts by scope and subject, of powers in MW by tag."""
    amount = np.full(len(network.tags), np.nan)
    for tag, value in mw.items():
        amount[network.index[f"site/{tag}"]] = value
    totals = tally(network, amount)
    return {
        (account.scope, account.subject): float(totals[at])
        for account, at in network.accounts.items()
        if account.item == item
    }


def total(network, scope, **mw):
    """Return all electricity of a scope in MW."""
    return figures(network, "electricity", **mw)[scope, "total"]
