"""Orders of an approved rebalance: never more than can be paid for, in turn, and always to an end."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.factories.journal import BTC, ETH
from workers.engine.instruments import MONEY_PER_UNIT, Instrument
from workers.engine.portfolio.cash import Cash
from workers.engine.portfolio.execution import Leg, fee_rate, limit_of, next_orders

BETA = msgspec.structs.replace(BTC, venue="beta", symbol="BTCUSDT@beta", taker_fee=Decimal("0.0025"))
ITEMS = (BTC, ETH, BETA)


@st.composite
def waiting(draw: st.DrawFn) -> list[Leg]:
    found = []
    for number in range(draw(st.integers(1, 6))):
        item: Instrument = draw(st.sampled_from(ITEMS))
        lots, limit = draw(st.integers(1, 50_000)), draw(st.integers(1, 6_000_000))
        found.append(Leg(key=str(number), instrument=item, buy=draw(st.booleans()), lots=lots, limit=limit))
    return found


purses = st.fixed_dictionaries(
    {currency: st.integers(0, 60_000 * MONEY_PER_UNIT) for currency in ("USDT", "USDT@beta")}
)


@settings(max_examples=150, deadline=None)
@given(waiting(), purses, st.frozensets(st.sampled_from(["USDT", "USDT@beta"])))
def test_what_is_sent_can_be_paid_for_and_nobody_overtakes(
    legs: list[Leg], purse: dict[str, int], busy: frozenset[str]
) -> None:
    orders = {order.key: order for order in next_orders(legs, Cash(dict(purse)), busy=busy)}
    for leg in legs:
        if not leg.buy:
            assert orders[leg.key].lots == leg.lots
    for currency, total in purse.items():
        buys = [leg for leg in legs if leg.buy and leg.instrument.quote_key == currency]
        sent = [leg for leg in buys if leg.key in orders and orders[leg.key].lots]
        worst = 0
        for leg in sent:
            value = orders[leg.key].lots * leg.limit * leg.instrument.lot_value
            worst += value + value * fee_rate(leg.instrument) // 10**8
            assert orders[leg.key].lots <= leg.lots
        assert worst <= total
        held = [leg.key not in orders for leg in buys]
        assert held == sorted(held), "a later buy overtook one that waits"
        if currency in busy:
            assert all(orders[leg.key].lots == leg.lots for leg in sent), "made smaller while money may still come"


@settings(max_examples=60, deadline=None)
@given(waiting(), purses)
def test_it_comes_to_an_end_whatever_fills(legs: list[Leg], purse: dict[str, int]) -> None:
    """Each round sends or gives up at least one leg, with what was sent filled at its limit."""
    cash = dict(purse)
    left = list(legs)
    for _ in legs:
        orders = next_orders(left, Cash(dict(cash)), busy=frozenset())
        if not left:
            break
        assert orders
        by_key = {leg.key: leg for leg in left}
        for order in orders:
            leg = by_key[order.key]
            value = order.lots * leg.limit * leg.instrument.lot_value
            fee = value * fee_rate(leg.instrument) // 10**8
            cash[leg.instrument.quote_key] += -(value + fee) if leg.buy else value - fee
            assert cash[leg.instrument.quote_key] >= 0
        left = [leg for leg in left if leg.key not in {order.key for order in orders}]
    assert not left


@given(st.integers(1, 10**9), st.integers(1, 99))
def test_a_limit_is_within_the_tolerance(ticks: int, percent: int) -> None:
    move = percent / 100
    exact = Decimal(percent) / 100
    assert ticks <= limit_of(ticks, buy=True, move=move) <= ticks * (1 + exact)
    assert max(Decimal(1), ticks * (1 - exact)) <= limit_of(ticks, buy=False, move=move) <= ticks
