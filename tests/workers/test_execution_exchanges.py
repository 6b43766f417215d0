"""The whole trading loop at venues other than Binance: fakes that speak their protocols, and ccxt's unified methods."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.execution import Desk, assert_books_agree, journalled, paper_venue, within
from tests.support.fake_coinbase import PRODUCT, FakeCoinbase
from tests.support.fake_coinbase_exchange import KEY as EXCHANGE_KEY
from tests.support.fake_coinbase_exchange import PASSPHRASE, FakeExchange
from tests.support.fake_coinbase_exchange import SECRET as EXCHANGE_SECRET
from tests.support.fake_oanda import ACCOUNT, TOKEN, FakeOanda
from tests.support.scripted import Script, follow_script
from workers.engine.accounting.books import replay
from workers.engine.events import OrderIntended, OrderUnknown
from workers.engine.instruments import from_atoms
from workers.engine.vocabulary import FeedState, OrderStatus, Side
from workers.live.execution.config import VenueAccess

EUR = "EUR_USD"
FX = "EUR_USD@fx"
KEY = ed25519.Ed25519PrivateKey.generate()
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
MINUTE_NS = 60_000_000_000
MakeDesk = Callable[..., Desk]


@pytest.fixture
async def make_desk(tmp_path: Path) -> AsyncIterator[MakeDesk]:
    """Makes desks on one journal and ends those that a failed test leaves behind."""
    made: list[Desk] = []
    Script.forget()

    def make(symbol: str, *, url: str | None = None, interval_ns: int = MINUTE_NS, **settings: Any) -> Desk:
        desk = Desk(tmp_path / "journal", url, symbols=(symbol,), **settings)
        follow_script(desk, [symbol], interval_ns)
        made.append(desk)
        return desk

    yield make
    for desk in made:
        if not desk.ended:
            await desk.kill()


def of_coinbase(fake: FakeCoinbase) -> dict[str, str]:
    """Its addresses and our key there."""
    host = f"127.0.0.1:{fake.port}"
    key = {"api_key": fake.key_name, "api_secret": PEM}
    return {**key, "rest_url": f"http://{host}", "stream_url": f"ws://{host}"}


def of_oanda(fake: FakeOanda) -> dict[str, str]:
    """Its addresses and our key there."""
    return {"api_key": ACCOUNT, "api_secret": TOKEN, "rest_url": fake.url, "stream_url": fake.url}


@contextlib.asynccontextmanager
async def alive(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Something that goes on beside the test."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def ready(desk: Desk, symbol: str) -> None:
    """Everything that an order needs is there."""
    await desk.start()
    await trading(desk, symbol)


async def trading(desk: Desk, symbol: str) -> None:
    feeds = desk.books.feeds
    await within(20, lambda: bool(desk.books.runs) and desk.loop.reconciled and feeds.get(symbol) is FeedState.LIVE)


def position(desk: Desk, symbol: str) -> Decimal:
    return from_atoms(desk.books.lines[symbol].position)


def assert_nothing_twice(desk: Desk) -> None:
    """The journal replays to the same books, and each order was meant and is known once."""
    told = journalled(desk.loop.config.journal_dir)
    assert replay(told).snapshot() == desk.books.snapshot()
    assert not desk.books.anomalies
    meant = [event.client_id for event in told if isinstance(event, OrderIntended)]
    assert sorted(meant) == sorted(desk.books.orders)


async def test_any_venue_of_ccxt_is_traded_at(make_desk: MakeDesk, tmp_path: Path) -> None:
    async with paper_venue(tmp_path / "venue") as venue:
        port = int(venue.url.rsplit(":", 1)[1])
        desk = make_desk("BTCUSDT", url=venue.url, code="ccxt:binanceus", order_timeout_s=1.0)
        await ready(desk, "BTCUSDT")
        assert len(Script.warmed) > 1, "candles came before the first order"
        Script.want("BTCUSDT", Side.BUY, 1_000)
        await within(30, lambda: desk.books.fills and not desk.books.open_orders())
    await within(30, lambda: not desk.loop.connected)
    async with paper_venue(tmp_path / "venue", port=port) as venue:
        await trading(desk, "BTCUSDT")
        await venue.fault(order_500_after_accept=1)
        Script.want("BTCUSDT", Side.SELL, 900)
        bought = desk.books.fills
        await within(30, lambda: desk.books.fills > bought and not desk.books.open_orders())
        assert any(isinstance(event, OrderUnknown) for event in journalled(desk.loop.config.journal_dir))
        await within(30, lambda: desk.loop.reconciled)
        await desk.stop()
        await assert_books_agree(desk, venue)
    assert_nothing_twice(desk)


async def test_coinbase_is_traded_at(make_desk: MakeDesk) -> None:
    async with FakeCoinbase(KEY.public_key()).running() as fake, alive(fake.pulse()):
        desk = make_desk(PRODUCT, venue="coinbase", **of_coinbase(fake))
        await ready(desk, PRODUCT)
        assert len(Script.warmed) == 1000
        lot = 100_000_000
        Script.want(PRODUCT, Side.BUY, lot // 2)
        await within(30, lambda: position(desk, PRODUCT) == Decimal("2.25"))
        Script.want(PRODUCT, Side.BUY, lot // 2, price=9_950)
        await within(30, lambda: [o for o in desk.books.open_orders() if o.status is OrderStatus.WORKING])
        fake.down = True
        await fake.disconnect()
        await within(30, lambda: not desk.loop.connected)
        fake.fill("order-2", "0.1", "99.50")
        fake.down = False
        await trading(desk, PRODUCT)
        await within(30, lambda: position(desk, PRODUCT) == Decimal("2.35"))
        fake.fail_after_accepting = True
        Script.want(PRODUCT, Side.SELL, 12_345_679)
        await within(30, lambda: position(desk, PRODUCT) == Decimal("2.22654321"))
        caretaker = desk.loop.home.caretaker
        assert caretaker is not None
        passes = caretaker.passes
        caretaker.want()
        await within(30, lambda: caretaker.passes > passes and desk.loop.reconciled)
        await desk.stop()
        assert [one["status"] for one in fake.orders.values()] == ["FILLED", "CANCELLED", "FILLED"]
        assert len(fake.posted) == 3
        # The venue counts finer than we do: what it rounds is taken over.
        assert desk.books.balances() == {asset: round(total * 10**8) for asset, total in fake.totals().items()}
    assert any(isinstance(event, OrderUnknown) for event in journalled(desk.loop.config.journal_dir))
    assert_nothing_twice(desk)


async def test_the_older_coinbase_exchange_is_traded_at(make_desk: MakeDesk) -> None:
    async with FakeExchange().running() as fake, alive(fake.pulse()):
        key = {"api_key": EXCHANGE_KEY, "api_secret": EXCHANGE_SECRET, "api_password": PASSPHRASE}
        where = {"rest_url": f"http://{fake.host}", "stream_url": f"ws://{fake.host}"}
        desk = make_desk(PRODUCT, venue="coinbaseexchange", **key, **where)
        await ready(desk, PRODUCT)
        assert len(Script.warmed) == 1000
        lot = 100_000_000
        Script.want(PRODUCT, Side.BUY, lot // 2)
        await within(30, lambda: position(desk, PRODUCT) == Decimal("2.25"))
        Script.want(PRODUCT, Side.BUY, lot // 2, price=9_950)
        await within(30, lambda: [o for o in desk.books.open_orders() if o.status is OrderStatus.WORKING])
        fake.down = True
        await fake.disconnect()
        await within(30, lambda: not desk.loop.connected)
        fake.fill("order-2", "0.1", "99.50")
        fake.down = False
        await trading(desk, PRODUCT)
        await within(30, lambda: position(desk, PRODUCT) == Decimal("2.35"))
        fake.fail_after_accepting = True
        Script.want(PRODUCT, Side.SELL, 12_345_679)
        await within(30, lambda: position(desk, PRODUCT) == Decimal("2.22654321"))
        caretaker = desk.loop.home.caretaker
        assert caretaker is not None
        passes = caretaker.passes
        caretaker.want()
        await within(30, lambda: caretaker.passes > passes and desk.loop.reconciled)
        await desk.stop()
        assert fake.refused == []
        assert len(fake.posted) == 3
        assert desk.books.balances() == {asset: round(total * 10**8) for asset, total in fake.totals().items()}
    assert any(isinstance(event, OrderUnknown) for event in journalled(desk.loop.config.journal_dir))
    assert_nothing_twice(desk)


async def test_oanda_is_traded_at_and_its_margin_account_agrees_with_books_of_spot(make_desk: MakeDesk) -> None:
    async with FakeOanda().running() as fake, alive(fake.pulse()):
        desk = make_desk(EUR, interval_ns=5_000_000_000, venue="oanda", **of_oanda(fake))
        await ready(desk, EUR)
        assert len(Script.warmed) == 1000
        Script.want(EUR, Side.BUY, 100)
        await within(30, lambda: position(desk, EUR) == 100)
        Script.want(EUR, Side.BUY, 50, price=109_900)
        await within(30, lambda: [o for o in desk.books.open_orders() if o.status is OrderStatus.WORKING])
        fake.down, fake.fill_price = True, "1.09900"
        fake.say(None)
        await within(30, lambda: not desk.loop.connected)
        (resting,) = (one for one in fake.orders.values() if one["state"] == "PENDING")
        fake.fill(resting["id"])
        fake.down = False
        await trading(desk, EUR)
        assert position(desk, EUR) == 150
        fake.fail_after_accepting = fake.forgets_ids = True
        fake.fill_price = "1.10017"
        Script.want(EUR, Side.SELL, 113)
        await within(30, lambda: position(desk, EUR) == 37)
        fake.finance("-0.0123")
        await within(30, lambda: desk.books.funding < 0 and desk.loop.reconciled)
        await within(30, lambda: Script.closed)
        await desk.stop()
        assert len(fake.posted) == 3
        cash = fake.balance - sum(Decimal(one["currentUnits"]) * Decimal(one["price"]) for one in fake.trades.values())
        ours = {asset: from_atoms(total) for asset, total in desk.books.balances().items()}
        assert ours == {"EUR": 37, "USD": cash}
        # 113 units at a profit of 0.00017 and more each make more decimals than the account has.
        assert from_atoms(desk.books.fees_paid["USD"]) != Decimal("0.15")
    assert any(isinstance(event, OrderUnknown) for event in journalled(desk.loop.config.journal_dir))
    assert_nothing_twice(desk)


async def test_two_exchanges_are_traded_at_by_one_account(make_desk: MakeDesk) -> None:
    """One at home and one beside it, each with its own cash, its own way of filling, and its own financing."""
    async with (
        FakeCoinbase(KEY.public_key()).running() as coinbase,
        FakeOanda().running() as oanda,
        alive(coinbase.pulse()),
        alive(oanda.pulse()),
    ):
        beside = VenueAccess(name="fx", code="oanda", url=None, symbols=(EUR,), **of_oanda(oanda))
        desk = make_desk(PRODUCT, venue="coinbase", others=(beside,), **of_coinbase(coinbase))
        follow_script(desk, [PRODUCT, FX], MINUTE_NS)
        await ready(desk, PRODUCT)
        await trading(desk, FX)
        Script.want(PRODUCT, Side.BUY, 10**7)
        Script.want(FX, Side.BUY, 20)
        await within(30, lambda: desk.books.fills == 2)
        oanda.finance("-0.0100")
        await within(30, lambda: desk.books.funding < 0 and desk.loop.reconciled)
        await desk.stop()
        ours = {asset: from_atoms(total) for asset, total in desk.books.balances().items()}
        spot = oanda.balance - 20 * Decimal("1.10000")
        assert ours == {**coinbase.totals(), "EUR@fx": 20, "USD@fx": spot}
    assert {record for record, _ in desk.books.trades} == {PRODUCT, FX, f"{FX} funding"}
    assert_nothing_twice(desk)
