"""Edge nodes of other projects, as programs that take their orders line by line.

pysparkplug needs an older MQTT library than we do, so it has a virtual environment of its own, made
once; the sparkplug-client of Eclipse Tahu is a package for Node.js, installed once as well.
PYTEST_DONT_REWRITE: tests import it by name.
"""

import asyncio
import json
import os
import queue
import shutil
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


TAHU = "sparkplug-client@3.2.4"
TAHU_ORDERS = r"""
const [port, options] = [process.argv[1], JSON.parse(process.argv[2])];
const values = {"Flow": 1.0, "TT-1": -12, "FT-9": 9.0};
const now = () => Date.now();
// The flow is a member of a template; of equal names one is a setpoint.
const cells = () => ({name: "Cells", type: "Template", timestamp: now(), value: {
  isDefinition: false, templateRef: "Cells", metrics: [
    {name: "Flow", type: "Double", timestamp: now(), value: values.Flow},
    {name: "Maker", type: "String", timestamp: now(), value: "x"},
  ]}});
const level = () => ({name: "TT-1", type: "Int32", timestamp: now(), value: values["TT-1"]});
const flow = () => ({name: "Values/FT-9", type: "Float", timestamp: now(), value: values["FT-9"]});
const setpoint = () => ({name: "Setpoints/FT-9", type: "UInt32", timestamp: now(), value: 77});
const quality = (code) => ({Quality: {type: "Int32", value: code}});

const client = require("sparkplug-client").newClient({
  serverUrl: `mqtt://127.0.0.1:${port}`, username: "", password: "", groupId: "G", edgeNode: "N",
  clientId: "tahu", version: "spBv1.0", publishDeath: true,
});
function birth() {
  const rebirth = {name: "Node Control/Rebirth", type: "Boolean", timestamp: now(), value: false};
  const payload = {timestamp: now(), metrics: [rebirth, cells(), level()]};
  client.publishNodeBirth(payload, options);
  client.publishDeviceBirth("D", {timestamp: now(), metrics: [flow(), setpoint()]}, options);
}
client.on("birth", () => { birth(); console.log("connected"); });
client.on("ncmd", (payload) => {
  const [asked] = payload.metrics;
  if (asked.name !== "Node Control/Rebirth" || asked.value !== true) process.exit(3);
  console.log("asked");
  birth();
});
require("readline").createInterface({input: process.stdin}).on("line", (line) => {
  const [order, name, value] = JSON.parse(line);
  if (order === "say") {
    values[name] = value;
    const metrics = [name === "Flow" ? cells() : level()];
    client.publishNodeData({timestamp: now(), metrics}, options);
  } else if (order === "doubt") {
    const metrics = [{...level(), properties: quality(value)}];
    client.publishNodeData({timestamp: now(), metrics}, options);
  } else if (order === "say device") {
    values[name] = value;
    client.publishDeviceData("D", {timestamp: now(), metrics: [flow(), setpoint()]}, options);
  } else if (order === "lose") {
    values[name] = value;
    client.incrementSeqNum();
  } else if (order === "device dies") {
    client.publishDeviceDeath("D", {timestamp: now()});
  } else if (order === "stop") {
    client.stop();
  }
  console.log("done");
});
"""


def tahu_of(cache):
    """Return the folder in which the client of Eclipse Tahu is installed."""
    home = cache.mkdir("tahu-edge") if cache else Path(tempfile.gettempdir(), "parktwin-tahu")
    mark = home / "installed"
    if not mark.exists() or mark.read_text() != TAHU:
        npm = [_program("npm"), "install", "--prefix", home, "--no-audit", "--no-fund"]
        home.mkdir(exist_ok=True)
        subprocess.run([*npm, "--loglevel", "error", TAHU], check=True, stdout=subprocess.DEVNULL)
        mark.write_text(TAHU)
    return home


def _program(name):
    """Return a program of Node.js: that of the virtual environment comes before the system's."""
    own = Path(sys.executable).parent
    path = shutil.which(name, path=f"{own}{os.pathsep}{os.environ['PATH']}")
    assert path, f"{name} is not installed: `make setup` does it"
    return path


class Edge:
    """The edge node of the other project; `asked` counts the births it was asked for."""

    def __init__(self, command, log, folder=None):
        self.asked = 0
        self._answers = queue.Queue()
        self.process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            text=True,
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
async def _running(*args):
    edge = await asyncio.to_thread(Edge, *args)
    try:
        yield edge
    finally:
        edge.kill()


def edge_node(python, port, log, **values):
    """Run a node of pysparkplug for the length of a block."""
    values = {"Cells/Flow": 1.0, "TT-1": -12, "FT-9": 9.0} | values
    return _running([python, "-c", ORDERS, str(port), json.dumps(values)], log)


def tahu_node(folder, port, log, **options):
    """Run a node of Eclipse Tahu; `options` say how it compresses its payloads."""
    command = [_program("node"), "--eval", TAHU_ORDERS, str(port), json.dumps(options)]
    return _running(command, log, folder)
