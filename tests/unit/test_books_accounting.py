"""Books: what fills, fees, adopted balances and late reports do to them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.support.kernels import BTC, ETH, START, Rig, instrument, make_fill
from workers.engine import events as e
from workers.engine.accounting.books import Books, BooksError, replay
from workers.engine.accounting.valuation import Valuation
from workers.engine.config import DAY_NS
from workers.engine.instruments import MONEY_PER_UNIT, atoms, money
from workers.engine.vocabulary import OrderStatus, Side

LOTS = 100_000
"""One BTC."""


def usd(amount: str) -> int:
    return money(amount, "USDT")


@pytest.fixture
def rig() -> Rig:
    rig = Rig().open()
    rig.top("BTCUSDT", 100_00, 100_02)
    rig.top("ETHUSDT", 10_00, 10_02)
    return rig


def bought(rig: Rig, lots: int = LOTS, price: int = 100_00, **fee: Any) -> str:
    client_id = rig.order("BTCUSDT", Side.BUY, lots, price)
    assert client_id is not None
    rig.accept(client_id)
    rig.fill(client_id, lots, price, **fee)
    return client_id


def sold(rig: Rig, lots: int, price: int, **fee: Any) -> str:
    client_id = rig.order("BTCUSDT", Side.SELL, lots, price)
    assert client_id is not None, rig.last_denial()
    rig.accept(client_id)
    rig.fill(client_id, lots, price, **fee)
    return client_id


def test_a_round_trip_with_fees_in_the_quote_asset(rig: Rig) -> None:
    bought(rig, fee=atoms("0.1", "USDT"))
    assert rig.books.cash == usd("99899.9")
    rig.top("BTCUSDT", 100_49, 100_51)
    assert rig.kernel.valuation.unrealised == usd("0.5")
    sold(rig, LOTS, 100_50, fee=atoms("0.1005", "USDT"))
    books = rig.books
    assert books.lines["BTCUSDT"].position == 0
    assert (books.realised, books.fees, books.cost) == (usd("0.5"), usd("0.2005"), 0)
    assert books.cash == usd("100000") + books.realised - books.fees
    assert rig.kernel.valuation.equity == books.cash
    rig.check_replay()


def test_a_fee_in_the_base_asset_shrinks_the_position_and_costs_its_worth(rig: Rig) -> None:
    fee = atoms("0.001", "BTC")
    bought(rig, fee=fee, fee_asset="BTC")
    books = rig.books
    assert books.lines["BTCUSDT"].position == atoms("1", "BTC") - fee
    assert books.fees == usd("0.1")
    assert books.realised == 0
    assert books.cash == usd("99900")
    assert books.cash + books.cost == books.capital + books.realised - books.fees
    assert books.balance("BTC") == atoms("0.999", "BTC")
    assert rig.kernel.desk.position("BTCUSDT") == 99_900


def test_a_fee_in_a_third_asset_is_kept_apart(rig: Rig) -> None:
    bought(rig, fee=7, fee_asset="BNB")
    assert rig.books.balance("BNB") == -7
    assert rig.books.fees_paid == {"BNB": 7}
    assert rig.books.fees == 0


def test_a_fee_in_another_traded_asset_leaves_at_its_cost(rig: Rig) -> None:
    client_id = rig.order("ETHUSDT", Side.BUY, 10_000, 10_00)
    assert client_id is not None
    rig.fill(client_id, 10_000, 10_00)
    bought(rig, fee=atoms("0.01", "ETH"), fee_asset="ETH")
    books = rig.books
    assert books.balance("ETH") == atoms("0.99", "ETH")
    assert books.fees == usd("0.1")
    assert books.cash + books.cost == books.capital + books.realised - books.fees
    rig.check_replay()


def test_average_cost_over_several_buys(rig: Rig) -> None:
    bought(rig, LOTS // 2, 100_00)
    bought(rig, LOTS // 2, 101_00)
    sold(rig, LOTS // 2, 100_50)
    assert rig.books.realised == 0
    sold(rig, LOTS // 2, 100_50)
    assert rig.books.realised == 0
    assert rig.books.cost == 0


def test_the_same_fill_counts_once(rig: Rig) -> None:
    client_id = rig.order("BTCUSDT", Side.BUY, LOTS, 100_00)
    assert client_id is not None
    fill = rig.fill(client_id, LOTS, 100_00)
    assert rig.report(fill) == ()
    again = rig.books.snapshot()
    assert rig.books.apply(fill) == ()
    assert rig.books.snapshot() == again


def test_an_overfill_is_booked_and_noted(rig: Rig) -> None:
    client_id = rig.order("BTCUSDT", Side.BUY, LOTS, 100_00)
    assert client_id is not None
    rig.fill(client_id, LOTS, 100_00)
    rig.fill(client_id, 5, 100_00)
    books = rig.books
    assert books.lines["BTCUSDT"].position == (LOTS + 5) * BTC.lot_atoms
    assert [x.kind for x in books.anomalies] == ["fill_after_end", "overfill"]
    assert books.orders[client_id].remaining == 0
    assert books.reserved == 0
    rig.check_replay()


def test_a_fill_after_the_cancel_was_confirmed_is_booked(rig: Rig) -> None:
    client_id = rig.order("BTCUSDT", Side.BUY, LOTS, 100_00)
    assert client_id is not None
    rig.accept(client_id)
    rig.end(client_id)
    rig.fill(client_id, 40, 100_00)
    order = rig.books.orders[client_id]
    assert (order.status, order.filled, order.open) == (OrderStatus.CANCELED, 40, False)
    assert rig.books.anomalies[0].kind == "fill_after_end"
    rig.fill(client_id, LOTS - 40, 100_00)
    assert order.status is OrderStatus.FILLED
    assert rig.books.lines["BTCUSDT"].position == atoms("1", "BTC")


def test_a_fill_of_an_order_nobody_knows_moves_the_money_and_is_noted(rig: Rig) -> None:
    rig.report(make_fill("web_17", "BTCUSDT", Side.BUY, 10, 100_00, 999))
    assert rig.books.lines["BTCUSDT"].position == 10 * BTC.lot_atoms
    assert rig.books.anomalies[0].kind == "fill_for_unknown_order"
    rig.report(make_fill("web_18", "XRPUSDT", Side.BUY, 10, 100_00, 1000))
    assert rig.books.anomalies[1].kind == "fill_in_unknown_instrument"


def test_open_orders_reserve_and_release_buying_power(rig: Rig) -> None:
    client_id = rig.order("BTCUSDT", Side.BUY, LOTS, 100_00)
    assert client_id is not None
    assert rig.books.reserved == usd("100.1")
    rig.accept(client_id)
    rig.fill(client_id, LOTS // 4, 100_00)
    assert rig.books.reserved == usd("75.075")
    assert rig.books.lines["BTCUSDT"].open_buy == LOTS * 3 // 4
    rig.end(client_id)
    assert (rig.books.reserved, rig.books.open_count, rig.books.lines["BTCUSDT"].open_buy) == (0, 0, 0)


def test_an_unknown_order_stays_open_until_the_venue_answers(rig: Rig) -> None:
    client_id = rig.order("BTCUSDT", Side.BUY, LOTS, 100_00)
    assert client_id is not None
    rig.report(e.OrderSent(ts=rig.now, client_id=client_id, stages={}))
    rig.report(e.OrderUnknown(ts=rig.now, client_id=client_id, detail="timeout"))
    assert rig.books.lines["BTCUSDT"].unknown == 1
    rig.wait(3600)
    assert rig.books.orders[client_id].open
    rig.report(e.OrderAccepted(ts=rig.now, client_id=client_id, venue_order_id="17"))
    assert rig.books.lines["BTCUSDT"].unknown == 0
    assert rig.books.orders[client_id].status is OrderStatus.WORKING


def test_an_order_taken_for_unsent_that_works_after_all_counts_again(rig: Rig) -> None:
    client_id = rig.order("BTCUSDT", Side.BUY, LOTS, 100_00)
    assert client_id is not None
    rig.report(e.OrderNotSent(ts=rig.now, client_id=client_id, detail="found unsent"))
    assert rig.books.orders[client_id].status is OrderStatus.CANCELED
    rig.report(e.OrderAccepted(ts=rig.now, client_id=client_id, venue_order_id="17"))
    line = rig.books.lines["BTCUSDT"]
    assert (rig.books.orders[client_id].status, line.open_buy, line.unknown) == (OrderStatus.WORKING, LOTS, 0)
    rig.check_replay()


def test_adopted_holdings_are_capital_and_not_profit(rig: Rig) -> None:
    rig.report(e.BalanceAdopted(ts=rig.now, asset="BTC", total=atoms("2", "BTC")))
    assert rig.kernel.valuation.pnl == 0
    rig.wait(10)
    rig.top("BTCUSDT", 109_99, 110_01)
    line = rig.books.lines["BTCUSDT"]
    assert line.unpriced == 0
    assert rig.kernel.valuation.pnl == usd("19.98")
    assert rig.kernel.valuation.equity == rig.books.cash + usd("220")
    rig.report(e.BalanceAdopted(ts=rig.now, asset="BTC", total=atoms("1", "BTC")))
    assert rig.kernel.valuation.pnl == usd("9.99")
    rig.check_replay()


def test_a_deposit_moves_neither_profit_nor_drawdown(rig: Rig) -> None:
    bought(rig)
    rig.top("BTCUSDT", 98_99, 99_01)
    before = (rig.kernel.valuation.pnl, rig.kernel.valuation.drawdown)
    rig.report(e.BalanceAdopted(ts=rig.now, asset="USDT", total=atoms("500000", "USDT")))
    assert (rig.kernel.valuation.pnl, rig.kernel.valuation.drawdown) == before == (-usd("1"), usd("1.01"))
    assert rig.kernel.valuation.equity == usd("500099")


def test_the_day_starts_at_utc_midnight(rig: Rig) -> None:
    bought(rig)
    rig.top("BTCUSDT", 90_00, 90_00)
    assert rig.kernel.valuation.day_pnl == -usd("10")
    rig.now = START + DAY_NS - 1
    rig.take(rig.kernel.on_timer(rig.now))
    assert rig.kernel.valuation.day_pnl == -usd("10")
    rig.now += 1
    rig.take(rig.kernel.on_timer(rig.now))
    assert rig.kernel.valuation.day_pnl == 0
    assert rig.kernel.valuation.drawdown == usd("10.01")
    rig.check_replay()


def test_the_high_water_mark_survives_a_restart(rig: Rig) -> None:
    bought(rig)
    rig.top("BTCUSDT", 120_00, 120_00)
    rig.top("BTCUSDT", 110_00, 110_00)
    rig.wait(10)
    rig.take(rig.kernel.on_timer(rig.now))
    again = Valuation(replay(rig.journal))
    assert again.drawdown == usd("10")
    assert again.pnl == rig.kernel.valuation.pnl == usd("10")


def test_one_quote_asset_and_one_instrument_per_base() -> None:
    foreign = instrument("BTCEUR", "BTC", quote="EUR")
    with pytest.raises(BooksError, match="quotes in USDT"):
        Rig([BTC, foreign]).open()
    with pytest.raises(BooksError, match="share one"):
        Rig([BTC, instrument("BTC2USDT", "BTC")]).open()


def test_balances_are_listed_as_the_venue_would(rig: Rig) -> None:
    bought(rig)
    assert rig.books.balances() == {"USDT": atoms("99900", "USDT"), "BTC": atoms("1", "BTC"), "ETH": 0}
    assert Books().balances() == {}


def test_asset_that_becomes_tradable_keeps_its_balance() -> None:
    books = Books()
    described = [Rig([x]) for x in (BTC, ETH)]
    for epoch, rig in enumerate(described, 1):
        rig.take(rig.kernel.open_session(START, epoch=epoch, venue="paper", worker="test", instruments=rig.instruments))
    first, second = (rig.journal[0] for rig in described)
    books.apply(first)
    books.apply(e.BalanceAdopted(ts=START, asset="ETH", total=5))
    assert isinstance(second, e.SessionOpened)
    books.apply(msgspec.structs.replace(second, epoch=2))
    assert books.balance("ETH") == 5
    assert books.lines["ETHUSDT"].unpriced == 5


def test_money_is_exact_to_the_last_unit(rig: Rig) -> None:
    bought(rig, 33_337, 100_01)
    assert rig.books.cash == 100_000 * MONEY_PER_UNIT - 33_337 * 100_01 * BTC.lot_value
