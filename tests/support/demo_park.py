"""The demonstration park with its process and instruments, made once in each worker."""

from functools import cache, partial
from pathlib import Path

from simulators.instruments import make_sensors, observe
from simulators.process.process import make_process
from twin.loading import load_park

FOLDER = Path(__file__).parents[2] / "deploy" / "parks" / "liaocheng"
PARK = load_park(FOLDER)
TAGS = {tag.address: column for column, tag in enumerate(PARK.tags)}


@cache
def process_of(seed=1):
    return make_process(PARK, seed)


@cache
def sensors_of(seed=1):
    return make_sensors(process_of(seed), seed)


def readings_of(park, seed):
    """Return the readings of a park as a function of time."""
    return partial(observe, make_sensors(make_process(park, seed), seed))
