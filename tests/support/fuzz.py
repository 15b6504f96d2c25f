"""Mutated payloads against a codec, guided by what they reach: `make fuzz`.

One process per codec. Each payload goes the whole way from message to samples. A crash is an error,
and so is a sample that no payload may make: of an unknown tag, without a time, infinite, or NaN and
not bad. libFuzzer stops at the first, and writes it to a file; such a file becomes a test.

PYTEST_DONT_REWRITE: this is a program.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import atheris
import cbor2
import numpy as np

from tests.support.data import data_park
from tests.support.presets import EXAMPLES
from tests.support.small_edges import compressed, dbirth
from twin import quality as q
from twin.arrays import DAY_US
from twin.loading import parse_park
from twin.model.layouts import PRESETS

# Only the batches are watched: the watcher itself remembers, and memory is looked at without it.
WATCHED = any(argument.startswith("--seed") for argument in sys.argv)
WATCH = atheris.instrument_imports(include=["ingest.wire", "ingest.routing.sparkplug_session"])
with WATCH if WATCHED else nullcontext():
    from ingest.routing.decode import Limits, decode
    from ingest.routing.topics import Message, TopicTable
    from ingest.wire import hj212, native, senml, sparkplug


NOW_US = 1_795_332_864_000_000
FUTURE_US = 300_000_000
BATCH = 200_000
ROUNDS, SLACK_MIB = 20, 2.0
# Layouts of JSON by the first byte of a payload: that of the park, presets, and one of all keys.
EVERY_KEY = """{ records = "a.*", time = "../t", time_format = "iso", timezone = "Asia/Shanghai",
tag = "*", prefix = ["/p"], after = "/", value = "v.*", texts = "number", words = { ON = 1 },
quality = "q", qualities = "opc", uom = "u", error = "e" }""".replace("\n", " ")
LAYOUTS = [f'{{ preset = "{name}", timezone = "UTC" }}' for name in PRESETS] + [EVERY_KEY]
RECORD = {"v": [1.5], "q": 192, "u": "kg/s", "e": "no error"}
EVERYTHING = {"p": "p", "a": {"t": "2026-11-22T15:34:24", "x/FT-1": RECORD}}
NAMES = (
    "FI-1", "p", "Line1.PLC.FI-1", "/plant7/FI-1", "nsu=http://plant7/;s=FI-1", "p.FT-1",
    "Meter A.power", "FI-1.ENERGY.Power", "FI-1.temperature",
)  # fmt: skip
ROW = """
[[gateway]]
id = "layout-{number}"
scope = "p/a"
protocol = "json"
topic = "y/{number}/{{tag}}"
payload = {layout}
tags = {{ {tags} }}
"""


def model():
    """Return the park of the codecs with a gateway for each layout."""
    files = data_park("codecs")
    tags = ", ".join(f'"{name}" = "FT-1"' for name in NAMES)
    rows = [ROW.format(number=n, layout=layout, tags=tags) for n, layout in enumerate(LAYOUTS, 1)]
    return parse_park(files | {"park.toml": files["park.toml"] + "".join(rows)})


MODEL = model()
VALUES = {"FT-1": 36.4, "TT-1": -1.5, "JQ-1": 1e6, "XS-1": 1.0}
MS = NOW_US // 1000
PACKED = {"GZIP": 64, "DEFLATE": 128}
CP = "DataTime=20261122080000;a21022-Rtd=1.8,a21022-Flag=N;a21024-Rtd=6.2,a21024-Flag=D"

PART = "a21022-SampleTime=20261122075900,a21022-Rtd=1.8"


def seeds_of(codec):
    """Return topic and well-formed payloads of a codec."""
    if codec == "native":
        columns = {"tag": ["FT-1", "TT-1"], "ts": [MS, MS], "value": [1.0, None],
                   "quality": ["bad", 64]}  # fmt: skip
        doubtful = {"FT-1": {"v": 1.2, "q": "uncertain"}}
        scan = {"ts": MS, "values": doubtful, "uom": {"FT-1": "kg/s"}}
        return "park/v1/p/a/g", [
            native.encode(MS, VALUES),
            json.dumps(columns).encode(),
            json.dumps([scan, scan]).encode(),
        ]  # fmt: skip
    if codec == "senml":
        return "senml/v1/p/a/g", [
            senml.encode_scans([(NOW_US, VALUES)], base_name="urn:dev:"),
            senml.encode_scans([(NOW_US, VALUES)], cbor=True),
            b'[{"bn":"a:","bt":-5,"bu":"W","bv":1,"bs":2,"n":"JQ-1","s":1,"ut":5}]',
            b'[{"n":"XS-1","vb":true}]',
            tagged_pack(),
        ]  # fmt: skip
    if codec == "hj212":
        packet = hj212.Packet(
            "20261122080005123", "31", "2011", "", "010000A8900016F000169DC0", 5, CP
        )
        raw = hj212.encode(packet)
        parts = [
            replace(packet, flag=7, pnum=2, pno=1),
            replace(packet, flag=7, pnum=2, pno=2, cp=PART),
        ]
        loose = raw[6:-6].replace(b"Flag=N", "Info=//清;洗//".encode("gbk")).replace(b",", b"; ")
        counted = loose.decode("gbk").encode()
        size = len(counted.decode())
        # What does not begin with ## is a data segment that gets its length and checksum.
        return "hj212/v1/p/a/cems", [
            raw,
            raw * 2,
            raw[6:-6],
            loose,
            b"##%04d%s%04X" % (size, counted, hj212.crc(counted)),
            b"".join(map(hj212.encode, parts)),
            raw[6:-6].replace(b"a21022-Rtd=1.8", b"a21022-SampleTime=,a21022-Rtd=--"),
        ]
    if codec == "mapped":
        record = {"t": {"ms": MS}, "v": 1.5, "q": "good"}
        payloads = [json.dumps({"r": [record, record]}).encode()]
        payloads += [EXAMPLES[name][1] for name in PRESETS] + [json.dumps(EVERYTHING).encode()]
        return "x/FT-1", [bytes([number]) + payload for number, payload in enumerate(payloads)]
    metric = sparkplug.Metric
    flow = metric("FT-1", 1.5, sparkplug.DataType.DOUBLE, alias=7)
    state = metric("XS-1", value=True, datatype=sparkplug.DataType.BOOLEAN, alias=8)
    pump = metric("d", b"", sparkplug.DataType.TEMPLATE, 9, members=(flow._replace(name="TT-1"),))
    birth = sparkplug.nbirth(MS, [flow, state], 1)
    # The first byte says which kind of message it is, and whether it is to be compressed.
    return "spBv1.0/g", [
        b"\0" + birth,
        bytes([PACKED["GZIP"]]) + birth,
        bytes([PACKED["DEFLATE"]]) + sparkplug.nbirth(MS, [pump, state], 1),
        b"\0" + compressed(birth),
        b"\1" + sparkplug.data(MS, [flow], 1),
        b"\2" + dbirth(MS, [metric("d/TT-1", 3, sparkplug.DataType.INT16)], 2),
        b"\4" + sparkplug.ndeath(1),
    ]


def tagged_pack():
    """Return a pack of CBOR with tags around it, its time and its numbers."""
    tag = cbor2.CBORTag
    record = {-3: tag(1, NOW_US // 1_000_000), 0: "TT-1", 2: tag(4, [-1, 215]), 5: tag(5, [-1, 3])}
    return cbor2.dumps(tag(55799, [record, {0: "XS-1", 4: True, 6: tag(0, "2026-11-22T00:00Z")}]))


def message_of(topic, payload):
    """Return a payload as the message of its topic."""
    if topic.startswith("spBv1.0"):
        kind = ("NBIRTH/n", "NDATA/n", "DBIRTH/n/d", "DDATA/n/d", "NDEATH/n", "DDEATH/n/d")
        number, payload = (payload[0], payload[1:]) if payload else (0, payload)
        for algorithm, bit in PACKED.items():
            if number & bit:
                payload = compressed(payload, algorithm)
        number %= min(PACKED.values())
        topic = f"{topic}/{kind[number % len(kind)]}"
    if topic.startswith("x/"):
        number, payload = (payload[0], payload[1:]) if payload else (0, payload)
        number %= len(LAYOUTS) + 1
        topic = f"y/{number}/FI-1" if number else topic
    if topic.startswith("hj212") and not payload.startswith(b"##"):
        payload = b"##%04d%s%04X\r\n" % (len(payload), payload, hj212.crc(payload))
    return Message(topic, payload, NOW_US, 0, 1, 0)


def check(samples):
    """Raise AssertionError for a sample no payload may make."""
    assert ((samples.tag >= 0) & (samples.tag < len(MODEL.tags))).all()
    assert (samples.time_us >= 0).all()
    assert (samples.time_us <= NOW_US + FUTURE_US).all()
    assert not np.isinf(samples.value).any()
    unknown = np.isnan(samples.value)
    assert (samples.quality[unknown] >= q.BAD).all()


def read(topics, topic, payload):
    """Take one payload all the way, and check what comes out."""
    intake = decode(topics, [message_of(topic, payload)], Limits(1 << 18, FUTURE_US, 400 * DAY_US))
    check(intake.samples)
    return intake


def guided(codec, runs, seed, folder):
    """Let libFuzzer mutate payloads by what they reach; it ends the process."""
    topic, seeds = seeds_of(codec)
    corpus = folder / codec
    corpus.mkdir(parents=True, exist_ok=True)
    topics = TopicTable(MODEL, MODEL.tags)
    for number, payload in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(payload)
        assert len(read(topics, topic, payload).samples), "a seed is not well formed"
    arguments = [sys.argv[0], str(corpus), f"-runs={runs}", f"-seed={seed}", "-max_len=600",
                 "-rss_limit_mb=2000", "-timeout=5", "-verbosity=0",
                 f"-artifact_prefix={folder}/{codec}-"]  # fmt: skip
    atheris.Setup(arguments, lambda payload: read(topics, topic, payload))
    atheris.Fuzz()


def memory_mib():
    """Return what this process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def flat(codec, folder):
    """Read everything that was found, again and again: memory must not grow."""
    topic, _ = seeds_of(codec)
    result = [path.read_bytes() for path in sorted((folder / codec).iterdir())]
    topics = TopicTable(MODEL, MODEL.tags)
    held = []
    for _ in range(ROUNDS):
        for payload in result:
            read(topics, topic, payload)
        held.append(memory_mib())
    assert held[-1] < held[ROUNDS // 2] + SLACK_MIB, f"memory grows: {held}"
    return len(result), held[-1]


def main():
    """Fuzz one codec, a process for each batch: the fuzzer itself does not give memory back."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("codec", choices=["native", "senml", "hj212", "mapped", "sparkplug"])
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--corpus", type=Path, default=Path(".fuzz"), help="what was found")
    parser.add_argument("--seed", type=int, help="one batch only")
    options = parser.parse_args()
    if options.seed is not None:
        guided(options.codec, options.runs, options.seed, options.corpus)
        return 0
    started = time.monotonic()
    for seed, done in enumerate(range(0, options.runs, BATCH), start=1):
        runs = min(BATCH, options.runs - done)
        command = [sys.executable, "-m", "tests.support.fuzz", options.codec, f"--runs={runs}",
                   f"--corpus={options.corpus}", f"--seed={seed}"]  # fmt: skip
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as batch:
            text = batch.stderr.read()
        if batch.returncode:
            print(text, file=sys.stderr)
            return 1
        spent = time.monotonic() - started
        print(f"{options.codec}: {done + runs:,} payloads, {spent:.0f} s", flush=True)
    result, held = flat(options.codec, options.corpus)
    print(f"{options.codec}: no crash, no wrong sample; {result} ways found, {held:.0f} MiB, flat")
    return 0


if __name__ == "__main__":
    sys.exit(main())
