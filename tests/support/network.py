"""The wire between a worker and its venue: a relay on a port of its own that can be cut, held up and made deaf."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final

CHUNK: Final = 64 * 1024


class Wire:
    """Relays every connection to ``port``. The fields may be changed at any time."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.delay_s = 0.0
        """How long every byte takes longer, each way."""
        self.uneven_s = 0.0
        """How long what every second connection is asked takes longer: a later question overtakes an earlier order."""
        self.refusing = False
        """New connections are cut at once."""
        self.deaf = False
        """What the venue says is lost. Cut the wire afterwards: its connections are of no use any more."""
        self.flowing = asyncio.Event()
        """While it is not set nothing passes, either way; it passes later."""
        self.flowing.set()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._count = 0

    async def open(self) -> str:
        """Listen; returns the address for the worker."""
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0, limit=CHUNK)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        """Cut everything and stop listening."""
        if self._server is not None:
            self._server.close()
        self.cut()

    def cut(self) -> None:
        """Reset every connection, at both ends."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self._count += 1
        second = bool(self._count % 2)
        ends = [writer]
        try:
            if self.refusing:
                return
            there, away = await asyncio.open_connection("127.0.0.1", self.port, limit=CHUNK)
            ends.append(away)
            self._writers.add(away)
            asking = self._pass_on(reader, away, asked=True, second=second)
            await asyncio.gather(asking, self._pass_on(there, writer, asked=False))
        except OSError:
            return
        finally:
            for end in ends:
                self._writers.discard(end)
                end.transport.abort()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, asked: bool, second: bool = False
    ) -> None:
        """Until the reader ends; then the other end is told so by a reset."""
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        sending = asyncio.create_task(self._send(waiting, writer))
        try:
            while data := await reader.read(CHUNK):
                if asked or not self.deaf:
                    late_s = self.delay_s + (self.uneven_s if second else 0.0)
                    waiting.put_nowait((time.monotonic() + late_s, data))
            await waiting.join()
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await sending
            writer.transport.abort()

    async def _send(self, waiting: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        while True:
            due, data = await waiting.get()
            try:
                await asyncio.sleep(max(due - time.monotonic(), 0))
                await self.flowing.wait()
                if not writer.is_closing():
                    writer.write(data)
            finally:
                waiting.task_done()
