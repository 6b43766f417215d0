"""ccxt's own binanceus against each of the venues that one process plays."""

from __future__ import annotations

from typing import Any

import ccxt
import ccxt.pro
import pytest

from tests.support.paper_venue import KEY, SECRET, running
from workers.adapters.ccxt_rewire import rewire
from workers.live.paper_venue.profiles import parse

PAIR = "BTC/USDT"


def client(url: str) -> Any:
    return rewire(ccxt.pro.binanceus({"apiKey": KEY, "secret": SECRET, "enableRateLimit": False}), url)


async def test_the_dark_venue_takes_immediate_orders_of_ccxt(tmp_path) -> None:
    async with running(tmp_path, venues=parse("dark:hidden_pct=100:hidden_slot_s=0.05")) as venue:
        dark = client(venue.at("dark").url)
        try:
            market = (await dark.load_markets())[PAIR]
            assert market["precision"]["price"] == 0.005
            for number in range(50):
                asked = {"timeInForce": "IOC", "minQty": "0.0005", "clientOrderId": f"ping-{number}"}
                placed = await dark.create_order(PAIR, "limit", "buy", 0.001, 70_000.005, asked)
                if placed["filled"]:
                    break
            assert 0.0005 <= placed["filled"] <= 0.001
            (trade,) = await dark.fetch_my_trades(PAIR)
            assert trade["amount"] == placed["filled"]
            # The synthetic market's spread is one tick, so that its middle is always a half one.
            assert round(trade["price"] * 1000) % 10 == 5
            assert trade["price"] < placed["price"]
            assert (await dark.fetch_order_book(PAIR))["bids"] == []
            assert await dark.fetch_trades(PAIR) == []
            with pytest.raises(ccxt.BadRequest):
                await dark.create_order(PAIR, "limit", "buy", 0.001, 30_000)
            with pytest.raises(ccxt.InvalidOrder):
                await dark.create_order(PAIR, "market", "buy", 0.001)
        finally:
            await dark.close()


async def test_each_venue_has_its_own_book_orders_and_balances(tmp_path) -> None:
    async with running(tmp_path, venues=parse("beta")) as venue:
        home, beta = client(venue.url), client(venue.at("beta").url)
        try:
            assert sorted(await beta.load_markets()) == ["BTC/USDT", "ETH/USDT"]
            book = await beta.watch_order_book(PAIR)
            assert book["bids"][0][0] < book["asks"][0][0]
            assert (await beta.watch_trades(PAIR))[0]["symbol"] == PAIR
            bought = await beta.create_order(PAIR, "market", "buy", 0.01, None, {"clientOrderId": "one"})
            assert (bought["status"], bought["filled"]) == ("closed", 0.01)
            assert (await home.create_order(PAIR, "limit", "buy", 0.01, 30_000, {"clientOrderId": "one"}))["id"] == "1"
            assert (await beta.fetch_balance())["BTC"]["free"] > 0
            balance = await home.fetch_balance()
            assert (balance["BTC"]["free"], balance["USDT"]["used"]) == (0, 300)
            assert [o["clientOrderId"] for o in await home.fetch_open_orders(PAIR)] == ["one"]
            assert await beta.fetch_open_orders(PAIR) == []
            assert (await home.fetch_my_trades(PAIR), len(await beta.fetch_my_trades(PAIR))) == ([], 1)
        finally:
            await home.close()
            await beta.close()
