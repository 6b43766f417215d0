"""The generic adapter against the paper venue, which speaks Binance's protocol; and its guard of the client id."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import ccxt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support import paper_venue
from tests.support.intents import intent, soon
from workers.adapters.ccxt_exchange import ClientIdDropped, exchange, guarded
from workers.adapters.ccxt_generic import GenericVenue
from workers.adapters.ccxt_rewire import rewire
from workers.adapters.venue import OrderNotFound, Outcome, Venue, VenueBusy, VenueRejected, VenueUnknown
from workers.engine.events import OrderAccepted, OrderNotSent, OrderRejected, OrderUnknown
from workers.engine.vocabulary import OrderStatus, OrderType, Side, TimeInForce

BTC = "BTCUSDT"
CREDENTIALS = {"apiKey": paper_venue.KEY, "secret": paper_venue.SECRET}


class Left(list[str]):
    def __call__(self, client_id: str, at: int) -> None:
        self.append(client_id)


@contextlib.asynccontextmanager
async def connected(folder: Path, **options: Any) -> AsyncIterator[tuple[paper_venue.Running, GenericVenue]]:
    async with paper_venue.running(folder) as paper:
        venue = GenericVenue("binanceus", CREDENTIALS, clock=time.time_ns, url=paper.url, **options)
        await venue.open()
        try:
            await venue.load_instruments([BTC])
            yield paper, venue
        finally:
            await venue.close()


async def test_an_order_lives_from_its_sending_to_its_fills_without_a_float(tmp_path: Path) -> None:
    left = Left()
    async with connected(tmp_path) as (_, venue):
        one: Venue = venue
        assert abs(await one.synchronise_clock()) < 2000
        instrument = one.instruments[BTC]
        assert (f"{instrument.tick:f}", f"{instrument.lot:f}") == ("0.01", "0.00001")
        (accepted,) = await one.submit(intent("gk-1", BTC, lots=1_000, price=3_000_000), soon(), left)
        assert isinstance(accepted, OrderAccepted)
        assert left == ["gk-1"]
        found = await one.query(BTC, "gk-1")
        assert (found.client_id, found.status, found.lots, found.filled) == ("gk-1", OrderStatus.WORKING, 1_000, 0)
        assert [order.client_id for order in await one.open_orders()] == ["gk-1"]
        assert await one.client_id_of(BTC, accepted.venue_order_id) == "gk-1"
        (again,) = await one.submit(intent("gk-1", BTC, lots=1_000, price=3_000_000), soon(), left)
        assert isinstance(again, OrderUnknown), "the venue has this id: only a query tells what became of it"
        await one.cancel(BTC, "gk-1")
        assert (await one.query(BTC, "gk-1")).status is OrderStatus.CANCELED
        await one.submit(intent("gk-2", BTC, lots=2_345), soon(), left)
        assert (await one.query(BTC, "gk-2")).status is OrderStatus.FILLED
        trades = await one.trades(BTC, 0)
        assert sum(trade.lots for trade in trades) == 2_345
        assert await one.trades(BTC, trades[-1].trade_id) == []
        balances = await one.balances()
        fees = sum(trade.fee for trade in trades if trade.fee_asset == "BTC")
        assert balances["BTC"] == 2_345 * instrument.lot_atoms - fees
        taker = intent("gk-3", BTC, lots=100, price=3_000_000, side=Side.SELL, tif=TimeInForce.IOC)
        await one.submit(taker, soon(), left)
        assert (await one.query(BTC, "gk-3")).side is Side.SELL


async def test_an_order_whose_answer_was_lost_is_found_again(tmp_path: Path) -> None:
    async with connected(tmp_path) as (paper, venue):
        await paper.fault(order_500_after_accept=1)
        (event,) = await venue.submit(intent("lost", BTC, lots=1_000, price=3_000_000), soon(), Left())
        assert isinstance(event, OrderUnknown)
        assert (await venue.query(BTC, "lost")).status is OrderStatus.WORKING
        with pytest.raises(OrderNotFound):
            await venue.query(BTC, "never")


async def test_refusals_and_lateness(tmp_path: Path) -> None:
    left = Left()
    async with connected(tmp_path) as (_, venue):
        (poor,) = await venue.submit(intent("a", BTC, lots=10**9, price=3_000_000), soon(), left)
        assert isinstance(poor, OrderRejected)
        crossing = intent("b", BTC, lots=1_000, price=10_000_000, order_type=OrderType.LIMIT_MAKER)
        (taking,) = await venue.submit(crossing, soon(), left)
        assert isinstance(taking, OrderRejected)
        left.clear()
        (late,) = await venue.submit(intent("c", BTC, lots=1_000, price=3_000_000), time.time_ns(), left)
        assert isinstance(late, OrderNotSent)
        assert left == []
        with pytest.raises(VenueRejected, match="no spot market NOPE"):
            await venue.load_instruments(["NOPE"])


async def test_a_client_id_that_ccxt_would_drop_never_leaves(tmp_path: Path) -> None:
    left = Left()
    async with connected(tmp_path) as (paper, venue):
        before = len((await paper.truth())["orders"])
        # Binance's code passes unknown parameters on; a venue's code that drops them looks like this.
        order = intent("mine", BTC, lots=1_000, price=3_000_000)
        original = venue._order
        venue._order = lambda one: (*original(one)[:5], {})  # type: ignore[method-assign,assignment]  # drop it, as ccxt may
        (event,) = await venue.submit(order, soon(), left)
        assert isinstance(event, OrderRejected)
        assert event.code == "ClientIdDropped"
        assert len((await paper.truth())["orders"]) == before
    assert left == []


@pytest.mark.parametrize(
    ("param", "error"), [("clientOrderId", ClientIdDropped), ("client_order_id", ccxt.NetworkError)]
)
async def test_ccxts_coinbase_drops_the_unified_name_and_passes_ours_on(param: str, error: type[Exception]) -> None:
    """The trap itself, on ccxt's own class. Where our id is in the request it goes to a port where nobody listens."""
    key = ec.generate_private_key(ec.SECP256R1())
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    made = rewire(exchange("coinbase", {"apiKey": "organizations/1/apiKeys/2", "secret": secret}), "http://127.0.0.1:9")
    precision = {"amount": "0.00000001", "price": "0.01"}
    market = {"id": "BTC-USD", "symbol": "BTC/USD", "base": "BTC", "quote": "USD", "spot": True, "type": "spot"}
    made.set_markets([made.safe_market_structure({**market, "precision": precision})])
    token = guarded.set(("mine-1", lambda: True))
    try:
        with pytest.raises(error):
            await made.create_order("BTC/USD", "limit", "buy", "0.5", "100.00", {param: "mine-1"})
    finally:
        guarded.reset(token)
        await made.close()


async def test_an_order_that_waits_for_its_turn_too_long_is_not_sent(tmp_path: Path) -> None:
    left = Left()
    async with connected(tmp_path) as (paper, venue):
        before = len((await paper.truth())["orders"])
        venue._api.rateLimit = 400
        venue._api.init_throttler()
        deadline = time.time_ns() + 100_000_000
        waiting = [asyncio.create_task(venue.quote(BTC)) for _ in range(3)]
        await asyncio.sleep(0)
        (event,) = await venue.submit(intent("slow", BTC, lots=1_000, price=3_000_000), deadline, left)
        assert isinstance(event, OrderNotSent)
        assert "deadline" in event.detail
        assert len((await paper.truth())["orders"]) == before
        await asyncio.gather(*waiting)
    assert left == []


def test_every_error_has_one_outcome() -> None:
    assert VenueRejected("a", "b").outcome is Outcome.REJECTED
    assert VenueBusy("a", 1.0).outcome is Outcome.RETRYABLE
    assert VenueUnknown("a").outcome is Outcome.UNKNOWN
    with pytest.raises(ValueError, match="expected a venue of ccxt"):
        exchange("not-a-venue", {})
