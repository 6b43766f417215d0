"""Watches prices for conditional orders, releases what they trigger, and keeps groups and expiries honest.

Everything that happens is an event of the journal. What is still to do is found from the books alone, again and again
(``_settle``): a crash between a trigger and its order, or between a fill and the cancel of its sibling, leaves books
from which the same steps follow, and steps already taken do not follow again.

* A price counts only while the feed is LIVE and the price fresh, by the limits' own measure.
* In a new market session an order goes on only if its first price lies within the price collar of the last one seen
  before. Otherwise the levels mean nothing there: it expires, and says from which price to which the market jumped.
* Orders of one group never release more than their size, or than what their entry has filled: lots that rest at the
  venue count as done until the venue has confirmed their end.
* What the gate refuses for a passing reason is tried again, every ``denial_pause_ns``; anything else ends the order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from workers.engine.config import SECOND_NS
from workers.engine.events import (
    Bar,
    ConditionalEnded,
    ConditionalMoved,
    ConditionalTriggered,
    JournalEvent,
    OrderDenied,
    OrderEnded,
    OrderFilled,
    OrderIntended,
    OrderNotSent,
    OrderRejected,
    Trade,
)
from workers.engine.execution.conditional_reasons import LASTING, PASSING
from workers.engine.execution.conditional_types import (
    Budget,
    Conditional,
    ConditionalKind,
    ConditionalStatus,
    TriggerSource,
    ratchet,
    reached,
)
from workers.engine.execution.conditional_venue import guard, hear_venue
from workers.engine.execution.orders import Order
from workers.engine.ports import Journal
from workers.engine.risk.gate import OrderRequest
from workers.engine.risk.limits import COLLAR_SCALE
from workers.engine.vocabulary import FeedState, Side, TimeInForce

if TYPE_CHECKING:
    from workers.engine.desk import Desk
    from workers.engine.market_state import MarketState

NEVER: Final = 1 << 62
MAX_CHILDREN: Final = 50
"""Orders that one conditional order may release before it gives up."""
MAX_DENIALS: Final = 60
FRESH_NS: Final = 5 * SECOND_NS
"""Age that a price may have while no limits say otherwise."""
NEWS: Final = (OrderEnded, OrderRejected, OrderNotSent)


class Conditionals:
    """One per desk. Reads the books, changes them through ``desk.record``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._held = desk.books.conditionals
        self._retry: dict[str, int] = {}
        self._last: dict[str, tuple[int, int]] = {}
        """Session and last trusted price by instrument."""
        self._waiting: set[str] = set()
        """What could not be sent yet, and may be with any price."""
        self.due = NEVER
        """When time alone changes something: an expiry, or another try."""

    # -- prices

    def on_top(self, market: MarketState) -> None:
        """The best bid and ask changed."""
        if self._trusted(market, market.reference_ts):
            self._cross(market, market.reference)
            for order in tuple(market.held.values()):
                if order.source is TriggerSource.OPPOSITE_TOUCH:
                    price = market.bid if order.side is Side.SELL else market.ask
                    self._see(order, price, price, market.reference_ts)
            self._work(market)

    def on_trade(self, market: MarketState, trade: Trade) -> None:
        """Somebody traded."""
        if self._trusted(market, trade.ts_recv):
            self._cross(market, trade.price)
            for order in tuple(market.held.values()):
                if order.source is TriggerSource.LAST_TRADE:
                    self._see(order, trade.price, trade.price, trade.ts_event)
            self._work(market)

    def on_bar(self, market: MarketState, bar: Bar) -> None:
        """A bar closed, and bars are all that is seen: its extremes trigger, its close is what a trail follows."""
        if self._trusted(market, bar.ts_recv):
            self._cross(market, bar.open)
            for order in tuple(market.held.values()):
                falls = (order.side is Side.SELL) is not (order.kind is ConditionalKind.TAKE_PROFIT)
                self._see(order, bar.low if falls else bar.high, bar.close, bar.ts_event)
            self._last[market.symbol] = (market.session_id, bar.close)
            self._work(market)

    def _trusted(self, market: MarketState, seen: int) -> bool:
        limits = self._desk.limits
        age = limits.reference_max_age_ns if limits is not None else FRESH_NS
        return market.feed is FeedState.LIVE and self._desk.now - seen <= age

    def _see(self, order: Conditional, price: int, follow: int, ts_event: int) -> None:
        """Trigger when ``price`` is at or beyond the level, else let a trailing stop follow ``follow``."""
        if order.status is not ConditionalStatus.ARMED or price <= 0:
            return
        if order.rests and (not order.at_venue or self._working(order)):
            return
        if order.entry and not self._entered(order):
            return
        if reached(order, price):
            self._desk.record(
                ConditionalTriggered(
                    ts=self._desk.now,
                    client_id=order.client_id,
                    price=price,
                    source=order.source,
                    ts_event=ts_event,
                )
            )
        elif order.kind is ConditionalKind.TRAILING_STOP and (trigger := ratchet(order, follow)):
            self._move(order, trigger, follow, order.session_id)

    def _move(self, order: Conditional, trigger: int, extreme: int, session_id: int) -> None:
        self._desk.record(
            ConditionalMoved(
                ts=self._desk.now,
                client_id=order.client_id,
                trigger=trigger,
                extreme=extreme,
                session_id=session_id,
            )
        )

    def _cross(self, market: MarketState, price: int) -> None:
        """Take orders of another session into this one, if the price did not jump between them."""
        session, last = self._last.get(market.symbol, (0, 0))
        for order in tuple(market.held.values()):
            if order.session_id == market.session_id:
                continue
            before = last if session == order.session_id else 0
            if order.tif is TimeInForce.DAY:
                self.end(order, ConditionalStatus.EXPIRED, "its session ended")
            elif self._jumped(before, price):
                seen = f"from {before} to {price} ticks" if before else f"to {price} ticks from a price nobody saw"
                why = f"a new session opened and the market jumped {seen}"
                self.end(order, ConditionalStatus.EXPIRED, why, against_its_purpose=True)
            else:
                self._move(order, order.trigger, order.extreme, market.session_id)
        self._last[market.symbol] = (market.session_id, price)

    def _jumped(self, before: int, price: int) -> bool:
        limits = self._desk.limits
        return limits is None or not before or abs(price - before) * COLLAR_SCALE > limits.collar * before

    def _work(self, market: MarketState) -> None:
        for order in tuple(market.held.values()):
            if order.status is ConditionalStatus.TRIGGERED or order.client_id in self._waiting:
                self._settle(order)

    # -- reports, time, control

    def taken(self, symbol: str) -> None:
        """New ones are held: note their ends, and send what rests at the venue."""
        for order in self._held.of(symbol).values():
            if order.expires_at:
                self.due = min(self.due, order.expires_at)
        market = self._desk.markets[symbol]
        if market.reference and self._trusted(market, market.reference_ts):
            self._last[symbol] = (market.session_id, market.reference)
        for order in tuple(market.held.values()):
            if order.rests and order.live:
                self._settle(order)

    def on_report(self, event: JournalEvent) -> None:
        """Something happened to an order, and the books have it."""
        order = self._desk.books.orders.get(getattr(event, "client_id", ""))
        if order is None:
            return
        releaser = self._held.all.get(order.conditional_id) if order.conditional_id else None
        if isinstance(event, NEWS) and releaser is not None and releaser.live:
            self._pause(releaser.client_id)
        if releaser is not None and releaser.at_venue:
            hear_venue(self._desk, releaser, event)
        if type(event) is OrderFilled:
            guard(self._desk, self._desk.books.lines[order.symbol])
        for held in tuple(self._held.of(order.symbol).values()):
            if held.live:
                self._settle(held)

    def on_time(self, now: int) -> None:
        """End what is due, try again what waits, and find the next time."""
        books = self._desk.books
        for order in books.open_orders():
            if 0 < order.expires_at <= now:
                self._desk.cancel(order.client_id, "its time is over")
        for held in self.live():
            if 0 < held.expires_at <= now:
                self.end(held, ConditionalStatus.EXPIRED, "its time is over")
        for symbol in tuple(self._held.live):
            self._work(self._desk.markets[symbol])
        self._next_due(now)

    def _next_due(self, now: int) -> None:
        ends = [order.expires_at for order in self._desk.books.open_orders()]
        ends += [held.expires_at for held in self.live()]
        ends += [self._retry.get(held.client_id, 0) for held in self.live()]
        self.due = min((end for end in ends if end > now), default=NEVER)

    def cancel(self, client_id: str, reason: str) -> bool:
        """End a conditional order and ask for the cancel of what it released; False when none lives by this id."""
        order = self._held.all.get(client_id)
        if order is None or not order.live:
            return False
        self.end(order, ConditionalStatus.CANCELED, reason)
        return True

    def cancel_all(self, reason: str, *, run_id: str | None = None) -> None:
        """End every conditional order, or those of one run; what rests at the venue is cancelled by the caller."""
        for order in self.live():
            if order.live and (run_id is None or order.run_id == run_id):
                self.end(order, ConditionalStatus.CANCELED, reason)

    def resume(self) -> None:
        """After a restart: what is of no run any more ends, and what a crash cut off is gone on with."""
        runs = self._desk.books.runs
        for child in self._desk.books.open_orders():
            releaser = self._held.all.get(child.conditional_id) if child.conditional_id else None
            if releaser is not None and not releaser.live and releaser.status is not ConditionalStatus.RELEASED:
                self._cancel_children(releaser, releaser.detail)
        for order in self.live():
            if order.live and order.run_id not in runs:
                self.end(order, ConditionalStatus.CANCELED, "its run is over")
            elif order.live and len(self._held.group(order)) < order.legs:
                self.end(order, ConditionalStatus.CANCELED, "the process ended while it was being taken on")
            elif order.live:
                self._settle(order)
        # What came to its end while nobody watched ends with the next input.
        self.due = self._desk.now

    def live(self) -> list[Conditional]:
        """Everything that is held, instrument by instrument."""
        return [order for held in self._held.live.values() for order in held.values()]

    def end(
        self, order: Conditional, status: ConditionalStatus, detail: str, *, against_its_purpose: bool = False
    ) -> None:
        """End ``order``, and ask for the cancel of what it has at the venue, unless that stands for itself."""
        self._desk.record(
            ConditionalEnded(
                ts=self._desk.now,
                client_id=order.client_id,
                status=status,
                detail=detail,
                filled=self._filled(order),
                unprotected=against_its_purpose and order.protects and self._reducible(order) > 0,
            )
        )
        self._retry.pop(order.client_id, None)
        self._waiting.discard(order.client_id)
        if status is not ConditionalStatus.RELEASED:
            self._cancel_children(order, detail)

    # -- groups

    def _settle(self, order: Conditional) -> None:
        """Do what follows from the books for the order's group; doing it twice does nothing more."""
        if order.kind is ConditionalKind.REPLACEMENT:
            self._replace(order)
            return
        group = self._held.group(order)
        live = [leg for leg in group if leg.live]
        fired = next((leg for leg in live if leg.status is ConditionalStatus.TRIGGERED), None)
        if fired is not None:
            for leg in live:
                if leg is not fired:
                    self.end(leg, ConditionalStatus.CANCELED, f"{fired.client_id} was triggered")
            live = [fired]
            if fired.entry:
                self._cancel_entry(fired.entry, f"{fired.client_id} was triggered")
        budget = self._budget(order, group)
        over = self._over(order, budget)
        for leg in live:
            if over and leg.live:
                self._finish(leg, over)
            elif leg.live:
                self._release(leg, self._budget(order, group))

    def _replace(self, order: Conditional) -> None:
        """Cancel the old order; when it is over, send the new one for what it has not filled."""
        old = self._desk.books.orders[order.entry]
        if order.children:
            self.end(order, ConditionalStatus.RELEASED, f"{order.children[-1]} took its place")
        elif old.open:
            self._desk.cancel(order.entry, f"replaced by {order.client_id}")
        elif old.filled >= order.lots:
            self.end(order, ConditionalStatus.CANCELED, "the order it was to replace was filled first")
        else:
            self._release(order, Budget(order.lots - old.filled, working=False, entry_open=False, total=order.lots))
            if order.live and order.children:
                self.end(order, ConditionalStatus.RELEASED, f"{order.children[-1]} took its place")

    def _finish(self, order: Conditional, detail: str) -> None:
        """End ``order`` because nothing is left for it to do."""
        done = ConditionalStatus.FILLED if self._filled(order) else ConditionalStatus.CANCELED
        self.end(order, done, detail)

    def _budget(self, order: Conditional, group: Iterable[Conditional]) -> Budget:
        filled, entry_open = self._entry(order) if order.entry else (order.lots, False)
        done, working = 0, False
        for leg in group:
            for child in self._children(leg):
                done += max(child.lots, child.filled) if child.open else child.filled
                working |= child.open
        return Budget(filled - done, working, entry_open, filled)

    def _over(self, order: Conditional, budget: Budget) -> str:
        """Why the group has nothing more to do, empty while it has."""
        if budget.working or budget.entry_open:
            return ""
        if budget.total == 0:
            return "its entry came to nothing"
        if budget.left <= 0:
            return "all of it is filled"
        if order.reduce_only and self._reducible(order) == 0:
            return "there is nothing left to reduce"
        return ""

    def _entry(self, order: Conditional) -> tuple[int, bool]:
        """Lots that the entry has filled, and whether it may still fill."""
        books = self._desk.books
        if (entry := books.orders.get(order.entry)) is not None:
            return self._chain(entry)
        if (held := self._held.all.get(order.entry)) is not None:
            return self._filled(held), held.live or self._working(held)
        if (parent := books.parents.get(order.entry)) is not None:
            return parent.filled, parent.status.is_live
        return 0, False

    def _entered(self, order: Conditional) -> bool:
        """True once the entry has filled anything."""
        entry = self._desk.books.orders.get(order.entry)
        return entry.filled > 0 if entry is not None and not entry.replaced_by else self._entry(order)[0] > 0

    def _chain(self, entry: Order) -> tuple[int, bool]:
        """The same of an order and those that took its place, one after the other."""
        filled, last = entry.filled, entry
        while last.replaced_by:
            last = self._desk.books.orders[last.replaced_by]
            filled += last.filled
        return filled, last.open or self._held.replacement_of(last.client_id, last.symbol) is not None

    def _cancel_entry(self, entry: str, reason: str) -> None:
        """Cancel what may still fill of an entry: the last of its chain, and what waits to take its place."""
        desk, last = self._desk, self._desk.books.orders.get(entry)
        if last is None:
            desk.cancel(entry, reason)
            desk.cancel_parent(entry, reason)
            return
        while last.replaced_by:
            last = desk.books.orders[last.replaced_by]
        if (waiting := self._held.replacement_of(last.client_id, last.symbol)) is not None:
            desk.cancel(waiting.client_id, reason)
        desk.cancel(last.client_id, reason)

    def _children(self, order: Conditional) -> list[Order]:
        orders = self._desk.books.orders
        return [orders[client_id] for client_id in order.children if client_id in orders]

    def _filled(self, order: Conditional) -> int:
        return sum(child.filled for child in self._children(order))

    def _working(self, order: Conditional) -> bool:
        return any(child.open for child in self._children(order))

    def _cancel_children(self, order: Conditional, reason: str) -> None:
        for child in self._children(order):
            if child.open and not child.cancel_requested:
                self._desk.request_cancel(child, reason)

    def _reducible(self, order: Conditional) -> int:
        """Lots of the position that an order of this side can close."""
        return max(-self._desk.position(order.symbol) * order.side, 0)

    # -- releasing

    def _release(self, order: Conditional, budget: Budget) -> None:
        resting = order.kind is ConditionalKind.LIMIT or order.at_venue
        if not order.rests and (order.status is not ConditionalStatus.TRIGGERED or budget.working):
            return
        lots = whole = budget.left
        if order.reduce_only:
            line = self._desk.books.lines[order.symbol]
            working = line.open_sell if order.side is Side.SELL else line.open_buy
            whole = min(lots, self._reducible(order))
            lots = min(lots, self._reducible(order) - working)
        self._waiting.discard(order.client_id)
        if lots <= 0:
            return
        if self._waits(order):
            self._waiting.add(order.client_id)
            return
        if self._too_small(order, lots):
            if self._too_small(order, whole) and not (resting or budget.entry_open):
                self._finish(order, f"the venue takes no order of {lots} lots")
            return
        if len(order.children) >= MAX_CHILDREN:
            why = f"gave up after {MAX_CHILDREN} orders"
            self.end(order, ConditionalStatus.DENIED, why, against_its_purpose=True)
            return
        self._send(order, lots)

    def _waits(self, order: Conditional) -> bool:
        """True while an order would be refused for a reason that is known to pass, or came too soon."""
        desk = self._desk
        market, risk = desk.markets[order.symbol], desk.risk
        if desk.now < self._retry.get(order.client_id, 0):
            return True
        limits, reference = risk.limits, market.reference
        if limits is None or reference <= 0 or not self._trusted(market, market.reference_ts):
            return True
        if (
            order.price
            and not order.at_venue
            and abs(order.price - reference) * COLLAR_SCALE > limits.collar * reference
        ):
            # A limit so far away would be refused; it rests in the kernel until the market comes near.
            return True
        lost = market.line.venue not in risk.reconciled_at
        return lost or desk.now > risk.limits_until or market.line.unknown > 0

    def _too_small(self, order: Conditional, lots: int) -> bool:
        market = self._desk.markets[order.symbol]
        waits = order.trigger if order.at_venue else 0
        instrument, price = market.line.instrument, order.price or waits or market.reference
        return lots < instrument.min_lots or lots * price * instrument.lot_value < instrument.min_notional_money

    def _send(self, order: Conditional, lots: int) -> None:
        desk = self._desk
        # Another order's denial on this side must not hold up a stop.
        desk.markets[order.symbol].denied = 0
        mark = len(desk.out)
        replaces = order.entry if order.kind is ConditionalKind.REPLACEMENT else ""
        request = OrderRequest(
            symbol=order.symbol,
            side=order.side,
            lots=lots,
            price=order.price,
            order_type=order.order_type,
            tif=TimeInForce.GTD if order.expires_at and replaces else TimeInForce.GTC,
            expires_at=order.expires_at if replaces else 0,
            reduce_only=order.reduce_only,
            conditional_id=order.client_id,
            replaces=replaces,
            trigger=order.trigger if order.at_venue else 0,
            decision={"conditional": order.client_id, "kind": order.kind.value, "seen": order.seen},
        )
        if desk.order(request) is not None:
            return
        self._pause(order.client_id)
        self._waiting.add(order.client_id)
        for effect in desk.out[mark:]:
            if isinstance(effect, Journal) and isinstance(effect.event, OrderDenied):
                self._denied(order, effect.event)

    def _denied(self, order: Conditional, denial: OrderDenied) -> None:
        reasons = denial.reasons
        hopeless = any(reason in LASTING for reason in reasons)
        if not order.reduce_only:
            hopeless = any(reason not in PASSING for reason in reasons)
        if hopeless or order.denials >= MAX_DENIALS:
            words = ", ".join(reason.value for reason in reasons)
            self.end(order, ConditionalStatus.DENIED, f"denied: {words}", against_its_purpose=True)

    def _pause(self, client_id: str) -> None:
        self._retry[client_id] = until = self._desk.now + self._desk.config.denial_pause_ns
        self.due = min(self.due, until)

    # -- reduce-only

    def on_intent(self, intent: OrderIntended) -> None:
        """An order leaves: note its end; with it, orders that may only reduce must still fit into the position."""
        if intent.expires_at:
            self.due = min(self.due, intent.expires_at)
        guard(self._desk, self._desk.books.lines[intent.symbol])
