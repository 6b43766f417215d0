"""Whatever a strategy aims at, no order is denied for its size or for the position: it is cut and sent in parts."""

from __future__ import annotations

from collections import deque
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.kernels import LIMITS, Rig
from workers.engine import events as e
from workers.engine.desk import Desk
from workers.engine.events import Bar
from workers.engine.strategy import Params, Strategy, aim, register
from workers.engine.vocabulary import Reason, Side, TradingState

TOO_LARGE = {
    Reason.QUANTITY_ABOVE_LIMIT,
    Reason.QUANTITY_ABOVE_VENUE_MAX,
    Reason.NOTIONAL_ABOVE_LIMIT,
    Reason.POSITION_ABOVE_LIMIT,
    Reason.GROSS_EXPOSURE_ABOVE_LIMIT,
    Reason.BUYING_POWER_EXCEEDED,
    Reason.SHORT_NOT_ALLOWED,
    Reason.QUANTITY_BELOW_MIN,
    Reason.NOTIONAL_BELOW_MIN,
}


LEAST = 20
"""Lots that the venue takes at ``PRICE`` at least: less cannot be ordered."""


class AimerParams(Params, frozen=True):
    """Nothing to set."""


@register("test_aimer", AimerParams)
class Aimer(Strategy[AimerParams]):
    """Aims at what the test says next, and at nothing where that is None."""

    wanted: ClassVar[deque[float | None]] = deque()

    def on_bar(self, desk: Desk, bar: Bar) -> None:
        fraction = self.wanted.popleft() if self.wanted else None
        if fraction is not None:
            aim(desk, bar.symbol, fraction)


@pytest.fixture(autouse=True)
def nothing_wanted() -> None:
    Aimer.wanted.clear()


def aimed(limits: dict[str, Any] | None = None, **opening: Any) -> Rig:
    """A rig on which the aimer trades; losses halt nothing."""
    rig = Rig()
    loose = {"max_daily_loss": "1000000000", "max_drawdown": "1000000000"}
    return rig.open(plan=rig.plan("test_aimer"), limits={**LIMITS, **loose, **(limits or {})}, **opening)


def close(rig: Rig, ticks: int, wanted: float | None = None, symbol: str = "BTCUSDT") -> int:
    """A bar closes; how many orders were sent at it."""
    before = len(rig.sent)
    Aimer.wanted.clear()
    Aimer.wanted.append(wanted)
    rig.wait(1).bar(symbol, ticks)
    rig.take(rig.kernel.confirm_limits(rig.now, version=rig.books.limits_version))
    return len(rig.sent) - before


def fill(rig: Rig, ticks: int, part: float = 1.0, fee: int = 0) -> None:
    """Fill ``part`` of the newest order, one lot at least, and end it; a buy's ``fee`` is atoms of what is bought."""
    intent = rig.sent[-1].intent
    lots = max(int(intent.lots * part), 1)
    rig.fill(intent.client_id, lots, ticks, fee if intent.side is Side.BUY else 0, intent.symbol.removesuffix("USDT"))
    if lots < intent.lots:
        rig.end(intent.client_id)


money = st.integers(1, 10**6).map(str)
quantities = st.integers(0, 300_000).map(lambda lots: f"{lots / 100_000:.5f}")
steps = st.tuples(
    st.sampled_from(["BTCUSDT", "ETHUSDT"]),
    st.integers(10_000, 9_000_000),
    st.none() | st.floats(0, 1),
    st.none() | st.floats(0, 1),
)


@given(
    quantity=quantities, position=quantities, notional=money, gross=money, cash=money,
    held=st.integers(0, 3 * 10**8), moves=st.lists(steps, min_size=1, max_size=25),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_what_is_aimed_at_is_never_denied_for_its_size(
    quantity: str, position: str, notional: str, gross: str, cash: str, held: int, moves: list[Any]
) -> None:
    limits = {
        "max_order_qty": {"BTCUSDT": quantity},
        "max_position": {"BTCUSDT": position},
        "max_order_notional": notional,
        "max_gross_notional": gross,
        "max_open_orders": 1000,
    }
    rig = aimed(limits, cash=cash)
    if held:
        rig.report(e.BalanceAdopted(ts=rig.now, asset="BTC", total=held))
    for symbol, ticks, wanted, filled in moves:
        if close(rig, ticks, wanted, symbol) and filled is not None:
            fill(rig, ticks, filled, fee=1)
    denials = [event for event in rig.journal if isinstance(event, e.OrderDenied)]
    assert [event for event in denials if TOO_LARGE & set(event.reasons)] == []
    rig.check_replay()


PRICE = 5_000_000


def worked(rig: Rig, wanted: float) -> list[tuple[Side, int]]:
    """Side and lots of every order until nothing more comes, each filled before the next bar."""
    first = len(rig.sent)
    sent = close(rig, PRICE, wanted)
    while sent:
        fill(rig, PRICE)
        sent = close(rig, PRICE)
    return [(send.intent.side, send.intent.lots) for send in rig.sent[first:]]


@given(st.integers(1_000, 40_000), st.floats(0.01, 0.5))
@settings(max_examples=60, deadline=None)
def test_the_parts_add_up_to_what_was_wanted(largest: int, fraction: float) -> None:
    """Up in parts and down in parts, each as large as it may be but the last."""
    whole, rig = (
        aimed({"max_order_qty": quantity, "max_order_notional": "60000"})
        for quantity in ({}, {"BTCUSDT": f"{largest / 100_000:.5f}"})
    )
    ((_, goal),) = worked(whole, fraction)
    bought = [lots for _, lots in worked(rig, fraction)]
    assert all(lots == largest for lots in bought[:-1])
    assert goal - LEAST < sum(bought) <= goal
    sold = [lots for _, lots in worked(rig, 0.0)]
    assert all(lots == largest for lots in sold[:-1])
    assert sum(bought) - LEAST <= sum(sold) <= sum(bought)
    assert {side for side, _ in worked(rig, 0.0)} == set()
    rig.check_replay()


def half_way() -> Rig:
    """A rig whose first part of several was bought."""
    rig = aimed({"max_order_qty": {"BTCUSDT": "0.1"}})
    assert close(rig, PRICE, 0.3) == 1
    fill(rig, PRICE)
    return rig


def test_a_part_says_where_it_leads_and_the_next_waits_for_it() -> None:
    rig = aimed({"max_order_qty": {"BTCUSDT": "0.1"}})
    assert close(rig, PRICE, 0.25) == 1
    assert rig.sent[0].intent.decision["target_lots"] == 50_000
    assert close(rig, PRICE) == 0, "the first part is open"
    fill(rig, PRICE)
    assert close(rig, PRICE) == 1


@pytest.mark.parametrize("other", ["ordered", "adopted", "cancelled", "stopped", "limits"])
def test_the_rest_is_dropped_when_something_else_happens(other: str) -> None:
    rig = half_way()
    if other == "ordered":
        client_id = rig.order("BTCUSDT", Side.SELL, 10_000)
        assert client_id is not None
        rig.fill(client_id, 10_000, PRICE)
    elif other == "adopted":
        assert close(rig, PRICE, 0.0) == 1, "the strategy changed its mind"
        fill(rig, PRICE)
    elif other == "cancelled":
        assert close(rig, PRICE) == 1
        rig.end(rig.sent[-1].intent.client_id)
    elif other == "stopped":
        rig.take(rig.kernel.stop_run(rig.now, reason="enough"))
    else:
        loose = {"max_daily_loss": "1000000000", "max_drawdown": "1000000000"}
        rig.limits({**LIMITS, **loose, "max_position": {"BTCUSDT": "0.1"}}, 2)
    assert close(rig, PRICE) == 0
    assert close(rig, PRICE) == 0


def test_a_part_that_is_denied_for_now_is_sent_later() -> None:
    rig = half_way()
    rig.state(TradingState.REDUCING, 2)
    assert close(rig, PRICE) == 0
    assert rig.last_denial() == {"REDUCING_ONLY"}
    rig.state(TradingState.ACTIVE, 3)
    rig.wait(30)
    assert close(rig, PRICE) == 1


def test_parts_that_are_alike_keep_the_distance_that_the_limits_ask_for() -> None:
    rig = aimed({"max_order_qty": {"BTCUSDT": "0.1"}, "duplicate_window_ms": 2500})
    assert close(rig, PRICE, 0.3) == 1
    fill(rig, PRICE)
    assert [close(rig, PRICE) for _ in range(3)] == [0, 0, 1]
    assert not [event for event in rig.journal if isinstance(event, e.OrderDenied)]


def test_without_limits_it_is_denied_for_want_of_them() -> None:
    rig = half_way()
    rig.kernel.desk.risk.take_limits(None)
    Aimer.wanted.append(0.9)
    rig.wait(1).bar("BTCUSDT", PRICE)
    assert "LIMITS_MISSING" in rig.last_denial()
