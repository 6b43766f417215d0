"""The optional limits against a slow reference that sums the whole journal anew, with two strategies at once."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.kernels import BTC, ETH, LIMITS, START, Rig
from workers.engine import events as e
from workers.engine.config import DAY_NS, SECOND_NS
from workers.engine.execution.orders import Order
from workers.engine.risk.gate import OrderRequest, check
from workers.engine.risk.var_snapshot import VarSnapshot
from workers.engine.vocabulary import OrderType, Reason, Side, TimeInForce

ITEMS = {"BTCUSDT": BTC, "ETHUSDT": ETH}
RUNS = {"run-1": "test_hand", "run-2": "other"}
COVARIANCE = ((0.0004, 0.0003), (0.0003, 0.0009))
CENT = Fraction(1, 100)
TIGHT: dict[str, Any] = {
    **LIMITS,
    "max_open_orders": 100,
    "max_order_qty": {},
    "max_position": {},
    "snapshot_max_age_s": 10**6,
    "reference_max_age_ms": 10**9,
    "collar_bps": 5000,
    "allow_market_orders": False,
    "self_trade_prevention": True,
    "max_spread_bps": 30,
    "min_cash": "880",
    "max_net_notional": "155",
    "max_leverage": "0.17",
    "max_concentration_bps": 1500,
    "max_currency_notional": {"BTC": "140"},
    "max_venue_notional": {"paper": "165"},
    "max_orders_per_day": 8,
    "max_turnover_per_day": "180",
    "max_repeated_executions": 4,
    "repeated_execution_window_s": 30,
    "max_order_volume_bps": 2000,
    "max_participation_bps": 6000,
    "volume_window_s": 60,
    "max_var": "8",
    "var_max_age_s": 100,
    "desks": {"alpha": ["test_hand", "other"]},
    "scopes": {
        "firm": {"max_gross_notional": "160"},
        "desk:alpha": {"max_open_orders": 3, "max_gross_notional": "150"},
        "strategy:test_hand": {
            "max_order_notional": "45",
            "max_gross_notional": "90",
            "max_orders_per_day": 5,
            "max_turnover_per_day": "120",
            "max_daily_loss": "2",
            "max_drawdown": "2.5",
        },
        "instrument:ETHUSDT": {"max_gross_notional": "70"},
        "venue:paper": {"max_open_orders": 4},
    },
}
BASIC = {
    "NOTIONAL_BELOW_MIN",
    "QUANTITY_NOT_POSITIVE",
    "SHORT_NOT_ALLOWED",
    "BUYING_POWER_EXCEEDED",
    "PRICE_OUTSIDE_COLLAR",
}
"""Reasons that the other reference is about."""


class Reference:
    """What the journal says, summed anew for every question, in fractions of a coin and of a dollar."""

    def __init__(self) -> None:
        self.rig = Rig().open(cash="1000", limits=TIGHT)
        second = e.RunStarted(
            ts=START, run_id="run-2", release="r", strategy="other", params={}, model_digest="", limits_version=1
        )
        self.rig.kernel.desk.risk.ledger.apply(second)
        made = VarSnapshot(symbols=tuple(ITEMS), covariance=COVARIANCE, horizon_ns=DAY_NS, confidence=0.99, as_of=START)
        self.rig.take(self.rig.kernel.set_var_snapshot(START, made))
        self.tops: dict[str, tuple[int, int]] = {}
        self.trades: list[tuple[int, str, int]] = []
        self.peak = Fraction(0)
        self.halted: set[str] = set()
        self.breached = False
        self.resumed = 0

    # -- sums

    def mark(self, symbol: str) -> Fraction:
        bid, ask = self.tops.get(symbol, (0, 0))
        return (bid + ask) // 2 * CENT

    def intents(self) -> list[e.OrderIntended]:
        return [event for event in self.rig.journal if isinstance(event, e.OrderIntended)]

    def fills(self, strategies: set[str]) -> list[e.OrderFilled]:
        found = [event for event in self.rig.journal if isinstance(event, e.OrderFilled)]
        return [fill for fill in found if RUNS[self.rig.books.orders[fill.client_id].run_id] in strategies]

    def held(self, symbol: str, strategies: set[str]) -> Fraction:
        lots = sum(fill.lots * int(fill.side) for fill in self.fills(strategies) if fill.symbol == symbol)
        return lots * Fraction(ITEMS[symbol].lot)

    def open(self, strategies: set[str], symbol: str | None = None, side: Side | None = None) -> list[Order]:
        orders = [order for order in self.rig.books.orders.values() if order.status.is_open]
        return [
            order
            for order in orders
            if RUNS[order.run_id] in strategies and symbol in (None, order.symbol) and side in (None, order.side)
        ]

    def pending(self, symbol: str, side: Side, strategies: set[str]) -> Fraction:
        return sum((order.lots - order.filled for order in self.open(strategies, symbol, side)), 0) * Fraction(
            ITEMS[symbol].lot
        )

    def extremes(self, symbol: str, strategies: set[str], order: OrderRequest | None) -> tuple[Fraction, Fraction]:
        up = self.held(symbol, strategies) + self.pending(symbol, Side.BUY, strategies)
        down = self.held(symbol, strategies) - self.pending(symbol, Side.SELL, strategies)
        if order is not None and order.symbol == symbol:
            quantity = order.lots * Fraction(ITEMS[symbol].lot)
            if order.side is Side.BUY:
                up += quantity
            else:
                down -= quantity
        return up, down

    def worst(self, symbol: str, strategies: set[str], order: OrderRequest | None = None) -> Fraction:
        up, down = self.extremes(symbol, strategies, order)
        return max(up, -down) * self.mark(symbol)

    def gross(self, strategies: set[str], symbols: set[str], order: OrderRequest | None = None) -> Fraction:
        return sum((self.worst(symbol, strategies, order) for symbol in symbols), Fraction(0))

    def profit(self, strategies: set[str]) -> Fraction:
        flows = sum(
            (-int(f.side) * f.lots * Fraction(ITEMS[f.symbol].lot) * f.price * CENT for f in self.fills(strategies)),
            Fraction(0),
        )
        return flows + sum((self.held(symbol, strategies) * self.mark(symbol) for symbol in ITEMS), Fraction(0))

    # -- what happens

    def after(self) -> None:
        """Follow the high-water mark of the one strategy whose loss is bounded, and its halts."""
        profit = self.profit({"test_hand"})
        self.peak = max(self.peak, profit)
        lost = self.peak - profit >= Fraction(5, 2) or profit <= -2
        if lost and not self.breached:
            self.halted.add("test_hand")
        self.breached = lost

    def notional(self, order: OrderRequest) -> Fraction:
        quantity, mark = order.lots * Fraction(ITEMS[order.symbol].lot), self.mark(order.symbol)
        if order.order_type is OrderType.MARKET:
            price = mark + mark * Fraction(5, 100) // CENT * CENT + CENT if order.side is Side.BUY else mark
        else:
            price = order.price * CENT if order.side is Side.BUY else max(order.price * CENT, mark)
        return price * quantity

    def reasons(self, order: OrderRequest) -> set[str]:
        everybody, strategy, found = set(RUNS.values()), RUNS[str(order.run_id)], set[str]()
        quantity = order.lots * Fraction(ITEMS[order.symbol].lot)
        position = self.held(order.symbol, everybody)
        queued = self.pending(order.symbol, order.side, everybody)
        reduces = quantity > 0 and quantity + queued <= (position if order.side is Side.SELL else -position)
        if strategy in self.halted:
            found.add("STRATEGY_HALTED")
        found |= self.of_price(order, reduces=reduces)
        found |= self.of_account(order, everybody)
        found |= self.of_scopes(order, everybody, strategy)
        if not reduces:
            found |= self.of_day(order, everybody, strategy)
            found |= self.of_volume(order)
            found |= self.of_risk(order, everybody)
            if strategy == "test_hand" and self.breached:
                found.add("STRATEGY_LOSS_EXCEEDED")
        return found

    def of_price(self, order: OrderRequest, *, reduces: bool) -> set[str]:
        found, market = set(), order.order_type is OrderType.MARKET
        bid, ask = self.tops[order.symbol]
        if not reduces:
            if market:
                found.add("MARKET_ORDER_NOT_ALLOWED")
            if (ask - bid) * CENT > self.mark(order.symbol) * Fraction(30, 10_000):
                found.add("SPREAD_TOO_WIDE")
        for other in self.open(set(RUNS.values()), order.symbol, Side(-order.side)):
            if market or (order.price - other.price) * int(order.side) >= 0:
                found.add("SELF_TRADE")
        if order.side is Side.BUY:
            reserved = sum(
                (
                    (o.lots - o.filled) * Fraction(ITEMS[o.symbol].lot) * o.price * CENT * Fraction(1001, 1000)
                    for o in self.open(set(RUNS.values()), side=Side.BUY)
                ),
                Fraction(0),
            )
            cash = Fraction(self.rig.books.cash, 10**16)
            if cash - reserved - self.notional(order) * Fraction(1001, 1000) < 880:
                found.add("CASH_RESERVE_BELOW_LIMIT")
        return found

    def of_account(self, order: OrderRequest, everybody: set[str]) -> set[str]:
        found: set[str] = set()
        before, after = self.worst(order.symbol, everybody), self.worst(order.symbol, everybody, order)
        if after <= before:
            return found
        gross, equity = self.gross(everybody, set(ITEMS), order), 1000 + self.profit(everybody)
        net = sum(
            (self.extremes(symbol, everybody, order)[order.side is Side.SELL] * self.mark(symbol) for symbol in ITEMS),
            Fraction(0),
        )
        found |= {"LEVERAGE_ABOVE_LIMIT"} if gross > equity * Fraction(17, 100) else set()
        found |= {"CONCENTRATION_ABOVE_LIMIT"} if after > equity * Fraction(15, 100) else set()
        found |= {"NET_EXPOSURE_ABOVE_LIMIT"} if net * int(order.side) > 155 else set()
        found |= {"CURRENCY_EXPOSURE_ABOVE_LIMIT"} if order.symbol == "BTCUSDT" and after > 140 else set()
        found |= {"VENUE_EXPOSURE_ABOVE_LIMIT"} if gross > 165 else set()
        found |= {"FIRM_EXPOSURE_ABOVE_LIMIT"} if gross > 160 else set()
        found |= {"INSTRUMENT_EXPOSURE_ABOVE_LIMIT"} if order.symbol == "ETHUSDT" and after > 70 else set()
        return found

    def of_scopes(self, order: OrderRequest, everybody: set[str], strategy: str) -> set[str]:
        found: set[str] = set()
        for members, bound, code in (
            (everybody, 150, "DESK_EXPOSURE_ABOVE_LIMIT"),
            ({"test_hand"}, 90, "STRATEGY_EXPOSURE_ABOVE_LIMIT"),
        ):
            before, after = self.gross(members, set(ITEMS)), self.gross(members, set(ITEMS), order)
            if strategy in members and after > bound and after > before:
                found.add(code)
        if len(self.open(everybody)) >= 3:
            found.add("OPEN_ORDERS_ABOVE_LIMIT")
        if strategy == "test_hand" and self.notional(order) > 45:
            found.add("NOTIONAL_ABOVE_LIMIT")
        return found

    def of_day(self, order: OrderRequest, everybody: set[str], strategy: str) -> set[str]:
        found: set[str] = set()
        mine = [intent for intent in self.intents() if RUNS[intent.run_id] == strategy]
        if len(self.intents()) >= 8 or (strategy == "test_hand" and len(mine) >= 5):
            found.add("ORDERS_PER_DAY_ABOVE_LIMIT")
        for members, bound in ((everybody, 180), ({"test_hand"}, 120)):
            if strategy not in members:
                continue
            done = sum(
                (f.lots * Fraction(ITEMS[f.symbol].lot) * f.price * CENT for f in self.fills(members)), Fraction(0)
            )
            rest = sum(
                (
                    (o.lots - o.filled)
                    * Fraction(ITEMS[o.symbol].lot)
                    * (o.price * CENT if o.side is Side.BUY else max(o.price, o.reference) * CENT)
                    for o in self.open(members)
                ),
                Fraction(0),
            )
            if done + rest + self.notional(order) > bound:
                found.add("TURNOVER_ABOVE_LIMIT")
        recent = [intent for intent in mine if self.rig.now - intent.ts < 30 * SECOND_NS]
        if len(recent) >= 4:
            found.add("REPEATED_EXECUTION_THROTTLE")
        return found

    def of_volume(self, order: OrderRequest) -> set[str]:
        slice_ns = 5 * SECOND_NS
        oldest = (self.rig.now - 60 * SECOND_NS) // slice_ns
        volume = sum(lots for ts, symbol, lots in self.trades if symbol == order.symbol and ts // slice_ns > oldest)
        everybody = set(RUNS.values())
        own = sum(
            f.lots for f in self.fills(everybody) if f.symbol == order.symbol and f.ts // slice_ns > oldest
        ) + sum(o.lots - o.filled for o in self.open(everybody, order.symbol))
        found = {"QUANTITY_ABOVE_RECENT_VOLUME"} if order.lots * 5 > volume else set()
        return found | ({"PARTICIPATION_ABOVE_LIMIT"} if (own + order.lots) * 10 > volume * 6 else set())

    def of_risk(self, order: OrderRequest, everybody: set[str]) -> set[str]:
        if self.rig.now - START > 100 * SECOND_NS:
            return {"VAR_SNAPSHOT_STALE"}

        def value_at_risk(proposed: OrderRequest | None) -> float:
            values = []
            for symbol in ITEMS:
                up, down = self.extremes(symbol, everybody, proposed)
                values.append(float((up if up >= -down else down) * self.mark(symbol)))
            variance = sum(values[i] * values[j] * COVARIANCE[i][j] for i in range(2) for j in range(2))
            return float(2.3263478740408408 * variance**0.5)

        after = value_at_risk(order)
        return {"VAR_ABOVE_LIMIT"} if after > 8 and after > value_at_risk(None) else set()


symbols = st.sampled_from(sorted(ITEMS))
runs = st.sampled_from(sorted(RUNS))
orders = st.tuples(
    symbols, runs, st.sampled_from([Side.BUY, Side.BUY, Side.SELL]), st.integers(0, 5), st.integers(-1, 4)
)
actions = st.one_of(
    st.tuples(st.just("order"), orders),
    st.tuples(st.just("order"), orders),
    st.tuples(st.just("order"), orders),
    st.tuples(st.just("fill"), st.tuples(symbols, st.sampled_from([100, 100, 50, 1]))),
    st.tuples(st.just("fill"), st.tuples(symbols, st.sampled_from([100, 100, 50, 1]))),
    st.tuples(st.just("end"), st.tuples(symbols, st.integers(0, 3))),
    st.tuples(st.just("top"), st.tuples(symbols, st.integers(-500, 500), st.sampled_from([1, 2, 2, 15, 16]))),
    st.tuples(st.just("trade"), st.tuples(symbols, st.integers(1, 400))),
    st.tuples(st.just("wait"), st.sampled_from([1, 1, 5, 12, 29, 30])),
    st.tuples(st.just("resume"), st.just(0)),
)


def request(chosen: tuple[str, str, Side, int, int]) -> OrderRequest:
    symbol, run_id, side, size, step = chosen
    middle, unit = (100_00, 10_000) if symbol == "BTCUSDT" else (10_00, 10_000)
    price = 0 if step < 0 else middle + (step - 2) * middle // 200
    return OrderRequest(
        symbol=symbol,
        side=side,
        lots=unit * [12, 20, 25, 30, 45, 90][size] // 10,
        price=price,
        order_type=OrderType.LIMIT if price else OrderType.MARKET,
        tif=TimeInForce.GTC,
        run_id=run_id,
    )


def act(ref: Reference, what: str, given: Any) -> None:
    rig = ref.rig
    if what == "order":
        wanted = request(given)
        rig.kernel.desk.now = rig.now
        rig.kernel.desk.markets[wanted.symbol].denied = 0
        expected = ref.reasons(wanted)
        sent = rig.kernel.desk.order(wanted)
        rig.take(rig.kernel.on_timer(rig.now))
        if sent is None and "REPEATED_EXECUTION_THROTTLE" in expected:
            ref.halted.add(RUNS[str(wanted.run_id)])
    elif what == "fill" and (live := ref.open(set(RUNS.values()), given[0])):
        rig.fill(live[0].client_id, max(live[0].remaining * given[1] // 100, 1), live[0].price or 100_00)
    elif what == "end" and (live := ref.open(set(RUNS.values()), given[0])):
        rig.end(live[-1].client_id)
    elif what == "top":
        middle = (100_00 if given[0] == "BTCUSDT" else 10_00) + given[1] // (1 if given[0] == "BTCUSDT" else 10)
        ref.tops[given[0]] = (middle - given[2], middle + given[2])
        rig.top(given[0], middle - given[2], middle + given[2])
    elif what == "trade":
        lots = given[1] * 1000
        ref.trades.append((rig.now, given[0], lots))
        at = {"ts_event": rig.now, "ts_recv": rig.now}
        trade = e.Trade(symbol=given[0], trade_id=len(ref.trades), price=1, lots=lots, aggressor=Side.BUY, **at)
        rig.take(rig.kernel.on_trade(trade, rig.now))
    elif what == "wait":
        rig.wait(given)
    elif what == "resume":
        resume(ref)
    ref.after()


def resume(ref: Reference) -> None:
    """A person lets both strategies go on; what they repeated is forgotten, so the journal begins anew for that."""
    ref.resumed += 1
    for strategy in list(ref.halted):
        if any(ref.rig.now - intent.ts < 30 * SECOND_NS for intent in ref.intents()):
            continue
        ref.halted.discard(strategy)
        wanted = {"scope": f"strategy:{strategy}", "halted": False, "reason": "r", "by": "a", "version": ref.resumed}
        ref.rig.take(ref.rig.kernel.set_scopes(ref.rig.now, [wanted]))


@given(st.lists(actions, min_size=20, max_size=45), st.lists(orders, min_size=1, max_size=8))
@settings(max_examples=80, deadline=None)
def test_the_optional_limits_say_what_the_slow_reference_says(
    history: list[tuple[str, Any]], proposals: list[tuple[str, str, Side, int, int]]
) -> None:
    ref = Reference()
    for symbol in ITEMS:
        act(ref, "top", (symbol, 0, 1))
        act(ref, "trade", (symbol, 1000))
    for what, given_ in history:
        act(ref, what, given_)
    for chosen in proposals:
        order = request(chosen)
        said = {reason.value for reason in check(order, "new", ref.rig.kernel.desk.risk, ref.rig.now).reasons}
        assert said - BASIC == ref.reasons(order)
    assert {Reason[code].value for code in BASIC} == BASIC
