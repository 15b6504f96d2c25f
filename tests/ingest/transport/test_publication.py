"""Derived values back to the broker: what is new, when it is due, until somebody refuses."""

import json

import numpy as np
import pytest

from ingest.transport.publication import Publication
from tests.support.small_region import NETWORK
from twin.series.image import no_image

NOW_US = 1_795_332_864_000_000
FIRST = len(NETWORK.tags) - len(NETWORK.derived)


class Broker:
    """What was sent, as the broker keeps it; with a limit it refuses what comes then."""

    def __init__(self, limit=10_000):
        self.kept, self.sent, self.limit = {}, 0, limit

    async def send(self, topic, payload, *, retain):
        if self.sent == self.limit:
            return False
        self.sent += 1
        if retain:
            self.kept[topic] = json.loads(payload)
        return True


@pytest.fixture
def image():
    """An image in which every derived tag has the value 1 t/h, in SI."""
    image = no_image(len(NETWORK.tags))
    image.time_us[FIRST:], image.quality[FIRST:] = NOW_US, 32
    image.value[FIRST:] = [tag.scale for tag in NETWORK.tags[FIRST:]]
    return image


async def test_values_are_sent_in_their_own_uom_to_the_topic_of_their_scope(image):
    broker = Broker()
    await Publication(NETWORK, 5.0).publish(image, broker.send, NOW_US)
    assert len(broker.kept) == len(NETWORK.derived)
    scope, component, role = NETWORK.derived[0]
    tag = NETWORK.tags[FIRST]
    message = broker.kept[f"twin/v1/{scope}/{component}.{tag.quantity}.{role}"]
    assert message == {
        "ts": NOW_US // 1000, "value": pytest.approx(1.0), "uom": tag.uom, "quality": 32
    }  # fmt: skip


async def test_only_what_is_newer_is_sent_again_and_only_when_it_is_due(image):
    broker, publication = Broker(), Publication(NETWORK, 5.0)
    await publication.publish(image, broker.send, NOW_US)
    image.time_us[-1], image.value[-1] = NOW_US + 1_000_000, np.nan
    await publication.publish(image, broker.send, NOW_US + 4_999_999)
    assert broker.sent == len(NETWORK.derived)
    await publication.publish(image, broker.send, NOW_US + 5_000_000)
    assert broker.sent == len(NETWORK.derived) + 1
    assert [m["ts"] for m in broker.kept.values() if m["value"] is None] == [NOW_US // 1000 + 1000]


async def test_what_could_not_be_sent_is_sent_the_next_time(image):
    broker, publication = Broker(limit=3), Publication(NETWORK, 5.0)
    await publication.publish(image, broker.send, NOW_US)
    assert broker.sent == 3
    broker.limit = 10_000
    await publication.publish(image, broker.send, NOW_US + 5_000_000)
    assert broker.sent == len(broker.kept) == len(NETWORK.derived)


async def test_what_never_had_a_value_is_not_sent_and_zero_seconds_send_nothing(image):
    broker = Broker()
    await Publication(NETWORK, 0.0).publish(image, broker.send, NOW_US)
    await Publication(NETWORK, 5.0).publish(no_image(len(NETWORK.tags)), broker.send, NOW_US)
    assert broker.sent == 0
