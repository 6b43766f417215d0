"""The venue's books survive its process, killed at any moment."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import sys
import threading
import time
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.execution import within
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


def environment(port: int, folder: Path) -> dict[str, str]:
    return os.environ | {
        "GEKKO_VENUE_PORT": str(port),
        "GEKKO_VENUE_STATE": str(folder),
        "GEKKO_VENUE_MARKET": "synthetic",
        "GEKKO_VENUE_PREROLL_S": "2",
        "GEKKO_VENUE_ORDER_LIMIT": "100000",
        "GEKKO_VENUE_API_KEY": KEY,
        "GEKKO_VENUE_API_SECRET": SECRET,
        "GEKKO_VENUE_FAULT_TOKEN": TOKEN,
        "PYTHONPATH": str(ROOT),
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def start(venue: Running, port: int, folder: Path) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "workers.live.paper_venue", env=environment(port, folder), cwd=ROOT
    )
    await reachable(venue.http, venue.url)
    return process


async def place_until_it_dies(venue: Running, prefix: str, answered: dict[str, int]) -> None:
    """Every order that was answered is written down with the id that the venue gave it."""
    kinds: list[dict[str, str]] = [{}, {"type": "MARKET"}, {"timeInForce": "IOC", "price": "90000"}]
    for number in count():
        client_id = f"{prefix}-{number}"
        try:
            status, body = await venue.order(newClientOrderId=client_id, quantity="0.0002", **kinds[number % 3])
        except (aiohttp.ClientError, OSError):
            return
        assert status == 200, body
        answered[client_id] = body["orderId"]


async def test_what_was_answered_before_a_kill_is_there_after_it(tmp_path) -> None:
    port, answered = free_port(), dict[str, int]()
    async with aiohttp.ClientSession() as http:
        venue = Running(None, f"http://127.0.0.1:{port}", http)
        for round_number in range(4):
            process = await start(venue, port, tmp_path)
            check_books(await venue.truth(), answered)
            clients = [
                asyncio.create_task(place_until_it_dies(venue, f"r{round_number}c{n}", answered)) for n in range(4)
            ]
            await asyncio.sleep(0.3 + 0.13 * round_number)
            process.send_signal(signal.SIGKILL if round_number < 3 else signal.SIGTERM)
            assert await process.wait() == (-signal.SIGKILL if round_number < 3 else 0)
            await asyncio.gather(*clients)
    assert len(answered) > 100


def check_books(truth: Any, answered: dict[str, int]) -> None:
    """Nothing answered is missing or twice, and the balances are what orders and trades say."""
    orders = {o["clientOrderId"]: o for o in truth["orders"]}
    assert len(orders) == len(truth["orders"])
    assert {c: orders[c]["orderId"] for c in answered} == answered
    assert len({t["id"] for t in truth["trades"]}) == len(truth["trades"])
    filled: dict[int, Decimal] = {}
    expected = {"USDT": Decimal(100_000), "BTC": Decimal(0), "ETH": Decimal(0)}
    for trade in truth["trades"]:
        filled[trade["orderId"]] = filled.get(trade["orderId"], Decimal(0)) + Decimal(trade["qty"])
        expected["BTC"] += Decimal(trade["qty"])
        expected["USDT"] -= Decimal(trade["quoteQty"])
        expected[trade["commissionAsset"]] -= Decimal(trade["commission"])
    assert all(Decimal(o["executedQty"]) == filled.get(o["orderId"], 0) for o in orders.values())
    locked = sum(
        (Decimal(o["price"]) * (Decimal(o["origQty"]) - Decimal(o["executedQty"])))
        for o in orders.values()
        if o["status"] in {"NEW", "PARTIALLY_FILLED"}
    )
    balances = {b["asset"]: b for b in truth["balances"]}
    assert Decimal(balances["USDT"]["locked"]) == locked
    totals = {a: Decimal(b["free"]) + Decimal(b["locked"]) for a, b in balances.items()}
    assert totals == expected


async def test_a_venue_process_cuts_its_websockets_on_command_and_ends_at_once(tmp_path) -> None:
    port = free_port()
    async with aiohttp.ClientSession() as http:
        venue = Running(None, f"http://127.0.0.1:{port}", http)
        process = await start(venue, port, tmp_path)
        for last in (False, True):
            async with venue.socket("/ws/btcusdt@trade") as stream:
                await stream.receive_str()
                began = time.monotonic()
                if last:
                    process.terminate()
                else:
                    await venue.fault(drop_websockets=True)
                async with asyncio.timeout(5):
                    while (await stream.receive()).type is aiohttp.WSMsgType.TEXT:
                        pass
                assert time.monotonic() - began < 1.5
        assert await asyncio.wait_for(process.wait(), 1.5) == 0


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


async def test_what_is_told_of_the_account_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as venue:
        disk, journal = threading.Event(), venue.venue.journal
        write = journal._write

        def slow(data: bytes) -> None:
            disk.wait(5)
            write(data)

        monkeypatch.setattr(journal, "_write", slow)
        placing = asyncio.create_task(venue.order(newClientOrderId="early"))
        await within(30, lambda: venue.venue.engine.find("early"))
        asking = asyncio.create_task(venue.call("GET", "order", symbol="BTCUSDT", origClientOrderId="early"))
        done, _ = await asyncio.wait({asking}, timeout=0.2)
        assert not done
        disk.set()
        assert (await asking)[0] == (await placing)[0] == 200


async def test_a_log_that_could_not_be_written_once_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the next line would stand behind half a line, and nobody could read either."""
    path = tmp_path / "venue.jsonl"
    journal = Journal(path)
    await journal.append(Entry(ts=1, session=1))
    await journal.flushed()
    write = os.write
    with monkeypatch.context() as full:
        room = iter((20,))

        def short(file: int, data: bytes) -> int:
            if (left := next(room, 0)) == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(file, data[:left])

        full.setattr(os, "write", short)
        with pytest.raises(OSError, match="No space left"):
            await journal.append(Entry(ts=2, session=2))
    for late in (journal.append(Entry(ts=3, session=3)), journal.flushed()):
        with pytest.raises(OSError, match="No space left"):
            await late
    await journal.close()
    again = Journal(path)
    assert [entry.session for entry in again.entries()] == [1]
    await again.close()
