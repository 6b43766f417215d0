"""Builders for matching tests: one instrument with a tick of 0.01 and a lot of 0.001, fees 0.1 %."""

from __future__ import annotations

from decimal import Decimal

from workers.engine.events import BookDelta, BookSnapshot, Level, TopOfBook, Trade
from workers.engine.execution.matching import MatchingEngine
from workers.engine.execution.matching_types import Filled, NewOrder, Reports, SelfTrade
from workers.engine.instruments import Instrument, atoms
from workers.engine.vocabulary import OrderType, Side, TimeInForce

SYMBOL = "ABCUSD"
INSTRUMENT = Instrument(
    venue="test",
    symbol=SYMBOL,
    base="ABC",
    quote="USD",
    tick=Decimal("0.01"),
    lot=Decimal("0.001"),
    min_lots=1,
    max_lots=1_000_000,
    min_notional=Decimal(0),
    maker_fee=Decimal("0.001"),
    taker_fee=Decimal("0.001"),
)
START = {"USD": atoms("100000", "USD"), "ABC": atoms("100", "ABC")}


def snapshot(bids: list[Level], asks: list[Level], now: int = 1) -> BookSnapshot:
    return BookSnapshot(symbol=SYMBOL, ts_event=now, ts_recv=now, last_id=0, bids=tuple(bids), asks=tuple(asks))


def delta(bids: list[Level], asks: list[Level], last_id: int = 1, now: int = 1) -> BookDelta:
    return BookDelta(
        symbol=SYMBOL, ts_event=now, ts_recv=now, first_id=last_id, last_id=last_id, bids=tuple(bids), asks=tuple(asks)
    )


def top(bid: Level, ask: Level, update_id: int = 1, now: int = 1) -> TopOfBook:
    return TopOfBook(
        symbol=SYMBOL,
        ts_event=now,
        ts_recv=now,
        update_id=update_id,
        bid=bid[0],
        bid_lots=bid[1],
        ask=ask[0],
        ask_lots=ask[1],
    )


def trade(price: int, lots: int, aggressor: Side, now: int = 1) -> Trade:
    return Trade(symbol=SYMBOL, ts_event=now, ts_recv=now, trade_id=1, price=price, lots=lots, aggressor=aggressor)


def order(
    side: Side,
    lots: int,
    price: int = 0,
    *,
    client_id: str = "a",
    tif: TimeInForce = TimeInForce.GTC,
    kind: OrderType | None = None,
    self_trade: SelfTrade = SelfTrade.EXPIRE_MAKER,
    trigger: int = 0,
) -> NewOrder:
    return NewOrder(
        client_id=client_id,
        symbol=SYMBOL,
        side=side,
        order_type=kind or (OrderType.LIMIT if price else OrderType.MARKET),
        tif=tif,
        lots=lots,
        price=price,
        self_trade=self_trade,
        trigger=trigger,
    )


def opened(bids: list[Level], asks: list[Level], instrument: Instrument = INSTRUMENT) -> MatchingEngine:
    """An engine with this book displayed."""
    engine = MatchingEngine([instrument], START)
    engine.on_snapshot(snapshot(bids, asks))
    return engine


def fills(reports: list[Reports]) -> list[tuple[int, int]]:
    """(price, lots) of each execution."""
    return [(r.price, r.lots) for r in reports if isinstance(r, Filled)]
