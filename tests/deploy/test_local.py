"""The one-machine services, tried for real: started, stopped, killed, refused."""

import contextlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import aiomqtt
import asyncpg
import pytest

from deploy import packages, sandbox
from deploy.local import Services
from deploy.service import Service, free_port
from deploy.supervisor import Program
from tests.support.certificates import write_certificate
from tests.support.stored import opened, query
from twin.errors import ParkError

ROOT = Path(__file__).parents[2]
SERVER = """
    import http.server, os, ssl

    class Ready(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()

    address = "127.0.0.1", int(os.environ["PARKTWIN_HTTP_PORT"])
    server = http.server.ThreadingHTTPServer(address, Ready)
    if "PARKTWIN_HTTP_TLS_KEY" in os.environ:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        files = [os.environ[f"PARKTWIN_HTTP_TLS_{name}"] for name in ("CERT", "KEY")]
        context.load_cert_chain(*files)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()
"""
SLEEPER = "import time; time.sleep(600)"
TELLER = "import os; print(os.environ.get('PARKTWIN_DATABASE_URL'), flush=True);"
TELL_ACCESS = "print(os.environ['PARKTWIN_ACCESS'], os.environ['PARKTWIN_HTTP_HOST'], flush=True)"
# What else our package of this name has stays there for the other programs.
SAME_PACKAGE = "import pkgutil; __path__ = pkgutil.extend_path(__path__, __name__)"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data folder whose cluster was made by a first start."""
    folder = tmp_path_factory.mktemp("local") / "data"
    with Services(folder):
        pass
    return folder


async def fetch(services, query):
    connection = await asyncpg.connect(services.database_url, timeout=5)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def client(services):
    return aiomqtt.Client("127.0.0.1", services.mosquitto.port)


def alive(pid):
    """Whether a process does anything; the remains nobody has collected do not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def owner(pid):
    return Path(f"/proc/{pid}").stat().st_uid


async def test_the_second_start_keeps_rows_and_retained_messages(data):
    with Services(data) as services:
        await fetch(services, "CREATE TABLE kept AS SELECT 42 AS answer")
        async with client(services) as mqtt:
            await mqtt.publish("kept", b"42", qos=1, retain=True)
    with Services(data) as services:
        assert await fetch(services, "SELECT answer FROM kept") == 42
        async with client(services) as mqtt:
            await mqtt.subscribe("kept")
            message = await anext(aiter(mqtt.messages))
            assert message.payload == b"42"


async def test_the_database_has_timescaledb_and_syncs_what_it_acknowledges(data):
    with Services(data, mqtt_port=None) as services:
        extension = "SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'"
        assert await fetch(services, extension) == 1
        assert await fetch(services, "SHOW synchronous_commit") == "on"
        assert await fetch(services, "SHOW fsync") == "on"
        assert await fetch(services, "SHOW listen_addresses") == "127.0.0.1"
        assert [service.name for service in services.active] == ["postgres"]


async def test_a_server_stopped_and_started_comes_back_on_its_port(data):
    with Services(data) as services:
        url = services.database_url
        services.postgres.stop()
        with pytest.raises(OSError, match="Connect call failed"):
            await asyncpg.connect(url)
        services.postgres.start()
        assert services.database_url == url
        assert await fetch(services, "SELECT 1") == 1


async def test_committed_rows_outlive_kill_nine_and_a_stale_process_file(data):
    services = Services(data)
    services.start()
    await fetch(services, "CREATE TABLE outlived AS SELECT 7 AS answer")
    services.postgres.kill()
    services.mosquitto.kill()
    services.stop()
    # The number of the dead server now belongs to somebody else: this test.
    stale = data / "services/mnt/postgres/postmaster.pid"
    stale.write_text(f"{os.getpid()}\n")
    with Services(data) as again:
        assert await fetch(again, "SELECT answer FROM outlived") == 7


async def test_a_stop_with_busy_clients_takes_less_than_ten_seconds(data):
    services = Services(data)
    services.start()
    connection = await asyncpg.connect(services.database_url)
    await connection.execute("CREATE TABLE busy AS SELECT generate_series(1, 300000) AS number")
    pids = [service.pid for service in services.active]
    started = time.monotonic()
    services.stop()
    assert time.monotonic() - started < 10
    assert not any(alive(pid) for pid in pids)
    connection.terminate()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may change the root folder")
async def test_without_user_namespaces_root_uses_chroot_on_the_same_data(data):
    with Services(data, mode="chroot") as services:
        await fetch(services, "CREATE TABLE made_in_chroot AS SELECT 5 AS answer")
        assert services.mosquitto.pid
        # The servers themselves must not run as root.
        assert owner(services.postgres.pid) != 0
    with Services(data) as services:
        assert await fetch(services, "SELECT answer FROM made_in_chroot") == 5


async def test_a_cluster_that_trusted_everybody_is_upgraded_without_loss(tmp_path):
    box = sandbox.choose(tmp_path)
    programs, port = box.programs.postgres, free_port()
    cluster = box.home / "postgres"
    box.run([f"{programs}/initdb", "--username=park", "--auth=trust", "-D", "postgres"])
    old = Service(
        "postgres",
        port,
        box,
        [f"{programs}/postgres", "-D", ".", "-p", str(port), "-c", "unix_socket_directories=",
         "-c", "listen_addresses=127.0.0.1", "-c", "shared_preload_libraries=timescaledb"],
        pid_file=cluster / "postmaster.pid",
        stop_signal=signal.SIGINT,
        log=tmp_path / "old.log",
        ready=lambda: box.run([f"{programs}/pg_isready", "-p", str(port), "-h", "127.0.0.1"])
        .returncode == 0,
    )  # fmt: skip
    old.start()
    url = f"postgresql://park@127.0.0.1:{port}"
    await query(f"{url}/postgres", "CREATE DATABASE park")
    async with opened(f"{url}/park"):
        pass
    await query(f"{url}/park", "INSERT INTO sample VALUES (now(), 3, now(), 1, 0)")
    await query(f"{url}/park", "CREATE TABLE public.note AS SELECT 42 AS answer")
    old.stop()

    for _ in range(2):
        with Services(tmp_path, mqtt_port=None) as services:
            owner, reader = services.database_url, services.reader_url
            assert await query(owner, "SELECT value FROM sample") == [(3.0,)]
            assert await query(owner, "SELECT answer FROM note") == [(42,)]
            async with opened(owner):
                await query(owner, "INSERT INTO sample VALUES ('2020-01-01', 3, now(), 1, 0)")
                await query(owner, "SELECT drop_chunks('sample', '2021-01-01'::timestamptz)")
            supers = "SELECT rolname FROM pg_roles WHERE rolsuper AND rolcanlogin"
            assert await query(owner, supers) == [("postgres",)]
            assert await query(reader, "SELECT value FROM sample") == [(3.0,)]
            with pytest.raises(asyncpg.InvalidPasswordError):
                await asyncpg.connect(f"postgresql://park@127.0.0.1:{services.postgres.port}/park")


def test_no_argument_of_a_program_shows_a_password(data):
    services, arguments = Services(data, mqtt_port=None), set()
    started = threading.Event()

    def look():
        while not started.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    arguments.add(path.read_bytes())

    looking = threading.Thread(target=look)
    looking.start()
    services.start()
    started.set()
    looking.join()
    passwords = [urlsplit(url).password for url in (services.database_url, services.reader_url)]
    services.stop()
    assert any(b"psql" in words for words in arguments)
    assert not [words for words in arguments for each in passwords if each.encode() in words]


def test_a_taken_port_is_one_sentence_and_leaves_nothing_running(data):
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        port = squatter.getsockname()[1]
        services = Services(data, mqtt_port=port)
        with pytest.raises(ParkError, match=f"port {port} for mosquitto .* in use") as caught:
            services.start()
    assert "--mqtt" in caught.value.hint
    assert not services.active


def test_a_data_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    occupied = tmp_path / "file"
    occupied.touch()
    with pytest.raises(ParkError, match="Not a directory"):
        Services(occupied).start()


def test_too_little_disk_is_one_sentence(tmp_path):
    with pytest.raises(ParkError, match=r"a bundle needs 1,000,000,000,000 MB .* MB are free"):
        packages.require_space(tmp_path / "not" / "there", 10**18, "a bundle")


def test_missing_packages_without_a_way_to_install_them_are_one_sentence(tmp_path, monkeypatch):
    query = shutil.which("dpkg-query")
    if query is None:
        pytest.skip("not a Debian system")
    (tmp_path / "dpkg-query").symlink_to(query)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ParkError) as caught:
        packages.ensure("parktwin-none", "parktwin-nil")
    assert caught.value.hint == (
        "Install parktwin-none and parktwin-nil: sudo apt-get install parktwin-none parktwin-nil"
    )


def test_a_system_without_debian_tools_is_told_the_alternatives(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ParkError) as caught:
        packages.ensure("parktwin-none")
    assert "TimescaleDB" in caught.value.hint
    assert "docker compose" in caught.value.hint


def test_a_program_that_keeps_dying_is_started_less_and_less_often(tmp_path):
    program = Program("parktwin_no_such_module", dict(os.environ), tmp_path)
    pauses, now_s = [], 0.0
    while len(pauses) < 3:
        if program.tend(now_s):
            pauses.append(program.pause_s)
            now_s += program.pause_s
        time.sleep(0.02)
    assert pauses == [1, 2, 4]
    assert "No module named parktwin_no_such_module" in program.log.read_text()


def test_a_task_is_done_once_and_tried_again_after_a_failure(tmp_path, monkeypatch):
    (tmp_path / "chore.py").write_text(
        "import pathlib, sys; done = pathlib.Path(sys.argv[1]); first = not done.exists()\n"
        "done.touch(); sys.exit(first)"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    task = Program("chore", environment, tmp_path, arguments=(str(tmp_path / "done"),))
    ends, deadline_s = [], time.monotonic() + 20
    while task.status != 0 and time.monotonic() < deadline_s:
        if task.tend(time.monotonic()):
            ends.append(task.status)
        time.sleep(0.02)
    assert ends == [1]
    assert not task.tend(time.monotonic() + 1e6)
    assert task.status == 0


def test_a_task_of_every_so_often_begins_after_another_and_goes_on_after_a_failure(tmp_path):
    (tmp_path / "chore.py").write_text(
        "import sys; name = sys.argv[1]; open(name, 'a').write('x')\n"
        "sys.exit(len(open(name).read()) == 2)"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    first = Program("chore", environment, tmp_path, arguments=(str(tmp_path / "first"),))
    times = tmp_path / "times"
    task = Program(
        "chore", environment, tmp_path, arguments=(str(times),), every_s=100.0, after=first
    )
    task.tend(0.0)
    assert not times.exists()

    def run(each, now_s):
        each.tend(now_s)
        each.status, deadline_s = None, time.monotonic() + 20
        while each.status is None and time.monotonic() < deadline_s:
            ended = each.tend(now_s)
            time.sleep(0.02)
        return ended

    run(first, 0.0)
    # Its first time is good, its second is not, and each is a hundred seconds after the other.
    for now_s, failed in ((0.0, False), (100.0, True), (200.0, False)):
        assert run(task, now_s) is failed
        task.tend(now_s + 99.0)
        assert len(times.read_text()) == now_s / 100 + 1


def start_up(data, stand_ins, *options, settings=None):
    """Run `parktwin up` with small programs in the place of ours."""
    programs = Path(tempfile.mkdtemp(dir=data.parent))
    for name, text in stand_ins.items():
        (programs / name).mkdir()
        (programs / name / "__init__.py").write_text(SAME_PACKAGE)
        (programs / name / "__main__.py").write_text(textwrap.dedent(text))
    path = f"{programs}{os.pathsep}{ROOT}"
    ports = [f"--{name}={free_port()}" for name in ("http", "mqtt", "pg")]
    kept = {name: text for name, text in os.environ.items() if not name.startswith("PARKTWIN_")}
    return subprocess.Popen(
        [sys.executable, "-m", "deploy.cli", "up", f"--data={data}", *ports, *options],
        env={**kept, **(settings or {}), "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_up_announces_the_twin_refuses_a_second_one_and_stops_on_a_signal(data):
    stand_ins = {"ingest": SLEEPER, "api": SERVER, "simulators": SLEEPER}
    with start_up(data, stand_ins, "--simulate") as first:
        lines = [first.stdout.readline() for _ in range(8)]
        assert "console" in lines[1]
        pid = int((data / "services/mnt/postgres/postmaster.pid").read_text().split()[0])
        with start_up(data, stand_ins) as second:
            _, report = second.communicate(timeout=10)
        assert second.returncode == 2
        assert f"parktwin: {data} is in use by another parktwin — stop that one" in report
        started = time.monotonic()
        # As when a terminal is closed: several signals at once must not cut the stop short.
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            first.send_signal(number)
        first.communicate(timeout=15)
    assert time.monotonic() - started < 10
    assert first.returncode == 0
    assert not alive(pid)
    log = (data / "log/postgres.log").read_text()
    assert log.rstrip().endswith("database system is shut down")


def test_up_listens_for_others_only_with_accounts(data):
    with start_up(data, {}, f"--http=0.0.0.0:{free_port()}") as process:
        _, report = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "without accounts the console does not listen on 0.0.0.0 — --accounts" in report


def test_up_gives_each_program_its_role_and_keeps_the_password_in_private_files(data, tmp_path):
    serving = f"{TELLER}\n{TELL_ACCESS}\n{textwrap.dedent(SERVER)}"
    write_certificate(tmp_path)
    tls = ["--accounts", "--tls", str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")]
    stand_ins = {"ingest": TELLER + SLEEPER, "api": serving, "simulators": TELLER + SLEEPER}
    for log in ("ingest.log", "api.log", "simulators.log"):
        (data / "log" / log).unlink(missing_ok=True)
    with start_up(data, stand_ins, "--simulate", *tls) as process:
        printed = "".join(process.stdout.readline() for _ in range(8))
        file = data / "connection.env"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        addresses = dict(line.split("=", 1) for line in file.read_text().splitlines())
        process.send_signal(signal.SIGTERM)
        _, report = process.communicate(timeout=15)
    url = addresses["PARKTWIN_DATABASE_URL"]
    password = urlsplit(url).password
    for name in ("PARKTWIN_AUDIT_KEY", "PARKTWIN_SECRET_KEY"):
        key = Path(addresses.pop(name))
        assert (stat.S_IMODE(key.stat().st_mode), len(key.read_bytes())) == (0o600, 64)
    assert addresses.pop("PARKTWIN_ARCHIVE") == str(data / "archive")
    assert set(addresses) == {"PARKTWIN_HTTP_URL", "PARKTWIN_MQTT_URL", "PARKTWIN_DATABASE_URL"}
    assert password
    assert password not in printed + report
    assert (data / "log/ingest.log").read_text().strip() == url
    api, access, *_ = (data / "log/api.log").read_text().splitlines()
    assert access == "accounts 127.0.0.1"
    assert addresses["PARKTWIN_HTTP_URL"].startswith("https://127.0.0.1:")
    assert "first link in" in printed
    assert api.startswith("postgresql://park_reader:")
    assert password not in api
    assert (data / "log/simulators.log").read_text().strip() == "None"


async def test_up_with_accounts_lets_nobody_in_without_one_and_each_program_with_its_own(data):
    teller = "import os; print(os.environ.get('PARKTWIN_MQTT_URL'), flush=True);"
    serving = f"{teller}\n{textwrap.dedent(SERVER)}"
    stand_ins = {"ingest": teller + SLEEPER, "api": serving, "simulators": teller + SLEEPER}
    port = str(free_port())
    settings = {"PARKTWIN_ACCESS": "accounts", "PARKTWIN_MQTT_GATEWAY_PORT": port}
    for log in ("ingest.log", "api.log", "simulators.log"):
        (data / "log" / log).unlink(missing_ok=True)
    with start_up(data, stand_ins, "--simulate", settings=settings) as process:
        printed = "".join(process.stdout.readline() for _ in range(10))
        assert f"| gateways mqtt://127.0.0.1:{port} " in printed
        lines = (data / "connection.env").read_text().splitlines()
        own = urlsplit(dict(line.split("=", 1) for line in lines)["PARKTWIN_MQTT_URL"])
        for number in (own.port, int(port)):
            with pytest.raises(aiomqtt.MqttError, match="Not authorized"):
                async with aiomqtt.Client("127.0.0.1", number):
                    pass
        for name in ("park", "ingest", "simulators"):
            url = own if name == "park" else urlsplit((data / f"log/{name}.log").read_text())
            assert (url.username, url.password in printed) == (name, False)
            secret = {"username": name, "password": url.password.strip()}
            async with aiomqtt.Client("127.0.0.1", own.port, **secret):
                pass
        process.terminate()
        process.communicate(timeout=15)
    # The api needs no broker.
    assert (data / "log/api.log").read_text().splitlines()[0] == "None"


async def test_up_starts_again_on_the_same_ports_right_after_it_was_killed(data):
    stand_ins = {"ingest": SLEEPER, "api": SERVER}
    ports = [f"--{name}={free_port()}" for name in ("http", "mqtt", "pg")]
    port = int(ports[1].partition("=")[2])
    with start_up(data, stand_ins, *ports) as first:
        assert "console" in [first.stdout.readline() for _ in range(2)][1]
        async with aiomqtt.Client("127.0.0.1", port) as mqtt:
            await mqtt.publish("outlived/up", b"7", qos=1, retain=True)
        first.kill()
        first.communicate()
    with start_up(data, stand_ins, *ports) as second:
        assert "console" in [second.stdout.readline() for _ in range(2)][1]
        async with aiomqtt.Client("127.0.0.1", port) as mqtt:
            await mqtt.subscribe("outlived/up")
            assert (await anext(aiter(mqtt.messages))).payload == b"7"
        second.terminate()
        second.communicate(timeout=15)
    assert second.returncode == 0
    log = (data / "log/postgres.log").read_text()
    assert "was interrupted" not in log[log.rindex("starting PostgreSQL") :]


@pytest.mark.parametrize(("name", "settings", "sentence"), [
    ("api", {"PARKTWIN_POOL_SIZE": "0"}, "parktwin api: PARKTWIN_POOL_SIZE: Input should be"),
    ("simulators", {"PARKTWIN_MQTT_URL": "nonsense"}, "parktwin simulate: 'nonsense' is not"),
])  # fmt: skip
def test_up_ends_at_once_with_the_sentence_of_a_wrong_setting(data, name, settings, sentence):
    stand_ins = {other: SLEEPER for other in ("ingest", "api", "simulators") if other != name}
    with start_up(data, stand_ins, "--simulate", settings=settings) as process:
        _, report = process.communicate(timeout=60)
    assert process.returncode == 2
    assert f"{name} ended with status 2: {sentence}" in report
    assert "starts again" not in report


def test_up_ends_with_the_reason_when_a_program_refuses_the_settings(data):
    refusal = "import sys; print('ingest: 3 problems in park.toml'); sys.exit(2)"
    with start_up(data, {"ingest": refusal, "api": SLEEPER}) as process:
        _, report = process.communicate(timeout=15)
    assert process.returncode == 2
    assert "ingest ended with status 2: ingest: 3 problems in park.toml" in report
