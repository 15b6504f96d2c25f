"""Gateways as data: whose tags, which names, when a message goes out, what it says."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.routing.decode import decode
from ingest.routing.topics import Directory, Message
from ingest.wire import hj212, sparkplug
from simulators.gateways import encoding
from simulators.gateways.delivery import (
    Outbox,
    Transmission,
    clock_times,
    connection_losses,
    transmissions,
)
from simulators.gateways.encoding import PART_CHARACTERS, encode
from simulators.gateways.gateways import FORMATS, make_gateways, require_known, with_gateways
from simulators.gateways.schedule import GatewayProgress, Schedule, fill
from simulators.instruments.sensors import make_sensors, observe
from simulators.process.process import make_process
from simulators.scenarios.script import Event, parse_script
from tests.support.memory_store import MemoryStore, started
from tests.support.playback import play
from tests.support.small_region import ALPHA, PARK
from twin import quality as q
from twin.errors import SettingsError
from twin.loading import load_park, parse_park

S = 1_000_000
BEGIN = 1_763_784_000 * S
SEED = 11
LIAOCHENG = load_park(Path(__file__).parents[3] / "deploy" / "parks" / "liaocheng")
COUNT = len(PARK.tags)


def event(kind, start, stop, size=0.0, every=60.0, scope=ALPHA):
    return Event(kind, kind, scope, "", start, stop, size, every_s=every)


def gateway(*events, **more):
    (found,) = make_gateways(PARK, events=events, **more)
    return found


@pytest.fixture(scope="module")
def instruments():
    return partial(observe, make_sensors(make_process(PARK, SEED), SEED))


def plain(times):
    """Return values that are their own times and places."""
    return times[:, None] / S % 1000 + np.arange(COUNT) / 8


# Who carries what.


def test_tags_that_no_row_names_go_to_a_usual_gateway():
    rows = [
        {"enterprise": "xinfa", "id": "cems", "format": "hj212", "batch": 5, "tags": ["AI-*"]},
        {"enterprise": "luxi", "format": "sparkplug"},
    ]
    gateways = make_gateways(LIAOCHENG, rows, usual="senml", batch=2)
    found = {(g.owner, g.id): g for g in gateways}
    assert set(found) == {
        ("xinfa", "cems"), ("xinfa", "sim-1"), ("luxi", "sim-1"), ("huaxiang", "sim-1")
    }  # fmt: skip
    columns = sorted(c for g in gateways for c in g.columns)
    assert columns == list(range(len(LIAOCHENG.tags)))
    cems, rest = found["xinfa", "cems"], found["xinfa", "sim-1"]
    assert all(LIAOCHENG.tags[c].tag.startswith("AI-") for c in cems.columns)
    assert not any(name.startswith("AI-") for name in rest.names)
    assert (cems.format, cems.batch, rest.format, rest.batch) == ("hj212", 5, "senml", 2)
    assert cems.topic == "hj212/v1/chiping/xinfa/xinfa-cems"
    assert found["luxi", "sim-1"].topic == "spBv1.0/gaoxin/{}/luxi-sim-1"
    assert len({g.number for g in gateways}) == len(gateways)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"enterprise": "nobody"}], "no such enterprise"),
        ([{"enterprise": "alpha", "colour": "red"}], "colour"),
        ([{"enterprise": "alpha", "format": "xml"}], "'xml' is no format"),
        ([{"enterprise": "alpha", "batch": 0}], "a batch is"),
        ([{"enterprise": "alpha", "batch": True}], "batch = True"),
        ([{"enterprise": "alpha", "tags": ["ZZ-*"]}], "no tag is left"),
        ([{"enterprise": "alpha", "tags": ["FT-1"]}], "two with the id sim-1"),
    ],
)
def test_row_of_a_gateway_that_is_wrong_says_what_and_how_to_mend_it(rows, says):
    with pytest.raises(SettingsError, match=says) as caught:
        make_gateways(PARK, rows)
    assert "formats are native" in caught.value.hint


@pytest.mark.parametrize(
    ("scope", "hit"),
    [("r", 1), ("r/east", 1), (ALPHA, 1), (ALPHA + "/caustic", 1), ("r/west/beta", 0)],
)
def test_event_is_for_the_gateways_at_or_below_its_scope(scope, hit):
    assert len(gateway(event("outage", 0, 1, scope=scope)).events) == hit


def test_scenario_names_gateways_and_what_happens_to_them():
    text = f"""name = {{ zh = "示例", en = "Demo" }}
duration = "1 h"
[[gateway]]
enterprise = "alpha"
format = "senml"
[[event]]
id = "off"
kind = "outage"
scope = "{ALPHA}"
start = "10 min"
stop = "20 min"
"""
    script = parse_script("demo", text, PARK)
    (found,) = make_gateways(PARK, script.gateways, script.at("gateway"))
    assert found.format == "senml"
    assert [(e.kind, e.start_s, e.stop_s) for e in found.events] == [("outage", 600.0, 1200.0)]


@pytest.mark.parametrize("form", FORMATS)
def test_model_that_is_written_knows_the_gateways(form):
    gateways = make_gateways(LIAOCHENG, usual=form)
    if form != "native":
        with pytest.raises(SettingsError) as caught:
            require_known(LIAOCHENG, gateways)
        assert "--write-park" in caught.value.hint
    park = with_gateways(LIAOCHENG, gateways)
    require_known(park, gateways)
    assert with_gateways(park, gateways) is park
    rows = park.tables["gateway"]
    assert len(rows) == (0 if form == "native" else 3)
    assert all(row["simulated"] for row in rows)
    assert [tag.address for tag in park.tags] == [tag.address for tag in LIAOCHENG.tags]


# When messages go out.


def test_message_has_its_fate_wherever_a_run_begins_and_whoever_else_there_is():
    events = event("reorder", 0, 4000, 0.5), event("duplicate", 0, 4000, 0.5)
    first, other = gateway(*events), gateway(*events, usual="senml")

    def fate(carrier, seed, start):
        box = Outbox(carrier, seed, BEGIN)
        box.scan(np.arange(start, 600) * 5 * S + BEGIN, 5 * S)
        return [s for s in box.take(1 << 61) if s.first_us >= BEGIN + 300 * 5 * S]

    whole = fate(first, SEED, 0)
    assert fate(first, SEED, 0) == whole
    assert fate(first, SEED, 300) == whole
    assert fate(other, SEED, 0) == whole
    assert fate(first, SEED + 1, 0) != whole
    late = [s for s in whole if s.copy == 0 and s.due_us > s.first_us]
    assert 120 <= len(late) <= 180
    assert 420 <= len(whole) <= 480


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["outage", "silence", "reorder", "duplicate", "storm", "skew"]),
            st.integers(0, 900),
            st.integers(1, 900),
            st.floats(0.01, 1.0),
            st.integers(0, 300),
        ),
        max_size=6,
    ),
    st.integers(1, 9),
    st.integers(1, 40),
)
def test_every_scan_goes_out_once_or_twice_unless_the_gateway_was_silent(faults, batch, burst):
    events = [event(k, a, a + n, size, every) for k, a, n, size, every in faults]
    carrier = gateway(*events, batch=batch)
    box = Outbox(carrier, SEED, BEGIN)
    times = BEGIN + np.arange(300) * 4 * S
    got = []
    for start in range(0, len(times), burst):
        box.scan(times[start : start + burst], 4 * S)
        got += box.take(int(times[min(start + burst, 300) - 1]))
    box.close()
    got += box.take(1 << 62)
    assert len(box) == 0
    assert [s.due_us for s in got] == sorted(s.due_us for s in got)
    sent = [s for s in got if s.scans]
    for sending in sent:
        since = (sending.due_us - BEGIN) / S
        assert sending.due_us >= sending.complete_us
        assert not any(e.kind == "outage" and e.start_s <= since < e.stop_s for e in events)
        assert sending.scans <= batch
    once = np.concatenate([s.times_us for s in sent if s.copy == 0] or [np.zeros(0, int)])
    assert len(set(once.tolist())) == len(once)
    silent = [e for e in events if e.kind == "silence"]
    lost = set(times.tolist()) - set(once.tolist())
    assert not lost or silent
    for at in lost:
        # The message it was in was complete while the gateway was silent.
        ends = (at - BEGIN) / S + np.arange(batch) * 4
        assert any(e.start_s <= end < e.stop_s for e in silent for end in ends)


def test_what_an_outage_held_back_comes_in_one_burst_in_order():
    carrier = gateway(event("outage", 100, 200), event("outage", 190, 250))
    box = Outbox(carrier, SEED, BEGIN)
    box.scan(BEGIN + np.arange(30) * 10 * S, 10 * S)
    got = box.take(BEGIN + 290 * S)
    assert [(s.due_us - BEGIN) // S for s in got if not s.scans] == [100, 190]
    burst = [s for s in got if s.due_us == BEGIN + 250 * S]
    assert [(s.first_us - BEGIN) // S for s in burst] == list(range(100, 251, 10))
    assert [s.historical for s in burst] == [True] * 15 + [False]
    # A message complete at the very end of an outage is sent.
    assert len([s for s in got if s.scans]) == 30


def test_storm_breaks_the_connection_again_and_again():
    carrier = gateway(event("storm", 10, 20, 2.5))
    assert connection_losses(carrier, 0, -1, 60 * S) == [10 * S, 12_500_000, 15 * S, 17_500_000]
    assert connection_losses(carrier, 0, 12_500_000, 15 * S) == [15 * S]
    in_parts = [t for a in range(-1, 60) for t in connection_losses(carrier, 0, a * S, (a + 1) * S)]
    assert in_parts == connection_losses(carrier, 0, -1, 60 * S)


def test_clock_that_is_wrong_shows_in_what_is_written_only():
    carrier = gateway(event("skew", 10, 20, -3.5), event("skew", 15, 30, 1.0))
    times = np.array([9, 10, 15, 20, 30]) * S
    assert ((clock_times(carrier, 0, times) - times) / S).tolist() == [0, -3.5, -2.5, 1.0, 0]
    box = Outbox(carrier, SEED, 0)
    box.scan(np.arange(40) * S, S)
    assert [s.due_us // S for s in box.take(40 * S)] == list(range(40))


def test_past_goes_out_in_large_messages_at_the_pace_of_its_own_scans():
    carrier = gateway(event("reorder", 0, 7200, 1.0, every=3600))
    schedule = Schedule(2 * S, 10 * S, BEGIN + 7200 * S, end_us=BEGIN + 7300 * S)
    box, place = Outbox(carrier, SEED, BEGIN), GatewayProgress(BEGIN - 1)
    got, waiting = [], []
    while True:
        waiting.append(len(box))
        found = fill(schedule, box, place, BEGIN + 9000 * S)
        if not found and not len(box) and place.done_us >= schedule.end_us:
            break
        got += found
    times = np.concatenate([s.times_us for s in got])
    assert len(times) == len(set(times.tolist())) == 721 + 50
    assert max(s.scans for s in got) == 60
    assert max(waiting) <= 8
    past = [s for s in got if s.step_us == 10 * S]
    assert [s.first_us for s in past] != sorted(s.first_us for s in past)


# What they say.


def test_float_that_is_written_is_the_float_that_is_read(instruments):
    """All formats, to the last bit, with a value that is missing; also times of milliseconds."""
    rng = np.random.default_rng(SEED)
    times = BEGIN + np.arange(3) * 1_250_000
    values = rng.standard_normal((3, COUNT)) * 10.0 ** rng.integers(-9, 9, (3, COUNT))
    values[1, 2] = np.nan
    for form in FORMATS:
        if form == "sparkplug":
            continue
        carrier = gateway(usual=form)
        directory, message = route_of(carrier, encode(carrier, times, values))
        route = directory.route(message.topic)
        decoded = route.codec(message)
        at = [t for count, t in decoded.runs for _ in range(count)]
        got = {(t, route.names[n]): v for t, n, v in
               zip(at, decoded.names, decoded.values, strict=True)}  # fmt: skip
        want = {(int(t), c): values[i, c] for i, t in enumerate(times) for c in range(COUNT)
                if not np.isnan(values[i, c])}  # fmt: skip
        assert got == want, form
        assert not decoded.refused
        assert route.simulated or form == "native"


def route_of(carrier, payload):
    """Return the directory of a model that knows a gateway, and a message of it."""
    park = with_gateways(PARK, [carrier])
    return Directory(park, park.tags), Message(carrier.topic, payload, BEGIN, 0, 0, 0)


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
    found = {time_us - BEGIN: row[:2] for time_us, row in store.sample[at].items()}
    death = found.pop(101 * S)
    assert np.isnan(death[0])
    assert death[1] == q.NO_DATA | q.SIMULATED
    assert sorted(found) == (times - BEGIN).tolist()
    assert {code for _, code in found.values()} <= {q.SIMULATED, q.SIMULATED | 65}
    assert (cycle.counters["corrections"], cycle.counters["rejected.no_birth"]) == (0, 0)


async def test_gateway_that_died_silently_sends_no_death_and_its_tags_just_end():
    for form in ("native", "sparkplug"):
        carrier = gateway(event("silence", 100, 1e9), usual=form)
        sent = [*play([carrier], plain, BEGIN + np.arange(60) * 10 * S, 10 * S, SEED)]
        assert max(at for at, _, _ in sent) == BEGIN + 90 * S
        assert not any("NDEATH" in topic for _, topic, _ in sent)


def test_names_that_a_format_cannot_carry_are_named_otherwise():
    tags = PARK.files["tags.csv"] + f"A:1,{ALPHA},mass_flow,t/h,gauge,,,,x\n"
    (carrier,) = make_gateways(parse_park(PARK.files | {"tags.csv": tags}), usual="senml")
    assert carrier.row["tags"] == {f"s{COUNT:05d}": "A:1"}


def test_sending_without_scans_sorts_before_the_message_of_its_time():
    assert Transmission(5, -1) < Transmission(5, 5, 0, 1, 1)
    assert transmissions(gateway(), SEED, 0, Transmission(0, 5, 0, 2, 3)) == [
        Transmission(8, 5, 0, 2, 3)
    ]


def test_what_was_shown_is_kept_in_a_bounded_memory_and_made_once(monkeypatch):
    monkeypatch.setattr(encoding, "VALUES_KEPT", 1000 * COUNT)
    asked = []

    def observe_once(times):
        asked.extend(times.tolist())
        return plain(times)

    shown = encoding.ReadingCache(observe_once)
    times = BEGIN + np.arange(5000) * S
    for start in range(0, 5000, 100):
        for _ in range(3):
            block = times[start : start + 100]
            np.testing.assert_array_equal(shown(block), plain(block))
    assert asked == times.tolist()
    assert len(shown._rows) == 1000
    np.testing.assert_array_equal(shown(times[[7, 4999]]), plain(times[[7, 4999]]))
    assert asked[-1] == times[7]


def test_model_that_calls_a_gateway_simulated_marks_what_it_sends():
    row = f"""
[[gateway]]
id = "{{0}}"
scope = "{ALPHA}"
protocol = "json"
topic = "{{0}}/{{{{tag}}}}"
payload = {{{{ value = "v" }}}}
simulated = {{1}}
"""
    text = PARK.files["park.toml"] + row.format("a", "true") + row.format("b", "false")
    park = parse_park(PARK.files | {"park.toml": text})
    messages = [Message(f"{name}/FT-1", b'{"v": 1}', BEGIN, 0, 0, 0) for name in "ab"]
    intake = decode(Directory(park, park.tags), messages, payload_bytes=99, future_us=0)
    assert intake.samples.quality.tolist() == [q.SIMULATED, q.GOOD]
