"""Services for the tests: a real database and a real broker, started once, on free ports."""

import asyncio
import itertools

import asyncpg
import pytest

from deploy.local import Services
from ingest.store import Store
from twin.loading import load_park

NUMBERS = itertools.count(1)

PARK_TOML = """
[park]
id = "acmepark"
kind = "park"
name = {zh = "示例园区", en = "Acme park"}
timezone = "Asia/Shanghai"

[[scope]]
id = "acmepark/acme"
kind = "enterprise"
name = {zh = "示例企业", en = "Acme"}

[[scope]]
id = "acmepark/acme/caustic"
kind = "plant"
name = {zh = "烧碱", en = "Caustic"}

[[scope]]
id = "acmepark/other"
kind = "enterprise"
name = {zh = "另一企业", en = "Other"}
"""
TAGS_CSV = """tag,scope,quantity,uom,kind,low,high,sigma,description
FT-1,acmepark/acme,mass_flow,t/h,gauge,0,100,1 %,a flow
TT-1,acmepark/acme,temperature,degC,gauge,-20,200,0.5,a temperature
JQ-1,acmepark/acme,energy,kWh,counter,,,,a meter
XS-1,acmepark/acme,state,,state,,,,running
FT-9,acmepark/other,mass_flow,t/h,gauge,0,100,1 %,another flow
"""


@pytest.fixture(scope="session")
def services(tmp_path_factory):
    """The private database server and broker."""
    with Services(tmp_path_factory.mktemp("services")) as running:
        yield running


@pytest.fixture
async def database(services):
    """The address of a fresh database with the schema applied."""
    name = f"test_{next(NUMBERS)}"
    await administer(services, f"CREATE DATABASE {name}")
    url = services.database_url.rpartition("/")[0] + f"/{name}"
    store = Store(url)
    await store.open()
    await store.close()
    yield url
    await administer(services, f"DROP DATABASE {name} WITH (FORCE)")


async def administer(services, statement):
    """Run a statement in a connection of its own, waiting for TimescaleDB's workers to let go."""
    connection = await asyncpg.connect(services.database_url)
    try:
        for _ in range(50):
            try:
                return await connection.execute(statement)
            except asyncpg.ObjectInUseError:
                await asyncio.sleep(0.1)
        return await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture
async def db(database):
    """A connection to the fresh database."""
    connection = await asyncpg.connect(database, server_settings={"search_path": "park,public"})
    yield connection
    await connection.close()


@pytest.fixture
def park_folder(tmp_path):
    """The folder of a small park: two enterprises, five tags."""
    folder = tmp_path / "park"
    folder.mkdir()
    (folder / "park.toml").write_text(PARK_TOML, encoding="utf-8")
    (folder / "tags.csv").write_text(TAGS_CSV, encoding="utf-8")
    return folder


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
