"""OANDA v20 against a fake on loopback: orders, positions, fills, prices, candles."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fake_oanda import ACCOUNT, TOKEN, FakeOanda, now_text
from tests.support.intents import intent, soon
from workers.adapters.feeds import Access, Endpoints, FeedProblem, listed
from workers.adapters.frame_errors import FrameError
from workers.adapters.oanda.stream import OandaDecoder, OandaStream, price_fetch
from workers.adapters.oanda.venue import OandaVenue
from workers.adapters.polling import Poller
from workers.adapters.rest_reader import RestReader
from workers.adapters.store import Kind, SeriesKey, Store, instrument_of, load_bars
from workers.adapters.store.download import download
from workers.adapters.store.replay import replay
from workers.adapters.venue import OrderNotFound, Venue, VenueRejected
from workers.engine.events import (
    FeedStatus,
    MarketEvent,
    OrderAccepted,
    OrderEnded,
    OrderFilled,
    OrderRejected,
    OrderUnknown,
    TopOfBook,
)
from workers.engine.instruments import from_atoms
from workers.engine.market.reconnect import ReconnectConfig
from workers.engine.market.view import MarketView, ViewConfig
from workers.engine.vocabulary import FeedState, OrderStatus, OrderType, Side, TimeInForce
from workers.live.recorder import Recorder

EUR = "EUR_USD"


def left(client_id: str, at: int) -> None:
    """Nobody measures here."""


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # the condition is in another task's objects
            await asyncio.sleep(0.002)


@pytest.fixture
async def fake() -> AsyncIterator[FakeOanda]:
    async with FakeOanda().running() as one:
        yield one


@pytest.fixture
async def venue(fake: FakeOanda) -> AsyncIterator[OandaVenue]:
    one = OandaVenue(TOKEN, ACCOUNT, clock=time.time_ns, url=fake.url)
    await one.open()
    await one.load_instruments([EUR])
    yield one
    await one.close()


async def test_market_order_fills_in_its_answer_and_makes_a_position(fake: FakeOanda, venue: OandaVenue) -> None:
    one: Venue = venue
    accepted, filled = await one.submit(intent("a", EUR, lots=100, side=Side.SELL), soon(), left)
    assert isinstance(accepted, OrderAccepted)
    assert isinstance(filled, OrderFilled)
    assert (filled.side, filled.lots, filled.price, filled.fee, filled.fee_asset) == (
        Side.SELL,
        100,
        110_000,
        5_000_000,
        "USD",
    )
    assert fake.posted[0] == {
        "instrument": EUR,
        "units": "-100",
        "positionFill": "DEFAULT",
        "clientExtensions": {"id": "a"},
        "type": "MARKET",
        "timeInForce": "IOC",
    }
    assert await venue.positions() == {EUR: -100}
    assert await one.balances() == {"EUR": -100 * 10**8, "USD": 111_007_340_000}, "as if it had been sold for cash"
    found = await one.query(EUR, "a")
    assert (found.status, found.filled, found.side) == (OrderStatus.FILLED, 100, Side.SELL)
    assert await one.client_id_of(EUR, found.venue_order_id) == "a"


async def test_limit_orders_wait_are_found_and_cancelled(fake: FakeOanda, venue: OandaVenue) -> None:
    (accepted,) = await venue.submit(intent("a", EUR, lots=5, price=109_000, reduce_only=True), soon(), left)
    assert isinstance(accepted, OrderAccepted)
    assert (fake.posted[0]["price"], fake.posted[0]["positionFill"]) == ("1.09000", "REDUCE_ONLY")
    assert [one.client_id for one in await venue.open_orders()] == ["a"]
    (again,) = await venue.submit(intent("a", EUR, lots=5, price=109_000), soon(), left)
    assert isinstance(again, OrderUnknown), "the venue has it already: only a query tells"
    await venue.cancel(EUR, "a")
    assert (await venue.query(EUR, "a")).status is OrderStatus.CANCELED
    for ask in (venue.cancel, venue.query):
        with pytest.raises(OrderNotFound):
            await ask(EUR, "never")
    with pytest.raises(OrderNotFound):
        await venue.cancel(EUR, "a")


async def test_a_limit_that_must_not_rest_has_a_worst_price(fake: FakeOanda, venue: OandaVenue) -> None:
    order = intent("a", EUR, lots=5, price=109_999, tif=TimeInForce.FOK)
    _, ended = await venue.submit(order, soon(), left)
    assert isinstance(ended, OrderEnded)
    assert ended.detail == "BOUNDS_VIOLATION"
    assert (fake.posted[0]["type"], fake.posted[0]["timeInForce"], fake.posted[0]["priceBound"]) == (
        "MARKET",
        "FOK",
        "1.09999",
    )


async def test_fills_are_read_page_by_page(fake: FakeOanda, venue: OandaVenue) -> None:
    for number in range(4):
        await venue.submit(intent(f"m{number}", EUR, lots=number + 1), soon(), left)
    trades = await venue.trades(EUR, 0)
    assert [one.lots for one in trades] == [1, 2, 3, 4]
    assert [one.lots for one in await venue.trades(EUR, trades[1].trade_id)] == [3, 4]


@pytest.mark.parametrize(
    ("answer", "kind", "word"),
    [
        (
            (400, {"errorMessage": "m", "orderRejectTransaction": {"rejectReason": "INSUFFICIENT_MARGIN"}}),
            OrderRejected,
            "INSUFFICIENT_MARGIN",
        ),
        ((429, {}), OrderRejected, "VENUE_BUSY"),
        ((503, {}), OrderUnknown, "503"),
        ((201, {"odd": 1}), OrderUnknown, "unreadable"),
    ],
)
async def test_every_answer_means_one_thing(
    fake: FakeOanda, venue: OandaVenue, answer: Any, kind: type, word: str
) -> None:
    fake.answers = [answer]
    (event,) = await venue.submit(intent("a", EUR, lots=1), soon(), left)
    assert isinstance(event, kind)
    assert word in f"{event}"


async def test_what_the_venue_does_not_have_is_refused_before_it_leaves(fake: FakeOanda, venue: OandaVenue) -> None:
    order = intent("a", EUR, lots=1, price=1, order_type=OrderType.LIMIT_MAKER)
    (event,) = await venue.submit(order, soon(), left)
    assert isinstance(event, OrderRejected)
    assert fake.posted == []
    with pytest.raises(VenueRejected, match="no instrument 'GBP_USD'"):
        await venue.load_instruments(["GBP_USD"])


async def test_prices_make_a_market_that_opens_and_closes(fake: FakeOanda, venue: OandaVenue) -> None:
    view = MarketView(venue.instruments[EUR], ViewConfig(needs_book=False))
    out: list[MarketEvent] = []
    refused: list[FrameError] = []
    stream = OandaStream(
        TOKEN,
        ACCOUNT,
        venue.instruments.values(),
        url=fake.url,
        on_event=lambda event, times: out.extend(view.on_event(event, time.time_ns())),
        on_refused=refused.append,
        patience=ReconnectConfig(base_s=0.01, cap_s=0.02, good_messages=2, silence_s=0.5),
        rng=random.Random(3),
    )
    task = asyncio.create_task(stream.run())
    try:
        await until(lambda: fake.lines)
        fake.say({"type": "HEARTBEAT", "time": "2024-01-01T00:00:00.000000000Z"})
        fake.price("1.10000", "1.10010")
        await until(lambda: view.state is FeedState.LIVE)
        fake.price("1.10000", "1.100105")
        await until(lambda: refused)
        assert refused[0].reason == "OFF_GRID"
        fake.price("1.10001", "1.10010", tradeable=False)
        await until(lambda: view.state is FeedState.BREAK)
        fake.price("1.10002", "1.10012")
        await until(lambda: view.state is FeedState.LIVE)
        fake.say(None)
        await until(lambda: fake.connects == 2 and fake.lines)
        assert stream.stats.last_disconnect == "closed by venue"
        fake.price("1.10003", "1.10013")
        await until(lambda: view.top is not None and view.top.bid == 110_003)
        await until(lambda: stream.stats.last_disconnect == "silent for 0.5 s")
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    quotes = [(one.bid, one.ask_lots) for one in out if isinstance(one, TopOfBook)]
    assert quotes == [(110_000, 2_000_000), (110_002, 2_000_000), (110_003, 2_000_000)]
    assert [one.state for one in out if isinstance(one, FeedStatus)][:3] == [
        FeedState.LIVE,
        FeedState.BREAK,
        FeedState.CONNECTING,
    ]


async def test_prices_are_confirmed_by_heartbeats_and_polled_while_the_stream_is_away(
    fake: FakeOanda, venue: OandaVenue
) -> None:
    view = MarketView(venue.instruments[EUR], ViewConfig(needs_book=False))
    told: list[MarketEvent] = []
    instruments = list(venue.instruments.values())
    rest = RestReader(fake.url, headers={"Authorization": f"Bearer {TOKEN}"})
    stream = OandaStream(
        TOKEN,
        ACCOUNT,
        instruments,
        url=fake.url,
        on_event=lambda event, times: told.extend(view.on_event(event, time.time_ns())),
        on_refused=lambda error: None,
        fallback=Poller(
            [EUR], price_fetch(rest, ACCOUNT, instruments, time.time_ns), venue="oanda", interval_s=0.02, after_s=0.0
        ),
        patience=ReconnectConfig(base_s=0.01, cap_s=0.02, good_messages=2),
        rng=random.Random(3),
    )
    task = asyncio.create_task(stream.run())
    try:
        await until(lambda: fake.lines)
        fake.price("1.10000", "1.10010")
        await until(lambda: view.top)
        first = view.reference(0)
        assert first is not None
        fake.say({"type": "HEARTBEAT", "time": now_text()})
        await until(lambda: view.reference(0).age_ns < first.age_ns)  # type: ignore[union-attr]  # it stays known
        fake.refuse_streams = True
        fake.say(None)
        await until(lambda: view.top and view.top.bid == 109_990)
        fake.refuse_streams = False
        await until(lambda: fake.connects == 2 and fake.lines)
        fake.price("1.10003", "1.10010")
        await until(lambda: view.top and view.top.bid == 110_003)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await rest.__aexit__(None, None, None)
    states = [one.state for one in told if isinstance(one, FeedStatus)]
    assert states == [FeedState.LIVE, FeedState.CONNECTING, FeedState.LIVE, FeedState.CONNECTING, FeedState.LIVE]


@settings(max_examples=6, deadline=None)
@given(st.lists(st.tuples(st.integers(-40, 40).filter(bool), st.integers(109_000, 111_000)), min_size=1, max_size=8))
def test_books_of_spot_agree_with_the_margin_account_after_any_trades(orders: list[tuple[int, int]]) -> None:
    """Opening, adding, reducing, turning: what the venue rounds is in the fees, and a fresh adapter reads the same."""

    async def trade() -> None:
        async with FakeOanda().running() as fake:
            venue, fresh = (OandaVenue(TOKEN, ACCOUNT, clock=time.time_ns, url=fake.url) for _ in range(2))
            cash, held, fees = fake.balance, Decimal(0), []
            for one in (venue, fresh):
                await one.open()
                await one.load_instruments([EUR])
            for number, (units, ticks) in enumerate(orders):
                fake.fill_price = f"{Decimal(ticks).scaleb(-5)}"
                side = Side.BUY if units > 0 else Side.SELL
                _, fill = await venue.submit(intent(f"o{number}", EUR, lots=abs(units), side=side), soon(), left)
                assert isinstance(fill, OrderFilled)
                fees.append(fill.fee)
                held += units
                cash -= units * Decimal(fake.fill_price) + from_atoms(fill.fee)
            balances = await fresh.balances()
            assert {asset: from_atoms(total) for asset, total in balances.items()} == {"EUR": held, "USD": cash}
            assert [one.fee for one in await fresh.trades(EUR, 0)] == fees
            for one in (venue, fresh):
                await one.close()

    asyncio.run(trade())


async def test_prices_are_recorded_and_candles_stored(fake: FakeOanda, tmp_path: Path) -> None:
    where = Endpoints(fake.url, fake.url)
    with pytest.raises(FeedProblem, match="GEKKO_OANDA_TOKEN"):
        await listed("oanda", [EUR], where)
    access = Access(TOKEN, ACCOUNT)
    instruments = await listed("oanda", [EUR], where, access)
    recorder = Recorder("oanda", instruments, where, tmp_path / "tape", access=access)
    task = asyncio.create_task(recorder.run())
    await until(lambda: fake.lines)
    fake.price("1.10000", "1.10010")
    await until(lambda: recorder.views[EUR].state is FeedState.LIVE)
    (path,) = recorder.paths
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    (quote,) = replay(path, OandaDecoder(instruments.values()))
    assert quote == recorder.views[EUR].top

    store, day = Store(tmp_path / "store"), 1_704_067_200 * 10**9
    key = SeriesKey(Kind.BARS, "oanda", EUR, "1h")
    done = await download(store, key, where, start_ns=day, end_ns=day + 10 * 3600 * 10**9, token=TOKEN)
    assert done.added == 9, "the last candle is not complete"
    bars = list(load_bars("oanda", EUR, None, None, "1h", root=store.root))
    one = instrument_of("oanda", EUR, "1h", root=store.root)
    assert {one.price(bar.close) for bar in bars} == {Decimal("1.100015")}
    assert {bar.trades for bar in bars} == {12}
