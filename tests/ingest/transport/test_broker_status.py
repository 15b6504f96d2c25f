"""What the broker reports about itself, apart from what gateways send."""

import math

import pytest

from ingest.counters import HEALTH, Counters
from ingest.settings import IngestSettings
from ingest.transport.broker_status import REPORTS, BrokerStatus
from ingest.transport.subscriber import Subscriber

DROPPED = "$SYS/broker/publish/messages/dropped"


def status_of(**settings):
    return BrokerStatus(IngestSettings(**settings))


def test_every_report_has_a_health_tag():
    assert set(status_of().gauges()) <= set(HEALTH)


def test_nothing_is_known_before_the_first_report_and_after_the_connection():
    status = status_of()
    assert all(math.isnan(value) for value in status.gauges().values())
    assert status.take(DROPPED, b"12")
    assert status.gauges()["broker_dropped"] == 12
    status.forget()
    assert math.isnan(status.gauges()["broker_dropped"])


@pytest.mark.parametrize(("count", "size", "share"), [(50, 100, 0.5), (10, 900, 0.9)])
def test_a_queue_is_as_full_as_its_scarcer_limit(count, size, share):
    status = status_of(broker_queue_messages=100, broker_queue_bytes=1000)
    status.take("$SYS/broker/store/messages/count", b"%d" % count)
    status.take("$SYS/broker/store/messages/bytes", b"%d" % size)
    assert status.gauges()["broker_queue"] == share


def test_an_unknown_limit_has_no_share():
    status = status_of()
    status.take("$SYS/broker/store/messages/count", b"5")
    assert math.isnan(status.gauges()["broker_queue"])


def test_another_broker_is_not_asked():
    assert status_of(broker_status="").topics == []
    assert len(status_of(broker_status="$SYS/brokers/one").topics) == len(REPORTS)


def test_a_report_does_not_wait_for_a_cycle_and_a_malformed_one_is_ignored():
    subscriber = Subscriber(IngestSettings(), Counters())
    subscriber.inbox.put(DROPPED, b"7", 0, 0)
    subscriber.inbox.put(DROPPED, b"many", 0, 0)
    subscriber.inbox.put("park/v1/a/b/c", b"7", 0, 0)
    assert len(subscriber.inbox) == 1
    assert subscriber.status.gauges()["broker_dropped"] == 7
