"""One step of a large park."""

import time

import numpy as np

from tests.support.series import series
from twin import quality as q
from twin.accounts.network import compile_network
from twin.arrays import NEVER
from twin.loading import parse_park
from twin.series.image import Image
from twin.series.minutes import aggregate, no_open_minutes
from twin.series.samples import Samples
from twin.step import no_memory, step
from twin.validation.assess import assess, no_state
from twin.validation.rules import compile_limits

TAGS, STREAMS, NODES = 10_000, 1_000, 300


def large_park():
    """Return a park of 10 enterprises, 300 nodes, 1,000 streams and 10,000 tags."""
    lines = [
        '[park]\nid = "big"\nkind = "park"\nname = {zh = "大", en = "Big"}\ntimezone = "UTC"\n'
    ]
    lines += [
        f'[[scope]]\nid = "big/e{e}"\nkind = "enterprise"\nname = {{zh = "e", en = "e"}}\n'
        for e in range(10)
    ]
    nodes = [f"big/e{n % 10}/n{n}" for n in range(NODES)]
    lines += [
        f'[[scope]]\nid = "{n}"\nkind = "plant"\nname = {{zh = "n", en = "n"}}\n' for n in nodes
    ]
    for s in range(STREAMS):
        origin, to = nodes[s % NODES], nodes[(s * 7 + 11 + s // NODES) % NODES]
        to = to if to != origin else "market"
        lines.append(
            f'[[stream]]\nid = "s{s}"\nfrom = "{origin}"\nto = "{to}"\nmedium = "chlorine"\n'
            f'mode = "pipe"\nflow = "e{s % 10}/FT-{s}"\n'
        )
    for t in range(100):
        lines.append(
            f'[[tank]]\nid = "V-{t}"\nscope = "{nodes[t]}"\nmedium = "liquid_chlorine"\n'
            f'level = "e{(STREAMS + t) % 10}/LT-{STREAMS + t}"\nshape = "horizontal_cylinder"\n'
            'diameter = "3 m"\nlength = "16 m"\ndensity = "1425 kg/m^3"\n'
        )
    rows = ["tag,scope,quantity,uom,kind,low,high,sigma,description"]
    for t in range(TAGS):
        kind = ("FT", "mass_flow", "t/h") if t < STREAMS else ("LT", "level", "m")
        if t >= STREAMS + 100:
            kind = ("TT", "temperature", "degC")
        rows.append(f"{kind[0]}-{t},big/e{t % 10},{kind[1]},{kind[2]},gauge,,,1 %,x")
    return parse_park({"park.toml": "\n".join(lines), "tags.csv": "\n".join(rows)})


def best_of(function, times=30):
    """Return the shortest and the median time of a call [ms]."""
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        function()
        spent.append((time.perf_counter() - began) * 1000)
    return min(spent), float(np.median(spent))


def bench_step(report):
    network = compile_network(large_park())
    count = len(network.tags)
    rng = np.random.default_rng(1)
    value = rng.uniform(0.5, 2.0, count)
    now = 10**15 + 890 * 10**6
    times = np.full(count, now)
    image = Image(times, value, value, np.zeros(count, np.uint8), times)
    memory = no_memory(network)
    for second in range(0, 900, 10):
        memory = step(network, memory, image, 10**15 + second * 10**6).memory
    shortest, median = best_of(lambda: step(network, memory, image, now))
    outcome = step(network, memory, image, now)
    assert len(outcome.value) > 200
    assert (outcome.quality == q.GOOD).any()
    bare, _ = best_of(lambda: value[network.entry_tag] * network.entry_factor)
    report(f"step, {count:,} tags, {STREAMS:,} streams, {NODES} nodes", f"{median:.2f} ms",
           f"{shortest / bare:.0f} × its bare gather and multiply", "goal 10 ms")  # fmt: skip


def bench_aggregate(report):
    tags, per_tag = 10_000, 10
    traits = series("gauge", tags=tags)
    tag = np.repeat(np.arange(tags), per_tag)
    rng = np.random.default_rng(1)
    value, quality = rng.uniform(0, 1, len(tag)), np.zeros(len(tag), np.uint8)
    open_minutes = no_open_minutes(tags)
    base = [10**15]

    def once():
        time_us = np.tile(np.arange(per_tag) * 50_000, tags) + base[0]
        base[0] += 500_000
        aggregate(open_minutes, traits, Samples(tag, time_us, value, quality, time_us), NEVER)

    _, median = best_of(once, 15)
    bare, _ = best_of(lambda: np.bincount(tag, value, tags))
    report("aggregation of 100,000 samples of 10,000 tags into minutes", f"{median:.0f} ms",
           f"{median / bare:.0f} × bare bincount")  # fmt: skip


def bench_assess(report):
    tags, per_tag, park = 1_000, 100, large_park()
    limits = compile_limits((), park.tags)
    tag = np.repeat(np.arange(tags), per_tag)
    rng, state, blocks = np.random.default_rng(1), no_state(len(park.tags)), []

    def block(number, factor=1.0):
        time_us = np.tile(np.arange(per_tag) * 500_000, tags) + 10**15 + number * 50_000_000
        value = factor * (10.0 + 0.05 * rng.normal(size=len(tag)))
        return Samples(tag, time_us, value, np.zeros(len(tag), np.uint8), time_us)

    for number in range(40):
        blocks.append(block(number))
        state = assess(limits, state, blocks[-1]).state
    calm, wrong = block(40), block(40, 1000.0)
    assert not assess(limits, state, calm).quality.any()
    assert (assess(limits, state, wrong).quality == q.UNCERTAIN | q.UNIT_ERROR).all()
    bare, _ = best_of(lambda: np.lexsort((calm.time_us, calm.tag)))
    for name, samples in (("calm", calm), ("all in another unit", wrong)):
        shortest, median = best_of(lambda s=samples: assess(limits, state, s))
        report(f"assessment of 100,000 samples of 1,000 tags, {name}", f"{median * 1000:,.0f} µs",
               f"{shortest / bare:.1f} × sorting them")  # fmt: skip
