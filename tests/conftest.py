"""Services for the tests: a real database and a real broker, started once, on free ports."""

import fcntl
import shutil

import asyncpg
import pytest
from hypothesis import settings

from deploy import access
from deploy.local import Services
from ingest.store import Store
from tests.support.data import DATA
from twin.loading import load_park

# One commit has one verdict: examples are drawn anew only on demand (CONTRIBUTING.md).
# Without a deadline: others use the machine as well.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")

OTHERS_LEAVE = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


def pytest_collection_modifyitems(items):
    """Put large files before small ones, and the twin's, which are quick, behind all others."""
    # What takes longest begins early, so that no worker is busy alone at the end.
    items.sort(key=lambda item: ("twin" in item.path.parts, -item.path.stat().st_size))


@pytest.fixture(scope="session")
def services(tmp_path_factory):
    """The private database server and broker."""
    own = Services(tmp_path_factory.mktemp("services"))
    # On a fresh machine the first of the workers installs what is missing, and the others wait.
    with (tmp_path_factory.getbasetemp().parent / "starting").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        own.start()
    yield own
    own.stop()


@pytest.fixture(scope="session")
def server_database(services):
    """The address of the tests' database, with nothing in it yet."""
    access.create_database(services.postgres.box, services.postgres.port, "test")
    return services.database_url.rpartition("/")[0] + "/test"


@pytest.fixture
async def database(server_database):
    """The address of the database with the schema applied anew, and nobody connected."""
    # To make and drop a database for each test takes longer than most of the tests.
    connection = await asyncpg.connect(server_database)
    await connection.execute(OTHERS_LEAVE)
    await connection.execute("DROP SCHEMA IF EXISTS park CASCADE")
    await connection.close()
    store = Store(server_database)
    await store.open()
    await store.close()
    return server_database


@pytest.fixture
async def db(database):
    """A connection to the fresh database."""
    connection = await asyncpg.connect(database, server_settings={"search_path": "park,public"})
    yield connection
    await connection.close()


@pytest.fixture
def park_folder(tmp_path):
    """The folder of a small park: two enterprises, five tags."""
    return shutil.copytree(DATA / "acme", tmp_path / "park")


@pytest.fixture
def park(park_folder):
    """The model of the small park."""
    return load_park(park_folder)


@pytest.fixture
def write(tmp_path):
    """Return what writes a file of the test's folder and returns its path."""

    def write_file(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file
