"""The venue's books survive its process, killed at any moment."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.support.paper_venue import KEY, SECRET, TOKEN, Running, ready, running
from workers.live.paper_venue.config import MarketKind, VenueConfig
from workers.live.paper_venue.journal import Entry, Journal, JournalError
from workers.live.paper_venue.server import run

ROOT = Path(__file__).resolve().parents[2]


async def test_a_restarted_venue_has_the_same_books_and_a_new_session(tmp_path) -> None:
    async with running(tmp_path) as venue:
        await venue.order(newClientOrderId="open")
        await venue.order(type="MARKET", newClientOrderId="filled")
        await venue.order(newClientOrderId="gone")
        await venue.call("DELETE", "order", symbol="BTCUSDT", origClientOrderId="gone")
        before = await venue.truth()
        session = venue.venue.market.session_id
    async with running(tmp_path) as venue:
        assert await venue.truth() == before
        assert venue.venue.market.session_id == session + 1
        assert (await venue.order(newClientOrderId="filled"))[1]["msg"] == "Duplicate order sent."
        _, cancelled = await venue.call("DELETE", "order", symbol="BTCUSDT", origClientOrderId="open")
        assert cancelled["status"] == "CANCELED"
        _, bought = await venue.order(type="MARKET", newClientOrderId="later")
        assert bought["fills"][0]["tradeId"] > before["trades"][-1]["id"]
        assert {b["locked"] for b in (await venue.truth())["balances"]} == {"0.00000000"}


async def test_ids_rise_over_restarts(tmp_path) -> None:
    async def newest() -> tuple[int, int]:
        async with running(tmp_path) as venue:
            _, trades = await venue.call("GET", "trades", signed=False, symbol="BTCUSDT")
            _, book = await venue.call("GET", "depth", signed=False, symbol="BTCUSDT")
            return trades[-1]["id"], book["lastUpdateId"]

    first, second = await newest(), await newest()
    assert second[0] > first[0]
    assert second[1] > first[1]


async def test_what_was_answered_before_a_kill_is_there_after_it(tmp_path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "GEKKO_VENUE_PORT": str(port),
        "GEKKO_VENUE_STATE": str(tmp_path),
        "GEKKO_VENUE_MARKET": "synthetic",
        "GEKKO_VENUE_PREROLL_S": "2",
        "GEKKO_VENUE_API_KEY": KEY,
        "GEKKO_VENUE_API_SECRET": SECRET,
        "GEKKO_VENUE_FAULT_TOKEN": TOKEN,
        "PYTHONPATH": str(ROOT),
    }

    async def start() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "workers.live.paper_venue", env=environment, cwd=ROOT
        )

    url = f"http://127.0.0.1:{port}"
    answered: list[str] = []
    async with aiohttp.ClientSession() as http:
        process = await start()
        await reachable(http, url)
        venue = Running(None, url, http)
        for number in range(12):
            status, _ = await venue.order(newClientOrderId=f"n{number}")
            assert status == 200
            answered.append(f"n{number}")
        process.send_signal(signal.SIGKILL)
        await process.wait()
        process = await start()
        await reachable(http, url)
        truth = await venue.truth()
        process.terminate()
        assert await process.wait() == 0
    assert [o["clientOrderId"] for o in truth["orders"]] == answered
    assert {b["asset"]: b["locked"] for b in truth["balances"]}["USDT"] == "3600.00000000"


async def reachable(http: aiohttp.ClientSession, url: str) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await ready(http, url)
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.1)
            else:
                return


async def test_a_torn_last_line_is_cut_and_a_broken_one_is_named(tmp_path) -> None:
    path = tmp_path / "venue.jsonl"
    journal = Journal(path)
    await journal.append(Entry(ts=1, session=1))
    await journal.append(Entry(ts=2, session=2))
    await journal.close()
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"ts":3,"sess')
    journal = Journal(path)
    assert [e.session for e in journal.entries()] == [1, 2]
    assert path.read_bytes() == whole
    path.write_bytes(b"nonsense\n" + whole)
    with pytest.raises(JournalError, match="line 1"):
        list(journal.entries())
    with pytest.raises(JournalError, match="another paper venue"):
        Journal(path)
    await journal.close()


def test_a_port_in_use_is_one_clear_line(tmp_path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        config = VenueConfig(port=port, state_dir=tmp_path, market=MarketKind.SYNTHETIC, preroll_s=1.0)
        with pytest.raises(SystemExit, match=f"127.0.0.1:{port} is in use"):
            run(config)
