"""Invariants of the market data path, on generated streams."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.market_events import SECOND, START, delta, make_instrument, snapshot, top, trade
from workers.engine.events import Bar, Level, MarketEvent, TopOfBook, Trade
from workers.engine.market.bars import BarBuilder
from workers.engine.market.book import OrderBook
from workers.engine.market.view import MarketView, ViewConfig

levels = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 5)), max_size=8)


def naive(state: dict[int, int], changes: Sequence[Level]) -> None:
    for price, lots in changes:
        if lots:
            state[price] = lots
        else:
            state.pop(price, None)


@given(start=st.tuples(levels, levels), changes=st.lists(st.tuples(levels, levels), max_size=20))
def test_book_is_the_naive_dictionary(
    start: tuple[list[Level], list[Level]], changes: list[tuple[list[Level], list[Level]]]
) -> None:
    book = OrderBook()
    first_bids, first_asks = dict(start[0]), dict(start[1])
    book.load(snapshot(0, tuple(first_bids.items()), tuple(first_asks.items())))
    bids = {price: lots for price, lots in first_bids.items() if lots}
    asks = {price: lots for price, lots in first_asks.items() if lots}
    for number, (bid_changes, ask_changes) in enumerate(changes, start=1):
        book.apply(delta(number, number, tuple(bid_changes), tuple(ask_changes)))
        naive(bids, bid_changes)
        naive(asks, ask_changes)
        assert book.bids.lots == bids
        assert book.asks.lots == asks
        assert book.bids.best() == max(bids, default=0)
        assert book.asks.best() == min(asks, default=0)
        assert book.bids.top(100) == sorted(bids.items(), reverse=True)
        assert book.asks.top(100) == sorted(asks.items())


@st.composite
def cut_streams(draw: st.DrawFn) -> tuple[list[tuple[int, int, Level]], set[int], set[int]]:
    """A depth stream, the updates that get lost, and those that come twice."""
    count = draw(st.integers(5, 40))
    stream, next_id = [], 1
    for _ in range(count):
        last_id = next_id + draw(st.integers(0, 3))
        stream.append((next_id, last_id, (draw(st.integers(1, 20)), draw(st.integers(0, 5)))))
        next_id = last_id + 1
    numbers = st.sets(st.integers(0, count - 1), max_size=4)
    return stream, draw(numbers), draw(numbers)


@given(case=cut_streams(), snapshot_lag=st.integers(0, 4))
def test_a_synchronised_book_is_always_the_exchanges_whatever_is_lost(
    case: tuple[list[tuple[int, int, Level]], set[int], set[int]], snapshot_lag: int
) -> None:
    stream, lost, repeated = case
    view = MarketView(make_instrument())
    truth: dict[int, int] = {}
    history: list[tuple[int, dict[int, int]]] = [(0, {})]
    ask = (1000, 1)
    for number, (first_id, last_id, level) in enumerate(stream):
        naive(truth, [level])
        history.append((last_id, dict(truth)))
        if number in lost:
            continue
        for _ in range(2 if number in repeated else 1):
            view.on_event(delta(first_id, last_id, (level,), (ask,)), START)
        if view.wants_snapshot and number % 3 == 2:
            known_id, known = history[max(0, len(history) - 1 - snapshot_lag)]
            view.on_event(snapshot(known_id, tuple(known.items()), (ask,)), START)
        if view.sync.synced:
            assert view.book.last_id == last_id
            assert view.book.bids.lots == truth


wild_events = st.one_of(
    st.builds(
        lambda first, length, bids, asks: delta(first, first + length, tuple(bids), tuple(asks)),
        st.integers(0, 30),
        st.integers(-1, 4),
        st.lists(st.tuples(st.integers(-1, 40), st.integers(-1, 3)), max_size=4),
        st.lists(st.tuples(st.integers(-1, 40), st.integers(-1, 3)), max_size=4),
    ),
    st.builds(lambda last, bids, asks: snapshot(last, tuple(bids), tuple(asks)), st.integers(0, 30), levels, levels),
    st.builds(
        lambda update, bid, ask, lots: top(update, bid, ask, lots, lots),
        st.integers(0, 30),
        st.integers(-1, 40),
        st.integers(-1, 40),
        st.integers(-1, 3),
    ),
    st.builds(trade, st.integers(0, 30), st.integers(-1, 40), st.integers(-1, 3)),
)


@settings(max_examples=300)
@given(events=st.lists(wild_events, max_size=60))
def test_nothing_crossed_or_impossible_ever_passes(events: list[MarketEvent]) -> None:
    view = MarketView(make_instrument())
    seen_trades: set[int] = set()
    for event in events:
        for out in view.on_event(event, START):
            if isinstance(out, TopOfBook):
                assert 0 < out.bid < out.ask
                assert out.bid_lots > 0
                assert out.ask_lots > 0
            elif isinstance(out, Trade):
                assert out.price > 0
                assert out.lots > 0
                assert out.trade_id not in seen_trades
                seen_trades.add(out.trade_id)
        if view.sync.synced:
            assert not view.book.crossed
        if view.top is not None:
            assert view.top.bid < view.top.ask


ticks = st.lists(
    st.tuples(st.integers(0, 900_000_000), st.integers(1, 1000), st.integers(1, 50)), min_size=1, max_size=80
)


@given(steps=ticks, grace=st.sampled_from([0, SECOND // 4]))
def test_bars_conserve_volume_and_leave_no_hole(steps: list[tuple[int, int, int]], grace: int) -> None:
    builder = BarBuilder("BTCUSDT", SECOND, grace)
    bars: list[Bar] = []
    times = _times(steps)
    for number, ((_, price, lots), at) in enumerate(zip(steps, times, strict=True), start=1):
        bars += builder.add(trade(number, price=price, lots=lots, at=at))
    bars += builder.advance(times[-1] + 3 * SECOND, times[-1])
    begin = times[0] + -times[0] % SECOND
    counted = sum(lots for (_, _, lots), at in zip(steps, times, strict=True) if at >= begin)
    assert sum(bar.volume for bar in bars) == counted
    assert all(one.start + SECOND == other.start for one, other in pairwise(bars))
    for bar in bars:
        assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
        assert (bar.trades == 0) == (bar.volume == 0)


def _times(steps: list[tuple[int, int, int]]) -> list[int]:
    times, at = [], START
    for step, _, _ in steps:
        at += step
        times.append(at)
    return times


@given(steps=ticks)
def test_view_and_bare_builder_make_the_same_bars(steps: list[tuple[int, int, int]]) -> None:
    view = MarketView(make_instrument(), ViewConfig(bar_interval_ns=SECOND, bar_grace_ns=0))
    builder = BarBuilder("BTCUSDT", SECOND)
    bars: list[Bar] = []
    for number, ((_, _, lots), at) in enumerate(zip(steps, _times(steps), strict=True), start=1):
        # One price: the quality gate has nothing to object to.
        tick = trade(number, price=100, lots=lots, at=at)
        bars += builder.add(tick)
        view.on_event(tick, at)
    assert list(view.bars) == bars
