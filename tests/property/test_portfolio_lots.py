"""Whole lots, bands, and cash: cash never goes negative, the exact answer is the best, rules are obeyed."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.engine.portfolio.cash import Cash, Rate, Rates, affordable_lots
from workers.engine.portfolio.lots import Lot, exact, greedy
from workers.engine.portfolio.problem import PortfolioError
from workers.engine.portfolio.rebalance import Bands, due, trades, within_bands

UNIT = 10**12


@st.composite
def books(draw: st.DrawFn, most: int = 4) -> tuple[list[Lot], list[float], int, int]:
    """Lots, weights, equity and cash of a long book."""
    size = draw(st.integers(1, most))
    lots = [
        Lot(
            symbol="ABCDEF"[i],
            value=draw(st.integers(1, 4000)) * UNIT,
            held=draw(st.integers(0, 6)),
            fee_rate=draw(st.sampled_from([0, 10_000, 100_000])),
            least=draw(st.sampled_from([0, 1000 * UNIT, 3000 * UNIT])),
        )
        for i in range(size)
    ]
    cash = draw(st.integers(0, 10_000)) * UNIT
    equity = cash + sum(lot.held * lot.value for lot in lots)
    raw = [draw(st.integers(0, 100)) for _ in lots]
    share = draw(st.sampled_from([0.5, 0.9, 1.0])) / max(sum(raw), 1)
    return lots, [weight * share for weight in raw], max(equity, UNIT), cash


@given(books(6), st.sampled_from([0.0, 0.05]))
@settings(max_examples=60, deadline=None)
def test_cash_never_goes_below_the_reserve_and_no_trade_is_too_small(
    book: tuple[list[Lot], list[float], int, int], share: float
) -> None:
    lots, weights, equity, cash = book
    reserve = int(cash * share)
    for method in (greedy, exact):
        found = method(lots, weights, equity=equity, cash=cash, reserve=reserve)
        spent = 0
        for lot in lots:
            count = found.lots[lot.symbol]
            assert count >= 0
            moved = abs(count - lot.held) * lot.value
            assert count == lot.held or moved >= lot.least
            spent += (count - lot.held) * lot.value + -(-moved * lot.fee_rate // 10**8)
        assert found.cash == cash - spent
        assert found.cash >= min(reserve, cash)
        gap = sum(abs(found.lots[lot.symbol] * lot.value - w * equity) for lot, w in zip(lots, weights, strict=True))
        assert found.gap == pytest.approx(gap / equity, abs=1e-9)


@given(books(2))
@settings(max_examples=40, deadline=None)
def test_the_exact_answer_is_the_best_of_all(book: tuple[list[Lot], list[float], int, int]) -> None:
    lots, weights, equity, cash = book
    # Coarse lots, so that every book can be tried.
    lots = [replace(lot, value=max(lot.value, equity // 12)) for lot in lots]
    held = sum(lot.held * lot.value for lot in lots)
    equity = max(equity, held)
    found = exact(lots, weights, equity=equity, cash=cash)
    best = math.inf
    for counts in itertools.product(range(30), repeat=len(lots)):
        after = cash + sum(lot.change(count) for lot, count in zip(lots, counts, strict=True))
        fits = all(
            count == lot.held or abs(count - lot.held) * lot.value >= lot.least
            for lot, count in zip(lots, counts, strict=True)
        )
        if fits and after >= 2 * len(lots):
            far = sum(abs(c * lot.value - w * equity) for c, lot, w in zip(counts, lots, weights, strict=True))
            best = min(best, far / equity)
    assert found.optimal
    assert found.gap <= best + 3e-6
    assert found.gap <= greedy(lots, weights, equity=equity, cash=cash).gap + 3e-6


weights_of = st.dictionaries(st.sampled_from("ABCD"), st.floats(0, 1), max_size=4)


@given(weights_of, weights_of, st.floats(0, 0.2), st.floats(0, 0.5), st.booleans())
def test_within_its_band_a_weight_stays(
    current: dict[str, float], target: dict[str, float], absolute: float, relative: float, to_edge: bool
) -> None:
    bands = Bands(absolute=absolute, relative=relative, to_edge=to_edge)
    for symbol, weight in within_bands(current, target, bands).items():
        have, want = current.get(symbol, 0.0), target.get(symbol, 0.0)
        width = max(absolute, relative * want)
        if abs(have - want) <= width:
            assert weight == have
        elif to_edge:
            assert abs(weight - want) == pytest.approx(width)
            assert min(have, want) <= weight <= max(have, want)
        else:
            assert weight == want


def test_what_makes_a_rebalance_due() -> None:
    current, target = {"A": 0.55, "B": 0.45}, {"A": 0.5, "B": 0.5}
    wide = Bands(absolute=0.1)
    assert not due(current, target, wide, now=100, last=None)
    assert "A is +5.00%" in due(current, target, Bands(absolute=0.04), now=100, last=None).reasons[0]
    drifted = due(current, target, replace_bands(wide, drift=0.05), now=100, last=None)
    assert drifted.reasons == ("the book has drifted by 5.00% of equity",)
    timed = replace_bands(wide, every_ns=50)
    assert [bool(due(current, target, timed, now=100, last=last)) for last in (None, 50, 51)] == [True, True, False]
    with pytest.raises(PortfolioError, match="bands of 0 or more"):
        Bands(absolute=-1.0)


def replace_bands(bands: Bands, **changes: float) -> Bands:
    return Bands(**{**{name: getattr(bands, name) for name in bands.__struct_fields__}, **changes})


def test_trades_are_sales_first_and_small_ones_are_left_with_the_reason() -> None:
    found = trades(
        {"A": 10, "B": 0, "C": 5},
        {"A": 4, "B": 7, "C": 6},
        values={"A": 100, "B": 100, "C": 100},
        fee_rates={"A": 100_000},
        least={"C": 500},
    )
    assert [(trade.symbol, trade.lots, trade.cost) for trade in found] == [("A", -6, 1), ("C", 0, 0), ("B", 7, 0)]
    assert "below the smallest trade of 500" in found[1].why


RATES = Rates((Rate("EUR", "USD", Fraction(11, 10), 100), Rate("GBP", "USD", Fraction(13, 10), 40)), max_age_ns=50)


def test_other_currencies_count_at_explicit_rates_that_are_fresh() -> None:
    cash = Cash(total={"USD": 1000, "EUR": 200})
    assert cash.buying_power("USD", rates=RATES, now=120) == 1000 + 220
    assert cash.buying_power("USD", rates=RATES, now=120, haircut_bps=1000, keep=100) == 900 + 198
    assert RATES.convert(110, "USD", "EUR", now=120) == 100
    assert RATES.convert(-1, "USD", "EUR", now=120) == -1
    with pytest.raises(PortfolioError, match="old, at most"):
        RATES.find("GBP", "USD", now=120)
    with pytest.raises(PortfolioError, match="no rate from EUR to GBP"):
        RATES.find("EUR", "GBP", now=120)
    cash.total["GBP"] = 5
    with pytest.raises(PortfolioError, match="GBP/USD"):
        cash.buying_power("USD", rates=RATES, now=120)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["USD", "EUR"]), st.integers(0, 500)), max_size=25))
def test_never_more_is_reserved_than_there_is(asked: list[tuple[str, str, int]]) -> None:
    cash = Cash(total={"USD": 700, "EUR": 300})
    for order, currency, amount in asked:
        before = dict(cash.reservations)
        try:
            cash.reserve(order, currency, amount)
        except PortfolioError:
            assert cash.reservations == before
        assert cash.free("USD") >= 0
        assert cash.free("EUR") >= 0
    for order in "abc":
        cash.release(order)
    assert (cash.free("USD"), cash.free("EUR")) == (700, 300)


def test_a_fill_takes_its_own_reservation_first() -> None:
    cash = Cash(total={"USD": 1000})
    cash.reserve("a", "USD", 600)
    cash.settle("a", "USD", -250)
    assert (cash.total["USD"], cash.reserved("USD"), cash.free("USD")) == (750, 350, 400)
    assert cash.release("a") == 350
    with pytest.raises(PortfolioError, match="751 money units of USD were asked"):
        cash.reserve("b", "USD", 751)


@given(st.integers(0, 10**9), st.integers(1, 10**6), st.integers(0, 10**7))
def test_affordable_lots_are_affordable_and_one_more_is_not(power: int, price: int, rate: int) -> None:
    count = affordable_lots(power, lot_price=price, fee_rate=rate)
    cost = Fraction(price * (10**8 + rate), 10**8)
    assert count * cost <= power < (count + 1) * cost


def test_spending_everything_leaves_nought_and_nothing_to_spend_changes_nothing() -> None:
    lots = [Lot("A", 100 * UNIT), Lot("B", 50 * UNIT)]
    whole = exact(lots, [0.5, 0.5], equity=200 * UNIT, cash=200 * UNIT)
    assert (whole.lots, whole.cash, whole.gap) == ({"A": 1, "B": 2}, 0, 0.0)
    # The fee on the last lot is not there any more.
    dear = [replace(lot, fee_rate=1000) for lot in lots]
    short = exact(dear, [0.5, 0.5], equity=200 * UNIT, cash=200 * UNIT)
    assert short.cash >= 0
    assert sum(short.lots.values()) == 2
    idle = exact(lots, [0.5, 0.5], equity=200 * UNIT, cash=0)
    assert (idle.lots, idle.cash) == ({"A": 0, "B": 0}, 0)


@given(st.lists(st.tuples(st.integers(0, 200_000), st.integers(0, 100)), min_size=2, max_size=4))
@settings(max_examples=15, deadline=None)
def test_a_hundred_million_lots_obey_the_smallest_trade_and_cash(held: list[tuple[int, int]]) -> None:
    money = 10**16
    lots = [
        Lot("ABCD"[i], money // 10**6, held=count * 1000, fee_rate=100_000, least=5 * money)
        for i, (count, _) in enumerate(held)
    ]
    cash = 37 * money
    equity = cash + sum(lot.held * lot.value for lot in lots)
    raw = [weight for _, weight in held]
    found = exact(lots, [weight / max(sum(raw), 1) for weight in raw], equity=equity, cash=cash)
    assert found.cash >= 0
    for lot in lots:
        moved = abs(found.lots[lot.symbol] - lot.held) * lot.value
        assert moved == 0 or moved >= lot.least
