"""Bars on event time."""

import pytest

from tests.support.market_events import SECOND, START, trade
from workers.engine.events import Bar
from workers.engine.market.bars import MAX_FILL, BarBuilder


@pytest.fixture
def builder() -> BarBuilder:
    return BarBuilder("BTCUSDT", SECOND)


def values(bar: Bar) -> tuple[int, ...]:
    return (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.trades)


def test_bar_holds_first_high_low_last_and_sums(builder: BarBuilder) -> None:
    for trade_id, (price, lots) in enumerate(((50, 2), (53, 1), (49, 4), (51, 3)), start=1):
        assert builder.add(trade(trade_id, price=price, lots=lots, at=START + (trade_id - 1) * 1000)) == []
    (bar,) = builder.advance(START + SECOND, ts_recv=7)
    assert values(bar) == (50, 53, 49, 51, 10, 4)
    assert (bar.start, bar.ts_event, bar.ts_recv) == (START, START + SECOND, 7)


def test_interval_in_which_the_feed_began_is_left_out(builder: BarBuilder) -> None:
    assert builder.add(trade(1, at=START + 1)) == []
    assert builder.partial == 1
    assert builder.late == 0
    builder.add(trade(2, price=70, at=START + SECOND))
    (bar,) = builder.advance(START + 2 * SECOND, 0)
    assert bar.start == START + SECOND
    assert values(bar) == (70, 70, 70, 70, 1, 1)


def test_empty_intervals_are_filled_flat_at_mid_or_last_close(builder: BarBuilder) -> None:
    builder.add(trade(1, price=50, at=START))
    bars = builder.advance(START + 3 * SECOND, 0)
    assert [values(bar) for bar in bars] == [
        (50, 50, 50, 50, 1, 1),
        (50, 50, 50, 50, 0, 0),
        (50, 50, 50, 50, 0, 0),
    ]
    (bar,) = builder.advance(START + 4 * SECOND, 0, mid=55)
    assert values(bar) == (55, 55, 55, 55, 0, 0)


def test_no_bar_without_any_price(builder: BarBuilder) -> None:
    assert builder.advance(START, 0) == []
    assert builder.advance(START + 2 * SECOND, 0) == []


def test_late_trade_is_refused_and_counted(builder: BarBuilder) -> None:
    builder.add(trade(1, at=START))
    builder.add(trade(2, at=START + SECOND))
    builder.add(trade(3, at=START + SECOND - 1))
    assert builder.late == 1


def test_grace_lets_trades_in_after_the_end() -> None:
    builder = BarBuilder("BTCUSDT", SECOND, grace_ns=SECOND // 10)
    builder.add(trade(1, lots=1, at=START))
    assert builder.add(trade(2, lots=2, at=START + SECOND + 5)) == []
    assert builder.add(trade(3, lots=4, at=START + SECOND - 5)) == []
    (first,) = builder.advance(START + SECOND + SECOND // 10, 0)
    assert first.volume == 5
    (second,) = builder.advance(START + 3 * SECOND - SECOND // 2, 0)
    assert second.volume == 2


def test_long_silence_starts_a_new_series(builder: BarBuilder) -> None:
    builder.add(trade(1, at=START))
    assert builder.advance(START + (MAX_FILL + 2) * SECOND, 0) == []
    assert builder.last_close == 0


def test_reset_drops_the_open_bar(builder: BarBuilder) -> None:
    builder.add(trade(1, at=START))
    builder.reset()
    assert builder.advance(START + SECOND, 0) == []


@pytest.mark.parametrize(("interval", "grace"), [(0, 0), (-1, 0), (10, 10), (10, -1)])
def test_impossible_interval_is_refused(interval: int, grace: int) -> None:
    with pytest.raises(ValueError, match="expected interval"):
        BarBuilder("BTCUSDT", interval, grace)
