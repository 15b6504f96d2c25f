"""One of our programs with a clock of its own: the time of this machine and the seconds in a file.

Only the time of day is moved; what a program waits for is measured by another clock, as it is when
somebody sets the clock of a machine. PYTEST_DONT_REWRITE: this is a program.
"""

import os
import runpy
import sys
import time
from pathlib import Path


def shifted(read, factor, file):
    """Return a clock that reads another one and adds the seconds in a file."""
    return lambda: read() + type(read())(float(file.read_text() or 0) * factor)


if __name__ == "__main__":
    by = Path(os.environ["SHIFTED_BY"])
    time.time, time.time_ns = shifted(time.time, 1, by), shifted(time.time_ns, 1_000_000_000, by)
    runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
