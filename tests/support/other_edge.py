"""An edge node of another project, pysparkplug, as a program that takes its orders line by line.

It needs an older MQTT library than we do, so it has a virtual environment of its own, made once.
PYTEST_DONT_REWRITE: tests import it by name.
"""

import asyncio
import json
import queue
import subprocess
import sys
import tempfile
import threading
from contextlib import asynccontextmanager
from pathlib import Path

PACKAGES = ("pysparkplug==0.6.1", "paho-mqtt==1.6.1", "protobuf==7.36.2")
ORDERS = r"""
import dataclasses
import json
import sys
import time

from pysparkplug import (
    Client, DataType, DBirth, Device, EdgeNode, Message, MessageType, Metric, NBirth, NData, QoS,
    Topic, get_current_timestamp as now,
)

port, values = int(sys.argv[1]), json.loads(sys.argv[2])
deaf = False


def metric(name, value):
    kind, alias = {
        "Cells/Flow": (DataType.DOUBLE, 11), "TT-1": (DataType.INT32, 12),
        "FT-9": (DataType.FLOAT, 13),
    }[name]
    return Metric(timestamp=now(), name=name, datatype=kind, value=value, alias=alias)


def publish(kind, payload, device=None):
    topic = Topic(message_type=kind, group_id="G", edge_node_id="N", device_id=device)
    message = Message(topic=topic, payload=payload, qos=QoS.AT_MOST_ONCE, retain=False)
    client.publish(message, include_dtypes=True)


def commanded(edge, message):
    (asked,) = message.payload.metrics
    assert (asked.name, asked.value) == ("Node Control/Rebirth", True)
    print("asked", flush=True)
    if deaf:
        return
    # The library holds the number of the next session already. Its births go on counting.
    last = edge._bd_seq_metric
    session = dataclasses.replace(last, value=last.value - 1)
    metrics = (*edge.metrics.values(), session)
    publish(MessageType.NBIRTH, NBirth(timestamp=now(), seq=edge._seq, metrics=metrics))
    for name, device in edge.devices.items():
        metrics = tuple(device.metrics.values())
        publish(MessageType.DBIRTH, DBirth(timestamp=now(), seq=edge._seq, metrics=metrics), name)


client = Client()
own = [metric(name, values[name]) for name in ("Cells/Flow", "TT-1")]
edge = EdgeNode("G", "N", own, client=client, cmd_callback=commanded)
edge.register(Device("D", [metric("FT-9", values["FT-9"])]))
edge.connect("127.0.0.1", port=port)
while not edge._connected:
    time.sleep(0.01)
time.sleep(0.1)
print("connected", flush=True)
for line in sys.stdin:
    order, *rest = json.loads(line)
    if order == "say":
        edge.update([metric(*rest)])
    elif order == "say device":
        edge.update_device("D", [metric(*rest)])
    elif order == "lose":
        really, client.publish = client.publish, lambda message, include_dtypes: None
        edge.update([metric(*rest)])
        client.publish = really
    elif order == "bare":
        # Only an alias: no name and, as the standard wants it, no datatype.
        said = dataclasses.replace(metric(*rest), name=None)
        data = NData(timestamp=now(), seq=edge._seq, metrics=(said,))
        topic = Topic(message_type=MessageType.NDATA, group_id="G", edge_node_id="N")
        message = Message(topic=topic, payload=data, qos=QoS.AT_MOST_ONCE, retain=False)
        client.publish(message, include_dtypes=False)
    elif order == "deaf":
        deaf = rest[0]
    elif order == "device dies":
        edge.deregister("D")
    print("done", flush=True)
"""


def python_of(cache):
    """Return the Python of an environment with the other project's library."""
    home = cache.mkdir("sparkplug-edge") if cache else Path(tempfile.gettempdir(), "parktwin-edge")
    python, mark = home / "bin" / "python", home / "installed"
    wanted = " ".join((sys.version, *PACKAGES))
    if not mark.exists() or mark.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "-q"]
        subprocess.run([*pip, *PACKAGES], check=True)
        mark.write_text(wanted)
    return python


class Edge:
    """The edge node of the other project; `asked` counts the births it was asked for."""

    def __init__(self, python, port, log, **values):
        values = {"Cells/Flow": 1.0, "TT-1": -12, "FT-9": 9.0} | values
        self.asked = 0
        self._answers = queue.Queue()
        self.process = subprocess.Popen(
            [python, "-c", ORDERS, str(port), json.dumps(values)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._answers.get(timeout=20) == "connected"

    def _read(self):
        for line in self.process.stdout:
            if line == "asked\n":
                self.asked += 1
            else:
                self._answers.put(line.strip())

    def order(self, *order):
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        assert self._answers.get(timeout=20) == "done"

    def kill(self):
        self.process.kill()
        self.process.wait()
        self._reader.join()
        self.process.stdin.close()
        self.process.stdout.close()


@asynccontextmanager
async def edge_node(*args, **values):
    edge = await asyncio.to_thread(Edge, *args, **values)
    try:
        yield edge
    finally:
        edge.kill()
