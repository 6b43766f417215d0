"""ccxt's own binanceus against each of the venues that one process plays."""

from __future__ import annotations

from typing import Any

import ccxt.pro

from tests.support.paper_venue import KEY, SECRET, running
from workers.adapters.ccxt_rewire import rewire
from workers.live.paper_venue.profiles import parse

PAIR = "BTC/USDT"


def client(url: str) -> Any:
    return rewire(ccxt.pro.binanceus({"apiKey": KEY, "secret": SECRET, "enableRateLimit": False}), url)


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
