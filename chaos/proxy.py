"""The network between a machine and the server: holes, lost answers, slow lines.

One thread carries all bytes; whatever a link is told holds for its open connections, too.
"""

from __future__ import annotations

import asyncio
import random
import threading
from contextlib import suppress

CHUNK = 65536


class Link:
    """One machine's way to the server: a port of its own that faults can be set on."""

    def __init__(self, network: Network, seed: int) -> None:
        self._network = network
        self._random = random.Random(seed)
        self.port = 0
        self.requests_held = False
        """What the machine sends is kept back, and arrives when this is over."""
        self.answers_held = False
        self.delay = 0.0
        """Seconds that every piece takes at most."""
        self.lose_answers = 0.0
        """Part of the answers that never arrive: what was asked has been done."""
        self.lose_requests = 0.0
        """Part of the requests that are cut off half way."""

    def heal(self) -> None:
        """Let everything through again."""
        self.requests_held = self.answers_held = False
        self.delay = self.lose_answers = self.lose_requests = 0.0

    async def serve(self) -> None:
        """Listen until the loop ends."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]

    async def _connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            target = self._network.target
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
        except OSError:
            writer.transport.abort()
            return
        both = (writer, far_writer)
        await asyncio.gather(
            self._pump(reader, far_writer, both, is_answer=False),
            self._pump(far_reader, writer, both, is_answer=True),
        )

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        both: tuple[asyncio.StreamWriter, ...],
        *,
        is_answer: bool,
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                while self.answers_held if is_answer else self.requests_held:
                    await asyncio.sleep(0.02)
                if self.delay:
                    await asyncio.sleep(self.delay * self._random.random())
                if is_answer and self._random.random() < self.lose_answers:
                    break
                if not is_answer and self._random.random() < self.lose_requests:
                    writer.write(data[: self._random.randrange(len(data))])
                    await writer.drain()
                    break
                writer.write(data)
                await writer.drain()
        for side in both:
            side.transport.abort()


class Network:
    """All links, and the server that they lead to."""

    def __init__(self, target: int) -> None:
        self.target = target
        """The server's port; a failover changes it."""
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def link(self, seed: int) -> Link:
        """Lay a new line to the server."""
        made = Link(self, seed)
        asyncio.run_coroutine_threadsafe(made.serve(), self._loop).result(5)
        return made
