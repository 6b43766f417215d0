"""One instrument's view: what comes out, and the state of its feed."""

import msgspec
import pytest

from tests.support.market_events import SECOND, START, delta, make_instrument, snapshot, status, top, trade
from workers.engine.events import Bar, FeedStatus, JournalEvent, MarketEvent, TopOfBook, Trade
from workers.engine.market.quality import Rejection
from workers.engine.market.view import MarketView, ViewConfig
from workers.engine.vocabulary import FeedState

BIDS = ((10_000, 5), (9_999, 7))
ASKS = ((10_002, 5), (10_003, 7))


@pytest.fixture
def view() -> MarketView:
    """In sync at update 10."""
    made = MarketView(make_instrument(), ViewConfig(bar_interval_ns=SECOND, bar_grace_ns=0))
    made.on_event(delta(1, 5), START)
    made.on_event(snapshot(10, BIDS, ASKS), START)
    return made


def delayed(event: MarketEvent, recv: int) -> MarketEvent:
    return msgspec.structs.replace(event, ts_recv=recv)


def states(events: object) -> list[FeedState]:
    return [one.state for one in events if isinstance(one, FeedStatus)]  # type: ignore[attr-defined]  # any iterable


def test_feed_is_live_only_after_the_snapshot() -> None:
    view = MarketView(make_instrument())
    assert view.state is FeedState.CONNECTING
    assert view.reference(START) is None
    assert view.on_event(delta(1, 5), START) == []
    assert view.wants_snapshot
    out = view.on_event(snapshot(5, BIDS, ASKS), START)
    assert states(out) == [FeedState.LIVE]
    assert isinstance(out[-1], TopOfBook)
    assert (view.mid, view.state) == (10_001, FeedState.LIVE)


def test_newest_of_book_and_ticker_is_the_quote(view: MarketView) -> None:
    (quote,) = view.on_event(top(15, bid=10_001, ask=10_003), START)
    assert view.top is quote
    assert view.on_event(delta(11, 14, bids=((10_000, 6),)), START) == []
    assert view.top is quote
    (newer,) = view.on_event(delta(15, 20, bids=((10_001, 2),)), START)
    assert isinstance(newer, TopOfBook)
    assert (newer.bid, newer.bid_lots, newer.update_id) == (10_001, 2, 20)


def test_unchanged_quote_is_not_repeated_but_confirms_the_reference(view: MarketView) -> None:
    later = START + SECOND // 2
    assert view.on_event(delta(11, 12, bids=((9_000, 1),), at=later), later) == []
    reference = view.reference(later + 3)
    assert reference is not None
    assert (reference.price, reference.age_ns, reference.source) == (10_001, 3, "mid")


def test_gap_makes_the_feed_stale_until_the_next_snapshot(view: MarketView) -> None:
    out = view.on_event(delta(12, 13), START)
    assert states(out) == [FeedState.STALE]
    assert view.gate.counters[Rejection.GAP] == 1
    assert view.wants_snapshot
    assert len(view.book.bids) == 0
    assert states(view.on_event(snapshot(13, BIDS, ASKS), START)) == [FeedState.LIVE]


def test_crossed_book_is_thrown_away(view: MarketView) -> None:
    before = view.top
    out = view.on_event(delta(11, 11, bids=((10_002, 1),)), START)
    assert states(out) == [FeedState.STALE]
    assert view.gate.counters[Rejection.CROSSED] == 1
    assert view.top is before


def test_book_that_differs_from_the_exchanges_own_quote_is_thrown_away(view: MarketView) -> None:
    assert states(view.on_event(top(10, bid_lots=6), START)) == [FeedState.STALE]
    assert view.gate.counters[Rejection.BOOK_MISMATCH] == 1
    assert view.on_event(delta(11, 12), START) == []
    assert view.wants_snapshot


def test_difference_is_also_found_when_the_quote_came_first(view: MarketView) -> None:
    view.on_event(top(12, bid=10_001), START)
    assert states(view.on_event(delta(11, 12), START)) == [FeedState.STALE]


def test_impossible_level_voids_the_book(view: MarketView) -> None:
    view.on_event(delta(11, 11, asks=((-4, 1),)), START)
    assert view.state is FeedState.STALE
    assert view.gate.counters[Rejection.SCHEMA] == 1


def test_one_sided_book_has_no_price(view: MarketView) -> None:
    out = view.on_event(delta(11, 11, bids=((10_000, 0), (9_999, 0))), START)
    assert states(out) == [FeedState.STALE]
    assert view.mid == 0
    assert states(view.on_event(delta(12, 12, bids=((9_998, 1),)), START)) == [FeedState.LIVE]


def test_silence_is_noticed_and_ends(view: MarketView) -> None:
    assert states(view.on_time(START + 5 * SECOND)) == []
    assert states(view.on_time(START + 5 * SECOND + 1)) == [FeedState.STALE]
    assert states(view.on_time(START + 6 * SECOND)) == []
    later = START + 7 * SECOND
    assert states(view.on_event(delta(11, 11, at=later), later)) == [FeedState.LIVE]


def test_feed_that_runs_behind_is_stale_until_it_has_caught_up(view: MarketView) -> None:
    woken = START + 3 * SECOND
    assert states(view.on_event(delayed(delta(11, 11, at=START + SECOND), woken), woken)) == [FeedState.STALE]
    assert view.detail == "2.0 s behind the venue"
    reference = view.reference(woken)
    assert reference is not None
    assert reference.age_ns == 2 * SECOND
    assert states(view.on_event(top(12, at=woken), woken)) == []
    assert states(view.on_event(delta(12, 13, at=woken), woken)) == [FeedState.LIVE]


def test_quote_without_time_is_not_believed_after_a_pause_of_our_own(view: MarketView) -> None:
    before, woken = view.top, START + 20 * SECOND
    assert view.on_event(top(12, bid=9_000, ask=9_002, at=woken), woken) == []
    assert view.top is before
    assert view.gate.counters == {Rejection.STALE: 1}
    assert states(view.on_time(woken)) == []
    assert states(view.on_event(delayed(trade(1, at=START + SECOND), woken), woken)) == [FeedState.STALE]
    assert states(view.on_event(delta(11, 13, bids=((10_001, 1),), at=woken), woken)) == [FeedState.LIVE]
    assert view.mid == 10_001


def test_silence_is_not_ended_by_a_quote_without_time(view: MarketView) -> None:
    woken = START + 20 * SECOND
    assert states(view.on_time(woken)) == [FeedState.STALE]
    assert states(view.on_event(top(12, at=woken), woken)) == []
    assert view.state is FeedState.STALE


def test_bars_close_on_event_time_and_keep_coming_without_trades(view: MarketView) -> None:
    (kept,) = view.on_event(trade(1, price=10_001, lots=3), START)
    assert isinstance(kept, Trade)
    (bar, next_trade) = view.on_event(trade(2, at=START + SECOND), START + SECOND)
    assert isinstance(bar, Bar)
    assert (bar.close, bar.volume) == (10_001, 3)
    assert isinstance(next_trade, Trade)
    bars = [one for one in view.on_time(START + 3 * SECOND) if isinstance(one, Bar)]
    assert [one.trades for one in bars] == [1, 0]
    assert list(view.bars) == [bar, *bars]


def test_bars_wait_for_what_arrived_while_our_process_was_stopped(view: MarketView) -> None:
    view.on_event(trade(1), START)
    view.on_time(START + SECOND // 2)
    woken = START + 4 * SECOND
    assert [one for one in view.on_time(woken) if isinstance(one, Bar)] == []
    view.on_event(delayed(trade(2, price=10_003, lots=7, at=START + SECOND), woken), woken)
    bars = [one for one in view.on_time(woken + SECOND // 4) if isinstance(one, Bar)]
    assert [(one.close, one.volume) for one in view.bars] == [(10_001, 1), (10_003, 7), (10_001, 0), (10_001, 0)]
    assert bars == list(view.bars)[1:]
    assert not view.gate.counters[Rejection.LATE]


def test_late_trade_is_passed_on_but_counted(view: MarketView) -> None:
    view.on_event(trade(1), START)
    view.on_event(trade(2, at=START + SECOND), START + SECOND)
    assert len(view.on_event(trade(3, at=START + 1), START + SECOND)) == 1
    assert view.gate.counters[Rejection.LATE] == 1


def test_session_break_voids_everything_and_nothing_passes_until_it_opens(view: MarketView) -> None:
    view.on_event(trade(50), START)
    view.on_time(START + SECOND)
    assert states(view.on_event(status(FeedState.BREAK, 1, detail="session 1 ended"), START)) == [FeedState.BREAK]
    assert (len(view.bars), view.top, len(view.book.bids)) == (0, None, 0)
    assert view.on_event(trade(51), START) == ()
    assert view.on_time(START + 60 * SECOND) == ()
    assert view.gate.counters[Rejection.SESSION_CLOSED] == 1

    out = view.on_event(status(FeedState.LIVE, 2, closes_at=START + 999), START)
    assert states(out) == [FeedState.CONNECTING]
    assert isinstance(out[0], FeedStatus)
    assert (out[0].session_id, out[0].closes_at) == (2, START + 999)
    # A new pass begins at lower ids and at another price: no gap, no duplicate, no spike.
    view.on_event(delta(1, 1), START)
    out = view.on_event(snapshot(1, ((5_000, 1),), ((5_001, 1),)), START)
    assert states(out) == [FeedState.LIVE]
    assert view.on_event(trade(1, price=5_000), START)
    assert view.mid == 5_000


def test_new_session_id_without_a_break_counts_as_one(view: MarketView) -> None:
    assert view.on_event(status(FeedState.LIVE, 1, closes_at=5), START) == []
    assert view.state is FeedState.LIVE
    assert view.on_event(status(FeedState.LIVE, 1, closes_at=6), START) == []
    assert view.closes_at == 6
    assert states(view.on_event(status(FeedState.LIVE, 2, closes_at=7), START)) == [FeedState.CONNECTING]
    assert view.top is None


def test_lost_connection_voids_the_book_but_not_the_bars(view: MarketView) -> None:
    view.on_event(trade(1), START)
    view.on_time(START + SECOND)
    assert states(view.on_event(status(FeedState.CONNECTING, detail="cut"), START)) == [FeedState.CONNECTING]
    assert view.detail == "cut"
    assert len(view.bars) == 1
    view.on_event(delta(90, 91), START)
    assert states(view.on_event(snapshot(91, BIDS, ASKS), START)) == [FeedState.LIVE]


def test_feed_without_depth_is_live_with_its_first_quote() -> None:
    view = MarketView(make_instrument(), ViewConfig(needs_book=False))
    assert states(view.on_event(top(1), START)) == [FeedState.LIVE]


def test_venue_bars_are_taken_where_none_are_built() -> None:
    view = MarketView(make_instrument())
    bar = Bar(
        symbol="BTCUSDT",
        ts_event=START + SECOND,
        ts_recv=START + SECOND,
        start=START,
        interval_ns=SECOND,
        open=1,
        high=2,
        low=1,
        close=2,
        volume=3,
        trades=1,
    )
    assert view.on_event(bar, START + SECOND) == (bar,)
    reference = view.reference(START + 2 * SECOND)
    assert reference is not None
    assert (reference.price, reference.age_ns, reference.source) == (2, SECOND, "close")


def test_refusals_from_outside_are_counted(view: MarketView) -> None:
    view.reject(Rejection.OFF_GRID, "price 1.005")
    assert view.gate.counters[Rejection.OFF_GRID] == 1
    assert view.gate.last_refusal == "OFF_GRID: price 1.005"


def test_what_is_no_market_event_is_a_mistake_of_the_caller(view: MarketView) -> None:
    with pytest.raises(TypeError, match="expected a market event, was MarketEvent"):
        view.on_event(MarketEvent(symbol="BTCUSDT", ts_event=1, ts_recv=1), START)
    assert not issubclass(JournalEvent, MarketEvent)
