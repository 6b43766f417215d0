"""The gate against a slow reference that sums over all orders in exact decimals, on random histories."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.kernels import BTC, ETH, LIMITS, Rig
from workers.engine import events as e
from workers.engine.config import SECOND_NS
from workers.engine.execution.orders import Order
from workers.engine.risk.gate import OrderRequest, check
from workers.engine.vocabulary import FeedState, OrderStatus, OrderType, Side, TimeInForce, TradingState

ITEMS = {"BTCUSDT": BTC, "ETHUSDT": ETH}
TIGHT: dict[str, Any] = {
    **LIMITS,
    "max_order_qty": {"BTCUSDT": "0.6", "ETHUSDT": "8"},
    "max_order_notional": "65",
    "max_position": {"BTCUSDT": "1", "ETHUSDT": "10"},
    "max_gross_notional": "120",
    "max_open_orders": 3,
    "collar_bps": 100,
    "reference_max_age_ms": 2000,
    "min_order_interval_ms": 100,
    "max_orders_per_second": 2,
    "burst": 2,
    "duplicate_window_ms": 800,
    "max_daily_loss": "3",
    "max_drawdown": "4",
    "snapshot_max_age_s": 20,
    "restricted": [],
}
CENT = Fraction(1, 100)


def held(rig: Rig, symbol: str) -> Fraction:
    return Fraction(rig.books.lines[symbol].position, 10**8)


class Reference:
    """What the test itself saw happen, in fractions of a coin and of a dollar."""

    def __init__(self) -> None:
        self.rig = Rig().open(cash="150", limits=TIGHT)
        self.limits = TIGHT
        self.confirmed = self.rig.now
        self.prices: dict[str, tuple[Fraction, int]] = {}
        self.feeds = dict.fromkeys(ITEMS, FeedState.LIVE)
        self.closes: dict[str, int] = dict.fromkeys(ITEMS, 0)
        self.reconciled = True
        self.state = TradingState.ACTIVE
        self.peak = Fraction(0)
        self.tokens = Fraction(TIGHT["burst"])
        self.token_time = self.rig.now

    def open_orders(self, symbol: str | None = None, side: Side | None = None) -> list[Order]:
        orders = self.rig.books.orders.values()
        live = [o for o in orders if o.status.is_open and (symbol is None or o.symbol == symbol)]
        return [o for o in live if side is None or o.side is side]

    def pending(self, symbol: str, side: Side) -> Fraction:
        lots = sum(max(o.lots - o.filled, 0) for o in self.open_orders(symbol, side))
        return lots * Fraction(ITEMS[symbol].lot)

    def pnl(self) -> Fraction:
        """Cash flows plus positions at the mark; the account began with 150 and no holdings."""
        worth = sum((held(self.rig, s) * self.prices[s][0] for s in ITEMS if s in self.prices), Fraction(0))
        return Fraction(self.rig.books.cash, 10**16) + worth - 150

    def worst(self, symbol: str, buy: Fraction = Fraction(0), sell: Fraction = Fraction(0)) -> Fraction:
        up = held(self.rig, symbol) + self.pending(symbol, Side.BUY) + buy
        down = held(self.rig, symbol) - self.pending(symbol, Side.SELL) - sell
        return max(abs(up), abs(down))

    def after(self) -> None:
        """Follow state and high-water mark after something happened."""
        self.peak = max(self.peak, self.pnl())
        self.state = self.rig.books.state

    def refill(self, now: int) -> Fraction:
        passed = Fraction(now - self.token_time, SECOND_NS) * int(self.limits["max_orders_per_second"])
        return min(self.tokens + passed, Fraction(self.limits["burst"]))

    def spend(self, now: int) -> None:
        self.tokens, self.token_time = self.refill(now) - 1, now

    def reasons(self, order: OrderRequest) -> set[str]:
        now, item = self.rig.now, ITEMS[order.symbol]
        position = held(self.rig, order.symbol)
        quantity = order.lots * Fraction(item.lot)
        buying = order.side is Side.BUY
        queued = self.pending(order.symbol, order.side)
        reduces = quantity + queued > 0 and (
            quantity + queued <= -position if buying else quantity + queued <= position
        )
        found = self.of_desk(reduces=reduces) | self.of_instrument(order)
        found |= self.of_price(order, quantity)
        found |= self.of_exposure(order, quantity, queued)
        found |= self.of_pace(order)
        if not reduces:
            if self.pnl() <= -Fraction(self.limits["max_daily_loss"]):
                found.add("DAILY_LOSS_EXCEEDED")
            if self.peak - self.pnl() >= Fraction(self.limits["max_drawdown"]):
                found.add("DRAWDOWN_EXCEEDED")
            if order.forecast is not None and now - order.forecast.as_of > 2 * order.forecast.interval_ns:
                found.add("FORECAST_STALE")
        elif order.reduce_only:
            found.discard("REDUCE_ONLY_WOULD_INCREASE")
        if order.reduce_only and not reduces:
            found.add("REDUCE_ONLY_WOULD_INCREASE")
        return found

    def of_desk(self, *, reduces: bool) -> set[str]:
        found = set()
        if self.state is TradingState.HALTED:
            found.add("TRADING_HALTED")
        if self.state is TradingState.REDUCING and not reduces:
            found.add("REDUCING_ONLY")
        if not self.reconciled:
            found.add("NOT_RECONCILED")
        if self.rig.now - self.confirmed > 20 * SECOND_NS:
            found.add("LIMITS_STALE")
        unpriced = [s for s in ITEMS if s not in self.prices and self.worst(s) != 0]
        if unpriced and not reduces:
            found.add("REFERENCE_MISSING")
        return found

    def of_instrument(self, order: OrderRequest) -> set[str]:
        symbol, item, found = order.symbol, ITEMS[order.symbol], set()
        if self.feeds[symbol] is FeedState.BREAK or 0 < self.closes[symbol] <= self.rig.now:
            found.add("SESSION_CLOSED")
        if any(o.status is OrderStatus.UNKNOWN for o in self.open_orders(symbol)):
            found.add("ORDER_UNKNOWN_PENDING")
        if symbol in self.limits["restricted"]:
            found.add("INSTRUMENT_RESTRICTED")
        if order.lots <= 0:
            found.add("QUANTITY_NOT_POSITIVE")
        elif order.lots > item.max_lots:
            found.add("QUANTITY_ABOVE_VENUE_MAX")
        if order.lots * item.lot > Decimal(self.limits["max_order_qty"][symbol]):
            found.add("QUANTITY_ABOVE_LIMIT")
        return found

    def reference(self, symbol: str) -> Fraction:
        price = self.prices.get(symbol, (Fraction(0), 0))[0]
        return Fraction(price // CENT * CENT)

    def of_price(self, order: OrderRequest, quantity: Fraction) -> set[str]:
        symbol, found, price = order.symbol, set(), order.price * CENT
        reference = self.reference(symbol)
        _, seen = self.prices.get(symbol, (Fraction(0), 0))
        if reference == 0:
            found.add("REFERENCE_MISSING")
        if self.feeds[symbol] is not FeedState.LIVE or self.rig.now - seen > 2 * SECOND_NS:
            found.add("REFERENCE_STALE")
        if order.order_type is OrderType.MARKET:
            lowest = reference
            highest = self.market_price(reference) if order.side is Side.BUY else reference
        else:
            lowest = price
            highest = price if order.side is Side.BUY else max(price, reference)
            if order.price == 0:
                found.add("PRICE_MISSING")
            if order.price > 0 and abs(price - reference) > reference / 100:
                found.add("PRICE_OUTSIDE_COLLAR")
        if lowest * quantity < 10:
            found.add("NOTIONAL_BELOW_MIN")
        if highest * quantity > Fraction(self.limits["max_order_notional"]):
            found.add("NOTIONAL_ABOVE_LIMIT")
        return found

    @staticmethod
    def market_price(reference: Fraction) -> Fraction:
        return reference + (reference * Fraction(5, 100)) // CENT * CENT + CENT

    def cost(self, kind: OrderType, price: int, reference: Fraction, quantity: Fraction) -> Fraction:
        worst = self.market_price(reference) if kind is OrderType.MARKET else price * CENT
        return worst * quantity * Fraction(1001, 1000)

    def of_exposure(self, order: OrderRequest, quantity: Fraction, queued: Fraction) -> set[str]:
        symbol, found = order.symbol, set()
        position, buying = held(self.rig, symbol), order.side is Side.BUY
        extreme = position + queued + quantity if buying else queued + quantity - position
        if extreme > Fraction(self.limits["max_position"][symbol]):
            found.add("POSITION_ABOVE_LIMIT")
        before = {s: self.worst(s) * self.reference(s) for s in ITEMS}
        buy, sell = (quantity, Fraction(0)) if buying else (Fraction(0), quantity)
        after = {**before, symbol: self.worst(symbol, buy, sell) * self.reference(symbol)}
        if sum(after.values()) > Fraction(self.limits["max_gross_notional"]) and after[symbol] > before[symbol]:
            found.add("GROSS_EXPOSURE_ABOVE_LIMIT")
        if len(self.open_orders()) >= self.limits["max_open_orders"]:
            found.add("OPEN_ORDERS_ABOVE_LIMIT")
        if not buying and position < queued + quantity:
            found.add("SHORT_NOT_ALLOWED")
        if buying:
            reserved = sum(
                self.cost(
                    o.order_type, o.price, o.reference * CENT, (o.lots - o.filled) * Fraction(ITEMS[o.symbol].lot)
                )
                for o in self.open_orders(side=Side.BUY)
            )
            need = self.cost(order.order_type, order.price, self.reference(symbol), quantity)
            if need > Fraction(self.rig.books.cash, 10**16) - reserved:
                found.add("BUYING_POWER_EXCEEDED")
        return found

    def of_pace(self, order: OrderRequest) -> set[str]:
        now, found = self.rig.now, set()
        mine = [x for x in self.rig.journal if isinstance(x, e.OrderIntended)]
        recent = [x for x in mine if x.symbol == order.symbol and now - x.ts < SECOND_NS // 10]
        if self.refill(now) < 1 or recent:
            found.add("MESSAGE_RATE_EXCEEDED")
        same = (order.symbol, order.side, order.lots, order.price)
        if any((x.symbol, x.side, x.lots, x.price) == same and now - x.ts < SECOND_NS * 8 // 10 for x in mine):
            found.add("DUPLICATE_ORDER")
        return found


symbols = st.sampled_from(sorted(ITEMS))
actions = st.one_of(
    st.tuples(st.just("top"), symbols, st.integers(-150, 150)),
    st.tuples(st.just("order"), symbols, st.integers(0, 10**6)),
    st.tuples(st.just("order"), symbols, st.integers(0, 10**6)),
    st.tuples(st.just("fill"), symbols, st.integers(1, 100)),
    st.tuples(st.just("fill"), symbols, st.integers(1, 100)),
    st.tuples(st.just("end"), symbols, st.integers(0, 5)),
    st.tuples(st.just("unknown"), symbols, st.integers(0, 5)),
    st.tuples(st.just("wait"), symbols, st.sampled_from([50, 100, 500, 800, 1000, 1999, 2000, 2001, 15_000])),
    st.tuples(st.just("state"), symbols, st.integers(0, 5)),
    st.tuples(st.just("feed"), symbols, st.integers(0, 6)),
    st.tuples(st.just("reconcile"), symbols, st.integers(0, 5)),
    st.tuples(st.just("confirm"), symbols, st.integers(0, 1)),
)


def request(number: int, symbol: str, now: int) -> OrderRequest:
    """One of very many requests, near every boundary."""
    middle, unit = (100_00, 100_000) if symbol == "BTCUSDT" else (10_00, 10_000 * 10)
    number, side = divmod(number, 2)
    number, kind = divmod(number, 4)
    number, step = divmod(number, 9)
    number, size = divmod(number, 8)
    number, old = divmod(number, 4)
    forecast = None
    if old:
        as_of = now - old * SECOND_NS
        fields: dict[str, Any] = {"forecast_id": "f", "symbol": symbol, "model_digest": "m", "as_of": as_of}
        forecast = e.Forecast(
            **fields, made_at=as_of, interval_ns=SECOND_NS, levels=(0.5,), quantiles=((0.0,),), confidence=1.0
        )
    return OrderRequest(
        symbol=symbol,
        side=Side.BUY if side else Side.SELL,
        lots=[0, unit // 100, unit // 10, unit * 3 // 10, unit // 2, unit * 6 // 10, unit * 6 // 10 + 1, unit][size],
        price=0 if kind == 0 else middle + (step - 4) * middle // 400,
        order_type=OrderType.MARKET if kind == 0 else OrderType.LIMIT,
        tif=TimeInForce.GTC,
        reduce_only=number % 3 == 0,
        forecast=forecast,
    )


def act(ref: Reference, action: tuple[str, str, int]) -> None:
    what, symbol, number = action
    rig = ref.rig
    live = ref.open_orders(symbol)
    if what == "top":
        middle = (100_00 if symbol == "BTCUSDT" else 10_00) + number
        rig.top(symbol, middle - 1, middle + 1)
        ref.prices[symbol] = (middle * CENT, rig.now)
    elif what == "order":
        if rig.order(symbol, Side.BUY, 20_000 + number % 50_000, *price_of(ref, symbol)) is not None:
            ref.spend(rig.now)
    elif what == "fill" and live:
        order = live[0]
        size = max(order.remaining * number // 100, 1)
        rig.fill(order.client_id, size, order.price or int(ref.reference(symbol) / CENT))
    elif what == "end" and live:
        rig.end(live[-1].client_id)
    elif what == "unknown" and live and live[0].status is OrderStatus.INTENT:
        rig.report(e.OrderUnknown(ts=rig.now, client_id=live[0].client_id, detail="timeout"))
    elif what == "wait":
        rig.wait(number / 1000)
    elif what == "state":
        states = [TradingState.ACTIVE] * 4 + [TradingState.REDUCING, TradingState.HALTED]
        rig.state(states[number], rig.books.control_version + 1)
    elif what == "feed":
        feed(ref, symbol, number)
    elif what == "reconcile":
        rig.reconcile(ok=number > 0)
        ref.reconciled = number > 0
    elif what == "confirm":
        rig.take(rig.kernel.confirm_limits(rig.now, version=1))
        ref.confirmed = rig.now
    ref.after()


def price_of(ref: Reference, symbol: str) -> tuple[int, ...]:
    price = int(ref.reference(symbol) / CENT)
    return (price,) if price else ()


def feed(ref: Reference, symbol: str, number: int) -> None:
    states = [FeedState.LIVE] * 5 + [FeedState.STALE, FeedState.BREAK]
    closes_at = ref.rig.now + SECOND_NS if number == 1 else 0
    ref.rig.feed(symbol, states[number], closes_at=closes_at)
    ref.feeds[symbol], ref.closes[symbol] = states[number], closes_at


@given(st.lists(actions, max_size=40), st.lists(st.tuples(symbols, st.integers(0, 10**7)), min_size=1, max_size=12))
@settings(max_examples=250, deadline=None)
def test_the_gate_says_what_the_slow_reference_says(
    history: list[tuple[str, str, int]], proposals: list[tuple[str, int]]
) -> None:
    ref = Reference()
    act(ref, ("top", "BTCUSDT", 0))
    for action in history:
        act(ref, action)
    for symbol, number in proposals:
        order = request(number, symbol, ref.rig.now)
        said = {reason.value for reason in check(order, "new", ref.rig.kernel.desk.risk, ref.rig.now).reasons}
        assert said == ref.reasons(order)


@given(st.lists(actions, max_size=60))
@settings(max_examples=150, deadline=None)
def test_nothing_that_was_sent_broke_a_limit(history: list[tuple[str, str, int]]) -> None:
    """Right after each send, worst cases over all open orders lie within what the limits allow."""
    ref = Reference()
    act(ref, ("top", "BTCUSDT", 0))
    act(ref, ("top", "ETHUSDT", 0))
    for action in history:
        before = len(ref.rig.sent)
        act(ref, action)
        if len(ref.rig.sent) == before:
            continue
        for symbol in ITEMS:
            assert ref.worst(symbol) <= Fraction(TIGHT["max_position"][symbol])
        assert sum(ref.worst(s) * ref.reference(s) for s in ITEMS) <= Fraction(TIGHT["max_gross_notional"])
        assert len(ref.open_orders()) <= TIGHT["max_open_orders"]
        assert ref.rig.books.reserved <= ref.rig.books.cash
        assert ref.state is TradingState.ACTIVE
    ref.rig.check_replay()
