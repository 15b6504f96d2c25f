"""The messages of simulated gateways without a broker."""

from simulators.gateways.delivery import BLOCK, FOREVER_US, Outbox
from simulators.gateways.encoding import MessageWriter, ReadingCache


def play(gateways, observe, time_us, step_us, seed, origin_us=None):
    """Yield the messages of scans of gateways in order of time: time [µs], topic, payload.

    They are those of `publisher.run`, without a broker; at the end all that wait go out.
    """
    cache = ReadingCache(observe)
    origin_us = int(time_us[0]) if origin_us is None else origin_us
    writers = [MessageWriter(gateway, origin_us, cache) for gateway in gateways]
    boxes = [Outbox(writer.gateway, seed, origin_us) for writer in writers]

    def out(until_us):
        for each, n in sorted(
            (each, n) for n, box in enumerate(boxes) for each in box.take(until_us)
        ):
            yield from ((each.due_us, *message) for message in writers[n].write(each))

    for start in range(0, len(time_us), BLOCK):
        block = time_us[start : start + BLOCK]
        cache(block)
        for at in range(len(block)):
            for box in boxes:
                box.scan(block[at : at + 1], step_us)
            yield from out(int(block[at]))
    for box in boxes:
        box.close()
    yield from out(FOREVER_US)
