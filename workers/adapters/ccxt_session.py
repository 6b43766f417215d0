"""The connection pool under ccxt, which tells when an order's bytes go to the operating system."""

from __future__ import annotations

import time
from contextvars import ContextVar
from types import SimpleNamespace

import aiohttp

from workers.adapters.venue import OnLeft

leaving: ContextVar[tuple[str, OnLeft] | None] = ContextVar("leaving", default=None)
"""Client id of the order that the present task sends, and whom to tell."""


async def _bytes_left(_: aiohttp.ClientSession, __: SimpleNamespace, ___: aiohttp.TraceRequestChunkSentParams) -> None:
    """The body of an order request is on its way; runs in the task of the request."""
    if (sending := leaving.get()) is not None:
        client_id, on_left = sending
        leaving.set(None)
        on_left(client_id, time.perf_counter_ns())


def traced_session() -> aiohttp.ClientSession:
    """A session for ``session`` in ccxt's settings."""
    trace = aiohttp.TraceConfig()
    trace.on_request_chunk_sent.append(_bytes_left)
    connector = aiohttp.TCPConnector(limit=32, keepalive_timeout=60)
    return aiohttp.ClientSession(connector=connector, trace_configs=[trace])
