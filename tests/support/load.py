"""Load in a process of its own, published by what `parktwin simulate --load` publishes with."""

import json
import multiprocessing
import time
from itertools import islice

from simulators.load import Publisher

HOST = "127.0.0.1"


def scan_payloads(tags, start_ms, step_ms, count, *, values_per_message):
    """Yield JSON payloads that go round the tags, and advance the time with every full round."""
    per_round = max(len(tags) // values_per_message, 1)
    written = {}
    for number in range(count):
        turn, part = divmod(number, per_round)
        base = (turn * 7 + part) % 50
        if (part, base) not in written:
            group = tags[part * values_per_message : (part + 1) * values_per_message]
            values = {name: base + i / 8 for i, name in enumerate(group)}
            written[part, base] = json.dumps(values).encode()
        yield b'{"ts": %d, "values": %b}' % (start_ms + turn * step_ms, written[part, base])


def _run(port, topic, payloads, rate, block, qos, result):
    name = f"load-{multiprocessing.current_process().pid}"
    publisher = Publisher(HOST, port, client_id=name, window=20_000)
    waiting, blocks = iter(payloads), []
    while some := list(islice(waiting, block)):
        blocks.append((publisher.encode(topic, some, qos), len(some)))
    began = time.monotonic()
    for number, (packets, count) in enumerate(blocks):
        if rate:
            time.sleep(max(began + number * block / rate - time.monotonic(), 0))
        publisher.send(packets, count, qos)
    if qos:
        publisher.drain()
    result.put((publisher.sent, publisher.acked, time.monotonic() - began))
    publisher.sock.close()


def publish_in_background(port, topic, payloads, *, rate=0.0, block=20, qos=1):
    """Start a process that publishes what it has encoded before.

    Returns (process, queue of (sent, acked, seconds)).
    """
    context = multiprocessing.get_context("fork")
    result = context.Queue()
    process = context.Process(target=_run, args=(port, topic, payloads, rate, block, qos, result))
    process.start()
    return process, result
