"""Random lives of a kernel: whatever comes in, what must always hold does.

The rig itself refuses every send and cancel that was not journalled before.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.kernels import LIMITS, Rig
from workers.engine import events as e
from workers.engine.config import SECOND_NS
from workers.engine.execution.client_ids import is_ours
from workers.engine.vocabulary import FeedState, OrderStatus, TradingState

SYMBOLS = ("BTCUSDT", "ETHUSDT")
MIDDLE = {"BTCUSDT": 100_00, "ETHUSDT": 10_00}
KINDS = (
    *("top", "top", "top", "top", "bar", "bar", "forecast", "forecast", "fill", "fill", "fill", "accept", "end"),
    *("unknown", "notsent", "wait", "wait", "state", "feed", "reconcile", "limits", "cancel", "gap", "restart"),
    *("adopt", "late", "heal", "heal", "heal", "heal", "heal", "heal"),
)
STATES = (TradingState.ACTIVE, TradingState.ACTIVE, TradingState.REDUCING, TradingState.HALTED)
FEEDS = (FeedState.LIVE, FeedState.LIVE, FeedState.STALE, FeedState.BREAK)
steps = st.tuples(st.sampled_from(KINDS), st.sampled_from(SYMBOLS), st.integers(0, 999))


def start(style: str) -> Rig:
    rig = Rig()
    params: dict[str, Any] = {
        "input_size": 2,
        "target_volatility": 50.0,
        "style": style,
        "min_order_interval_s": 0.5,
        "max_weight": 0.5,
        "min_hold_s": 1.0,
    }
    rig.open(plan=rig.plan("forecast_portfolio", params=params, model_digest="m1"))
    for symbol in SYMBOLS:
        rig.top(symbol, MIDDLE[symbol] - 1, MIDDLE[symbol] + 1)
    return rig


def forecast(rig: Rig, symbol: str, number: int) -> e.Forecast:
    mu = (number - 450) / 50_000
    return e.Forecast(
        forecast_id=f"f{rig.now}",
        symbol=symbol,
        model_digest="m1",
        as_of=rig.now - number % 3 * SECOND_NS,
        made_at=rig.now,
        interval_ns=SECOND_NS,
        levels=(0.1, 0.5, 0.9),
        quantiles=((mu - 0.001,), (mu,), (mu + 0.001,)),
        confidence=0.4 + number % 60 / 100,
    )


def restart(rig: Rig) -> Rig:
    again = Rig(rig.instruments)
    for name in ("now", "journal", "sent", "cancels", "trade_id"):
        setattr(again, name, getattr(rig, name))
    again.kernel.recover(e.Record(seq=n, hash="", event=event) for n, event in enumerate(rig.journal))  # type: ignore[arg-type]  # all are Journalled
    again.take(
        again.kernel.open_session(
            rig.now, epoch=rig.books.epoch + 1, venue="paper", worker="test", instruments=list(rig.instruments)
        )
    )
    return again


def on_order(rig: Rig, what: str, symbol: str, number: int) -> None:
    orders = [order for order in rig.books.orders.values() if order.symbol == symbol]
    if what == "late" and orders:
        order = orders[number % len(orders)]
        rig.fill(order.client_id, number % 50 + 1, order.price, number % 5, "USDT" if number % 2 else order.symbol[:3])
        return
    live = list(rig.books.lines[symbol].open.values())
    if not live:
        return
    order = live[number % len(live)]
    if what == "fill":
        rig.fill(order.client_id, max(order.remaining * (number % 100 + 1) // 100, 1), order.price, number % 7)
    elif what == "accept":
        rig.accept(order.client_id)
    elif what == "end":
        rig.end(order.client_id, (OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.REJECTED)[number % 3])
    elif what == "unknown":
        rig.report(e.OrderUnknown(ts=rig.now, client_id=order.client_id, detail="timeout"))
    elif order.status is OrderStatus.INTENT:
        rig.report(e.OrderNotSent(ts=rig.now, client_id=order.client_id, detail="unsent"))


def heal(rig: Rig) -> None:
    """What an operator and a host do so that trading can go on."""
    rig.reconcile()
    rig.limits(LIMITS, version=rig.books.limits_version + 1)
    rig.state(TradingState.ACTIVE, rig.books.control_version + 1)
    for symbol in SYMBOLS:
        rig.feed(symbol, FeedState.LIVE)
        rig.top(symbol, MIDDLE[symbol] - 1, MIDDLE[symbol] + 1)


def on_control(rig: Rig, what: str, symbol: str, number: int) -> None:
    if what == "state":
        rig.state(STATES[number % 4], rig.books.control_version + 1)
    elif what == "feed":
        closes_at = rig.now + 5 * SECOND_NS if number % 5 == 0 else 0
        rig.feed(symbol, FEEDS[number % 4], session_id=1 + number % 2, closes_at=closes_at)
    elif what == "reconcile":
        rig.reconcile(ok=number % 4 > 0)
    elif what == "limits":
        changes: dict[str, Any] = {"max_drawdown": str(number % 50 + 1)}
        rig.limits({**LIMITS, **changes}, version=rig.books.limits_version + 1)
    elif what == "cancel":
        rig.take(rig.kernel.cancel_all(rig.now, reason="button", by="operator"))
    elif what == "gap":
        rig.take(rig.kernel.on_gap(rig.now))
    else:
        rig.report(e.BalanceAdopted(ts=rig.now, asset="USDT", total=rig.books.balance("USDT") + number))


def step(rig: Rig, what: str, symbol: str, number: int) -> Rig:
    if what == "top":
        price = MIDDLE[symbol] + number % 21 - 10
        rig.top(symbol, price - 1, price + 1)
    elif what == "bar":
        rig.bar(symbol, MIDDLE[symbol] + number % 21 - 10, rig.now // SECOND_NS * SECOND_NS)
    elif what == "forecast":
        rig.take(rig.kernel.on_forecast(forecast(rig, symbol, number), rig.now))
    elif what == "wait":
        rig.take(rig.wait(number / 250).kernel.on_timer(rig.now))
    elif what == "restart":
        return restart(rig)
    elif what == "heal":
        heal(rig)
    elif what in ("fill", "accept", "end", "unknown", "notsent", "late"):
        on_order(rig, what, symbol, number)
    else:
        on_control(rig, what, symbol, number)
    return rig


def check(rig: Rig) -> None:
    books, valuation = rig.books, rig.kernel.valuation
    assert books.cash + books.cost == books.capital + books.realised - books.fees
    assert valuation.equity == books.capital + valuation.pnl
    assert valuation.unmarked or valuation.peak >= valuation.pnl
    assert valuation.drawdown >= 0


@given(st.sampled_from(["take", "rest"]), st.lists(steps, min_size=20, max_size=120))
@settings(max_examples=200, deadline=None)
def test_lives(style: str, life: list[tuple[str, str, int]]) -> None:
    rig = start(style)
    for what, symbol, number in life:
        rig = step(rig, what, symbol, number)
        check(rig)
    rig.check_replay()
    made = [event.client_id for event in rig.journal if isinstance(event, e.OrderIntended | e.OrderDenied)]
    assert len(set(made)) == len(made), "a client id came twice"
    assert all(is_ours(client_id) for client_id in made)
    assert len({send.intent.client_id for send in rig.sent}) == len(rig.sent), "an order was sent twice"


@given(st.lists(steps, max_size=60))
@settings(max_examples=60, deadline=None)
def test_the_same_life_gives_the_same_journal(life: list[tuple[str, str, int]]) -> None:
    journals = []
    for _ in range(2):
        rig = start("take")
        for what, symbol, number in life:
            rig = step(rig, what, symbol, number)
        journals.append(rig.journal)
    assert journals[0] == journals[1]


@given(st.lists(steps, max_size=40), st.lists(steps, max_size=30))
@settings(max_examples=80, deadline=None)
def test_a_halted_desk_sends_nothing_until_a_person_resumes(
    life: list[tuple[str, str, int]], after: list[tuple[str, str, int]]
) -> None:
    rig = start("take")
    for what, symbol, number in life:
        rig = step(rig, what, symbol, number)
    rig.state(TradingState.HALTED, rig.books.control_version + 1)
    assert all(order.cancel_requested for order in rig.books.open_orders())
    sent = len(rig.sent)
    for what, symbol, number in after:
        if what not in ("state", "heal"):
            rig = step(rig, what, symbol, number)
    assert len(rig.sent) == sent
