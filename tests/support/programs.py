"""Our programs as processes of a test."""

import os
import subprocess
import sys
from contextlib import asynccontextmanager

import httpx

from tests.support.stored import query
from tests.support.waiting import until


def program(module, environment, log, *options):
    """Start one of our programs."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module, *options],
        env={**os.environ, **environment},
        stdout=log,
        stderr=subprocess.STDOUT,
    )


def stop(process, seconds=10):
    """Stop a program, by force when it does not listen."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@asynccontextmanager
async def running(module, environment, log, *options):
    """Run one of our programs for the length of a block."""
    process = program(module, environment, log, *options)
    try:
        yield process
    finally:
        stop(process)


async def subscribed(environment, seconds=20.0):
    """Wait until the broker has the session of ingest, so that it keeps what is published."""

    async def connected():
        return (1.0,) in await query(
            environment["PARKTWIN_DATABASE_URL"],
            "SELECT value FROM sample_named WHERE tag = 'ingest.connected'"
            " ORDER BY time DESC LIMIT 1",
        )

    await until(connected, seconds)


async def is_ready(client):
    try:
        return (await client.get("/readyz")).status_code == 200
    except httpx.TransportError:
        return False
