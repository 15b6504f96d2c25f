"""A connection between two programs that a test can cut, freeze or slow down."""

import asyncio
from contextlib import suppress

from deploy.service import HOST

PIECE = 4_096


class Relay:
    """A port of this machine whose connections lead on to another one.

    `state` is `open`, `cut` (connections are reset, and new ones refused), `frozen` (nothing
    passes, and nobody is told) or `slow` (so many bytes a second pass, each way).
    """

    def __init__(self, port):
        self.port = 0
        self._to = port
        self._slow_bytes_s = 0
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._writers = set()
        self._tasks = set()
        self._server = None

    async def __aenter__(self):
        await self._listen()
        return self

    async def __aexit__(self, *_):
        await self.cut()
        self._thawed.set()
        while self._tasks:
            await self.cut()
            await asyncio.wait(self._tasks, timeout=0.1)

    async def _listen(self):
        self._server = await asyncio.start_server(self._accept, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self):
        """Reset all connections and take no new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()

    def freeze(self):
        """Let nothing pass, without a word."""
        self._thawed.clear()

    def slow(self, bytes_s):
        """Let so many bytes a second pass, each way and on each connection."""
        self._slow_bytes_s = bytes_s

    async def heal(self):
        """Let everything pass again."""
        self._thawed.set()
        self._slow_bytes_s = 0
        if self._server is None:
            await self._listen()

    async def _accept(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            await self._thawed.wait()
            far_reader, far_writer = await asyncio.open_connection(HOST, self._to)
        except OSError:
            writer.transport.abort()
        else:
            self._writers |= {writer, far_writer}
            await asyncio.gather(self._pass(reader, far_writer), self._pass(far_reader, writer))
            self._writers -= {writer, far_writer}
        finally:
            self._tasks.discard(task)

    async def _pass(self, reader, writer):
        with suppress(OSError):
            while data := await reader.read(PIECE if self._slow_bytes_s else 1 << 18):
                await self._thawed.wait()
                if self._slow_bytes_s:
                    await asyncio.sleep(len(data) / self._slow_bytes_s)
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
