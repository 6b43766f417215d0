"""The matching engine: what an order meets, where it queues, and what it costs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.matching import INSTRUMENT, START, SYMBOL, delta, fills, opened, order, snapshot, top, trade
from workers.engine.execution.matching import MatchingEngine
from workers.engine.execution.matching_latency import LatencyModel
from workers.engine.execution.matching_types import Ended, EndReason, Filled, Refusal, Refused, SelfTrade
from workers.engine.instruments import atoms
from workers.engine.vocabulary import OrderStatus, OrderType, Side, TimeInForce

BUY, SELL = Side.BUY, Side.SELL
IOC, FOK = TimeInForce.IOC, TimeInForce.FOK
BIDS, ASKS = [(1000, 10), (999, 20)], [(1001, 10), (1002, 20)]


def refusal(reports) -> Refusal:
    (report,) = reports
    assert isinstance(report, Refused)
    return report.refusal


def test_a_market_order_walks_the_book_and_expires_what_is_left() -> None:
    engine = opened(BIDS, ASKS)
    reports = engine.submit(order(BUY, 35), 5)
    assert fills(reports) == [(1001, 10), (1002, 20)]
    ended = reports[-1]
    assert isinstance(ended, Ended)
    assert (ended.status, ended.reason) == (OrderStatus.EXPIRED, EndReason.UNFILLED)


def test_displayed_liquidity_is_taken_only_once() -> None:
    engine = opened(BIDS, ASKS)
    assert fills(engine.submit(order(BUY, 6, 1001, client_id="a", tif=IOC), 5)) == [(1001, 6)]
    assert fills(engine.submit(order(BUY, 6, 1001, client_id="b", tif=IOC), 5)) == [(1001, 4)]
    assert fills(engine.submit(order(BUY, 6, 1001, client_id="c", tif=IOC), 5)) == []


def test_only_what_is_added_to_a_level_can_be_taken_after_it_was_emptied() -> None:
    engine = opened(BIDS, ASKS)
    engine.submit(order(BUY, 10, 1001, client_id="a", tif=IOC), 5)
    engine.on_delta(delta([], [(1001, 13)]))
    assert fills(engine.submit(order(BUY, 10, 1001, client_id="b", tif=IOC), 5)) == [(1001, 3)]
    engine.on_delta(delta([], [(1001, 0)]))
    engine.on_delta(delta([], [(1001, 4)]))
    assert fills(engine.submit(order(BUY, 10, 1001, client_id="c", tif=IOC), 5)) == [(1001, 4)]


def test_fill_or_kill_is_all_or_nothing() -> None:
    engine = opened(BIDS, ASKS)
    reports = engine.submit(order(BUY, 31, 1002, client_id="a", tif=FOK), 5)
    assert fills(reports) == []
    assert engine.balances.total("USD") == START["USD"]
    assert engine.balances.locked("USD") == 0
    assert fills(engine.submit(order(BUY, 30, 1002, client_id="b", tif=FOK), 5)) == [(1001, 10), (1002, 20)]


def test_post_only_is_refused_when_it_would_take() -> None:
    engine = opened(BIDS, ASKS)
    assert refusal(engine.submit(order(BUY, 1, 1001, kind=OrderType.LIMIT_MAKER), 5)) is Refusal.WOULD_TAKE
    engine.submit(order(BUY, 1, 1000, kind=OrderType.LIMIT_MAKER), 5)
    assert [o.status for o in engine.open_orders()] == [OrderStatus.WORKING]


def test_the_published_queue_example(market_data: Path) -> None:
    cases = json.loads((market_data / "reference" / "cases.json").read_text())["cases"]
    (case,) = (c for c in cases if c["id"] == "sim-queue-54")
    given, expected = case["inputs"], case["expected"]
    engine = opened([(1000, given["queue_ahead"])], ASKS)
    engine.submit(order(BUY, given["order"], 1000), 5)
    (resting,) = engine.open_orders()
    filled, ahead = [], []
    for lots in given["sell_trades"]:
        filled.append(sum(n for _, n in fills(engine.on_trade(trade(1000, lots, SELL)))))
        ahead.append(resting.ahead)
    assert filled == expected["fills"]
    assert ahead == expected["queue_after"]


def test_the_queue_only_shortens_with_depth_and_is_empty_when_the_level_is_deleted() -> None:
    engine = opened(BIDS, ASKS)
    engine.submit(order(BUY, 5, 999), 5)
    (resting,) = engine.open_orders()
    assert resting.ahead == 20
    engine.on_delta(delta([(999, 8)], []))
    assert resting.ahead == 8
    engine.on_delta(delta([(999, 50)], []))
    assert resting.ahead == 8
    engine.on_delta(delta([(999, 0)], []))
    assert resting.ahead == 0


def test_best_bid_and_offer_do_not_shorten_the_queue_since_the_trade_follows() -> None:
    engine = opened(BIDS, ASKS)
    engine.submit(order(BUY, 5, 1000), 5)
    engine.on_top(top((1000, 2), (1001, 10)))
    assert fills(engine.on_trade(trade(1000, 8, SELL))) == []
    assert fills(engine.on_trade(trade(1000, 4, SELL))) == [(1000, 2)]


def test_a_trade_through_the_price_fills_at_the_limit_and_never_more_than_was_traded() -> None:
    engine = opened(BIDS, ASKS)
    engine.submit(order(BUY, 50, 1000), 5)
    assert fills(engine.on_trade(trade(998, 30, SELL))) == [(1000, 30)]


def test_a_buyer_does_not_serve_resting_bids() -> None:
    engine = opened(BIDS, ASKS)
    engine.submit(order(BUY, 50, 1000), 5)
    assert fills(engine.on_trade(trade(1000, 300, BUY))) == []


def test_the_other_side_displayed_at_the_price_fills_a_resting_order_as_maker() -> None:
    engine = opened(BIDS, ASKS)
    engine.submit(order(BUY, 15, 1000), 5)
    reports = engine.on_delta(delta([(1000, 0)], [(999, 4), (1000, 6)]))
    assert fills(reports) == [(1000, 4), (1000, 6)]
    assert all(r.maker for r in reports if isinstance(r, Filled))


def test_a_better_price_is_served_first_then_the_older_order() -> None:
    engine = opened([(990, 1)], ASKS)
    engine.submit(order(BUY, 5, 999, client_id="worse"), 1)
    engine.submit(order(BUY, 5, 1000, client_id="older"), 2)
    engine.submit(order(BUY, 5, 1000, client_id="younger"), 3)
    served = [(r.order.client_id, r.lots) for r in engine.on_trade(trade(999, 12, SELL)) if isinstance(r, Filled)]
    assert served == [("older", 5), ("younger", 5), ("worse", 2)]


def test_a_trade_at_a_better_price_does_not_reach_a_worse_one() -> None:
    engine = opened([(1000, 1)], ASKS)
    engine.submit(order(BUY, 5, 999), 1)
    assert fills(engine.on_trade(trade(1000, 50, SELL))) == []


def test_replacing_loses_the_place_in_the_queue() -> None:
    engine = opened([(990, 1)], ASKS)
    engine.submit(order(BUY, 5, 1000, client_id="first"), 1)
    engine.submit(order(BUY, 5, 1000, client_id="second"), 2)
    first = engine.find("first")
    assert first is not None
    engine.replace(first.order_id, order(BUY, 5, 1000, client_id="first-again"), 3)
    served = [r.order.client_id for r in engine.on_trade(trade(1000, 6, SELL)) if isinstance(r, Filled)]
    assert served == ["second", "first-again"]


@pytest.mark.parametrize(
    ("mode", "maker", "taker", "traded"),
    [
        (SelfTrade.EXPIRE_MAKER, OrderStatus.EXPIRED, OrderStatus.FILLED, [(1001, 10), (1003, 5)]),
        (SelfTrade.EXPIRE_TAKER, OrderStatus.WORKING, OrderStatus.EXPIRED, [(1001, 10)]),
        (SelfTrade.EXPIRE_BOTH, OrderStatus.EXPIRED, OrderStatus.EXPIRED, [(1001, 10)]),
    ],
)
def test_an_order_never_meets_one_of_its_own_account(mode, maker, taker, traded) -> None:
    engine = opened(BIDS, [(1001, 10), (1003, 20)])
    engine.submit(order(SELL, 5, 1002, client_id="maker"), 1)
    reports = engine.submit(order(BUY, 15, 1003, client_id="taker", self_trade=mode), 2)
    assert fills(reports) == traded
    made, taken = engine.find("maker"), engine.find("taker")
    assert made is not None
    assert taken is not None
    assert (made.status, taken.status) == (maker, taker)


def test_money_moves_exactly_and_the_fee_is_taken_from_what_is_received() -> None:
    engine = opened(BIDS, ASKS)
    engine.submit(order(BUY, 10, 1002), 5)
    assert engine.balances.free("USD") == atoms("100000", "USD") - atoms("0.1001", "USD")
    assert engine.balances.free("ABC") == atoms("100.00999", "ABC")
    assert engine.balances.locked("USD") == 0
    reports = engine.submit(order(SELL, 10, client_id="b"), 6)
    assert isinstance(reports[1], Filled)
    assert reports[1].fee == atoms("0.0001", "USD")
    assert engine.balances.free("USD") == atoms("100000", "USD") - atoms("0.1001", "USD") + atoms("0.0999", "USD")


def test_a_resting_order_holds_its_cost_and_gives_it_back() -> None:
    engine = opened(BIDS, ASKS)
    engine.submit(order(BUY, 10, 900), 5)
    assert engine.balances.locked("USD") == atoms("0.09", "USD")
    (resting,) = engine.open_orders()
    engine.cancel(resting.order_id, 6)
    assert (engine.balances.locked("USD"), engine.balances.free("USD")) == (0, START["USD"])
    assert refusal(engine.cancel(resting.order_id, 7)) is Refusal.UNKNOWN_ORDER


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (order(SELL, 200_000, 900), Refusal.INSUFFICIENT_BALANCE),
        (order(BUY, 1_000_000, 100_000), Refusal.INSUFFICIENT_BALANCE),
        (order(BUY, 0, 900), Refusal.LOT_SIZE),
        (order(BUY, 1_000_001, 900), Refusal.LOT_SIZE),
        (order(BUY, 1, 900, kind=OrderType.MARKET), Refusal.PRICE_FILTER),
        (order(BUY, 1, 0, kind=OrderType.LIMIT), Refusal.PRICE_FILTER),
    ],
)
def test_what_cannot_be_is_refused(new, expected) -> None:
    engine = opened(BIDS, ASKS)
    assert refusal(engine.submit(new, 5)) is expected
    assert engine.orders == {}


def test_a_client_id_is_used_once_even_when_its_order_is_over() -> None:
    engine = opened(BIDS, ASKS)
    engine.submit(order(BUY, 1), 5)
    assert refusal(engine.submit(order(BUY, 1), 6)) is Refusal.DUPLICATE_CLIENT_ID


def test_a_session_break_ends_everything_and_refuses_until_the_next_book() -> None:
    engine = opened(BIDS, ASKS)
    engine.submit(order(BUY, 1, 900), 5)
    (ended,) = engine.close(SYMBOL, 6)
    assert isinstance(ended, Ended)
    assert ended.reason is EndReason.SESSION_BREAK
    assert engine.balances.locked("USD") == 0
    assert refusal(engine.submit(order(BUY, 1, 900, client_id="b"), 7)) is Refusal.MARKET_CLOSED
    engine.on_snapshot(snapshot([(500, 5)], [(501, 5)]))
    assert fills(engine.submit(order(BUY, 1, 900, client_id="c"), 8)) == [(501, 1)]


def test_a_restored_order_joins_the_back_of_the_next_books_queue() -> None:
    engine = opened(BIDS, ASKS)
    engine.submit(order(BUY, 5, 1000), 5)
    (resting,) = engine.open_orders()
    again = MatchingEngine([INSTRUMENT], START)
    again.restore(resting)
    assert again.balances.locked("USD") == engine.balances.locked("USD")
    again.on_snapshot(snapshot([(1000, 77)], ASKS))
    assert again.open_orders()[0].ahead == 77
    again.submit(order(BUY, 1, 900, client_id="next"), 6)
    assert [o.order_id for o in again.open_orders()] == [resting.order_id, resting.order_id + 1]


def test_latency_repeats_under_its_seed_and_keeps_its_median() -> None:
    model = LatencyModel(seed=3, constant_ns=1000, median_ns=500, sigma=0.5)
    samples = [model.sample_ns() for _ in range(2001)]
    again = LatencyModel(seed=3, constant_ns=1000, median_ns=500, sigma=0.5)
    assert samples == [again.sample_ns() for _ in range(2001)]
    assert min(samples) > 1000
    assert sorted(samples)[1000] == pytest.approx(1500, rel=0.05)
    with pytest.raises(ValueError, match="expected delays"):
        LatencyModel(seed=1, constant_ns=-1, median_ns=0, sigma=0.0)
