"""Properties of the books: no money unit is lost, replay is identity, totals are what the orders say."""

from __future__ import annotations

from fractions import Fraction

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.kernels import BTC, ETH, START, Rig, make_fill
from workers.engine import events as e
from workers.engine.accounting.books import Books, replay
from workers.engine.accounting.line import Line
from workers.engine.accounting.valuation import Valuation
from workers.engine.instruments import MONEY_PER_ATOM
from workers.engine.vocabulary import OrderStatus, OrderType, Side, TimeInForce

SYMBOLS = {"BTCUSDT": BTC, "ETHUSDT": ETH}


def opening() -> list[e.JournalEvent]:
    rig = Rig()
    rig.take(rig.kernel.open_session(START, epoch=1, venue="paper", worker="test", instruments=[BTC, ETH]))
    return [event for event in rig.journal if isinstance(event, e.SessionOpened)]


OPENING = opening()
ids = st.integers(0, 4).map(lambda n: f"gk1-{n}")
symbols = st.sampled_from(sorted(SYMBOLS))
sides = st.sampled_from(Side)
lots = st.integers(1, 5000)
prices = st.integers(1, 20_000)


def intended(client_id: str, symbol: str, side: Side, size: int, price: int) -> e.OrderIntended:
    return e.OrderIntended(
        ts=START,
        client_id=client_id,
        run_id="run",
        symbol=symbol,
        side=side,
        order_type=OrderType.LIMIT if price else OrderType.MARKET,
        tif=TimeInForce.GTC,
        lots=size,
        price=price,
        reduce_only=False,
        reference=100,
        forecast_id="",
        model_digest="",
        limits_version=1,
        epoch=1,
        decision={},
        stages={},
    )


fills = st.builds(
    make_fill,
    client_id=ids,
    symbol=symbols,
    side=sides,
    lots=lots,
    price=prices,
    trade_id=st.integers(1, 40),
    fee=st.integers(0, 3000),
    fee_asset=st.sampled_from(["USDT", "BTC", "ETH", "BNB"]),
)
adoptions = st.builds(
    e.BalanceAdopted,
    ts=st.just(START),
    asset=st.sampled_from(["USDT", "BTC", "ETH", "BNB"]),
    total=st.integers(0, 10**9),
)
reports = st.one_of(
    st.builds(e.OrderSent, ts=st.just(START), client_id=ids, stages=st.just({})),
    st.builds(e.OrderAccepted, ts=st.just(START), client_id=ids, venue_order_id=st.sampled_from("ab")),
    st.builds(e.OrderRejected, ts=st.just(START), client_id=ids, code=st.just("-1"), message=st.just("no")),
    st.builds(e.OrderUnknown, ts=st.just(START), client_id=ids, detail=st.just("timeout")),
    st.builds(e.OrderNotSent, ts=st.just(START), client_id=ids, detail=st.just("unsent")),
    st.builds(e.CancelRequested, ts=st.just(START), client_id=ids, reason=st.just("test")),
    st.builds(
        e.OrderEnded,
        ts=st.just(START),
        client_id=ids,
        status=st.sampled_from([OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.REJECTED]),
        detail=st.just(""),
    ),
)
intents = st.builds(intended, ids, symbols, sides, lots, st.one_of(st.just(0), prices))
marks = st.dictionaries(symbols, prices, min_size=1)


@st.composite
def journals(draw: st.DrawFn) -> list[e.JournalEvent]:
    """Any events in any order, save that an order has one intent."""
    events = draw(st.lists(st.one_of(intents, fills, reports, adoptions), max_size=40))
    seen: set[str] = set()
    kept: list[e.JournalEvent] = [*OPENING]
    for event in events:
        if isinstance(event, e.OrderIntended):
            if event.client_id in seen:
                continue
            seen.add(event.client_id)
        kept.append(event)
    return kept


@given(journals())
@settings(max_examples=200, deadline=None)
def test_no_money_unit_is_lost(journal: list[e.JournalEvent]) -> None:
    books = replay(journal)
    assert books.cash + books.cost == books.capital + books.realised - books.fees
    assert books.cost == sum(line.cost for line in books.lines.values())
    assert books.realised == sum(line.realised for line in books.lines.values())
    assert books.fees == sum(line.fees for line in books.lines.values())


@given(journals())
@settings(max_examples=100, deadline=None)
def test_balances_are_the_sum_of_what_moved(journal: list[e.JournalEvent]) -> None:
    """Against a ledger that only adds signed amounts, in fractions."""
    moved: dict[str, Fraction] = {}
    seen: set[tuple[str, int]] = set()
    for event in journal:
        if isinstance(event, e.BalanceAdopted):
            moved[event.asset] = Fraction(event.total)
        if isinstance(event, e.OrderFilled) and (event.symbol, event.trade_id) not in seen:
            seen.add((event.symbol, event.trade_id))
            item = SYMBOLS[event.symbol]
            sign = int(event.side)
            value = Fraction(event.price * event.lots * item.lot_value, MONEY_PER_ATOM)
            for asset, change in ((item.base, sign * event.lots * item.lot_atoms), ("USDT", -sign * value)):
                moved[asset] = moved.get(asset, Fraction(0)) + change
            moved[event.fee_asset] = moved.get(event.fee_asset, Fraction(0)) - event.fee
    books = replay(journal)
    for asset, amount in moved.items():
        assert books.balance(asset) == amount // 1


@given(journals())
@settings(max_examples=100, deadline=None)
def test_replay_is_identity_also_through_bytes(journal: list[e.JournalEvent]) -> None:
    coded = [msgspec.json.decode(msgspec.json.encode(event), type=e.Journalled) for event in journal]
    books = replay(journal)
    assert books.snapshot() == replay(coded).snapshot()
    stepwise = Books()
    for event in journal:
        stepwise.apply(event)
    assert msgspec.json.encode(stepwise.snapshot()) == msgspec.json.encode(books.snapshot())


@given(journals())
@settings(max_examples=100, deadline=None)
def test_news_is_what_changes_the_orders(journal: list[e.JournalEvent]) -> None:
    """A report that is no news leaves everything as it was."""
    books = Books()
    for event in journal:
        news = books.is_news(event)
        before = books.snapshot()
        books.apply(event)
        if not news:
            assert books.snapshot() == before


@given(journals())
@settings(max_examples=100, deadline=None)
def test_open_totals_are_those_of_the_open_orders(journal: list[e.JournalEvent]) -> None:
    books = replay(journal)
    for symbol, line in books.lines.items():
        mine = [order for order in books.orders.values() if order.symbol == symbol]
        working = [order for order in mine if order.status.is_open]
        assert list(line.open.values()) == [order for order in line.open.values() if order.open]
        assert sorted(line.open) == sorted(order.client_id for order in working)
        assert line.open_buy == sum(order.remaining for order in working if order.side is Side.BUY)
        assert line.open_sell == sum(order.remaining for order in working if order.side is Side.SELL)
        assert line.unknown == sum(order.status is OrderStatus.UNKNOWN for order in mine)
        assert line.reserved == sum(order.reserved for order in working)
    assert books.open_count == sum(order.open for order in books.orders.values())
    assert books.reserved == sum(line.reserved for line in books.lines.values())


@given(journals(), marks)
@settings(max_examples=100, deadline=None)
def test_stepwise_valuation_equals_a_fresh_one(journal: list[e.JournalEvent], at: dict[str, int]) -> None:
    books = Books()
    valuation = Valuation(books)
    for number, event in enumerate(journal):
        for touched in books.apply(event):
            valuation.refresh(touched)
        if number == len(journal) // 2:
            for line in books.lines.values():
                valuation.mark(line, at.get(line.symbol, 0))
    for line in books.lines.values():
        valuation.mark(line, 77)
    stepwise = (valuation.value, valuation.gross, valuation.unmarked, valuation.equity)
    extremes = [line.extreme for line in books.lines.values()]
    assert [abs(extreme) for extreme in extremes] == [max(line.worst, 0) for line in books.lines.values()]
    fresh = Valuation(books)
    assert stepwise == (fresh.value, fresh.gross, fresh.unmarked, fresh.equity)
    assert extremes == [line.extreme for line in books.lines.values()]


def test_a_short_covered_by_adopted_atoms_moves_with_the_mark_until_they_are_priced() -> None:
    books = Books()
    valuation = Valuation(books)
    for event in opening():
        books.apply(event)
    line = books.lines["BTCUSDT"]
    line.trade(-1, line.value_factor)
    line.position, line.unpriced = 0, 1
    for ticks in (1, 77):
        valuation.mark(line, ticks)
        assert valuation.value == -ticks * line.value_factor


@given(st.lists(st.tuples(sides, lots, prices), min_size=1, max_size=30))
def test_average_cost_realises_exactly_what_was_gained(trades: list[tuple[Side, int, int]]) -> None:
    line = Line(BTC)
    signed = 0
    for side, size, price in trades:
        notional = size * price * BTC.lot_value
        line.trade(int(side) * size * BTC.lot_atoms, notional)
        signed += int(side) * notional
        assert line.cost == signed + line.realised
        if line.position == 0:
            assert line.cost == 0
        else:
            assert (line.cost >= 0) == (line.position > 0)
