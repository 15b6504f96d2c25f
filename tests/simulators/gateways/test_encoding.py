"""Messages in every format: values to the last bit, packets of data loggers, edge nodes."""

import json

import numpy as np

from ingest.routing.topics import Message, TopicTable
from ingest.wire import hj212, sparkplug
from simulators.gateways import encoding
from simulators.gateways.encoding import PART_CHARACTERS, encode
from simulators.gateways.gateways import FORMATS, make_gateways, with_gateways
from simulators.instruments import observe
from tests.support.demo_park import PARK as LIAOCHENG
from tests.support.memory_store import MemoryStore, started
from tests.support.playback import play
from tests.support.small_gateways import BEGIN, COUNT, SEED, S, event, gateway, plain
from tests.support.small_region import PARK
from twin import quality as q


def test_float_that_is_written_is_the_float_that_is_read():
    """All formats, to the last bit, with a value that is missing; also times of milliseconds."""
    rng = np.random.default_rng(SEED)
    times = BEGIN + np.arange(3) * 1_250_000
    values = rng.standard_normal((3, COUNT)) * 10.0 ** rng.integers(-9, 9, (3, COUNT))
    values[1, 2] = np.nan
    for form in FORMATS:
        if form == "sparkplug":
            continue
        carrier = gateway(usual=form)
        topics, message = route_of(carrier, encode(carrier, times, values))
        route = topics.route(message.topic)
        decoded = route.codec(message.payload, message.received_us)
        at = [t for count, t in decoded.runs for _ in range(count)]
        got = {(t, route.names[n]): v for t, n, v in
               zip(at, decoded.names, decoded.values, strict=True)}  # fmt: skip
        want = {(int(t), c): values[i, c] for i, t in enumerate(times) for c in range(COUNT)
                if not np.isnan(values[i, c])}  # fmt: skip
        assert got == want, form
        assert not decoded.refused
        assert route.simulated or form == "native"


def route_of(carrier, payload):
    """Return the topics of a model that knows a gateway, and a message of it."""
    park = with_gateways(PARK, [carrier])
    return TopicTable(park, park.tags), Message(carrier.topic, payload, BEGIN, 0, 0, 0)


def test_data_logger_splits_what_is_longer_than_the_standard_allows():
    gateways = make_gateways(LIAOCHENG, usual="hj212")
    values = np.full((1, len(LIAOCHENG.tags)), 1234.5)
    for carrier in gateways:
        packets = hj212.Framer().feed(encode(carrier, np.array([BEGIN]), values))
        assert len(packets) > 1
        assert {p.pnum for p in packets} == {len(packets)}
        assert [p.pno for p in packets] == list(range(1, len(packets) + 1))
        assert all(len(hj212.encode(p)) < 1024 + 12 for p in packets)
        assert all(len(p.cp) < PART_CHARACTERS + 60 for p in packets)
        assert {p.mn for p in packets} == {carrier.row["mn"]}
        assert not any(p.wants_answer for p in packets)
    (asking,) = {p.wants_answer for g in make_gateways(LIAOCHENG, usual="hj212-tcp")
                 for p in hj212.Framer().feed(encode(g, np.array([BEGIN]), values))}  # fmt: skip
    assert asking


def test_message_of_a_gateway_with_a_wrong_clock_says_the_wrong_time():
    carrier = gateway(event("skew", 0, 60, 7.0))
    sent = [*play([carrier], plain, BEGIN + np.arange(3) * 2 * S, 2 * S, SEED)]
    assert [at - BEGIN for at, _, _ in sent] == [0, 2 * S, 4 * S]
    scans = [json.loads(payload) for _, _, payload in sent]
    assert [scan["ts"] * 1000 - BEGIN for scan in scans] == [7 * S, 9 * S, 11 * S]
    assert [scan["values"]["II-1"] for scan in scans] == plain(BEGIN + np.arange(3) * 2 * S)[
        :, 0
    ].tolist()


async def test_edge_node_that_was_cut_off_is_dead_until_its_birth_and_loses_nothing():
    carrier = gateway(event("outage", 101, 201), usual="sparkplug")
    times = BEGIN + np.arange(60) * 10 * S
    store = MemoryStore()
    cycle = await started(with_gateways(PARK, [carrier]), store, BEGIN)
    kinds = []
    for at, topic, payload in play([carrier], plain, times, 10 * S, SEED):
        kinds.append(topic.split("/")[2])
        await cycle.run([Message(topic, payload, at, 0, 0, 0)], at)
    assert (kinds.count("NBIRTH"), kinds.count("NDEATH"), kinds.count("NDATA")) == (2, 1, 60)
    metrics = [sparkplug.decode(p).metrics for _, t, p in
               play([carrier], plain, times, 10 * S, SEED) if "/NDATA/" in t]  # fmt: skip
    assert [all(m.historical for m in each) for each in metrics] == [
        110 <= 10 * n <= 200 for n in range(60)
    ]
    at = 0
    result = {time_us - BEGIN: row[:2] for time_us, row in store.sample[at].items()}
    death = result.pop(101 * S)
    assert np.isnan(death[0])
    assert death[1] == q.NO_DATA | q.SIMULATED
    assert sorted(result) == (times - BEGIN).tolist()
    # Made up numbers, some of them far out of the range of the tag.
    assert {code for _, code in result.values()} <= {q.SIMULATED, q.SIMULATED | 65,
                                                     q.SIMULATED | 129}  # fmt: skip
    assert (cycle.counters["corrections"], cycle.counters["rejected.no_birth"]) == (0, 0)


async def test_gateway_that_died_silently_sends_no_death_and_its_tags_just_end():
    for form in ("native", "sparkplug"):
        carrier = gateway(event("silence", 100, 1e9), usual=form)
        sent = [*play([carrier], plain, BEGIN + np.arange(60) * 10 * S, 10 * S, SEED)]
        assert max(at for at, _, _ in sent) == BEGIN + 90 * S
        assert not any("NDEATH" in topic for _, topic, _ in sent)


def test_what_was_shown_is_kept_in_a_bounded_memory_and_made_once(monkeypatch):
    monkeypatch.setattr(encoding, "VALUES_KEPT", 1000 * COUNT)
    query = []

    def observe_once(times):
        query.extend(times.tolist())
        return plain(times)

    reading = encoding.ReadingCache(observe_once)
    times = BEGIN + np.arange(5000) * S
    for start in range(0, 5000, 100):
        for _ in range(3):
            block = times[start : start + 100]
            np.testing.assert_array_equal(reading(block), plain(block))
    assert query == times.tolist()
    assert len(reading._rows) == 1000
    np.testing.assert_array_equal(reading(times[[7, 4999]]), plain(times[[7, 4999]]))
    assert query[-1] == times[7]


def test_a_scan_is_native_json_marked_as_simulated(park, sensors):
    gateways = make_gateways(park)
    assert [g.topic for g in gateways] == [
        "park/v1/chiping/xinfa/sim-1",
        "park/v1/gaoxin/luxi/sim-1",
        "park/v1/shenxian/huaxiang/sim-1",
    ]
    measured = [tag for tag in park.tags if tag.source == "measured"]
    assert sum(len(g.names) for g in gateways) == len(measured)
    times = BEGIN + np.arange(2) * 300 * S
    values = observe(sensors, times)
    one = json.loads(encode(gateways[0], times[:1], values[:1]))
    assert one["ts"] == BEGIN // 1000
    assert one["simulated"] is True
    assert set(one["values"]) == set(gateways[0].names)
    assert len(json.loads(encode(gateways[0], times, values))) == 2
