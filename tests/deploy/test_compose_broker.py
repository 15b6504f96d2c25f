"""The broker of the containers: what compose.yaml starts lets nobody in without an account."""

import os
import subprocess
from pathlib import Path

import aiomqtt
import pytest
import yaml

from deploy import sandbox
from deploy.access_lists import PROGRAMS, BrokerAccount, mosquitto_files
from deploy.service import HOST, accepts, free_port
from tests.support.door import PASSWORD, account
from tests.support.waiting import until

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
RIGHTS = COMPOSE["configs"]["rights"]["content"].replace("$$", "$")
OURS = [BrokerAccount(name, "", rights) for name, rights in PROGRAMS.items()]
# The sandbox of a test has a shell and the broker, and little else.
CAT = 'cat() { while IFS= read -r line; do printf "%s\\n" "$line"; done < "$1"; }\n'
GATEWAY = account("acme.gw.1", "park/v1/acmepark/acme/gw")


@pytest.fixture
def ports(tmp_path):
    """Run what the container runs, in our sandbox; yields the ports of programs and of gateways."""
    box = sandbox.choose(tmp_path)
    within = box.within("broker")
    folders = {name: box.home / "broker" / name for name in ("config", "data", "data/gateways")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    own, gateways = free_port(), free_port()
    conf = (DEPLOY / "mosquitto.conf").read_text(encoding="utf-8")
    conf = conf.replace("listener 1883", f"listener {own} {HOST}")
    conf = conf.replace("listener 1884", f"listener {gateways} {HOST}")
    (folders["config"] / "mosquitto.conf").write_text(conf.replace("/mosquitto/", f"{within}/"))
    (folders["config"] / "rights").write_text(RIGHTS)
    for name, text in mosquitto_files([*OURS, GATEWAY]).items():
        (folders["data/gateways"] / name).write_text(text)
    user = box.home.stat()
    for path in (box.home / "broker").rglob("*"):
        os.chown(path, user.st_uid, user.st_gid)
    broker = COMPOSE["services"]["mosquitto"]
    shell, option, script = broker["entrypoint"]
    script = script.replace("$$", "$").replace("/mosquitto/", f"{within}/")
    script = script.replace("exec mosquitto ", f"exec {box.programs.mosquitto} ")
    environment = {name: f"of-{name}" for name in broker["environment"]} | sandbox.ENVIRONMENT
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            box.command([shell, option, CAT + script], "broker"),
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        yield own, gateways
    finally:
        process.terminate()
        process.wait(10)


def client(port, name=None, password=None):
    return aiomqtt.Client(HOST, port, username=name, password=password, timeout=3)


async def test_the_broker_of_the_containers_lets_in_accounts_alone(ports):
    own, gateways = ports
    await until(lambda: accepts(own) and accepts(gateways))
    for port in ports:
        for name, password in ((None, None), ("parktwin-ingest", ""), ("parktwin-ingest", "x")):
            with pytest.raises(aiomqtt.MqttError, match="Not authorized"):
                async with client(port, name, password):
                    pass
    topics = [*GATEWAY.rights.publish, "park/v1/acmepark/other/gw", *GATEWAY.rights.publish]
    async with client(own, "parktwin-ingest", "of-INGEST") as ingest:
        await ingest.subscribe("park/v1/#", 1)
        async with client(gateways, GATEWAY.username, PASSWORD) as gateway:
            for topic in topics:
                await gateway.publish(topic, b"1", 1)
        async with client(own, "parktwin-simulators", "of-SIMULATORS") as simulators:
            await simulators.publish("park/v1/acmepark/acme/last", b"1", 1)
        heard = [(await anext(ingest.messages)).topic.value for _ in range(3)]
    assert heard == [topics[0], topics[2], "park/v1/acmepark/acme/last"]


def test_our_programs_have_the_rights_that_the_export_gives_them():
    assert mosquitto_files(OURS)["rights"] == RIGHTS


def test_each_program_of_the_containers_comes_in_by_its_account():
    for name in ("ingest", "simulators"):
        url = COMPOSE["services"][name]["environment"]["PARKTWIN_MQTT_URL"]
        password = f"${{PARKTWIN_MQTT_{name.upper()}_PASSWORD}}"
        assert url == f"mqtt://parktwin-{name}:{password}@mosquitto:1883"
    # What other programs of the machine reach is the port of gateways.
    assert [each.rpartition(":")[2] for each in COMPOSE["services"]["mosquitto"]["ports"]] == [
        "1884"
    ]
