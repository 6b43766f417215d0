"""ccxt's own binanceus, pointed at the paper venue by its addresses alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import ccxt
import ccxt.pro
import pytest

from tests.support.paper_venue import KEY, SECRET, running
from workers.adapters.ccxt_rewire import rewire

PAIR = "BTC/USDT"


@asynccontextmanager
async def exchange(folder: Path) -> AsyncIterator[Any]:
    async with running(folder) as venue:
        client = rewire(ccxt.pro.binanceus({"apiKey": KEY, "secret": SECRET, "enableRateLimit": False}), venue.url)
        try:
            yield client
        finally:
            await client.close()


async def test_markets_books_bars_and_trades_are_read(tmp_path) -> None:
    async with exchange(tmp_path) as client:
        markets = await client.load_markets()
        assert sorted(markets) == ["BTC/USDT", "ETH/USDT"]
        market = markets[PAIR]
        assert (market["precision"]["price"], market["precision"]["amount"]) == (0.01, 0.00001)
        assert market["limits"]["cost"]["min"] == 5
        book = await client.fetch_order_book(PAIR, 10)
        assert book["bids"][0][0] < book["asks"][0][0]
        bars = await client.fetch_ohlcv(PAIR, "1s", limit=5)
        assert len(bars) == 5
        assert all(low <= min(o, c) <= max(o, c) <= high for _, o, high, low, c, _ in bars)
        assert len(await client.fetch_trades(PAIR, limit=20)) == 20
        ticker = await client.fetch_ticker(PAIR)
        assert ticker["bid"] < ticker["ask"]


async def test_orders_are_placed_found_listed_and_cancelled(tmp_path) -> None:
    async with exchange(tmp_path) as client:
        placed = await client.create_order(PAIR, "limit", "buy", 0.01, 30_000, {"clientOrderId": "desk-1"})
        assert (placed["status"], placed["clientOrderId"]) == ("open", "desk-1")
        found = await client.fetch_order(None, PAIR, {"clientOrderId": "desk-1"})
        assert (found["id"], found["price"], found["remaining"]) == (placed["id"], 30_000, 0.01)
        assert [o["clientOrderId"] for o in await client.fetch_open_orders(PAIR)] == ["desk-1"]
        balance = await client.fetch_balance()
        assert (balance["USDT"]["used"], balance["USDT"]["free"]) == (300, 99_700)
        assert (await client.cancel_order(placed["id"], PAIR))["status"] == "canceled"
        moving = await client.create_order(PAIR, "limit", "buy", 0.01, 30_000)
        moved = await client.edit_order(moving["id"], PAIR, "limit", "buy", 0.01, 31_000)
        assert (moved["price"], [o["price"] for o in await client.fetch_open_orders(PAIR)]) == (31_000, [31_000])
        bought = await client.create_order(PAIR, "market", "buy", 0.02, None, {"clientOrderId": "desk-2"})
        assert (bought["status"], bought["filled"]) == ("closed", 0.02)
        sold = await client.create_order(PAIR, "limit", "sell", 0.01, 1000, {"timeInForce": "IOC"})
        assert sold["status"] == "closed"
        trades = await client.fetch_my_trades(PAIR)
        assert sum(t["amount"] * (1 if t["side"] == "buy" else -1) for t in trades) == pytest.approx(0.01)
        assert {t["takerOrMaker"] for t in trades} == {"taker"}


async def test_refusals_become_ccxts_own_errors(tmp_path) -> None:
    async with exchange(tmp_path) as client:
        with pytest.raises(ccxt.InsufficientFunds):
            await client.create_order(PAIR, "limit", "buy", 100, 30_000)
        with pytest.raises(ccxt.OrderNotFound):
            await client.fetch_order("999999", PAIR)
        with pytest.raises(ccxt.OrderNotFound):
            await client.cancel_order("999999", PAIR)
        with pytest.raises(ccxt.OrderImmediatelyFillable):
            await client.create_order(PAIR, "limit", "buy", 0.01, 90_000, {"postOnly": True})
        await client.create_order(PAIR, "limit", "buy", 0.01, 30_000, {"clientOrderId": "once"})
        with pytest.raises(ccxt.InvalidOrder):
            await client.create_order(PAIR, "limit", "buy", 0.01, 30_000, {"clientOrderId": "once"})
        client.secret = "wrong"
        with pytest.raises(ccxt.AuthenticationError):
            await client.fetch_balance()


async def test_public_and_private_streams_are_watched(tmp_path) -> None:
    async with exchange(tmp_path) as client:
        trades = await client.watch_trades(PAIR)
        assert trades[0]["symbol"] == PAIR
        for _ in range(5):
            book = await client.watch_order_book(PAIR)
            assert book["bids"][0][0] < book["asks"][0][0]
        orders = asyncio.create_task(client.watch_orders(PAIR))
        balances = asyncio.create_task(client.watch_balance())
        await asyncio.sleep(0.5)
        await client.create_order(PAIR, "market", "buy", 0.01, None, {"clientOrderId": "seen"})
        seen = await asyncio.wait_for(orders, 5)
        assert seen[0]["clientOrderId"] == "seen"
        balance = await asyncio.wait_for(balances, 5)
        assert balance["BTC"]["free"] == pytest.approx(0.00999)


def test_only_a_server_can_be_rewired_to() -> None:
    for url in ("127.0.0.1:18010", "ftp://127.0.0.1", "http://127.0.0.1:18010/?path"):
        with pytest.raises(ValueError, match="expected a server"):
            rewire(ccxt.pro.binanceus(), url)
