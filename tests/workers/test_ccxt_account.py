"""Orders whose answer was lost, and trades, at venues of ccxt: what cannot be seen whole is not taken for absent."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs

import ccxt.async_support as ccxt
import pytest

from tests.support.fake_ccxt import MARKET, PAIR, FakeApi
from tests.support.intents import intent, soon
from workers.adapters import ccxt_generic
from workers.adapters.account_poller import AccountPoller
from workers.adapters.ccxt_exchange import BY_CLIENT_ID, asked_about, exchange, offer
from workers.adapters.ccxt_generic import GenericVenue
from workers.adapters.venue import OrderNotFound, OrderUnsure, VenueUnknown
from workers.engine.events import JournalEvent, OrderFilled, OrderUnknown
from workers.engine.market.reconnect import Backoff
from workers.engine.vocabulary import OrderStatus

MINE = "gk1-0123456789ab-1-1"
DAY_MS = 86_400_000
KEYS = {"apiKey": "k" * 32, "secret": "c2VjcmV0c2VjcmV0c2VjcmV0", "password": "p", "uid": "1"}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@contextlib.asynccontextmanager
async def venue_of(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GenericVenue]:
    monkeypatch.setattr(ccxt_generic, "exchange", lambda _code, _settings, **_: api)
    venue = GenericVenue("bitfinex", KEYS, clock=time.time_ns)
    await venue.open()
    try:
        await venue.load_instruments([MARKET])
        yield venue
    finally:
        await venue.close()


# -- orders


async def test_an_order_that_filled_while_its_answer_was_lost_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    api = FakeApi()
    api.lose = True
    async with venue_of(api, monkeypatch) as venue:
        (event,) = await venue.submit(intent(MINE, MARKET, lots=1_000), soon(), lambda *_: None)
        assert isinstance(event, OrderUnknown)
        assert (await venue.query(MARKET, MINE)).status is OrderStatus.FILLED


async def test_a_filled_order_is_found_where_nothing_lists_what_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its trade shows that there is an order which no listing tells."""
    api = FakeApi(listed=False)
    api.lose = True
    async with venue_of(api, monkeypatch) as venue:
        await venue.submit(intent(MINE, MARKET, lots=1_000), soon(), lambda *_: None)
        assert (await venue.query(MARKET, MINE)).status is OrderStatus.FILLED
        api.orders[0]["clientOrderId"] = None
        venue._ids.clear()
        with pytest.raises(OrderUnsure, match="does not tell its client id"):
            await venue.query(MARKET, MINE)


@pytest.mark.parametrize("oldest", [True, False])
async def test_an_order_is_looked_for_on_every_page(oldest: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    api = FakeApi(page=500, oldest=oldest)
    for number in range(1_200):
        api.order(MINE if number == 650 else f"other-{number}", now_ms() - DAY_MS // 2 + number * 10_000)
    async with venue_of(api, monkeypatch) as venue:
        assert (await venue.query(MARKET, MINE)).venue_order_id == "o650"
        began = time.time_ns()
        with pytest.raises(OrderNotFound, match="none of 1200 orders") as missing:
            await venue.query(MARKET, "never")
    assert missing.value.since < began - 29 * DAY_MS * 1_000_000, "looked for among the orders of the last month"


async def test_pages_that_may_hide_the_order_leave_it_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest fifty orders of two hundred, whatever is asked for: neither there nor not there."""
    api = FakeApi(page=50, until=False)
    for number in range(200):
        api.order(f"other-{number}", now_ms() - DAY_MS // 2 + number * 10_000)
    async with venue_of(api, monkeypatch) as venue:
        with pytest.raises(OrderUnsure, match="cannot be asked for what is older"):
            await venue.query(MARKET, MINE)
    api = FakeApi(page=50)
    for number in range(60):
        api.order(f"other-{number}", now_ms() - number, status="open")
    async with venue_of(api, monkeypatch) as venue:
        with pytest.raises(OrderUnsure, match="50 open orders at once"):
            await venue.query(MARKET, MINE)


async def test_listings_without_client_ids_do_not_show_that_an_order_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    api = FakeApi()
    api.order(MINE, now_ms() - 1_000)
    api.anonymous = True
    async with venue_of(api, monkeypatch) as venue:
        assert (await venue.query(MARKET, MINE)).client_id == MINE, "each is looked up"


async def test_an_order_that_cannot_be_told_about_does_not_keep_other_fills_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api = FakeApi(page=50)
    for number in range(60):
        api.order(f"other-{number}", now_ms() - number, status="open")
    other = api.order("mine-too", now_ms())
    api.fill(other["id"], now_ms())
    events: list[JournalEvent] = []
    states: list[bool] = []
    async with venue_of(api, monkeypatch) as venue:
        poller = AccountPoller(
            venue=venue,
            working=lambda: {MINE: MARKET},
            newest_trade=lambda _symbol: 0,
            on_reports=events.extend,
            on_state=lambda connected, _detail: states.append(connected),
            clock=time.time_ns,
            backoff=Backoff(random.Random(1), base_s=0.01, cap_s=0.02),
            interval_s=0.01,
        )
        task = asyncio.create_task(poller.run())
        try:
            async with asyncio.timeout(10):
                while not states:  # noqa: ASYNC110  # told by another task
                    await asyncio.sleep(0.005)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    assert states == [True]
    assert [one.client_id for one in events if isinstance(one, OrderFilled)] == ["mine-too"]


def test_a_venue_where_a_lost_order_cannot_be_found_is_refused() -> None:
    for code in ("gemini", "bitso", "bitbank"):
        assert any("an order whose answer was lost" in one for one in offer(code, KEYS).lacking), code
    for code in ("kraken", "bitstamp", "okx"):
        assert not any("an order whose answer was lost" in one for one in offer(code, KEYS).lacking), code


@pytest.mark.parametrize("code", sorted(BY_CLIENT_ID))
async def test_ccxt_asks_these_venues_by_our_id_alone(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []

    async def fetch(_self: Any, url: str, _method: str = "GET", _headers: Any = None, body: Any = None) -> Any:
        sent.append(f"{url} {body or ''}")
        raise ccxt.RequestTimeout("no network here")

    monkeypatch.setattr(ccxt.Exchange, "fetch", fetch)
    made = exchange(code, dict(KEYS))
    precision = {"amount": "0.00000001", "price": "0.01"}
    market = {"id": MARKET, "symbol": PAIR, "base": "BTC", "quote": "USDT", "spot": True, "type": "spot"}
    made.set_markets([made.safe_market_structure({**market, "precision": precision})])
    token = asked_about.set(MINE)
    try:
        with pytest.raises(ccxt.RequestTimeout):
            await made.fetch_order(None, PAIR, {"clientOrderId": MINE})
    finally:
        asked_about.reset(token)
        await made.close()
    assert len(sent) == 1
    assert MINE in sent[0]
    assert "None" not in sent[0]


# -- trades


@pytest.mark.parametrize("oldest", [True, False])
async def test_all_trades_are_told_whatever_the_pages_are_like(oldest: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    api = FakeApi(page=50, oldest=oldest)
    for number in range(200):
        api.fill("o0", now_ms() - DAY_MS + number * 60_000)
    async with venue_of(api, monkeypatch) as venue:
        told = await venue.trades(MARKET, 0)
        assert [one.trade_id for one in told] == list(range(1, 201))
        api.asked.clear()
        assert await venue.trades(MARKET, 200) == []
        newest = api.fills[-1]["timestamp"]
        assert api.asked == [newest - 1], "one request, from what was compared on"
        api.fill("o0", now_ms() - 1_000)
        assert [one.trade_id for one in await venue.trades(MARKET, 200)] == [201]


@pytest.mark.parametrize("oldest", [True, False])
async def test_trades_that_cannot_be_told_whole_are_not_told(oldest: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    api = FakeApi(page=100, oldest=oldest)
    for _ in range(260):
        api.fill("o0", 1_000 * (now_ms() // 1_000) - DAY_MS)
    async with venue_of(api, monkeypatch) as venue:
        with pytest.raises(VenueUnknown, match="may be missing"):
            await venue.trades(MARKET, 0)
    api = FakeApi(page=50, until=False)
    for number in range(200):
        api.fill("o0", now_ms() - DAY_MS + number * 60_000)
    async with venue_of(api, monkeypatch) as venue:
        with pytest.raises(VenueUnknown, match="may be missing"):
            await venue.trades(MARKET, 0)


async def test_trades_since_an_old_one_are_looked_for_further_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that was away for ten days does not lose the trades of the first three."""
    api = FakeApi()
    for days in (20, 9, 8, 1):
        api.fill("o0", now_ms() - days * DAY_MS)
    async with venue_of(api, monkeypatch) as venue:
        assert [one.trade_id for one in await venue.trades(MARKET, 1)] == [2, 3, 4]


async def test_a_trade_that_vanishes_says_that_the_listing_cannot_be_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    api = FakeApi()
    api.fill("o0", now_ms() - 60_000)
    async with venue_of(api, monkeypatch) as venue:
        assert len(await venue.trades(MARKET, 0)) == 1
        api.fills.clear()
        with pytest.raises(VenueUnknown, match="told before and is not shown any more"):
            await venue.trades(MARKET, 1)


async def test_what_came_after_an_old_trade_is_not_read_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    api = FakeApi()
    api.fill("o0", now_ms() - 40 * DAY_MS)
    async with venue_of(api, monkeypatch) as venue:
        assert await venue.trades(MARKET, 1) == []
        api.asked.clear()
        assert await venue.trades(MARKET, 1) == []
        assert now_ms() - api.asked[0] < DAY_MS
        api.fill("o0", now_ms())
        assert [one.trade_id for one in await venue.trades(MARKET, 1)] == [2]
        assert [one.trade_id for one in await venue.trades(MARKET, 0)] == [2], "all of a week"


async def test_an_address_that_cannot_be_used_leaves_no_connection_open() -> None:
    venue = GenericVenue("kraken", KEYS, clock=time.time_ns, url="https://127.0.0.1:9/.")
    with pytest.raises(ValueError, match="expected a server"):
        await venue.open()
    assert venue._session.closed


async def test_with_no_trades_only_the_newest_time_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    api = FakeApi()
    async with venue_of(api, monkeypatch) as venue:
        assert await venue.trades(MARKET, 0) == []
        assert await venue.trades(MARKET, 0) == []
        first, second = api.asked
        assert second - first > 6 * DAY_MS
        api.fill("o0", now_ms())
        assert len(await venue.trades(MARKET, 0)) == 1


async def test_fills_of_one_millisecond_with_names_are_told_whatever_their_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Numbers made of names do not grow within a millisecond: a later fill may have the lower one."""
    api, at = FakeApi(), now_ms() - 5_000
    for name in "abcdef":
        api.fill("o0", at)
        api.fills[-1]["id"] = name
    kept, api.fills = api.fills, api.fills[:1]
    async with venue_of(api, monkeypatch) as venue:
        (first,) = await venue.trades(MARKET, 0)
        api.fills = kept
        assert len(await venue.trades(MARKET, first.trade_id)) == 5


# -- through ccxt's own code


class Kraken:
    """History of an account over several markets, told fifty rows at a time, the newest first."""

    def __init__(self, markets: int) -> None:
        ids = ["XXBTZUSD", "XETHZUSD", "XLTCZUSD"][:markets]
        began = now_ms() / 1000 - 80_000
        self.trades = {
            f"T{number:03}": {
                "ordertxid": "O1",
                "pair": ids[number % markets],
                "time": began + number * 7,
                "type": "buy",
                "price": "100.0",
                "cost": "1",
                "fee": "0.01",
                "vol": "0.01",
            }
            for number in range(300)
        }
        self.closed = {
            f"O{number:03}": {
                "cl_ord_id": MINE if number == 30 else f"other-{number}",
                "status": "closed",
                "opentm": began + number * 7,
                "closetm": began + number * 7 + 1,
                "vol": "0.01",
                "vol_exec": "0.01",
                "descr": {"pair": ids[number % markets], "type": "buy", "ordertype": "limit", "price": "100.0"},
            }
            for number in range(300)
        }
        self.requests = 0

    async def fetch(self, url: str, _method: str = "GET", _headers: Any = None, body: str | None = None) -> Any:
        self.requests += 1
        asked = {name: values[0] for name, values in parse_qs(body or "").items()}
        if url.endswith("TradesHistory"):
            return {"error": [], "result": {"trades": self._page(self.trades, "time", asked)}}
        if url.endswith("ClosedOrders"):
            wanted = asked["cl_ord_id"]
            closed = {name: one for name, one in self.closed.items() if one["cl_ord_id"] == wanted}
            return {"error": [], "result": {"closed": self._page(closed, "closetm", asked)}}
        if url.endswith("OpenOrders"):
            return {"error": [], "result": {"open": {}}}
        raise AssertionError(url)

    @staticmethod
    def _page(rows: dict[str, Any], time_of: str, asked: dict[str, str]) -> dict[str, Any]:
        first, last = float(asked.get("start", 0)), float(asked.get("end", 1e12))
        found = [(name, one) for name, one in rows.items() if first < one[time_of] <= last]
        return dict(sorted(found, key=lambda one: -one[1][time_of])[:50])


@contextlib.asynccontextmanager
async def kraken_of(server: Kraken, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GenericVenue]:
    async def fetch(_self: Any, *request: Any) -> Any:
        return await server.fetch(*request)

    monkeypatch.setattr(ccxt.Exchange, "fetch", fetch)
    venue = GenericVenue("kraken", KEYS, clock=time.time_ns)
    await venue.open()
    api = venue._api
    api.enableRateLimit = False
    rows = []
    for base, name in (("BTC", "XXBTZUSD"), ("ETH", "XETHZUSD"), ("LTC", "XLTCZUSD")):
        precision = {"amount": "0.00000001", "price": "0.1"}
        market = {"id": name, "symbol": f"{base}/USD", "base": base, "quote": "USD", "spot": True, "type": "spot"}
        rows.append(api.safe_market_structure({**market, "precision": precision, "active": True}))
    api.set_markets(rows)
    try:
        await venue.load_instruments(["XXBTZUSD"])
        yield venue
    finally:
        await venue.close()


@pytest.mark.parametrize("markets", [1, 3])
async def test_pages_are_told_from_answers_that_hold_other_markets_too(
    markets: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ccxt leaves the other markets' rows out, so that a page that was cut looks short."""
    server = Kraken(markets)
    async with kraken_of(server, monkeypatch) as venue:
        told = await venue.trades("XXBTZUSD", 0)
        assert len(told) == 300 // markets
        assert server.requests < 20
        server.requests = 0
        assert await venue.trades("XXBTZUSD", told[-1].trade_id) == []
        assert server.requests == 1


async def test_an_order_is_found_behind_the_newest_page_of_an_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    async with kraken_of(Kraken(1), monkeypatch) as venue:
        assert (await venue.query("XXBTZUSD", MINE)).venue_order_id == "O030"
        with pytest.raises(OrderNotFound, match="open or closed"):
            await venue.query("XXBTZUSD", "never")
