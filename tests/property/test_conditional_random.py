"""Random lives of conditional orders: prices, partial fills, late cancels, stale feeds and crashes at any record.

The venue of these tests has the last word about every order; what it has filled is the truth that invariants are
checked against. A crash cuts an input's effects after any of them: the journal ends there, and what would have followed
was never sent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.kernels import LIMITS, START, Rig
from workers.engine import events as e
from workers.engine.config import SECOND_NS
from workers.engine.execution.conditional_place import Bracket, Oco
from workers.engine.execution.conditional_types import ConditionalKind, ConditionalRequest, TriggerSource
from workers.engine.market.venues import PAPER
from workers.engine.ports import Effects
from workers.engine.risk.gate import OrderRequest
from workers.engine.vocabulary import FeedState, OrderStatus, Side, TimeInForce, TradingState

SYMBOL = "BTCUSDT"
OWNED = 400_000
WIDE: dict[str, Any] = {
    **LIMITS,
    "max_order_qty": {},
    "max_position": {},
    "max_order_notional": "1000000",
    "max_gross_notional": "10000000",
    "max_open_orders": 1000,
    "collar_bps": 2000,
    "max_daily_loss": "1000000",
    "max_drawdown": "1000000",
}
KINDS = (
    *("price",) * 8,
    *("trade", "fill", "fill", "fill", "ack", "ack", "gone", "gone", "dropped"),
    *("stop", "trail", "oco", "bracket", "bracket", "entry", "replace", "replace"),
    *("stale", "live", "live", "wait", "crash", "crash"),
)
steps = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 999)), min_size=20, max_size=60)


class CrashError(Exception):
    """The process ends here."""


class FragileRig(Rig):
    """Carries out only so many effects of the next input, if told so."""

    survive: int | None = None

    def take(self, effects: Effects) -> Effects:
        if self.survive is None:
            return super().take(effects)
        kept = list(effects)[: self.survive]
        self.survive -= len(kept)
        super().take(kept)
        if len(kept) < len(effects):
            self.survive = None
            raise CrashError
        return effects


@dataclass
class AtVenue:
    """One order as the venue has it."""

    side: Side
    lots: int
    filled: int = 0
    open: bool = True
    trigger: int = 0
    """A stop trades nothing before the bid was there."""
    trades: list[tuple[int, int]] = field(default_factory=list)


class World:
    """One kernel and one venue."""

    def __init__(self) -> None:
        self.rig: FragileRig = FragileRig(features=PAPER.features)
        self.rig.open(limits=WIDE, cash="1000000")
        self.bid = 100_00
        self.venue: dict[str, AtVenue] = {}
        self.acked: set[str] = set()
        self.trade_id = 0
        self.live = True
        self.top()
        bought = self.rig.order(SYMBOL, Side.BUY, OWNED, 100_02)
        assert bought is not None
        self.deliver()
        self.fill(bought, OWNED)

    # -- the venue

    def deliver(self) -> None:
        for send in self.rig.sent:
            intent = send.intent
            self.venue.setdefault(intent.client_id, AtVenue(intent.side, intent.lots, trigger=intent.trigger))

    def fill(self, client_id: str, lots: int) -> None:
        order = self.venue[client_id]
        if order.trigger and not order.filled and self.bid > order.trigger:
            return
        lots = min(lots, order.lots - order.filled)
        self.trade_id += 1
        order.trades.append((self.trade_id, lots))
        order.filled += lots
        order.open = order.filled < order.lots
        self.tell(client_id, self.trade_id, lots)

    def tell(self, client_id: str, trade_id: int, lots: int) -> None:
        fill = e.OrderFilled(
            ts=self.rig.now,
            client_id=client_id,
            trade_id=trade_id,
            symbol=SYMBOL,
            side=self.venue[client_id].side,
            lots=lots,
            price=self.bid,
            fee=0,
            fee_asset="USDT",
            maker=False,
            ts_event=self.rig.now,
        )
        self.rig.report(fill)

    def top(self) -> None:
        self.rig.top(SYMBOL, self.bid, self.bid + 2)

    # -- one step

    def step(self, what: str, number: int) -> None:
        self.rig.now += SECOND_NS // 10
        if what == "crash":
            self.rig.survive = number % 7
            return
        try:
            self.act(what, number)
            self.deliver()
        except CrashError:
            self.deliver()
            self.restart()

    def act(self, what: str, number: int) -> None:
        if what == "price":
            self.bid = max(self.bid + number % 161 - 80, 85_00)
            self.top()
        elif what == "trade":
            price = self.bid + number % 5
            trade = e.Trade(
                symbol=SYMBOL,
                ts_event=self.rig.now,
                ts_recv=self.rig.now,
                trade_id=1,
                price=price,
                lots=1,
                aggressor=Side.SELL,
            )
            self.rig.take(self.rig.kernel.on_trade(trade, self.rig.now))
        elif what in ("stale", "live"):
            self.live = what == "live"
            self.rig.feed(SYMBOL, FeedState.LIVE if self.live else FeedState.STALE)
        elif what == "wait":
            self.rig.now += number * SECOND_NS // 500
            self.rig.take(self.rig.kernel.on_timer(self.rig.now))
        elif what == "replace":
            mine = [order for order in self.rig.books.open_orders() if order.side is Side.BUY]
            if mine:
                self.rig.kernel.desk.now = self.rig.now
                self.rig.kernel.desk.replace(mine[number % len(mine)].client_id, price=self.bid + number % 3)
                self.rig.take(self.rig.kernel.on_timer(self.rig.now))
        elif what in ("fill", "ack", "gone", "dropped"):
            self.at_venue(what, number)
        else:
            self.hold(what, number)

    def at_venue(self, what: str, number: int) -> None:
        asked = self.asked()
        orders = [(key, order) for key, order in self.venue.items() if order.open]
        if what == "gone":
            orders = [(key, order) for key, order in orders if key in asked]
        if not orders:
            return
        client_id, order = orders[number % len(orders)]
        if what == "fill":
            self.fill(client_id, max(order.lots * (number % 100 + 1) // 100, 1))
        elif what == "ack":
            self.rig.accept(client_id)
        else:
            order.open = False
            self.rig.end(client_id, OrderStatus.CANCELED if number % 2 else OrderStatus.EXPIRED)

    def asked(self) -> set[str]:
        """What is to be cancelled: the live host asks again for whatever the journal says was asked for."""
        return {order.client_id for order in self.rig.books.open_orders() if order.cancel_requested}

    def hold(self, what: str, number: int) -> None:
        lots, away = 20_000 + number % 3 * 5_000, number % 90 + 10
        source = TriggerSource.LAST_TRADE if number % 4 == 0 else TriggerSource.OPPOSITE_TOUCH
        stop = ConditionalRequest(
            symbol=SYMBOL, side=Side.SELL, lots=lots, trigger=self.bid - away, reduce_only=True, source=source
        )
        limit = ConditionalRequest(
            symbol=SYMBOL,
            side=Side.SELL,
            lots=lots,
            kind=ConditionalKind.LIMIT,
            price=self.bid + away,
            reduce_only=True,
        )
        entry = OrderRequest(symbol=SYMBOL, side=Side.BUY, lots=lots, price=self.bid + 2, tif=TimeInForce.GTC)
        above = ConditionalRequest(symbol=SYMBOL, side=Side.BUY, lots=lots, trigger=self.bid + away)
        asked: Any = {
            "stop": stop,
            "trail": ConditionalRequest(
                symbol=SYMBOL,
                side=Side.SELL,
                lots=lots,
                kind=ConditionalKind.TRAILING_STOP,
                trail_ticks=away,
                reduce_only=True,
                source=source,
            ),
            "oco": Oco(first=limit, second=stop),
            "entry": Bracket(entry=above, trail_bps=away, take_profit=self.bid + 2 * away),
            "bracket": Bracket(
                entry=entry, stop_loss=self.bid - away, take_profit=self.bid + away + 3, hold_profit=number % 3 == 0
            ),
        }[what]
        self.rig.kernel.desk.now = self.rig.now
        self.rig.kernel.desk.hold(asked)
        self.rig.take(self.rig.kernel.on_timer(self.rig.now))

    # -- a crash

    def restart(self) -> None:
        old = self.rig
        self.rig = rig = FragileRig(old.instruments, features=PAPER.features)
        for name in ("now", "journal", "sent", "cancels"):
            setattr(rig, name, getattr(old, name))
        rig.kernel.recover(e.Record(seq=n, hash="", event=event) for n, event in enumerate(rig.journal))  # type: ignore[arg-type]  # all are Journalled
        rig.take(
            rig.kernel.open_session(
                rig.now, epoch=rig.books.epoch + 1, venue="paper", worker="test", instruments=list(rig.instruments)
            )
        )
        for order in list(rig.books.open_orders()):
            self.settle(order.client_id)
        rig.limits(WIDE, version=rig.books.limits_version + 1)
        rig.reconcile()
        rig.feed(SYMBOL, FeedState.LIVE if self.live else FeedState.STALE)
        self.deliver()

    def settle(self, client_id: str) -> None:
        """What reconciliation reports of one order."""
        found = self.venue.get(client_id)
        if found is None:
            self.rig.report(e.OrderNotSent(ts=self.rig.now, client_id=client_id, detail="unknown at the venue"))
            return
        self.rig.accept(client_id)
        for trade_id, lots in found.trades:
            self.tell(client_id, trade_id, lots)
        if not found.open and found.filled < found.lots:
            self.rig.end(client_id)

    # -- what must hold

    def check(self) -> None:
        books = self.rig.books
        for order in books.conditionals.all.values():
            done = sum(self.worst(child) for leg in books.conditionals.group(order) for child in leg.children)
            size = self.entered(order.entry) if order.entry else order.lots
            if order.kind is ConditionalKind.REPLACEMENT:
                size = order.lots - (self.venue[order.entry].filled if order.entry in self.venue else 0)
            assert done <= size, f"{order.client_id} may fill {done} of {size}"
        sold = sum(order.filled for order in self.venue.values() if order.side is Side.SELL)
        bought = sum(order.filled for order in self.venue.values() if order.side is Side.BUY)
        assert sold <= bought
        self.rig.check_replay()

    def worst(self, client_id: str) -> int:
        order = self.venue.get(client_id)
        return 0 if order is None else order.lots if order.open else order.filled

    def entered(self, entry: str) -> int:
        held, orders = self.rig.books.conditionals.all.get(entry), self.rig.books.orders
        ids = [entry] if held is None else list(held.children)
        for key in ids:
            if key in orders and orders[key].replaced_by:
                ids.append(orders[key].replaced_by)
        return sum(self.venue[key].filled for key in ids if key in self.venue)

    def check_journal(self) -> None:
        """Nothing twice, nothing early: triggers are folded again from the journal alone."""
        level: dict[str, tuple[ConditionalKind, Side, int]] = {}
        fired: set[str] = set()
        over: set[str] = set()
        siblings: set[str] = set()
        for event in self.rig.journal:
            if isinstance(event, e.ConditionalAccepted):
                level[event.client_id] = (event.kind, event.side, event.trigger)
            elif isinstance(event, e.ConditionalMoved):
                kind, side, before = level[event.client_id]
                assert not before or (before - event.trigger) * side >= 0, "a trail moved away from the market"
                level[event.client_id] = (kind, side, event.trigger)
            elif isinstance(event, e.ConditionalTriggered):
                assert event.client_id not in fired | over
                fired.add(event.client_id)
                kind, side, trigger = level[event.client_id]
                beyond = (event.price - trigger) * side
                assert beyond <= 0 if kind is ConditionalKind.TAKE_PROFIT else beyond >= 0
            elif isinstance(event, e.ConditionalEnded):
                assert event.client_id not in over
                over.add(event.client_id)
            elif isinstance(event, e.CancelRequested) and event.reason.endswith("was triggered"):
                assert event.client_id not in siblings, "a sibling was cancelled twice"
                siblings.add(event.client_id)

    def finish(self) -> None:
        """The market falls below every stop and the venue answers everything: no exit may be left waiting."""
        self.rig.survive = None
        self.act("live", 0)
        self.bid = 82_00
        for _ in range(12):
            self.rig.now += 2 * SECOND_NS
            self.bid -= 50
            self.top()
            self.act("trade", 0)
            self.deliver()
            asked = self.asked()
            for client_id, order in list(self.venue.items()):
                if order.open and client_id in asked:
                    order.open = False
                    self.rig.end(client_id)
                elif order.open and self.rig.books.orders[client_id].price <= self.bid:
                    self.fill(client_id, order.lots)
                self.deliver()
            for order_ in list(self.rig.books.open_orders()):
                if order_.side is Side.BUY:
                    self.fill(order_.client_id, order_.lots)
        left = [order for order in self.rig.books.conditionals.all.values() if order.live and order.reduce_only]
        waiting = [order for order in left if not order.entry or self.entered(order.entry)]
        assert not waiting, [(order.client_id, order.status, order.detail) for order in waiting]


@settings(max_examples=60, deadline=None)
@given(steps)
def test_exits_never_exceed_entries_nothing_happens_twice_and_no_exit_is_forgotten(
    taken: list[tuple[str, int]],
) -> None:
    world = World()
    for what, number in taken:
        world.step(what, number)
        world.check()
    world.check_journal()
    world.finish()
    world.check()
    world.check_journal()


SCENES = {
    "oco": (("oco", 90), ("ack", 0), ("fill", 30), ("price", 0), ("price", 0), ("gone", 0), ("fill", 99)),
    "bracket": (
        *(("bracket", 91), ("ack", 0), ("fill", 50), ("price", 90), ("price", 0), ("price", 0), ("gone", 0)),
        *(("gone", 0), ("fill", 99)),
    ),
    "entry": (("entry", 20), ("price", 160), ("ack", 0), ("fill", 60), ("price", 0), ("price", 0), ("gone", 0)),
}


@pytest.mark.parametrize("scene", SCENES)
def test_a_crash_after_any_single_effect_forgets_and_doubles_nothing(scene: str) -> None:
    total, cut = 1, 0
    while cut < total:
        world = World()
        taken = 0
        for what, number in SCENES[scene]:
            before = len(world.rig.journal) + len(world.rig.sent) + len(world.rig.cancels)
            if taken <= cut:
                world.rig.survive = cut - taken
            world.step(what, number)
            world.check()
            world.rig.survive = None
            taken += len(world.rig.journal) + len(world.rig.sent) + len(world.rig.cancels) - before
        total = max(total, taken)
        world.check_journal()
        world.finish()
        world.check()
        world.check_journal()
        cut += 1


prices = st.lists(st.integers(-150, 150), min_size=1, max_size=80)


def slow_stop(bids: list[int], trigger: int) -> int | None:
    """Index of the first bid at or below the trigger, by looking at each."""
    return next((index for index, bid in enumerate(bids) if bid <= trigger), None)


def slow_trail(bids: list[int], *, ticks: int = 0, bps: int = 0) -> tuple[int | None, list[int]]:
    """Where a trailing sell stop fires, and its level after each bid: from the whole path every time."""
    levels: list[int] = []
    for index in range(len(bids)):
        before = [bid - (ticks or max(bid * bps // 10_000, 1)) for bid in bids[:index]]
        if before and bids[index] <= max(before):
            return index, levels
        levels.append(max([*before, bids[index] - (ticks or max(bids[index] * bps // 10_000, 1))]))
    return None, levels


def walk(changes: list[int]) -> list[int]:
    bids, bid = [], 100_00
    for change in changes:
        bid += change
        bids.append(bid)
    return bids


def quiet_rig() -> Rig:
    rig = Rig().open(limits=WIDE, cash="1000000")
    rig.now = START
    rig.top(SYMBOL, 100_00, 100_02)
    bought = rig.order(SYMBOL, Side.BUY, OWNED, 100_02)
    assert bought is not None
    rig.accept(bought)
    rig.fill(bought, OWNED, 100_00)
    return rig


@settings(max_examples=60, deadline=None)
@given(prices, st.integers(1, 300))
def test_a_stop_fires_at_the_first_price_beyond_and_never_before(changes: list[int], away: int) -> None:
    bids, rig = walk(changes), quiet_rig()
    rig.kernel.desk.now = rig.now
    one = rig.kernel.desk.hold(
        ConditionalRequest(symbol=SYMBOL, side=Side.SELL, lots=20_000, trigger=100_00 - away, reduce_only=True)
    )
    assert one is not None
    expected = slow_stop(bids, 100_00 - away)
    for index, bid in enumerate(bids):
        rig.top(SYMBOL, bid, bid + 2)
        order = rig.kernel.desk.conditional(one)
        assert order is not None
        assert bool(order.seen) is (expected is not None and index >= expected)
        if order.seen:
            assert order.seen == bids[expected or 0]


@settings(max_examples=60, deadline=None)
@given(prices, st.integers(1, 300), st.booleans())
def test_a_trailing_stop_is_the_slow_reference(changes: list[int], away: int, in_bps: bool) -> None:
    bids, rig = walk(changes), quiet_rig()
    offset: dict[str, Any] = {"trail_bps": away} if in_bps else {"trail_ticks": away}
    rig.kernel.desk.now = rig.now
    one = rig.kernel.desk.hold(
        ConditionalRequest(
            symbol=SYMBOL,
            side=Side.SELL,
            lots=20_000,
            kind=ConditionalKind.TRAILING_STOP,
            reduce_only=True,
            **offset,
        )
    )
    assert one is not None
    expected, levels = slow_trail(bids, **({"bps": away} if in_bps else {"ticks": away}))
    for index, bid in enumerate(bids):
        rig.top(SYMBOL, bid, bid + 2)
        order = rig.kernel.desk.conditional(one)
        assert order is not None
        fired = expected is not None and index >= expected
        assert bool(order.seen) is fired
        if not fired:
            assert order.trigger == levels[index]
    assert rig.books.state is TradingState.ACTIVE
