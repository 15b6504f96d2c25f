"""The demonstration park as fixtures."""

import pytest

from tests.support import demo_park


@pytest.fixture(scope="session")
def park():
    return demo_park.PARK


@pytest.fixture(scope="session")
def process():
    return demo_park.process_of()


@pytest.fixture(scope="session")
def sensors():
    return demo_park.sensors_of()


@pytest.fixture(scope="session")
def column():
    return demo_park.TAGS
